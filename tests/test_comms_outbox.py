"""The outbox: no mail is lost or delivered twice, whatever happens to server and program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from comms.compose import Message
from comms.errors import StateError, Unreachable
from comms.outbox import LONGEST_PAUSE, Outbox
from comms.settings import Server, load
from comms.state import State
from fakes.world import World

TO = ["alice@example.test", "bob@example.test"]


def rehearsal(*faults: str) -> World:
    config = {"servers": ["smtp"], "program": "ops@example.test"}
    return World(config, rehearsal=True, faults=faults)


def server_of(world: World) -> Server:
    return load(world.settings, world.folder).server("smtp")


def put(outbox: Outbox, world: World, at_least_once: bool = False, subject: str = "x") -> None:
    message = Message(sender="ops@example.test", to=list(TO), subject=subject, text="y")
    stamped = message.stamped(world.clock, world.host)
    outbox.put(stamped, world.clock.time(), at_least_once)


def flush(outbox: Outbox, world: World) -> list[str]:
    """Sends what is due. Returns the status of each recipient."""
    results = outbox.flush(server_of(world), world.clock, world.host)
    return [result.status for result in results]


def test_a_mail_is_sent_once_and_forgotten() -> None:
    with rehearsal() as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        assert flush(outbox, world) == ["sent", "sent"]
        assert flush(outbox, world) == [] and outbox.waiting() == []
        assert len(world.mail.messages) == 1
        assert state.rows("SELECT * FROM outbox") == []
        assert state.rows("SELECT * FROM outbox_recipient") == []


@pytest.mark.parametrize("offered", [True, False])
def test_an_address_beyond_ascii_in_the_header_needs_smtputf8(offered: bool) -> None:
    off = [] if offered else ["SMTPUTF8"]
    config = {"servers": ["smtp"], "program": "ops@example.test", "off": {"smtp": off}}
    with World(config, rehearsal=True) as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        message = Message("ops@example.test", TO[:1], "x", "y", reply_to=["jürgen@example.test"])
        outbox.put(message.stamped(world.clock, world.host), world.clock.time())
        assert flush(outbox, world) == ["sent" if offered else "refused"]
        assert ["SMTPUTF8" in mail.envelope.params for mail in world.mail.messages] == (
            [True] if offered else []
        )


def test_attempts_are_repeated_with_doubling_pauses_while_the_server_is_down() -> None:
    with rehearsal("connect refuse times 3") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        attempts = []
        for _ in range(40):
            if flush(outbox, world):
                attempts.append(world.clock.elapsed)
            world.clock.advance(10)
        assert attempts == [0, 30, 90, 210]
        mail = world.mail.wait_for()
        assert mail.message["date"] == "Mon, 05 Jan 2026 00:00:00 +0000", "the date of the put"


def test_a_refused_recipient_does_not_delay_the_others() -> None:
    fault = 'RCPT arg *alice* reply "550 5.1.1 unknown"'
    with rehearsal(fault) as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        alice, bob = outbox.flush(server_of(world), world.clock, world.host)
        assert (alice.address, alice.status) == (TO[0], "refused")
        assert (bob.address, bob.status) == (TO[1], "sent")
        assert "550 5.1.1 unknown" in alice.error
        assert flush(outbox, world) == []


def test_a_postponed_recipient_is_retried_alone() -> None:
    fault = 'RCPT arg *alice* reply "450 4.2.0 greylisted" times 1'
    with rehearsal(fault) as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        assert flush(outbox, world) == ["waiting", "sent"]
        world.clock.advance(30)
        assert flush(outbox, world) == ["sent"]
        assert [mail.envelope.to for mail in world.mail.messages] == [[TO[1]], [TO[0]]]


@pytest.mark.parametrize(
    ("at_least_once", "statuses", "mails", "on_record"),
    [(False, ["unknown", "unknown"], 1, 1), (True, ["waiting", "waiting"], 2, 0)],
)
def test_an_unknown_outcome_is_recorded_or_the_mail_is_sent_again(
    at_least_once: bool, statuses: list[str], mails: int, on_record: int
) -> None:
    with rehearsal(". lost stored times 1") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world, at_least_once)
        assert flush(outbox, world) == statuses
        world.clock.advance(60)
        flush(outbox, world)
        assert len(world.mail.messages) == mails
        ids = {mail.message["message-id"] for mail in world.mail.messages}
        assert len(ids) == 1, "the same Message-ID, so that a reader recognises the second copy"
        assert len(state.rows("SELECT message_id FROM outbox")) == on_record


def test_all_mails_share_a_session_and_its_loss_ends_the_round() -> None:
    with rehearsal("MAIL nth 2 hang up") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        for subject in "abc":
            put(outbox, world, subject=subject)
        assert flush(outbox, world) == ["sent", "sent", "waiting", "waiting"], "c was not tried"
        world.clock.advance(60)
        flush(outbox, world)
        assert [mail.subject for mail in world.mail.messages] == ["a", "b", "c"]


def test_a_mail_that_is_withdrawn_goes_to_nobody_for_whom_it_still_waits() -> None:
    postponed = "RCPT arg *alice* reply '450 4.2.1 later'"
    with rehearsal(postponed) as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        assert sorted(flush(outbox, world)) == ["sent", "waiting"]
        ((message_id, _),) = outbox.waiting()
        assert outbox.knows(message_id) and not outbox.knows("<other@x.test>")
        with state.transaction() as db:
            outbox.withdraw(message_id, db)
            outbox.withdraw("<other@x.test>", db)
        world.clock.advance(LONGEST_PAUSE)
        assert flush(outbox, world) == [] and not outbox.knows(message_id)
        assert state.rows("SELECT * FROM outbox_recipient") == []


@pytest.mark.parametrize("at_least_once", [True, False])
def test_what_may_have_been_sent_is_not_withdrawn(at_least_once: bool) -> None:
    with rehearsal(". lost stored times 1") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world, at_least_once)
        flush(outbox, world)
        ((message_id,),) = state.rows("SELECT message_id FROM outbox")
        with state.transaction() as db:
            outbox.withdraw(str(message_id), db)
        assert outbox.knows(str(message_id)) is not at_least_once


def test_a_mail_is_given_up_after_five_days() -> None:
    with rehearsal('MAIL reply "451 4.3.0 later"') as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        flush(outbox, world)
        world.clock.advance(5 * 86400 + 1)
        assert flush(outbox, world) == ["given-up", "given-up"]
        assert outbox.waiting() == []


def test_a_mail_that_was_put_in_a_failed_transaction_is_not_in_the_queue(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state:
        outbox = Outbox(state)
        with pytest.raises(ZeroDivisionError), state.transaction() as db:
            state.remember(db, "watch", {"state": "down"})
            outbox.put(Message(sender="a@b.c", to=["d@e.f"], message_id="<1@x>"), 0.0, db=db)
            raise ZeroDivisionError
        assert outbox.waiting() == [] and state.recall("watch") is None


def test_a_message_that_is_not_valid_is_not_put(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state:
        outbox = Outbox(state)
        with pytest.raises(ValueError, match="to: no recipients"):
            outbox.put(Message(sender="a@b.c", message_id="<1@x>"), 0.0)
        assert outbox.waiting() == []


# A program that is killed while it sends the only mail in its outbox.
DIES = """
import os, sys
from pathlib import Path

from comms import smtp
from comms.compose import Message
from comms.errors import StateError, Unreachable
from comms.outbox import LONGEST_PAUSE, Outbox
from comms.state import State


class Dying:
    usable = True

    def __init__(self, *args):
        pass

    def send(self, *args):
        os._exit(9)


class Clock:
    def time(self):
        return 1.0


smtp.Session = Dying
outbox = Outbox(State(Path(sys.argv[1])))
message = Message(sender="a@b.c", to=["d@e.f"], message_id="<1@x>")
outbox.put(message, 0.0, at_least_once=sys.argv[2] == "True")
outbox.flush(None, Clock(), None)
"""


@pytest.mark.parametrize(
    ("at_least_once", "sent", "on_record"), [(False, 0, [("<1@x>", "unknown")]), (True, 1, [])]
)
def test_a_mail_that_a_killed_program_was_sending_is_unknown_or_sent_again(
    tmp_path: Path, at_least_once: bool, sent: int, on_record: list[tuple[str, str]]
) -> None:
    command = [sys.executable, "-c", DIES, str(tmp_path / "s"), str(at_least_once)]
    assert subprocess.run(command, check=False).returncode == 9
    with State(tmp_path / "s") as state, rehearsal() as world:
        flush(Outbox(state), world)
        assert len(world.mail.messages) == sent
        rows = state.rows(
            "SELECT message_id, status FROM outbox JOIN outbox_recipient ON mail = id"
        )
        assert rows == on_record


# ── a wall clock that is wrong ───────────────────────────────────────────────

YEAR = 365 * 86400.0


@pytest.mark.parametrize("ahead", [3 * YEAR, 3 * 3600.0, 86400.0, 6 * 86400.0])
def test_a_mail_that_was_put_when_the_clock_was_ahead_is_due(ahead: float) -> None:
    with rehearsal() as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        world.clock.jump(ahead)
        put(outbox, world, at_least_once=True)
        world.clock.jump(-ahead)
        assert flush(outbox, world) == ["sent", "sent"]


@pytest.mark.parametrize("ahead", [3 * YEAR, 86400.0])
def test_such_a_mail_is_tried_again_and_not_given_up_at_once(ahead: float) -> None:
    with rehearsal("connect refuse times 2") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        world.clock.jump(ahead)
        put(outbox, world)
        assert flush(outbox, world) == ["waiting", "waiting"]
        world.clock.jump(-ahead)
        assert flush(outbox, world) == ["waiting", "waiting"]
        world.clock.advance(LONGEST_PAUSE)
        assert flush(outbox, world) == ["sent", "sent"]


def test_a_pause_is_kept_although_it_is_not_longer_than_the_longest() -> None:
    with rehearsal("connect refuse times 1") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        assert flush(outbox, world) == ["waiting", "waiting"] and flush(outbox, world) == []


@pytest.mark.parametrize("spoiled", ["data = 1", "data = 'x'", "made = NULL"])
def test_a_damaged_outbox_is_an_error_of_the_state(spoiled: str) -> None:
    with rehearsal() as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        with pytest.raises(StateError):
            with state.transaction() as db:
                db.execute(f"UPDATE outbox SET {spoiled}")
            outbox.flush(server_of(world), world.clock, world.host)


# ── other ways to send ───────────────────────────────────────────────────────


class Pigeon:
    """A transport that takes this many mails, and then none."""

    usable = True

    def __init__(self, mails: int) -> None:
        self.left, self.closed = mails, 0

    def send(self, sender: str, recipients: list[str], raw: bytes) -> dict[str, None]:
        if not self.left:
            raise Unreachable("the pigeon is away")
        self.left -= 1
        return dict.fromkeys(recipients)

    def close(self) -> None:
        self.closed += 1


def test_a_mail_can_be_sent_by_another_way_and_waits_if_that_is_closed(tmp_path: Path) -> None:
    with rehearsal() as world, State(tmp_path / "s") as state:
        outbox, pigeon = Outbox(state), Pigeon(1)
        put(outbox, world)
        put(outbox, world)
        results = outbox.flush_by(lambda: pigeon, world.clock)
        assert [result.status for result in results] == ["sent", "sent", "waiting", "waiting"]
        assert (len(outbox.waiting()), pigeon.closed) == (2, 1)
        assert world.records == [], "nobody connected"


def test_a_mail_that_was_being_sent_when_the_program_ended_is_reported_once(tmp_path: Path) -> None:
    with rehearsal() as world, State(tmp_path / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        put(outbox, world, at_least_once=True)
        with state.transaction() as db:
            db.execute("UPDATE outbox_recipient SET status = 'sending'")
        assert flush(outbox, world) == ["unknown", "unknown", "sent", "sent"]
        assert flush(outbox, world) == []

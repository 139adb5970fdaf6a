"""The outbox: nothing lost, nobody served twice, whatever befalls the server or us."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from comms.compose import Message
from comms.outbox import Outbox
from comms.settings import Server, load
from comms.state import State
from fakes.world import World

TO = ["alice@example.test", "bob@example.test"]


def server_of(world: World) -> Server:
    return load(world.settings, world.folder).server("smtp")


def put(outbox: Outbox, world: World, again: bool = False, subject: str = "x") -> None:
    mail = Message(sender="ops@example.test", to=list(TO), subject=subject, text="y").stamped(
        world.clock, world.host
    )
    outbox.put(mail, world.clock.time(), again)


def flush(outbox: Outbox, world: World) -> list[str]:
    return [one.status for one in outbox.flush(server_of(world), world.clock, world.host)]


def rehearsal(*faults: str) -> World:
    return World(
        {"servers": ["smtp"], "program": "ops@example.test"}, rehearsal=True, faults=faults
    )


def test_what_is_put_goes_out_once_and_is_forgotten() -> None:
    with rehearsal() as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        assert flush(outbox, world) == ["sent", "sent"]
        assert flush(outbox, world) == [] and outbox.waiting() == []
        assert len(world.mail.messages) == 1
        assert (
            state.rows("SELECT * FROM outbox") == state.rows("SELECT * FROM outbox_recipient") == []
        )


def test_a_server_that_is_down_costs_nothing_and_the_mail_keeps_its_date() -> None:
    with rehearsal("connect refuse times 3") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        tries = []
        for _ in range(40):
            statuses = flush(outbox, world)
            tries += [world.clock.elapsed] if statuses else []
            world.clock.advance(10)
        assert tries == [0, 30, 90, 210], "the pause doubles"
        assert world.mail.wait_for(1)[0].message["date"] == "Mon, 05 Jan 2026 00:00:00 +0000"


def test_one_refused_recipient_does_not_keep_the_other_waiting() -> None:
    with (
        rehearsal('RCPT arg *alice* reply "550 5.1.1 unknown"') as world,
        State(world.folder / "s") as state,
    ):
        outbox = Outbox(state)
        put(outbox, world)
        results = outbox.flush(server_of(world), world.clock, world.host)
        assert [(one.address, one.status) for one in results] == [
            (TO[0], "refused"),
            (TO[1], "sent"),
        ]
        assert "550 5.1.1 unknown" in results[0].error
        assert flush(outbox, world) == []


def test_one_recipient_put_off_is_tried_again_alone() -> None:
    with (
        rehearsal('RCPT arg *alice* reply "450 4.2.0 greylisted" times 1') as world,
        State(world.folder / "s") as state,
    ):
        outbox = Outbox(state)
        put(outbox, world)
        assert flush(outbox, world) == ["waiting", "sent"]
        world.clock.advance(30)
        assert flush(outbox, world) == ["sent"]
        assert [mail.envelope.to for mail in world.mail.messages] == [[TO[1]], [TO[0]]]


@pytest.mark.parametrize(
    ("again", "statuses", "mails"),
    [(False, ["unknown", "unknown"], 1), (True, ["waiting", "waiting"], 2)],
)
def test_a_fate_unknown_is_recorded_for_an_answer_and_tried_again_for_an_alert(
    again: bool, statuses: list[str], mails: int
) -> None:
    with rehearsal(". lost stored times 1") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world, again)
        assert flush(outbox, world) == statuses
        world.clock.advance(60)
        flush(outbox, world)
        ids = {mail.message["message-id"] for mail in world.mail.messages}
        assert (len(world.mail.messages), len(ids)) == (mails, 1), (
            "the same Message-ID, so that a reader can tell"
        )
        kept = state.rows("SELECT message_id FROM outbox")
        assert len(kept) == (0 if again else 1), "an unknown fate stays on record"


def test_one_session_carries_all_that_is_due_and_a_lost_one_spares_the_rest() -> None:
    with rehearsal("MAIL nth 2 hang up") as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        for subject in "abc":
            put(outbox, world, subject=subject)
        assert flush(outbox, world) == ["sent", "sent", "waiting", "waiting"], (
            "the third is not tried: it would fare no better"
        )
        world.clock.advance(60)
        flush(outbox, world)
        assert [mail.subject for mail in world.mail.messages] == ["a", "b", "c"]


def test_after_five_days_it_is_given_up_and_said_so() -> None:
    with rehearsal('MAIL reply "451 4.3.0 later"') as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        put(outbox, world)
        flush(outbox, world)
        world.clock.advance(5 * 86400 + 1)
        assert flush(outbox, world) == ["given-up", "given-up"]
        assert outbox.waiting() == []


def test_a_mail_put_in_a_transaction_that_fails_was_never_put() -> None:
    with rehearsal() as world, State(world.folder / "s") as state:
        outbox = Outbox(state)
        with pytest.raises(ZeroDivisionError), state.transaction() as db:
            state.remember(db, "watch", {"told": "down"})
            outbox.put(Message(sender="a@b.c", to=["d@e.f"], message_id="<1@x>"), 0.0, db=db)
            raise ZeroDivisionError
        assert outbox.waiting() == [] and state.recall("watch") is None


DIES = """
import os, sys
from pathlib import Path
from comms.outbox import Outbox
from comms.compose import Message
from comms.state import State
from comms import smtp
class Dying:
    usable = True
    def __init__(self, *args): pass
    def send(self, *args): os._exit(9)
smtp.Session = Dying
outbox = Outbox(State(Path(sys.argv[1])))
for n, again in enumerate((False, True)):
    outbox.put(Message(sender="a@b.c", to=["d@e.f"], message_id=f"<{n}@x>"), 0.0, again)
class Clock:
    def time(self): return float(sys.argv[2])
outbox.flush(None, Clock(), None)
"""


def test_a_program_killed_while_sending_does_not_know_and_says_so(tmp_path: Path) -> None:
    assert (
        subprocess.run(
            [sys.executable, "-c", DIES, str(tmp_path / "s"), "1"], check=False
        ).returncode
        == 9
    )
    with State(tmp_path / "s") as state, rehearsal() as world:
        outbox = Outbox(state)
        flush(outbox, world)
        assert state.rows(
            "SELECT message_id, status FROM outbox JOIN outbox_recipient ON mail = id"
        ) == [("<0@x>", "unknown")]
        assert len(world.mail.messages) == 1, (
            "the alert went out, the answer that was being sent did not go again"
        )

"""Taking mail out of a mailbox: nothing is lost or repeated, and no mail blocks the others."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import pytest

from comms import settings
from comms.errors import CommsError, Unreachable
from comms.mailbox import MAX_ATTEMPTS, incoming
from comms.pop3 import Mailbox
from fakes.world import World

ALICE = "alice@example.test"


class Attempts(Counter[str]):
    def attempts(self, key: str) -> int:
        return self[key]

    def begin_attempt(self, key: str) -> None:
        self[key] += 1

    def end_attempt(self, key: str) -> None:
        del self[key]


def session(
    world: World, attempts: Attempts, limit: int = 10_000, crashes_on: bytes = b"nothing"
) -> list[tuple[str, str]]:
    """Takes the mail in once. Returns (subject, problem) of each."""
    taken = []
    with Mailbox(settings.load(world.settings).server("pop3"), world.clock) as mailbox:
        for mail in incoming(mailbox, attempts, "alice", limit, world.host):
            if crashes_on in mail.raw and not mail.problem:
                raise ZeroDivisionError
            subject = mail.raw.split(b"Subject: ")[1].split(b"\r\n")[0].decode()
            taken.append((subject, mail.problem))
            mail.leave_on_server = mail.problem.startswith("too large") and limit < 500
    return taken


def world_with(*subjects: str, faults: tuple[str, ...] = (), **config: Any) -> World:
    world = World({"servers": ["pop3"], **config}, rehearsal=True, faults=faults)
    for subject in subjects:
        world.mail.deliver(ALICE, f"Subject: {subject}\r\n\r\nhello\r\n".encode())
    return world


def left(world: World) -> list[str]:
    return [mail.subject for mail in world.mail.inbox(ALICE)]


def test_each_mail_comes_once_oldest_first_and_is_deleted() -> None:
    with world_with("one", "two") as world:
        assert session(world, attempts := Attempts()) == [("one", ""), ("two", "")]
        assert left(world) == [] and not attempts


def test_a_mail_that_the_server_refuses_is_left_and_the_others_come() -> None:
    fault = 'RETR arg 1 reply "-ERR [SYS/PERM] damaged"'
    with world_with("one", "two", faults=(fault,)) as world:
        assert session(world, Attempts()) == [("two", "")]
        assert left(world) == ["one"]
        assert any(event.text.startswith("mail-left") for event in world.events)


def test_a_mail_that_ends_every_session_comes_last_after_the_others_are_deleted() -> None:
    with world_with("one", "two", "three", faults=("RETR arg 1 after 50 times 1",)) as world:
        attempts = Attempts()
        with pytest.raises(Unreachable):
            session(world, attempts)
        world.faults.disarm()
        world.faults.arm("RETR after 50 nth 3")  # whichever mail comes last
        with pytest.raises(Unreachable):
            session(world, attempts)
        assert left(world) == ["one"], "the deletion of the others was committed"
        world.faults.disarm()
        assert session(world, attempts) == [("one", "")]


def test_a_mail_on_which_the_program_crashes_is_marked_after_three_attempts() -> None:
    with world_with("poison", "two") as world:
        attempts, taken = Attempts(), []
        for _ in range(MAX_ATTEMPTS + 1):
            with contextlib.suppress(ZeroDivisionError):
                taken.append(session(world, attempts, crashes_on=b"poison"))
        assert taken == [[("poison", "the program has crashed on it 3 times")]]
        assert left(world) == []


def test_of_a_mail_that_is_too_large_only_the_header_comes() -> None:
    with world_with("one") as world:
        world.mail.deliver(ALICE, b"Subject: big\r\n\r\n" + b"x" * 1000)
        taken = session(world, Attempts(), limit=400)
        [(subject, problem)] = [item for item in taken if item[1]]
        assert subject == "big" and problem.startswith("too large: 1")
        assert left(world) == ["big"], "leave_on_server was set"
        assert session(world, Attempts(), limit=1000) == [("big", problem)]
        assert left(world) == []


@pytest.mark.parametrize(
    "fault",
    ["pop3 QUIT lost unstored times 1", "pop3 QUIT hang up times 1", "DELE hang up times 1"],
)
def test_a_deletion_that_was_lost_is_repeated_in_the_next_session(fault: str) -> None:
    with world_with("one", "two", faults=(fault,)) as world:
        attempts = Attempts()
        with pytest.raises(CommsError):
            session(world, attempts)
        assert left(world) == ["one", "two"]
        assert len(session(world, attempts)) == 2 and left(world) == []


# ── who is to blame ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fault",
    [
        "RETR after 50",
        "RETR hang up",
        "RETR after 0",
        "DELE hang up",
        "RETR after 200",
    ],
)
def test_a_connection_that_is_lost_is_not_a_death_of_the_program(fault: str) -> None:
    with world_with("one", faults=(f"{fault} times 6",)) as world:
        attempts = Attempts()
        for _ in range(6):
            with pytest.raises(CommsError):
                session(world, attempts)
        assert session(world, attempts) == [("one", "")] and left(world) == []
        assert not +attempts


def test_an_error_that_is_not_the_mails_fault_does_not_count() -> None:
    with world_with("one") as world:
        attempts = Attempts()
        for _ in range(MAX_ATTEMPTS + 2):
            server = settings.load(world.settings).server("pop3")
            with contextlib.suppress(OSError), Mailbox(server, world.clock) as mailbox:
                for mail in incoming(mailbox, attempts, "alice", 10_000, world.host):
                    mail.blameless = True
                    raise OSError(28, "the disk is full")
        assert session(world, attempts) == [("one", "")]


def test_no_further_mail_is_taken_when_the_program_must_stop() -> None:
    with world_with("one", "two", "three") as world:
        taken: list[bytes] = []
        server = settings.load(world.settings).server("pop3")
        with Mailbox(server, world.clock) as mailbox:
            stopping = lambda: len(taken) == 2  # noqa: E731
            for mail in incoming(mailbox, Attempts(), "a", 9999, world.host, stopping):
                taken.append(mail.raw)
        assert len(taken) == 2 and left(world) == ["three"]

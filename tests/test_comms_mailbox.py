"""Taking mail out of a mailbox: nothing lost, nothing kept waiting by another."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import Any

import pytest

from comms import settings
from comms.errors import CommsError, Unreachable
from comms.mailbox import incoming
from comms.pop3 import Mailbox
from fakes.world import World

ALICE = "alice@example.test"


class Tries(Counter[str]):
    def attempts(self, key: str) -> int:
        return self[key]

    def begin_attempt(self, key: str) -> None:
        self[key] += 1

    def end_attempt(self, key: str) -> None:
        del self[key]


def look(
    world: World, tries: Tries, limit: int = 10_000, dies_of: bytes = b"nothing"
) -> list[tuple[str, str]]:
    """One session: (subject, why it is spoiled) of what came."""
    got = []
    with Mailbox(settings.load(world.settings).server("pop3"), world.clock) as mailbox:
        for letter in incoming(mailbox, tries, "alice", limit, world.host):
            if dies_of in letter.raw and not letter.problem:
                raise ZeroDivisionError
            got.append(
                (letter.raw.split(b"Subject: ")[1].split(b"\r\n")[0].decode(), letter.problem)
            )
            letter.leave_on_server = letter.problem.startswith("too large") and limit < 500
    return got


def world_with(*subjects: str, faults: tuple[str, ...] = (), **config: Any) -> World:
    world = World({"servers": ["pop3"], **config}, rehearsal=True, faults=faults)
    for subject in subjects:
        world.mail.deliver(ALICE, f"Subject: {subject}\r\n\r\nhello\r\n".encode())
    return world


def left(world: World) -> list[str]:
    return [mail.subject for mail in world.mail.inbox(ALICE)]


def test_each_comes_once_oldest_first_and_is_deleted() -> None:
    with world_with("one", "two") as world:
        assert look(world, tries := Tries()) == [("one", ""), ("two", "")]
        assert left(world) == [] and not tries


def test_one_that_the_server_refuses_is_left_and_the_others_come() -> None:
    with world_with("one", "two", faults=('RETR arg 1 reply "-ERR [SYS/PERM] damaged"',)) as world:
        assert look(world, Tries()) == [("two", "")]
        assert left(world) == ["one"]
        assert any(event.text.startswith("mail-left") for event in world.events)


def test_one_that_ends_every_session_keeps_nobody_waiting_and_nobody_s_deletion_back() -> None:
    with world_with("one", "two", "three", faults=("RETR arg 1 after 50 times 1",)) as world:
        tries = Tries()
        with pytest.raises(Unreachable):
            look(world, tries)
        world.faults.disarm()
        world.faults.arm("RETR after 50 nth 3")  # whichever comes last
        with pytest.raises(Unreachable):
            look(world, tries)
        assert left(world) == ["one"], "the others are gone for good"
        world.faults.disarm()
        assert look(world, tries) == [("one", "")]


def test_one_that_the_program_dies_of_is_marked_after_three_times() -> None:
    with world_with("poison", "two") as world:
        tries, got = Tries(), []
        for _ in range(4):
            with contextlib.suppress(ZeroDivisionError):
                got.append(look(world, tries, dies_of=b"poison"))
        assert got == [[("poison", "the program has died of it 3 times")]]
        assert left(world) == []


def test_one_that_is_too_large_comes_as_its_header_and_may_stay() -> None:
    with world_with("one") as world:
        world.mail.deliver(ALICE, b"Subject: big\r\n\r\n" + b"x" * 1000)
        ((subject, spoiled),) = [one for one in look(world, Tries(), limit=400) if one[1]]
        assert subject == "big" and spoiled.startswith("too large: 1")
        assert left(world) == ["big"]
        assert look(world, Tries(), limit=1000) == [("big", spoiled)] and left(world) == []


@pytest.mark.parametrize(
    "fault",
    ["pop3 QUIT lost unstored times 1", "pop3 QUIT hang up times 1", "DELE hang up times 1"],
)
def test_a_deletion_that_was_lost_is_made_up_for(fault: str) -> None:
    with world_with("one", "two", faults=(fault,)) as world:
        tries = Tries()
        with pytest.raises(CommsError):
            look(world, tries)
        assert left(world) == ["one", "two"]
        assert len(look(world, tries)) == 2 and left(world) == []

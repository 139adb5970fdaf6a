"""Greylisting: which attempt is accepted, and what counts as the same attempt."""

from __future__ import annotations

import pytest

from fakes.greylist import Greylist
from fakes.world import World
from tests.smtp_raw import send_mail

FIRST = ("127.0.0.1", "carol@example.org", "alice@example.test")


def test_an_attempt_is_accepted_when_the_first_one_is_long_enough_ago() -> None:
    greylist = Greylist()
    times = [1000.0, 1001.0, 1299.0, 1300.0, 9000.0]
    accepted = [greylist.accepts(*FIRST, now=now, delay=300) for now in times]
    assert accepted == [False, False, False, True, True]


@pytest.mark.parametrize(
    "other",
    [
        ("127.0.0.2", *FIRST[1:]),
        (FIRST[0], "dave@example.org", FIRST[2]),
        (*FIRST[:2], "bob@example.test"),
    ],
    ids=["client", "sender", "recipient"],
)
def test_each_client_sender_and_recipient_waits_for_itself(other: tuple[str, str, str]) -> None:
    greylist = Greylist()
    greylist.accepts(*FIRST, now=0, delay=300)
    assert not greylist.accepts(*other, now=300, delay=300)
    assert greylist.accepts(*FIRST, now=300, delay=300)


def test_addresses_are_compared_without_regard_to_case() -> None:
    greylist = Greylist()
    greylist.accepts(*FIRST, now=0, delay=300)
    assert greylist.accepts(FIRST[0], FIRST[1].upper(), FIRST[2].title(), now=300, delay=300)


def test_all_connections_of_a_server_share_the_list() -> None:
    world = World({"servers": ["smtp"], "mail": {"greylist": 300}}, rehearsal=True)
    commands = (f"MAIL FROM:<{FIRST[1]}>", f"RCPT TO:<{FIRST[2]}>")
    assert send_mail(world, *commands)[1].startswith("450 4.2.0")
    world.clock.skip(300)
    assert send_mail(world, *commands)[-1].startswith("250 2.0.0")


def test_beyond_the_limit_the_oldest_triples_are_forgotten_and_it_is_said() -> None:
    said: list[str] = []
    greylist = Greylist(limit=100, on_drop=said.append)
    for number in range(102):
        greylist.accepts("127.0.0.1", f"{number}@example.org", "a@b.test", now=number, delay=300)
    assert said == ["greylist: forgot the 11 oldest triples, because keep.greylist is 100"]
    last = ("127.0.0.1", "101@example.org", "a@b.test")
    first = ("127.0.0.1", "0@example.org", "a@b.test")
    assert greylist.accepts(*last, now=1000, delay=300)
    assert not greylist.accepts(*first, now=1000, delay=300)

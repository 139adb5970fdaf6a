"""Several networks at once: one that is down, one that refuses us, and floods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comms.bots.company import Company, Limits
from comms.errors import Refused, Unreachable
from fakes import World
from tests.linenet import LineNetwork


@pytest.fixture
def world() -> Iterator[World]:
    with World({"servers": []}, rehearsal=True) as world:
        yield world


def texts(company: Company) -> list[str]:
    return [heard.text for heard in company.heard()]


def log(world: World) -> list[str]:
    return [event.text.split()[0] for event in world.events]


def test_a_single_network_must_let_us_in(world: World) -> None:
    network = LineNetwork()
    network.failures["connect"].append(Unreachable("down"))
    company = Company([network], world.clock, world.host)
    with pytest.raises(Unreachable), company:
        pass
    assert not network.is_open


def test_a_network_that_is_down_is_tried_again_less_and_less_often(world: World) -> None:
    down, up = LineNetwork("down"), LineNetwork("up")
    down.failures["connect"] = [Unreachable("down") for _ in range(4)]
    with Company([down, up], world.clock, world.host) as company:
        for number in range(120):
            up.hears(f"{number}", who=f"user{number}")
            assert texts(company) == [f"{number}"], "the other network goes on"
            world.clock.wait(None, world.clock.time() + 1)
        assert down.is_open
        down.hears("hello")
        assert texts(company) == ["hello"]
    assert log(world) == ["network-away"] * 4 + ["network-online"]
    pauses = [float(e.text.rpartition("again=")[2][:-1]) for e in world.events[:4]]
    assert all(5 * 2**n / 2 <= pause + 1 <= 5 * 2**n + 1 for n, pause in enumerate(pauses)), pauses
    assert not up.is_open and not down.is_open


def test_a_network_that_refuses_us_is_left_and_the_last_one_ends_the_program(world: World) -> None:
    one, other = LineNetwork("one"), LineNetwork("other")
    one.failures["connect"].append(Refused("wrong password"))
    with Company([one, other], world.clock, world.host) as company:
        other.hears("hello")
        assert texts(company) == ["hello"]
        other.failures["heard"].append(Refused("banned"))
        with pytest.raises(Refused, match="banned"):
            texts(company)
    assert log(world) == ["network-refused"]


def test_a_lost_link_is_no_end(world: World) -> None:
    network = LineNetwork()
    network.failures["heard"].append(Unreachable("lost"))
    with Company([network], world.clock, world.host) as company:
        assert texts(company) == []
        network.hears("hello")
        assert texts(company) == ["hello"]


def test_who_says_too_much_is_not_heard_until_it_was_silent(world: World) -> None:
    network = LineNetwork()
    limits = Limits(messages=3, in_place=100, seconds=10)
    with Company([network], world.clock, world.host, limits) as company:

        def hear(*people: str) -> list[str]:
            for who in people:
                network.hears(who, who=who)
            return texts(company)

        assert hear(*["ann"] * 5, "bob") == ["ann"] * 3 + ["bob"]
        for _ in range(5):
            world.clock.wait(None, world.clock.time() + 3)
            assert hear("ann") == [], "it goes on, and is not heard"
        world.clock.wait(None, world.clock.time() + 11)
        assert hear("ann") == ["ann"]
    assert log(world).count("flood") == 7


def test_many_names_in_one_room_are_one_flood(world: World) -> None:
    network = LineNetwork()
    with Company([network], world.clock, world.host, Limits(3, 5, 10)) as company:
        for number in range(20):
            network.hears("bot: hi", who=f"user{number}", room="#ops")
        for number in range(20):
            network.hears("hi", who="", keys=(str(number),))
        network.hears("hello", who="ann")
        found = texts(company)
    assert (found.count("hi"), found[-1]) == (5 + 3, "hello")


def test_a_million_names_do_not_fill_the_memory(world: World) -> None:
    network = LineNetwork()
    with Company([network], world.clock, world.host, Limits(3, 5, 10)) as company:
        for number in range(3000):
            network.hears("hi", who=f"user{number}")
        assert len(texts(company)) == 3000
        assert len(company._flood._times) <= 1000


def test_in_rooms_our_name_is_taken_off(world: World) -> None:
    network = LineNetwork()
    with Company([network], world.clock, world.host, prefixes=["api "]) as company:
        network.hears("bot: uptime", room="#ops")
        network.hears("what is the uptime?", room="#ops")
        network.hears("api str", room="#ops")
        assert texts(company) == ["uptime", "api str"]
        assert company.named("line") is network and company.named("other") is None

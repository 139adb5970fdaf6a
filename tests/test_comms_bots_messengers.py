"""Whose account is whose, and where a person is told something."""

from __future__ import annotations

import pytest

from comms.bots.company import Company
from comms.bots.messengers import messengers, problem_of, reached
from comms.settings import load
from comms.state import State
from fakes import World

ANN = {"irc": "ann", "aim": "Ann", "jabber": "ann@yourco.test"}


@pytest.mark.parametrize(
    ("account", "problem"),
    [
        ({"icq": "1"}, "people: unknown network 'icq'; choose from: aim, jabber"),
        ({"aim": "BOB"}, "people: 'BOB' is both bob and ann; keep one of them"),
        ({"aim": "B ob"}, "people: 'B ob' is both bob and ann; keep one of them"),
        ({"jabber": "bob@YourCo.test."}, "people: 'bob@YourCo.test.' is both bob and ann"),
        ({"jabber": "ann@yourco.test/phone"}, "people: 'ann@yourco.test/phone' is not a bare "),
        ({"aim": "Ann"}, "rooms: 'dev@x@y' is not a bare Jabber address"),
    ],
)
def test_what_is_wrong_with_accounts_is_named(account: dict[str, str], problem: str) -> None:
    people = {"bob": {"aim": "bob", "jabber": "bob@yourco.test"}, "ann": account}
    assert problem_of(people, ["dev@x@y"], ("aim", "jabber")).startswith(problem)


def test_a_person_is_told_where_the_bot_is_online_and_never_by_a_nick() -> None:
    config = {
        "servers": ["toc", "xmpp"],
        "program": "bot@yourco.test",
        "person": [{"address": "bot@yourco.test"}],
        "aim": [{"screen_name": "OpsBot"}, {"screen_name": "Ann"}],
    }
    with World(config, rehearsal=True) as world, State(world.folder / "bot.sqlite3") as state:
        settings = load(world.settings, world.folder)
        jabber, aim = networks = messengers(settings, world.clock, world.host, state)
        world.close_port("xmpp")
        with Company(networks, world.clock, world.host) as company:
            assert reached(ANN, company) == (aim, "Ann")
            assert reached({"jabber": "a@b.test"}, company) == (jabber, "a@b.test"), "it waits"
            assert reached({"irc": "ann"}, company) is None
        world.open_port("xmpp")
        with Company(networks, world.clock, world.host) as company:
            jabbers = (jabber, "ann@yourco.test")
            assert reached(ANN, company) == jabbers, "Jabber keeps it for who is offline"
            world.aim.actor("Ann").signs_on()
            world.clock.advance(1)
            assert [*company.heard(), reached(ANN, company)] == [(aim, "Ann")]
            assert reached({**ANN, "aim": "A" * 5000}, company) == jabbers
            world.cut("toc")
            assert [*company.heard(), reached({**ANN, "aim": "Other"}, company)] == [jabbers]

"""The manners of real servers: what they change, and what wins over them."""

from __future__ import annotations

import pytest

from fakes import World, WorldError
from tests.xmpp_manners import QUESTIONS, Server, presence_that_was_there_before

PEOPLE = [{"address": f"{name}@jabber.test"} for name in ("bot", "jeremy", "michael", "mallory")]
# What differs from the advice of the RFCs, which is what ours does without manners.
DIFFERENCES = {
    "prosody": {
        "message_for_a_resource_that_is_not_there",
        "presence_that_was_there_before",
        "request_of_the_roster_without_an_id",
        "request_to_nobody",
        "request_to_see_somebody",
    },
    "ejabberd": {
        "message_for_a_resource_that_is_not_there",
        "message_to_nobody",
        "presence_that_was_there_before",
        "request_to_nobody",
        "sender_that_is_not_ones_own",
    },
}


def answers(**config: object) -> dict[str, list[str]]:
    """What a world of ours answers to each question."""
    with World({"servers": ["xmpp"], "person": PEOPLE, "tls": "off", **config}) as world:
        server = Server(world.address("xmpp"), "jabber.test", "secret")
        return {question.__name__: question(server) for question in QUESTIONS}


@pytest.mark.slow
def test_manners_change_what_was_measured_and_nothing_else() -> None:
    plain = answers()
    for name, wanted in DIFFERENCES.items():
        found = answers(manners={"xmpp": name})
        assert {
            question for question, answer in found.items() if answer != plain[question]
        } == wanted


def test_a_switch_wins_over_manners() -> None:
    config = {"manners": {"xmpp": "prosody"}, "xmpp": {"delay_presence": False}}
    with World({"servers": ["xmpp"], "person": PEOPLE, "tls": "off", **config}) as world:
        server = Server(world.address("xmpp"), "jabber.test", "secret")
        assert presence_that_was_there_before(server) == ["presence michael@jabber.test/one"]


@pytest.mark.parametrize(
    ("manners", "problem"),
    [
        ({"xmpp": "prosodi"}, r"manners\.xmpp: unknown value 'prosodi' \(did you mean 'prosody'"),
        ({"xmpp": 1}, r"manners\.xmpp: unknown value 1; choose from prosody, ejabberd"),
        ({"smtp": "prosody"}, r"manners\.smtp: unknown value 'prosody'; choose from postfix"),
        ({"toc": "aim"}, r"manners\.toc: unknown key; known keys: smtp, .*xmpp"),
        ("prosody", r"manners: expected a table, found 'prosody'; write \[manners\]"),
    ],
)
def test_manners_that_are_not_known_are_named(manners: object, problem: str) -> None:
    with pytest.raises(WorldError, match=problem):
        World({"manners": manners})

"""Commands over any network: help, rights by person and place, and what is not obeyed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comms.bots.orders import Orders, known_by
from comms.commands import Commands, Order, Verb
from comms.host import OutcomeLike
from comms.state import State
from fakes import World
from tests.linenet import LineNetwork

VERBS = {
    "uptime": Verb(("uptime",), "host", repeatable=True, public=True),
    "restart": Verb(("restart",), "mysql", doors=("line",)),
    "stop": Verb(("stop",), "mysql", confirm=True),
}
RIGHTS = {"ann": ["*"], "bob": ["uptime"]}


class Desk:
    """A bot on two networks, and what it has said."""

    def __init__(self, world: World, state: State, **options: Any) -> None:
        self.world = world
        self.line, self.other = LineNetwork("line", state), LineNetwork("other", state)
        for command in ("uptime", "restart", "stop"):
            world.host.commands[command,] = world.host.commands["uptime",]
        self.commands = Commands(state, VERBS, RIGHTS, world.clock, world.host)
        networks = [self.line, self.other]
        self.orders = Orders(
            self.commands, networks, world.clock, world.host, answer=answer, **options
        )

    def hear(self, text: str, network: LineNetwork | None = None, **more: Any) -> list[str]:
        """Lets something be said, and returns what the bot has said to that."""
        network = network or self.line
        before = len(network.said)
        network.hears(text, **more)
        self.world.clock.until(self.world.clock.elapsed + 2)
        self.orders.run(1.0)
        return [text for _, text in network.said[before:]]


def answer(order: Order, outcome: OutcomeLike) -> str:
    return outcome.error or f"{order.verb} {outcome.code}"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    host = {"name": "db1", "commands": [{"run": ["uptime"], "output": "up"}]}
    with (
        World({"servers": [], "host": host}, rehearsal=True) as world,
        State(tmp_path / "bot.sqlite3") as state,
    ):
        yield Desk(world, state)


def ran(desk: Desk) -> list[str]:
    return [" ".join(command) for command in desk.world.host.ran]


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("help", {}, ["You may say: uptime, restart, stop"]),
        ("help", {"who": "bob"}, ["You may say: uptime"]),
        ("bot: help", {"room": "#ops"}, ["You may say: uptime"]),
        ("help", {"who": "eve"}, []),
        ("help", {"who": ""}, []),
        ("Uptime", {}, ["uptime 0"]),
        ("bot: uptime", {"room": "#ops", "who": "bob"}, ["uptime 0"]),
        (
            "bot: restart",
            {"room": "#ops"},
            ["You may not restart here. You may say: uptime"],
        ),
        ("restart", {"who": "bob"}, ["You may not restart here. You may say: uptime"]),
        ("restart", {"who": "eve"}, []),
        (
            "restrat",
            {},
            [
                "unknown command (did you mean 'restart'?); you may say: uptime, restart, stop",
            ],
        ),
        (
            "restart",
            {"delayed": True},
            ["You said this while I was away: restart. If it still holds, say it again."],
        ),
        ("", {"unreadable": "I cannot read this."}, ["I cannot read this."]),
        ("", {"unreadable": "I cannot read this.", "who": "eve"}, []),
        ("", {}, []),
    ],
)
def test_what_is_said_to_whom(desk: Desk, text: str, more: dict[str, Any], said: list[str]) -> None:
    assert desk.hear(text, **more) == said
    assert len(ran(desk)) == sum(line.endswith(" 0") for line in said)


def test_a_command_that_is_too_long_is_not_cut_to_another_one(desk: Desk) -> None:
    desk.commands.verbs["start NAMES"] = Verb(("uptime",), "host")
    names = ", ".join([*(letter * 60 for letter in "abc"), "database12"])
    [said] = desk.hear(f"start {names}")  # cut, it would name "database"
    assert said.startswith("unknown command")
    assert ran(desk) == []


def test_a_command_may_be_bound_to_some_networks(desk: Desk) -> None:
    said = desk.hear("restart", desk.other)
    assert said == ["You may not restart here. You may say: uptime, stop"]
    assert desk.hear("restart") == ["restart 0"]
    assert ran(desk) == ["restart"]


def test_a_command_is_confirmed_over_its_network_by_its_sender(desk: Desk) -> None:
    [question] = desk.hear("stop")
    phrase = question.rpartition(": ")[2]
    assert desk.hear(phrase, who="bob")[0].startswith("unknown command")
    assert desk.hear(phrase) == ["stop 0"]
    assert ran(desk) == ["stop"]


def test_a_message_that_comes_twice_and_its_correction_run_nothing(desk: Desk) -> None:
    assert desk.hear("restart", keys=("1",)) == ["restart 0"]
    done = "That is already done: restart. To run a command again, say it in a new message."
    assert desk.hear("restart", keys=("1",)) == [done]
    assert desk.hear("stop", keys=("2",), replaces="1") == [done]
    assert desk.hear("restart", keys=("3",)) == ["restart 0"]
    assert ran(desk) == ["restart"] * 2


def test_every_request_is_in_the_audit(desk: Desk) -> None:
    desk.hear("uptime")
    desk.hear("restart", who="eve")
    desk.hear("restart", who="")
    verdicts = [(who, verdict) for who, _, verdict, _ in desk.commands.audit()]
    assert verdicts == [
        ("ann", "accepted"),
        ("ann", "done"),
        ("eve", "refused"),
        ("line:nobody", "refused"),
    ]


def test_a_command_whose_network_is_gone_from_the_settings_is_logged(desk: Desk) -> None:
    desk.commands.accept("ann", "uptime", (), {"door": "fax", "to": "ann"})
    desk.orders.recover()
    assert any("the settings have no fax any more" in event.text for event in desk.world.events)


def test_one_person_has_accounts_on_several_networks() -> None:
    line, other = LineNetwork("line"), LineNetwork("other")
    person = known_by({"Ann": {"line": "ANN", "other": "ann2"}, "Bob": {"line": "bob"}})
    assert person(line, "ann") == person(other, "ann2") == "Ann"
    assert person(line, "bob") == "Bob"
    assert person(other, "ann") == person(other, "bob") == person(line, "") == ""

"""Where messages for a local address go, cell by cell against RFC 6121 §8.5 (tests/tables)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fakes import World
from fakes.xmpp.delivery import TABLE, TYPES
from fakes.xmpp.jabber import Actor
from fakes.xmpp.stanzas import Stanza

TABLES = Path(__file__).parent / "tables"
ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
# The word of the table for the resources of an account → their priorities.
PRIORITIES = {"zero": [], "negative": [-1, -5], "one": [3, -1], "many": [3, 7, 7, -1], "-": []}


def rows(name: str, separator: str = r"\s+") -> list[list[str]]:
    lines = (TABLES / name).read_text("utf-8").splitlines()
    kept = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [re.split(separator, line) for line in kept]


# ── messages ─────────────────────────────────────────────────────────────────

MESSAGES = [
    (account, resources, to, type, cell)
    for account, resources, to, *cells in rows("xmpp-delivery-messages.txt")
    for type, cell in zip(TYPES, cells, strict=True)
]


@pytest.mark.parametrize("case", MESSAGES, ids="-".join)
def test_every_cell_is_that_of_the_rfc(case: tuple[str, ...]) -> None:
    account, resources, to, type, cell = case
    ours = TABLE[{"yes": "present", "no": "absent"}[account], resources, to, type]
    assert set(ours.split("/")) == set(cell.split("/"))


def test_the_table_has_no_other_cells() -> None:
    assert len(TABLE) == len(MESSAGES) == 13 * 5


def default_action(cell: str, type: str) -> str:
    """What the server does by default where the RFC leaves a choice.

    O before E, M before A, D before A, and E before S except for headlines.
    """
    options = cell.split("/")
    if set(options) == {"S", "E"}:
        return "S" if type == "headline" else "E"
    return next(action for action in "OMDASE" if action in options)


# A switch, a case, and the action that it then takes.
SWITCHED: list[tuple[dict[str, Any], tuple[str, str, str, str], str]] = [
    ({"off": {"xmpp": ["offline"]}}, ("yes", "zero", "bare", "normal"), "E"),
    ({"off": {"xmpp": ["offline"]}}, ("yes", "negative", "nomatch", "chat"), "E"),
    ({"xmpp": {"several_resources": "all"}}, ("yes", "many", "bare", "normal"), "A"),
    ({"xmpp": {"missing_resource": "silent"}}, ("yes", "one", "nomatch", "normal"), "S"),
    ({"xmpp": {"missing_resource": "silent"}}, ("yes", "many", "nomatch", "groupchat"), "S"),
    (
        {"xmpp": {"missing_resource_headline": "error"}},
        ("yes", "zero", "nomatch", "headline"),
        "E",
    ),
    ({"xmpp": {"unknown_recipient": "silent"}}, ("no", "-", "bare", "normal"), "S"),
    ({"xmpp": {"unknown_recipient": "silent"}}, ("no", "-", "bare", "groupchat"), "S"),
    ({"xmpp": {"unknown_recipient": "silent"}}, ("no", "-", "full", "chat"), "S"),
]


@pytest.mark.parametrize("case", MESSAGES, ids="-".join)
def test_a_message_goes_where_the_table_says(case: tuple[str, ...]) -> None:
    account, resources, to, type, cell = case
    assert action_taken({}, account, resources, to, type) == default_action(cell, type)


@pytest.mark.parametrize(("config", "case", "action"), SWITCHED)
def test_a_switch_takes_the_other_choice(
    config: dict[str, Any], case: tuple[str, ...], action: str
) -> None:
    assert action_taken(config, *case) == action


def stage(config: dict[str, Any], account: str, resources: str) -> tuple[World, Actor, list[Actor]]:
    """A world with romeo, and the resources of juliet, if that account exists."""
    people = [{"address": ROMEO}, *([{"address": JULIET}] if account == "yes" else [])]
    world = World({"servers": ["xmpp"], "person": people, **config}, rehearsal=True)
    priorities = PRIORITIES[resources]
    juliets = [world.jabber.actor(JULIET, f"r{n}") for n in range(len(priorities))]
    for actor, priority in zip(juliets, priorities, strict=True):
        actor.comes(priority=priority)
    for actor in juliets:
        actor.clear()
    return world, world.jabber.actor(ROMEO), juliets


def action_taken(config: dict[str, Any], account: str, resources: str, to: str, type: str) -> str:
    """The letter of the table for what happens to one message."""
    world, romeo, juliets = stage(config, account, resources)
    address = {"bare": JULIET, "match": f"{JULIET}/r0"}.get(to, f"{JULIET}/elsewhere")
    romeo.sends(f"<message to='{address}' type='{type}' id='1'><body>hello</body></message>")
    reached = [n for n, actor in enumerate(juliets) if actor.all]
    errors = [stanza.condition for stanza in romeo.messages if stanza.type == "error"]
    stored = len(world.jabber.offline(JULIET)) if account == "yes" else 0
    assert bool(reached) + bool(errors) + bool(stored) <= 1
    for actor in juliets:
        assert len(actor.all) <= 1
        assert all(stanza.to == address for stanza in actor.all)
    if errors:
        assert errors == ["service-unavailable"]
        return "E"
    if stored:
        return "O"
    if not reached:
        return "S"
    priorities = PRIORITIES[resources]
    wanting = [n for n, priority in enumerate(priorities) if priority >= 0]
    if to == "match":
        assert reached == [0]
        return "D"
    if len(wanting) == 1:
        assert reached == wanting
        return "A" if type == "headline" and resources == "many" else "D"
    most_available = [n for n in wanting if priorities[n] == max(priorities)]
    return {tuple(wanting): "A", tuple(most_available): "M"}[tuple(reached)]


@pytest.mark.parametrize("type", [None, "note"])
def test_a_message_without_a_type_or_of_an_unknown_one_is_a_normal_message(
    type: str | None,
) -> None:
    world, romeo, _ = stage({}, "yes", "zero")
    body = b"<body>hello</body>"
    names = ("{jabber:client}body",)
    romeo.sends(Stanza("message", type, to=JULIET, content=body, child_names=names))
    assert len(world.jabber.offline(JULIET)) == 1


# ── presence and iq ──────────────────────────────────────────────────────────


def outcome(stanza: str, online: bool = True, account: str = "yes") -> tuple[set[str], list[str]]:
    """Which of juliet's resources r0 and r1 receive a stanza of romeo's, and what comes back."""
    _, romeo, juliets = stage({}, account, "many" if online and account == "yes" else "zero")
    for actor in juliets[2:]:
        actor.goes()
    romeo.comes()
    for actor in (romeo, *juliets):
        actor.clear()
    romeo.sends(stanza)
    kind = re.match(r"<(\w+)", stanza)
    assert kind is not None
    reached = {
        actor.resource
        for actor in juliets
        if any(got.kind == kind[1] and got.sender != JULIET for got in actor.all)
    }
    answers = [
        f"{answer.type} {answer.condition}".strip()
        for answer in romeo.all
        if answer.type != "set"  # roster pushes
    ]
    return reached, answers

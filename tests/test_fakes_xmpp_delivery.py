"""Where stanzas for an address here go, cell by cell against RFC 6121 §8.5 as it stands in tests/tables."""

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
JULIET = "juliet@example.test"
PRIORITIES = {"zero": [], "negative": [-1, -5], "one": [3, -1], "many": [3, 7, 7, -1], "-": []}


def rows(name: str, parting: str = r"\s+") -> list[list[str]]:
    lines = (TABLES / name).read_text("utf-8").splitlines()
    return [re.split(parting, line.strip()) for line in lines if line.strip() and not line.startswith("#")]


MESSAGES = [
    (account, resources, to, kind, cell)
    for account, resources, to, *cells in rows("xmpp-delivery-messages.txt")
    for kind, cell in zip(TYPES, cells, strict=True)
]


@pytest.mark.parametrize("case", MESSAGES, ids="-".join)
def test_every_cell_is_the_one_of_the_table(case: tuple[str, ...]) -> None:
    account, resources, to, kind, cell = case
    ours = TABLE[{"yes": "present", "no": "absent"}[account], resources, to, kind]
    assert set(ours.split("/")) == set(cell.split("/"))


def test_there_are_no_cells_but_those() -> None:
    assert len(TABLE) == len(MESSAGES) == 13 * 5


# What we do where the table leaves a choice: O before E, M before A, D before A, E for an error before silence but for
# headlines, E for nobody; and the switch that takes the other.
def chosen(cell: str, kind: str, account: str) -> str:
    options = cell.split("/")
    if set(options) == {"S", "E"}:
        return "S" if kind == "headline" else "E"
    return next(one for one in "OMDASE" if one in options)


SWITCHED: list[tuple[dict[str, Any], tuple[str, str, str, str], str]] = [
    ({"off": {"xmpp": ["offline"]}}, ("yes", "zero", "bare", "normal"), "E"),
    ({"off": {"xmpp": ["offline"]}}, ("yes", "negative", "nomatch", "chat"), "E"),
    ({"xmpp": {"several_resources": "all"}}, ("yes", "many", "bare", "normal"), "A"),
    ({"xmpp": {"missing_resource": "silent"}}, ("yes", "one", "nomatch", "normal"), "S"),
    ({"xmpp": {"missing_resource": "silent"}}, ("yes", "many", "nomatch", "groupchat"), "S"),
    ({"xmpp": {"missing_resource_headline": "error"}}, ("yes", "zero", "nomatch", "headline"), "E"),
    ({"xmpp": {"unknown_recipient": "silent"}}, ("no", "-", "bare", "normal"), "S"),
    ({"xmpp": {"unknown_recipient": "silent"}}, ("no", "-", "bare", "groupchat"), "S"),
    ({"xmpp": {"unknown_recipient": "silent"}}, ("no", "-", "full", "chat"), "S"),
]


@pytest.mark.parametrize("case", MESSAGES, ids="-".join)
def test_a_message_goes_where_the_table_says(case: tuple[str, ...]) -> None:
    account, resources, to, kind, cell = case
    assert happens({}, account, resources, to, kind) == chosen(cell, kind, account)


@pytest.mark.parametrize(("config", "case", "action"), SWITCHED)
def test_a_switch_takes_the_other_choice(config: dict[str, Any], case: tuple[str, ...], action: str) -> None:
    assert happens(config, *case) == action


def stage(config: dict[str, Any], account: str, resources: str) -> tuple[World, Actor, list[Actor]]:
    people = [{"address": "romeo@example.test"}, *([{"address": JULIET}] if account == "yes" else [])]
    world = World({"servers": ["xmpp"], "person": people, **config}, rehearsal=True)
    hers = [world.jabber.actor(JULIET, f"r{n}") for n in range(len(PRIORITIES[resources]))]
    for one, priority in zip(hers, PRIORITIES[resources], strict=True):
        one.comes(priority=priority)
    for one in hers:
        one.forget()
    return world, world.jabber.actor("romeo@example.test"), hers


def happens(config: dict[str, Any], account: str, resources: str, to: str, kind: str) -> str:
    """The letter of the table for what happens to one message."""
    world, romeo, hers = stage(config, account, resources)
    address = {"bare": JULIET, "match": f"{JULIET}/r0"}.get(to, f"{JULIET}/elsewhere")
    romeo.sends(f"<message to='{address}' type='{kind}' id='1'><body>hello</body></message>")
    reached = [n for n, one in enumerate(hers) if one.all]
    errors = [one.condition for one in romeo.messages if one.type == "error"]
    kept = len(world.jabber.offline(JULIET)) if account == "yes" else 0
    assert bool(reached) + bool(errors) + bool(kept) <= 1
    assert all(len(one.all) <= 1 and all(stanza.to == address for stanza in one.all) for one in hers)
    if errors:
        assert errors == ["service-unavailable"]
        return "E"
    if kept:
        return "O"
    if not reached:
        return "S"
    wanting = [n for n, priority in enumerate(PRIORITIES[resources]) if priority >= 0]
    if to == "match":
        assert reached == [0]
        return "D"
    if len(wanting) == 1:
        assert reached == wanting
        return "A" if kind == "headline" and resources == "many" else "D"
    best = max(PRIORITIES[resources])
    return {tuple(wanting): "A", tuple(n for n in wanting if PRIORITIES[resources][n] == best): "M"}[tuple(reached)]


@pytest.mark.parametrize("kind", [None, "note"])
def test_a_message_of_no_type_or_an_unknown_one_is_a_normal_one(kind: str | None) -> None:
    world, romeo, _ = stage({}, "yes", "zero")
    romeo.sends(Stanza("message", kind, to=JULIET, content=b"<body>hello</body>", child_names=("{jabber:client}body",)))
    assert len(world.jabber.offline(JULIET)) == 1


def outcome(stanza: str, online: bool = True, account: str = "yes") -> tuple[set[str], list[str]]:
    """Which of her resources got a stanza, and what came back; she is there with r0 and r1."""
    _, romeo, hers = stage({}, account, "many" if online and account == "yes" else "zero")
    for one in hers[2:]:
        one.goes()
    romeo.comes()
    for one in (romeo, *hers):
        one.forget()
    romeo.sends(stanza)
    said = re.match(r"<(\w+)", stanza)
    assert said is not None
    reached = {one.resource for one in hers if any(got.kind == said[1] and got.sender != JULIET for got in one.all)}
    return reached, [f"{one.type} {one.condition}".strip() for one in romeo.all if one.type != "set"]


PRESENCE = {kind: cells for kinds, *cells in rows("xmpp-delivery-presence.txt", r"\s{2,}") for kind in kinds.split(",")}


@pytest.mark.parametrize("kind", [kind for kind in PRESENCE if kind in ("none", "unavailable", "error")])
def test_presence_goes_where_the_table_says(kind: str) -> None:
    bare, match, nomatch, nobody = PRESENCE[kind]
    words = {"all available": {"r0", "r1"}, "that one": {"r0"}, "S": set()}
    said = "" if kind == "none" else f" type='{kind}'"
    assert outcome(f"<presence to='{JULIET}'{said}/>") == (words[bare], [])
    assert outcome(f"<presence to='{JULIET}/r0'{said}/>") == (words[match], [])
    assert outcome(f"<presence to='{JULIET}/elsewhere'{said}/>") == (words[nomatch], [])
    assert outcome(f"<presence to='{JULIET}'{said}/>", account="no") == (words[nobody], [])
    assert outcome(f"<presence to='{JULIET}'{said}/>", online=False) == (set(), [])  # RFC 6121 §8.5.2.2.2


@pytest.mark.parametrize("address", [JULIET, f"{JULIET}/r0", f"{JULIET}/elsewhere"])
def test_a_request_is_treated_as_one_for_the_bare_address(address: str) -> None:
    assert PRESENCE["subscribe"] == ["table", "table,as bare", "table,as bare", "S"]
    assert outcome(f"<presence to='{address}' type='subscribe'/>")[0] == {"r0", "r1"}
    assert outcome(f"<presence to='{address}' type='subscribe'/>", account="no") == (set(), [])


@pytest.mark.parametrize("address", [JULIET, f"{JULIET}/r0", f"{JULIET}/elsewhere"])
def test_a_probe_reaches_no_client(address: str) -> None:
    assert PRESENCE["probe"][:3] == ["server answers"] * 3
    assert outcome(f"<presence to='{address}' type='probe'/>") == (set(), [])  # unsubscribed, of which he had nothing
    assert outcome(f"<presence to='{address}' type='probe'/>", account="no") == (set(), [])


IQ = {kind: cells for kinds, *cells in rows("xmpp-delivery-iq.txt", r"\s{2,}") for kind in kinds.split(",")}


@pytest.mark.parametrize("kind", ["get", "set"])
def test_a_question_goes_where_the_table_says(kind: str) -> None:
    assert IQ[kind] == ["server answers for the account", "that one, if the recipient shares presence", "E", "E"]
    ask = f"<iq to='%s' type='{kind}' id='1'><query xmlns='urn:example:unknown'/></iq>"
    error = ["error service-unavailable"]
    assert outcome(ask % JULIET) == (set(), error)
    assert outcome(ask % f"{JULIET}/r0") == ({"r0"}, error)  # her client knows nothing of it, either
    assert outcome(ask % f"{JULIET}/elsewhere") == (set(), error)
    assert outcome(ask % JULIET, account="no") == (set(), error)
    ping = f"<iq to='{JULIET}' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert outcome(ping) == (set(), ["result"])


@pytest.mark.parametrize("kind", ["result", "error"])
def test_an_answer_goes_where_the_table_says_and_is_never_answered(kind: str) -> None:
    assert IQ[kind] == ["S", "that one", "S", "S"]
    answer = f"<iq to='%s' type='{kind}' id='1'/>"
    assert outcome(answer % JULIET) == (set(), [])
    assert outcome(answer % f"{JULIET}/r0") == ({"r0"}, [])
    assert outcome(answer % f"{JULIET}/elsewhere") == (set(), [])
    assert outcome(answer % JULIET, account="no") == (set(), [])

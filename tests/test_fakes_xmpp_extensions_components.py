"""XEP-0114: what happens to the stanzas of components, and to those for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from slixmpp.componentxmpp import ComponentXMPP

from fakes import World, WorldError
from fakes.xmpp.stanzas import parse_stanza
from tests.test_fakes_xmpp_component import HOST, MESSAGE, SECRET, connected, place
from tests.xmpp_raw import bound

JULIET = "juliet@example.test"
PATIENCE = 5.0


def test_a_message_goes_both_ways_with_its_content() -> None:
    where = place()
    component, juliet = connected(where), bound(where, "juliet")
    juliet.says(b"<presence/>")
    component.says(MESSAGE.replace(b"</message>", b"<x xmlns='urn:x'><y>z</y></x></message>"))
    got = juliet.hears()
    assert parse_stanza(got).sender == f"bob@{HOST}"
    assert b"<x xmlns='urn:x'><y>z</y></x>" in got
    answer = juliet.says(
        f"<message to='bob@{HOST}/aim' type='chat'><body>yo</body></message>".encode()
    )
    assert answer == b""
    stanza = parse_stanza(component.says())
    assert (stanza.sender, stanza.to, stanza.body) == (f"{JULIET}/here", f"bob@{HOST}/aim", "yo")


@pytest.mark.parametrize("space", [" xmlns='jabber:client'", " xmlns='jabber:component:accept'"])
def test_a_stanza_may_say_its_namespace(space: str) -> None:
    where = place()
    connected(where).says(MESSAGE.replace(b"<message", b"<message" + space.encode()))
    assert [stanza.body for stanza in where.jabber.messages] == ["hi"]


@pytest.mark.parametrize(
    ("sender", "condition"),
    [
        ("juliet@example.test", b"invalid-from"),
        ("example.test", b"invalid-from"),
        (f"bob@{HOST}.evil.test", b"invalid-from"),
        (f"bob@evil{HOST}", b"invalid-from"),
        ("irc.example.test", b"invalid-from"),
        ("a@@b", b"invalid-from"),
        ("", b"improper-addressing"),
    ],
)
def test_a_sender_of_another_domain_is_refused_and_nothing_arrives(
    sender: str, condition: bytes
) -> None:
    where = place()
    component = connected(where)
    by = f" from='{sender}'" if sender else ""
    stanza = f"<message{by} to='{JULIET}'><body>I am Romeo</body></message>"
    assert condition in component.says(stanza.encode())
    assert where.jabber.messages == [] and where.jabber.offline(JULIET) == []


def test_a_look_alike_of_its_own_domain_is_its_own() -> None:
    where = place()
    component = connected(where)
    assert component.says(MESSAGE.replace(HOST.encode(), HOST.upper().encode())) == b""
    assert len(where.jabber.offline(JULIET)) == 1


def test_a_stanza_without_recipient_ends_the_stream() -> None:
    component = connected(place())
    assert b"improper-addressing" in component.says(f"<presence from='{HOST}'/>".encode())


def test_what_it_cannot_reach_is_an_error_for_the_component() -> None:
    component = connected(place())
    stanza = f"<message from='bob@{HOST}' to='nobody@example.test'><body>x</body></message>"
    assert parse_stanza(component.says(stanza.encode())).condition == "service-unavailable"
    stanza = f"<message from='bob@{HOST}' to='x@elsewhere.test'><body>x</body></message>"
    assert parse_stanza(component.says(stanza.encode())).condition == "remote-server-not-found"


def test_presence_is_subscribed_by_the_component_itself() -> None:
    where = place()
    component, juliet = connected(where), bound(where, "juliet")
    juliet.says(b"<presence/>")
    juliet.says(f"<presence to='bob@{HOST}' type='subscribe'/>".encode())
    asked = parse_stanza(component.says())
    assert (asked.kind, asked.type, asked.sender) == ("presence", "subscribe", JULIET)
    component.says(f"<presence from='bob@{HOST}' to='{JULIET}' type='subscribed'/>".encode())
    component.says(
        f"<presence from='bob@{HOST}/aim' to='{JULIET}'><show>away</show></presence>".encode()
    )
    assert where.jabber.roster(JULIET)[f"bob@{HOST}"].subscription == "to"
    assert b"<show>away</show>" in juliet.hears()
    again = bound(where, "juliet", "again")
    again.says(b"<presence/>")  # a login probes, because only the component knows
    assert "type='probe'" in component.says().decode()


def test_requests_for_any_address_of_the_domain_reach_the_component() -> None:
    where = place()
    component, juliet = connected(where), bound(where, "juliet")
    for to in (HOST, f"bob@{HOST}", f"bob@{HOST}/aim"):
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        assert juliet.says(f"<iq type='get' id='1' to='{to}'>{query}</iq>".encode()) == b""
        assert parse_stanza(component.says()).to == to
        component.says(f"<iq type='result' id='1' from='{to}' to='{JULIET}/here'/>".encode())
        assert parse_stanza(juliet.hears()).sender == to


def test_disco_of_the_server_lists_the_components() -> None:
    juliet = bound(place(), "juliet")
    query = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
    found = parse_stanza(
        juliet.says(f"<iq type='get' id='1' to='example.test'>{query}</iq>".encode())
    )
    listed = {item.get("jid") for item in found.element[0]}
    assert listed >= {"conference.example.test", HOST, "irc.example.test"}


@pytest.mark.parametrize("end", ["</stream:stream>", "<x/>", ""])
def test_when_it_is_gone_senders_get_an_error_that_passes(end: str) -> None:
    where = place()
    component, juliet = connected(where), bound(where, "juliet")
    if end:
        component.says(end.encode())
    else:
        component.core.eof()
    stanza = f"<message to='bob@{HOST}' type='chat'><body>yo</body></message>"
    error = parse_stanza(juliet.says(stanza.encode()))
    assert error.condition == "remote-server-timeout" and b"type='wait'" in error.content
    query = f"<iq type='get' id='1' to='{HOST}'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert parse_stanza(juliet.says(query.encode())).condition == "remote-server-timeout"
    connected(where, 9)
    assert juliet.says(stanza.encode()) == b""


def test_switched_off_its_domains_do_not_exist() -> None:
    where = place(off={"xmpp": ["components"]})
    juliet = bound(where, "juliet")
    stanza = f"<message to='bob@{HOST}' type='chat'><body>yo</body></message>"
    assert parse_stanza(juliet.says(stanza.encode())).condition == "remote-server-not-found"
    with pytest.raises(AssertionError):
        connected(where)


@pytest.mark.parametrize(
    ("components", "problem"),
    [
        ({"example.test": "s"}, "example.test is served by the server itself; choose another"),
        ({"conference.example.test": "s"}, "conference.example.test is served by the server"),
        ({"a b": "s"}, "'a b' is not a domain"),
        ({"x.example.test": ""}, "x.example.test has an empty secret; write"),
        ({"x.example.test": 5}, "expected a string"),
        ("x", "expected a table"),
    ],
)
def test_a_wrong_table_is_an_error_of_the_world_file(components: Any, problem: str) -> None:
    with pytest.raises(WorldError, match=problem):
        World({"servers": ["xmpp"], "xmpp": {"components": components}})


# ── slixmpp's component, which no one here wrote ─────────────────────────────


class Other(ComponentXMPP):  # type: ignore[misc]
    """A component of slixmpp that keeps what it gets."""

    def __init__(self, where: World, secret: str = SECRET) -> None:
        host, port = where.address("component")
        super().__init__(HOST, secret, host, port)
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.got: asyncio.Queue[Any] = asyncio.Queue()
        self.ended: asyncio.Queue[Any] = asyncio.Queue()
        self.started: asyncio.Queue[Any] = asyncio.Queue()
        self.add_event_handler("session_start", self.started.put_nowait)
        self.add_event_handler("message", self.got.put_nowait)
        self.add_event_handler("stream_error", self.ended.put_nowait)
        self.connect()


async def test_the_component_of_slixmpp_sends_receives_and_answers() -> None:
    config = {
        "servers": ["xmpp", "component"],
        "tls": "off",
        "xmpp": {"components": {HOST: SECRET}},
    }
    async with World(config) as where, asyncio.timeout(PATIENCE):
        other = Other(where)
        await other.started.get()
        alice = where.jabber.actor("alice@example.test")
        alice.comes()
        other.send_message(mto="alice@example.test", mbody="hello", mfrom=f"bob@{HOST}")
        assert (await alice.arrival(lambda stanza: stanza.kind == "message")).body == "hello"
        alice.says(f"bob@{HOST}", "hello yourself")
        assert (await other.got.get())["body"] == "hello yourself"
        answer = await other.plugin["xep_0199"].send_ping("example.test", ifrom=HOST)
        assert answer["type"] == "result"
        query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        alice.sends(f"<iq type='get' id='i' to='{HOST}'>{query}</iq>")
        assert b"identity" in (await alice.arrival(lambda stanza: stanza.kind == "iq")).content
        other.abort()


async def test_the_component_of_slixmpp_is_refused_with_a_wrong_secret() -> None:
    config = {
        "servers": ["xmpp", "component"],
        "tls": "off",
        "xmpp": {"components": {HOST: SECRET}},
    }
    async with World(config) as where, asyncio.timeout(PATIENCE):
        other = Other(where, "wrong")
        assert (await other.ended.get())["condition"] == "not-authorized"
        other.abort()

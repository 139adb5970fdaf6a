"""The component client, with the fake server and with servers that misbehave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from comms import settings
from comms.errors import Refused, TryLater, Unreachable
from comms.settings import Server
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.component import Component
from fakes import World
from tests.scripted import JumpingClock, Peer, RecordingHost

HOST, SECRET, ALICE = "aim.example.test", "s3cret", "alice@example.test"


def place(**config: Any) -> World:
    table = {"components": {HOST: SECRET}}
    return World({"servers": ["xmpp", "component"], "xmpp": table, **config}, rehearsal=True)


def server(world: World, **changes: Any) -> Server:
    tables = world.settings
    tables["component"] |= changes
    return settings.load(tables, world.folder).server("component")


class Echo:
    """A program that sends messages back, and keeps what it gets."""

    def __init__(self, world: World, **changes: Any) -> None:
        self.got: list[Element] = []
        self.greeted = 0
        self.component = Component(
            server(world, **changes), world.clock, world.host, self.handle, self.greet
        )

    def greet(self) -> None:
        self.greeted += 1

    def handle(self, stanza: Element) -> bool:
        self.got.append(stanza)
        if stanza.tag == stanzas.MESSAGE:
            text = stanza.findtext("{jabber:client}body", "")
            if text == "boom":
                raise LookupError(text)
            answer = stanzas.message(Jid.parse(stanza.get("from", "")), text)
            self.component.send(answer, stanza.get("to", ""))
        return stanza.find("{urn:known}x") is not None


@contextmanager
def echo(world: World, **changes: Any) -> Iterator[Echo]:
    program = Echo(world, **changes)
    with program.component:
        yield program


def test_messages_go_both_ways_under_any_address_of_the_domain() -> None:
    with place() as world:
        alice = world.jabber.actor(ALICE)
        alice.comes()
        world.clock.at(10, lambda: alice.says(f"bob@{HOST}", "hello"))
        with echo(world) as program:
            program.component.wait(world.clock.time() + 20)
        assert [(stanza.sender, stanza.body) for stanza in alice.messages] == [
            (f"bob@{HOST}", "hello")
        ]
        assert program.greeted == 1


def test_a_request_is_answered_or_gets_an_error_and_so_does_one_that_fails() -> None:
    with place() as world:
        alice = world.jabber.actor(ALICE)

        def ask(id: str, inside: str) -> None:
            alice.sends(f"<iq type='get' id='{id}' to='{HOST}'>{inside}</iq>")

        world.clock.at(1, lambda: ask("1", "<x xmlns='urn:unknown'/>"))
        world.clock.at(2, lambda: ask("2", "<ping xmlns='urn:xmpp:ping'/>"))
        with echo(world) as program:
            program.component.wait(world.clock.time() + 5)
        answers = [(one.id, one.condition) for one in alice.all if one.kind == "iq"]
        assert answers == [("1", "service-unavailable"), ("2", "service-unavailable")]


def test_a_handler_that_raises_is_logged_and_the_component_goes_on() -> None:
    with place() as world:
        alice = world.jabber.actor(ALICE)
        alice.comes()
        world.clock.at(1, lambda: alice.says(HOST, "boom"))
        world.clock.at(2, lambda: alice.says(HOST, "hello"))
        with echo(world) as program:
            program.component.wait(world.clock.time() + 5)
        assert [stanza.body for stanza in alice.messages] == ["hello"]
        assert any("handler-failed" in event.text for event in world.events)


def test_a_query_of_its_own_is_answered_by_the_address_that_was_asked() -> None:
    with place() as world, echo(world) as program:
        ping = Element(f"{{{stanzas.PING}}}ping")
        query = stanzas.iq("get", ping, Jid.parse("example.test"))
        assert program.component.request(query).get("type") == "result"
        with pytest.raises(Refused, match="service-unavailable"):
            program.component.request(stanzas.iq("get", Element("{urn:x}y"), Jid.parse(ALICE)))


def test_a_sender_of_another_domain_is_refused_before_it_is_sent() -> None:
    with place() as world, echo(world) as program:
        message = stanzas.message(Jid.parse(ALICE), "I am Alice")
        for sender in (ALICE, "example.test", f"x@{HOST}.evil.test"):
            with pytest.raises(ValueError, match=f"is not an address of {HOST}"):
                program.component.send(message, sender)
        assert program.component.connected


def test_a_wrong_secret_is_refused_for_good_and_never_shown() -> None:
    with place() as world:
        with pytest.raises(Refused, match="not-authorized") as caught:
            Echo(world, password="guess-of-mine")
        assert "guess" not in str(caught.value)
        with pytest.raises(Refused, match="host-unknown"):
            Echo(world, domain="irc.example.test")


def test_after_the_loss_of_its_connection_it_connects_again() -> None:
    with place() as world:
        alice = world.jabber.actor(ALICE)
        alice.comes()
        world.clock.at(10, lambda: world.cut("component"))
        world.clock.at(200, lambda: alice.says(HOST, "hello"))
        with echo(world) as program:
            program.component.wait(world.clock.time() + 210)
            assert program.greeted == 2
        assert [stanza.body for stanza in alice.messages] == ["hello"]


def test_a_silent_link_is_tried_with_a_ping_to_itself() -> None:
    with place() as world, echo(world) as program:
        program.component.wait(world.clock.time() + 1000)
        assert program.greeted == 1, "the ping is answered"
        assert program.got, "it comes back to us"


def test_a_name_that_is_taken_is_tried_again() -> None:
    with place() as world, echo(world):
        with pytest.raises(Unreachable, match="conflict"):
            Echo(world)


def script_of(*answers: bytes) -> Any:
    def script(peer: Peer) -> None:
        peer.expect(b"xmlns:stream='http://etherx.jabber.org/streams'>")
        for answer in answers:
            peer.send(answer)

    return script


HEADER = (
    b"<stream:stream xmlns='jabber:component:accept' id='1' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "not-well-formed"),
        ((HEADER, b"<features/>"), "bad-format"),
        ((HEADER,), "hung up"),
        ((HEADER, b"</stream:stream>"), "has ended the stream"),
    ],
)
def test_a_server_that_is_none_is_unreachable(answers: tuple[bytes, ...], problem: str) -> None:
    clock = JumpingClock()
    with Peer(script_of(*answers)) as peer:
        address = ("component", "127.0.0.1", peer.port, "none")
        target = Server(*address, password=SECRET, domain=HOST, timeout=2.0)
        with pytest.raises((Unreachable, TryLater), match=problem):
            Component(target, clock, RecordingHost(), lambda stanza: False)
    clock.close()

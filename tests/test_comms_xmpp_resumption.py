"""XEP-0198 on the client's side: counting, and a client that goes on after a cut."""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from comms.errors import Unreachable
from comms.settings import load
from comms.xmpp import Client, Jid, resumption, stanzas
from comms.xmpp.resumption import EVERY, MODULO, Resumption
from comms.xmpp.stream import Malformed
from fakes.wire import Record, Want
from fakes.world import World

BOT, THEM = "bot@example.test", "them@example.test"
JID = Jid.parse(f"{BOT}/here")


def begun() -> Resumption:
    found = Resumption()
    found.begin("id", JID, 0.0)
    return found


def test_what_is_acknowledged_is_not_sent_again() -> None:
    found = begun()
    asks = [found.sent(Element(str(n)), str(n).encode()) for n in range(1, 8)]
    assert asks == [n % EVERY == 0 for n in range(1, 8)]
    found.acknowledge("5")
    found.acknowledge("5")
    assert list(found.again()) == [b"6", b"7"]
    assert [element.tag for element in found.forget()] == ["6", "7"]
    assert not found.active and list(found.again()) == []


def test_counts_begin_again_after_the_greatest() -> None:
    found = begun()
    found.handled = found._arrived = found._acknowledged = MODULO - 1
    found.received()
    found.sent(Element("a"), b"a")
    found.acknowledge("0")
    assert found.handled == 0 and list(found.again()) == []


@pytest.mark.parametrize("h", ["2", "", "x", "-1", str(MODULO), "9" * 11])
def test_a_count_that_cannot_be_is_refused(h: str) -> None:
    found = begun()
    found.sent(Element("a"), b"a")
    with pytest.raises(Malformed):
        found.acknowledge(h)


def test_a_server_that_acknowledges_nothing_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resumption, "KEPT", 2)
    found = begun()
    found.sent(Element("a"), b"a")
    found.sent(Element("a"), b"a")
    with pytest.raises(Malformed, match="not acknowledged"):
        found.sent(Element("a"), b"a")


# ── on our server ────────────────────────────────────────────────────────────


def rehearsal(*faults: str, **config: Any) -> World:
    base: dict[str, Any] = {
        "servers": ["xmpp"],
        "program": BOT,
        "person": [{"address": BOT, "contacts": {THEM: "both"}}, {"address": THEM}],
    }
    return World({**base, **config}, rehearsal=True, faults=faults)


def client(world: World, **options: Any) -> Client:
    server = load(world.settings, world.folder).server("xmpp")
    return Client(server, world.clock, world.host, resume=True, **options)


def wait_online(world: World, jabber: Client) -> None:
    """Looks again and again, as a program does, until the client is online again."""
    for _ in range(100):
        world.clock.advance(10)
        jabber.received_messages()
        if jabber.connected:
            return
    raise AssertionError("the client does not reconnect")


def events(world: World) -> list[str]:
    return [event.text.split()[0] for event in world.recording if hasattr(event, "text")]


def test_after_a_cut_the_session_goes_on_and_each_message_arrives_once() -> None:
    with rehearsal() as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        for text in ("one", "two"):
            jabber.send(stanzas.message(Jid.parse(THEM), text))
        jid = jabber.jid
        world.cut("xmpp")
        them.says(BOT, "hello")
        jabber.received_messages()
        wait_online(world, jabber)
        assert jabber.jid == jid
        jabber.send(stanzas.message(Jid.parse(THEM), "three"))
        them.says(BOT, "again")
        got = [message.text for message in jabber.received_messages()]
        them.wait_for(lambda stanza: stanza.body == "three")
        assert [stanza.body for stanza in them.messages] == ["one", "two", "three"]
        # "hello" was taken by one of the looks before.
        assert got == ["again"]
        resumed = [entry for entry in world.recording if isinstance(entry, Record)]
        assert any(b"<resumed" in record.raw for record in resumed)
        assert sum(b"jabber:iq:roster" in record.raw for record in resumed) == 2


def test_a_message_that_was_lost_with_the_connection_is_sent_again() -> None:
    # The server is cut off before it has handled the message.
    with rehearsal("message reset times 1") as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        jabber.send(stanzas.message(Jid.parse(THEM), "one"))
        jabber.received_messages()
        wait_online(world, jabber)
        assert them.wait_for(lambda stanza: stanza.kind == "message").body == "one"
        assert jabber.returned_messages() == []


def test_what_was_not_confirmed_comes_again_elsewhere_and_the_rest_does_not() -> None:
    with rehearsal() as world:
        them = world.jabber.actor(THEM)
        them.comes()
        first = client(world, confirms=True)
        them.says(BOT, "one")
        assert [message.text for message in first.received_messages()] == ["one"]
        first.confirm()
        them.says(BOT, "two")
        assert [message.text for message in first.received_messages()] == ["two"]
        world.jabber.end(BOT)  # the program dies, and its session ends
        first.disconnect()
        world.clock.advance(10)
        with client(world, confirms=True, delayed=True) as second:
            found = [(message.text, message.delayed) for message in second.received_messages()]
            assert found == [("two", True)]


def test_after_a_cut_a_message_that_was_not_confirmed_is_not_taken_twice() -> None:
    with rehearsal() as world, client(world, confirms=True) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        them.says(BOT, "one")
        assert [message.text for message in jabber.received_messages()] == ["one"]
        world.cut("xmpp")
        them.says(BOT, "two")
        found = []
        for _ in range(20):
            world.clock.advance(10)
            found += [message.text for message in jabber.received_messages()]
        assert found == ["two"]
        jabber.confirm()
        them.says(BOT, "three")
        assert [message.text for message in jabber.received_messages()] == ["three"]


def test_what_cannot_arrive_any_more_is_reported() -> None:
    with rehearsal("message reset times 1") as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        jabber.send(stanzas.message(Jid.parse(THEM), "one"))
        jabber.received_messages()
        world.jabber.end(BOT)  # the server forgets the session
        wait_online(world, jabber)
        [returned] = jabber.returned_messages()
        assert (returned.error, str(returned.sender)) == ("unacknowledged", THEM)
        assert them.messages == []


def test_messages_of_the_server_arrive_once_wherever_the_connection_is_cut() -> None:
    with rehearsal() as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        got: list[str] = []
        for number in range(6):
            them.says(BOT, str(number))
            if number % 2:
                got += [message.text for message in jabber.received_messages()]
            world.jabber.cut(BOT, Want.CLOSE)
            them.says(BOT, f"{number}, away")
            for _ in range(100):
                world.clock.advance(10)
                got += [message.text for message in jabber.received_messages()]
                if jabber.connected:
                    break
        assert got == [text for n in range(6) for text in (str(n), f"{n}, away")]


def test_a_session_that_is_closed_leaves_nothing_unacknowledged() -> None:
    with rehearsal() as world:
        with client(world) as jabber:
            world.jabber.actor(THEM).says(BOT, "hello")
            assert [message.text for message in jabber.received_messages()] == ["hello"]
        assert world.jabber.offline(BOT) == [] and world.jabber.sessions(BOT) == []


@pytest.mark.parametrize("notices", [False, True])
def test_what_is_in_doubt_when_the_program_disconnects_is_reported(notices: bool) -> None:
    with rehearsal("message reset times 1") as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        jabber.send(stanzas.message(Jid.parse(THEM), "one"))
        if notices:
            jabber.received_messages()
            assert not jabber.connected
        jabber.disconnect()
        [returned] = jabber.returned_messages()
        assert (returned.error, str(returned.sender)) == ("unacknowledged", THEM)
        assert them.messages == []


def test_what_was_sent_before_an_orderly_end_is_in_no_doubt() -> None:
    with rehearsal() as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        jabber.send(stanzas.message(Jid.parse(THEM), "one"))
        jabber.disconnect()
        assert jabber.returned_messages() == []
        assert [stanza.body for stanza in them.messages] == ["one"]


def test_many_messages_without_a_look_all_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "KEPT", 20)
    with rehearsal() as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        texts = [str(number) for number in range(100)]
        for text in texts:
            jabber.send(stanzas.message(Jid.parse(THEM), text))
        them.wait_for(lambda stanza: stanza.body == texts[-1])
        assert [stanza.body for stanza in them.messages] == texts
        assert jabber.connected


def test_what_cannot_be_kept_is_not_taken_for_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumption, "KEPT", 20)
    monkeypatch.setattr(Resumption, "acknowledge", lambda self, h: None)
    with rehearsal() as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        them.comes()
        sent = []
        with pytest.raises(Unreachable, match="not acknowledged"):
            for number in range(100):
                jabber.send(stanzas.message(Jid.parse(THEM), str(number)))
                sent.append(str(number))
        assert not jabber.connected
        assert [stanza.body for stanza in them.messages] == sent


def test_where_the_server_cannot_resume_the_client_works_as_ever() -> None:
    with rehearsal(off={"xmpp": ["stream-management"]}) as world, client(world) as jabber:
        world.cut("xmpp")
        jabber.received_messages()
        wait_online(world, jabber)
        world.jabber.actor(THEM).says(BOT, "hello")
        assert [message.text for message in jabber.received_messages()] == ["hello"]
        raw = b"".join(entry.raw for entry in world.recording if isinstance(entry, Record))
        assert not re.search(rb"urn:xmpp:sm:3", raw)

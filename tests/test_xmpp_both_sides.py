"""comms.xmpp's client on fakes.xmpp's server: two readings of one text meet on the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from comms.errors import CommsError, Refused, TryLater, Unreachable
from comms.settings import load
from comms.xmpp import Client, Jid, stanzas
from fakes.host import Event
from fakes.wire import Record
from fakes.world import World

BOT, THEM = "bot@example.test", "them@example.test"


def rehearsal(*faults: str, **config: Any) -> World:
    """A rehearsal with two accounts that see each other; the program is BOT."""
    base: dict[str, Any] = {
        "servers": ["xmpp"],
        "program": BOT,
        "person": [{"address": BOT, "contacts": {THEM: "both"}}, {"address": THEM}],
    }
    return World({**base, **config}, rehearsal=True, faults=faults)


def client(world: World, **options: Any) -> Client:
    """The program's client."""
    server = load(world.settings, world.folder).server("xmpp")
    return Client(server, world.clock, world.host, **options)


def bodies(world: World) -> list[str]:
    """The bodies of all messages that the server has handled."""
    return [stanza.body for stanza in world.jabber.messages]


def test_a_stanza_is_recorded_before_what_the_program_prints_after_it() -> None:
    for _ in range(30):
        with rehearsal() as world, client(world) as jabber:
            jabber.send(stanzas.message(Jid.parse(THEM), "sent"))
            world.host.say("printed")
            entries = [
                entry
                for entry in world.recording
                if isinstance(entry, Event) or entry.direction == "C"
            ]
            message, _ = entries[-2:]
            assert isinstance(message, Record) and b"sent" in message.raw


def test_a_request_that_cannot_be_routed_is_refused_to_the_client_that_made_it() -> None:
    """RFC 6121 §3.1.2: the error comes back although the request left with a bare address."""
    with rehearsal() as world, client(world) as jabber:
        with pytest.raises(Refused, match="remote-server-not-found"):
            jabber.deliver("them@elsewhere.test", "Hello")
        assert world.clock.elapsed == 0


@pytest.mark.parametrize("auth", ["auto", "scram-sha-256", "scram-sha-1", "plain"])
def test_the_client_logs_in_with_each_mechanism(auth: str) -> None:
    with rehearsal() as world:
        server = replace(load(world.settings, world.folder).server("xmpp"), auth=auth)
        with Client(server, world.clock, world.host) as jabber:
            assert jabber.jid.bare == Jid.parse(BOT)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_the_client_uses_tls_and_checks_the_certificate(tls: str) -> None:
    config = {"servers": ["xmpp"], "program": BOT, "person": [{"address": BOT}], "tls": "required"}
    with World(config, ports={"xmpp": 0, "xmpps": 0}, rehearsal=True) as world:
        port = world.address("xmpps" if tls == "implicit" else "xmpp")[1]
        server = load(world.settings, world.folder).server("xmpp")
        server = replace(server, tls=tls, port=port)
        with Client(server, world.clock, world.host) as jabber:
            assert jabber.connected
        with pytest.raises(Refused, match=r"not trusted|does not offer|lets nobody"):
            Client(replace(server, ca_file=None), world.clock, world.host)


@pytest.mark.parametrize("flaw", ["expired", "other-name", "self-signed"])
def test_a_bad_certificate_is_refused_before_the_client_logs_in(flaw: str) -> None:
    with rehearsal(f"xmpp tls certificate {flaw}", tls="required") as world:
        with pytest.raises(Refused, match="not trusted"):
            client(world)
        assert not any(b"<auth" in record.raw for record in world.records)


@pytest.mark.parametrize(
    "cut", ["hang up before", "hang up within", "hang up after", "reset", "after 10"]
)
@pytest.mark.parametrize("place", ["connect", "auth", "response", "iq", "presence"])
def test_a_connection_lost_during_login_is_an_error_that_programs_expect(
    place: str, cut: str
) -> None:
    with rehearsal(f"xmpp {place} {cut} times 1") as world:
        try:
            jabber = client(world)
        except CommsError as error:
            assert isinstance(error, Unreachable | TryLater) or error.exit_code in (3, 4, 5)
        else:  # the connection was lost after the last step
            jabber.disconnect()


def test_a_message_that_may_have_been_delivered_is_not_sent_again() -> None:
    fault = f"xmpp message arg {THEM} hang up after times 1"
    with rehearsal(fault) as world, client(world) as jabber:
        jabber.deliver(THEM, "one")
        jabber.wait(world.clock.time() + 100)
        assert jabber.connected
        jabber.deliver(THEM, "two")
        world.clock.settle()
        assert bodies(world) == ["one", "two"]


def test_the_client_reconnects_after_a_shutdown_but_not_after_a_conflict() -> None:
    with rehearsal() as world, client(world) as jabber:
        world.clock.at(10, world.jabber.shutdown)
        jabber.wait(world.clock.time() + 100)
        assert jabber.connected
        world.clock.at(110, lambda: world.jabber.conflict(BOT))
        with pytest.raises(Refused, match="conflict"):
            jabber.wait(world.clock.time() + 100)


def test_the_client_notices_a_server_that_stalls() -> None:
    with rehearsal("xmpp message stall") as world, client(world) as jabber:
        jabber.deliver(THEM, "lost")
        jabber.wait(world.clock.time() + 250)
        assert not jabber.connected or world.clock.elapsed > 180
        assert any("sent nothing" in event.text for event in world.events)


def test_waiting_without_a_time_ends_with_the_rehearsal() -> None:
    with rehearsal() as world, client(world) as jabber:
        received: list[str] = []
        jabber.on_message(lambda message: received.append(message.text))
        them = world.jabber.actor(THEM)
        world.clock.at(50, lambda: them.says(BOT, "late"))
        jabber.wait()
        assert (received, world.clock.elapsed) == (["late"], 50)


def test_the_same_rehearsal_twice_is_the_same_byte_for_byte() -> None:
    def rehearse() -> list[str]:
        with rehearsal() as world, client(world) as jabber:
            them = world.jabber.actor(THEM)
            for seconds in range(10):
                world.clock.at(seconds, lambda: them.says(BOT, "hi"))
            jabber.on_message(lambda message: jabber.send(message.reply(message.text)))
            jabber.wait()
            return [str(entry) for entry in world.recording]

    assert rehearse() == rehearse()


def test_a_wait_ends_in_time_although_the_wall_clock_was_set_back() -> None:
    with rehearsal() as world, client(world) as jabber:
        them = world.jabber.actor(THEM)
        world.clock.at(5, lambda: world.clock.jump(-7200))
        world.clock.at(10, lambda: them.says(BOT, "hi"))
        world.clock.until(100_000)
        jabber.wait(world.clock.time() + 30)
        assert world.clock.elapsed == pytest.approx(30)

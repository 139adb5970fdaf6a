"""comms.xmpp's client on fakes.xmpp's server: two readings of the same specification meet on the wire."""

from __future__ import annotations

from collections.abc import Iterator
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


def world(*faults: str, **config: Any) -> World:
    """A rehearsal with two accounts that see each other."""
    base: dict[str, Any] = {
        "servers": ["xmpp"],
        "program": BOT,
        "person": [{"address": BOT, "contacts": {THEM: "both"}}, {"address": THEM}],
    }
    return World({**base, **config}, rehearsal=True, faults=faults)


def client(world: World, **options: Any) -> Client:
    """The program's client."""
    return Client(load(world.settings, world.folder).server("xmpp"), world.clock, world.host, **options)


def texts(world: World) -> list[str]:
    """The bodies of all messages that the server has handled."""
    return [stanza.body for stanza in world.jabber.messages]


def test_what_was_written_is_recorded_before_what_is_said_after_it() -> None:
    for _ in range(30):
        with world() as one, client(one) as jabber:
            jabber.send(stanzas.message(Jid.parse(THEM), "written"))
            one.host.say("said")
            last = [thing for thing in one.recording if isinstance(thing, Event) or thing.direction == "C"][-2:]
            assert isinstance(last[0], Record) and b"written" in last[0].raw


def test_a_request_that_cannot_go_is_told_to_who_made_it() -> None:
    """RFC 6121 §3.1.2: although it left with the account's bare address."""
    with world() as one, client(one) as jabber:
        with pytest.raises(Refused, match="remote-server-not-found"):
            jabber.deliver("them@elsewhere.test", "Hello")
        assert one.clock.elapsed == 0


@pytest.mark.parametrize("auth", ["auto", "scram-sha-256", "scram-sha-1", "plain"])
def test_every_way_to_log_in_works(auth: str) -> None:
    with world() as one:
        server = replace(load(one.settings, one.folder).server("xmpp"), auth=auth)
        with Client(server, one.clock, one.host) as jabber:
            assert jabber.jid.bare == Jid.parse(BOT)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_is_taken_and_the_certificate_looked_at(tls: str) -> None:
    config: dict[str, Any] = {"tls": "required"}
    with World(
        {"servers": ["xmpp"], "program": BOT, "person": [{"address": BOT}], **config},
        ports={"xmpp": 0, "xmpps": 0},
        rehearsal=True,
    ) as one:
        server = load(one.settings, one.folder).server("xmpp")
        port = one.address("xmpps" if tls == "implicit" else "xmpp")[1]
        with Client(replace(server, tls=tls, port=port), one.clock, one.host) as jabber:
            assert jabber.connected
        with pytest.raises(Refused, match=r"not trusted|does not offer|lets nobody"):
            Client(replace(server, tls=tls, port=port, ca_file=None), one.clock, one.host)


@pytest.mark.parametrize("flaw", ["expired", "other-name", "self-signed"])
def test_a_bad_certificate_is_refused_before_a_word_about_us(flaw: str) -> None:
    with world(f"xmpp tls certificate {flaw}", tls="required") as one:
        with pytest.raises(Refused, match="not trusted"):
            client(one)
        assert not any(b"<auth" in record.raw for record in one.records)


@pytest.fixture(params=["hang up before", "hang up within", "hang up after", "reset", "after 10"])
def cut(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


@pytest.mark.parametrize("place", ["connect", "auth", "response", "iq", "presence"])
def test_a_link_cut_at_any_step_of_the_login_is_an_error_that_programs_expect(place: str, cut: str) -> None:
    with world(f"xmpp {place} {cut} times 1") as one:
        try:
            jabber = client(one)
        except CommsError as error:
            assert isinstance(error, Unreachable | TryLater) or error.exit_code in (3, 4, 5)
        else:  # only behind the last word
            jabber.disconnect()


def test_a_message_that_was_cut_is_not_sent_again() -> None:
    with world(f"xmpp message arg {THEM} hang up after times 1") as one, client(one) as jabber:
        jabber.deliver(THEM, "one")
        jabber.wait(one.clock.time() + 100)
        assert jabber.connected
        jabber.deliver(THEM, "two")
        one.clock.settle()
        assert texts(one) == ["one", "two"]


def test_a_server_that_shuts_down_is_found_again_and_one_that_says_conflict_is_left() -> None:
    with world() as one, client(one) as jabber:
        one.clock.at(10, one.jabber.shutdown)
        jabber.wait(one.clock.time() + 100)
        assert jabber.connected
        one.clock.at(110, lambda: one.jabber.conflict(BOT))
        with pytest.raises(Refused, match="conflict"):
            jabber.wait(one.clock.time() + 100)


def test_a_server_that_stalls_is_noticed() -> None:
    with world("xmpp message stall") as one, client(one) as jabber:
        jabber.deliver(THEM, "swallowed")
        jabber.wait(one.clock.time() + 250)
        assert not jabber.connected or one.clock.elapsed > 180
        assert any("sent nothing" in event.text for event in one.events)


def test_waiting_without_end_ends_with_the_play() -> None:
    with world() as one, client(one) as jabber:
        seen: list[str] = []
        jabber.on_message(lambda message: seen.append(message.text))
        them = one.jabber.person(THEM)
        one.clock.at(50, lambda: them.says(BOT, "late"))
        jabber.wait()
        assert (seen, one.clock.elapsed) == (["late"], 50)


def test_the_same_rehearsal_twice_is_the_same_octet_for_octet() -> None:
    def play() -> list[str]:
        with world() as one, client(one) as jabber:
            them = one.jabber.person(THEM)
            for seconds in range(10):
                one.clock.at(seconds, lambda: them.says(BOT, "hi"))
            jabber.on_message(lambda message: jabber.send(message.reply(message.text)))
            jabber.wait()
            return [str(thing) for thing in one.recording]

    assert play() == play()

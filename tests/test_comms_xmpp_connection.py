"""The connection of a Jabber client: filters, losses, pings, and attempts to connect again."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import pytest

from comms.clock import RealClock
from comms.errors import Refused, TryLater, Unreachable
from comms.xmpp import Client, Message, inbox, stanzas
from comms.xmpp.stream import to_bytes
from tests.scripted import JumpingClock, Peer, RecordingHost
from tests.test_comms_xmpp_client import (
    ROSTER,
    THEM,
    answer_query,
    chat,
    close_stream,
    come_online,
    item,
    query,
    texts,
)
from tests.test_comms_xmpp_session import (
    log_in,
    mechanisms,
    open_stream,
    stream_error,
)


@pytest.fixture
def clock() -> Iterator[JumpingClock]:
    clock = JumpingClock()
    yield clock
    clock.close()


@pytest.fixture
def host() -> RecordingHost:
    return RecordingHost()


def test_messages_beyond_the_limit_of_the_inbox_wait_in_the_kernel(
    clock: JumpingClock, host: RecordingHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HELD", 20_000)

    def script(peer: Peer) -> None:
        come_online(peer)
        for number in range(100):
            peer.send(chat(f"{number}"))
        peer.expect(b"<presence><show>")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        clock.wait(None, clock.time() + 1)
        rounds = []
        while taken := texts(jabber.received_messages()):
            rounds.append(taken)
        jabber.status("away")
    assert [text for taken in rounds for text in taken] == [str(number) for number in range(100)]
    assert max(map(len, rounds)) < 25


def test_too_many_messages_during_a_request_are_an_error(
    clock: JumpingClock, host: RecordingHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HELD", 20_000)

    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("flood") * 200)
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        with pytest.raises(TryLater, match="too many messages"):
            jabber.request(query())
        assert len(jabber.received_messages()) > 20


def test_wait_with_a_full_inbox_ends_at_its_time(
    clock: JumpingClock, host: RecordingHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HELD", 20_000)

    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("flood") * 200)
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        began = clock.time()
        jabber.wait(began + 100)
        assert clock.time() - began >= 100
        assert 10 < len(jabber.received_messages()) < 30


def test_a_flood_does_not_keep_a_request_waiting_for_ever(host: RecordingHost) -> None:
    flooding = threading.Event()
    real = RealClock()

    def script(peer: Peer) -> None:
        come_online(peer)
        peer.expect(b"urn:x")
        with contextlib.suppress(OSError):
            while not flooding.is_set():
                peer.send(b"<presence from='a@x.test/r'/>" * 100)
        peer.socket.close()

    try:
        with Peer(script) as peer:
            jabber = Client(peer.server(timeout=0.5), real, host)
            began = real.time()
            with pytest.raises(TryLater, match=r"no answer within 0\.5 s"):
                jabber.request(query())
            assert real.time() - began < 3
            jabber.received_messages()
            assert real.time() - began < 6
            flooding.set()
            jabber.disconnect()
    finally:
        flooding.set()
        real.close()


def test_filters_pass_change_or_drop_stanzas_in_order(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("spam") + chat("ham"))
        peer.expect(b"HAM, masked</body>")
        close_stream(peer)

    def no_spam(element: Element) -> Element | None:
        return None if b"spam" in to_bytes(element) else element

    def louder(element: Element) -> Element:
        for body in element.iter("{jabber:client}body"):
            body.text = (body.text or "").upper()
        return element

    def masked(element: Element) -> Element:
        for body in element.iter("{jabber:client}body"):
            body.text = (body.text or "").replace("secret", "masked")
        return element

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.incoming += [no_spam, louder]
        jabber.outgoing.append(masked)
        jabber.on_message(lambda message: jabber.send(message.reply(message.text + ", secret")))
        jabber.wait(clock.time() + 1)
    assert b"SPAM" not in peer.received[0]


def test_a_filter_that_raises_drops_only_the_stanza(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("bad") + chat("good"))
        close_stream(peer)

    def picky(element: Element) -> Element:
        if element.findtext("{jabber:client}body") == "bad":
            raise LookupError("bad")
        return element

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.incoming.append(picky)
        jabber.wait(clock.time() + 1)
        assert texts(jabber.received_messages()) == ["good"]
    assert any("handler=picky" in line for line in host.lines)


def test_a_lost_connection_is_restored_and_nothing_is_sent_twice(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def first(peer: Peer) -> None:
        come_online(peer, item(THEM, "both"))
        peer.send(f"<presence from='{THEM}/desk'/>".encode() + chat("one"))
        peer.expect(b"one!</body></message>")

    def second(peer: Peer) -> None:
        log_in(peer)
        answer_query(peer, b"jabber:iq:roster", content=ROSTER.format(item(THEM, "both")))
        peer.expect(b"<presence><show>away</show></presence>")
        peer.send(chat("two"))
        peer.expect(b"two!</body></message>")
        close_stream(peer)

    seen = []
    with Peer(first, second) as peer, Client(peer.server(), clock, host) as jabber:
        jabber._status = stanzas.presence()
        jabber.on_presence(lambda presence: seen.append(presence.show))

        @jabber.on_message
        def answer(message: Message) -> None:
            jabber.send(message.reply(message.text + "!"))
            jabber._status = stanzas.presence(show="away")

        jabber.wait(clock.time() + 100)
        assert jabber.connected
    bodies = [re.findall(rb"<body>([^<]*)</body>", received) for received in peer.received]
    assert bodies == [[b"one!"], [b"two!"]]
    assert seen == ["available", "unavailable"]
    assert [line.split()[0] for line in host.lines] == ["jabber-off-line", "jabber-on-line"]


def test_the_pauses_between_attempts_double_and_are_random(
    clock: JumpingClock, host: RecordingHost
) -> None:
    with Peer(come_online) as peer:
        jabber = Client(peer.server(), clock, host)
        tokens = iter(["zzzz", "0000", *["zzzz"] * 6])

        def token(length: int) -> str:
            return next(tokens) if length == 4 else "1" * length

        host.token = token  # type: ignore[method-assign]
        jabber.wait(clock.time() + 1500)
    pauses = [line.rpartition("again=")[2] for line in host.lines]
    assert pauses[:7] == ["30s", "0s", "120s", "240s", "480s", "600s", "600s"]
    assert not jabber.connected


def test_a_polled_client_reconnects_when_the_pause_is_over(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def second(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("after"))
        close_stream(peer)

    with Peer(come_online, second) as peer, Client(peer.server(), clock, host) as jabber:
        seen = []
        for _ in range(20):
            seen += texts(jabber.received_messages())
            clock.wait(None, clock.time() + 3)
        assert seen == ["after"]


@pytest.mark.parametrize("condition", ["conflict", "not-authorized", "host-gone"])
def test_after_a_final_stream_error_the_client_does_not_reconnect(
    clock: JumpingClock, host: RecordingHost, condition: str
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("before") + stream_error(condition))

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        clock.wait(None, clock.time() + 1)
        assert texts(jabber.received_messages()) == ["before"]
        with pytest.raises(Refused, match=condition):
            jabber.received_messages()
        with pytest.raises(Refused, match=condition):
            jabber.wait(clock.time() + 100)
        with pytest.raises(Refused, match=condition):
            jabber.deliver(THEM, "Hello")
    assert len(peer.received) == 1


def test_a_login_that_is_refused_while_reconnecting_is_raised(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def second(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(
            b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/></failure>"
        )

    with Peer(come_online, second) as peer:
        jabber = Client(peer.server(), clock, host)
        with pytest.raises(Refused, match="account-disabled"):
            jabber.wait(clock.time() + 100)


def test_a_silent_server_is_pinged_and_then_given_up(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        answer_query(peer, b"urn:xmpp:ping", sender="example.test")
        peer.expect(b"urn:xmpp:ping", b"</iq>")
        peer.read_to_end()

    def second(peer: Peer) -> None:
        come_online(peer)
        close_stream(peer)

    with Peer(script, second) as peer, Client(peer.server(), clock, host) as jabber:
        host.token = lambda length: "z" * length  # type: ignore[method-assign]
        began = clock.time()
        while not host.lines:
            jabber.wait(clock.time() + 30)
        assert 360 <= clock.time() - began < 400
        jabber.wait(clock.time() + 60)
        assert jabber.connected, host.lines
    assert "the server has sent nothing for 18" in host.lines[0]


def test_a_client_that_polls_rarely_does_not_miss_the_answer_to_its_ping(
    clock: JumpingClock, host: RecordingHost
) -> None:
    """The server answers at once, but the client looks only after the answer was due."""

    def script(peer: Peer) -> None:
        come_online(peer)
        for _ in range(2):
            answer_query(peer, b"urn:xmpp:ping")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        for _ in range(4):
            jabber.received_messages()
            clock.wait(None, clock.time() + 300)
        assert jabber.connected
    assert host.lines == []


def test_a_connection_cut_before_the_first_presence_is_unreachable(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        log_in(peer)
        peer.expect(b"jabber:iq:roster", b"</iq>")

    with Peer(script) as peer, pytest.raises(Unreachable, match="hung up"):
        Client(peer.server(), clock, host)

    def refused(peer: Peer) -> None:
        log_in(peer)
        peer.expect(b"jabber:iq:roster", b"</iq>")
        peer.send(stream_error("conflict"))

    with Peer(refused) as peer, pytest.raises(Refused, match="conflict"):
        Client(peer.server(), clock, host)


def test_waiting_for_authorisation_survives_a_lost_connection(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def first(peer: Peer) -> None:
        come_online(peer)
        answer_query(peer, b"<item jid='them@example.test'/>")
        peer.expect(b"type='subscribe'/>")

    def second(peer: Peer) -> None:
        come_online(peer, item(THEM, "to"))
        peer.expect(b"Hello</body>")
        close_stream(peer)

    with Peer(first, second) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.deliver(THEM, "Hello", wait=300)


def test_disconnect_and_reconnect(clock: JumpingClock, host: RecordingHost) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        close_stream(peer)

    with Peer(script, script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.disconnect()
        with pytest.raises(Unreachable, match="disconnected by the program"):
            jabber.send(stanzas.presence())
        jabber.reconnect()
        assert jabber.connected


def test_a_first_attempt_that_fails_is_raised(clock: JumpingClock, host: RecordingHost) -> None:
    with Peer() as peer:
        pass
    with pytest.raises(Unreachable):
        Client(peer.server(), clock, host)

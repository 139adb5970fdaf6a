"""The connection of a Jabber client: filters, losses, pings, and attempts to connect again."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from comms.clock import RealClock
from comms.errors import Refused, TryLater, Unreachable
from comms.settings import Server
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
    BIND,
    HEADER,
    SUCCESS,
    elsewhere,
    log_in,
    mechanisms,
    open_stream,
    refusal_of_bind,
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


@pytest.mark.slow
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


# ── what passes ends nothing ─────────────────────────────────────────────────


def served_until_closed(peer: Peer) -> None:
    come_online(peer)
    close_stream(peer)


def refused_bind(condition: str, kind: str) -> Callable[[Peer], None]:
    """Serves a login, and answers the first request for a resource by an error, then hangs up."""

    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND)
        peer.send(refusal_of_bind(peer.expect(b"</iq>"), condition, kind))

    return script


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("conflict", "modify"),
        ("conflict", "cancel"),
        ("internal-server-error", "cancel"),
        ("internal-server-error", "modify"),
        ("remote-server-timeout", "cancel"),
        ("resource-constraint", "cancel"),
        ("not-allowed", "wait"),
        ("policy-violation", "wait"),
    ],
)
def test_a_bind_that_is_refused_for_now_is_tried_again_after_a_pause(
    clock: JumpingClock, host: RecordingHost, condition: str, kind: str
) -> None:
    scripts = come_online, refused_bind(condition, kind), served_until_closed
    with (
        Peer(*scripts) as peer,
        Client(peer.server(jid="bot@example.test/desk"), clock, host) as jabber,
    ):
        jabber.wait(clock.time() + 120)
        assert jabber.connected
    assert b"<resource>desk</resource>" in peer.received[1]
    assert (b"<resource>desk</resource>" in peer.received[2]) == (condition != "conflict")
    assert [line.split()[0] for line in host.lines] == [*["jabber-off-line"] * 2, "jabber-on-line"]
    assert condition in host.lines[1]


def test_a_stream_that_ends_by_a_conflict_while_binding_is_tried_with_a_new_resource(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def second(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND)
        peer.expect(b"<resource>desk</resource>", b"</iq>")
        peer.send(stream_error("conflict"))

    scripts = come_online, second, served_until_closed
    with (
        Peer(*scripts) as peer,
        Client(peer.server(jid="bot@example.test/desk"), clock, host) as jabber,
    ):
        jabber.wait(clock.time() + 120)
        assert jabber.connected
    assert b"<resource>" in peer.received[2] and b"desk" not in peer.received[2]


@pytest.mark.parametrize(
    "condition",
    ["temporary-auth-failure", "internal-server-error", "resource-constraint", "aborted"],
)
def test_a_login_that_fails_for_now_is_tried_again(
    clock: JumpingClock, host: RecordingHost, condition: str
) -> None:
    def second(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        space = "urn:ietf:params:xml:ns:xmpp-sasl"
        peer.send(f"<failure xmlns='{space}'><{condition}/></failure>".encode())

    with (
        Peer(come_online, second, served_until_closed) as peer,
        Client(peer.server(), clock, host) as jabber,
    ):
        jabber.wait(clock.time() + 120)
        assert jabber.connected


@pytest.mark.parametrize(
    "condition",
    ["system-shutdown", "reset", "connection-timeout", "resource-constraint", "policy-violation",
     "internal-server-error", "remote-connection-failed", "undefined-condition", "bad-format",
     "unsupported-stanza-type", "one-that-nobody-knows"],
)  # fmt: skip
def test_after_a_stream_error_that_passes_the_client_reconnects(
    clock: JumpingClock, host: RecordingHost, condition: str
) -> None:
    def first(peer: Peer) -> None:
        come_online(peer)
        peer.send(stream_error(condition))

    with Peer(first, served_until_closed) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 120)
        assert jabber.connected


def test_a_contact_list_that_cannot_be_had_for_now_is_asked_for_again(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def second(peer: Peer) -> None:
        log_in(peer)
        content = (
            "<error type='cancel'><internal-server-error "
            "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        )
        answer_query(peer, b"jabber:iq:roster", kind="error", content=content)

    with (
        Peer(come_online, second, served_until_closed) as peer,
        Client(peer.server(), clock, host) as jabber,
    ):
        jabber.wait(clock.time() + 120)
        assert jabber.connected


# ── see-other-host ───────────────────────────────────────────────────────────


Script = Callable[[Peer], object]


class Elsewhere:
    """Two servers with TLS: the one of the settings, and the one that it sends its clients to."""

    def __init__(self, folder: Path, other_name: str = "example.test") -> None:
        import trustme

        authority = trustme.CA()
        self.contexts = []
        for name in ("example.test", other_name):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(name).configure_cert(context)
            self.contexts.append(context)
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))

    def old(self, *scripts: Script) -> Peer:
        return Peer(*map(inside_tls, scripts), tls=self.contexts[0])

    def new(self, *scripts: Script) -> Peer:
        return Peer(*map(inside_tls, scripts), tls=self.contexts[1])

    def server(self, peer: Peer) -> Server:
        return peer.server(tls="implicit", ca_file=self.ca_file)


def inside_tls(script: Script) -> Script:
    def run(peer: Peer) -> None:
        with contextlib.suppress(ssl.SSLError, ConnectionError):  # the client refuses it
            peer.start_tls()
            script(peer)

    return run


def test_inside_tls_the_client_goes_where_the_server_sends_it(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path
) -> None:
    world = Elsewhere(tmp_path)

    def sent_away(peer: Peer) -> None:
        come_online(peer)
        peer.send(elsewhere(f"127.0.0.1:{new.port}"))

    old, new = world.old(sent_away), world.new(served_until_closed)
    with old, new, Client(world.server(old), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        assert jabber.connected
    assert b"to='example.test'" in new.received[0]


def test_a_client_that_is_sent_away_before_the_login_logs_in_elsewhere(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path
) -> None:
    world = Elsewhere(tmp_path)

    def sent_away(peer: Peer) -> None:
        peer.expect(b"<stream:stream", b"'>")
        peer.send(HEADER + elsewhere(f"127.0.0.1:{new.port}"))

    old, new = world.old(sent_away), world.new(served_until_closed)
    with old, new, Client(world.server(old), clock, host) as jabber:
        assert jabber.connected
    assert b"</auth>" not in old.received[0]


def test_the_certificate_elsewhere_must_be_that_of_the_domain(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path
) -> None:
    world = Elsewhere(tmp_path, other_name="elsewhere.test")

    def sent_away(peer: Peer) -> None:
        come_online(peer)
        peer.send(elsewhere(f"127.0.0.1:{new.port}"))

    old, new = world.old(sent_away, served_until_closed), world.new(served_until_closed)
    with old, new, Client(world.server(old), clock, host) as jabber:
        jabber.wait(clock.time() + 120)
        assert jabber.connected
    assert new.received == [b""]
    assert any("not trusted for example.test" in line for line in host.lines)


@pytest.mark.parametrize("place", ["127.0.0.1:1", "no place at all", "", "[::g]:5222"])
def test_if_there_is_nothing_elsewhere_the_client_comes_back(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path, place: str
) -> None:
    world = Elsewhere(tmp_path)

    def sent_away(peer: Peer) -> None:
        come_online(peer)
        peer.send(elsewhere(place))

    old = world.old(sent_away, served_until_closed)
    with old, Client(world.server(old), clock, host) as jabber:
        jabber.wait(clock.time() + 120)
        assert jabber.connected


def test_in_clear_text_the_client_comes_back_to_the_old_place(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def sent_away(peer: Peer) -> None:
        come_online(peer)
        peer.send(elsewhere("127.0.0.1:1"))

    def sent_away_before_the_login(peer: Peer) -> None:
        peer.expect(b"<stream:stream", b"'>")
        peer.send(HEADER + elsewhere("127.0.0.1:1"))

    scripts = sent_away, sent_away_before_the_login, served_until_closed
    with Peer(*scripts) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 120)
        assert jabber.connected
    assert any("not trusted without TLS" in line for line in host.lines)


def test_a_server_that_sends_us_away_again_and_again_is_left_for_a_while(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path
) -> None:
    world = Elsewhere(tmp_path)

    def sent_away(peer: Peer) -> None:
        come_online(peer)
        peer.send(elsewhere(f"127.0.0.1:{old.port}"))

    old = world.old(*[sent_away] * 6, served_until_closed)
    with old, Client(world.server(old), clock, host) as jabber:
        jabber.wait(clock.time() + 120)
        assert jabber.connected
    events = [line.split()[0] for line in host.lines]
    assert events.count("jabber-redirected") == 5 and events.count("jabber-off-line") == 1


@pytest.mark.parametrize("until", [None, 1000.0])
@pytest.mark.parametrize("again", [b" ", b"<presence from='a@x.test/r'/>", b"<x xmlns='u'/>"])
def test_a_flood_does_not_keep_a_program_that_is_asked_to_stop(
    host: RecordingHost, again: bytes, until: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comms.xmpp.connection.STOPPING", 0.05)
    monkeypatch.setattr("comms.xmpp.session.GOODBYE", 0.05)
    monkeypatch.setattr("comms.link.GOODBYE", 0.05)
    clock = RealClock()

    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("stop"))
        with contextlib.suppress(OSError):
            while True:
                peer.socket.sendall(again * 100)

    with Peer(script) as peer:
        jabber = Client(peer.server(), clock, host)
        jabber.on_message(lambda message: clock.stop())
        jabber.wait(until and clock.time() + until)
        jabber.disconnect()
    clock.close()


def test_a_flood_of_spaces_does_not_prolong_a_wait(
    host: RecordingHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comms.xmpp.session.GOODBYE", 0.05)
    monkeypatch.setattr("comms.link.GOODBYE", 0.05)
    clock = RealClock()

    def script(peer: Peer) -> None:
        come_online(peer)
        with contextlib.suppress(OSError):
            while True:
                peer.socket.sendall(b" " * 100)

    with Peer(script) as peer:
        jabber = Client(peer.server(), clock, host)
        jabber.wait(clock.time() + 0.05)
        clock.stop()
        jabber.disconnect()
    clock.close()


def test_a_wall_clock_that_is_set_back_ends_no_wait(host: RecordingHost) -> None:
    class SetBack(JumpingClock):
        back = 0.0

        def time(self) -> float:
            return super().time() - self.back

        def wait(self, link: Any, until: float | None, or_stop: bool = False) -> bool:
            found = super().wait(link, until and until + self.back, or_stop)
            self.back += 7200.0
            return found

    clock, heard = SetBack(), []

    def script(peer: Peer) -> None:
        come_online(peer)
        answer_query(peer)  # the ping, after a silence
        peer.send(chat("still here"))

    with Peer(script) as peer:
        jabber = Client(peer.server(), clock, host)

        @jabber.on_message
        def end(message: Message) -> None:
            heard.append(message.text)
            clock.stop()

        jabber.wait()
        jabber.disconnect()
    clock.close()
    assert heard == ["still here"]

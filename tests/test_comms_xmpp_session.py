"""Opening a stream: TLS, login, binding; and what is never done silently in clear text."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.clock import RealClock
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unreachable
from comms.settings import Server, load
from comms.xmpp import srv, stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.resumption import Resumption
from comms.xmpp.session import Redirected, Session, account
from comms.xmpp.stream import LONGEST
from tests.scripted import Peer, RecordingHost, certificate

HEADER = (
    b"<?xml version='1.0'?><stream:stream from='example.test' id='s1' version='1.0' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
TLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
SESSION = b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"
SM = b"<sm xmlns='urn:xmpp:sm:3'/>"
SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"


def features(*content: bytes) -> bytes:
    return b"<stream:features>" + b"".join(content) + b"</stream:features>"


def mechanisms(*names: str) -> bytes:
    inside = "".join(f"<mechanism>{name}</mechanism>" for name in names)
    return f"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{inside}</mechanisms>".encode()


def stream_error(condition: str, text: str = "") -> bytes:
    space = "urn:ietf:params:xml:ns:xmpp-streams"
    details = f"<text xmlns='{space}'>{text}</text>" if text else ""
    error = f"<stream:error><{condition} xmlns='{space}'/>{details}</stream:error>"
    return f"{error}</stream:stream>".encode()


def open_stream(peer: Peer, *content: bytes) -> None:
    """Opens a stream and offers features on it."""
    peer.expect(b"<stream:stream", b">")
    peer.send(HEADER + features(*content))


def log_in(peer: Peer, *offered: bytes) -> None:
    """Serves a login by PLAIN, up to the binding of a resource; more may be `offered` with it."""
    open_stream(peer, mechanisms("PLAIN"))
    peer.expect(b"</auth>")
    peer.send(SUCCESS)
    open_stream(peer, BIND, *offered)
    bind(peer)


def bind(peer: Peer, jid: str = "bot@example.test/r1") -> None:
    """Answers the request for a resource."""
    id = id_of(peer.expect(b"</iq>"))
    content = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid}</jid></bind>"
    peer.send(f"<iq type='result' id='{id}'>{content}</iq>".encode())


def id_of(request: bytes) -> str:
    return request.partition(b"id='")[2].partition(b"'")[0].decode()


@pytest.fixture
def clock() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


def opened(peer: Peer, clock: RealClock, **changes: Any) -> Session:
    with Session(peer.server(**changes), clock, RecordingHost()) as session:
        return session


@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_a_stream_opens_however_the_bytes_are_split(clock: RealClock, chunk: int) -> None:
    def script(peer: Peer) -> None:
        log_in(peer)
        peer.expect(b"</stream:stream>")
        peer.send(b"</stream:stream>")

    with Peer(script, chunk=chunk) as peer:
        assert str(opened(peer, clock).jid) == "bot@example.test/r1"
    assert base64.b64encode(b"\0bot\0secret") in peer.received[0]
    assert peer.received[0].endswith(b"</stream:stream>")


def test_our_address_is_in_the_stream_header_inside_tls_only(
    clock: RealClock, tmp_path: Path
) -> None:
    context, ca_file = certificate(tmp_path, "example.test")
    headers = []

    def script(peer: Peer) -> None:
        headers.append(peer.expect(b"<stream:stream", b"'>"))
        peer.send(HEADER + features(TLS))
        peer.expect(TLS)
        peer.send(PROCEED)
        peer.start_tls()
        headers.append(peer.expect(b"<stream:stream", b"'>"))
        peer.send(HEADER + features(mechanisms("PLAIN")))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND)
        bind(peer)

    with Peer(script, tls=context) as peer:
        session = Session(
            peer.server(tls="starttls", auth="auto", ca_file=ca_file), clock, RecordingHost()
        )
        assert isinstance(session.link.tls, ssl.SSLObject)
        session.close()
    assert [b"from='bot@example.test'" in header for header in headers] == [False, True]
    assert all(b"to='example.test'" in header for header in headers)


def test_without_starttls_nothing_is_sent_in_clear_text(clock: RealClock) -> None:
    with Peer(lambda peer: open_stream(peer, mechanisms("PLAIN", "SCRAM-SHA-1"))) as peer:
        with pytest.raises(Refused, match="does not offer STARTTLS"):
            opened(peer, clock, tls="starttls")
    assert b"auth" not in peer.received[0]


def test_a_server_that_cannot_start_tls_now_is_try_later(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, TLS, mechanisms("PLAIN"))
        peer.expect(TLS)
        peer.send(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")

    with Peer(script) as peer, pytest.raises(TryLater, match="cannot start TLS"):
        opened(peer, clock, tls="starttls")
    assert b"auth" not in peer.received[0]


@pytest.mark.parametrize("injected", [b" ", b"<message/>", b"<stream:features/>"])
def test_clear_text_after_proceed_is_treated_as_an_attack(
    clock: RealClock, injected: bytes
) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, TLS)
        peer.expect(TLS)
        peer.send(PROCEED + injected)

    with Peer(script) as peer, pytest.raises(Unreachable, match="injection attack"):
        opened(peer, clock, tls="starttls")


def test_data_after_the_success_is_treated_as_an_attack(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS + b"<message/>")

    with Peer(script) as peer, pytest.raises(Unreachable, match="sends before it may"):
        opened(peer, clock)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_for_another_domain_is_refused_before_anything_is_sent(
    clock: RealClock, tmp_path: Path, tls: str
) -> None:
    context, ca_file = certificate(tmp_path, "other.test", "127.0.0.1", "localhost")

    def script(peer: Peer) -> None:
        if tls == "starttls":
            open_stream(peer, TLS)
            peer.expect(TLS)
            peer.send(PROCEED)
        with pytest.raises((ssl.SSLError, OSError)):
            peer.start_tls()

    with (
        Peer(script, tls=context) as peer,
        pytest.raises(Refused, match=r"not trusted for example\.test"),
    ):
        opened(peer, clock, tls=tls, ca_file=ca_file)


def test_a_certificate_of_an_unknown_authority_is_refused(clock: RealClock, tmp_path: Path) -> None:
    context, _ = certificate(tmp_path, "example.test")

    def script(peer: Peer) -> None:
        with pytest.raises((ssl.SSLError, OSError)):
            peer.start_tls()

    with Peer(script, tls=context) as peer, pytest.raises(Refused, match="ca_file"):
        opened(peer, clock, tls="implicit")


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("host-unknown", Refused),
        ("conflict", Refused),
        ("not-authorized", Refused),
        ("unsupported-version", Refused),
        ("system-shutdown", Unreachable),
        ("reset", Unreachable),
        ("connection-timeout", Unreachable),
        ("x", Unreachable),
    ],
)
def test_a_stream_error_decides_whether_another_attempt_makes_sense(
    clock: RealClock, condition: str, kind: type[CommsError]
) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"<stream:stream", b">")
        peer.send(HEADER + stream_error(condition, "because"))

    with Peer(script) as peer, pytest.raises(kind, match=rf"{condition} \(because\)") as raised:
        opened(peer, clock)
    assert type(raised.value) is kind


def elsewhere(place: str) -> bytes:
    """The end of a stream that sends the client to another place."""
    return (
        f"<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{place}"
        "</see-other-host></stream:error></stream:stream>"
    ).encode()


def test_a_redirection_in_clear_text_is_reported_and_not_followed(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"<stream:stream", b">")
        peer.send(HEADER + elsewhere("o.test"))

    with (
        Peer(script) as peer,
        pytest.raises(Unreachable, match=r"it names o\.test.*write that as host") as raised,
    ):
        opened(peer, clock)
    assert not isinstance(raised.value, Redirected)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("o.test", ("o.test", 0)),
        ("\n  o.test:5333\n ", ("o.test", 5333)),
        ("192.0.2.7:5222", ("192.0.2.7", 5222)),
        ("[2001:DB8::1]:9222", ("2001:db8::1", 9222)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("Bücher.test:1", ("xn--bcher-kva.test", 1)),
        ("2001:db8::1", None),
        ("o.test:0", None),
        ("o.test:65536", None),
        ("o.test:", None),
        ("bot@o.test", None),
        ("o.test/x", None),
        ("o test", None),
        ("[::g]:1", None),
        ("", None),
        ("a" * 5000, None),
    ],
)
def test_a_place_is_a_host_with_or_without_a_port(text: str, place: tuple[str, int] | None) -> None:
    assert srv.place(text.strip()) == place


def test_a_place_without_a_port_has_the_usual_one() -> None:
    host = RecordingHost()
    assert srv.candidates_at(("192.0.2.7", 0), "starttls", host, 1) == [("192.0.2.7", 5222)]
    assert srv.candidates_at(("2001:db8::1", 0), "implicit", host, 1) == [("2001:db8::1", 5223)]
    assert srv.candidates_at(("o.test", 99), "starttls", host, 1) == [("o.test", 99)]


def refusal_of_bind(request: bytes, condition: str, kind: str) -> bytes:
    """Answers the request for a resource by an error."""
    return (
        f"<iq type='error' id='{id_of(request)}'><error type='{kind}'>"
        f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    ).encode()


@pytest.mark.parametrize("kind", ["modify", "cancel", "wait", "auth"])
@pytest.mark.parametrize("wanted", ["", "/desk"])
def test_a_resource_that_is_taken_is_replaced_on_the_same_stream(
    clock: RealClock, kind: str, wanted: str
) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND)
        peer.send(refusal_of_bind(peer.expect(b"</iq>"), "conflict", kind))
        request = peer.expect(b"</iq>")
        assert b"<resource>" in request and b"desk" not in request
        id, name = id_of(request), request.partition(b"<resource>")[2].partition(b"<")[0].decode()
        jid = f"<jid>bot@example.test/{name}</jid>"
        content = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{jid}</bind>"
        peer.send(f"<iq type='result' id='{id}'>{content}</iq>".encode())
        peer.expect(b"</stream:stream>")
        peer.send(b"</stream:stream>")

    with (
        Peer(script) as peer,
        Session(peer.server(jid=f"bot@example.test{wanted}"), clock, RecordingHost()) as session,
    ):
        assert session.jid.resource not in ("", "desk")


@pytest.mark.parametrize("kind", ["cancel", "modify", "wait", "auth"])
@pytest.mark.parametrize(
    "condition",
    ["internal-server-error", "remote-server-timeout", "resource-constraint",
     "recipient-unavailable"],
)  # fmt: skip
def test_an_error_that_passes_is_try_later_whatever_its_type(
    clock: RealClock, condition: str, kind: str
) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND)
        peer.send(refusal_of_bind(peer.expect(b"</iq>"), condition, kind))

    with Peer(script) as peer, pytest.raises(TryLater, match=f"refused a resource: {condition}"):
        opened(peer, clock)


@pytest.mark.parametrize("condition", ["not-allowed", "forbidden", "bad-request", "not-authorized"])
def test_an_error_that_does_not_pass_is_final_unless_it_says_wait(
    clock: RealClock, condition: str
) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND)
        peer.send(refusal_of_bind(peer.expect(b"</iq>"), condition, "cancel"))

    with Peer(script) as peer, pytest.raises(Refused, match=condition):
        opened(peer, clock)


def test_a_server_from_before_xmpp_1_0_is_refused(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"<stream:stream", b">")
        peer.send(
            HEADER.replace(b" version='1.0' \n", b"").replace(b"id='s1' version='1.0'", b"id='s1'")
        )

    with Peer(script) as peer, pytest.raises(Refused, match=r"before XMPP 1\.0"):
        opened(peer, clock)


def test_a_silent_server_is_unreachable_after_the_timeout(clock: RealClock) -> None:
    with Peer(lambda peer: bool(peer.expect(b"</stream:stream>"))) as peer:
        with pytest.raises(
            Unreachable, match=r"did not send the opening of its stream within 0\.2 s"
        ):
            opened(peer, clock, timeout=0.2)


def test_a_refused_resource_is_an_error_with_the_reason(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND)
        request = peer.expect(b"</iq>")
        assert b"<resource>desk</resource>" in request
        peer.send(
            f"<iq type='error' id='{id_of(request)}'><error type='cancel'>"
            "<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>".encode()
        )

    with Peer(script) as peer, pytest.raises(Refused, match="refused a resource: conflict"):
        opened(peer, clock, jid="bot@example.test/desk")


def test_a_session_is_requested_from_a_server_that_requires_it(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        log_in(peer, SESSION)
        request = peer.expect(b"urn:ietf:params:xml:ns:xmpp-session", b"</iq>")
        peer.send(f"<iq type='result' id='{id_of(request)}'/>".encode())

    with Peer(script) as peer:
        opened(peer, clock)


PING = b"<iq type='get' id='p' from='ann@example.test/b'><ping xmlns='urn:xmpp:ping'/></iq>"
HELLO = b"<message from='ann@example.test/b'><body>hello</body></message>"


@pytest.mark.parametrize("older", [False, True])
def test_what_others_send_as_soon_as_a_resource_is_bound_is_received(
    clock: RealClock, older: bool
) -> None:
    """RFC 6120 §7.1: from then on, the resource is addressed by everybody who knows it."""

    def script(peer: Peer) -> None:
        log_in(peer, SESSION if older else SM)
        request = peer.expect(b"</iq>" if older else b"/>")
        peer.send(PING + HELLO)
        ready = f"<iq type='result' id='{id_of(request)}'/>".encode()
        peer.send(ready if older else b"<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>")
        peer.send(HELLO)
        peer.expect(b"</stream:stream>")

    with Peer(script) as peer:
        resumption = Resumption()
        with Session(peer.server(), clock, RecordingHost(), resumption=resumption) as session:
            found = [session.receive(clock.time() + 5) for _ in range(3)]
            sizes = session.size
    tags = [element.tag.rpartition("}")[2] for element in found if element is not None]
    assert (tags, sizes) == (["iq", "message", "message"], len(HELLO))
    assert older or resumption.handled == 1, "counted from <enabled/> on (XEP-0198 §4)"


def test_what_nobody_has_received_yet_is_taken_at_the_end(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        log_in(peer, SM)
        peer.expect(b"<enable")
        peer.send(HELLO + b"<enabled xmlns='urn:xmpp:sm:3'/>")
        peer.expect(b"</stream:stream>")

    taken: list[int] = []
    with Peer(script) as peer:
        session = Session(peer.server(), clock, RecordingHost(), resumption=Resumption())
        session.close(lambda element, size: taken.append(size))
    assert taken == [len(HELLO)]


def test_a_server_that_never_says_that_it_is_enabled_is_left(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        log_in(peer, SM)
        peer.expect(b"<enable")
        peer.send(HELLO * 1000)

    with (
        Peer(script) as peer,
        pytest.raises(Unreachable, match="sends stanzas instead of <enabled"),
    ):
        Session(peer.server(), clock, RecordingHost(), resumption=Resumption())


@pytest.mark.parametrize("count", [b"", b" h='x'", b" h='7'"])
def test_a_session_that_the_server_has_forgotten_is_not_asked_for_again(
    clock: RealClock, count: bytes
) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND, SM)
        peer.expect(b"<resume ", b"/>")
        peer.send(b"<failed xmlns='urn:xmpp:sm:3'" + count + b"/>")
        bind(peer)
        peer.expect(b"<enable", b"/>")
        peer.send(b"<failed xmlns='urn:xmpp:sm:3'/>")

    resumption = Resumption()
    resumption.begin("old", Jid.parse("bot@example.test/r1"), clock.time())
    sent = stanzas.message(Jid.parse("ann@example.test"), "hello")
    resumption.sent(sent, b"")
    with Peer(script) as peer:
        with Session(peer.server(), clock, RecordingHost(), resumption=resumption) as session:
            assert (session.resumed, session.lost) == (False, [sent])


def test_writing_over_a_lost_connection_is_unreachable(
    clock: RealClock,
) -> None:
    with Peer(log_in) as peer:
        session = Session(peer.server(), clock, RecordingHost())
        with pytest.raises(Unreachable, match="hung up"):
            session.receive(clock.time() + 5)
        with pytest.raises(Unreachable, match="the connection is lost"):
            session.send(stanzas.presence())
        session.close()


def test_invalid_xml_is_answered_by_a_stream_error(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        log_in(peer)
        peer.send(b"<message><body>&bomb;</body></message>")

    with Peer(script) as peer:
        session = Session(peer.server(), clock, RecordingHost())
        with pytest.raises(Unreachable, match="not-well-formed"):
            session.receive(clock.time() + 5)
    error = b"<not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
    assert error + b"</stream:stream>" in peer.received[0]


def test_an_element_without_end_is_refused_at_a_maximum_length(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        log_in(peer)
        try:
            for _ in range(LONGEST // 65536 * 4):
                peer.send(b"<message><body>" + b"x" * 65536)
        except OSError:
            pass

    with Peer(script) as peer:
        session = Session(peer.server(), clock, RecordingHost())
        with pytest.raises(Unreachable, match=r"policy-violation"):
            session.receive(clock.time() + 5)


STAGES = ["header", "features", "auth", "bind", "bound"]
_markup = b"""< > /> </ ' & &lt; <body> </body> </message> <presence/> </stream:stream> <!-- -->
<stream:features/> type='result' </challenge> cj1vdXJz \xff \x00""".split()
_fragments = st.sampled_from(
    [
        *_markup,
        b" ",
        b"<iq ",
        b" id='00000001'",
        b"<message from='a@b'>",
        b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>",
        b"<!DOCTYPE a>",
        b"<a>" * 200,
        HEADER,
        SUCCESS,
        PROCEED,
        BIND,
        stream_error("reset"),
    ]
)


@pytest.mark.parametrize("stage", STAGES)
@given(data=st.binary(max_size=60) | st.lists(_fragments, max_size=12).map(b"".join))
def test_any_bytes_at_any_stage_raise_only_errors_that_programs_expect(
    stage: str, data: bytes
) -> None:
    def script(peer: Peer) -> None:
        steps = STAGES.index(stage)
        peer.expect(b"<stream:stream", b">")
        if steps >= 1:
            peer.send(HEADER)
        if steps >= 2:
            peer.send(features(mechanisms("PLAIN", "SCRAM-SHA-256")))
            peer.expect(b"</auth>")
        if steps >= 3:
            peer.send(SUCCESS)
            open_stream(peer, BIND)
            if steps >= 4:
                bind(peer)
            else:
                peer.expect(b"</iq>")
        peer.send(data)

    clock = RealClock()
    try:
        with Peer(script) as peer:
            auth = "scram-sha-256" if stage == "auth" else "plain"
            try:
                session = Session(peer.server(timeout=5.0, auth=auth), clock, RecordingHost())
            except CommsError:
                return
            try:
                while session.receive(clock.time() + 5) is not None:
                    pass
            except CommsError:
                pass
            finally:
                session.close()
    finally:
        clock.close()


# ── the account ──────────────────────────────────────────────────────────────


def test_the_host_in_the_settings_is_optional_if_there_is_an_address() -> None:
    server = load({"xmpp": {"jid": "bot@example.test", "password": "x"}}).server("xmpp")
    assert (server.host, server.port) == ("", 5222)
    assert str(account(server)) == "bot@example.test"
    with pytest.raises(SettingsError, match=r"xmpp\.host: missing key"):
        load({"xmpp": {"password": "x"}}).server("xmpp")


@pytest.mark.parametrize("jid", ["example.test", "a b@example.test", "bot@"])
def test_an_address_without_an_account_is_a_settings_error(jid: str) -> None:
    with pytest.raises(SettingsError, match=r"xmpp\.jid.*write jid ="):
        account(Server("xmpp", "x.test", 5222, jid=jid))

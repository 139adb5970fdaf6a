"""Opening a stream: found, encrypted, logged in, bound; never silently in clear; no server is believed without proof."""

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
from comms.errors import CommsError, Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.settings import Server, load
from comms.xmpp import srv
from comms.xmpp.session import Session, account
from comms.xmpp.stream import OCTETS
from tests.scripted import Notebook, Peer, certificate

HEADER = (
    b"<?xml version='1.0'?><stream:stream from='example.test' id='s1' version='1.0' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
TLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
BIND = b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"


def features(*content: bytes) -> bytes:
    return b"<stream:features>" + b"".join(content) + b"</stream:features>"


def mechanisms(*names: str) -> bytes:
    inside = "".join(f"<mechanism>{name}</mechanism>" for name in names)
    return f"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{inside}</mechanisms>".encode()


def error(condition: str, text: str = "") -> bytes:
    space = "urn:ietf:params:xml:ns:xmpp-streams"
    said = f"<text xmlns='{space}'>{text}</text>" if text else ""
    return f"<stream:error><{condition} xmlns='{space}'/>{said}</stream:error></stream:stream>".encode()


def opens(peer: Peer, *content: bytes) -> None:
    """A stream, and what is offered on it."""
    peer.reads(b"<stream:stream", b">")
    peer.says(HEADER + features(*content))


def logs_in(peer: Peer) -> None:
    """A login by PLAIN, as far as the bound stream."""
    opens(peer, mechanisms("PLAIN"))
    peer.reads(b"</auth>")
    peer.says(SUCCESS)
    opens(peer, BIND)
    binds(peer)


def binds(peer: Peer, jid: str = "bot@example.test/r1") -> None:
    """The answer to the wish for a resource."""
    id = peer.reads(b"</iq>").partition(b"id='")[2].partition(b"'")[0]
    peer.says(
        b"<iq type='result' id='" + id + b"'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>"
        + jid.encode() + b"</jid></bind></iq>"
    )  # fmt: skip


@pytest.fixture
def clock() -> Iterator[RealClock]:
    one = RealClock()
    yield one
    one.close()


def opened(peer: Peer, clock: RealClock, **changes: Any) -> Session:
    with Session(peer.server(**changes), clock, Notebook()) as session:
        return session


@pytest.mark.parametrize("chop", [0, 1, 7])
def test_a_stream_opens_however_the_octets_are_chopped(clock: RealClock, chop: int) -> None:
    def play(peer: Peer) -> None:
        logs_in(peer)
        peer.reads(b"</stream:stream>")
        peer.says(b"</stream:stream>")

    with Peer(play, chop=chop) as peer:
        assert str(opened(peer, clock).jid) == "bot@example.test/r1"
    assert base64.b64encode(b"\0bot\0secret") in peer.said[0]
    assert peer.said[0].endswith(b"</stream:stream>")


def test_who_we_are_is_told_in_the_header_only_inside_tls(clock: RealClock, tmp_path: Path) -> None:
    context, ca_file = certificate(tmp_path, "example.test")
    headers = []

    def play(peer: Peer) -> None:
        headers.append(peer.reads(b"<stream:stream", b"'>"))
        peer.says(HEADER + features(TLS))
        peer.reads(TLS)
        peer.says(PROCEED)
        peer.starts_tls()
        headers.append(peer.reads(b"<stream:stream", b"'>"))
        peer.says(HEADER + features(mechanisms("PLAIN")))
        peer.reads(b"</auth>")
        peer.says(SUCCESS)
        opens(peer, BIND)
        binds(peer)

    with Peer(play, tls=context) as peer:
        session = Session(
            peer.server(tls="starttls", auth="auto", ca_file=ca_file), clock, Notebook()
        )
        assert isinstance(session.link.tls, ssl.SSLObject)
        session.close()
    assert [b"from='bot@example.test'" in one for one in headers] == [False, True]
    assert all(b"to='example.test'" in one for one in headers)


def test_a_server_that_offers_no_starttls_gets_nothing_more_in_clear(clock: RealClock) -> None:
    with Peer(lambda peer: opens(peer, mechanisms("PLAIN", "SCRAM-SHA-1"))) as peer:
        with pytest.raises(Refused, match="does not offer STARTTLS"):
            opened(peer, clock, tls="starttls")
    assert b"auth" not in peer.said[0]


def test_a_refused_starttls_ends_it(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        opens(peer, TLS, mechanisms("PLAIN"))
        peer.reads(TLS)
        peer.says(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")

    with Peer(play) as peer, pytest.raises(TryLater, match="cannot start TLS"):
        opened(peer, clock, tls="starttls")
    assert b"auth" not in peer.said[0]


@pytest.mark.parametrize("injected", [b" ", b"<message/>", b"<stream:features/>"])
def test_what_stands_in_clear_behind_proceed_ends_it(clock: RealClock, injected: bytes) -> None:
    def play(peer: Peer) -> None:
        opens(peer, TLS)
        peer.reads(TLS)
        peer.says(PROCEED + injected)

    with Peer(play) as peer, pytest.raises(Unreachable, match="injecting"):
        opened(peer, clock, tls="starttls")


def test_what_stands_behind_the_success_ends_it(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms("PLAIN"))
        peer.reads(b"</auth>")
        peer.says(SUCCESS + b"<message/>")

    with Peer(play) as peer, pytest.raises(Unreachable, match="before its turn"):
        opened(peer, clock)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_for_another_domain_is_refused_before_anything_is_said(
    clock: RealClock, tmp_path: Path, tls: str
) -> None:
    context, ca_file = certificate(tmp_path, "other.test", "127.0.0.1", "localhost")

    def play(peer: Peer) -> None:
        if tls == "starttls":
            opens(peer, TLS)
            peer.reads(TLS)
            peer.says(PROCEED)
        with pytest.raises((ssl.SSLError, OSError)):
            peer.starts_tls()

    with (
        Peer(play, tls=context) as peer,
        pytest.raises(Refused, match=r"not trusted for example\.test"),
    ):
        opened(peer, clock, tls=tls, ca_file=ca_file)


def test_a_certificate_of_an_unknown_authority_is_refused(clock: RealClock, tmp_path: Path) -> None:
    context, _ = certificate(tmp_path, "example.test")

    def play(peer: Peer) -> None:
        with pytest.raises((ssl.SSLError, OSError)):
            peer.starts_tls()

    with Peer(play, tls=context) as peer, pytest.raises(Refused, match="ca_file"):
        opened(peer, clock, tls="implicit")


@pytest.mark.parametrize(
    ("offered", "auth", "words"),
    [
        (("PLAIN",), "auto", 'auth = "plain" to allow it'),
        (("PLAIN",), "scram-sha-1", "no way to log in"),
        (("DIGEST-MD5", "X-OAUTH2"), "auto", "offered: DIGEST-MD5 X-OAUTH2"),
        ((), "auto", "offered: none"),
        (("SCRAM-SHA-1",), "plain", "no way to log in"),
    ],
)
def test_no_password_goes_where_the_settings_do_not_let_it(
    clock: RealClock, offered: tuple[str, ...], auth: str, words: str
) -> None:
    with (
        Peer(lambda peer: opens(peer, mechanisms(*offered))) as peer,
        pytest.raises(Refused) as refusal,
    ):
        opened(peer, clock, auth=auth)
    assert words in str(refusal.value)
    assert b"<auth" not in peer.said[0]


def test_a_server_that_insists_on_tls_says_what_to_write(clock: RealClock) -> None:
    with (
        Peer(lambda peer: opens(peer, TLS)) as peer,
        pytest.raises(Refused, match='write tls = "starttls"'),
    ):
        opened(peer, clock, auth="auto")


@pytest.mark.parametrize(
    "offered", [("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"), ("SCRAM-SHA-256", "PLAIN")]
)
def test_the_strongest_mechanism_is_ours_to_choose(
    clock: RealClock, offered: tuple[str, ...]
) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms(*offered))
        assert b"mechanism='SCRAM-SHA-256'" in peer.reads(b"</auth>")

    with Peer(play) as peer, pytest.raises(Unreachable):
        opened(peer, clock, auth="auto")


def test_a_refused_password_is_not_tried_again_another_way(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms("SCRAM-SHA-1", "PLAIN"))
        peer.reads(b"</auth>")
        peer.says(
            b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>who are you?</text></failure>"
        )

    with (
        Peer(play) as peer,
        pytest.raises(Refused, match=r"SCRAM-SHA-1: not-authorized \(who are you\?\)") as refusal,
    ):
        opened(peer, clock, auth="auto")
    assert peer.said[0].count(b"<auth") == 1
    assert "secret" not in str(refusal.value)


def test_a_login_that_fails_for_now_may_be_tried_later(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms("PLAIN"))
        peer.reads(b"</auth>")
        peer.says(
            b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><temporary-auth-failure/></failure>"
        )

    with Peer(play) as peer, pytest.raises(TryLater):
        opened(peer, clock)


@pytest.mark.parametrize(
    "last",
    [
        SUCCESS,
        b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</success>",
        b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1BQUFB</success>",  # v=AAAA
        b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%%%</success>",
        b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>dj1BQUFB</challenge>",
    ],
)
def test_a_server_that_cannot_prove_itself_is_left(clock: RealClock, last: bytes) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms("SCRAM-SHA-256"))
        said = (
            peer.reads(b"</auth>").partition(b"'>")[2].rpartition(b"<auth")[2].rpartition(b">")[2]
        )
        said = base64.b64decode(said or peer.said[0].rpartition(b"</auth>")[0].rpartition(b">")[2])
        challenge = base64.b64encode(
            said.partition(b"r=")[2].join([b"r=", b"more,s=QSXCR+Q6sek8bf92,i=4096"])
        )
        peer.says(
            b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + challenge + b"</challenge>"
        )
        peer.reads(b"</response>")
        peer.says(last)

    with Peer(play) as peer, pytest.raises(Refused, match=r"prove|base64"):
        opened(peer, clock, auth="scram-sha-256")
    assert b"<iq" not in peer.said[0]


def test_a_server_that_asks_on_and_on_is_left(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms("PLAIN"))
        peer.reads(b"</auth>")
        for _ in range(5):
            peer.says(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")

    with Peer(play) as peer, pytest.raises(Refused, match="one challenge after another"):
        opened(peer, clock)


@pytest.mark.parametrize(
    ("condition", "kind"),
    [
        ("host-unknown", Refused), ("conflict", Refused), ("not-authorized", Refused), ("unsupported-version", Refused),
        ("system-shutdown", Unreachable), ("reset", Unreachable), ("connection-timeout", Unreachable), ("x", Unreachable),
    ],
)  # fmt: skip
def test_a_stream_error_says_whether_to_come_back(
    clock: RealClock, condition: str, kind: type[CommsError]
) -> None:
    def play(peer: Peer) -> None:
        peer.reads(b"<stream:stream", b">")
        peer.says(HEADER + error(condition, "because"))

    with Peer(play) as peer, pytest.raises(kind, match=rf"{condition} \(because\)") as raised:
        opened(peer, clock)
    assert type(raised.value) is kind


def test_another_host_is_named_not_followed(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        peer.reads(b"<stream:stream", b">")
        space = b"urn:ietf:params:xml:ns:xmpp-streams"
        peer.says(
            HEADER
            + b"<stream:error><see-other-host xmlns='"
            + space
            + b"'>o.test</see-other-host></stream:error>"
        )

    with Peer(play) as peer, pytest.raises(Refused, match=r"it names o\.test: write that as host"):
        opened(peer, clock)


def test_a_server_from_before_xmpp_1_0_is_refused(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        peer.reads(b"<stream:stream", b">")
        peer.says(
            HEADER.replace(b" version='1.0' \n", b"").replace(b"id='s1' version='1.0'", b"id='s1'")
        )

    with Peer(play) as peer, pytest.raises(Refused, match=r"before XMPP 1\.0"):
        opened(peer, clock)


def test_a_server_that_says_nothing_is_left_in_time(clock: RealClock) -> None:
    with Peer(lambda peer: bool(peer.reads(b"</stream:stream>"))) as peer:
        with pytest.raises(Unreachable, match=r"within 0\.2 s: the opening of its stream was due"):
            opened(peer, clock, timeout=0.2)


def test_a_server_that_refuses_the_resource_says_why(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms("PLAIN"))
        peer.reads(b"</auth>")
        peer.says(SUCCESS)
        opens(peer, BIND)
        said = peer.reads(b"</iq>")
        assert b"<resource>desk</resource>" in said
        id = said.partition(b"id='")[2].partition(b"'")[0]
        peer.says(
            b"<iq type='error' id='" + id + b"'><error type='cancel'>"
            b"<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
        )

    with Peer(play) as peer, pytest.raises(Refused, match="refused a resource: conflict"):
        opened(peer, clock, jid="bot@example.test/desk")


def test_a_session_is_asked_for_where_an_old_server_insists(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        opens(peer, mechanisms("PLAIN"))
        peer.reads(b"</auth>")
        peer.says(SUCCESS)
        opens(peer, BIND, b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")
        binds(peer)
        said = peer.reads(b"urn:ietf:params:xml:ns:xmpp-session", b"</iq>")
        peer.says(
            b"<iq type='result' id='" + said.partition(b"id='")[2].partition(b"'")[0] + b"'/>"
        )

    with Peer(play) as peer:
        opened(peer, clock)


def test_a_lost_link_is_unreachable_before_writing_and_unknown_while_writing(
    clock: RealClock,
) -> None:
    from comms.xmpp import stanzas

    with Peer(logs_in) as peer:
        session = Session(peer.server(), clock, Notebook())
        with pytest.raises(Unreachable, match="hung up"):
            session.receive(clock.time() + 5)
        with pytest.raises(Unreachable, match="gone"):
            session.send(stanzas.presence())
        session.close()
        assert issubclass(Unknown, CommsError)


def test_a_broken_stream_is_answered_by_its_error(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        logs_in(peer)
        peer.says(b"<message><body>&bomb;</body></message>")

    with Peer(play) as peer:
        session = Session(peer.server(), clock, Notebook())
        with pytest.raises(Unreachable, match="not-well-formed"):
            session.receive(clock.time() + 5)
    assert (
        b"<not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
        in peer.said[0]
    )


def test_an_element_without_end_is_left_at_a_bounded_length(clock: RealClock) -> None:
    def play(peer: Peer) -> None:
        logs_in(peer)
        try:
            for _ in range(OCTETS // 65536 * 4):
                peer.says(b"<message><body>" + b"x" * 65536)
        except OSError:
            pass

    with Peer(play) as peer:
        session = Session(peer.server(), clock, Notebook())
        with pytest.raises(Unreachable, match=r"policy-violation"):
            session.receive(clock.time() + 5)


STAGES = ["header", "features", "auth", "bind", "bound"]
_bits = st.sampled_from([
    b"<", b">", b"/>", b"</", b"'", b"&", b"&lt;", b"<iq ", b"type='result'", b" id='00000001'", b"<message from='a@b'>",
    b"<body>", b"</body>", b"</message>", b"<presence/>", b"</stream:stream>", HEADER, b"<stream:features/>", SUCCESS,
    PROCEED, b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", b"</challenge>", b"cj1vdXJz", BIND, b"\xff", b"\x00",
    b"<!DOCTYPE a>", b"<!--", b"-->", b"<a>" * 200, error("reset"), b" ",
])  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
@given(data=st.binary(max_size=60) | st.lists(_bits, max_size=12).map(b"".join))
def test_any_octets_at_any_stage_end_in_an_error_that_programs_expect(
    stage: str, data: bytes
) -> None:
    def play(peer: Peer) -> None:
        steps = STAGES.index(stage)
        peer.reads(b"<stream:stream", b">")
        if steps >= 1:
            peer.says(HEADER)
        if steps >= 2:
            peer.says(features(mechanisms("PLAIN", "SCRAM-SHA-256")))
            peer.reads(b"</auth>")
        if steps >= 3:
            peer.says(SUCCESS)
            opens(peer, BIND)
            if steps >= 4:
                binds(peer)
            else:
                peer.reads(b"</iq>")
        peer.says(data)

    clock = RealClock()
    try:
        with Peer(play) as peer:
            auth = "scram-sha-256" if stage == "auth" else "plain"
            try:
                session = Session(peer.server(timeout=5.0, auth=auth), clock, Notebook())
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


# ── where the server is ──────────────────────────────────────────────────────


def test_the_settings_may_leave_the_host_to_the_address() -> None:
    server = load({"xmpp": {"jid": "bot@example.test", "password": "x"}}).server("xmpp")
    assert (server.host, server.port) == ("", 5222)
    assert str(account(server)) == "bot@example.test"
    with pytest.raises(SettingsError, match=r"xmpp\.host: missing key"):
        load({"xmpp": {"password": "x"}}).server("xmpp")


@pytest.mark.parametrize(
    ("jid", "user", "login"),
    [
        ("bot@example.test", "", "bot"), ("bot@example.test/desk", "bot@example.test", "bot"),
        ("", "bot@example.test", "bot"),
        ("bot@example.test", "robot", "robot"), ("bot@example.test", "me@corp.test", "me@corp.test"), ("", "bot", "bot"),
    ],
)  # fmt: skip
def test_who_logs_in_is_the_local_part_unless_the_settings_say_otherwise(
    clock: RealClock, jid: str, user: str, login: str
) -> None:
    with Peer(logs_in) as peer:
        server = Server(
            "xmpp", "127.0.0.1", peer.port, "none", None, user, "secret", "plain", 2.0, jid
        )
        Session(server, clock, Notebook()).close()
    assert base64.b64encode(f"\0{login}\0secret".encode()) in peer.said[0]


@pytest.mark.parametrize("jid", ["example.test", "a b@example.test", "bot@"])
def test_an_address_that_is_no_account_is_a_settings_error(jid: str) -> None:
    with pytest.raises(SettingsError, match=r"xmpp\.jid.*write jid ="):
        account(Server("xmpp", "x.test", 5222, jid=jid))


def test_without_records_the_domain_itself_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srv, "_look_up", lambda name, timeout: [])
    assert srv.candidates("b\u00fccher.test", "starttls", 5222, Notebook(), 1.0) == [
        ("xn--bcher-kva.test", 5222)
    ]


def test_records_are_tried_by_priority_and_the_heavier_likelier_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = [
        (20, 0, 5222, "last.test."),
        (10, 0, 5222, "light.test."),
        (10, 100, 5223, "heavy.test."),
    ]
    asked = []

    def look_up(name: str, timeout: float) -> list[tuple[int, int, int, str]]:
        asked.append(name)
        return records

    monkeypatch.setattr(srv, "_look_up", look_up)
    places = srv.candidates("x.test", "implicit", 5223, Notebook(), 1.0)
    assert places[2] == ("last.test", 5222)
    assert {places[0], places[1]} == {("light.test", 5222), ("heavy.test", 5223)}
    assert asked == ["_xmpps-client._tcp.x.test."]


def test_a_domain_that_serves_no_jabber_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srv, "_look_up", lambda name, timeout: [(0, 0, 0, ".")])
    with pytest.raises(Refused, match="serves no Jabber"):
        srv.candidates("x.test", "starttls", 5222, Notebook(), 1.0)


def test_a_place_where_nobody_listens_gives_way_to_the_next(
    clock: RealClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Peer(logs_in) as peer:
        records = [(1, 0, 1, "127.0.0.1."), (2, 0, peer.port, "127.0.0.1.")]
        monkeypatch.setattr(srv, "_look_up", lambda name, timeout: records)
        server = Server(
            "xmpp", "", 5222, "none", None, "", "secret", "plain", 2.0, "bot@example.test"
        )
        Session(server, clock, Notebook()).close()


def test_records_are_read_by_dnspython_from_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server of our own, of one answer, over UDP."""
    import socket
    import threading

    import dns.flags
    import dns.message
    import dns.resolver
    import dns.rrset

    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind(("127.0.0.1", 0))
    wire.settimeout(5)

    def answer() -> None:
        data, peer = wire.recvfrom(4096)
        question = dns.message.from_wire(data)
        reply = dns.message.make_response(question)
        name = question.question[0].name
        reply.answer.append(
            dns.rrset.from_text(name, 60, "IN", "SRV", "5 1 15222 xmpp.example.test.")
        )
        wire.sendto(reply.to_wire(), peer)

    thread = threading.Thread(target=answer)
    thread.start()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], wire.getsockname()[1]
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    try:
        assert srv.candidates("example.test", "starttls", 5222, Notebook(), 2.0) == [
            ("xmpp.example.test", 15222)
        ]
    finally:
        thread.join()
        wire.close()


def test_without_dnspython_the_domain_itself_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    assert srv.candidates("x.test", "starttls", 5222, Notebook(), 1.0) == [("x.test", 5222)]

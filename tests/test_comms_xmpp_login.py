"""Logging in to a Jabber server: which mechanism, and what a refusal or a false server leads to."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from comms.clock import RealClock
from comms.errors import Refused, TryLater, Unreachable
from comms.settings import Server
from comms.xmpp.session import Session
from tests.scripted import Peer, RecordingHost
from tests.test_comms_xmpp_session import SUCCESS, TLS, log_in, mechanisms, open_stream, opened


@pytest.fixture
def clock() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


@pytest.mark.parametrize(
    ("offered", "auth", "text"),
    [
        (("PLAIN",), "auto", 'auth = "plain" to allow it'),
        (("PLAIN",), "scram-sha-1", "no way to log in"),
        (("DIGEST-MD5", "X-OAUTH2"), "auto", "offered: DIGEST-MD5 X-OAUTH2"),
        ((), "auto", "offered: none"),
        (("SCRAM-SHA-1",), "plain", "no way to log in"),
    ],
)
def test_the_password_is_only_sent_as_the_settings_allow(
    clock: RealClock, offered: tuple[str, ...], auth: str, text: str
) -> None:
    with (
        Peer(lambda peer: open_stream(peer, mechanisms(*offered))) as peer,
        pytest.raises(Refused) as refusal,
    ):
        opened(peer, clock, auth=auth)
    assert text in str(refusal.value)
    assert b"<auth" not in peer.received[0]


def test_for_a_server_that_requires_tls_the_error_says_what_to_write(clock: RealClock) -> None:
    with (
        Peer(lambda peer: open_stream(peer, TLS)) as peer,
        pytest.raises(Refused, match='write tls = "starttls"'),
    ):
        opened(peer, clock, auth="auto")


@pytest.mark.parametrize(
    "offered", [("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"), ("SCRAM-SHA-256", "PLAIN")]
)
def test_the_strongest_mechanism_is_chosen_whatever_the_order_of_the_offer(
    clock: RealClock, offered: tuple[str, ...]
) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms(*offered))
        assert b"mechanism='SCRAM-SHA-256'" in peer.expect(b"</auth>")

    with Peer(script) as peer, pytest.raises(Unreachable):
        opened(peer, clock, auth="auto")


def test_a_refused_password_is_not_tried_with_another_mechanism(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("SCRAM-SHA-1", "PLAIN"))
        peer.expect(b"</auth>")
        peer.send(
            b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>"
            b"<text>who are you?</text></failure>"
        )

    with (
        Peer(script) as peer,
        pytest.raises(Refused, match=r"SCRAM-SHA-1: not-authorized \(who are you\?\)") as refusal,
    ):
        opened(peer, clock, auth="auto")
    assert peer.received[0].count(b"<auth") == 1
    assert "secret" not in str(refusal.value)


def test_a_temporary_failure_of_the_login_is_try_later(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(
            b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><temporary-auth-failure/></failure>"
        )

    with Peer(script) as peer, pytest.raises(TryLater):
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
def test_a_server_that_cannot_prove_that_it_knows_the_password_is_refused(
    clock: RealClock, last: bytes
) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("SCRAM-SHA-256"))
        peer.expect(b"</auth>")
        encoded = peer.received[0].rpartition(b"</auth>")[0].rpartition(b">")[2]
        nonce = base64.b64decode(encoded).partition(b"r=")[2]
        challenge = base64.b64encode(b"r=" + nonce + b"more,s=QSXCR+Q6sek8bf92,i=4096")
        peer.send(
            b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + challenge + b"</challenge>"
        )
        peer.expect(b"</response>")
        peer.send(last)

    with Peer(script) as peer, pytest.raises(Refused, match=r"prove|base64"):
        opened(peer, clock, auth="scram-sha-256")
    assert b"<iq" not in peer.received[0]


def test_a_server_that_sends_one_challenge_after_another_is_refused(clock: RealClock) -> None:
    def script(peer: Peer) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        for _ in range(5):
            peer.send(b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")

    with Peer(script) as peer, pytest.raises(Refused, match="one challenge after another"):
        opened(peer, clock)


@pytest.mark.parametrize(
    ("jid", "user", "login"),
    [
        ("bot@example.test", "", "bot"),
        ("bot@example.test/desk", "bot@example.test", "bot"),
        ("", "bot@example.test", "bot"),
        ("bot@example.test", "robot", "robot"),
        ("bot@example.test", "me@corp.test", "me@corp.test"),
        ("", "bot", "bot"),
    ],
)
def test_the_local_part_logs_in_unless_the_settings_name_another_user(
    clock: RealClock, jid: str, user: str, login: str
) -> None:
    with Peer(log_in) as peer:
        server = Server(
            "xmpp", "127.0.0.1", peer.port, "none", None, user, "secret", "plain", 2.0, jid
        )
        Session(server, clock, RecordingHost()).close()
    assert base64.b64encode(f"\0{login}\0secret".encode()) in peer.received[0]

"""What a stream offers next: TLS, then login, then binding."""

from __future__ import annotations

import pytest

from fakes.wire import TlsFacts
from fakes.xmpp.features import features, may_start_tls, must_start_tls
from fakes.xmpp.markup import local_name
from fakes.xmpp.service import Service
from tests.xmpp_raw import world

CLEAR = None
TLS = TlsFacts("TLSv1.3")
BOUND = TlsFacts("TLSv1.2", bindings={"tls-server-end-point": bytes(32)})


def offered(service: Service, tls: TlsFacts | None, logged_in: bool = False) -> list[str]:
    return [local_name(child.tag) for child in features(service, tls, logged_in)]


@pytest.mark.parametrize(
    ("policy", "in_clear", "inside"),
    [
        ("off", ["mechanisms"], ["mechanisms", "authentication"]),
        ("optional", ["starttls", "mechanisms"], ["mechanisms", "authentication"]),
        ("required", ["starttls"], ["mechanisms", "authentication"]),
    ],
)
def test_tls_is_offered_once_and_if_required_alone(
    policy: str, in_clear: list[str], inside: list[str]
) -> None:
    service = world(tls=policy).jabber.service
    assert offered(service, CLEAR) == in_clear and offered(service, TLS) == inside
    assert may_start_tls(service, CLEAR) == ("starttls" in in_clear)
    assert must_start_tls(service, CLEAR) == (policy == "required")
    assert not may_start_tls(service, TLS) and not must_start_tls(service, TLS)


def test_channel_binding_is_offered_with_the_types_that_the_connection_has() -> None:
    found = features(world(tls="optional").jabber.service, BOUND, logged_in=False)
    assert [local_name(child.tag) for child in found] == [
        "mechanisms",
        "sasl-channel-binding",
        "authentication",
    ]
    assert [child.get("type") for child in found[1]] == ["tls-server-end-point"]


def test_after_the_login_a_resource_can_be_bound() -> None:
    service = world().jabber.service
    assert offered(service, CLEAR, logged_in=True) == [
        "bind",
        "session",
        "ver",
        "sub",
        "c",
        "sm",
        "csi",
    ]
    names = ["session", "rosterver", "pre-approval", "caps", "client-state", "stream-management"]
    bare = world(off={"xmpp": names}).jabber.service
    assert offered(bare, CLEAR, logged_in=True) == ["bind"]


def test_after_a_login_that_has_bound_a_resource_nothing_of_that_is_offered_again() -> None:
    found = features(world().jabber.service, TLS, logged_in=True, bound=True)
    assert [local_name(child.tag) for child in found] == ["ver", "sub", "c", "sm", "csi"]


def test_without_any_mechanism_none_is_offered() -> None:
    names = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "DIGEST-MD5"]
    bare = world(off={"xmpp": names}).jabber.service
    assert offered(bare, CLEAR) == offered(bare, TLS) == []

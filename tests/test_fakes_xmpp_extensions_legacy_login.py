"""XEP-0078: the login of old clients. A transcript shows the main path."""

from __future__ import annotations

import hashlib

import pytest

from fakes.xmpp.stanzas import parse_stanza
from tests.xmpp_raw import HEADER, Client, bound, plain, world

OLD_HEADER = HEADER.replace(b" version='1.0'", b"")


def opened(header: bytes = HEADER, **config: object) -> Client:
    client = Client(world(xmpp={"on": ["legacy-login"]}, **config))
    client.says(header)
    return client


def log_in(client: Client, **fields: str) -> str:
    """Logs in; returns the condition of the error, "" if there is none."""
    content = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    query = f"<query xmlns='jabber:iq:auth'>{content}</query>"
    answer = client.says(f"<iq type='set' id='1'>{query}</iq>".encode())
    return parse_stanza(answer.partition(b"<stream:error")[0]).condition


@pytest.mark.parametrize("header", [HEADER, OLD_HEADER])
def test_a_password_or_a_digest_of_it_logs_in_and_binds(header: bytes) -> None:
    client = opened(header)
    assert log_in(client, username="romeo", password="secret", resource="old") == ""
    assert client.core.state == "BOUND"
    assert b"romeo@example.test/old" in client.says(b"<presence/>")
    client = opened(header)
    digest = hashlib.sha1(f"{client.core.id}secret".encode()).hexdigest()
    assert log_in(client, username="romeo", digest=digest, resource="old") == ""


@pytest.mark.parametrize(
    ("fields", "condition"),
    [
        ({"username": "romeo", "password": "wrong", "resource": "r"}, "not-authorized"),
        ({"username": "romeo", "digest": "00", "resource": "r"}, "not-authorized"),
        ({"username": "romeo", "resource": "r"}, "not-authorized"),
        ({"username": "nurse", "password": "secret", "resource": "r"}, "not-authorized"),
        ({"username": "romeo", "password": "secret"}, "not-acceptable"),
        ({"password": "secret", "resource": "r"}, "not-acceptable"),
    ],
)
def test_anything_else_is_refused(fields: dict[str, str], condition: str) -> None:
    client = opened()
    assert log_in(client, **fields) == condition and client.core.state == "OPEN"


def test_who_has_failed_by_sasl_does_not_get_in_here() -> None:
    client = opened()
    assert b"<not-authorized" in client.says(plain("romeo", "wrong"))
    answer = client.says(b"<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>")
    assert b"<stream:error><policy-violation " in answer and client.core.closed


def test_passwords_are_not_guessed_without_end() -> None:
    client = opened()
    guesses = [log_in(client, username="romeo", password=str(n), resource="r") for n in range(3)]
    assert guesses == ["not-authorized"] * 3
    content = "<username>romeo</username><password>4</password><resource>r</resource>"
    query = f"<query xmlns='jabber:iq:auth'>{content}</query>"
    assert b"<policy-violation" in client.says(f"<iq type='set' id='1'>{query}</iq>".encode())


def test_it_is_off_unless_the_world_names_it() -> None:
    client = Client(world())
    assert b"iq-auth" not in client.says(HEADER)
    get = b"<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>"
    assert b"<not-authorized" in client.says(get)
    assert b"<service-unavailable" in bound(world()).says(get)


def test_where_tls_is_required_nothing_happens_in_clear() -> None:
    client = opened(tls="required")
    assert log_in(client, username="romeo", password="secret", resource="r") == "policy-violation"

"""Login to a stream: which mechanisms are offered, base64, failures, and what is hidden."""

from __future__ import annotations

import base64

import pytest

from fakes import sasl
from fakes.wire import Refuse, TlsFacts
from fakes.xmpp.refusals import SaslFailure
from fakes.xmpp.sasl import (
    OFFERED,
    Login,
    decode,
    encode,
    failure,
    marked_wrong,
    mechanisms,
    secrets_of_broken,
)
from fakes.xmpp.service import Service
from tests.xmpp_raw import world

BOUND = TlsFacts("TLSv1.2", bindings={"tls-server-end-point": bytes(32)})
RIGHT = base64.b64encode(b"\0romeo\0secret")
WRONG = base64.b64encode(b"\0romeo\0guess")


def service(**xmpp: object) -> Service:
    return world(xmpp=xmpp).jabber.service


def log_in(login: Login, mechanism: str, content: bytes) -> bytes | None:
    return login.start(mechanism, content, "example.test", None)


# ── mechanisms ───────────────────────────────────────────────────────────────


def test_mechanisms_that_bind_to_tls_are_offered_only_inside_it() -> None:
    usual = ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "DIGEST-MD5"]
    assert mechanisms(service(), None) == usual
    assert mechanisms(service(), TlsFacts("TLSv1.3")) == usual, "a connection without binding data"
    plus = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]
    assert mechanisms(service(), BOUND) == [*plus, *usual]
    assert tuple(mechanisms(service(anonymous=True), BOUND)) == OFFERED


def test_in_tls_1_3_binding_mechanisms_are_offered_only_if_the_world_asks_for_them() -> None:
    inside = BOUND._replace(version="TLSv1.3")
    assert not any(name.endswith("-PLUS") for name in mechanisms(service(), inside))
    assert mechanisms(service(plus_on_tls13=True), inside) == mechanisms(service(), BOUND)


@pytest.mark.parametrize(
    "flag", [b"n,,", b"y,,", b"n,a=romeo@example.test,", b"y,a=romeo@example.test,"]
)
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_in_tls_1_3_clients_that_could_bind_log_in_without(flag: bytes, mechanism: str) -> None:
    inside = BOUND._replace(version="TLSv1.3")
    first = base64.b64encode(flag + b"n=romeo,r=abc")
    assert Login(service()).start(mechanism, first, "example.test", inside)


def test_where_binding_is_offered_a_client_that_missed_it_has_been_attacked() -> None:
    first = base64.b64encode(b"y,,n=romeo,r=abc")
    for offers, tls in (
        (service(), BOUND),
        (service(plus_on_tls13=True), BOUND._replace(version="TLSv1.3")),
    ):
        with pytest.raises(sasl.WrongCredentials):
            Login(offers).start("SCRAM-SHA-1", first, "example.test", tls)


@pytest.mark.parametrize(
    ("mechanism", "content", "condition"),
    [
        ("GSSAPI", b"", "invalid-mechanism"),
        ("ANONYMOUS", b"", "invalid-mechanism"),
        ("DIGEST-MD5", RIGHT, "malformed-request"),
        ("PLAIN", b"!", "incorrect-encoding"),
    ],
)
def test_a_request_that_cannot_be_a_login_is_refused(
    mechanism: str, content: bytes, condition: str
) -> None:
    with pytest.raises(Refuse) as caught:
        log_in(Login(service()), mechanism, content)
    assert caught.value.reply.condition == condition


def test_a_client_may_fail_as_often_as_the_policy_says() -> None:
    login = Login(service(attempts=2))
    with pytest.raises(sasl.WrongCredentials):
        log_in(login, "PLAIN", WRONG)
    assert login.fail(SaslFailure("aborted")), "giving up is not a wrong guess"
    assert login.fail(SaslFailure("not-authorized"))
    assert not login.fail(SaslFailure("not-authorized"))
    assert log_in(Login(service()), "PLAIN", RIGHT) is None


# ── base64 ───────────────────────────────────────────────────────────────────


def test_an_equals_sign_stands_for_an_empty_response() -> None:
    assert (decode(b"="), encode(b"")) == (b"", "=")
    assert (decode(b"AGE="), encode(b"\0a")) == (b"\0a", "AGE=")


@pytest.mark.parametrize("text", [b"A", b"A===", b"AGE=\n", b" AGE=", b"AG=E", b"\xff"])
def test_a_text_that_is_not_base64_is_refused(text: bytes) -> None:
    with pytest.raises(Refuse) as caught:
        decode(text)
    assert caught.value.reply.condition == "incorrect-encoding"


# ── what a client learns, and what a transcript shows ────────────────────────


def test_a_client_does_not_learn_whether_the_name_or_the_password_was_wrong() -> None:
    found = [
        failure(sasl.WrongCredentials("no such user")).condition,
        failure(sasl.ForeignIdentity("not yours")).condition,
        failure(sasl.Malformed("two parts")).condition,
    ]
    assert found == ["not-authorized", "invalid-authzid", "malformed-request"]
    assert failure(sasl.WrongCredentials("no such user")).text == ""


@pytest.mark.parametrize(
    ("mechanism", "content", "labels"),
    [
        ("PLAIN", RIGHT, ["plain romeo"]),
        ("PLAIN", WRONG, ["plain romeo wrong"]),
        ("PLAIN", b"!", ["not base64"]),
        ("GSSAPI", RIGHT, ["not base64"]),
        ("PLAIN", b"=", []),
        ("ANONYMOUS", base64.b64encode(b"trace"), []),
    ],
)
def test_a_response_is_replaced_by_a_label(
    mechanism: str, content: bytes, labels: list[str]
) -> None:
    secrets = Login(service()).secrets("auth", mechanism, (10, 10 + len(content)), content)
    assert [secret.label for secret in secrets] == labels
    assert all((secret.start, secret.end) == (10, 10 + len(content)) for secret in secrets)
    assert [marked_wrong(secret).label.count(" wrong") for secret in secrets] == [1] * len(labels)


def test_a_response_that_was_cut_off_is_hidden_too() -> None:
    raw = b"<auth mechanism='PLAIN'>AHJvbW"
    (secret,) = secrets_of_broken(raw)
    assert raw[secret.start : secret.end] == b"AHJvbW"
    assert secrets_of_broken(b"<auth mechanism='PLAIN'>") == secrets_of_broken(b"<message>x") == ()

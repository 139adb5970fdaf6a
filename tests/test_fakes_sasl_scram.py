"""SCRAM on the server's side: the published exchanges, byte for byte, and what must fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest

from fakes.sasl import Exchange, ForeignIdentity, Malformed, WrongCredentials
from tests.sasl_exchange import Accounts, exchange


def test_rfc_5802_section_5() -> None:
    salt = base64.b64decode("QSXCR+Q6sek8bf92")
    scram = exchange("SCRAM-SHA-1", "3rfcNHYJY1ZVvWVs7j", salt=lambda _: salt)
    challenge = scram.start(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
    nonce = b"fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
    assert challenge == b"r=" + nonce + b",s=QSXCR+Q6sek8bf92,i=4096"
    assert scram.answer(b"c=biws,r=" + nonce + b",p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=") is None
    assert (scram.user, scram.data) == ("user@example.test", b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")


def test_rfc_7677_section_3() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    scram = exchange("SCRAM-SHA-256", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", salt=lambda _: salt)
    challenge = scram.start(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    nonce = b"rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert challenge == b"r=" + nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert scram.answer(b"c=biws,r=" + nonce + proof) is None
    signature = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert (scram.user, scram.data) == ("user@example.test", signature)


# ── a client that can do anything ────────────────────────────────────────────


def with_proof(bare: bytes, challenge: bytes, final: bytes, password: str) -> bytes:
    """The final message with its proof added (RFC 5802 §3), for SCRAM-SHA-1."""
    fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salt, iterations = base64.b64decode(fields[b"s"]), int(fields[b"i"])
    salted = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, iterations)
    key = hmac.digest(salted, b"Client Key", "sha1")
    message = b",".join((bare, challenge, final))
    signature = hmac.digest(hashlib.sha1(key).digest(), message, "sha1")
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return final + b",p=" + base64.b64encode(proof)


def log_in(
    header: bytes = b"n,,",
    name: bytes = b"user",
    password: str = "pencil",
    channel_data: bytes = b"",
    repeated_header: bytes | None = None,
    mechanism: str = "SCRAM-SHA-1",
    change_final: Callable[[bytes], bytes] = lambda final: final,
    **more: Any,
) -> Exchange:
    """A whole login. `repeated_header` is the header in c=, by default the same as at first."""
    scram = exchange(mechanism, **more)
    bare = b"n=" + name + b",r=abc"
    challenge = scram.start(header + bare)
    assert challenge is not None
    nonce = challenge.split(b",")[0]
    repeated = header if repeated_header is None else repeated_header
    final = b"c=" + base64.b64encode(repeated + channel_data) + b"," + nonce
    assert scram.answer(change_final(with_proof(bare, challenge, final, password))) is None
    return scram


def test_the_right_password_logs_in() -> None:
    assert log_in().user == "user@example.test"


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "pen"},
        {"name": b"eve"},
        {"repeated_header": b"y,,"},
        {"channel_data": b"x"},
        {"change_final": lambda final: final.replace(b"r=abcnonce", b"r=abcnonce2")},
        {"change_final": lambda final: final.replace(b"r=abcnonce", b"r=abc")},
        {"change_final": lambda final: final.rpartition(b",p=")[0] + b",p=AAAA"},
        {"header": b"y,,", "plus": True},  # -PLUS was offered, but an attacker has removed it
    ],
)
def test_anything_else_that_differs_fails(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongCredentials):
        log_in(**wrong)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n,",
        b"n,,",
        b"n,,r=abc",
        b"n,,n=user",
        b"n,,r=abc,n=user",
        b"x,,n=user,r=abc",
        b"n,,m=ext,n=user,r=abc",
        b"n,,n=us=er,r=abc",
        b"n,,n=us=2cer,r=abc",
        b"n,b=x,n=user,r=abc",
        b"p=tls-unique,,n=user,r=abc",
        b"n,,n=user,r=\xff",
        b"n,,n=\xff,r=abc",
    ],
)
def test_a_first_message_of_another_form_is_malformed(first: bytes) -> None:
    with pytest.raises(Malformed):
        exchange("SCRAM-SHA-1").start(first)


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws",
        b"r=abcnonce,c=biws,p=AA==",
        b"c=biws,r=abcnonce,p=!",
        b"c=b,r=abcnonce,p=AA==",
    ],
)
def test_a_final_message_of_another_form_is_malformed(final: bytes) -> None:
    scram = exchange("SCRAM-SHA-1")
    scram.start(b"n,,n=user,r=abc")
    with pytest.raises(Malformed):
        scram.answer(final)


def test_commas_and_equals_signs_in_a_name_are_encoded() -> None:
    accounts = Accounts(**{"a,b=c": "pencil"})
    assert log_in(name=b"a=2Cb=3Dc", accounts=accounts).user == "a,b=c@example.test"


def test_an_unknown_name_gets_a_salt_like_any_other() -> None:
    challenges = {exchange("SCRAM-SHA-1").start(b"n,,n=eve,r=abc") for _ in range(3)}
    assert len(challenges) == 1, "the same each time"
    known = exchange("SCRAM-SHA-1").start(b"n,,n=user,r=abc")
    assert len(known or b"") == len(challenges.pop() or b"")


def test_passwords_are_compared_as_prepared() -> None:
    assert log_in(password="IX", accounts=Accounts(user="I\u00adX")).user


# ── channel binding and authorization ────────────────────────────────────────


def test_the_channel_that_the_client_binds_to_must_be_the_server_s() -> None:
    header, plus = b"p=tls-server-end-point,,", "SCRAM-SHA-1-PLUS"
    more: dict[str, Any] = {"bindings": {"tls-server-end-point": b"the certificate"}, "plus": True}
    assert log_in(header, channel_data=b"the certificate", mechanism=plus, **more).user
    with pytest.raises(WrongCredentials):
        log_in(header, channel_data=b"another", mechanism=plus, **more)
    with pytest.raises(WrongCredentials, match="no channel binding of type tls-exporter here"):
        log_in(b"p=tls-exporter,,", channel_data=b"x", mechanism=plus, **more)


def test_a_plus_mechanism_without_a_binding_is_malformed() -> None:
    for flag in (b"n,,", b"y,,"):
        with pytest.raises(Malformed):
            exchange("SCRAM-SHA-1-PLUS", plus=True).start(flag + b"n=user,r=abc")


def test_the_authorization_identity_must_mean_the_user() -> None:
    def identity(authzid: str) -> str:
        return authzid

    assert log_in(b"n,a=user@example.test,", identity=identity).user == "user@example.test"
    with pytest.raises(ForeignIdentity):
        log_in(b"n,a=other@example.test,", identity=identity)

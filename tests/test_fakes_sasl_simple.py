"""PLAIN, LOGIN, CRAM-MD5 and ANONYMOUS: which response logs in, and which is refused."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from fakes.sasl import ForeignIdentity, Malformed, WrongCredentials
from tests.sasl_exchange import Accounts, exchange

TIM = Accounts(tim="tanstaaftanstaaf")


def cram_md5(password: str, challenge: bytes) -> bytes:
    return hmac.new(password.encode(), challenge, hashlib.md5).hexdigest().encode()


# ── PLAIN ────────────────────────────────────────────────────────────────────


def test_plain_logs_in_with_the_right_password() -> None:
    plain = exchange("PLAIN")
    assert plain.start(b"\0user\0pencil") is None
    assert (plain.user, plain.data) == ("user@example.test", None)
    with pytest.raises(WrongCredentials):
        exchange("PLAIN").start(b"\0user\0pen")
    with pytest.raises(WrongCredentials):
        exchange("PLAIN").start(b"\0eve\0pencil")


@pytest.mark.parametrize(
    "response",
    [
        b"user\0pencil",
        b"\0\0pencil",
        b"\0user\0",
        b"\0user\0pencil\0",
        b"\0" + b"u" * 256 + b"\0p",
        b"\0\xff\0pencil",
    ],
)
def test_a_response_of_another_form_than_plain_is_malformed(response: bytes) -> None:
    with pytest.raises(Malformed):
        exchange("PLAIN").start(response)


def test_plain_may_name_only_the_user_as_authorization_identity() -> None:
    plain = exchange("PLAIN")
    assert plain.start(b"user\0user\0pencil") is None
    assert plain.user == "user@example.test"
    for other in (b"chris", b"eve"):
        with pytest.raises(ForeignIdentity):
            exchange("PLAIN").start(other + b"\0user\0pencil")
    with pytest.raises(WrongCredentials) as caught:
        exchange("PLAIN").start(b"chris\0user\0wrong")
    assert not isinstance(caught.value, ForeignIdentity), "first the password, then the identity"


def test_passwords_are_compared_as_prepared() -> None:
    accounts = Accounts(user="I\u00adX", other="\u2168")
    assert exchange("PLAIN", accounts=accounts).start(b"\0user\0IX") is None
    assert exchange("PLAIN", accounts=accounts).start(b"\0other\0IX") is None


# ── LOGIN ────────────────────────────────────────────────────────────────────


def test_login_asks_for_name_and_password() -> None:
    login = exchange("LOGIN")
    assert login.start() == b"Username:"
    assert login.answer(b"user") == b"Password:"
    assert login.name == "user"
    assert login.answer(b"pencil") is None
    assert login.user == "user@example.test"


def test_an_initial_response_of_login_is_the_name() -> None:
    login = exchange("LOGIN")
    assert login.start(b"user") == b"Password:"
    with pytest.raises(WrongCredentials):
        login.answer(b"pen")


# ── CRAM-MD5 ─────────────────────────────────────────────────────────────────


def test_rfc_2195_section_2() -> None:
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    cram = exchange("CRAM-MD5", "1896.697170952", "postoffice.reston.mci.net", accounts=TIM)
    assert cram.start() == challenge
    assert cram.answer(b"tim b913a602c7eda7a495b4e6e7334d3890") is None
    assert cram.user == "tim@example.test"


def test_cram_md5_fails_for_a_wrong_digest_or_an_unknown_user() -> None:
    for response in (b"user " + b"0" * 32, b"eve " + cram_md5("\0", b"<nonce@example.test>")):
        cram = exchange("CRAM-MD5")
        cram.start()
        with pytest.raises(WrongCredentials):
            cram.answer(response)


def test_a_name_in_cram_md5_may_contain_spaces() -> None:
    cram = exchange("CRAM-MD5", accounts=Accounts(**{"the user": "pencil"}))
    challenge = cram.start() or b""
    assert cram.answer(b"the user " + cram_md5("pencil", challenge)) is None
    assert cram.user == "the user@example.test"


# ── ANONYMOUS ────────────────────────────────────────────────────────────────


def test_anonymous_makes_a_new_account_and_ignores_the_trace() -> None:
    anonymous = exchange("ANONYMOUS", anonymous=lambda: "fresh@example.test")
    assert anonymous.start("é".encode() * 255) is None
    assert anonymous.user == "fresh@example.test"
    for trace in ("é".encode() * 256, b"\xff"):
        with pytest.raises(Malformed):
            exchange("ANONYMOUS").start(trace)

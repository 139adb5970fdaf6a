"""The client's side of SASL: the published exchanges, and servers that break the protocol."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.errors import Refused
from comms.sasl import Scram, cram_md5, login, plain

# The digest, our nonce, and the messages in turn: client-first, server-first, client-final,
# server-final. The user is "user", the password "pencil".
RFC_5802 = (
    "sha1",
    "fyko+d2lbbFgONRv9qkxdawL",
    "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
RFC_7677 = (
    "sha256",
    "rOprNGfwEbeRWgbNEkqO",
    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)


@pytest.mark.parametrize("exchange", [RFC_5802, RFC_7677], ids=["RFC 5802 §5", "RFC 7677 §3"])
def test_the_published_exchanges_are_reproduced(exchange: tuple[str, ...]) -> None:
    digest, nonce, client_first, server_first, client_final, server_final = exchange
    scram = Scram(digest, "user", "pencil", nonce)
    assert scram(b"").decode() == client_first
    assert scram(server_first.encode()).decode() == client_final
    assert not scram.proven
    assert scram(server_final.encode()) == b""
    assert scram.proven


def test_plain_sends_user_and_password() -> None:
    assert plain("tim", "tanstaaftanstaaf")(b"") == b"\0tim\0tanstaaftanstaaf"


def test_login_answers_the_prompts_in_order_whatever_they_say() -> None:
    respond = login("tim", "secret")
    assert [respond(b"Login?"), respond(b"Code?"), respond(b"More?")] == [b"tim", b"secret", b""]


def test_the_cram_md5_digest_is_that_of_rfc_2195() -> None:
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    digest = b"tim b913a602c7eda7a495b4e6e7334d3890"
    assert cram_md5("tim", "tanstaaftanstaaf")(challenge) == digest  # RFC 2195 §2


# ── servers that break the protocol ──────────────────────────────────────────


def begun() -> Scram:
    scram = Scram("sha1", "user", "pencil", "ours")
    scram(b"")
    return scram


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"r=ours,s=QSXC,i=4096",
        b"r=theirs,s=QSXC,i=4096",
        b"r=ours1,s=Q,i=4096",
        b"r=ours1,s=QSXC,i=0",
        b"r=ours1,s=QSXC,i=-1",
        b"r=ours1,s=QSXC,i=4096.5",
        b"r=ours1,s=QSXC,i=99999999999",
        b"r=ours1,s=QSXC",
        b"m=x,r=ours1,s=QSXC,i=4096",
        b"\xff",
        "r=ours1,s=QSXC,i=४०९६".encode(),
        b"r=ours1,s=\xc3\xa9\xc3\xa9,i=1",
    ],
)
def test_an_invalid_challenge_is_refused(challenge: bytes) -> None:
    with pytest.raises(Refused):
        begun()(challenge)


@pytest.mark.parametrize("last", [b"", b"v=", b"v=AAAA", b"e=unknown-user", b"x", b"\xff", b"v=%"])
def test_a_server_that_does_not_know_the_password_is_refused(last: bytes) -> None:
    scram = begun()
    scram(b"r=ours1,s=QSXC,i=4096")
    with pytest.raises(Refused):
        scram(last)
    assert not scram.proven


def test_a_challenge_after_the_end_is_refused() -> None:
    _, nonce, _, server_first, _, server_final = RFC_5802
    scram = Scram("sha1", "user", "pencil", nonce)
    for challenge in ("", server_first, server_final):
        scram(challenge.encode())
    with pytest.raises(Refused, match="after the end of SCRAM"):
        scram(b"")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_two_challenges_of_a_server_without_the_password_are_refused(
    first: bytes, second: bytes
) -> None:
    scram = begun()
    with pytest.raises(Refused):
        scram(first)
        scram(second)


def test_names_and_passwords_are_prepared_and_escaped() -> None:
    # RFC 4013 §3: a soft hyphen is ignored, the Roman numeral IX becomes two letters.
    assert Scram("sha1", "I\u00adX", "x", "n")(b"") == b"n,,n=IX,r=n"
    assert Scram("sha1", "\u2168", "x", "n")(b"") == b"n,,n=IX,r=n"
    assert Scram("sha1", "a=b,c", "x", "n")(b"") == b"n,,n=a=3Db=2Cc,r=n"


@pytest.mark.parametrize("password", ["tab\there", "\u0627\u0031", "\ue000secret"])
def test_a_password_that_cannot_be_prepared_is_not_in_the_error(password: str) -> None:
    with pytest.raises(Refused) as refusal:
        Scram("sha1", "user", password, "n")
    assert password not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_proof_is_base64_with_the_length_of_the_digest() -> None:
    proof = begun()(b"r=ours1,s=QSXC,i=1").rpartition(b",p=")[2]
    assert len(base64.b64decode(proof, validate=True)) == 20

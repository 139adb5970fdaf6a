"""The client's side of SASL, against the published exchanges and servers that cheat."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.errors import Refused
from comms.sasl import Scram

# digest, user, password, our nonce, then what is said in turn: RFC 5802 §5, RFC 7677 §3
PUBLISHED = [
    (
        "sha1", "user", "pencil", "fyko+d2lbbFgONRv9qkxdawL",
        "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "sha256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO",
        "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("digest", "user", "password", "nonce", "hello", "asked", "proof", "proven"), PUBLISHED
)
def test_the_published_exchanges_come_out(
    digest: str,
    user: str,
    password: str,
    nonce: str,
    hello: str,
    asked: str,
    proof: str,
    proven: str,
) -> None:
    scram = Scram(digest, user, password, nonce)
    assert scram(b"").decode() == hello
    assert scram(asked.encode()).decode() == proof
    assert not scram.proven
    assert scram(proven.encode()) == b""
    assert scram.proven


def begun() -> Scram:
    scram = Scram("sha1", "user", "pencil", "ours")
    scram(b"")
    return scram


@pytest.mark.parametrize(
    "challenge",
    [
        b"", b"r=ours,s=QSXC,i=4096", b"r=theirs,s=QSXC,i=4096", b"r=ours1,s=Q,i=4096", b"r=ours1,s=QSXC,i=0",
        b"r=ours1,s=QSXC,i=-1", b"r=ours1,s=QSXC,i=4096.5", b"r=ours1,s=QSXC,i=99999999999", b"r=ours1,s=QSXC",
        b"m=x,r=ours1,s=QSXC,i=4096", b"\xff", "r=ours1,s=QSXC,i=४०९६".encode(), b"r=ours1,s=\xc3\xa9\xc3\xa9,i=1",
    ],
)  # fmt: skip
def test_a_challenge_that_makes_no_sense_is_refused(challenge: bytes) -> None:
    with pytest.raises(Refused):
        begun()(challenge)


@pytest.mark.parametrize("last", [b"", b"v=", b"v=AAAA", b"e=unknown-user", b"x", b"\xff", b"v=%"])
def test_a_server_that_does_not_know_the_password_is_not_believed(last: bytes) -> None:
    scram = begun()
    scram(b"r=ours1,s=QSXC,i=4096")
    with pytest.raises(Refused):
        scram(last)
    assert not scram.proven


def test_a_server_that_asks_on_and_on_is_refused() -> None:
    _, _, _, nonce, _, asked, _, proven = PUBLISHED[0]
    scram = Scram("sha1", "user", "pencil", nonce)
    for challenge in ("", asked, proven):
        scram(challenge.encode())
    with pytest.raises(Refused, match="over"):
        scram(b"")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_octets_of_a_server_end_in_a_refusal_or_go_on(first: bytes, second: bytes) -> None:
    scram = begun()
    with pytest.raises(Refused):
        scram(first)
        scram(second)


def test_names_and_passwords_are_prepared_and_escaped() -> None:
    # RFC 4013 §3: a soft hyphen is nothing, a Roman numeral IX is two letters
    assert Scram("sha1", "I\u00adX", "x", "n")(b"") == b"n,,n=IX,r=n"
    assert Scram("sha1", "\u2168", "x", "n")(b"") == b"n,,n=IX,r=n"
    assert Scram("sha1", "a=b,c", "x", "n")(b"") == b"n,,n=a=3Db=2Cc,r=n"


@pytest.mark.parametrize("password", ["tab\there", "\u0627\u0031", "\ue000secret"])
def test_a_password_that_cannot_be_prepared_is_refused_without_being_shown(password: str) -> None:
    with pytest.raises(Refused) as refusal:
        Scram("sha1", "user", password, "n")
    assert password not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_proof_is_base64_of_the_right_length() -> None:
    proof = begun()(b"r=ours1,s=QSXC,i=1").rpartition(b",p=")[2]
    assert len(base64.b64decode(proof, validate=True)) == 20

"""The Hashed Token mechanisms: what the client proves, and what the server proves back."""

from __future__ import annotations

import hmac
from functools import partial

import pytest

from fakes import sasl
from fakes.people import People, Person
from fakes.sasl import HASHED_TOKEN
from fakes.sasl.hashed_token import hashed_token

ANN = "ann@example.test"
TOKENS = ["newer", "older"]
BINDINGS = {kind: kind.encode() for kind in HASHED_TOKEN.values() if kind}


def log_in(response: bytes, mechanism: str = "HT-SHA-256-NONE") -> tuple[sasl.Exchange, list[str]]:
    """Takes the one step of a login; returns the exchange, and the tokens that were accepted."""
    accepted: list[str] = []
    context = sasl.Context(
        People([Person(ANN, "secret"), Person("bob@example.test", "secret")]),
        nonce=lambda: "nonce",
        host="example.test",
        bindings=BINDINGS,
    )
    own = partial(
        hashed_token,
        mechanism,
        lambda address: TOKENS if address == ANN else [],
        lambda address, token: accepted.append(f"{address} {token}"),
    )
    exchange = sasl.Exchange(mechanism, context, own)
    assert exchange.start(response) is None
    return exchange, accepted


def proof(token: str, binding: bytes = b"", name: bytes = b"ann") -> bytes:
    return name + b"\0" + hmac.digest(token.encode(), b"Initiator" + binding, "sha256")


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("mechanism", HASHED_TOKEN)
def test_both_sides_prove_the_token_and_the_channel(mechanism: str, token: str) -> None:
    binding = BINDINGS.get(HASHED_TOKEN[mechanism], b"")
    exchange, accepted = log_in(proof(token, binding), mechanism)
    assert (exchange.user, accepted) == (ANN, [f"{ANN} {token}"])
    assert exchange.data == hmac.digest(token.encode(), b"Responder" + binding, "sha256")


@pytest.mark.parametrize(
    "response",
    [
        proof("wrong"),
        proof(""),
        proof("newer", b"tls-exporter"),
        proof("newer", name=b"bob"),
        proof("", name=b"bob"),
        proof("", name=b"nobody"),
        proof("newer") + b"x",
        proof("newer")[:-1],
    ],
)
def test_anything_else_is_wrong(response: bytes) -> None:
    with pytest.raises(sasl.WrongCredentials):
        log_in(response)


@pytest.mark.parametrize("response", [b"", b"ann", b"ann\0", b"\0x", b"\xff\0x"])
def test_a_response_has_a_name_and_a_hash(response: bytes) -> None:
    with pytest.raises(sasl.Malformed):
        log_in(response)

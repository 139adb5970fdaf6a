"""The Hashed Token mechanisms (draft-schmaus-kitten-sasl-ht-09): a login by a token, in one step.

    client:  name NUL HMAC(token, "Initiator" binding)
    server:  HMAC(token, "Responder" binding)

The token is one that the server has given to this client before (XEP-0484), and never crosses the
wire here. `binding` is the data of the TLS channel, of the type that the mechanism's name says.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable

from fakes.sasl.context import (
    Context,
    Malformed,
    Steps,
    Success,
    WrongCredentials,
    decode_text,
)
from fakes.sasl.names import HASHED_TOKEN


def hashed_token(
    mechanism: str,
    tokens: Callable[[str], Iterable[str]],
    accept: Callable[[str, str], None],
    context: Context,
) -> Steps:
    """A login with one of `tokens(address)`, those of the account and of the client.

    `accept(address, token)` is called with the one that was proved. It may still raise SaslError.
    """
    name, nul, proof = (yield b"").partition(b"\0")
    if not name or not nul or not proof:
        raise Malformed("HT wants: name NUL hash (draft-schmaus-kitten-sasl-ht-09 section 3.1)")
    account = context.accounts.find(decode_text(name))
    binding = context.bindings.get(HASHED_TOKEN[mechanism], b"")
    known = list(tokens(account.address)) if account is not None else []
    # Compare even for an unknown user, so that neither the answer nor its time shows that.
    right = [token for token in known or [""] if _proves(proof, token, binding)]
    if account is None or not known or not right:
        raise WrongCredentials("authentication failed")
    accept(account.address, right[0])
    return Success(
        account.address, hmac.digest(right[0].encode(), b"Responder" + binding, "sha256")
    )


def _proves(proof: bytes, token: str, binding: bytes) -> bool:
    expected = hmac.digest(token.encode(), b"Initiator" + binding, "sha256")
    return hmac.compare_digest(proof, expected)

"""SCRAM (RFC 5802; RFC 7677 for SHA-256): client and server prove to each other that they know the
password, which never crosses the wire.

    client-first:  n,,n=user,r=NONCE1
    server-first:  r=NONCE1NONCE2,s=SALT,i=4096
    client-final:  c=biws,r=NONCE1NONCE2,p=PROOF
    server-final:  v=SIGNATURE

`n,,` is the GS2 header. Its flag says what the client knows of channel binding: `n` it cannot bind,
`y` it could but saw no -PLUS mechanism, `p=TYPE` it binds. `c=` repeats the header and holds the
data of the channel, so that an attacker in between cannot change either.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from functools import lru_cache
from typing import NamedTuple

from fakes.sasl.context import (
    Context,
    Malformed,
    Steps,
    Success,
    WrongCredentials,
    decode_text,
    prepare,
)

# RFC 5802 §7. A first message whose bare part begins with m= has an extension that must be
# understood; there is none (§5.1), so that the pattern does not allow it.
_GS2_HEADER = re.compile(rb"(n|y|p=([A-Za-z0-9.-]+)),(?:a=([^,]+))?,")
_FIRST_BARE = re.compile(rb"n=([^,]*),r=([!-+\--~]+)(?:,.*)?", re.S)
_FINAL = re.compile(
    rb"(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,[A-Za-oq-z]=[^,]*+)*+),p=([A-Za-z0-9+/=]+)"
)


class _First(NamedTuple):
    """The client's first message."""

    header: bytes  # the GS2 header
    flag: bytes
    binding_type: bytes | None
    authzid: bytes
    bare: bytes  # the message without the header
    name: bytes
    nonce: bytes


class _Final(NamedTuple):
    """The client's final message."""

    without_proof: bytes
    binding: bytes  # the value of c=, base64
    nonce: bytes
    proof: bytes  # base64


def scram(algorithm: str, plus: bool, context: Context) -> Steps:
    """SCRAM with the hash `algorithm`. In the `plus` variants the client binds to the TLS channel.

    The names are those of RFC 5802 §3, where the whole computation is on one page.
    """
    first = _parse_first((yield b""))
    channel_data = _channel_data(context, first, plus)
    name, authzid = _decode_name(first.name), _decode_name(first.authzid)
    account = context.accounts.find(name)

    # An unknown name gets a salt and a challenge like any other (RFC 5802 §7).
    salt = context.salt(account.address if account else name)
    password = account.password if account else ""
    nonce = first.nonce + context.nonce().encode()
    server_first = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(salt), context.iterations)
    final = _parse_final((yield server_first))

    stored_key, server_key = _keys(algorithm, password, salt, context.iterations)
    auth_message = b",".join((first.bare, server_first, final.without_proof))
    client_signature = hmac.digest(stored_key, auth_message, algorithm)
    proven = _proves(_decode_base64(final.proof), client_signature, stored_key, algorithm)
    bound = hmac.compare_digest(_decode_base64(final.binding), first.header + channel_data)
    if account is None or not proven or not bound or final.nonce != nonce:
        raise WrongCredentials("authentication failed")

    address = context.authorize(authzid, account.address)
    server_signature = hmac.digest(server_key, auth_message, algorithm)
    return Success(address, b"v=" + base64.b64encode(server_signature))


def _parse_first(message: bytes) -> _First:
    """Raises Malformed."""
    header = _GS2_HEADER.match(message)
    bare = message[header.end() :] if header else b""
    fields = _FIRST_BARE.fullmatch(bare)
    if header is None or fields is None:
        raise Malformed("SCRAM wants n,,n=user,r=nonce (RFC 5802 section 7)")
    flag, binding_type, authzid = header[1], header[2], header[3] or b""
    return _First(header[0], flag, binding_type, authzid, bare, fields[1], fields[2])


def _parse_final(message: bytes) -> _Final:
    """Raises Malformed."""
    fields = _FINAL.fullmatch(message)
    if fields is None:
        raise Malformed("SCRAM wants c=...,r=...,p=... (RFC 5802 section 7)")
    return _Final(fields[1], fields[2], fields[3], fields[4])


def _channel_data(context: Context, first: _First, plus: bool) -> bytes:
    """The data of the TLS channel that c= must hold after the header (RFC 5802 §6).

    Raises SaslError.
    """
    if plus != (first.binding_type is not None):
        raise Malformed("p=TYPE belongs to the mechanisms that end in -PLUS, and only to these")
    if first.flag == b"y" and context.plus:
        # The client could bind and thinks that the server cannot, although the server does offer
        # it. An attacker must have taken -PLUS out of the list of mechanisms.
        raise WrongCredentials("the client saw no -PLUS mechanism, although one was offered")
    if first.binding_type is None:
        return b""
    binding_type = first.binding_type.decode()
    data = context.bindings.get(binding_type)
    if data is None:
        raise WrongCredentials(f"no channel binding of type {binding_type} here")
    return data


def _proves(proof: bytes, client_signature: bytes, stored_key: bytes, algorithm: str) -> bool:
    """Whether the proof was made with the password (RFC 5802 §3).

    ClientProof is ClientKey XOR ClientSignature, and StoredKey is the hash of ClientKey.
    """
    if len(proof) != len(client_signature):
        return False
    client_key = bytes(a ^ b for a, b in zip(proof, client_signature, strict=True))
    return hmac.compare_digest(hashlib.new(algorithm, client_key).digest(), stored_key)


# A program logs in again and again, and the many iterations take milliseconds each time.
@lru_cache(maxsize=1024)
def _keys(algorithm: str, password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """StoredKey and ServerKey (RFC 5802 §3)."""
    normalized = prepare(password).encode()
    salted_password = hashlib.pbkdf2_hmac(algorithm, normalized, salt, iterations)
    client_key = hmac.digest(salted_password, b"Client Key", algorithm)
    stored_key = hashlib.new(algorithm, client_key).digest()
    return stored_key, hmac.digest(salted_password, b"Server Key", algorithm)


def _decode_name(name: bytes) -> str:
    """RFC 5802 §5.1: =2C is a comma and =3D an equals sign; any other = is an error."""
    if re.search(rb"=(?!2C|3D)", name):
        raise Malformed("in a name, = stands only before 2C and 3D (RFC 5802 section 5.1)")
    return prepare(decode_text(name.replace(b"=2C", b",").replace(b"=3D", b"=")))


def _decode_base64(value: bytes) -> bytes:
    """Raises Malformed."""
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise Malformed("a value that is not base64") from None

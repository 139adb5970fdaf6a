"""The mechanisms of one or two messages: PLAIN, LOGIN, CRAM-MD5 and ANONYMOUS."""

from __future__ import annotations

import hashlib
import hmac

from fakes.sasl.context import (
    Account,
    Context,
    Malformed,
    Steps,
    WrongCredentials,
    decode_text,
    hmac_key,
)

_LONGEST = 255  # characters of a trace


def plain(context: Context) -> Steps:
    """PLAIN (RFC 4616 §2). The client sends [authzid] NUL authcid NUL password, in UTF-8."""
    response = yield b""
    parts = response.split(b"\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise Malformed("PLAIN wants [authzid] NUL authcid NUL password (RFC 4616 section 2)")
    if max(map(len, parts)) > context.longest:
        raise Malformed(
            f"PLAIN takes at most {context.longest} octets per part (RFC 4616 section 2)"
        )
    authzid, authcid, password = (decode_text(part) for part in parts)
    address = context.authenticate(authcid, password)
    # RFC 4616 §2: the server authenticates first, and then authorizes.
    return context.authorize(authzid, address)


def login(context: Context) -> Steps:
    """LOGIN has no RFC. The server asks for the name and then for the password.

    Old clients look for exactly these two prompts.
    """
    name = yield b"Username:"
    password = yield b"Password:"
    return context.authenticate(decode_text(name), decode_text(password))


def cram_md5(context: Context) -> Steps:
    """CRAM-MD5 (RFC 2195 §2).

    The server sends a fresh message id. The client answers with its name, a space, and the keyed
    MD5 of that id in hexadecimal digits. The key is the password, which never crosses the wire.
    """
    challenge = f"<{context.nonce()}@{context.host}>".encode()
    response = yield challenge
    name, space, digest = response.rpartition(b" ")
    if not space:
        raise Malformed("CRAM-MD5 wants: user, space, digest (RFC 2195 section 2)")
    account = context.accounts.find(decode_text(name))
    right = hmac.compare_digest(digest, cram_md5_digest(account, challenge))
    if account is None or not right:
        raise WrongCredentials("authentication failed")
    return account.address


def cram_md5_digest(account: Account | None, challenge: bytes) -> bytes:
    """The digest that a client with the password of this account sends for the challenge."""
    return hmac.new(hmac_key(account), challenge, hashlib.md5).hexdigest().encode()


def anonymous(context: Context) -> Steps:
    """ANONYMOUS (RFC 4505 §2). There is neither name nor password.

    The client may send trace information, such as a mail address. Nothing vouches for it.
    """
    trace = yield b""
    if len(decode_text(trace)) > _LONGEST:
        raise Malformed("a trace has at most 255 characters (RFC 4505 section 2)")
    return context.anonymous()

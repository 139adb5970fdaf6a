"""DIGEST-MD5 (RFC 2831). It is obsolete (RFC 6331), but old clients try it first.

    server:  realm="…",nonce="NONCE",qop="auth",charset=utf-8,algorithm=md5-sess
    client:  username="…",realm="…",nonce="NONCE",cnonce="…",nc=00000001,qop=auth,
             digest-uri="xmpp/host",response=HEX,charset=utf-8
    server:  rspauth=HEX
    client:  (empty)

Only qop=auth is offered: integrity and confidentiality are the business of TLS.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from fakes.sasl.context import Context, Malformed, Steps, WrongCredentials

_DIRECTIVE = re.compile(
    rb'[ \t\r\n]*([A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*+)"|([^\s",]+))[ \t\r\n]*(?:,|$)', re.S
)
_REQUIRED = ("username", "nonce", "cnonce", "nc", "digest-uri", "response")
_AUTH = b"auth"  # the quality of protection: authentication only


def digest_md5(context: Context) -> Steps:
    """DIGEST-MD5 (RFC 2831 §2.1)."""
    nonce = context.nonce()
    challenge = (
        f'realm="{context.host}",nonce="{nonce}",qop="auth",charset=utf-8,algorithm=md5-sess'
    )
    directives = _parse((yield challenge.encode()))
    if missing := [name for name in _REQUIRED if name not in directives]:
        raise Malformed(f"DIGEST-MD5 wants {', '.join(missing)} (RFC 2831 section 2.1.2)")
    # RFC 2831 §2.1.1: without the directive, names and passwords are in ISO 8859-1.
    charset = "utf-8" if "charset" in directives else "latin-1"
    try:
        login = directives["username"].decode(charset)
        authzid = directives.get("authzid", b"").decode()
    except UnicodeDecodeError:
        raise Malformed("a name that is not in its charset") from None
    realm = directives.get("realm", b"")
    account = context.accounts.find(login)
    password = account.password if account else ""

    user = (login, realm.decode(charset, "replace"), password)
    a1 = _a1(directives, hashlib.md5(b":".join(map(_hashed_form, user))).digest())
    right = hmac.compare_digest(_response(directives, a1, b"AUTHENTICATE"), directives["response"])
    # nc counts the logins with one nonce. Ours is new each time, so that only the first is right.
    fresh = directives["nonce"] == nonce.encode() and directives["nc"] == b"00000001"
    quality = directives.get("qop", _AUTH) == _AUTH
    here = directives[
        "digest-uri"
    ].lower() == f"{context.service}/{context.host}".encode() and realm in (
        context.host.encode(),
        b"",
    )
    if account is None or not (right and fresh and quality and here):
        raise WrongCredentials("authentication failed")
    address = context.authorize(authzid, account.address)

    # RFC 2831 §2.1.3: the server proves itself, too; an empty response ends the exchange.
    yield b"rspauth=" + _response(directives, a1, b"")
    return address


def _parse(response: bytes) -> dict[str, bytes]:
    """The directives of a response, by their names in small letters. Raises Malformed."""
    directives: dict[str, bytes] = {}
    position = 0
    while position < len(response):
        match = _DIRECTIVE.match(response, position)
        name = match[1].decode().lower() if match else ""
        if match is None or name in directives:
            raise Malformed(
                'directives are name=value or name="value", each once (RFC 2831 section 2.1.2)'
            )
        quoted, token = match[2], match[3]
        directives[name] = token if quoted is None else re.sub(rb"\\(.)", rb"\1", quoted)
        position = match.end()
    return directives


def _a1(directives: dict[str, bytes], user_hash: bytes) -> bytes:
    """A1 of RFC 2831 §2.1.2.1: who logs in, and both nonces."""
    parts = [user_hash, directives["nonce"], directives["cnonce"]]
    if directives.get("authzid"):
        parts.append(directives["authzid"])
    return b":".join(parts)


def _response(directives: dict[str, bytes], a1: bytes, method: bytes) -> bytes:
    """The response value of RFC 2831 §2.1.2.1. For the server's own proof `method` is empty."""
    a2 = method + b":" + directives["digest-uri"]
    parts = [
        _hex_md5(a1),
        directives["nonce"],
        directives["nc"],
        directives["cnonce"],
        directives.get("qop", _AUTH),
        _hex_md5(a2),
    ]
    return _hex_md5(b":".join(parts))


def _hashed_form(text: str) -> bytes:
    """RFC 2831 §2.1.2.1: what ISO 8859-1 can express is hashed in it, because HTTP did so."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _hex_md5(data: bytes) -> bytes:
    return hashlib.md5(data).hexdigest().encode()

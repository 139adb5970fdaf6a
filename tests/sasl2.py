"""Logins by SASL2 as bytes (XEP-0388), beside those of tests/xmpp_raw.py."""

from __future__ import annotations

import base64
import hmac
import re

from fakes import World
from tests.xmpp_raw import HEADER, Client

SASL2 = "urn:xmpp:sasl:2"
BIND2 = "urn:xmpp:bind:0"
FAST = "urn:xmpp:fast:0"
CLIENT_ID = "d4565fa7-4d72-4749-b3d3-740edbf87770"
PLAIN = b"\0romeo\0secret"


def authenticate(
    initial: bytes | None = PLAIN, *inside: str, mechanism: str = "PLAIN", id: str = CLIENT_ID
) -> bytes:
    """A request for a login, with more inside; an `id` of "" leaves the user agent out."""
    parts = []
    if initial is not None:
        text = base64.b64encode(initial).decode()
        parts.append(f"<initial-response>{text}</initial-response>")
    if id:
        parts.append(f"<user-agent id='{id}'><software>play</software></user-agent>")
    start = f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>"
    return "".join((start, *parts, *inside, "</authenticate>")).encode()


def bind2(*inside: str, tag: str = "") -> str:
    """A request to bind a resource in a login."""
    tagged = f"<tag>{tag}</tag>" if tag else ""
    return f"<bind xmlns='{BIND2}'>{tagged}{''.join(inside)}</bind>"


def request_token(mechanism: str = "HT-SHA-256-NONE") -> str:
    """A request for a token."""
    return f"<request-token xmlns='{FAST}' mechanism='{mechanism}'/>"


def with_token(
    token: str,
    *inside: str,
    mechanism: str = "HT-SHA-256-NONE",
    binding: bytes = b"",
    options: str = "",
    id: str = CLIENT_ID,
) -> bytes:
    """A login with a token; `options` are attributes of `<fast/>`."""
    proof = hmac.digest(token.encode(), b"Initiator" + binding, "sha256")
    fast = f"<fast xmlns='{FAST}'{options}/>"
    return authenticate(b"romeo\0" + proof, fast, *inside, mechanism=mechanism, id=id)


def token_in(answer: bytes) -> str:
    """The token that a success has brought; "" if there is none."""
    found = re.search(rb"<token xmlns='urn:xmpp:fast:0' expiry='[^']*' token='(\w+)'/>", answer)
    return found[1].decode() if found else ""


def secured(place: World, header: bytes = HEADER) -> Client:
    """A client inside TLS that has got the features."""
    client = Client(place)
    client.says(HEADER)
    client.starts_tls()
    client.says(header)
    return client


def logged_in(place: World, *inside: str) -> tuple[Client, bytes]:
    """A client that has asked for a login, and the answer."""
    client = secured(place)
    return client, client.says(authenticate(PLAIN, *inside))

"""Stream headers: what the client's must say, and what the server's says (RFC 6120 §4.7, §4.8)."""

from __future__ import annotations

import re

from fakes.wire import Refuse
from fakes.xmpp.addresses import prepare_domain
from fakes.xmpp.markup import CLIENT, STREAMS, escape, local_name, namespace
from fakes.xmpp.pieces import Piece
from fakes.xmpp.refusals import StreamError


def check_header(piece: Piece, default_namespace: str) -> str:
    """Checks the names and the version of a client's header.

    Returns the version for the server's header: the lower of the two, "" for a client that knows
    none (RFC 6120 §4.7.5). Raises Refuse.
    """
    contents = (CLIENT, STREAMS, "")
    if namespace(piece.name) != STREAMS or default_namespace not in contents:
        raise Refuse(StreamError("invalid-namespace"), "RFC 6120 §4.9.3.10")
    if local_name(piece.name) != "stream":
        text = "a stream begins with <stream:stream>"
        raise Refuse(StreamError("bad-format", text), "RFC 6120 §4.9.3.1")
    version = piece.attributes.get("version")
    if version is None:
        return ""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", version.strip())
    if match is None:
        raise Refuse(StreamError("unsupported-version"), "RFC 6120 §4.9.3.25")
    return "1.0" if int(match[1]) >= 1 else ""


def choose_domain(to: str | None, domains: tuple[str, ...], default: str) -> str:
    """The domain that a client's header names; the default for old clients, which name none.

    Raises Refuse if it is not one of the domains (RFC 6120 §4.7.2, §4.9.3.6).
    """
    if to is None:
        return default
    try:
        wanted = prepare_domain(to)
    except ValueError:
        wanted = ""
    if wanted not in domains:
        raise Refuse(StreamError("host-unknown"), "RFC 6120 §4.9.3.6")
    return wanted


def serialize_header(domain: str, id: str, to: str, version: str) -> bytes:
    """Writes the server's header; `to` and `version` are left out if they are ""."""
    header = f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}'"
    header += f" from='{domain}' id='{id}'"
    header += f" to='{escape(to)}'" if to else ""
    header += f" version='{version}'" if version else ""
    return f"{header} xml:lang='en'>".encode()

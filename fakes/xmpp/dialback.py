"""Dialback: a server proves its domain by being reachable there (XEP-0220, XEP-0185).

The server that wants to send (originating) sends a key to the one that receives. That one connects
to where the originating domain is known to be, and asks whether the key is good. An impostor can
send a key, but the question never reaches it.
"""

from __future__ import annotations

import hashlib
import hmac

from fakes.xmpp.markup import STANZA_ERRORS, escape
from fakes.xmpp.stanzas import CONDITIONS

VALID, INVALID = "valid", "invalid"


def key(secret: str, receiving: str, originating: str, stream: str) -> str:
    """Returns the key for a stream, by the id that the receiving server gave it (XEP-0185 §2)."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    text = f"{receiving} {originating} {stream}"
    return hmac.new(digest.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_key(secret: str, receiving: str, originating: str, stream: str, text: str) -> bool:
    """Whether a text is the key for a stream."""
    wanted = key(secret, receiving, originating, stream)
    return hmac.compare_digest(wanted.encode(), text.encode())


def request(name: str, sender: str, to: str, text: str, id: str = "") -> bytes:
    """Writes a key (`result`), or the question whether it is good (`verify`).

    XEP-0220 §2: these elements have the prefix that the header has declared.
    """
    return f"{_start(name, sender, to, id)}>{escape(text)}</db:{name}>".encode()


def answer(name: str, sender: str, to: str, outcome: str, id: str = "") -> bytes:
    """Writes an answer: `outcome` is valid, invalid, or the condition of an error (§2.4.2)."""
    start = _start(name, sender, to, id)
    if outcome in (VALID, INVALID):
        return f"{start} type='{outcome}'/>".encode()
    condition = f"<{outcome} xmlns='{STANZA_ERRORS}'/>"
    error = f"<error type='{CONDITIONS[outcome]}'>{condition}</error>"
    return f"{start} type='error'>{error}</db:{name}>".encode()


def _start(name: str, sender: str, to: str, id: str) -> str:
    start = f"<db:{name} from='{escape(sender)}' to='{escape(to)}'"
    return f"{start} id='{escape(id)}'" if id else start

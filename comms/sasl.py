"""The client's side of SASL: for each mechanism a function from the server's challenge to the client's response.

Used by every protocol that logs in; each dresses challenge and response in its own way (base64, `334 `, `<challenge/>`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

Responder = Callable[[bytes], bytes]


def plain(user: str, password: str) -> Responder:
    """RFC 4616 §2. The password itself crosses the wire: only inside TLS, or where the settings say so."""
    return lambda challenge: f"\0{user}\0{password}".encode()


def login(user: str, password: str) -> Responder:
    """LOGIN, of no RFC: whatever the two prompts say, the first asks for the name and the second for the password."""
    answers = iter((user, password))
    return lambda challenge: next(answers, "").encode()


def cram_md5(user: str, password: str) -> Responder:
    """RFC 2195 §2: a keyed digest of the challenge."""
    return lambda challenge: f"{user} {hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()}".encode()


MECHANISMS: dict[str, Callable[[str, str], Responder]] = {"CRAM-MD5": cram_md5, "PLAIN": plain, "LOGIN": login}
CLIENT_FIRST = frozenset({"PLAIN"})  # speaks first: its answer may travel with the command
IN_CLEAR = frozenset({"PLAIN", "LOGIN"})  # the password itself crosses the wire

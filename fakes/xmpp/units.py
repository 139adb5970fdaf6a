"""Turns the pieces of a stream into the units that a stream handles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from fakes.wire import Refuse, Secret, Unit
from fakes.xmpp.markup import BIND, SESSION, STREAMS, TLS, local_name, namespace
from fakes.xmpp.pieces import Piece
from fakes.xmpp.refusals import TOO_BIG, StreamError
from fakes.xmpp.sasl import Login, secrets_of_broken
from fakes.xmpp.stanzas import KINDS, Stanza, from_piece

# The name of an element, and whether it is the payload of an IQ → the verb of an extension, or "".
VerbOf: TypeAlias = Callable[[str, bool], str]

# A start tag: the local name, the attributes, and the text that follows, which may be in CDATA. It
# keeps what it has read (`*+`), so that each byte of a stanza is read once.
_CDATA = rb"<!\[CDATA\[[^\]]*+(?:\](?!\]>)[^\]]*+)*\]\]>"
_START = re.compile(rb"<(?:[\w.-]++:)?([\w.-]++)([^<>]*+)>([^<]*+(?:%b[^<]*+)*)" % _CDATA)

# The name of a field of a form, and the names of those for passwords.
_VAR = re.compile(rb"""\bvar\s*+=\s*+["']([^"'<>]*+)["']""")
_PASSWORDS = (b"password", b"password-verify", b"muc#roomconfig_roomsecret")

_ATTRIBUTE = re.compile(rb"""\s([\w.-]++)\s*+=\s*+(?:'([^'<]*+)'|"([^"<]*+)")""")

_VERBS = {
    f"{{{TLS}}}starttls": "starttls",
    f"{{{STREAMS}}}error": "error",
}
# How the input of a client begins that takes this port for another one, and what the record says.
_FOREIGN = {
    b"\x16": "a TLS handshake, but a stream begins in clear text here; direct TLS has its own port",
    **dict.fromkeys(
        (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"CONNECT ", b"PRI "),
        "HTTP, but this port speaks XMPP only",
    ),
    **dict.fromkeys((b"EHLO ", b"HELO "), "SMTP, but this port speaks XMPP only"),
    b"SSH-": "SSH, but this port speaks XMPP only",
    b"FLAPON": "TOC, but this port speaks XMPP only",
    b"PROXY ": "a PROXY header, as load balancers send it; this server expects none",
}
FOREIGN = max(map(len, _FOREIGN))  # bytes that `foreign` needs


def read_unit(piece: Piece, login: Login, verb_of: VerbOf) -> Unit:
    """Recognises a piece; `verb_of` knows the verbs of extensions.

    The content of a unit is the stanza, the piece, or for an element of a login the step of it. A
    unit without a verb is not legal in any state: its refusal ends the stream.
    """
    raw = piece.raw
    if piece.kind == "open":
        return Unit(raw, "stream", piece.attributes.get("to", ""), content=piece)
    if piece.kind == "close":
        return Unit(raw, "close")
    if piece.kind == "error":
        extra = TOO_BIG if piece.text == "stanza-too-big" else ""
        return _refused(raw, StreamError(piece.name, "" if extra else piece.text, extra))
    if piece.name in KINDS:
        if piece.prefixed:
            # RFC 6120 §4.8.5: a stanza with a prefix is never passed on as it is
            text = "stanzas are written without a prefix"
            return _refused(piece.raw, StreamError("bad-namespace-prefix", text))
        return stanza_unit(piece.raw, from_piece(piece), verb_of)
    step = login.unit(piece)
    if step is not None:
        return step
    verb = _VERBS.get(piece.name) or verb_of(piece.name, False)
    if not verb:
        return _refused(raw, _unsupported(piece))
    return Unit(raw, verb, content=piece)


def foreign(raw: bytes) -> str:
    """Returns what bytes that are not XML are, "" if that is not known."""
    for start, remark in _FOREIGN.items():
        if raw.startswith(start):
            return remark
    return ""


def _refused(raw: bytes, error: StreamError) -> Unit:
    secrets = secrets_of_broken(raw)
    return Unit(raw, "", secrets=secrets, refusal=Refuse(error, "RFC 6120 §4.9.3"))


def stanza_unit(raw: bytes, stanza: Stanza, verb_of: VerbOf) -> Unit:
    """Returns the unit of a stanza that was sent as `raw`."""
    secrets = passwords(raw)
    if stanza.kind != "iq":
        return Unit(raw, stanza.kind, stanza.to or "", secrets, content=stanza)
    space = namespace(stanza.payload)
    verb = verb_of(stanza.payload, True) if stanza.type in ("get", "set") else ""
    if stanza.type == "set" and not verb:
        verb = {BIND: "bind", SESSION: "session"}.get(space, "")
    return Unit(raw, verb or "iq", space, secrets, content=stanza)


def passwords(raw: bytes) -> tuple[Secret, ...]:
    """The passwords in a stanza: of accounts, and of rooms, also in bookmarks and invitations."""
    # `in` takes twice as long as `find`, because it first tries to read a number.
    if raw.find(b"password") < 0 and raw.find(b"roomsecret") < 0:
        return ()
    named = (one for one in _ATTRIBUTE.finditer(raw) if one[1] == b"password")
    values = (one.span(one.lastindex or 0) for one in named)
    attributes = (Secret(start, end, "password") for start, end in values)
    found: list[Secret] = []
    for one in sorted((*attributes, *texts_named(raw, "password"), *_values(raw))):
        if not found or one.start >= found[-1].end:  # else it is in another one
            found.append(one)
    return tuple(found)


def texts_named(raw: bytes, name: str) -> tuple[Secret, ...]:
    """The spans of the texts of all elements with this local name, which are secret."""
    found = [match for match in _START.finditer(raw) if match[3]]
    users = [match[3].decode("utf-8", "replace") for match in found if match[1] == b"username"]
    label = f"pass {users[0]}" if users and "<" not in users[0] else "pass"
    secrets = (match.span(3) for match in found if match[1] == name.encode())
    return tuple(Secret(start, end, label) for start, end in secrets)


def _values(raw: bytes) -> tuple[Secret, ...]:
    """The spans of the values of the fields of a form that are for passwords."""
    spans, is_secret = [], False
    for one in _START.finditer(raw):
        if one[1] == b"field":
            var = _VAR.search(one[2])
            is_secret = var is not None and var[1] in _PASSWORDS
        elif one[1] == b"value" and is_secret and one[3]:
            spans.append(one.span(3))
    return tuple(Secret(start, end, "pass") for start, end in spans)


def _unsupported(piece: Piece) -> StreamError:
    """RFC 6120 §4.8.3, §4.8.4: a stanza in another namespace, or an element that is not one."""
    if local_name(piece.name) in ("message", "presence", "iq"):
        return StreamError("invalid-namespace")
    return StreamError("unsupported-stanza-type")

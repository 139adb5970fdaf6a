"""Turns the pieces of a stream into the units that a stream handles."""

from __future__ import annotations

from fakes.wire import Refuse, Unit
from fakes.xmpp.markup import BIND, SASL, SESSION, STREAMS, TLS, local_name, namespace
from fakes.xmpp.pieces import Piece
from fakes.xmpp.refusals import TOO_BIG, StreamError
from fakes.xmpp.sasl import Login
from fakes.xmpp.stanzas import KINDS, Stanza, from_piece

_VERBS = {
    f"{{{SASL}}}auth": "auth",
    f"{{{SASL}}}response": "response",
    f"{{{SASL}}}abort": "abort",
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


def read_unit(piece: Piece, login: Login) -> Unit:
    """Recognises a piece.

    The content of a unit is the stanza, the piece, or for `auth` and `response` the mechanism and
    the response. A unit without a verb is not legal in any state: its refusal ends the stream.
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
        return stanza_unit(piece.raw, from_piece(piece))
    verb = _VERBS.get(piece.name)
    if verb is None:
        return _refused(raw, _unsupported(piece))
    if verb in ("auth", "response"):
        empty = raw[piece.tag_end - 2] == ord("/")
        content = b"" if empty else raw[piece.tag_end : raw.rfind(b"<")]
        mechanism = piece.attributes.get("mechanism", "")
        secrets = login.secrets(verb, mechanism, piece.tag_end, content)
        return Unit(raw, verb, mechanism, secrets, content=(mechanism, content))
    return Unit(raw, verb, content=piece)


def foreign(raw: bytes) -> str:
    """Returns what bytes that are not XML are, "" if that is not known."""
    for start, remark in _FOREIGN.items():
        if raw.startswith(start):
            return remark
    return ""


def _refused(raw: bytes, error: StreamError) -> Unit:
    return Unit(raw, "", refusal=Refuse(error, "RFC 6120 §4.9.3"))


def stanza_unit(raw: bytes, stanza: Stanza) -> Unit:
    """Returns the unit of a stanza that was sent as `raw`."""
    if stanza.kind != "iq":
        return Unit(raw, stanza.kind, stanza.to or "", content=stanza)
    space = namespace(stanza.payload)
    verb = "iq"
    if stanza.type == "set":
        verb = {BIND: "bind", SESSION: "session"}.get(space, "iq")
    return Unit(raw, verb, space, content=stanza)


def _unsupported(piece: Piece) -> StreamError:
    """RFC 6120 §4.8.3, §4.8.4: a stanza in another namespace, or an element that is not one."""
    if local_name(piece.name) in ("message", "presence", "iq"):
        return StreamError("invalid-namespace")
    return StreamError("unsupported-stanza-type")

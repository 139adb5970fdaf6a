"""The XML of a stream, without a socket: octets in, the stream's header and its elements out, and elements to octets.

    reader = Reader()
    reader.feed(octets)                       # any chopping gives the same
    while (event := reader.next()) is not None:
        ...                                   # Header, then elements of the first level, then End

Elements are those of xml.etree, their names `{namespace}local`. What RFC 6120 §11.1 forbids (a DTD and with it every
entity, comments, processing instructions) is refused, and so is what is too deep or too long to be honest.
"""

from __future__ import annotations

import re
import xml.parsers.expat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, SubElement

from comms.errors import Unreachable

STREAMS = "http://etherx.jabber.org/streams"
CLIENT = "jabber:client"
XML = "http://www.w3.org/XML/1998/namespace"
LANG = f"{{{XML}}}lang"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"

OCTETS = (
    1 << 20
)  # of one element; a roster of some thousand contacts is the longest that an honest server sends
DEPTH = 128  # of elements within elements
RENEW = 1 << 24  # octets after which expat starts afresh: it keeps every name that it has ever seen

_BLANK = b" \t\r\n"
_NAME = re.compile(r"[^\W\d][\w.-]*")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "\r": "&#13;"}
_IN_QUOTES = _ESCAPES | {"\t": "&#9;", "\n": "&#10;"}


class Malformed(Unreachable):
    """What came is no XMPP. `condition` is the stream error that says so (RFC 6120 §4.9.3)."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{text} ({condition})")
        self.condition = condition


@dataclass(frozen=True)
class Header:
    """The opening of a stream: `from`, `id`, `version` …"""

    attributes: Mapping[str, str]


@dataclass(frozen=True)
class End:
    """The closing of a stream."""


Event = Header | Element | End


class Reader:
    """What the other side says on one stream. A restart (after TLS, after SASL) is a new Reader."""

    def __init__(self) -> None:
        self._in = bytearray()
        self._searched = 0  # so much of it holds no `>`
        self._head = b""  # the header as it came, for expat's next start
        self._since_renewal = 0
        self._began = False
        self._broken: Malformed | None = None
        self._stack: list[Element] = []
        self._event: Event | None = None
        self._length = 0  # octets since the last event
        self._start()

    def feed(self, data: bytes) -> None:
        """Takes octets in; `next` makes something of them."""
        self._in += data

    @property
    def rest(self) -> bytes:
        """What stands behind the last event, and was not looked at yet."""
        return bytes(self._in)

    def next(self) -> Event | None:
        """The next event, None when more octets are needed. Raises Malformed, and from then on always."""
        if self._broken is not None:
            raise self._broken
        try:
            return self._next()
        except Malformed as error:
            self._broken = error
            self._in.clear()
            self._stack.clear()
            raise

    def _next(self) -> Event | None:
        while True:
            if not self._length:
                del self._in[
                    : len(self._in) - len(self._in.lstrip(_BLANK))
                ]  # keep-alive (RFC 6120 §4.6.1)
            # An event ends with a `>`: in pieces that end there, expat never runs ahead of us.
            end = self._in.find(b">", self._searched) + 1
            if self._length + (end or len(self._in)) > OCTETS:
                self._refuse("policy-violation", f"an element has more than {OCTETS} octets")
            if not end:
                self._searched = len(self._in)
                return None
            piece = bytes(self._in[:end])
            del self._in[:end]
            self._searched = 0
            self._length += len(piece)
            event = self._parse(piece)
            if event is not None:
                self._length = 0
                return event

    def _parse(self, piece: bytes) -> Event | None:
        if not self._began:
            self._head += piece
        elif self._since_renewal > RENEW and not self._stack and self._length == len(piece):
            self._start()
            self._run(self._head)
            self._event = None
        self._since_renewal += len(piece)
        self._run(piece)
        event, self._event = self._event, None
        return event

    def _run(self, piece: bytes) -> None:
        try:
            self._parser.Parse(piece, False)
        except xml.parsers.expat.ExpatError as error:
            self._refuse("not-well-formed", f"not XML: {error}")
        except (ValueError, LookupError) as error:  # an encoding that Python does not know
            self._refuse("unsupported-encoding", f"not UTF-8: {error}")

    # ── what expat calls ─────────────────────────────────────────────────────

    def _start(self) -> None:
        self._stack.clear()
        self._depth = 0
        self._since_renewal = 0
        self._names: dict[str, str] = {}
        parser = xml.parsers.expat.ParserCreate("UTF-8", " ", intern=self._names)
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)  # expat ≥ 2.6 would hold back what has come
        parser.buffer_text = True
        parser.StartElementHandler = self._opens
        parser.EndElementHandler = self._closes
        parser.CharacterDataHandler = self._says
        parser.XmlDeclHandler = self._declares
        parser.StartDoctypeDeclHandler = lambda *_: self._refuse(
            "restricted-xml", "a DTD has no place in a stream"
        )
        parser.CommentHandler = lambda *_: self._refuse(
            "restricted-xml", "a comment has no place in a stream"
        )
        parser.ProcessingInstructionHandler = lambda *_: self._refuse(
            "restricted-xml", "a processing instruction has no place in a stream"
        )
        self._parser = parser

    def _declares(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() != "UTF-8":
            self._refuse("unsupported-encoding", f"the stream is in {encoding[:40]}, not in UTF-8")

    def _opens(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        tag = _tag(name)
        given = {_tag(key): value for key, value in attributes.items()} if attributes else {}
        if self._depth == 1:
            if tag != f"{{{STREAMS}}}stream":
                self._refuse(
                    "invalid-namespace", f"a stream begins with stream:stream, not with {tag[:100]}"
                )
            self._began = True
            self._event = Header(given)
        elif self._depth == 2:
            self._stack.append(Element(tag, given))
        elif self._depth > DEPTH:
            self._refuse("policy-violation", f"elements are nested more than {DEPTH} deep")
        else:
            self._stack.append(SubElement(self._stack[-1], tag, given))

    def _closes(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._event = End()
        else:
            element = self._stack.pop()
            if self._depth == 1:
                self._event = element
                self._names.clear()  # pyexpat's own memory of names

    def _says(self, text: str) -> None:
        if not self._stack:
            if text.strip(" \t\r\n"):
                self._refuse("bad-format", "text stands between the stanzas")
            return
        element = self._stack[-1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text

    def _refuse(self, condition: str, text: str) -> NoReturn:
        raise Malformed(condition, text)


def _tag(name: str) -> str:
    namespace, blank, local = name.rpartition(" ")
    return f"{{{namespace}}}{local}" if blank else local


# ── what we say ──────────────────────────────────────────────────────────────


def header(to: str, sender: str = "", lang: str = "en") -> bytes:
    """The opening of a client's stream (RFC 6120 §4.7). `sender` is told only inside TLS (§4.7.1)."""
    by = f" from='{_quoted(sender)}'" if sender else ""
    return (
        f"<?xml version='1.0'?><stream:stream to='{_quoted(to)}'{by} version='1.0' xml:lang='{lang}' "
        f"xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>"
    ).encode()


FOOTER = b"</stream:stream>"


def stream_error(condition: str) -> bytes:
    """A stream error and the end of the stream, which always follows (RFC 6120 §4.9.1.1)."""
    return f"<stream:error><{condition} xmlns='{STREAM_ERRORS}'/></stream:error>".encode() + FOOTER


def to_bytes(element: Element, inherited: str = CLIENT) -> bytes:
    """An element as it goes onto a stream whose default namespace is `inherited`.

    Characters that XML cannot carry become U+FFFD. Raises ValueError for a name that is none.
    """
    pieces: list[str] = []
    _write(element, inherited, pieces)
    return "".join(pieces).encode("utf-8", "replace")


def _write(element: Element, inherited: str, pieces: list[str]) -> None:
    namespace, local = _split(element.tag)
    pieces.append(f"<{local}")
    if namespace != inherited:
        pieces.append(f" xmlns='{_quoted(namespace)}'")
    for number, (key, value) in enumerate(element.items()):
        space, name = _split(key)
        if space == XML:
            name = f"xml:{name}"
        elif space:
            pieces.append(f" xmlns:n{number}='{_quoted(space)}'")
            name = f"n{number}:{name}"
        pieces.append(f" {name}='{_quoted(value)}'")
    if not element.text and not len(element):
        pieces.append("/>")
        return
    pieces.append(">" + _escaped(element.text or ""))
    for child in element:
        _write(child, namespace, pieces)
        pieces.append(_escaped(child.tail or ""))
    pieces.append(f"</{local}>")


def _split(tag: Any) -> tuple[str, str]:
    namespace, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not _NAME.fullmatch(local):
        raise ValueError(f"{local!r} cannot be the name of an element or attribute")
    return namespace, local


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(c, c) for c in _FORBIDDEN.sub("\ufffd", text))


def _quoted(text: str) -> str:
    return "".join(_IN_QUOTES.get(c, c) for c in _FORBIDDEN.sub("\ufffd", text))


def split_tag(element: Element) -> tuple[str, str]:
    """(namespace, local name) of an element."""
    namespace, _, local = (
        element.tag[1:].rpartition("}") if element.tag.startswith("{") else ("", "", element.tag)
    )
    return namespace, local

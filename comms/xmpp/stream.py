"""The XML of a stream, without a socket: bytes to elements and back.

    reader = Reader()
    reader.feed(data)
    while (event := reader.next()) is not None:
        ...                 # the Header, then the elements of the first level, then the End

The events do not depend on how the bytes are split. Elements are those of xml.etree, with tags like
`{namespace}local`. What RFC 6120 §11.1 forbids is refused: a DTD (and with it every entity),
comments and processing instructions. So is an element that is too deep or too long to be honest.
"""

from __future__ import annotations

import re
import xml.parsers.expat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn
from xml.etree.ElementTree import Element, SubElement

from comms.errors import Unreachable

STREAMS = "http://etherx.jabber.org/streams"
CLIENT = "jabber:client"
ACCEPT = "jabber:component:accept"  # XEP-0114
XML = "http://www.w3.org/XML/1998/namespace"
LANG = f"{{{XML}}}lang"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"

LONGEST = 1 << 22  # bytes of one element: enough for a contact list of `roster.CONTACTS`
DEPTH = 128  # levels of elements inside elements
WHOLE = 1 << 16  # bytes of one element that the parser gets in one piece; it is seldom longer
CLEAR = 1 << 16  # bytes after which the names of elements and attributes are forgotten
RENEW = 1 << 24  # bytes after which the parser is replaced, because it keeps every name it has seen

_SPACE = b" \t\r\n"
_TAG_MARK = re.compile(rb"[\"'>]")
# The start tag of an element that has an end tag, too.
_START_TAG = re.compile(rb"<([^\s<>/'\"!?]++)(?:[^<>'\"]++|'[^'<]*+'|\"[^\"<]*+\")*(?<!/)>")
# XML 1.0 §2.2 lists what is allowed, for which `re` would compile a large table.
_FORBIDDEN = "[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
# Most texts need no change at all, and one search says so.
_CHANGED = re.compile("[\0-\x08\x0b-\x1f\"&'<>\ud800-\udfff\ufffe\uffff]")
_CHANGED_IN_QUOTES = re.compile("[\0-\x1f\"&'<>\ud800-\udfff\ufffe\uffff]")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "\r": "&#13;"}
)
_ESCAPES_IN_QUOTES = _ESCAPES | str.maketrans({"\t": "&#9;", "\n": "&#10;"})


class Malformed(Unreachable):
    """The bytes are not XMPP. `condition` is the stream error that says so (RFC 6120 §4.9.3)."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{text} ({condition})")
        self.condition = condition


class Header(NamedTuple):
    """The opening tag of a stream, with the attributes `from`, `id`, `version` and so on."""

    attributes: Mapping[str, str]


@dataclass(frozen=True)
class End:
    """The closing tag of a stream."""


Event = Header | Element | End


class _Cutter:
    """Finds the end of the next tag in a growing buffer. Looks at each byte once.

    A `>` ends a tag only outside of quotation marks. Comments, CDATA sections and processing
    instructions have ends of their own.
    """

    _CLOSERS = ((b"<!--", b"-->"), (b"<![CDATA[", b"]]>"), (b"<?", b"?>"))

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begins to look for the end of another tag."""
        self.at = 0  # what comes before this was looked at; 0 if nothing of the tag was
        self._start = -1  # where the current tag begins
        self._closer = b""  # what ends it, if that is not simply a `>`
        self._quote = b""  # the quotation mark that is open inside of it

    def end(self, buffer: bytearray) -> int:
        """Returns the position after the tag, 0 if the buffer does not contain its end yet."""
        if self._start < 0:
            self._start = buffer.find(b"<", self.at)
            self.at = len(buffer) if self._start < 0 else self._start
            if self._start < 0:
                return 0
        if self.at == self._start:
            begin = self._start + 1
            for opener, closer in self._CLOSERS:
                head = buffer[self._start : self._start + len(opener)]
                if head == opener:
                    self._closer, begin = closer, self._start + len(opener)
                elif opener.startswith(head):
                    return 0  # too short to know
            self.at = begin
        if self._closer:
            found = buffer.find(self._closer, self.at)
            self.at = max(self.at, len(buffer) - len(self._closer) + 1)
            return found + len(self._closer) if found >= 0 else 0
        while True:
            if self._quote:
                found = buffer.find(self._quote, self.at)
                self.at = len(buffer) if found < 0 else found + 1
                if found < 0:
                    return 0
                self._quote = b""
            match = _TAG_MARK.search(buffer, self.at)
            if match is None:
                self.at = len(buffer)
                return 0
            self.at = match.end()
            if match[0] == b">":
                return self.at
            self._quote = match[0]


class _Tags(dict[str, str]):
    """The tag for each name from expat, in which a space follows the namespace.

    Stanzas are in the namespace `content`, and get that of clients.
    """

    def __init__(self, content: str) -> None:
        super().__init__()
        self._content = content

    def __missing__(self, name: str) -> str:
        namespace, space, local = name.rpartition(" ")
        if namespace == self._content:
            namespace = CLIENT
        self[name] = tag = f"{{{namespace}}}{local}" if space else local
        return tag


class Reader:
    """Reads what the other side sends on one stream.

    After a restart of the stream (after TLS, after the login) a new Reader is necessary. `content`
    is the namespace of the stanzas on this stream; the elements have that of clients in any case.
    """

    def __init__(self, content: str = CLIENT) -> None:
        self._content = content
        self._buffer = bytearray()
        self._cutter = _Cutter()
        self._head = b""  # the header as received; each new parser needs it
        self._since_renewal = 0  # bytes that the current parser has got
        self._began = False
        self._broken: Malformed | None = None
        self._stack: list[Element] = []
        self._event: Event | None = None
        self._length = 0  # bytes since the last event
        self.size = 0  # bytes of the last event
        self._start()

    def feed(self, data: bytes) -> None:
        """Adds received bytes. `next` parses them."""
        self._buffer += data

    @property
    def rest(self) -> bytes:
        """The bytes after the last event that have not been parsed."""
        return bytes(self._buffer)

    def next(self) -> Event | None:
        """Returns the next event, None if more bytes are necessary.

        Raises Malformed. Every later call raises the same error again.
        """
        if self._broken is not None:
            raise self._broken
        try:
            return self._next()
        except Malformed as error:
            self._broken = error
            self._buffer.clear()
            self._stack.clear()
            raise

    def _next(self) -> Event | None:
        while True:
            # Spaces between elements keep the connection alive (RFC 6120 §4.6.1).
            if not self._length and self._buffer and self._buffer[0] in _SPACE:
                spaces = len(self._buffer) - len(self._buffer.lstrip(_SPACE))
                del self._buffer[:spaces]
            # Every event ends with a tag. If the parser gets pieces that end there, it never sees
            # anything after an event, and `rest` is exact. STARTTLS depends on that. And it never
            # sees a part of a tag, which it would read again from the start with each new part.
            end = self._end_of_element() or self._cutter.end(self._buffer)
            if not self._length and not end and not self._buffer.startswith(b"<"):
                end = len(self._buffer)  # text in front of a tag is an error, which need not wait
            if self._length + (end or len(self._buffer)) > LONGEST:
                self._refuse("policy-violation", f"an element has more than {LONGEST} bytes")
            if not end:
                return None
            piece = bytes(self._buffer[:end])
            del self._buffer[:end]
            if self._cutter.at:
                self._cutter.restart()
            self._length += len(piece)
            event = self._parse(piece)
            if event is not None:
                self.size, self._length = self._length, 0
                return event

    def _end_of_element(self) -> int:
        """Returns where an element that begins here ends, 0 if that takes more than a look.

        Most elements arrive whole. To read them with one call of the parser takes half of the time
        that a call for each tag takes.
        """
        buffer = self._buffer
        if self._length or not self._began or self._cutter.at:
            return 0
        start = _START_TAG.match(buffer, 0, WHOLE)
        if start is None:
            return 0
        closer = b"</%b>" % start[1]
        found = buffer.find(closer[:-1], start.end(), WHOLE)
        end = found + len(closer)
        # `</message >` and `</messages>` are left to the cutter. So are elements with a CDATA
        # section, in which an end tag is text. If an element contains another one of its name, the
        # rest of it comes tag by tag.
        if found < 0 or buffer[found:end] != closer:
            return 0
        return 0 if buffer.find(b"<!", 0, end) >= 0 or buffer.find(b"<?", 0, end) >= 0 else end

    def _parse(self, piece: bytes) -> Event | None:
        between_elements = not self._stack and self._length == len(piece)
        if not self._began:
            self._head += piece
        elif self._since_renewal > RENEW and between_elements:
            self._start()
            self._run(self._head)
            self._event = None
        self._since_renewal += len(piece)
        self._since_clearing += len(piece)
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

    # ── the parser and its callbacks ─────────────────────────────────────────

    def _start(self) -> None:
        self._stack.clear()
        self._depth = 0
        self._since_renewal = 0
        self._since_clearing = 0
        self._names: dict[str, str] = {}
        self._tags = _Tags(self._content)
        parser = xml.parsers.expat.ParserCreate("UTF-8", " ", intern=self._names)
        if hasattr(parser, "SetReparseDeferralEnabled"):
            # Otherwise expat 2.6 and newer may hold back an element that has arrived completely.
            parser.SetReparseDeferralEnabled(False)
        parser.buffer_text = True
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._forbid("a DTD")
        parser.CommentHandler = self._forbid("a comment")
        parser.ProcessingInstructionHandler = self._forbid("a processing instruction")
        self._parser = parser

    def _forbid(self, what: str) -> Any:
        def refuse(*arguments: object) -> None:
            self._refuse("restricted-xml", f"{what} is not allowed in a stream")

        return refuse

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() != "UTF-8":
            self._refuse("unsupported-encoding", f"the stream is in {encoding[:40]}, not in UTF-8")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        tags = self._tags
        tag = tags[name]
        attrib = {}
        if attributes:  # not a comprehension, which would be one more call for each tag
            for key, value in attributes.items():
                attrib[tags[key]] = value
        if self._depth == 1:
            if tag != f"{{{STREAMS}}}stream":
                self._refuse(
                    "invalid-namespace", f"a stream begins with stream:stream, not with {tag[:100]}"
                )
            self._began = True
            self._event = Header(attrib)
        elif self._depth == 2:
            self._stack.append(Element(tag, attrib))
        elif self._depth > DEPTH:
            self._refuse("policy-violation", f"elements are nested more than {DEPTH} levels deep")
        else:
            self._stack.append(SubElement(self._stack[-1], tag, attrib))

    def _on_end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._event = End()
        else:
            element = self._stack.pop()
            if self._depth == 1:
                self._event = element
                if self._since_clearing > CLEAR:
                    # All names are remembered here. A server could fill the memory with new ones.
                    self._names.clear()
                    self._tags.clear()
                    self._since_clearing = 0

    def _on_text(self, text: str) -> None:
        if not self._stack:
            if text.strip(" \t\r\n"):
                self._refuse("bad-format", "there is text between the stanzas")
            return
        element = self._stack[-1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text

    def _refuse(self, condition: str, text: str) -> NoReturn:
        raise Malformed(condition, text)


# ── writing ──────────────────────────────────────────────────────────────────


def header(to: str, sender: str = "", lang: str = "en") -> bytes:
    """Returns the opening tag of a client's stream (RFC 6120 §4.7).

    `sender` is only sent inside TLS (§4.7.1).
    """
    by = f" from='{_quoted(sender)}'" if sender else ""
    return (
        f"<?xml version='1.0'?><stream:stream to='{_quoted(to)}'{by} version='1.0' "
        f"xml:lang='{lang}' xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>"
    ).encode()


FOOTER = b"</stream:stream>"


def stream_error(condition: str) -> bytes:
    """Returns a stream error with the end of the stream that must follow (RFC 6120 §4.9.1.1)."""
    return f"<stream:error><{condition} xmlns='{STREAM_ERRORS}'/></stream:error>".encode() + FOOTER


def to_bytes(element: Element, inherited: str = CLIENT) -> bytes:
    """Returns an element as XML for a stream with the default namespace `inherited`.

    Characters that XML cannot represent become U+FFFD (`representable`). Raises ValueError for an
    invalid name.
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


@lru_cache(maxsize=256)
def _split(tag: Any) -> tuple[str, str]:
    """Returns (namespace, local name) of a tag. Raises ValueError for an invalid local name."""
    namespace, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if not re.fullmatch(r"[^\W\d][\w.-]*", local):
        raise ValueError(f"{local!r} is not a valid name for an element or attribute")
    return namespace, local


def representable(text: str) -> str:
    """Returns the text with U+FFFD for each character that XML cannot represent.

    What a program sends is often the output of another one, with control characters in it. Losing
    these is better than losing the message, or the stream (RFC 6120 §4.9.3.13).
    """
    return re.sub(_FORBIDDEN, "\ufffd", text)


def _escaped(text: str) -> str:
    return representable(text).translate(_ESCAPES) if _CHANGED.search(text) else text


def _quoted(text: str) -> str:
    changed = _CHANGED_IN_QUOTES.search(text)
    return representable(text).translate(_ESCAPES_IN_QUOTES) if changed else text


def split_tag(element: Element) -> tuple[str, str]:
    """Returns (namespace, local name) of an element."""
    tag = element.tag
    namespace, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    return namespace, local

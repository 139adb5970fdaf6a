"""A stream's octets parted into what they say: the header, one first-level element after another, the end.

Any chopping of the octets gives the same pieces. Nothing is believed: no DTD, comment, processing instruction or entity
(RFC 6120 §11.1), no depth without end, no piece above the limit. The parser is thrown away whenever nothing is pending,
and made again from the header: that costs less than three microseconds, an idle stream holds none, and a parser that
lived for ever would keep every name that it ever saw.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from xml.parsers import expat

from fakes.xmpp.markup import CLIENT, SERVER, STREAMS

LIMIT = 1 << 18  # octets of a piece; RFC 6120 §13.12 wants at least 10,000
DEPTH = 128  # elements inside one another, the stream's own counted
RENEWED = 1 << 20  # octets after which a busy parser is thrown away as well
_BLANK = b" \t\r\n"
_TAG = re.compile(rb"<([^\s/>]+)[^>\"']*(?:\"[^\"]*\"[^>\"']*|'[^']*'[^>\"']*)*>")


@dataclass(slots=True)
class Piece:
    """`kind`: open, element, close, error. Names are `{namespace}name`; for an error, `name` is the condition's."""

    kind: str
    start: int  # as the parser counts
    end: int
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: tuple[str, ...] = ()
    declared: tuple[tuple[str, str], ...] = ()  # prefixes that its inside may use: the header's and its own tag's
    tag_end: int = 0  # where its start tag ends
    prefixed: bool = False  # its own name is written with a prefix
    odd: bool = False  # in it, prefixes stand for the content namespace: it must be written anew as a whole
    text: str = ""
    raw: bytes = b""


class _Stop(Exception):
    """Raised in the parser's callbacks where it must not go on."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.text = text


class Splitter:
    """The pieces of one stream, taken from a buffer that the caller fills."""

    def __init__(self, limit: int = LIMIT, depth: int = DEPTH) -> None:
        self._limit = limit
        self._most = depth
        self.restart()

    def restart(self) -> None:
        """What stands in the buffer from here on is a new document."""
        self._ready: deque[Piece] = deque()
        self._parser: expat.XMLParserType | None = None
        self._header = b""  # the stream's start tag
        self._prefixes: dict[str, str] = {}  # declared there
        self.default_namespace = ""  # declared there
        self._over = False  # closed, or in error: nothing more is looked at
        self._fed = 0  # octets of the buffer that the parser has seen
        self._base = 0  # the parser's count at the buffer's first octet

    def next(self, buffer: bytearray) -> Piece | None:
        """The next piece, taken from the buffer; None when it is not whole yet."""
        while not self._ready:
            if self._over or not self._feed(buffer):
                return None
        piece = self._ready.popleft()
        self._strip(buffer)
        at = max(piece.start - self._base, 0)
        written = piece.kind != "open" and self._header and not (piece.kind == "close" and self._empty_root)
        if written and (buffer[:1] != b"<" or (at and piece.kind != "error")):
            piece, at = Piece("error", self._base, self._base, "bad-format", text="text between stanzas"), 0
        if piece.kind in ("error", "close"):
            self._over = True
            self._ready.clear()
        end = max(piece.end - self._base, at)
        piece.raw = bytes(buffer[at:end])
        del buffer[:end]
        self._base += end
        self._fed -= end
        return piece

    # ── feeding the parser ───────────────────────────────────────────────────────────────────────────────────────

    def _feed(self, buffer: bytearray) -> bool:
        """Has the parser look at more; False when there is no more. The buffer's first octet is a piece's first."""
        self._strip(buffer)
        if not buffer:
            self._parser = None
            return False
        if buffer[0] != ord("<"):
            self._fail(0, *_misplaced(buffer, bool(self._header)))
            return True
        parser = self._parser
        if parser is None or self._base > RENEWED:
            parser = self._parser = self._made()
        end, encoded = _whole_characters(buffer, self._fed, min(len(buffer), self._limit))
        if self._fed == end and encoded:
            if len(buffer) < self._limit:
                return False
            self._fail(self._limit, "policy-violation", "stanza-too-big")
            return True
        self._buffer = buffer
        try:
            with memoryview(buffer) as whole, whole[self._fed : end] as part:
                self._fed = end
                parser.Parse(part, False)
            if not encoded:
                self._fail(end, "unsupported-encoding", "octets that are not UTF-8")
        except expat.ExpatError as error:
            self._fail(parser.ErrorByteIndex - self._base, *_condition(error.code))
        except _Stop as stop:
            self._fail(parser.CurrentByteIndex - self._base, stop.condition, stop.text)
        del self._buffer
        return True

    def _strip(self, buffer: bytearray) -> None:
        """Drops white space before a piece: it keeps the connection alive, and says nothing (RFC 6120 §4.6.1)."""
        if buffer and buffer[0] in _BLANK:
            count = len(buffer) - len(buffer.lstrip(_BLANK))
            del buffer[:count]
            seen = min(count, self._fed)
            self._fed -= seen
            self._base += seen

    def _fail(self, at: int, condition: str, text: str = "") -> None:
        self._ready.append(Piece("error", self._base, self._base + max(at, 0), condition, text=text))

    def _made(self) -> expat.XMLParserType:
        """A parser that has seen the header; the buffer will be fed to it from its first octet."""
        parser = expat.ParserCreate("UTF-8", "}", None)  # None: names are not kept
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)  # expat 2.6 would hold back what is only just whole
        if self._header:
            parser.Parse(self._header, False)
        parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.StartNamespaceDeclHandler = self._declares
        parser.XmlDeclHandler = _declaration
        parser.CommentHandler = _comment
        parser.ProcessingInstructionHandler = _instruction
        parser.StartDoctypeDeclHandler = _document_type
        self._depth = 1 if self._header else 0
        self._base = len(self._header)
        self._fed = 0
        self._fresh()
        return parser

    def _fresh(self) -> None:
        """Forgets what was noted of one piece."""
        self._own: list[tuple[str, str]] = []
        self._children: list[str] = []
        self._odd = False

    # ── what the parser tells ────────────────────────────────────────────────────────────────────────────────────

    def _declares(self, prefix: str | None, uri: str | None) -> None:
        if prefix is None:
            if self._depth == 0:
                self.default_namespace = uri or ""
        elif self._depth == 0:
            if (prefix, uri) != ("stream", STREAMS):
                self._prefixes[prefix] = uri or ""
        else:
            if self._depth == 1:
                self._own.append((prefix, uri or ""))
            self._odd = self._odd or uri in (CLIENT, SERVER)

    def _started(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 3:
            self._children.append(_clark(name))
        elif self._depth == 2:
            assert self._parser is not None
            self._name, self._attributes, self._begin = name, attributes, self._parser.CurrentByteIndex
        elif self._depth == 1:
            self._opened(name, attributes)
        elif self._depth > self._most:
            raise _Stop("policy-violation", f"more than {self._most} elements inside one another")

    def _opened(self, name: str, attributes: dict[str, str]) -> None:
        assert self._parser is not None
        tag = _TAG.match(self._buffer, self._parser.CurrentByteIndex - self._base)
        assert tag is not None
        self._empty_root = tag[0].endswith(b"/>")
        self._header = tag[0].removesuffix(b"/>").removesuffix(b">") + b">"
        piece = Piece("open", self._base, self._base + tag.end(), _clark(name), attributes)
        piece.prefixed = b":" in tag[1]
        self._ready.append(piece)
        self._fresh()

    def _ended(self, name: str) -> None:
        self._depth -= 1
        if self._depth > 1:
            return
        assert self._parser is not None
        at = self._parser.CurrentByteIndex - self._base
        if self._depth == 0:
            end = at if self._empty_root else self._buffer.index(b">", at) + 1
            self._ready.append(Piece("close", self._base + at, self._base + end))
            return
        tag = _TAG.match(self._buffer, self._begin - self._base)
        assert tag is not None
        # for an empty element the parser stands behind it already; for others at its end tag
        end = tag.end() if tag[0].endswith(b"/>") else self._buffer.index(b">", at) + 1
        declared = (*self._prefixes.items(), *self._own) if self._prefixes or self._own else ()
        odd = self._odd or CLIENT in self._prefixes.values()
        self._ready.append(
            Piece(
                "element", self._begin, self._base + end, _clark(self._name), self._attributes, tuple(self._children),
                declared, tag.end() - tag.start(), b":" in tag[1], odd,
            )
        )  # fmt: skip
        self._fresh()


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name


def _declaration(version: str, encoding: str | None, standalone: int) -> None:
    if encoding is not None and encoding.upper() != "UTF-8":
        raise _Stop("unsupported-encoding", f"{encoding} is not UTF-8")


def _comment(data: str) -> None:
    raise _Stop("restricted-xml", "a comment")


def _instruction(target: str, data: str) -> None:
    raise _Stop("restricted-xml", "a processing instruction")


def _document_type(name: str, system: str | None, public: str | None, internal: bool) -> None:
    raise _Stop("restricted-xml", "a document type")


def _misplaced(buffer: bytearray, in_stream: bool) -> tuple[str, str]:
    """The condition for octets that stand where `<` should."""
    if in_stream:
        return "bad-format", "text between stanzas"
    return ("unsupported-encoding" if buffer[0] in b"\xfe\xff" else "not-well-formed"), "no XML"


def _whole_characters(buffer: bytearray, start: int, end: int) -> tuple[int, bool]:
    """How far the characters are whole, and whether what follows may still become one (RFC 6120 §11.6)."""
    try:
        with memoryview(buffer) as whole, whole[start:end] as part:
            str(part, "utf-8")
    except UnicodeDecodeError as error:
        return start + error.start, error.reason == "unexpected end of data"
    return end, True


def _condition(code: int) -> tuple[str, str]:
    """The stream error for one of the parser's (RFC 6120 §11.1, §11.3)."""
    restricted = code == _UNDEFINED_ENTITY
    return ("restricted-xml" if restricted else "not-well-formed"), expat.ErrorString(code) or ""


_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]

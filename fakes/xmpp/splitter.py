"""Splits the bytes of a stream into pieces: the header, each first-level element, the end.

The pieces do not depend on how the bytes are chunked. The input is not trusted: a document type,
comment, processing instruction or entity is refused (RFC 6120 §11.1), and so is nesting above
`DEPTH` and a piece above `LIMIT`.

Most stanzas are plain (pieces.py) and need no parser. Where one is needed, it is created from the
header, and discarded when no input is pending or a plain stanza follows. Creating it takes less
than three microseconds, and an idle stream holds no parser. A parser that lived as long as its
stream would keep every name that it ever saw.
"""

from __future__ import annotations

import re
from collections import deque
from xml.parsers import expat

from fakes.xmpp.markup import CLIENT, SERVER, STREAMS, ascii_text
from fakes.xmpp.pieces import Piece, PlainStanza, piece_of, plain_stanza

LIMIT = 1 << 18  # bytes of one piece; RFC 6120 §13.12 wants at least 10,000
DEPTH = 128  # nested elements, the stream's own included
RENEWED = 1 << 20  # bytes after which a busy parser is discarded too
_SPACE = b" \t\r\n"
_NAME = re.compile(rb"<([^\s/>]++)")
_SERVER_SCOPE = re.compile(rb"(\sxmlns\s*=\s*['\"])jabber:server(['\"])")
_TAG = re.compile(rb"<([^\s/>]++)[^>\"']*+(?:\"[^\"]*+\"[^>\"']*+|'[^']*+'[^>\"']*+)*>")


class _Stop(Exception):
    """Raised in a callback of the parser to end the stream with an error."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition
        self.text = text


class Splitter:
    """Takes the pieces of one stream from a buffer that the caller fills.

    Positions exist in two counts: offsets into the buffer, and the parser's count of all the bytes
    that it was fed, the repeated header included. `_base` is the parser's count at the first byte
    of the buffer, so that `position - _base` is an offset.
    """

    def __init__(self, limit: int = LIMIT, depth: int = DEPTH, scope: str = CLIENT) -> None:
        self._limit = limit
        self._scope = scope  # the content namespace
        self._max_depth = depth
        self.restart()

    def restart(self) -> None:
        """Begins a new document with the next byte of the buffer."""
        self._ready: deque[Piece] = deque()
        self._parser: expat.XMLParserType | None = None
        self._header = b""  # the start tag of the stream; b"" until it has come
        self._prefixes: dict[str, str] = {}  # declared by the header
        self.default_namespace = ""  # declared by the header
        self._may_be_plain = False  # the header is as almost every client writes it
        self._over = False  # closed or failed: the rest of the input is ignored
        self._fed = 0  # bytes of the buffer that the parser has seen
        self._base = 0

    def next(self, buffer: bytearray) -> Piece | None:
        """Takes the next piece from the buffer; returns None while it is incomplete."""
        plain = self.next_plain(buffer)
        return piece_of(plain) if plain is not None else self.next_parsed(buffer)

    def next_plain(self, buffer: bytearray) -> PlainStanza | None:
        """Takes the next piece if it is a plain stanza; returns None if not, or if incomplete."""
        if not buffer or self._fed or not self._may_be_plain or self._over:
            return None
        if buffer[0] in _SPACE:
            self._skip_space(buffer)
        plain = plain_stanza(buffer, self._limit)
        if plain is not None:
            del buffer[: len(plain[0])]
            self._parser = None  # which has not seen it
        return plain

    @property
    def is_idle(self) -> bool:
        """Whether there is no piece before the next byte of the buffer, and no parser."""
        return self._parser is None and not self._ready

    def next_parsed(self, buffer: bytearray) -> Piece | None:
        """Takes the next piece, which is not a plain stanza; returns None if it is incomplete."""
        while not self._ready:
            if self._over or not self._feed(buffer):
                return None
        piece = self._ready.popleft()
        if buffer and buffer[0] in _SPACE:
            self._skip_space(buffer)
        at = max(piece.start - self._base, 0)
        # Each piece must begin where the last one ended, else there was text between them. Two
        # pieces are exempt: the header, before which an XML declaration may stand, and the end of
        # an empty root (`<stream:stream/>`), which has no bytes left.
        contiguous = piece.kind != "open" and self._header
        if piece.kind == "close" and self._empty_root:
            contiguous = False
        if contiguous and (not buffer.startswith(b"<") or (at and piece.kind != "error")):
            text = "text between stanzas"
            piece, at = Piece("error", self._base, self._base + 1, "bad-format", text=text), 0
        if piece.kind in ("error", "close"):
            self._over = True
            self._ready.clear()
        end = max(piece.end - self._base, at)
        piece.raw = bytes(buffer[at:end])
        del buffer[:end]
        self._base += end
        self._fed -= end
        if piece.kind == "open" and self.default_namespace == self._scope == SERVER:
            self._read_as_client_content()
        return piece

    # ── feeding the parser ───────────────────────────────────────────────────

    def _feed(self, buffer: bytearray) -> bool:
        """Feeds new input to the parser; returns False if there is none.

        The first byte of the buffer is the first byte of a piece.
        """
        if buffer and buffer[0] in _SPACE:
            self._skip_space(buffer)
        if not buffer:
            self._parser = None
            return False
        if buffer[0] != ord("<"):
            # One byte shows in the record what it was; more would depend on the chunks.
            self._fail(1, *_condition_of_text(buffer, bool(self._header)))
            return True
        parser = self._parser
        if parser is None or self._base > RENEWED:
            parser = self._parser = self._new_parser()
        end = min(_end_of_first(buffer, self._fed), self._limit)
        end, encoded = _whole_characters(buffer, self._fed, end)
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
            self._fail(parser.ErrorByteIndex - self._base, *_condition_of_code(error.code))
        except _Stop as stop:
            self._fail(parser.CurrentByteIndex - self._base, stop.condition, stop.text)
        del self._buffer
        return True

    def _read_as_client_content(self) -> None:
        """RFC 6120 §4.8.3: what another server sends is read as if it were for a client.

        So its elements have the names that all of this server knows. What follows the header is
        parsed again.
        """
        if not self._empty_root:
            self._header = _SERVER_SCOPE.sub(rb"\1jabber:client\2", self._header, count=1)
            self._ready.clear()
            self._parser, self._fed = None, 0
            self._may_be_plain = self._prefixes.keys() <= {"db"}

    def _skip_space(self, buffer: bytearray) -> None:
        """Drops white space before a piece: it is only a keep-alive (RFC 6120 §4.6.1)."""
        count = len(buffer) - len(buffer.lstrip(_SPACE))
        del buffer[:count]
        seen = min(count, self._fed)
        self._fed -= seen
        self._base += seen

    def _fail(self, at: int, condition: str, text: str = "") -> None:
        end = self._base + max(at, 0)
        self._ready.append(Piece("error", self._base, end, condition, text=text))

    def _new_parser(self) -> expat.XMLParserType:
        """Creates a parser that has seen the header and is fed from the start of the buffer."""
        parser = expat.ParserCreate("UTF-8", "}", None)  # None: do not intern names
        if hasattr(parser, "SetReparseDeferralEnabled"):
            # Otherwise expat 2.6 holds back an element that has just become complete.
            parser.SetReparseDeferralEnabled(False)
        if self._header:
            parser.Parse(self._header, False)
        # Set after the header: the callbacks must not see it again.
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.StartNamespaceDeclHandler = self._on_namespace
        parser.XmlDeclHandler = _on_declaration
        parser.CommentHandler = _on_comment
        parser.ProcessingInstructionHandler = _on_instruction
        parser.StartDoctypeDeclHandler = _on_document_type
        self._depth = 1 if self._header else 0
        self._base = len(self._header)
        self._fed = 0
        self._reset_notes()
        return parser

    def _reset_notes(self) -> None:
        """Forgets what was noted about the last piece."""
        self._own_prefixes: list[tuple[str, str]] = []
        self._child_names: list[str] = []
        self._needs_rewriting = False

    # ── callbacks of the parser ──────────────────────────────────────────────

    def _on_namespace(self, prefix: str | None, uri: str | None) -> None:
        if prefix is None:
            if self._depth == 0:
                self.default_namespace = uri or ""
        elif self._depth == 0:
            if (prefix, uri) != ("stream", STREAMS):
                self._prefixes[prefix] = uri or ""
        else:
            if self._depth == 1:
                self._own_prefixes.append((prefix, uri or ""))
            self._needs_rewriting = self._needs_rewriting or uri in (CLIENT, SERVER)

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 3:
            self._child_names.append(_clark(name))
        elif self._depth == 2:
            assert self._parser is not None
            self._name, self._attributes = name, attributes
            self._begin = self._parser.CurrentByteIndex
        elif self._depth == 1:
            self._on_root(name, attributes)
        elif self._depth > self._max_depth:
            text = f"more than {self._max_depth} elements inside one another"
            raise _Stop("policy-violation", text)

    def _on_root(self, name: str, attributes: dict[str, str]) -> None:
        assert self._parser is not None
        tag = _TAG.match(self._buffer, self._parser.CurrentByteIndex - self._base)
        assert tag is not None
        self._empty_root = tag[0].endswith(b"/>")
        self._header = tag[0].removesuffix(b"/>").removesuffix(b">") + b">"
        end = self._base + tag.end()
        piece = Piece("open", self._base, end, _clark(name), attributes)
        piece.prefixed = b":" in tag[1]
        self._ready.append(piece)
        self._may_be_plain = self.default_namespace == CLIENT and not self._prefixes
        self._reset_notes()

    def _on_end(self, name: str) -> None:
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
        # For an empty element the parser is already past it, for others at the end tag.
        end = tag.end() if tag[0].endswith(b"/>") else self._buffer.index(b">", at) + 1
        prefixes: tuple[tuple[str, str], ...] = ()
        stands_for_content = self._needs_rewriting
        if self._prefixes or self._own_prefixes:
            prefixes = (*self._prefixes.items(), *self._own_prefixes)
            stands_for_content = stands_for_content or CLIENT in self._prefixes.values()
        self._ready.append(
            Piece(
                "element",
                self._begin,
                self._base + end,
                _clark(self._name),
                self._attributes,
                tuple(self._child_names),
                prefixes,
                tag.end() - tag.start(),
                b":" in tag[1],
                stands_for_content,
            )
        )
        self._reset_notes()


def _clark(name: str) -> str:
    """Turns the parser's `namespace}name` into `{namespace}name`."""
    return "{" + name if "}" in name else name


def _on_declaration(version: str, encoding: str | None, standalone: int) -> None:
    if encoding is not None and encoding.upper() != "UTF-8":
        raise _Stop("unsupported-encoding", f"{ascii_text(encoding)} is not UTF-8")


def _on_comment(data: str) -> None:
    raise _Stop("restricted-xml", "a comment")


def _on_instruction(target: str, data: str) -> None:
    raise _Stop("restricted-xml", "a processing instruction")


def _on_document_type(name: str, system: str | None, public: str | None, internal: bool) -> None:
    raise _Stop("restricted-xml", "a document type")


def _condition_of_text(buffer: bytearray, in_stream: bool) -> tuple[str, str]:
    """The condition and text of the error for input that does not begin with `<`."""
    if in_stream:
        return "bad-format", "text between stanzas"
    # 0xFE and 0xFF begin a byte order mark of UTF-16.
    condition = "unsupported-encoding" if buffer[0] in b"\xfe\xff" else "not-well-formed"
    return condition, "no XML"


def _end_of_first(buffer: bytearray, start: int) -> int:
    """Finds where the element at the start of the buffer probably ends, after `start`.

    The parser is fed no more than that, so that it has not begun with what follows, which may be
    plain. If the end is not found, everything is fed.
    """
    name = _NAME.match(buffer)
    closer = b"</%b>" % name[1] if name is not None else b""
    found = buffer.find(closer, max(0, start + 1 - len(closer))) if closer else -1
    return len(buffer) if found < 0 else found + len(closer)


def _whole_characters(buffer: bytearray, start: int, end: int) -> tuple[int, bool]:
    """Finds where the whole UTF-8 characters end (RFC 6120 §11.6).

    Returns that offset, and whether the bytes after it may still become a character.
    """
    try:
        with memoryview(buffer) as whole, whole[start:end] as part:
            str(part, "utf-8")
    except UnicodeDecodeError as error:
        return start + error.start, error.reason == "unexpected end of data"
    return end, True


def _condition_of_code(code: int) -> tuple[str, str]:
    """The condition and text of the stream error for an error code of the parser.

    RFC 6120 §11.1: an entity that is not one of the five of XML itself is restricted XML; all else
    is not well-formed (§11.3).
    """
    condition = "restricted-xml" if code == _UNDEFINED_ENTITY else "not-well-formed"
    return condition, expat.ErrorString(code) or ""


_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]

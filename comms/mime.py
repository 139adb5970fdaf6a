"""The structure of a mail: parts within parts (RFC 2045, RFC 2046), from any bytes.

    root = parse(raw)
    for part in root.leaves():
        part.type, part.name, part.decoded()

One pass over the bytes finds the parts, however deeply they are nested, and contents are slices of
the mail as it came. What is wrong with the structure is in `defects`.
"""

from __future__ import annotations

import itertools
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field

from comms import charsets, encodings, header, words

_TOKEN = r"[!#$%&'*+.0-9A-Z^-z|~-]{1,100}"  # RFC 2045 §5.1
_TYPE = re.compile(rf"\s*\"?({_TOKEN}/{_TOKEN})", re.I)
_PARAMETER = re.compile(r"[\s;,]*([^\s=;,\"]*)[ \t]*(=?)[ \t]*")
_WORD = re.compile(r"[^\s;]+")
_PIECE = re.compile(r"([^*]+)(?:\*([0-9]{1,4}))?(\*?)")
PARTS = 10_000  # that are found in one mail
TOO_MANY = f"more than {PARTS} parts: what follows belongs to the last one"
_HEADERS = 1 << 20  # bytes of the headers of all parts that are read
LONG_HEADERS = f"the headers of the parts are longer than {_HEADERS} bytes: others were not read"
_GUESSES = 3  # levels at which a missing boundary is guessed


@dataclass
class Part:
    """A part of a mail, or the mail itself."""

    fields: list[tuple[str, bytes]]
    raw: bytes = field(repr=False)
    begin: int  # of the content in `raw`
    end: int
    default_type: str = "text/plain"
    children: list[Part] = field(default_factory=list)
    # The part of a multipart/alternative in which this is, and which of the choices it is or is in.
    choice: tuple[int, int] | None = None
    type: str = field(init=False)
    parameters: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        value = self.get("content-type")
        match = _TYPE.match(value)
        kind = match[1].lower().rstrip(".") if match else ""
        if not match and (bare := re.match(r"\s*(multipart|message)\b", value, re.I)):
            kind = {"multipart": "multipart/mixed", "message": "message/rfc822"}[bare[1].lower()]
        # Scripts write plain/text and html/text.
        kind = re.sub(r"^(plain|html)/text$", r"text/\1", kind)
        # RFC 2045 §5.2: what cannot be read is plain text.
        self.type = kind or (self.default_type if not value.strip() else "text/plain")
        self.parameters = parameters(value[match.end() :] if match else value.partition(";")[2])

    def get(self, name: str) -> str:
        """Returns a field's first value that is not empty; bytes beyond UTF-8 are surrogates."""
        for known, value in self.fields:
            if value and known.casefold() == name:
                return value.decode("utf-8", "surrogateescape")
        return ""

    @property
    def is_multipart(self) -> bool:
        return self.type.startswith("multipart/")

    @property
    def encoding(self) -> str:
        return encodings.named(self.get("content-transfer-encoding"))

    @property
    def charset(self) -> str:
        label = self.parameters.get("charset", "").strip(" \t\"'")
        return re.split(r"[\s;,(]", label, maxsplit=1)[0] if label else ""

    @property
    def is_attachment(self) -> bool:
        return self.get("content-disposition").strip().lower().startswith("attachment")

    def name(self, charset: str = "") -> str:
        """Returns the name of the file, decoded, "" if there is none. It may not be a safe name."""
        disposition = parameters(self.get("content-disposition").partition(";")[2])
        name = disposition.get("filename") or self.parameters.get("name") or ""
        return words.decode(name, self.charset or charset)

    def content(self) -> bytes:
        """Returns the content as it came, still encoded."""
        return self.raw[self.begin : self.end]

    def decoded(self) -> bytes:
        """Returns the content without its transfer encoding."""
        return encodings.decode(self.content(), self.encoding)

    def leaves(self) -> Iterator[Part]:
        """Yields the parts that have content, in order. A forwarded mail counts as one part."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            if part.children:
                waiting += reversed(part.children)
            else:
                yield part


def parameters(text: str) -> dict[str, str]:
    """Returns the parameters of a field (RFC 2045 §5.1, RFC 2231), names in lower case.

    Semicolons may be missing, values with spaces may be without quotes, and quotes may be left
    open. Of two parameters with the same name, the first counts.
    """
    pieces: dict[str, list[tuple[int, bool, str]]] = {}
    last_quote = _last_quote(text)
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        assert match is not None  # it matches the empty string, too
        name, at = match[1].lower(), match.end()
        value = ""
        if text[at : at + 1] == '"' and at < last_quote:
            value, at = _quoted(text, at + 1)
        elif match[2] or text[at : at + 1] == '"':
            value, at = _unquoted(text, at, name)
        piece = _PIECE.fullmatch(name)
        if piece and match[2]:
            found = pieces.setdefault(piece[1], [])
            # A parameter of RFC 2231 takes precedence over a plain one.
            number = int(piece[2] or 0) if piece[2] or piece[3] else -1
            if all(number != known for known, _, _ in found[-100:]):
                found.append((number, bool(piece[3]), value))
    return {name: _assembled(found) for name, found in pieces.items()}


def _is_escaped(text: str, at: int) -> bool:
    return text[at - 1] == "\\" and text[at - 2 : at] != "\\\\"


def _last_quote(text: str) -> int:
    """Returns the position of the last quote that can close a string, so that no search fails."""
    at = text.rfind('"')
    while at > 0 and _is_escaped(text, at):
        at = text.rfind('"', 0, at)
    return at


def _quoted(text: str, at: int) -> tuple[str, int]:
    """Returns the text of a quoted string from `at` on, and the position after its last quote."""
    end = text.find('"', at)
    while end > 0 and _is_escaped(text, end):
        end = text.find('"', end + 1)
    return re.sub(r'\\(["\\])', r"\1", text[at:end]), end + 1


def _unquoted(text: str, at: int, name: str) -> tuple[str, int]:
    """Returns the value up to a semicolon, and where it ends. A quote may be left open.

    Only file names may have spaces. After another value, a space is as good as a semicolon.
    """
    at += text[at : at + 1] == '"'
    end = text.find(";", at)
    end = len(text) if end < 0 else end
    if not name.startswith(("name", "filename")) and (word := _WORD.match(text, at, end)):
        return word[0], word.end()
    return text[at:end].strip(), end


def _assembled(found: list[tuple[int, bool, str]]) -> str:
    """Joins the pieces of a value (RFC 2231 §3, §4)."""
    numbered = sorted(piece for piece in found if piece[0] >= 0)
    if not numbered:
        return found[0][2]
    label, raw = "", []
    for place, (_, encoded, value) in enumerate(numbered):
        if encoded and place == 0 and value.count("'") >= 2:
            label, _, value = value.split("'", 2)
        content = value.encode("utf-8", "surrogateescape")
        raw.append(urllib.parse.unquote_to_bytes(content) if encoded else content)
    joined = b"".join(raw)
    return charsets.decode(joined, label) if label else joined.decode("utf-8", "surrogateescape")


# ── parsing ──────────────────────────────────────────────────────────────────


def parse(raw: bytes, defects: list[str] | None = None) -> Part:
    """Returns the mail in these bytes. Never raises."""
    defects = [] if defects is None else defects
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")  # written by a program of the first Macintosh
    fields, begin = header.split(raw)
    if len(raw[:begin].rstrip()) > header.LONGEST:
        defects.append(header.TOO_LONG)
    root = Part(fields, raw, begin, len(raw))
    _fill(root, defects, _GUESSES, _Room())
    return root


@dataclass
class _Room:
    """How much more of a mail may be read, so that no mail costs more than its size."""

    parts: int = PARTS
    headers: int = _HEADERS
    exceeded: bool = False  # by the headers of the parts


class _Open:
    """The multiparts that are open at a position, innermost last, and their boundaries."""

    def __init__(self) -> None:
        self.parts: list[tuple[Part, bytes]] = []
        self._levels: dict[bytes, list[int]] = {}

    def push(self, part: Part, boundary: bytes) -> None:
        self._levels.setdefault(boundary, []).append(len(self.parts))
        self.parts.append((part, boundary))

    def close_to(self, level: int) -> list[Part]:
        """Closes everything from this level on, and returns it."""
        closed = self.parts[level:]
        del self.parts[level:]
        for _, boundary in closed:
            self._levels[boundary].pop()
            if not self._levels[boundary]:
                del self._levels[boundary]
        return [part for part, _ in closed]

    def found(self, line: bytes) -> tuple[int, bool] | None:
        """Returns which multipart a line delimits, and whether it closes it."""
        name = line[2:].rstrip()
        if name in self._levels:
            return self._levels[name][-1], False
        if name.endswith(b"--") and (bare := name[:-2].rstrip()) in self._levels:
            return self._levels[bare][-1], True
        return None


def _fill(root: Part, defects: list[str], guesses: int, room: _Room, boundary: bytes = b"") -> None:
    """Finds the parts within a multipart, and within those.

    A line with the boundary of an outer multipart ends all inner ones, closed or not.
    """
    boundary = boundary or _boundary(root)
    if not root.is_multipart:
        return
    raw, end = root.raw, root.end
    open_parts = _Open()
    multiparts = [root]
    if boundary:
        open_parts.push(root, boundary)
    current: Part | None = None  # the part whose end is not known yet
    at = root.begin
    while open_parts.parts and at < end:
        # The line break before a delimiter belongs to it.
        start = at if raw.startswith(b"--", at) else raw.find(b"\n--", at, end) + 1 or end
        if start >= end:
            break
        stop = raw.find(b"\n", start, end)
        stop = end if stop < 0 else stop
        found = open_parts.found(raw[start:stop])
        at = min(stop + 1, end)
        if found is None:
            at = max(at - 1, start + 2)  # the break may be the one before the next delimiter
            continue
        level, closes = found
        if not closes and not room.parts:
            defects.append(TOO_MANY)
            break
        for part in [*open_parts.close_to(level + 1), *([current] if current else [])]:
            part.end = max(part.begin, _before_break(raw, start))
        current = None
        parent = open_parts.parts[level][0]
        if closes:
            for part in open_parts.close_to(level):
                if part is not root:
                    part.end = max(part.begin, _before_break(raw, start))
            at = max(at - 1, start + 2)
            continue
        fields, begin = header.split(
            raw, at, lambda line: open_parts.found(line) is not None, room.headers
        )
        begin = min(begin, end)
        if len(raw[at:begin].strip()) > room.headers and not room.exceeded:
            room.exceeded = True
            defects.append(LONG_HEADERS)
        room.parts -= 1
        room.headers = max(0, room.headers - (begin - at))
        digest = parent.type == "multipart/digest"
        kind = "message/rfc822" if digest else "text/plain"
        current = Part(fields, raw, begin, end, kind)
        current.choice = parent.choice
        if current.choice is None and parent.type == "multipart/alternative":
            current.choice = (id(parent), len(parent.children))
        parent.children.append(current)
        at = begin
        if current.is_multipart:
            multiparts.append(current)
            if inner := _boundary(current):
                open_parts.push(current, inner)
                current = None
        # A delimiter may follow at once, and the break before it belongs to the header.
        if not raw.startswith(b"--", at):
            at = max(at - 1, start + 2)
    if open_parts.parts:
        defects.append("a multipart is not closed")
    for part in multiparts:
        if not part.children:
            defects.append("a multipart has no parts: its boundary is missing or never comes")
            if guesses:
                _guess(part, defects, guesses - 1, room)


def _boundary(part: Part) -> bytes:
    text = part.parameters.get("boundary", "").rstrip()
    return text.encode("utf-8", "surrogateescape") if part.is_multipart else b""


def _before_break(raw: bytes, start: int) -> int:
    """Returns where the line break before a delimiter begins."""
    if start > 0 and raw[start - 1] == 0x0A:
        return start - 2 if start > 1 and raw[start - 2] == 0x0D else start - 1
    return start


_DELIMITER = re.compile(
    rb"^--([^\s][^\r\n]{0,200})\r?\n(?=(content-[a-z-]{1,60}[ \t]*:)?)", re.M | re.I
)
_DELIMITERS = 100  # lines that are tried


def _guess(part: Part, defects: list[str], guesses: int, room: _Room) -> None:
    """Finds the parts of a multipart whose boundary is not known: by its content.

    The content of a multipart must not be encoded, but some programs do it.
    """
    encoded = part.encoding in (encodings.BASE64, encodings.UUENCODE)
    whole = part.raw, part.begin, part.end
    part.raw = part.decoded() if encoded else part.content()
    part.begin, part.end = 0, len(part.raw)
    if encoded and (boundary := _boundary(part)) and b"--" + boundary in part.raw:
        _fill(part, defects, guesses, room, boundary)
        return
    for match in itertools.islice(_DELIMITER.finditer(part.raw), _DELIMITERS):
        name = match[1].rstrip()
        # Two hyphens may also begin a line of text.
        if match[2] or b"\n--" + name + b"--" in part.raw:
            _fill(part, defects, guesses, room, name)
            return
    part.raw, part.begin, part.end = whole

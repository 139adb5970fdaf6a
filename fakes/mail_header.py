"""The header of a mail as a test reads it: unfolded, decoded (RFC 2047), by name.

Any bytes may arrive by mail, and no header is refused here: a line that is none is left out, an
encoded word that cannot be decoded stays as it is, and raw bytes are UTF-8 or else Latin-1. The
headers of the `email` package raise errors of many kinds for such mails, and take quadratic time.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:[ \t]*(.*)", re.S)
_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?([^?]*)\?=")
# A quoted string, a comment, an address in angle brackets, or a separator.
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"?|\((?:[^()\\]++|\\.|\([^()]*+\))*\)?|<[^<>]*>?|[,;:]|[^",;:<(]+', re.S
)
_EMPTY_LINE = re.compile(rb"\n(\r?\n)")
# These are codecs of Python, but no charsets, and decoding punycode takes quadratic time.
# What programs send under these names is a larger charset, which contains the one that is named.
_LARGER = {
    "iso_8859_1": "cp1252",
    "latin1": "cp1252",
    "latin_1": "cp1252",
    "iso_8859_9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "windows_31j": "cp932",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
}
_NO_CHARSETS = frozenset({"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined"})


class Headers(Mapping[str, str]):
    """The fields of a header, decoded, by name in any case: `headers["subject"]`.

    Where a field occurs several times, this is the first; `get_all` returns all of them.
    """

    def __init__(self, raw: bytes) -> None:
        self._fields: dict[str, list[str]] = {}  # the name in lower case → raw values
        self._names: dict[str, str] = {}  # … → as it is written
        for name, value in _fields(raw):
            self._names.setdefault(name.lower(), name)
            self._fields.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(f"no header {name}; there are: {', '.join(self) or '(none)'}")
        return values[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names.values())

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self)}>"

    def get_all(self, name: str) -> list[str]:
        """Every value of a field, in order; [] if there is none."""
        return [decode_words(value) for value in self._fields.get(name.lower(), ())]

    def addresses(self, name: str) -> list[str]:
        """The addresses in every field of a name, without display names and comments."""
        values = self._fields.get(name.lower(), ())
        return [address for value in values for address in _addresses(value)]


def find_empty_line(raw: bytes, start: int = 0) -> tuple[int, int]:
    """Returns where the first empty line from a line on begins and ends, the end if none.

    That is where a header ends and a body begins. A bare LF ends a line, too.
    """
    # A part begins after a line end, and the mail as if there were one.
    if not start:
        for newline in (b"\r\n", b"\n"):
            if raw.startswith(newline):
                return 0, len(newline)
    match = _EMPTY_LINE.search(raw, max(0, start - 1))
    return match.span(1) if match else (len(raw), len(raw))


def decode_bytes(raw: bytes, charset: str = "") -> str:
    """Decodes bytes: by the charset if Python knows it, else as UTF-8 or Latin-1."""
    try:
        label = charset.lower().replace("-", "_")
        if label not in {"", "us_ascii", "ascii", *_NO_CHARSETS}:
            return raw.decode(_LARGER.get(label, charset), "replace")
    except (LookupError, ValueError):  # an unknown charset, or a codec for something else
        pass
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def decode_words(value: str) -> str:
    """Decodes the encoded words in a value (RFC 2047)."""
    pieces: list[str] = []
    end, charset, pending = 0, "", b""  # of the words that are being joined
    for match in _ENCODED_WORD.finditer(value):
        decoded = _decoded(match[2].lower(), match[3])
        if decoded is None:
            continue
        between = value[end : match.start()]
        # White space between two encoded words is not shown. A character may be split between
        # words of one charset, although it must not be.
        joined = bool(pending) and not between.strip()
        if not joined or match[1].lower() != charset:
            pieces += [decode_bytes(pending, charset), "" if joined else between]
            pending = b""
        charset, end = match[1].partition("*")[0].lower(), match.end()
        pending += decoded
    return "".join([*pieces, decode_bytes(pending, charset), value[end:]]).strip()


def _decoded(encoding: str, text: str) -> bytes | None:
    """Returns the bytes of an encoded word, None if it cannot be decoded."""
    raw = text.encode("utf-8", "surrogateescape")
    try:
        if encoding == "b":
            return binascii.a2b_base64(raw + b"===")
        return binascii.a2b_qp(raw, header=True)
    except binascii.Error:
        return None


def _fields(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yields the name and the unfolded value of each field. Other lines are left out."""
    unfolded: list[list[bytes]] = []
    for line in raw[: find_empty_line(raw)[0]].splitlines():
        if not line:
            break
        if line[:1] in (b" ", b"\t") and unfolded:
            unfolded[-1].append(b" " + line[1:])  # a tab that folds is shown as a space
        else:
            unfolded.append([line])
    for lines in unfolded:
        match = _FIELD.fullmatch(b"".join(lines))
        if match is not None:
            yield match[1].decode("ascii"), decode_bytes(match[2]).strip()


def _addresses(value: str) -> Iterator[str]:
    """Yields the addresses of a list: `Ann <a@b.test>, "B, C" <b@c.test>, team: d@e.test;`."""
    words: list[str] = []
    bracketed = ""
    for token in [*_TOKEN.findall(value), ","]:
        if token in (",", ";"):
            address = bracketed or "".join(words).strip()
            if "@" in address:
                yield address
            words, bracketed = [], ""
        elif token == ":":  # the name of a group ends
            words = []
        elif token.startswith("<"):
            bracketed = token.strip("<> \t")
        elif not token.startswith("("):
            words.append(token)

"""IMs are HTML: from plain text to HTML and back, split to the length that servers accept."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterator

from comms.toc.messages import encode, quote

_BREAK = re.compile(r"\r\n|\r|\n")
_HTML_BREAK = re.compile(r"\r\n|\r|\n|<br\s*/?>", re.I)
_NEW_LINE = re.compile(r"<(?:br\s*/?|/p|p(?:\s[^<>]*)?)>", re.I)
_TAG = re.compile(r"<[/!]?[A-Za-z][^<>]*>")


class Html(str):
    """Text that is HTML already, and is sent as it is. Any other str is plain text.

    Everything that arrives over TOC is Html.
    """

    __slots__ = ()

    @property
    def text(self) -> str:
        """What a person reads: no tags, `<br>` and `<p>` as line breaks, references resolved."""
        # Comments first: what they contain is not shown.
        plain = _TAG.sub("", _NEW_LINE.sub("\n", _without_comments(self)))
        return html.unescape(plain).strip("\n")


def _without_comments(text: str) -> str:
    """Returns HTML without comments, and with those that do not end.

    A pattern would look for the end again at each beginning, and a stranger can send thousands.
    """
    pieces, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        pieces.append(text[at:begin])
        at = end + len("-->")
    return "".join([*pieces, text[at:]])


def to_html(text: str) -> Html:
    """Returns text as HTML: with references for `<`, `>` and `&`, and `<br>` for line breaks.

    Text that is Html already keeps its tags.
    """
    if not isinstance(text, Html):
        text = html.escape(text, quote=False)
    return Html("<br>".join(_lines(text)))


def split_message(text: str, limit: int) -> Iterator[Html]:
    """Splits text into IMs of at most `limit` bytes each, as arguments in quotes.

    It is split between lines where possible. A line of plain text that is too long is split at a
    space, or else between characters. A line of HTML that is too long raises ValueError, because a
    cut could fall inside a tag.
    """
    piece: str | None = None
    for line in _lines(text):
        marked = to_html(Html(line) if isinstance(text, Html) else line)
        longer = marked if piece is None else f"{piece}<br>{marked}"
        if _size(longer) <= limit:
            piece = longer
            continue
        if piece is not None:
            yield Html(piece)
        if _size(marked) <= limit:
            piece = marked
            continue
        if isinstance(text, Html):
            raise ValueError(
                f"a line of HTML has {_size(marked)} bytes, and an IM holds {limit}: {line[:40]!r}…"
            )
        *complete, piece = _split_line(line, limit)
        yield from map(Html, complete)
    yield Html(piece)


def _lines(text: str) -> list[str]:
    return (_HTML_BREAK if isinstance(text, Html) else _BREAK).split(text)


def _split_line(line: str, limit: int) -> Iterator[str]:
    """Splits a line of plain text that is too long for one IM."""
    while True:
        # Count characters one by one: each may become several bytes, as a reference or escaped.
        size, fits = _size(""), 0
        while fits < len(line):
            step = _added(line[fits])
            if size + step > limit:
                break
            size += step
            fits += 1
        if fits == len(line):
            break
        if not fits:
            raise ValueError(f"an IM of {limit} bytes cannot hold {line[0]!r}")
        # A space in the first half is not used: the pieces would become too short.
        space = line.rfind(" ", 1, fits + 1)
        end = space if space > fits // 2 else fits
        yield html.escape(line[:end], quote=False)
        line = line[end:].removeprefix(" ")
    yield html.escape(line, quote=False)


@functools.lru_cache(1024)
def _added(character: str) -> int:
    """Returns the number of bytes that a character of plain text adds to an IM."""
    return _size(html.escape(character, quote=False)) - _size("")


def _size(marked: str) -> int:
    """Returns the number of bytes on the wire, quotes included."""
    return len(encode(quote(marked)))

"""IMs are HTML: plain text made safe, HTML made plain, and either cut to the length that a server takes."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from comms.toc.messages import quote


class Html(str):
    """Text that is HTML already: what comes over TOC, and what may go out as it is. Any other str is plain text."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """What a person reads: tags taken away, `<br>` and `<p>` as line breaks, references resolved."""
        plain = re.sub(r"(?i)<(?:br\s*/?|/p|p(?:\s[^<>]*)?)>", "\n", self)
        return html.unescape(
            re.sub(r"<[/!]?[A-Za-z][^<>]*>|<!--.*?-->", "", plain, flags=re.S)
        ).strip("\n")


def to_html(text: str) -> Html:
    """Text as HTML: `<`, `>` and `&` as references, line breaks as `<br>`. What is HTML already keeps its tags."""
    if not isinstance(text, Html):
        text = html.escape(text, quote=False)
    return Html("<br>".join(_lines(text)))


def split_message(text: str, room: int) -> Iterator[Html]:
    """The text as IMs, each at most `room` octets as an argument in quotes. Parted between lines where that is possible.

    Where one line is too long, plain text is cut at a blank, else between characters. Raises ValueError for a line of
    HTML that is too long: nobody knows where it may be cut.
    """
    piece: str | None = None
    for line in _lines(text):
        marked = to_html(Html(line) if isinstance(text, Html) else line)
        longer = marked if piece is None else f"{piece}<br>{marked}"
        if _size(longer) <= room:
            piece = longer
            continue
        if piece is not None:
            yield Html(piece)
        if _size(marked) <= room:
            piece = marked
            continue
        if isinstance(text, Html):
            raise ValueError(
                f"a line of HTML has {_size(marked)} octets, and {room} fit into an IM: {line[:40]!r}…"
            )
        *whole, piece = _cut(line, room)
        yield from map(Html, whole)
    yield Html(piece)


def _lines(text: str) -> list[str]:
    return re.split(r"(?i)\r\n|\r|\n|<br\s*/?>" if isinstance(text, Html) else r"\r\n|\r|\n", text)


def _cut(line: str, room: int) -> Iterator[str]:
    """A line too long for one IM, as several."""
    while True:
        size, fits = _size(""), 0
        while (
            fits < len(line)
            and size + (step := _size(html.escape(line[fits], quote=False)) - 2) <= room
        ):
            size += step
            fits += 1
        if fits == len(line):
            break
        if not fits:
            raise ValueError(f"{room} octets are too few for an IM")
        blank = line.rfind(" ", 1, fits + 1)
        end = blank if blank > fits // 2 else fits
        yield html.escape(line[:end], quote=False)
        line = line[end:].removeprefix(" ")
    yield html.escape(line, quote=False)


def _size(marked: str) -> int:
    """What it takes on the wire, quotes included."""
    return len(quote(marked).encode("latin-1", "xmlcharrefreplace"))

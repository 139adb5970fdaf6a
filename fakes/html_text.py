"""The text of an HTML mail as its reader sees it, and the links that the reader can follow.

This is not a browser: no CSS, no scripts. It splits tags as browsers do (the HTML standard of
WHATWG), in time that grows with the size of the input. `html.parser` of Python 3.11.7, 3.12.1 and
3.13.0 takes quadratic time for an unclosed tag that is repeated.
"""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import NamedTuple

# Elements between which a reader sees an empty line, and those that begin a line of their own.
_PARAGRAPHS = frozenset("p h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre hr".split())
_BLOCKS = _PARAGRAPHS | frozenset(
    "address article aside body center dd details div dt fieldset figcaption figure footer form "
    "head header html legend li main nav option section summary tbody tfoot thead tr".split()
)
# Elements whose content is not text that a reader sees, and has no tags in it.
# Elements whose content is not text, and the tag that ends each.
_UNSEEN = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.I)
    for name in "script style title textarea xmp iframe noembed noframes".split()
}
_LINKS = frozenset({"a", "area"})

_TAG = re.compile(r"</?([A-Za-z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"[\s/]*(=?[^\s/>=]*)\s*(=?)\s*")
_UNQUOTED = re.compile(r"[^\s>]*")
# In an attribute, `&copy=1` is a parameter of an address, and no character.
_CHARACTER = re.compile(
    r"&(#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31})(;|(?![=\w]))"
)


class Page(NamedTuple):
    """The text of a page, its lines ended by `\\n`, and where its links are, in order.

    `links` holds `(True, href)` for an address that words lead to, and `(False, text)` for a text
    outside of links, in which an address may be written out.
    """

    text: str
    links: list[tuple[bool, str]]


def read_html(source: str) -> Page:
    """Returns the text and the links of an HTML page. Any text is a page."""
    page = _PageBuilder()
    at = 0
    while True:
        start = source.find("<", at)
        page.add_text(source[at : start if start >= 0 else len(source)])
        if start < 0:
            break
        at = _read_markup(source, start, page)
        if at < 0:  # a tag or comment that does not end: browsers show nothing of it
            break
    return page.finished()


def _read_markup(source: str, start: int, page: _PageBuilder) -> int:
    """Reads what begins with `<` and returns where it ends, -1 if it does not."""
    if source.startswith("<!--", start):
        if source.startswith((">", "->"), start + 4):  # an empty comment
            return source.index(">", start) + 1
        end = source.find("-->", start + 4)
        return end + 3 if end >= 0 else -1
    match = _TAG.match(source, start)
    if match is None:
        if source.startswith(("<!", "<?", "</"), start):  # a doctype, or a bogus comment
            return source.find(">", start) + 1 or -1
        page.add_text("<")
        return start + 1
    attributes, end = _read_attributes(source, match.end())
    if end < 0:
        return -1
    name = match[1].lower()
    if source[start + 1] == "/":
        page.end_tag(name)
        return end
    page.start_tag(name, attributes)
    if name in _UNSEEN:
        closing = _UNSEEN[name].search(source, end)
        return closing.start() if closing else -1
    return end


def _read_attributes(source: str, at: int) -> tuple[dict[str, str], int]:
    """Returns the attributes of a tag, and where the tag ends, -1 if it does not."""
    attributes: dict[str, str] = {}
    while True:
        match = _ATTRIBUTE.match(source, at)
        assert match is not None  # it matches the empty text
        at = match.end()
        name, value = match[1].lower(), ""
        if match[2]:
            quote = source[at : at + 1]
            if quote in ('"', "'") and quote:
                end = source.find(quote, at + 1)
                if end < 0:
                    return attributes, -1
                value, at = source[at + 1 : end], end + 1
            else:
                unquoted = _UNQUOTED.match(source, at)
                assert unquoted is not None
                value, at = unquoted[0], unquoted.end()
        if name:
            attributes.setdefault(name, value)
        if source.startswith(">", at):
            return attributes, at + 1
        if at >= len(source):
            return attributes, -1


def _character(match: re.Match[str]) -> str:
    name, end = match.groups()
    if name.startswith("#"):
        return html.unescape(f"&{name};")
    return html5.get(name + end, match[0])


def _unescape(text: str) -> str:
    """Decodes character references as browsers do in text."""
    try:
        return html.unescape(text)
    except ValueError:  # a number with more digits than Python converts
        return _CHARACTER.sub(_character, text)


class _PageBuilder:
    """Puts the pieces of a page together: lines, cells of tables, and links."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._cells: list[list[str]] = [[]]  # of the line that is being written
        self._verbatim = 0  # how many <pre> are open
        self._in_link = False
        self._loose: list[str] = []  # text outside of links since the last block or link
        self._links: list[tuple[bool, str]] = []

    def add_text(self, source: str) -> None:
        if not source:
            return
        text = _unescape(source)
        if not self._in_link:
            self._loose.append(text)
        first, *others = text.split("\n") if self._verbatim else [text]
        self._cells[-1].append(first)
        for line in others:
            self._end_line()
            self._cells[-1].append(line)

    def start_tag(self, name: str, attributes: dict[str, str]) -> None:
        if name in _LINKS:
            self._end_loose()
            self._in_link = name == "a" and "href" in attributes
            # Browsers remove line ends and tabs within an address.
            href = re.sub(r"[\t\r\n]", "", _CHARACTER.sub(_character, attributes.get("href", "")))
            self._links.append((True, href.strip()))
        elif name == "br":
            self._end_loose()
            self._end_line()
        elif name in ("td", "th"):
            self._end_loose()
            self._cells.append([])
        else:
            self._block(name)
            self._verbatim += name == "pre"

    def end_tag(self, name: str) -> None:
        if name == "a":
            self._in_link = False
        elif name == "br":  # browsers take </br> for <br>
            self._end_line()
        else:
            self._block(name)
            if name == "pre" and self._verbatim:
                self._verbatim -= 1

    def _block(self, name: str) -> None:
        if name not in _BLOCKS:
            return
        self._end_loose()
        if any("".join(cell).strip() for cell in self._cells):
            self._end_line()
        self._cells = [[]]
        if name in _PARAGRAPHS:
            self._lines.append("")

    def _end_line(self) -> None:
        texts = ["".join(cell) for cell in self._cells]
        if self._verbatim:
            self._lines.append("\t".join(texts).replace("\xa0", " ").rstrip())
        else:
            # White space is one space; so is a no-break space, which is easier to compare.
            self._lines.append("\t".join(filter(None, (" ".join(one.split()) for one in texts))))
        self._cells = [[]]

    def _end_loose(self) -> None:
        if self._loose:
            self._links.append((False, "".join(self._loose)))
            self._loose = []

    def finished(self) -> Page:
        self._end_loose()
        self._end_line()
        lines: list[str] = []
        for line in self._lines:
            if line or (lines and lines[-1]):  # no two empty lines in a row, none at the beginning
                lines.append(line)
        text = "\n".join(lines).strip("\n")
        return Page(text + "\n" if text else "", self._links)

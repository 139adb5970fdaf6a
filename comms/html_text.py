"""HTML, and the older text/enriched, as plain text: what a reader would see.

    html_to_text("<p>See <a href='https://x.example/r'>here</a></p>")   # "See here (https://…)\\n"

The scanner is ours, because html.parser takes quadratic time in many versions of Python that are in
use. It reads markup as browsers do (HTML Living Standard), with one exception: what is opened
and never closed, such as a comment, hides nothing, because a mail may have been cut.
"""

from __future__ import annotations

import html as html_entities
import re
from html.entities import html5

# Elements that begin and end a line, and those with an empty line before and after them.
_LINES = frozenset(
    "address article aside body caption center dd details dialog dir div dl dt fieldset figcaption"
    " figure footer form header html legend li main menu nav ol option section summary table tbody"
    " tfoot thead tr ul".split()
)
_PARAGRAPHS = frozenset("blockquote h1 h2 h3 h4 h5 h6 hr p pre listing xmp plaintext".split())
_BLOCKS = _LINES | _PARAGRAPHS
_CELLS = frozenset(("td", "th"))
# Their content is not markup. Browsers show only the first three.
_RAW = frozenset("textarea xmp noembed script style title noframes iframe".split())
_SHOWN_RAW = frozenset(("textarea", "xmp"))
_HIDDEN = frozenset(("template",))
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_PRE = frozenset(("pre", "listing", "xmp", "textarea"))

# Elements that change something. The others, such as <b>, are only passed over.
_KNOWN = _BLOCKS | _CELLS | _RAW | _HIDDEN | _PRE | {"a", "br", "img"}

_NAME = re.compile(r"[a-zA-Z][^\s/>\0]{0,200}")
_BARE_TAG = re.compile(r"</?([a-zA-Z][^\s/>\0]{0,200})>")  # one without attributes
_ATTRIBUTE = re.compile(r"[\s/]*([^\s/>=]*)\s*(=?)\s*")
_UNQUOTED = re.compile(r"[^\s>]*")
_REFERENCE = re.compile(
    r"&(?:#0*[0-9]{1,7}(?![0-9])|#[xX]0*[0-9a-fA-F]{1,6}(?![0-9a-fA-F])"
    r"|[A-Za-z][A-Za-z0-9]{1,31});?"
)
_SPACES = re.compile(r"\s+")
# Not mso-hide: it hides from Outlook what all others show, such as a button.
_NOT_DISPLAYED = re.compile(r"display\s{0,9}:\s{0,9}none", re.I)
_KEEPS_LINES = re.compile(r"white-space\s{0,9}:\s{0,9}(?:pre|break-spaces)", re.I)
_SILENT_SCHEMES = ("javascript:", "data:", "cid:", "mid:", "about:", "vbscript:", "file:", "blob:")
LONGEST_TARGET = 2000  # characters of a link's target that are shown
QUOTES = 5  # quotations inside each other that are told apart


def html_to_text(html: str) -> str:
    """Returns what a reader of this HTML would see, as lines. Never raises.

    A link is followed by its target if that says more than the text of the link. The lines of a
    quotation (<blockquote>) begin with `> `, so that nobody takes them for what the author says.
    """
    page = _Page()
    _Scanner(html, page).run()
    return page.text()


def enriched_to_text(text: str) -> str:
    """Returns the text of text/enriched, or of its older form text/richtext."""
    text = re.sub(r"<(?:param|comment)>[^<]*</(?:param|comment)>", "", text, flags=re.I)
    # A single line break is a space, n of them are n - 1.
    text = re.sub(r"\n+", lambda breaks: "\n" * (len(breaks[0]) - 1) or " ", text)
    text = text.replace("<<", "<lt>")
    text = re.sub(
        r"</?([a-z0-9-]{1,60})>", lambda tag: _enriched_tag(tag[1].lower()), text, flags=re.I
    )
    return text.strip() + "\n" if text.strip() else ""


def _enriched_tag(name: str) -> str:
    return {"lt": "<", "nl": "\n", "np": "\n", "paragraph": "\n"}.get(name, "")


# ── what is shown ────────────────────────────────────────────────────────────


class _Page:
    """The text so far: words, and the spaces and line breaks that are due before the next one."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._breaks = 0  # line breaks before the next word
        self._space = False
        self.keeps_lines = 0  # elements such as <pre> that are open
        self.quotes = 0  # elements <blockquote> that are open

    def text(self) -> str:
        text = "".join(self.pieces).strip("\n").rstrip()
        return text + "\n" if text.strip() else ""

    def need_breaks(self, count: int) -> None:
        """Demands that the next word has at least this many line breaks before it."""
        self._breaks = max(self._breaks, count)

    def line_break(self) -> None:
        self._breaks += 1

    def need_space(self) -> None:
        self._space = True

    def add(self, text: str) -> None:
        if self.keeps_lines:
            self._add_lines(text)
            return
        words = _SPACES.sub(" ", text)
        bare = words.strip(" ")
        if bare:
            self._space = self._space or words[0] == " "
            self._put(bare)
            self._space = words[-1] == " "
        elif words:
            self._space = True

    def _add_lines(self, text: str) -> None:
        lines = re.split(r"\r\n?|\n", text)
        for number, line in enumerate(lines):
            if number:
                self._breaks += 1
            if line:
                self._put(line.replace("\xa0", " "), limit=10)

    def _put(self, text: str, limit: int = 2) -> None:
        """Appends text, after what is due. More than one empty line in a row says nothing."""
        if self.pieces:
            if self._breaks:
                self.pieces.append("\n" * min(self._breaks, limit))
            elif self._space:
                self.pieces.append(" ")
        if self.quotes and (self._breaks or not self.pieces):
            self.pieces.append("> " * min(self.quotes, QUOTES))
        self._breaks, self._space = 0, False
        self.pieces.append(text)


# ── the scanner ──────────────────────────────────────────────────────────────


class _Scanner:
    """Goes over the markup once. No search that has failed is repeated, so the time is linear."""

    def __init__(self, html: str, page: _Page) -> None:
        self._html, self._page = html, page
        self._missing: set[str] = set()  # what does not occur in the rest
        # Open elements that hide their content or keep its lines: (name, hides, pieces before it).
        # For each, how many elements of its name are open, itself included.
        self._special: list[tuple[str, bool, int]] = []
        self._depths: list[int] = []
        self._link: tuple[str, int] | None = None  # the target, and the number of pieces before it

    def run(self) -> None:
        html, at = self._html, 0
        while at < len(html):
            start = html.find("<", at)
            if start < 0:
                start = len(html)
            if start > at:
                self._page.add(_unescaped(html[at:start]))
            at = start if start == len(html) else self._passed_over(start) or self._markup(start)
        self._end_link()

    def _find(self, what: str, at: int) -> int:
        if what in self._missing:
            return -1
        found = self._html.find(what, at)
        if found < 0:
            self._missing.add(what)
        return found

    def _passed_over(self, at: int) -> int:
        """Returns the position after a tag that changes nothing; 0 if it may change something."""
        tag = _BARE_TAG.match(self._html, at)
        name = tag[1].lower() if tag else ""
        if tag is None or name in _KNOWN or (self._special and name == self._special[-1][0]):
            return 0
        return tag.end()

    def _markup(self, at: int) -> int:
        """Handles what begins with this `<`, and returns the position after it."""
        html = self._html
        if html.startswith("<!--", at):
            if html.startswith((">", "->"), at + 4):
                return html.index(">", at) + 1
            ends = [
                end + len(mark)
                for mark in ("-->", "--!>")
                if (end := self._find(mark, at + 4)) >= 0
            ]
            return min(ends) if ends else at + 4
        following = html[at + 1 : at + 2]
        if following in ("!", "?") and following:
            return self._after_bracket(at)
        if following == "/":
            name = _NAME.match(html, at + 2)
            if name is None:
                return self._after_bracket(at)
            end, _ = self._tag_end(name.end())
            self._end(name[0].lower())
            return end
        name = _NAME.match(html, at + 1)
        if name is None:
            self._page.add("<")
            return at + 1
        end, attributes = self._tag_end(name.end())
        return self._start(name[0].lower(), attributes, end)

    def _after_bracket(self, at: int) -> int:
        end = self._find(">", at)
        return end + 1 if end >= 0 else min(at + 1, len(self._html))

    def _tag_end(self, at: int) -> tuple[int, dict[str, str]]:
        """Returns the position after a tag, and its attributes.

        A tag with an open quote is cut at the next `>`, and a tag that never ends at the next `<`.
        """
        html, begin = self._html, at
        attributes: dict[str, str] = {}
        if self._find(">", at) < 0:
            following = self._find("<", at)
            return following if following >= 0 else len(html), attributes
        while at < len(html):
            match = _ATTRIBUTE.match(html, at)
            assert match is not None  # it matches the empty string, too
            at = match.end()
            if match[2]:
                quote = html[at : at + 1]
                if quote in ('"', "'") and quote:
                    end = self._find(quote, at + 1)
                    if end < 0:
                        break
                    value, at = html[at + 1 : end], end + 1
                else:
                    unquoted = _UNQUOTED.match(html, at)
                    assert unquoted is not None
                    value, at = unquoted[0], unquoted.end()
                if match[1].lower() in ("href", "style", "alt", "hidden"):
                    attributes.setdefault(match[1].lower(), value)
            elif match[1].lower() == "hidden":
                attributes.setdefault("hidden", "")
            if html.startswith(">", at):
                return at + 1, attributes
        return self._after_bracket(begin), attributes

    def _start(self, name: str, attributes: dict[str, str], at: int) -> int:
        page = self._page
        if name in _RAW:
            return self._raw(name, at)
        page.quotes += name == "blockquote"
        if self._special and self._special[-1][0] == "p" and name in _BLOCKS:
            self._end("p")  # a paragraph ends where a block begins (HTML Living Standard)
        if self._special and name == self._special[-1][0]:
            self._depths[-1] += 1
        elif name in _HIDDEN or name in _PRE or (attributes and name not in _VOID):
            style = attributes.get("style", "")
            hides = name in _HIDDEN or "hidden" in attributes or bool(_NOT_DISPLAYED.search(style))
            keeps_lines = name in _PRE or bool(_KEEPS_LINES.search(style))
            if hides or keeps_lines:
                self._space_before(name)
                self._special.append((name, hides, len(page.pieces)))
                self._depths.append(1)
                page.keeps_lines += not hides
                # The first line break in <pre> is not shown.
                if name in _PRE and self._html.startswith(("\n", "\r\n"), at):
                    return self._html.index("\n", at) + 1
                return at
        self._space_before(name)
        if name == "a":
            self._end_link()
            if target := _target(attributes.get("href", "")):
                self._link = (target, len(page.pieces))
        elif name == "img" and (alt := attributes.get("alt", "")):
            page.add(_unescaped(alt))
        return at

    def _space_before(self, name: str) -> None:
        page = self._page
        if name == "br":
            page.line_break()
        elif name in _PARAGRAPHS:
            page.need_breaks(2)
        elif name in _LINES:
            page.need_breaks(1)
        elif name in _CELLS:
            page.need_space()

    def _end(self, name: str) -> None:
        page = self._page
        if self._special and name == self._special[-1][0]:
            self._depths[-1] -= 1
            if not self._depths[-1]:
                self._depths.pop()
                _, hides, before = self._special.pop()
                if hides:
                    del page.pieces[before:]
                    if self._link and self._link[1] > before:
                        self._link = None
                else:
                    page.keeps_lines -= 1
        if name == "a":
            self._end_link()
        page.quotes = max(0, page.quotes - (name == "blockquote"))
        self._space_before(name)  # browsers read </br> as <br>

    def _raw(self, name: str, at: int) -> int:
        """Handles an element whose content is not markup."""
        closing = f"</{name}"
        if closing in self._missing:
            return at
        match = re.compile(re.escape(closing), re.I).search(self._html, at)
        if match is None:
            self._missing.add(closing)
            return at
        if name in _SHOWN_RAW:
            self._space_before(name)
            self._page.keeps_lines += 1
            content = self._html[at : match.start()].removeprefix("\n")
            self._page.add(_unescaped(content) if name == "textarea" else content)
            self._page.keeps_lines -= 1
        self._space_before(name)
        return self._after_bracket(match.end())

    def _end_link(self) -> None:
        """Adds the target of a link if it says more than the text."""
        if self._link is None:
            return
        target, before = self._link
        self._link = None
        shown = "".join(self._page.pieces[before:]).lstrip("\n> ")
        if said := _worth_saying(target, shown):
            self._page.need_space()
            self._page.add(f"({said})")


def _target(href: str) -> str:
    """Returns the target of a link, without the line breaks in it (URL Standard).

    In an attribute, a name without a semicolon is no reference if more letters or = follow (HTML
    Living Standard): `&region=eu` is not `®ion=eu`.
    """
    unescaped = _REFERENCE.sub(_unescaped_in_attribute, href)
    return " ".join(re.sub(r"[\t\r\n]+", "", unescaped.strip()).split())


def _unescaped_in_attribute(match: re.Match[str]) -> str:
    text = match[0]
    is_key = text[-1] != ";" and match.string.startswith("=", match.end())
    is_name = text[1:] in html5 and not is_key
    return html_entities.unescape(text) if text[1] == "#" or is_name else text


def _worth_saying(target: str, shown: str) -> str:
    """Returns the target of a link in the form to show, or "" if the text says as much."""
    lower = target.lower()
    if not target or lower.startswith(("#", *_SILENT_SCHEMES)):
        return ""
    for scheme in ("mailto:", "tel:", "sms:", "callto:"):
        if lower.startswith(scheme):
            target = target[len(scheme) :].partition("?")[0]
            said = re.sub(r"[^0-9+]", "", shown) if scheme != "mailto:" else shown.lower()
            if target and re.sub(r"[\s()./-]", "", target).lower() in re.sub(r"[\s()/]", "", said):
                return ""
    if not target or _bare(target) in (_bare(shown), _bare(shown.strip(" <>().,;"))):
        return ""
    return target[:LONGEST_TARGET]


def _bare(url: str) -> str:
    """Returns a URL without what people leave out when they write it."""
    url = "".join(url.split())
    for prefix in ("https://", "http://", "//", "www."):
        if url[: len(prefix)].lower() == prefix:
            url = url[len(prefix) :]
    host, slash, path = url.partition("/")
    return (host.lower() + slash + path).rstrip("/")


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    return _REFERENCE.sub(lambda match: html_entities.unescape(match[0]), text)

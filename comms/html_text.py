"""HTML as plain text: what a reader would see."""

from __future__ import annotations

import html.parser
import re


class _TextOf(html.parser.HTMLParser):
    """Collects what a reader of the HTML would see."""

    BLOCKS = frozenset(
        "address blockquote div dl dt dd fieldset form h1 h2 h3 h4 h5 h6 hr li ol p pre table tr ul".split()
    )
    SILENT = frozenset({"head", "script", "style", "title", "template"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.SILENT:
            self._silent.append(tag)
        elif tag == "br" or tag in self.BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._silent and tag == self._silent[-1]:
            self._silent.pop()
        elif tag in self.BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(re.sub(r"\s+", " ", data))


def html_to_text(html: str) -> str:
    """What a reader of this HTML would see, as lines."""
    reader = _TextOf()
    try:
        reader.feed(html)
        reader.close()
    except Exception:  # html.parser has raised on broken markup; its text is better than nothing
        return re.sub(r"<[^>]*>", " ", html)
    lines = [" ".join(line.split()) for line in "".join(reader.pieces).split("\n")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    return text + "\n" if text else ""

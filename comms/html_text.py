"""HTML as plain text: what a reader would see."""

from __future__ import annotations

import html.parser
import re


class _TextCollector(html.parser.HTMLParser):
    """Collects the text of an HTML page. `pieces` has a line break at the edges of each block."""

    BLOCKS = frozenset(
        "address blockquote div dl dt dd fieldset form h1 h2 h3 h4 h5 h6 hr li ol p pre table tr "
        "ul".split()
    )
    INVISIBLE = frozenset({"head", "script", "style", "title", "template"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._invisible: list[str] = []  # open elements whose text is not shown

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.INVISIBLE:
            self._invisible.append(tag)
        elif tag == "br" or tag in self.BLOCKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if self._invisible and tag == self._invisible[-1]:
            self._invisible.pop()
        elif tag in self.BLOCKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._invisible:
            self.pieces.append(re.sub(r"\s+", " ", data))


def html_to_text(html: str) -> str:
    """Returns what a reader of this HTML would see, as lines. Never raises."""
    collector = _TextCollector()
    try:
        collector.feed(html)
        collector.close()
    except Exception:
        # html.parser has raised on broken markup. Text without tags is better than no text.
        return re.sub(r"<[^>]*>", " ", html)
    lines = [" ".join(line.split()) for line in "".join(collector.pieces).split("\n")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    return text + "\n" if text else ""

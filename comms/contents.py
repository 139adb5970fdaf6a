"""What a mail says: its text, its HTML and the files in it, from the parts that it consists of.

What a reader of the mail can see is text. Each other part is an attachment.
"""

from __future__ import annotations

import re

from comms import attachments, charsets, encodings, mime, words
from comms.attachments import Attachment, safe_name
from comms.html_text import enriched_to_text, html_to_text
from comms.mime import Part

_PLAIN, _HTML = "text/plain", "text/html"
_ENRICHED = ("text/enriched", "text/richtext")
_VISIBLE = re.compile(r"[^\s\u034f\u200b-\u200f\u2060\u2800\u3164\ufeff\xad\ufffd]")
# Where HTML says its charset; browsers look at as many bytes (HTML Living Standard).
_META = re.compile(
    rb"<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,200}?encoding)\s{0,9}=[\"'\s]{0,9}([\w.:-]{1,40})",
    re.I,
)
_HTML_HEAD = 1024
_NESTED = 3  # forwarded mails within forwarded mails, whose text is the text of an empty mail


class Contents:
    """The contents of a mail. `leaves` are its parts that have content, in order."""

    def __init__(self, leaves: list[Part], root: Part, charset: str, nested: int = _NESTED) -> None:
        self._root, self._charset, self._nested = root, charset, nested
        self._html: list[str] = []
        self._files: list[Attachment] = []
        self._invisible: set[int] = set()  # ids of parts whose HTML shows no text
        self._blank = ""  # the first plain text in which nothing can be seen
        self._text = self._shown(leaves) or self._otherwise(leaves) or self._blank

    def text(self) -> str:
        """Returns the text, with `\\n` as the line end."""
        return self._text

    def html(self) -> str | None:
        """Returns the HTML, None if there is none."""
        return "\n".join(self._html) if self._html else None

    def attachments(self) -> list[Attachment]:
        """Returns the files, each with a name of its own."""
        return attachments.uniquely_named(self._files)

    # ── what is shown ────────────────────────────────────────────────────────

    def _shown(self, leaves: list[Part]) -> str:
        """Returns the text of the parts without file names, "" if nothing can be seen.

        They are joined in their order, because many programs put text after a picture. Of the
        choices of a multipart/alternative, one is shown: the first plain text, or else the HTML.
        """
        pieces: list[tuple[str, str, Part, str]] = []  # (kind, text, part, name)
        for part in leaves:
            name = safe_name(part.name(self._charset))
            # A multipart in which no parts were found is text: that is how others show it.
            kind = _PLAIN if part.is_multipart else part.type
            if name or part.is_attachment or kind not in (_PLAIN, _HTML, *_ENRICHED):
                self._add_file(part, name)
                continue
            raw = part.decoded()
            if kind == _PLAIN:
                raw, files = encodings.uuencoded_files(raw)
                for file in files:
                    found = safe_name(words.decode(file.name.decode("utf-8", "surrogateescape")))
                    self._files.append(Attachment(found, file.content))
            text = self._decoded(part, raw)
            if kind == _HTML:
                self._html.append(text)
                text = html_to_text(text)
            elif kind in _ENRICHED:
                text = enriched_to_text(text)
            if _VISIBLE.search(text):
                pieces.append((kind, text, part, name))
            elif kind == _HTML:
                self._invisible.add(id(part))
            elif kind == _PLAIN:
                self._blank = self._blank or text
        return self._joined(pieces)

    def _joined(self, pieces: list[tuple[str, str, Part, str]]) -> str:
        chosen: dict[int, int] = {}  # multipart/alternative → which choice is shown
        for wanted in (_PLAIN, _HTML, *_ENRICHED):
            for kind, _, part, _ in pieces:
                if part.choice is not None and kind == wanted:
                    chosen.setdefault(*part.choice)
        shown: list[str] = []
        before: tuple[str, list[str]] = ("", [])  # kind and words of the last text
        for kind, text, part, name in pieces:
            if part.choice is not None and chosen[part.choice[0]] != part.choice[1]:
                if kind == _PLAIN:
                    self._add_file(part, name)  # a second plain text is not lost
                continue
            # Some programs send the plain text and its HTML without multipart/alternative.
            if kind != before[0] and {kind, before[0]} == {_PLAIN, _HTML}:
                said = text.split()
                if said == before[1]:
                    continue
            before = (kind, text.split() if len(pieces) > 1 else [])
            if shown and not shown[-1].endswith("\n"):
                shown.append("\n")
            shown.append(text)
        return "".join(shown)

    def _otherwise(self, leaves: list[Part]) -> str:
        """Returns the text of a mail that seems to have none."""
        # A text with a file name, which stays an attachment, too: programs show it.
        for attached in (False, True):
            for part in leaves:
                is_text = part.type.startswith("text/") and (part.is_attachment == attached)
                if (
                    is_text
                    and (part is self._root or not attached)
                    and (text := self._any_text(part))
                ):
                    return text
        for part in leaves:
            if part.type == "message/rfc822" and self._nested:
                text = _text_of_forwarded(part.decoded(), self._nested - 1)
                if _VISIBLE.search(text):
                    return text
        if self._files or self._html:
            return ""
        # The last resort: what is there, decoded.
        return self._any_text(self._root) or self._decoded(self._root, self._root.content()).strip()

    def _any_text(self, part: Part) -> str:
        if id(part) in self._invisible:
            return ""
        raw = part.decoded()
        if part.type == _PLAIN:
            raw, _ = encodings.uuencoded_files(raw)  # these are attachments
        text = self._decoded(part, raw)
        if part.type == _HTML:
            text = html_to_text(text)
        elif part.type in _ENRICHED:
            text = enriched_to_text(text)
        return text if _VISIBLE.search(text) else ""

    def _decoded(self, part: Part, raw: bytes) -> str:
        label = part.charset
        # A label that says nothing about bytes beyond ASCII is not better than none.
        if part.type == _HTML and charsets.codec(label) in ("", "ascii"):
            meta = _META.search(raw[:_HTML_HEAD])
            label = meta[1].decode("ascii") if meta else label
        text = re.sub(r"\r\n?", "\n", charsets.decode(raw, label)).replace("\0", "\ufffd")
        if part.type == _PLAIN and part.parameters.get("format", "").lower() == "flowed":
            return _unflowed(text, part.parameters.get("delsp", "").lower() == "yes")
        return text

    # ── files ────────────────────────────────────────────────────────────────

    def _add_file(self, part: Part, name: str) -> None:
        raw = part.decoded()
        if not name and part.encoding == encodings.UUENCODE:
            files = encodings.uuencoded_files(part.content())[1]
            name = safe_name(files[0].name.decode("utf-8", "replace")) if files else ""
        content_id = words.one_line(part.get("content-id")).strip("<>")
        self._files.append(Attachment(name, raw, part.type, content_id))


def _unflowed(text: str, extra: bool) -> str:
    """Joins the lines that a program has broken, and that end in a space (RFC 3676 §4).

    With `extra` (DelSp), that space is not part of the text. An empty line stays one.
    """
    pieces: list[str] = []
    goes_on, before = False, 0  # whether the last line does, and its depth
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        bare = bare.removeprefix(" ")  # put there so that the line begins with no mark (§4.4)
        is_joined = goes_on and depth == before and bare not in ("", "-- ")
        goes_on, before = bare.endswith(" ") and bare != "-- ", depth  # §4.3: a signature
        if goes_on and extra:
            bare = bare[:-1]
        if not is_joined:
            pieces.append("\n" * bool(pieces) + ">" * depth + " " * bool(depth and bare))
        pieces.append(bare)
    return "".join(pieces)


def _text_of_forwarded(raw: bytes, nested: int) -> str:
    root = mime.parse(raw)
    leaves = list(root.leaves())
    return Contents(leaves, root, root.charset, nested).text()

"""From the bytes of a line to words, from a text to lines, and what of a text a person reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

LINE = 510  # bytes of a line without CRLF and tags (RFC 2812 §2.3)
CTCP = "\x01"
_ESCAPES = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
# Colours with their numbers, and the switches for bold, italics and so on.
_FORMATTING = re.compile(
    r"\x03(?:[0-9]{1,2}(?:,[0-9]{1,2})?)?|\x04(?:[0-9A-Fa-f]{6}(?:,[0-9A-Fa-f]{6})?)?"
    r"|[\x02\x0f\x11\x16\x1d\x1e\x1f]"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line from the server. `nick` is "" if a server has sent it."""

    verb: str
    parameters: tuple[str, ...] = ()
    source: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def nick(self) -> str:
        """The nick of the user who has sent it."""
        nick, mark, _ = self.source.partition("!")
        return nick if mark else ""

    def __getitem__(self, index: int) -> str:
        """A parameter, "" if it is missing. Negative indexes count from the end."""
        try:
            return self.parameters[index]
        except IndexError:
            return ""

    def __str__(self) -> str:
        return " ".join([self.verb, *self.parameters])


def decode(raw: bytes) -> str:
    """Returns text: UTF-8, else Latin-1, in which every byte is a character."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def parse(raw: bytes) -> Line:
    """Reads a line without its end. What is malformed becomes a line with another verb, or none."""
    text = decode(raw.translate(None, b"\0\r"))  # no line has them, and no answer may
    tags: dict[str, str] = {}
    if text.startswith("@"):
        head, _, text = text[1:].partition(" ")
        tags = dict(map(_tag, filter(None, head.split(";"))))
    text, source = text.lstrip(" "), ""
    if text.startswith(":"):
        source, _, text = text[1:].partition(" ")
    head, mark, trailing = f" {text}".partition(" :")
    words = head.split(" ")
    words = [word for word in words if word]
    if mark:
        words.append(trailing)
    verb, *parameters = words or [""]
    return Line(verb.upper(), tuple(parameters), source, tags)


def _tag(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, re.sub(r"\\(.?)", lambda match: _ESCAPES.get(match[1], match[1]), value)


def check_word(name: str, word: str) -> str:
    """Returns a word that a command may hold. Raises ValueError."""
    if not word or word.startswith(":") or re.search(r"[\x00\r\n ,\x07]", word):
        raise ValueError(f"{name}: {word!r} cannot be sent; leave out spaces, commas and controls")
    return word


def readable(text: str) -> str:
    """Returns a text without colours, bold and the like."""
    return _FORMATTING.sub("", text)


def pieces(text: str, room: int) -> Iterator[str]:
    """Yields a text as pieces of at most `room` bytes in UTF-8, each of them one line.

    They end at line ends, else at a space, else between two characters.
    """
    for line in re.split(r"[\r\n]+", text.replace("\0", "")):
        raw, start = line.encode("utf-8", "replace"), 0
        # An index, because a copy of the rest for each piece would take quadratic time.
        while len(raw) - start > room:
            end = following = raw.rfind(b" ", start + 1, start + room + 1)
            if end > 0:
                following += 1  # the space is in no piece
            else:
                end = start + room
                # The bytes after the first one of a character begin with the bits 10.
                while end > start + 1 and raw[end] & 0xC0 == 0x80:
                    end -= 1
                following = end
            yield raw[start:end].decode("utf-8", "ignore")
            start = following
        if start < len(raw):
            yield raw[start:].decode("utf-8", "ignore")

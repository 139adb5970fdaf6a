"""From the bytes of a line to words, and from words to bytes.

Text is kept as `str` with surrogates in the place of bytes that are not UTF-8, so that a server
passes on what it cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LINE = 512  # bytes of a line with CRLF, without tags (RFC 2812 §2.3)
CLIENT_TAGS = 4096  # bytes of a client's tags, with @ and the space (IRCv3 message-tags)
SERVER_TAGS = 8191  # bytes of all tags of a server's line, with @ and the space
PARAMETERS = 15  # the last one takes the rest of the line
_ESCAPES = {":": ";", "s": " ", "\\": "\\", "r": "\r", "n": "\n"}
_ESCAPED = str.maketrans({";": "\\:", " ": "\\s", "\\": "\\\\", "\r": "\\r", "\n": "\\n"})


def decode(raw: bytes) -> str:
    """Returns bytes as text from which `encode` makes the same bytes."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Returns the bytes of a text."""
    return text.encode("utf-8", "surrogateescape")


def cut(text: str, limit: int) -> str:
    """Returns the first `limit` bytes of a text, less if they end within a character."""
    raw = encode(text)
    if len(raw) <= limit:
        return text
    end = limit
    # RFC 3629 §3: the bytes after the first one of a character begin with the bits 10.
    while end and limit - end < 3 and raw[end] & 0xC0 == 0x80:
        end -= 1
    if raw[end] & 0xC0 == 0x80:  # not UTF-8
        end = limit
    return decode(raw[:end])


@dataclass(frozen=True, slots=True)
class Command:
    """A line of a client. A name in `tags` may begin with +, as client-only tags do."""

    verb: str
    parameters: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    text: str = ""  # all that follows the verb


def parse(content: bytes) -> Command:
    """Reads a line, without its end. The verb is in capitals, "" if there is none."""
    text = decode(content)
    tags: dict[str, str] = {}
    if text.startswith("@"):
        head, _, text = text[1:].partition(" ")
        tags = dict(map(_tag, filter(None, head.split(";"))))
    text = text.lstrip(" ")
    if text.startswith(":"):
        # RFC 2812 §2.3: the only valid source of a client is the client itself.
        text = text.partition(" ")[2].lstrip(" ")
    verb, _, rest = text.partition(" ")
    return Command(verb.upper(), tuple(_words(rest)), tags, rest.lstrip(" "))


def _tag(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    found, escaped = "", False
    for character in value:
        if escaped:
            found, escaped = found + _ESCAPES.get(character, character), False
        elif character == "\\":
            escaped = True
        else:
            found += character
    return name, found


def _words(rest: str) -> list[str]:
    words: list[str] = []
    while rest := rest.lstrip(" "):
        if rest.startswith(":"):
            return [*words, rest[1:]]
        if len(words) == PARAMETERS - 1:
            return [*words, rest]
        word, _, rest = rest.partition(" ")
        words.append(word)
    return words


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the server. `text` is the last parameter, always written with its colon.

    `tags` are all that the line could have; each client gets those that it has asked for. `needs`
    names the capability without which a client does not get the line at all.
    """

    source: str
    verb: str
    words: tuple[str, ...] = ()
    text: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""

    def to_bytes(self, tags: Mapping[str, str]) -> bytes:
        """Returns the line with these tags, cut to what a line may have."""
        body = f":{self.source} " if self.source else ""
        body += " ".join([self.verb, *self.words])
        if self.text is not None:
            body += f" :{self.text}"
        head = b""
        if tags:
            written = (f"{name}={value}" if value else name for name, value in escaped(tags))
            head = encode(f"@{';'.join(written)} ")
        return head + encode(cut(body, LINE - 2)) + b"\r\n"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The words and the text."""
        return self.words if self.text is None else (*self.words, self.text)

    def __str__(self) -> str:
        return self.to_bytes({})[:-2].decode("utf-8", "replace")


def escaped(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    """Returns tags with their values escaped (IRCv3 message-tags)."""
    return [(name, value.translate(_ESCAPED)) for name, value in tags.items()]

"""How the units of a protocol are written in transcripts: what a codec is, and that of lines.

Frames (TOC) and XML (XMPP) have codecs of their own beside their protocols.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from fakes.transcripts.text import EVENTS, Step
from fakes.wire import Record

SecretOf = Callable[[str], bytes]  # from the label of a secret to what the client sends


class Codec(Protocol):
    """How one connection's units are written; a new one for each connection."""

    def to_bytes(self, step: Step, secret: SecretOf) -> bytes:
        """Returns what a `C` line sends."""

    def complete(self, received: bytes) -> bool:
        """Whether at least one complete unit has come."""

    def match(self, step: Step, received: bytes) -> int | None:
        """Returns the length of the unit that an `S` line expects; None if another one came."""

    def consumed(self, received: bytes) -> None:
        """These bytes were what an `S` line expected; a codec that counts goes on counting."""

    def to_lines(self, record: Record, masked: bool) -> Iterator[str]:
        """Yields the lines of a record, without a name before them."""


ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\", "*": b"*", "{": b"{", "(": b"("}
# \xNN, another escape, a secret in braces, or plain text.
_PIECE = re.compile(r"\\x([0-9a-fA-F]{2})|\\(.)|\{([a-z0-9-]+ [^{}]*)\}|([^\\{]+|.)", re.S)


class Lines:
    """SMTP and POP3: units that end in CRLF."""

    def to_bytes(self, step: Step, secret: SecretOf) -> bytes:
        """Returns the line with its escapes and secrets replaced, and CRLF unless it is raw.

        Raises ValueError.
        """
        _check_not_event(step)
        sent = b""
        for hexadecimal, escaped, label, plain in _PIECE.findall(step.text):
            if hexadecimal:
                sent += bytes([int(hexadecimal, 16)])
            elif escaped:
                sent += unescaped(escaped)
            elif plain == "{":
                raise ValueError(
                    f"{step.text!r}: a brace begins a secret; write for example {{plain alice}}, "
                    "or \\{ for a brace"
                )
            else:
                sent += secret(label) if label else plain.encode()
        return sent + (b"\r\n" if step.whole else b"")

    def complete(self, received: bytes) -> bool:
        """Whether a line has come."""
        return b"\r\n" in received

    def match(self, step: Step, received: bytes) -> int | None:
        """Matches a line; `*` is one or more characters that are not spaces or angle brackets.

        Raises ValueError.
        """
        _check_not_event(step)
        pattern = b""
        for hexadecimal, escaped, label, plain in _PIECE.findall(step.text):
            if hexadecimal or escaped:
                raw = bytes([int(hexadecimal, 16)]) if hexadecimal else unescaped(escaped)
                pattern += re.escape(raw)
            else:
                text = "{" + label + "}" if label else plain
                fixed = [re.escape(part.encode()) for part in text.split("*")]
                pattern += b"[^ \\r\\n<>]+".join(fixed)
        match = re.match(pattern + (b"\r\n" if step.whole else b""), received, re.S)
        return match.end() if match else None

    def consumed(self, received: bytes) -> None:
        """Lines are not counted."""

    def to_lines(self, record: Record, masked: bool) -> Iterator[str]:
        """Yields one line per CRLF; what follows the last one is written as `C|` or `S|`."""
        special = "{" if record.direction == "C" else "*"
        at = 0
        while at < len(record.raw):
            end = record.raw.find(b"\r\n", at)
            whole = end >= 0
            end = end if whole else len(record.raw)
            text, last = "", at
            for secret in record.secrets if masked else ():
                if at <= secret.start < end:
                    text += escaped(record.raw[last : secret.start], "{") + f"{{{secret.label}}}"
                    last = secret.end
            text = protected(text + escaped(record.raw[last:end], special))
            yield f"{record.direction}{':' if whole else '|'} {text}".rstrip()
            at = end + 2


LINES = Lines()


def _check_not_event(step: Step) -> None:
    """Raises ValueError for a text in parentheses that is not one of the events."""
    if step.whole and re.fullmatch(r"\(.*\)", step.text):
        raise ValueError(
            f"unknown event {step.text}; write {', '.join(f'({event})' for event in EVENTS)}, or "
            "\\( for a parenthesis"
        )


def unescaped(character: str) -> bytes:
    """Returns what a backslash and this character stand for. Raises ValueError."""
    if character not in ESCAPES:
        known = ", ".join(f"\\{one}" for one in ESCAPES)
        raise ValueError(f"unknown escape \\{character}; write {known}, or \\x and two digits")
    return ESCAPES[character]


def escaped(raw: bytes, special: str = "") -> str:
    """Returns bytes as a transcript writes them; `special`: more characters to escape here."""
    text = raw.decode("utf-8", "surrogateescape")
    if text.isprintable() and not any(character in text for character in "\\" + special):
        return text  # nearly all lines; the loop takes most of the time of writing a transcript
    written = ""
    for character in text:
        if 0xDC80 <= ord(character) <= 0xDCFF:
            written += f"\\x{ord(character) - 0xDC00:02x}"
        elif character == "\\" or character in special:
            written += "\\" + character
        elif not character.isprintable():
            named = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}
            plain = "".join(f"\\x{byte:02x}" for byte in character.encode())
            written += named.get(character) or plain
        else:
            written += character
    return written


def protected(written: str) -> str:
    """Escapes a parenthesis at the beginning, which would be an event, and a space at the end."""
    if written.endswith(" "):
        written = written[:-1] + "\\x20"
    return "\\" + written if written.startswith("(") else written

"""Lines that begin with a dot, and the dot that ends content (RFC 5321 §4.5.2, RFC 1939 §3)."""

from __future__ import annotations

FINAL_DOT = b".\r\n"  # the line that ends a message (RFC 5321 §4.1.1.4)
_LF = ord("\n")
_TRIES = 64


def find_dotted(content: bytes | bytearray, start: int = 0) -> int:
    """Returns where the next line that begins with a dot begins, at or after `start`; -1 if none.

    A line begins after LF, with or without CR, and at the beginning of the content.
    """
    # Large content is mostly base64, which has no dots, and to find a single character in 100 kB
    # takes 1 µs. To find two takes 30, a good part of what the whole mail costs.
    at = content.find(b".", start)
    for _ in range(_TRIES):
        if at <= 0 or content[at - 1] == _LF:
            return at
        at = content.find(b".", at + 1)
    if at <= 0:
        return at
    found = content.find(b"\n.", at - 1)
    return found + 1 if found >= 0 else -1


def dot_stuff(lines: bytes) -> bytes:
    """Doubles each dot that begins a line."""
    if find_dotted(lines) < 0:
        return lines
    stuffed = lines.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def unstuff(lines: bytes) -> bytes:
    """Removes the first dot of each line, whatever follows it (RFC 5321 §4.5.2)."""
    return lines.replace(b"\r\n.", b"\r\n").removeprefix(b".")

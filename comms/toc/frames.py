"""SFLAP: the frames in which TOC travels. Octets in, frames out, and the other way; no sockets here.

A frame is `*`, its kind, a sequence number, the length of the payload (big endian), and the payload. Each direction counts
its own frames, of any kind, modulo 65536, from a number that its first frame (SIGNON) chooses.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

FLAPON = (
    b"FLAPON\r\n\r\n"  # a client's first octets, before any frame: the same port speaks HTTP too
)
SIGNON, DATA, ERROR, SIGNOFF, KEEP_ALIVE = 1, 2, 3, 4, 5
VERSION = b"\0\0\0\1"  # what a server's SIGNON frame holds, and a client's begins with

_HEADER = struct.Struct(">cBHH")


class FrameError(ValueError):
    """The octets are no frames, or one is missing: the connection cannot be used any more."""


@dataclass(frozen=True)
class Frame:
    """One frame that has come."""

    kind: int
    payload: bytes


class Frames:
    """Both directions of one connection: `write` numbers what goes out, `feed` and `read` check what comes in."""

    def __init__(self, start: int) -> None:
        self._out = start % 65536
        self._in: int | None = None  # the number that must come next; a server may begin with any
        self._buffer = bytearray()

    def write(self, kind: int, payload: bytes = b"") -> bytes:
        """The octets of the next frame. Raises ValueError for a payload that no frame can hold."""
        if len(payload) > 0xFFFF:
            raise ValueError(f"a frame holds at most 65535 octets, not {len(payload)}")
        header = _HEADER.pack(b"*", kind, self._out, len(payload))
        self._out = (self._out + 1) % 65536
        return header + payload

    def feed(self, data: bytes) -> None:
        """Octets that have come, chopped in any way."""
        self._buffer += data

    def read(self) -> Frame | None:
        """The next whole frame, None while there is none. Raises FrameError."""
        if self._buffer and not self._buffer.startswith(b"*"):
            raise FrameError(f"a frame begins with '*', not with {bytes(self._buffer[:1])!r}")
        if len(self._buffer) < _HEADER.size:
            return None
        _, kind, number, length = _HEADER.unpack_from(self._buffer)
        if self._in not in (None, number):
            raise FrameError(f"frame {self._in} is missing: frame {number} came instead")
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        frame = Frame(kind, bytes(self._buffer[_HEADER.size : end]))
        del self._buffer[:end]
        self._in = (number + 1) % 65536
        return frame


def signon(name: str) -> bytes:
    """The payload of a client's SIGNON frame: version, then its name as TLV 1. Who it is, the sign-on command says."""
    octets = name.encode("latin-1", "replace")
    return VERSION + struct.pack(">HH", 1, len(octets)) + octets

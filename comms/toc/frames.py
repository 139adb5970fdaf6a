"""SFLAP, the framing under TOC: bytes to frames and back, without sockets.

A frame consists of `*`, its kind, a sequence number, the length of the payload (big-endian) and the
payload. Each direction numbers its frames, of all kinds together, modulo 65536. The first frame,
SIGNON, chooses the number to start with.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

FLAPON = b"FLAPON\r\n\r\n"  # a client's first bytes, because the same port also serves HTTP
SIGNON, DATA, ERROR, SIGNOFF, KEEP_ALIVE = 1, 2, 3, 4, 5
VERSION = b"\0\0\0\1"  # the payload of a server's SIGNON frame, and the beginning of a client's

_HEADER = struct.Struct(">cBHH")
_NUMBERS = 65536


class FrameError(ValueError):
    """The bytes are not frames, or a frame is missing. The connection can no longer be used."""


@dataclass(frozen=True)
class Frame:
    """A received frame."""

    kind: int
    payload: bytes


class Frames:
    """Both directions of one connection.

    `write` numbers outgoing frames; `feed` and `read` check incoming ones.
    """

    def __init__(self, start: int) -> None:
        self._next_out = start % _NUMBERS
        self._next_in: int | None = None  # None: a server may start with any number
        self._buffer = bytearray()

    def write(self, kind: int, payload: bytes = b"") -> bytes:
        """Returns the bytes of the next frame. Raises ValueError if the payload is too long."""
        if len(payload) > 0xFFFF:
            raise ValueError(f"a frame holds at most 65535 bytes, not {len(payload)}")
        header = _HEADER.pack(b"*", kind, self._next_out, len(payload))
        self._next_out = (self._next_out + 1) % _NUMBERS
        return header + payload

    def feed(self, data: bytes) -> None:
        """Adds received bytes, however they were split."""
        self._buffer += data

    def read(self) -> Frame | None:
        """Returns the next complete frame, None if there is none yet. Raises FrameError."""
        if self._buffer and not self._buffer.startswith(b"*"):
            raise FrameError(f"a frame begins with '*', not with {bytes(self._buffer[:1])!r}")
        if len(self._buffer) < _HEADER.size:
            return None
        _, kind, number, length = _HEADER.unpack_from(self._buffer)
        if self._next_in not in (None, number):
            raise FrameError(f"frame {self._next_in} is missing: frame {number} came instead")
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        frame = Frame(kind, bytes(self._buffer[_HEADER.size : end]))
        del self._buffer[:end]
        self._next_in = (number + 1) % _NUMBERS
        return frame


def signon(name: str) -> bytes:
    """Returns the payload of a client's SIGNON frame: the version, and its name as TLV 1.

    The server ignores the name here. Who signs on is in the sign-on command.
    """
    raw = name.encode("latin-1", "replace")
    return VERSION + struct.pack(">HH", 1, len(raw)) + raw

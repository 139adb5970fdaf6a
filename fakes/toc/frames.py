"""SFLAP frames: a header of six bytes and a payload (TOC 1.0, "SFLAP Packets").

`*` · type · sequence number (2 bytes) · length of the payload (2 bytes) · payload
"""

from __future__ import annotations

import struct
from typing import NamedTuple

FLAPON = (b"FLAPON\r\n\r\n", b"FLAPON\n\n")  # what a client opens with; some send the second form
HEADER = 6  # bytes
SIGNON, DATA, ERROR, SIGNOFF, KEEP_ALIVE = 1, 2, 3, 4, 5  # frame types; ERROR is never used
NAMES = {
    SIGNON: "signon",
    DATA: "data",
    ERROR: "error",
    SIGNOFF: "signoff",
    KEEP_ALIVE: "keep-alive",
}
VERSION = 1  # of SFLAP, in SIGNON frames
COMMAND_LIMIT = 2048  # bytes of a client's command, without its NUL
# Bytes of a server's payload: with the header and a NUL that the client adds itself, it fits the
# smallest buffer of a known client (8,192 bytes).
MESSAGE_LIMIT = 8185
SCREEN_NAME = 1  # tag of the TLV in a client's SIGNON frame

_HEADER = struct.Struct(">cBHH")


class Frame(NamedTuple):
    """One frame."""

    type: int
    sequence: int  # modulo 65,536
    payload: bytes

    def packed(self) -> bytes:
        """Returns the bytes of the frame."""
        return _HEADER.pack(b"*", self.type, self.sequence, len(self.payload)) + self.payload


def first(buffer: bytes | bytearray) -> Frame | None:
    """Returns the frame at the start of the buffer; None until it is complete.

    The buffer must begin with `*`.
    """
    if len(buffer) < HEADER:
        return None
    _, kind, sequence, length = _HEADER.unpack_from(buffer)
    if len(buffer) < HEADER + length:
        return None
    return Frame(kind, sequence, bytes(buffer[HEADER : HEADER + length]))


def signon(name: bytes = b"") -> bytes:
    """Returns the payload of a SIGNON frame: the version, and for a client a TLV with its name."""
    tlv = struct.pack(">HH", SCREEN_NAME, len(name)) + name if name else b""
    return struct.pack(">L", VERSION) + tlv


def signon_name(payload: bytes) -> bytes | None:
    """Returns the name in a client's SIGNON payload, or None if the payload is malformed.

    Bytes after the TLV are ignored: one client sends a NUL there.
    """
    if len(payload) < 8:
        return None
    version, tag, length = struct.unpack_from(">LHH", payload)
    if version != VERSION or tag != SCREEN_NAME or len(payload) < 8 + length:
        return None
    return payload[8 : 8 + length]

"""SFLAP frames: a header of six octets, then the payload. TOC 1.0, "SFLAP Packets" (the document that AOL gave out with
its own client).

    `*` · type · sequence number (2 octets) · length of the payload (2 octets) · payload
"""

from __future__ import annotations

import struct
from typing import NamedTuple

FLAPON = (b"FLAPON\r\n\r\n", b"FLAPON\n\n")  # what a client begins with; the second form is seen too
HEADER = 6  # octets
SIGNON, DATA, ERROR, SIGNOFF, KEEP_ALIVE = 1, 2, 3, 4, 5  # types of frames; nobody uses ERROR
NAMES = {SIGNON: "signon", DATA: "data", ERROR: "error", SIGNOFF: "signoff", KEEP_ALIVE: "keep-alive"}
VERSION = 1  # of SFLAP, in SIGNON frames
COMMAND = 2048  # octets of a client's command, its NUL not counted: one more and the connection is dropped
MESSAGE = 8185  # octets of our payload: with header and a NUL of the client's own it fits the 8,192 of the tightest
SCREEN_NAME = 1  # the tag of the TLV that a client's SIGNON frame holds

_HEADER = struct.Struct(">cBHH")


class Frame(NamedTuple):
    """One frame."""

    type: int
    sequence: int  # modulo 65,536
    payload: bytes

    def packed(self) -> bytes:
        """The octets."""
        return _HEADER.pack(b"*", self.type, self.sequence, len(self.payload)) + self.payload


def first(buffer: bytes | bytearray) -> Frame | None:
    """The frame that the buffer begins with; None while it is not whole. The buffer begins with `*`."""
    if len(buffer) < HEADER:
        return None
    _, kind, sequence, length = _HEADER.unpack_from(buffer)
    if len(buffer) < HEADER + length:
        return None
    return Frame(kind, sequence, bytes(buffer[HEADER : HEADER + length]))


def signon(name: bytes = b"") -> bytes:
    """The payload of a SIGNON frame: the version; a client adds a TLV with its name."""
    tlv = struct.pack(">HH", SCREEN_NAME, len(name)) + name if name else b""
    return struct.pack(">L", VERSION) + tlv


def signon_name(payload: bytes) -> bytes | None:
    """The name in a client's SIGNON payload; what stands behind the TLV is ignored. None when it is no such payload."""
    if len(payload) < 8:
        return None
    version, tag, length = struct.unpack_from(">LHH", payload)
    if version != VERSION or tag != SCREEN_NAME or len(payload) < 8 + length:
        return None
    return payload[8 : 8 + length]

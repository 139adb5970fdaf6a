"""WebSocket by raw bytes: the client's side, for tests."""

from __future__ import annotations

from fakes.websocket import CLOSE, TEXT

MASK = b"\x01\x80\xff\x00"


def masked(
    payload: bytes | str, kind: int = TEXT, *, final: bool = True, reserved: int = 0
) -> bytes:
    """A frame as a client sends it."""
    raw = payload.encode() if isinstance(payload, str) else payload
    first = (0x80 if final else 0) | reserved << 4 | kind
    if len(raw) < 126:
        head = bytes((first, 0x80 | len(raw)))
    elif len(raw) < 1 << 16:
        head = bytes((first, 0x80 | 126)) + len(raw).to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + len(raw).to_bytes(8, "big")
    return head + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(raw))


def frames(received: bytes) -> list[tuple[int, bytes]]:
    """The frames of a server: opcode and payload; what is incomplete is left out."""
    found, at = [], 0
    while at + 2 <= len(received):
        assert received[at] & 0x80, "each message is one frame"
        short, start = received[at + 1], at + 2
        assert short < 128, "a server does not mask"
        more = {126: 2, 127: 8}.get(short, 0)
        length = int.from_bytes(received[start : start + more], "big") if more else short
        start += more
        if start + length > len(received):
            break
        found.append((received[at] & 0x0F, received[start : start + length]))
        at = start + length
    return found


def texts(received: bytes) -> list[str]:
    """The messages of a server, and `close CODE` for a Close frame."""
    return [
        f"close {int.from_bytes(payload[:2], 'big')}" if kind == CLOSE else payload.decode()
        for kind, payload in frames(received)
    ]

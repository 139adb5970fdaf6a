"""WebSocket (RFC 6455), the server's side: the handshake, and frames around messages.

No extension is negotiated. What a client does wrong raises Broken, whose code the Close frame has
(§7.4.1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import NamedTuple

from fakes.http import Request, Response
from fakes.wire import Session

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, UNSUPPORTED_DATA, INVALID_DATA, TOO_BIG = 1000, 1002, 1003, 1007, 1009
VERSION = "13"
CONTROL = 125  # bytes of a control frame's payload (§5.5)
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3


class Broken(Exception):
    """The connection cannot go on: it ends with this code and reason (§7.1.7)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


# ── the handshake ────────────────────────────────────────────────────────────


def handshake(request: Request, protocol: str, successor: Callable[[], Session]) -> Response:
    """Answers the request to open a connection (§4.2), which `successor` then takes over.

    `protocol` is the subprotocol that the client must offer.
    """
    if request.method != "GET":
        return Response(405, "A WebSocket is opened by GET\n", headers={"Allow": "GET"})
    fields = request.headers
    upgrade = _tokens(fields.get("upgrade", "")), _tokens(fields.get("connection", ""))
    if "websocket" not in upgrade[0] or "upgrade" not in upgrade[1]:
        return _unwanted("This address is for WebSocket\n")
    if fields.get("sec-websocket-version") != VERSION:
        return _unwanted(f"Sec-WebSocket-Version is {VERSION}\n")  # §4.4
    key = fields.get("sec-websocket-key", "")
    if request.version != "HTTP/1.1" or not _is_key(key):
        return Response(400, "A WebSocket needs HTTP/1.1 and a Sec-WebSocket-Key of 16 bytes\n")
    offered = [one.strip(" \t") for one in fields.get("sec-websocket-protocol", "").split(",")]
    if protocol not in offered:
        return Response(400, f"Sec-WebSocket-Protocol must offer {protocol}\n")
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept(key),
        "Sec-WebSocket-Protocol": protocol,
    }
    return Response(101, headers=headers, successor=successor)


def accept(key: str) -> str:
    """The proof that the server has read the key of a handshake (§4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()


def _unwanted(text: str) -> Response:
    headers = {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION}
    return Response(426, text, headers=headers)  # RFC 9110 §15.5.22


def _tokens(value: str) -> list[str]:
    return [one.strip(" \t").lower() for one in value.split(",")]


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


# ── frames ───────────────────────────────────────────────────────────────────


def frame(kind: int, payload: bytes, missing: int = 0) -> bytes:
    """Writes a whole message, or a control frame, as one frame without a mask (§5.1, §5.2).

    It announces `missing` bytes more than are there, as if the connection was cut within it.
    """
    length = len(payload) + missing
    if length < 126:
        head = bytes((0x80 | kind, length))
    elif length < 1 << 16:
        head = bytes((0x80 | kind, 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | kind, 127)) + length.to_bytes(8, "big")
    return head + payload


def closing(code: int, reason: str = "") -> bytes:
    """Writes a Close frame (§5.5.1)."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[: CONTROL - 2])


class Message(NamedTuple):
    """A message, or a control frame. The payload of a TEXT is UTF-8."""

    kind: int
    payload: bytes


class Reader:
    """Takes messages out of a buffer that the caller fills, however it is chopped.

    A message has at most `limit` bytes, its fragments together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kind = 0  # of the message whose fragments are coming; 0: none
        self._fragments = bytearray()

    @property
    def waits(self) -> bool:
        """Whether a message has begun, and its other fragments must follow."""
        return bool(self._kind)

    def next(self, buffer: bytearray) -> Message | None:
        """Takes the next message or control frame; None while it is incomplete. Raises Broken."""
        while True:
            found = self._frame(buffer)
            if found is None:
                return None
            kind, final, payload = found
            if kind >= CLOSE:
                return Message(kind, payload)
            if kind == CONTINUATION or not final:
                self._kind = kind or self._kind
                self._fragments += payload
                if not final:
                    continue
                kind, payload = self._kind, bytes(self._fragments)
                self._kind = 0
                self._fragments.clear()
            if kind == TEXT:
                try:
                    str(payload, "utf-8")
                except UnicodeDecodeError:
                    raise Broken(INVALID_DATA, "a text message is UTF-8") from None  # §8.1
            return Message(kind, payload)

    def _frame(self, buffer: bytearray) -> tuple[int, bool, bytes] | None:
        """Takes a frame: its opcode, whether it is the last of its message, and its payload."""
        if len(buffer) < 2:
            return None
        final, kind, short = bool(buffer[0] & 0x80), buffer[0] & 0x0F, buffer[1] & 0x7F
        self._check(kind, final, short, reserved=buffer[0] & 0x70, masked=buffer[1] & 0x80)
        more = {126: 2, 127: 8}.get(short, 0)
        if len(buffer) < 2 + more:
            return None
        length = int.from_bytes(buffer[2 : 2 + more], "big") if more else short
        if more and length < (126 if more == 2 else 1 << 16):
            raise Broken(PROTOCOL_ERROR, "a length is written as short as possible")  # §5.2
        if len(self._fragments) + length > self._limit and kind < CLOSE:
            raise Broken(TOO_BIG, f"a message has {self._limit} bytes at most")
        start = 2 + more + 4
        if len(buffer) < start + length:
            return None
        payload = _unmasked(bytes(buffer[start : start + length]), bytes(buffer[start - 4 : start]))
        del buffer[: start + length]
        return kind, final, payload

    def _check(self, kind: int, final: bool, short: int, reserved: int, masked: int) -> None:
        """Raises Broken for what the first two bytes of a frame must not say (§5.1, §5.2, §5.5)."""
        if reserved:
            raise Broken(PROTOCOL_ERROR, "no extension was negotiated")
        if kind not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Broken(PROTOCOL_ERROR, f"there is no opcode {kind}")
        if not masked:
            raise Broken(PROTOCOL_ERROR, "a client masks its frames")
        if kind >= CLOSE:
            if short > CONTROL or not final:
                raise Broken(PROTOCOL_ERROR, "a control frame is whole, and has 125 bytes at most")
        elif (kind == CONTINUATION) != self.waits:  # §5.4
            raise Broken(PROTOCOL_ERROR, "the fragments of a message follow each other")


def read_close(payload: bytes) -> int:
    """Returns the code of a Close frame, 1000 if it has none. Raises Broken (§5.5.1, §7.4)."""
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    known = code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
    if len(payload) == 1 or not known:
        raise Broken(PROTOCOL_ERROR, "that is not a code of Close")
    try:
        str(payload[2:], "utf-8")
    except UnicodeDecodeError:
        raise Broken(INVALID_DATA, "a reason is UTF-8") from None
    return code


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    """Removes the mask from a payload, or puts it on (§5.3)."""
    repeated = mask * (len(payload) // 4 + 1)
    length = len(payload)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:length], "big")
    return masked.to_bytes(length, "big")

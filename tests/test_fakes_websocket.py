"""RFC 6455: handshakes, frames, and what a client must not send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import websocket
from fakes.http import Request
from fakes.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Broken, Reader
from tests.websocket_raw import frames, masked

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # of the RFC's own example (§1.3)
FIELDS = {
    "host": "h",
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
    "sec-websocket-protocol": "chat, xmpp",
}


def shake(
    changes: dict[str, str | None], method: str = "GET", version: str = "HTTP/1.1"
) -> tuple[int, dict[str, str]]:
    """Asks for a connection; returns the status and the fields of the answer."""
    fields = {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}
    request = Request(method, "/", version, fields)
    response = websocket.handshake(request, "xmpp", lambda: pytest.fail("not here"))
    assert (response.status == 101) == (response.successor is not None)
    return response.status, dict(response.headers)


def test_a_handshake_proves_that_the_key_was_read() -> None:
    assert shake({}) == (
        101,
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Sec-WebSocket-Protocol": "xmpp",
        },
    )
    assert shake({"upgrade": "WebSocket", "connection": "UPGRADE"})[0] == 101


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"upgrade": None}, 426),
        ({"upgrade": "h2c"}, 426),
        ({"connection": "keep-alive"}, 426),
        ({"sec-websocket-version": "8"}, 426),
        ({"sec-websocket-version": None}, 426),
        ({"sec-websocket-key": None}, 400),
        ({"sec-websocket-key": "short"}, 400),
        ({"sec-websocket-key": f"{KEY}, {KEY}"}, 400),
        ({"sec-websocket-key": "é" * 24}, 400),
        ({"sec-websocket-protocol": None}, 400),
        ({"sec-websocket-protocol": "XMPP, chat"}, 400),
    ],
)
def test_a_handshake_that_cannot_be_is_refused(changes: dict[str, str | None], status: int) -> None:
    found, headers = shake(changes)
    assert found == status
    assert (headers.get("Sec-WebSocket-Version") == "13") == (status == 426)


def test_a_handshake_is_a_get_of_http_1_1() -> None:
    assert shake({}, method="POST") == (405, {"Allow": "GET"})
    assert shake({}, version="HTTP/1.0")[0] == 400


def read(raw: bytes, limit: int = 1000) -> list[tuple[int, bytes]]:
    """All messages in these bytes. Raises Broken."""
    reader, buffer, found = Reader(limit), bytearray(raw), []
    while (message := reader.next(buffer)) is not None:
        found.append((message.kind, message.payload))
    assert not buffer and not reader.waits, "all was read"
    return found


def test_a_message_may_come_in_fragments_between_which_control_frames_are() -> None:
    raw = masked("He", final=False) + masked("p", PING) + masked("l", 0, final=False)
    assert read(raw + masked("lo", 0)) == [(PING, b"p"), (TEXT, b"Hello")]
    assert read(masked(b"\xff", BINARY)) == [(BINARY, b"\xff")]
    cut = masked("é".encode()[:1], final=False) + masked("é".encode()[1:], CONTINUATION)
    assert read(cut) == [(TEXT, "é".encode())]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536])
def test_lengths_of_all_forms_are_read_and_written(length: int) -> None:
    payload = bytes(at % 251 % 128 for at in range(length))
    assert read(masked(payload), limit=1 << 17) == [(TEXT, payload)]
    assert frames(websocket.frame(TEXT, payload)) == [(TEXT, payload)]


UNMASKED = websocket.frame(TEXT, b"hi")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (UNMASKED, 1002),
        (masked("hi", reserved=4), 1002),
        (masked("hi", reserved=1), 1002),
        (masked("hi", 3), 1002),
        (masked("hi", 0xB), 1002),
        (masked("hi", CONTINUATION), 1002),
        (masked("a", final=False) + masked("b"), 1002),
        (masked("a", PING, final=False), 1002),
        (masked("a" * 126, PING), 1002),
        (b"\x81\xfe\x00\x05" + bytes(9), 1002),
        (b"\x81\xff" + (65535).to_bytes(8, "big") + bytes(4), 1002),
        (b"\x81\xff" + (1 << 63).to_bytes(8, "big"), 1009),
        (masked("a" * 1001)[:8], 1009),
        (masked("a" * 600, final=False) + masked("a" * 401, 0)[:8], 1009),
        (masked(b"\xc3"), 1007),
        (masked(b"\xed\xa0\x80"), 1007),
        (masked(b"\xc3", final=False) + masked("a", 0), 1007),
    ],
)
def test_what_a_client_must_not_send_ends_the_connection_with_a_code(raw: bytes, code: int) -> None:
    with pytest.raises(Broken) as broken:
        read(raw)
    assert broken.value.code == code
    assert frames(websocket.closing(code, broken.value.reason))[0][0] == CLOSE


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1000),
        (b"\x03\xe8bye", 1000),
        (b"\x0b\xb8", 3000),
        (b"\x03", 1002),
        (b"\x03\xed", 1002),
        (b"\x00\x00", 1002),
        (b"\x13\x88", 1002),
        (b"\x03\xe8\xff", 1007),
    ],
)
def test_the_code_of_a_close_is_one_that_may_be_sent(payload: bytes, code: int) -> None:
    try:
        found = websocket.read_close(payload)
    except Broken as broken:
        found = broken.code
    assert found == code


@given(st.data())
def test_any_chopping_leads_to_the_same_messages(data: st.DataObject) -> None:
    kinds = st.sampled_from([TEXT, BINARY, PING, PONG])
    sent = data.draw(st.lists(st.tuples(kinds, st.text(max_size=40))))
    raw = b"".join(masked(text, kind) for kind, text in sent if len(text.encode()) < 126)
    reader, buffer, found = Reader(1000), bytearray(), []
    for at in data.draw(st.lists(st.integers(1, 20), min_size=len(raw), max_size=len(raw))):
        buffer += raw[:at]
        raw = raw[at:]
        while (message := reader.next(buffer)) is not None:
            found.append((message.kind, message.payload.decode()))
    assert found == [(kind, text) for kind, text in sent if len(text.encode()) < 126]


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_messages_or_break_the_connection(pieces: list[bytes]) -> None:
    reader, buffer = Reader(100), bytearray()
    try:
        for piece in pieces:
            buffer += piece
            while reader.next(buffer) is not None:
                pass
            assert len(buffer) < 14 + 125
    except Broken as broken:
        assert broken.code in (1002, 1007, 1009)

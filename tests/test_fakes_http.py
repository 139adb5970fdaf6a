"""HTTP: what ends a request, and what is refused."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.faults import Fault, Faults
from fakes.http import BODY, HEAD, Http, Request, Response
from fakes.wire import Facts, Record, Runtime
from fakes.world import World

SEEN: list[Request] = []


def echo(request: Request) -> Response:
    SEEN.append(request)
    return Response(200, f"{request.method} {request.path} {request.query} {len(request.body)}\n")


def core(records: list[Record] | None = None, faults: Faults | None = None) -> Http:
    record: Callable[[Record], None] = (records if records is not None else []).append
    session = Http(Runtime(lambda: 0.0, lambda n: "0" * n, faults or Faults(), record), echo)
    session.opened(Facts(1))
    return session


def said(session: Http) -> bytes:
    answer = b""
    while write := session.take():
        answer += write
    return answer


def asked(raw: bytes) -> tuple[Http, bytes]:
    session = core()
    session.receive(raw)
    return session, said(session)


def test_a_request_is_answered_and_the_connection_stands() -> None:
    session, answer = asked(b"GET /a%20b?x=1&y=&x=2 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer == (
        b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 31\r\n\r\nGET /a b {'x': '1', 'y': ''} 0\n"
    )
    assert not session.closed


@pytest.mark.parametrize(
    ("head", "stands"),
    [
        (b"GET / HTTP/1.1\r\nHost: h", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: TE , Close", False),
        (b"GET / HTTP/1.0", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", False),
    ],
)
def test_a_connection_stands_in_http_1_1_unless_the_client_says_close(
    head: bytes, stands: bool
) -> None:
    session, answer = asked(head + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (b"Connection: close\r\n" in answer) is not stands
    assert session.closed is not stands


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"\xff\xfe\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * HEAD + b"\r\n\r\n", 431),
        (b"x" * (HEAD + 1), 431),
    ],
)
def test_what_cannot_be_read_is_refused_and_nothing_after_it_is(raw: bytes, status: int) -> None:
    SEEN.clear()
    session, answer = asked(raw + b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    if status != 501 or b"BREW" not in raw:
        assert session.closed
        assert SEEN == []


def test_a_body_ends_where_its_length_says() -> None:
    SEEN.clear()
    _, answer = asked(
        b"\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbodyGET /next HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    assert [(one.method, one.body) for one in SEEN] == [("POST", b"body"), ("GET", b"")]
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_head_has_the_same_fields_and_no_body() -> None:
    _, whole = asked(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    _, head = asked(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n") == whole.count(b"\r\n")


@given(st.data())
def test_every_chopping_gives_the_same_answers(data: st.DataObject) -> None:
    raw = b"\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nab\r\n\r\n"
    raw += b"HEAD /b HTTP/1.1\r\nHost: h\r\n\r\nGARBAGE\r\n\r\n"
    session = core()
    rest = raw
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        session.receive(rest[:size])
        rest = rest[size:]
    assert said(session) == asked(raw)[1]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_octets_at_all_raise_nothing(pieces: list[bytes]) -> None:
    session = core()
    for piece in pieces:
        session.receive(piece)
    session.eof()
    assert len(session.buffer) <= HEAD


@given(
    st.from_regex(
        rb"(GET|POST|HEAD) [!-~]{1,40} HTTP/1\.[01]\r\nHost: [ -~]{0,20}\r\n([A-Za-z-]{1,9}: [ -~]{0,9}\r\n)*\r\n"
    )
)
def test_any_target_and_fields_raise_nothing(raw: bytes) -> None:
    session = core()
    session.receive(raw)
    session.eof()


def test_half_a_request_and_silence_holds_a_head_and_a_body_at_most() -> None:
    session = core()
    session.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % BODY)
    for _ in range(3 * BODY // 65536):
        session.receive(b"x" * 65536)
    assert len(session.buffer) <= HEAD


def test_a_fault_answers_instead() -> None:
    faults = Faults(vocabulary={"http": Http.vocabulary()})
    faults.arm(Fault("GET", arg="/down*", reply="503 Service Unavailable\nlater", times=1))
    session = core(faults=faults)
    session.receive(b"GET /down HTTP/1.1\r\nHost: h\r\n\r\n")
    answer = said(session)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"\r\n\r\nlater")
    assert session.closed


def test_the_standard_library_s_clients_read_pages_from_the_port_of_toc() -> None:
    with World({"servers": ["toc"]}) as world:
        host, port = world.address("toc")
        connection = http.client.HTTPConnection(host, port, timeout=5)
        for path, status in (("/", 404), ("/info", 400), ("/info?cookie=x", 403)):
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (status, True)
        connection.close()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://{host}:{port}/info", timeout=5)
        caught.value.close()
        assert caught.value.code == 400

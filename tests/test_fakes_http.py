"""The HTTP core: where a request ends, what is refused, and which connections stay open."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.faults import Fault, Faults
from fakes.http import BODY, HEAD, Http, Request, Response
from fakes.wire import Facts, Runtime
from fakes.world import World
from tests.bare_core import drain

HOST = b"Host: h\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


class Requests:
    """What is served: each request is kept, and answered with its parts."""

    def __init__(self) -> None:
        self.all: list[Request] = []

    def answer(self, request: Request) -> Response:
        self.all.append(request)
        parts = (request.method, request.path, request.query, len(request.body))
        return Response(200, " ".join(map(str, parts)) + "\n")


def opened(requests: Requests | None = None, faults: Faults | None = None) -> Http:
    """Returns a core that is connected."""
    runtime = Runtime(lambda: 0.0, lambda length: "0" * length, faults or Faults())
    session = Http(runtime, (requests or Requests()).answer)
    session.opened(Facts(1))
    return session


def ask(raw: bytes, requests: Requests | None = None) -> tuple[Http, bytes]:
    """Sends bytes to a new core. Returns the core and its answers."""
    session = opened(requests)
    session.receive(raw)
    return session, drain(session)


# ── requests ─────────────────────────────────────────────────────────────────


def test_a_request_is_answered_and_the_connection_stays_open() -> None:
    session, answer = ask(b"GET /a%20b?x=1&y=&x=2 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer == (
        b"HTTP/1.1 200 OK\r\n"
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 31\r\n"
        b"\r\n"
        b"GET /a b {'x': '1', 'y': ''} 0\n"
    )
    assert not session.closed


@pytest.mark.parametrize(
    ("head", "stays_open"),
    [
        (b"GET / HTTP/1.1\r\nHost: h", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: TE , Close", False),
        (b"GET / HTTP/1.0", False),
        # RFC 9112 §9.3 allows keep-alive in HTTP/1.0, and does not require it.
        (b"GET / HTTP/1.0\r\nConnection: keep-alive", False),
    ],
)
def test_only_http_1_1_connections_stay_open_unless_the_client_sends_close(
    head: bytes, stays_open: bool
) -> None:
    session, answer = ask(head + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (b"Connection: close\r\n" in answer) is not stays_open
    assert session.closed is not stays_open


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("//in/x?a=//b", "//in/x", {"a": "//b"}),
        ("//[in", "//[in", {}),
        ("http://a.test//in?x=1", "//in", {"x": "1"}),
        ("*", "*", {}),
    ],
)
def test_a_path_is_no_host_however_it_begins(target: str, path: str, query: dict[str, str]) -> None:
    requests = Requests()
    assert ask(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode(), requests)[1]
    assert [(one.path, one.query) for one in requests.all] == [(path, query)]


def test_a_body_ends_where_content_length_says() -> None:
    requests = Requests()
    # Empty lines before a request are ignored (RFC 9112 §2.2).
    post = b"\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"
    _, answers = ask(post + GET, requests)
    assert [(one.method, one.body) for one in requests.all] == [("POST", b"body"), ("GET", b"")]
    assert answers.count(b"HTTP/1.1 200 OK") == 2


def test_the_answer_to_head_has_the_fields_of_get_and_no_body() -> None:
    _, whole = ask(GET)
    _, head = ask(GET.replace(b"GET", b"HEAD"))
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r\n") == whole.count(b"\r\n")


# ── refusals ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue", True),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: something", False),
        (b"PUT / HTTP/1.0\r\nExpect: 100-continue", False),
    ],
)
def test_a_client_that_waits_before_it_sends_a_body_is_told_to_go_on_once(
    head: bytes, told: bool
) -> None:
    session, answer = ask(head + b"\r\nContent-Length: 3\r\n\r\n")
    assert answer == (b"HTTP/1.1 100 Continue\r\n\r\n" if told else b"")
    session.receive(b"a")
    assert drain(session) == b""
    session.receive(b"bc")
    assert drain(session).startswith(b"HTTP/1.1 200 OK\r\n")
    session, answer = ask(head + b"\r\nContent-Length: 3\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), "the body came with the request"


def test_an_answer_may_be_bytes_and_without_content_it_has_no_length() -> None:
    runtime = Runtime(lambda: 0.0, lambda length: "0" * length)
    for response, head, body in (
        (Response(200, type="image/png", content=b"\xff\x00"), b"Content-Length: 2", b"\xff\x00"),
        (Response(204, "never sent"), b"HTTP/1.1 204 No Content", b""),
    ):
        session = Http(runtime, lambda request, response=response: response)  # type: ignore[misc]
        session.opened(Facts(1))
        session.receive(b"OPTIONS / HTTP/1.1\r\n" + HOST + b"\r\n")
        found, _, content = drain(session).partition(b"\r\n\r\n")
        assert head in found and content == body
        assert (b"Content-Length" in found) == bool(body)


def test_another_core_takes_over_after_101() -> None:
    runtime, other = Runtime(lambda: 0.0, lambda length: "0" * length), opened()
    session = Http(runtime, lambda request: Response(101, successor=lambda: other))
    session.opened(Facts(7))
    session.receive(GET + GET)
    assert drain(session).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert session.hand_over() is other and other.facts.number == 7
    assert drain(other).startswith(b"HTTP/1.1 200 OK\r\n"), "what came after it is the other's"


def test_an_unknown_method_is_refused_and_the_next_request_is_answered() -> None:
    requests = Requests()
    session, answers = ask(b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n" + GET, requests)
    assert answers.startswith(b"HTTP/1.1 501 ")
    assert not session.closed and [one.method for one in requests.all] == ["GET"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
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
def test_a_request_without_a_certain_end_is_refused_and_ends_the_connection(
    raw: bytes, status: int
) -> None:
    # What follows such a request may be its body: to take it for another request is smuggling.
    requests = Requests()
    session, answers = ask(raw + GET.replace(b"/ ", b"/hidden "), requests)
    assert answers.startswith(b"HTTP/1.1 %d " % status), answers
    assert session.closed and requests.all == []


# ── any bytes, chopped in any way ────────────────────────────────────────────


@given(st.data())
def test_any_chopping_of_the_input_leads_to_the_same_answers(data: st.DataObject) -> None:
    raw = b"\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nab\r\n\r\n"
    raw += b"HEAD /b HTTP/1.1\r\nHost: h\r\n\r\nGARBAGE\r\n\r\n"
    session = opened()
    rest = raw
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        session.receive(rest[:size])
        rest = rest[size:]
    assert drain(session) == ask(raw)[1]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_raise_nothing(pieces: list[bytes]) -> None:
    session = opened()
    for piece in pieces:
        session.receive(piece)
    session.eof()
    assert len(session.buffer) <= HEAD


@given(
    st.from_regex(
        rb"(GET|POST|HEAD) [!-~]{1,40} HTTP/1\.[01]\r\nHost: [ -~]{0,20}\r\n"
        rb"([A-Za-z-]{1,9}: [ -~]{0,9}\r\n)*\r\n",
        fullmatch=True,
    )
)
def test_any_target_and_any_fields_are_served_or_refused(raw: bytes) -> None:
    requests = Requests()
    session = opened(requests)
    session.receive(raw)
    session.eof()
    answer = drain(session)
    if requests.all:
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    else:
        assert answer.startswith(b"HTTP/1.1 4")


def test_the_buffer_holds_at_most_one_head_and_one_body() -> None:
    session = opened()
    session.receive(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % BODY)
    for _ in range(3 * BODY // 65536):
        session.receive(b"x" * 65536)
    assert len(session.buffer) <= HEAD


# ── faults and clients ───────────────────────────────────────────────────────


def test_a_reply_fault_sends_another_status_and_closes() -> None:
    faults = Faults(vocabulary={"http": Http.vocabulary()})
    faults.arm(Fault("GET", arg="/down*", reply="503 Service Unavailable\nlater", times=1))
    session = opened(faults=faults)
    session.receive(b"GET /down HTTP/1.1\r\nHost: h\r\n\r\n")
    answer = drain(session)
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert answer.endswith(b"\r\n\r\nlater")
    assert session.closed


def test_clients_of_the_standard_library_read_pages_from_the_port_of_toc() -> None:
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

"""The small web server: what an application is given, what a client gets, and how it ends."""

from __future__ import annotations

import http.client
import io
import socket
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from comms import serving
from comms.host import RealHost

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class App:
    """Remembers what it was given, and answers."""

    def __init__(self, answer: Iterable[bytes] = (b"hello",)) -> None:
        self.given: list[dict[str, Any]] = []
        self._answer = answer

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        self.given.append({**environ, "body": environ["wsgi.input"].read(length)})
        start_response("200 OK", [("Content-Type", "text/plain")])
        return self._answer


def spoken(port: int, request: bytes) -> bytes:
    """Sends bytes, and returns all that comes back."""
    with socket.create_connection(("127.0.0.1", port), 10) as link:
        link.sendall(request)
        return b"".join(iter(lambda: link.recv(65536), b""))


def test_a_request_reaches_the_application_and_its_answer_the_client() -> None:
    app = App()
    with serving.serving(app, "127.0.0.1", 0) as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("POST", "/a?b=c", b"body")
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (200, b"hello")
        assert answer.headers["Server"] == "comms", "no versions"
        client.close()
    [given] = app.given
    assert (given["REQUEST_METHOD"], given["PATH_INFO"], given["QUERY_STRING"]) == (
        *("POST", "/a"),
        "b=c",
    )
    assert (given["REMOTE_ADDR"], given["body"]) == ("127.0.0.1", b"body")


def test_a_header_with_an_underscore_is_not_taken_for_one_that_a_proxy_has_set() -> None:
    app = App()
    request = b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nX_Forwarded_For: 192.0.2.9\r\n\r\n"
    with serving.serving(app, "127.0.0.1", 0) as port:
        spoken(port, request)
    assert app.given[0]["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * serving.LINE + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
        (b"\r\n", b""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"400"),
    ],
    ids=["long line", "no target", "version", "many fields", "empty", "TLS"],
)
def test_what_is_no_request_does_not_reach_the_application(request_: bytes, status: bytes) -> None:
    app = App()
    with serving.serving(app, "127.0.0.1", 0) as port:
        answer = spoken(port, request_)
    assert status in answer and b"Python" not in answer
    assert app.given == []


def test_nothing_about_a_request_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    said = io.StringIO()
    host = RealHost(said, said)
    with host.serve(App(), "127.0.0.1", 0) as port:
        spoken(port, b"GET /?token=secret HTTP/1.1\r\n\r\n")
        spoken(port, b"GET secret\r\n\r\n")
    [line] = said.getvalue().splitlines()
    assert line.endswith(f"info serves url=http://127.0.0.1:{port}/")
    assert capfd.readouterr() == ("", "")


def test_an_exception_of_the_application_is_logged() -> None:
    def breaks(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError("no answer")

    said = io.StringIO()
    with RealHost(said, said).serve(breaks, "127.0.0.1", 0) as port:
        assert b"500" in spoken(port, b"GET / HTTP/1.0\r\n\r\n")
    assert 'error web-error trouble="no answer"' in said.getvalue()


def test_a_client_that_says_nothing_holds_up_nobody() -> None:
    with serving.serving(App(), "127.0.0.1", 0) as port:
        with socket.create_connection(("127.0.0.1", port), 10):
            assert spoken(port, b"GET / HTTP/1.0\r\n\r\n").endswith(b"hello")


def test_a_request_that_has_begun_is_answered_before_the_end() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> Iterable[bytes]:
        begun.set()
        may_end.wait(10)
        yield b"at last"

    answers: list[bytes] = []
    with serving.serving(App(slow()), "127.0.0.1", 0) as port:
        get = b"GET / HTTP/1.0\r\n\r\n"
        client = threading.Thread(target=lambda: answers.append(spoken(port, get)))
        client.start()
        assert begun.wait(10)
        may_end.set()
    client.join()
    assert answers[0].endswith(b"at last")


def test_a_port_that_is_taken_is_an_error() -> None:
    with serving.serving(App(), "127.0.0.1", 0) as port:
        with pytest.raises(OSError), serving.serving(App(), "127.0.0.1", port):
            raise AssertionError("two servers have one port")

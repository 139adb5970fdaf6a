"""HTTP on the stage: a request and its answer are one line."""

from __future__ import annotations

import http.client
from collections.abc import Callable

import pytest

from fakes.world import World
from scenarios.stage.beats import Beat
from scenarios.stage.story import story


def told(play: Callable[[http.client.HTTPConnection], object], *faults: str) -> list[Beat]:
    """Plays a client of the standard library, and returns what a person is told."""
    with World({"servers": ["webhook"], "tls": "off"}, faults=faults) as world:
        world.webhook.answer(503, path="/busy", headers={"Retry-After": "60"})
        connection = http.client.HTTPConnection(*world.address("webhook"), timeout=5)
        play(connection)
        connection.close()
        return story(world.recording)


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"") -> None:
    connection.request(method, path, body, {"Host": "hooks.test"})
    connection.getresponse().read()


def test_requests_are_one_line_each_with_their_answers() -> None:
    def play(connection: http.client.HTTPConnection) -> None:
        ask(connection, "POST", "/in?a=1", b"hi")
        ask(connection, "GET", "/page")
        ask(connection, "DELETE", "/page")
        ask(connection, "POST", "/busy")

    beats = told(play)
    assert [(beat.source, beat.target, beat.text) for beat in beats] == [
        ("program", "web server", "posts to hooks.test/in?a=1: 200 OK"),
        ("program", "web server", "fetches hooks.test/page: 200 OK"),
        ("program", "web server", "DELETE hooks.test/page: 200 OK"),
        ("program", "web server", "posts to hooks.test/busy: 503 Service Unavailable"),
    ]
    assert [beat.trouble for beat in beats] == ["", "", "", "refused"]
    assert "Retry-After: 60" in beats[3].detail


def test_the_fields_of_a_form_are_shown_and_not_its_files() -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="subject"\r\n\r\nOrder 1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        b"Content-Type: image/png\r\n\r\n\x00\x01\r\n--b--\r\n"
    )
    (beat,) = told(lambda connection: ask(connection, "POST", "/in", form))
    assert beat.detail == ("Host: hooks.test", "  subject: Order 1", "  file: (a.bin)")


@pytest.mark.parametrize("what", ["hang up before", "reset", "lost stored"])
def test_a_request_without_an_answer_is_told_as_such(what: str) -> None:
    def play(connection: http.client.HTTPConnection) -> None:
        with pytest.raises(OSError, match=r"."):
            ask(connection, "POST", "/in")

    beat = told(play, f"webhook POST {what}")[0]
    assert beat.text == "posts to hooks.test/in: no answer" and beat.trouble
    assert f"fault: webhook post {what}".lower() in [line.lower() for line in beat.detail]


def test_what_is_no_request_is_told_with_its_refusal() -> None:
    def play(connection: http.client.HTTPConnection) -> None:
        connection.connect()
        connection.sock.sendall(b"\xff\xfe\r\n\r\n")
        assert connection.sock.recv(100)

    texts = [beat.text for beat in told(play)]
    assert len(texts) == 1 and texts[0].endswith(": 400 Bad Request")

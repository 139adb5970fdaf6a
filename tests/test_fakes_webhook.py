"""The web server that programs post to: what it records, what it answers, and what nobody sees."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.http import HEAD, Request
from fakes.transcripts.recorder import render
from fakes.webhook import ROOM, SERVER, Post, Upload, Webhook
from fakes.wire import Facts, Session
from fakes.world import World
from tests.bare_core import drain

ALONE = {"servers": ["webhook"], "tls": "off"}


@pytest.fixture
def world() -> Iterator[World]:
    with World(ALONE) as world:
        yield world


def send(world: World, target: str = "/in", body: bytes = b"hi", type: str = "text/plain") -> int:
    """Posts with a client of the standard library, and returns the status."""
    host, port = world.address("webhook")
    headers = {"Content-Type": type, "X-Kind": "test"}
    request = urllib.request.Request(f"http://{host}:{port}{target}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


# ── what is recorded ─────────────────────────────────────────────────────────


def test_a_request_is_recorded_with_its_parts(world: World) -> None:
    assert send(world, "/in%20box?token=my_token&hash=1234&name=%C3%A9&name=2") == 200
    post = world.webhook.wait_for(path="/in b*", method="POST", text="hi")
    assert (post.method, post.path, post.body, post.status) == ("POST", "/in box", b"hi", 200)
    assert post.query == {"token": "my_token", "hash": "1234", "name": "é"}
    assert (post.headers["x-kind"], post.type) == ("test", "text/plain")


def test_a_path_is_decoded_as_utf_8(world: World) -> None:
    assert send(world, "/gr%C3%BC%C3%9Fe") == 200
    assert world.webhook.wait_for(path="/grüße").path == "/grüße"


def test_a_failure_says_why_no_request_fits(world: World) -> None:
    send(world)
    with pytest.raises(AssertionError, match=r"POST /in \(2 bytes\): 200: path is '/in'; no 'x'"):
        world.webhook.wait_for(path="/out", text="x", timeout=0.01)


def posted(body: bytes, type: str) -> Post:
    headers = {"content-type": type} if type else {}
    return Post(Request("POST", "/", "HTTP/1.1", headers, body), 200, 0.0)


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="to"\r\n\r\na@b.test\r\n'
    b'--b\r\nContent-Disposition: form-data; name="to"\r\n\r\nc@d.test\r\n'
    b'--b \r\nContent-Disposition: form-data; name="file"; filename="a %22b%22 \xc3\xa9.bin"\r\n'
    b"Content-Type: image/png\r\n\r\n\x00\r\n--\xff\r\n\r\n--b--\r\n"
)


def test_a_form_with_files_is_decoded() -> None:
    post = posted(FORM, 'Multipart/Form-Data; boundary="b"')
    assert post.form == {"to": ["a@b.test", "c@d.test"]}
    assert post.files == [Upload("file", 'a "b" é.bin', "image/png", b"\x00\r\n--\xff\r\n")]


def test_an_encoded_form_and_json_are_decoded() -> None:
    form = posted(b"a=1&b=%C3%A9&a=", "application/x-www-form-urlencoded; charset=utf-8").form
    assert form == {"a": ["1", ""], "b": ["é"]}
    assert posted(json.dumps({"a": [1]}).encode(), "application/json").json == {"a": [1]}


@pytest.mark.parametrize(
    ("body", "type", "problem"),
    [
        (b"hi", "text/plain", "no form, but text/plain"),
        (b"hi", "", "without a Content-Type"),
        (FORM, "multipart/form-data", "no boundary"),
        (FORM, "multipart/form-data; boundary=c", "does not end the body"),
        (FORM[:-4], "multipart/form-data; boundary=b", "does not end the body"),
        (b"--b\r\nno header\r\n--b--", "multipart/form-data; boundary=b", "has no header"),
        (b"--b\r\nA: b\r\n\r\n\r\n--b--", "multipart/form-data; boundary=b", "has no name"),
        (b"--b\r\n\r\n\xff\r\n--b--", "multipart/form-data; boundary=b", "has no name"),
    ],
)
def test_a_body_that_is_no_form_is_an_error(body: bytes, type: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _ = posted(body, type).form


@given(st.binary(max_size=300))
def test_any_body_is_a_form_or_a_value_error(body: bytes) -> None:
    try:
        assert isinstance(
            posted(b"--b\r\n" + body + b"--b--", "multipart/form-data; boundary=b").form, dict
        )
    except ValueError:
        pass


# ── what is answered ─────────────────────────────────────────────────────────


def test_answers_are_given_on_demand_in_the_order_in_which_they_were_asked_for(
    world: World,
) -> None:
    world.webhook.answer(503, "busy", path="/a", times=2, headers={"Retry-After": "5"})
    world.webhook.answer(406)
    world.webhook.answer(204, path="/a", times=None)
    targets = ["/a", "/b", "/a", "/a", "/b", "/a"]
    assert [send(world, target) for target in targets] == [503, 406, 503, 204, 200, 204]
    assert [post.status for post in world.webhook.all] == [503, 406, 503, 204, 200, 204]


@pytest.mark.parametrize("status", ["503", 99, 600])
def test_an_answer_has_a_status(world: World, status: Any) -> None:
    with pytest.raises(ValueError, match=f"{status!r} is not a status; write a number such as 503"):
        world.webhook.answer(status)


def test_an_answer_without_content_has_no_body_and_the_connection_goes_on(world: World) -> None:
    world.webhook.answer(204, "never sent")
    connection = http.client.HTTPConnection(*world.address("webhook"), timeout=5)
    for status in (204, 200):
        connection.request("POST", "/", b"x")
        response = connection.getresponse()
        assert (response.status, response.read()) == (status, b"")
    connection.close()


def test_faults_have_the_words_of_all_others(world: World) -> None:
    world.faults.arm('webhook POST arg /in* reply "503 Service Unavailable" times 1')
    world.faults.arm("webhook POST nth 3 lost stored")
    assert [send(world), send(world)] == [503, 200]
    with pytest.raises(http.client.RemoteDisconnected):
        send(world)
    assert len(world.webhook.wait_for_n(2)) == 2, "the first one was not handled"


def test_it_speaks_tls_on_another_port_under_its_names() -> None:
    with World({"servers": ["webhook"], "tls": "optional"}) as world:
        context = ssl.create_default_context(cafile=world.ca_file)
        host, port = world.host.addresses("hooks.example.test", 443)[0]
        assert (host, port) == world.address("webhook-tls")
        url = f"https://localhost:{port}/in"
        with urllib.request.urlopen(url, b"hi", timeout=5, context=context) as response:
            assert response.status == 200
        assert world.webhook.wait_for().body == b"hi"


# ── which worlds have it ─────────────────────────────────────────────────────


def test_only_worlds_that_name_it_have_it_and_no_program_is_configured_with_it() -> None:
    assert "webhook" not in World().servers
    assert "webhook" in World(ports={"webhook": 0}).servers
    with World({"servers": ["webhook"]}) as world:
        assert world.settings == {"scenario": {}}


def test_its_names_lead_to_it_and_others_to_the_addresses_of_the_machine(world: World) -> None:
    assert world.host.addresses("hooks.example.test", 80) == [world.address("webhook")]
    world.host.names["evil.example"] = ["10.0.0.1", "::1"]
    assert world.host.addresses("evil.example", 80) == [("10.0.0.1", 80), ("::1", 80)]
    assert world.host.addresses("192.0.2.1", 8080) == [("192.0.2.1", 8080)]
    with pytest.raises(OSError, match="not known"):
        world.host.addresses("nowhere.example", 80)
    assert world.host.looked_up[-1] == "nowhere.example"


# ── the core ─────────────────────────────────────────────────────────────────


def core(world: World) -> Session:
    session = world.core("webhook")
    session.opened(Facts(1))
    return session


def test_credentials_are_masked_in_recordings_and_in_what_was_never_completed() -> None:
    world = World(ALONE, rehearsal=True)
    session = core(world)
    session.receive(b"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer hunter2\r\n\r\n")
    session.receive(b"GET / HTTP/1.1\r\nproxy-authorization:hunter2\r\n")
    session.eof()
    text = render(world.recording)
    assert "hunter2" not in text
    assert "Authorization: Bearer {credentials bearer}" in text
    assert "proxy-authorization:\\{credentials any}" in text


def test_a_body_may_be_as_long_as_a_mail_and_no_longer() -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    session = core(World(ALONE, rehearsal=True))
    session.receive(head % ROOM)
    assert not session.closed
    session = core(World(ALONE, rehearsal=True))
    session.receive(head % (ROOM + 1))
    assert drain(session).startswith(b"HTTP/1.1 413 ") and session.closed


@given(st.data())
def test_any_chopping_of_the_input_records_the_same_requests(data: st.DataObject) -> None:
    raw = (
        b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nab\r\n\r\nPUT /b HTTP/1.0\r\n\r\n"
    )
    world = World(ALONE, rehearsal=True)
    session, rest = core(world), raw
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        session.receive(rest[:size])
        rest = rest[size:]
    assert list(map(str, world.webhook.all)) == ["POST /a (6 bytes): 200", "PUT /b (0 bytes): 200"]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_raise_nothing(pieces: list[bytes]) -> None:
    session = core(World(ALONE, rehearsal=True))
    for piece in pieces:
        session.receive(piece)
    session.eof()
    assert len(session.buffer) <= HEAD


def test_it_remembers_as_many_requests_as_the_world_says() -> None:
    with World({**ALONE, "keep": {"arrivals": 0}}) as world:
        assert send(world) == 200 and list(world.webhook.all) == []
    assert isinstance(world.webhook, Webhook) and SERVER.on_request

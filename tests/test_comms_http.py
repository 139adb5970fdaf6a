"""The HTTP client: whom it asks, what it follows, and what it says when there is no answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from comms.clock import RealClock
from comms.errors import Refused, Unknown, Unreachable
from comms.host import RealHost
from comms.http import Answer, Client, Url, is_public
from fakes.world import World
from tests.scripted import Peer

LOOPBACK = ["127.0.0.0/8"]


# ── addresses ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "authority", "target"),
    [
        ("http://a.test", "a.test", "/"),
        ("HTTPS://A.Test./x%20y?a=1#part", "a.test", "/x%20y?a=1"),
        ("https://a.test:443/", "a.test", "/"),
        ("http://a.test:443?b", "a.test:443", "/?b"),
        ("http://[2001:DB8::1]:8080/", "[2001:db8::1]:8080", "/"),
    ],
)
def test_an_address_has_one_form(text: str, authority: str, target: str) -> None:
    url = Url.parse(text)
    assert (url.authority, url.target) == (authority, target)
    assert Url.parse(str(url)) == url


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ftp://a.test/", "does not begin with http"),
        ("a.test/in", "does not begin with http"),
        ("http:///in", "no valid host name"),
        ("http://user@a.test/", "user name or a password"),
        ("http://a.test:80@b.test/", "user name or a password"),
        ("http://a.test\\@b.test/", "a space, a backslash"),
        ("http://a.test/\r\nX: y", "a space, a backslash"),
        ("http://a.test/a b", "a space, a backslash"),
        ("http://exämple.test/", "a character beyond ASCII"),
        ("http://a.test:0/", "port is 0"),
        ("http://a.test:99999/", "[Pp]ort"),
        ("http://a.test:x/", "[Pp]ort"),
        ("http://[::1/", "."),
        ("http://[fe80::1%25eth0]/", "no valid host name|zone"),
        ("http://a,b/", "no valid host name"),
    ],
)
def test_an_address_that_could_mean_something_else_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Url.parse(text)


def test_values_are_added_to_the_query() -> None:
    url = Url.parse("http://a.test/in?x=1").with_query({"token": "a b&c", "hash": "é"})
    assert url.target == "/in?x=1&token=a+b%26c&hash=%C3%A9"


@pytest.mark.parametrize(
    "address",
    """127.0.0.1 10.1.2.3 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
    255.255.255.255 192.0.2.1 198.18.0.1 240.0.0.1 ::1 :: fe80::1 fe80::1%eth0 fc00::1 ff02::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:a00:1::
    2001:0:a00:1:: 2001:db8::1 fec0::1""".split(),
)
def test_addresses_of_private_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "::ffff:93.184.215.14"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("name", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"])
def test_a_loopback_address_is_recognised_however_it_is_written(name: str) -> None:
    host = RealHost()
    assert host.addresses(name, 80) == [("127.0.0.1", 80)]
    with pytest.raises(
        Refused, match=r"leads to 127\.0\.0\.1, which is not on the public internet"
    ):
        Client(CLOCK, host).post(f"http://{name}:1/", b"", {})


def test_a_name_that_no_resolver_accepts_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r"."):
        RealHost().addresses("x" * 100 + ".test", 80)


@pytest.mark.parametrize(
    ("base", "location", "there"),
    [
        ("http://a.test/x/y", "z", "http://a.test/x/z"),
        ("http://a.test/x", "/z?q=1", "http://a.test/z?q=1"),
        ("http://a.test/x", "https://a.test/x", "https://a.test/x"),
        ("https://a.test:8443/x", "https://A.test:8443/", "https://a.test:8443/"),
        ("https://a.test/x", "http://a.test/x", None),
        ("http://a.test:8080/x", "https://a.test/x", None),
        ("http://a.test/x", "http://a.test:6379/", None),
        ("http://a.test/x", "http://b.test/", None),
        ("http://a.test/x", "//b.test/", None),
        ("http://a.test/x", "http://a.test@b.test/", None),
        ("http://a.test/x", "http://a.test.b.test/", None),
        ("http://a.test/x", "file:///etc/passwd", None),
        ("http://a.test/x", "http://[", None),
    ],
)
def test_a_redirect_is_followed_only_to_the_same_server(
    base: str, location: str, there: str | None
) -> None:
    url = Url.parse(base)
    if there is not None:
        assert str(url.redirected(location)) == there
        return
    with pytest.raises(Refused, match="redirects to"):
        url.redirected(location)


# ── requests to the fake ─────────────────────────────────────────────────────

CLOCK = RealClock()


@pytest.fixture
def world() -> Iterator[World]:
    with World({"servers": ["webhook"], "webhook": {"hosts": ["hooks.test"]}}) as world:
        yield world


def client(world: World, **changes: Any) -> Client:
    return Client(CLOCK, world.host, **{"timeout": 2.0, "allow": LOOPBACK, **changes})


def test_a_request_arrives_and_its_answer_comes_back(world: World) -> None:
    world.webhook.answer(406, "not\nwanted", headers={"X-Why": "spam"})
    answer = client(world).post("http://hooks.test/in?a=1", b"hi", {"Content-Type": "text/plain"})
    assert (answer.status, answer.reason, answer.text) == (406, "Not Acceptable", "not wanted")
    assert answer.headers["x-why"] == "spam" and str(answer) == "406 Not Acceptable: not wanted"
    post = world.webhook.wait_for()
    assert (post.path, post.query, post.body) == ("/in", {"a": "1"}, b"hi")
    assert post.headers["host"] == "hooks.test", "the name, not the address"


def test_over_tls_the_certificate_must_be_that_of_the_name(world: World) -> None:
    url = "https://hooks.test/in"
    assert client(world, ca_file=world.ca_file).post(url, b"", {}).status == 200
    with pytest.raises(Unreachable, match=r"certificate is not trusted for hooks\.test"):
        client(world).post(url, b"", {})
    world.faults.arm("webhook tls certificate other-name")
    with pytest.raises(Unreachable, match=r"certificate is not trusted for hooks\.test"):
        client(world, ca_file=world.ca_file).post(url, b"", {})


def test_redirects_are_followed_up_to_a_limit(world: World) -> None:
    world.webhook.answer(307, headers={"Location": "/next"}, times=None)
    with pytest.raises(Refused, match=r"http://hooks\.test redirects more than 2 times"):
        client(world, redirects=2).post("http://hooks.test/", b"hi", {})
    posts = world.webhook.wait_for_n(3)
    assert [(post.method, post.path, post.body) for post in posts][1:] == [
        ("POST", "/next", b"hi")
    ] * 2
    assert len(world.host.looked_up) == 3, "each hop is resolved once, and checked"


@pytest.mark.parametrize("status", [301, 302, 303, 304])
def test_what_would_not_repeat_the_request_is_not_followed(world: World, status: int) -> None:
    world.webhook.answer(status, headers={"Location": "/next"})
    assert client(world).post("http://hooks.test/", b"", {}).status == status
    assert len(world.webhook.all) == 1


def test_a_redirect_without_a_place_comes_back_here_until_the_limit(world: World) -> None:
    world.webhook.answer(308, times=None)
    with pytest.raises(Refused, match="redirects more than 3 times"):
        client(world).post("http://hooks.test/", b"", {})


def test_one_address_inside_is_enough_for_a_refusal(world: World) -> None:
    world.host.names["mixed.test"] = ["93.184.215.14", "10.0.0.1"]
    with pytest.raises(Refused, match=r'leads to 10\.0\.0\.1.*write allow = \["10\.0\.0\.1"\]'):
        client(world).post("http://mixed.test/", b"", {})
    with pytest.raises(Refused, match=r"leads to ::ffff:10\.0\.0\.1|leads to ::ffff:a00:1"):
        client(world).post("http://[::ffff:10.0.0.1]/", b"", {})
    assert list(world.records) == [], "nothing was connected to"


def test_a_name_is_resolved_once_and_the_checked_address_is_used(world: World) -> None:
    host = world.host
    answers = iter([[world.address("webhook")], [("10.0.0.1", 80)]])

    class Rebinding:
        """A resolver whose second answer is another one."""

        def addresses(self, name: str, port: int) -> Sequence[tuple[str, int]]:
            return next(answers)

        def __getattr__(self, name: str) -> Any:
            return getattr(host, name)

    rebinding: Any = Rebinding()
    found = Client(CLOCK, rebinding, allow=LOOPBACK)
    assert found.post("http://hooks.test/", b"", {}).status == 200
    with pytest.raises(Refused, match=r"leads to 10\.0\.0\.1"):
        found.post("http://hooks.test/", b"", {})


def test_a_mapped_address_is_allowed_where_its_ipv4_address_is(world: World) -> None:
    world.close_port("webhook")
    world.host.names["six.test"] = ["::ffff:127.0.0.1"]
    with pytest.raises(Unreachable):
        client(world).post(f"http://six.test:{world.address('webhook')[1]}/", b"", {})


def test_the_next_address_is_tried_if_the_first_one_does_not_accept(world: World) -> None:
    host, port = world.address("webhook")
    world.host.names["two.test"] = ["127.0.0.9", host]
    assert client(world).post(f"http://two.test:{port}/", b"", {}).status == 200


@pytest.mark.parametrize("what", ["hang up before", "reset", "lost stored", "after 5", "stall"])
def test_without_an_answer_it_is_unknown_what_happened(world: World, what: str) -> None:
    world.faults.arm(f"webhook POST {what}")
    with pytest.raises(Unknown, match=r"http://hooks\.test: no answer to the request"):
        client(world, timeout=0.2).post("http://hooks.test/", b"x", {})


def test_a_server_that_is_away_and_a_name_that_is_unknown_are_unreachable(world: World) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.test: its address is not known"):
        client(world).post("http://nowhere.test/", b"", {})
    world.host.names["empty.test"] = []
    with pytest.raises(Unreachable, match=r"empty\.test: it has no address"):
        client(world).post("http://empty.test/", b"", {})
    world.close_port("webhook")
    with pytest.raises(Unreachable, match=r"^http://hooks.test cannot be reached: Connection ref"):
        client(world).post("http://hooks.test/", b"", {})


def test_the_status_counts_even_if_the_rest_of_the_answer_is_lost(world: World) -> None:
    world.faults.arm('webhook POST reply "503 Service Unavailable"')
    world.faults.arm("webhook POST hang up within")
    assert client(world).post("http://hooks.test/", b"", {}).status == 503
    world.faults.disarm()


# ── servers that misbehave ───────────────────────────────────────────────────


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\n", 200),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + b"\r\n", 200),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + b"HTTP/1.1 204\r\n\r\n", 204),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 5_000, None),
        (b"HTTP/1.0 200\r\n\r\nto the end", 200),
        (b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 500),
        (b"HTTP/1.1 500 X\r\nContent-Length: -5\r\n\r\nabc", 500),
        (OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n", None),
        (OK + b"X: y\r\n" * 200 + b"\r\n", None),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000, None),
        (b"HTTP/1.1 2\xb20 OK\r\n\r\n", None),
        (b"HTTP/9.9 200 OK\r\n\r\n", None),
        (b"ICY 200 OK\r\n\r\n", None),
        (b"\x00" * 100_000, None),
        (b"", None),
    ],
    ids=range(16),
)
def test_any_answer_is_a_status_or_unknown(raw: bytes, expected: int | None) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"\r\n\r\n", b"x")
        with contextlib.suppress(OSError):
            peer.send(raw)
        peer.hang_up()

    with Peer(script) as peer:
        url = f"http://127.0.0.1:{peer.port}/"
        found = Client(CLOCK, RealHost(), timeout=1.0, allow=LOOPBACK)
        if expected is None:
            with pytest.raises(Unknown):
                found.post(url, b"x", {})
        else:
            assert found.post(url, b"x", {}).status == expected


def test_an_answer_is_shown_in_one_line() -> None:
    assert str(Answer(200)) == "200" and str(Answer(500, "Oops", {}, "why")) == "500 Oops: why"


def test_the_client_needs_a_file_that_exists(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="host bits"):
        Client(CLOCK, RealHost(), allow=["10.0.0.1/8"])

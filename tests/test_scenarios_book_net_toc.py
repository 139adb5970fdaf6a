"""The stand-in for Net::TOC does what was measured of it, right and wrong, on the scripted server of comms.toc's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scenarios.book.net_toc import Buddy, Client, CommunicationError, format_message
from tests.toc_peer import PASSWORD, Peer, arguments, update


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    client = Client("Ops Bot", PASSWORD, peer.clock, peer.host)
    yield client
    client.disconnect()


def connect(client: Client, peer: Peer) -> None:
    client.connect("127.0.0.1", peer.server().port)


def test_it_signs_on_with_a_nul_behind_the_name_and_adds_itself(peer: Peer, client: Client) -> None:
    connect(client, peer)
    client.wait()
    assert peer.session.received[0] == (1, b"\0\0\0\1\0\1\0\6opsbot\0")
    lines = [payload.rstrip(b"\0").decode() for kind, payload in peer.session.received if kind == 2]
    assert lines[0].startswith("toc2_signon login.oscar.aol.com 5190 opsbot 0x") and '"TIC:toc.rb" 160 ' in lines[0]
    assert lines[1:] == ["toc_add_buddy opsbot", "toc_init_done"]


def test_a_refused_password_raises_nothing_and_reaches_no_block(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_error(heard.append)
    peer.refusal = "ERROR:980"
    connect(client, peer)
    client.buddy_list.buddy_named("bob").send_im("Hello")
    with pytest.raises(CommunicationError):
        client.wait()
    assert heard == []


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("IM_IN2:Bob:F:F:a:b", "a:b"),
        ("IM_IN2:Bob:F:F:a::", "a"),
        ("IM_IN:Bob:F:see http://x", "//x"),
        ("IM_IN2:Bob:F:F:", ""),
    ],
)
def test_messages_lose_what_they_lost(peer: Peer, client: Client, raw: str, text: str) -> None:
    heard: list[tuple[str, str, bool]] = []
    client.on_im(lambda message, buddy, auto: heard.append((message, buddy.screen_name, auto)))
    connect(client, peer)
    peer.session.send(raw, raw.replace(":F:", ":T:", 1))
    client.wait()
    assert heard == [(text, "Bob", False), (text, "Bob", True)]


def test_the_first_name_reported_stays_for_all_later_ones(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_error(heard.append)
    connect(client, peer)
    peer.session.send("ERROR:901:bob", "ERROR:901:ann", "ERROR:777:x")
    client.wait()
    assert heard == ["bob is not available."] * 2 + ["An unknown error occurred."]


def test_an_exception_in_a_block_ends_the_wait(peer: Peer, client: Client) -> None:
    def careless(message: str, buddy: Buddy, auto_response: bool) -> None:
        raise RuntimeError("oh")

    client.on_im(careless)
    connect(client, peer)
    peer.session.send("IM_IN2:Bob:F:F:hi")
    with pytest.raises(RuntimeError, match="oh"):
        client.wait()


def test_online_never_fires_and_a_later_block_replaces_the_earlier(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    bob = client.buddy_list.buddy_named("bob")
    for status in ("online", "available", "idle", "away", "offline"):
        bob.on_status(status, lambda status=status: heard.append(f"first {status}"))  # type: ignore[misc]
    bob.on_status("away", lambda: heard.append("second away"))
    connect(client, peer)
    peer.session.send(
        update("Bob"),
        update("Bob"),
        update("Bob", kind=" OU", idle=3),
        update("Bob", idle=3),
        update("Bob", "F", kind="   "),
    )
    client.wait()
    assert heard == ["first available", "second away", "first idle", "first offline"]


def test_text_goes_out_as_it_is_with_four_characters_escaped() -> None:
    assert format_message('a<b> "x" {y} $z\r\nq\\') == 'a<b> \\"x\\" \\{y\\} $z<br><br>q\\\\'


def test_the_last_im_arrives_since_it_closes_through_the_link(peer: Peer, client: Client) -> None:
    connect(client, peer)
    client.buddy_list.buddy_named("Ann Lee").send_im("Hello")
    client.disconnect()
    peer.serve()
    assert [arguments(line)[1:] for line in peer.session.commands("toc_add_buddy")] == [["annlee", "Hello"]]
    assert peer.session.ended == "close"

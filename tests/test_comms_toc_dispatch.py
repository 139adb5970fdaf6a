"""What messages from an AIM server do: the handlers that they call, and what is ignored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from comms.clock import Clock
from comms.toc.buddies import Buddy
from comms.toc.client import Client
from comms.toc.markup import Html
from tests.test_comms_toc_client import GONE, changes_of, ims
from tests.toc_peer import Peer, update


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    clock: Clock = peer.clock
    with Client(peer.server(), clock, peer.host) as client:
        yield client


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("IM_IN2:Bob:F:F:see http://x.test:80/:", ("see http://x.test:80/:", "Bob", False)),
        ("IM_IN:Bob:F:a:b", ("a:b", "Bob", False)),
        ("IM_IN2:Bob:T:F:I am away", ("I am away", "Bob", True)),
        ("IM_IN2:Stranger:F:F:", ("", "Stranger", False)),
        ("IM_IN2:Bob:F:F:<b>1 &lt; 2</b>", ("<b>1 &lt; 2</b>", "Bob", False)),
    ],
)
def test_a_handler_gets_message_buddy_and_auto_response(
    peer: Peer, client: Client, raw: str, expected: tuple[str, str, bool]
) -> None:
    found: list[tuple[str, str, bool]] = []
    client.on_im(
        lambda message, buddy, auto_response: found.append(
            (message, buddy.screen_name, auto_response)
        )
    )
    client.connect()
    peer.session.send(raw)
    client.wait()
    assert found == [expected]
    assert "<b>1 &lt; 2</b>" not in raw or Html(found[0][0]).text == "1 < 2"


def test_several_handlers_are_called_in_order(peer: Peer, client: Client) -> None:
    heard: list[str] = []

    @client.on_im
    def first(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(f"first {message.text}")

    @client.on_im
    def second(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(f"second {message.text}")

    client.connect()
    peer.session.send("IM_IN2:Bob:F:F:<i>x</i>")
    client.wait()
    assert heard == ["first x", "second x"]


def test_a_handler_that_raises_is_logged_and_the_others_are_called(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []

    @client.on_im
    def careless(message: Html, buddy: Buddy, auto_response: bool) -> None:
        raise RuntimeError(f"cannot handle {message}")

    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    peer.session.send("IM_IN2:Bob:F:F:one", "IM_IN2:Bob:F:F:two")
    client.wait()
    assert heard == ["one", "two"]
    assert peer.log() == [
        f"handler-failed handler=careless trouble=RuntimeError: cannot handle {message}"
        for message in heard
    ]


@pytest.mark.parametrize("digits", [3, 18, 19, 309, 400, 4300, 4301, 8000, 60_000])
@pytest.mark.parametrize(
    "message",
    [
        "ERROR:{}",
        "ERROR:{}:bob",
        "EVILED:{}:Bob",
        "UPDATE_BUDDY2:Bob:T:{}:0:0: O :",
        "UPDATE_BUDDY2:Bob:T:0:{}:0: O :",
        "UPDATE_BUDDY2:Bob:T:0:0:{}: O :",
        "CHAT_IN:{}:Bob:F:hello",
        "IM_IN2:{}:F:F:hello",
    ],
)
def test_a_number_of_any_length_does_not_end_the_program(
    peer: Peer, client: Client, message: str, digits: int
) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message.text))
    client.connect()
    peer.session.send(message.format("9" * digits), "IM_IN2:Bob:F:F:next")
    assert client.send_im("bob", "hi")
    client.wait()
    assert heard[-1] == "next"
    assert len(peer.sessions) == 1


def test_a_message_that_cannot_be_parsed_is_logged_and_the_next_is_handled(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    peer.session.send(
        "IM_IN2:Bob", "UPDATE_BUDDY2:Bob:T:x:0:0: O :", "WHATEVER:1:2", "IM_IN2:Bob:F:F:still here"
    )
    client.wait()
    assert heard == ["still here"]
    assert [line.split()[0] for line in peer.log()] == ["aim-not-understood"] * 2


def test_an_auto_response_is_reported_and_never_answered(peer: Peer, client: Client) -> None:
    client.on_im(lambda message, buddy, auto_response: buddy.send_im(f"you wrote {message}"))
    client.connect()
    peer.session.send("IM_IN2:Bob:T:F:I am away", "IM_IN2:Bob:F:F:hello")
    client.wait()
    assert ims(peer) == [["bob", "you wrote hello"]]
    assert any("aim-not-answered to=Bob" in line for line in peer.log())


def test_the_sender_of_an_auto_response_can_get_an_im_later(peer: Peer, client: Client) -> None:
    client.on_im(lambda message, buddy, auto_response: None)
    client.connect()
    peer.session.send("IM_IN2:Bob:T:F:I am away")
    client.wait()
    assert client.send_im("bob", "news")
    assert ims(peer) == [["bob", "news"]]


def test_other_users_can_get_an_im_while_an_auto_response_is_handled(
    peer: Peer, client: Client
) -> None:
    client.on_im(lambda message, buddy, auto_response: client.send_im("ann", f"{buddy} is away"))
    client.connect()
    peer.session.send("IM_IN2:Bob:T:F:I am away")
    client.wait()
    assert ims(peer) == [["ann", "Bob is away"]]


def test_our_own_messages_are_not_reported(peer: Peer, client: Client) -> None:
    heard: list[Any] = []
    client.on_im(lambda *values: heard.append(values))
    client.on_chat(lambda *values: heard.append(values))
    client.connect()
    peer.session.send("IM_IN2:Ops Bot:F:F:hi", "CHAT_IN:1:OPSBOT:F:hi")
    client.wait()
    assert heard == []


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        ([update("Bob")], ["online", "available"]),
        ([update("Bob", kind=" OU")], ["online", "away"]),
        ([update("Bob", idle=3)], ["online", "idle"]),
        ([update("Bob", idle=3, kind=" OU")], ["online", "away"]),
        ([update("Bob"), update("Bob"), update("Bob", evil=10)], ["online", "available"]),
        (
            [update("Bob"), update("Bob", idle=1), update("Bob", idle=2)],
            ["online", "available", "idle"],
        ),
        (
            [update("Bob"), update("Bob", kind=" OU"), update("Bob")],
            ["online", "available", "away", "available"],
        ),
        ([update("Bob", idle=1, kind=" OU"), update("Bob", idle=2)], ["online", "away", "idle"]),
        ([update("Bob", idle=1), update("Bob")], ["online", "idle", "available"]),
        (
            [update("Bob"), GONE, update("Bob")],
            ["online", "available", "offline", "online", "available"],
        ),
        ([GONE], []),
        ([update("Bob", kind=" U ")], ["online", "available"]),  # an unconfirmed account, not away
        (["UPDATE_BUDDY:Bob:T:0:0:0: O"], ["online", "available"]),
        ([update("BOB")], ["online", "available"]),
        ([update("Nobody We Know")], []),
    ],
)
def test_a_status_is_reported_when_a_buddy_changes_to_it(
    peer: Peer, client: Client, updates: list[str], expected: list[str]
) -> None:
    changes = changes_of(client.buddy_list.buddy_named("bob"))
    client.connect()
    peer.session.send(*updates)
    client.wait()
    assert changes == expected


def test_the_status_is_set_before_the_handler_is_called(peer: Peer, client: Client) -> None:
    bob = client.buddy_list.buddy_named("bob")
    seen: list[str] = []

    @bob.on_status("online", "offline")
    def changed() -> None:
        seen.append(bob.status)

    client.connect()
    peer.session.send(update("Bob", kind=" OU"), update("Bob", "F"))
    client.wait()
    assert seen == ["away", "offline"]


def test_a_buddy_has_the_screen_name_that_its_owner_writes(peer: Peer, client: Client) -> None:
    bob, ann = client.buddy_list.buddy_named("b o b"), client.buddy_list.buddy_named("annlee")
    client.connect()
    assert (str(bob), str(ann)) == ("b o b", "annlee")
    peer.session.send(update("BoB"), "IM_IN2:AnnLEE:F:F:hi")
    client.wait()
    assert (str(bob), str(ann)) == ("BoB", "AnnLEE")


def test_a_status_that_a_buddy_has_already_is_not_reported(peer: Peer, client: Client) -> None:
    peer.present = [update("Bob")]
    client.connect()
    changes = changes_of(client.buddy_list.buddy_named("bob"))
    peer.session.send(update("Bob"))
    client.wait()
    assert changes == []

"""The inbox: limited queues, emptied by polling or by handlers."""

from __future__ import annotations

import pytest

from comms.xmpp import Jid, Message, Presence, inbox
from comms.xmpp.inbox import OVERHEAD, Inbox, take
from tests.scripted import RecordingHost

ANN = Jid.parse("ann@x.test")


def message(text: str) -> Message:
    return Message(ANN, text)


def presence(name: str = "ann", show: str = "available", text: str = "") -> Presence:
    return Presence(Jid(name, "x.test"), show, text)


def texts(box: Inbox) -> list[str]:
    return [message.text for message in box.take_messages()]


def test_messages_are_taken_once_oldest_first() -> None:
    box = Inbox(RecordingHost())
    box.put(message("one"), 10)
    box.put(message("two"), 10)
    assert texts(box) == ["one", "two"] and texts(box) == []


def test_a_full_inbox_has_room_again_when_messages_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "HELD", 3 * OVERHEAD)
    box = Inbox(RecordingHost())
    for _ in range(4):
        assert box.has_room()
        box.put(message("x"), 0)
    assert not box.has_room() and box.has_room(4)
    next(box.take_messages())
    assert box.has_room()


def test_there_is_at_most_one_request_per_user() -> None:
    box = Inbox(RecordingHost())
    box.put_presence(box.requests, presence(text="please"))
    box.put_presence(box.requests, presence(text="please!"))
    assert [request.text for request in take(box.requests)] == ["please!"]
    assert not box.requests


def test_the_number_of_waiting_requests_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PEOPLE", 2)
    host = RecordingHost()
    box = Inbox(host)
    for name in ("a", "b", "c", "a"):
        box.put_presence(box.requests, presence(name))
    assert [str(request.sender) for request in take(box.requests)] == ["a@x.test", "b@x.test"]
    assert [line.split()[:2] for line in host.lines] == [["request-ignored", "sender=c@x.test"]]


def test_a_presence_is_reported_only_if_it_differs_from_the_last_one() -> None:
    box = Inbox(RecordingHost())
    reported = []
    for show in ("unavailable", "away", "away", "dnd", "unavailable"):
        box.presence[ANN] = presence(show=show)
        reported += [update.show for update in box.take_presence()]
    assert reported == ["away", "dnd", "unavailable"]


def test_a_contact_that_is_forgotten_is_reported_again() -> None:
    box = Inbox(RecordingHost())
    for _ in range(2):
        box.presence[ANN] = presence(show="away")
        assert [update.show for update in box.take_presence()] == ["away"]
        box.forget(ANN)


def test_handlers_get_values_in_order_and_other_kinds_wait() -> None:
    box = Inbox(RecordingHost())
    handled: list[str] = []
    box.on("message", lambda message: handled.append(f"first {message.text}"))
    box.on("message", lambda message: handled.append(f"second {message.text}"))
    box.put(message("a"), 1)
    box.put(message("b"), 1)
    box.put_presence(box.requests, presence())
    box.dispatch()
    assert handled == ["first a", "second a", "first b", "second b"]
    assert len(box.requests) == 1, "no handler, so it can be polled"


def test_a_handler_is_not_called_inside_itself() -> None:
    box = Inbox(RecordingHost())
    handled: list[str] = []

    def handle(message: Message) -> None:
        handled.append(f"begin {message.text}")
        box.dispatch()
        handled.append(f"end {message.text}")

    assert box.on("message", handle) is handle, "usable as a decorator"
    box.put(message("a"), 1)
    box.put(message("b"), 1)
    box.dispatch()
    assert handled == ["begin a", "end a", "begin b", "end b"]


def test_a_handler_that_raises_does_not_stop_the_others() -> None:
    host = RecordingHost()
    box = Inbox(host)
    handled: list[str] = []

    def broken(message: Message) -> None:
        raise ValueError("no")

    box.on("message", broken)
    box.on("message", lambda message: handled.append(message.text))
    box.put(message("a"), 1)
    box.dispatch()
    assert handled == ["a"]
    assert host.lines == ["handler-failed handler=broken trouble=ValueError: no"]

"""Messages that wait: they survive the program, and none is sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

import comms.xmpp
from comms.errors import CommsError, Unknown, Unreachable
from comms.state import State
from comms.xmpp import Jid, Message, Outbox, stanzas
from comms.xmpp.outbox import GIVE_UP, RETURNS, Result
from fakes.clock import Rehearsal

THEM = "them@example.test"


class Jabber:
    """What an outbox needs of a client."""

    def __init__(self) -> None:
        self.connected = True
        self.subscribed = True
        self.error: CommsError | None = None
        self.sent: list[Element] = []

    def subscribed_to(self, who: Jid) -> bool:
        return self.subscribed

    def send(self, element: Element) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(element)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(tmp_path / "s") as state:
        yield state


def flush(outbox: Outbox, jabber: Any, clock: Rehearsal | None = None) -> list[tuple[str, str]]:
    results = outbox.flush(jabber, clock or Rehearsal())
    return [(result.text, result.status) for result in results]


def put(outbox: Outbox, text: str, answer: bool = False) -> None:
    outbox.put(THEM, text, Rehearsal().time(), "normal", "t1", answer)


@pytest.mark.parametrize("character", ["\0", "\x1b", "\ufffe", "\ud800", "\udc80"])
def test_a_text_waits_as_it_will_be_sent(state: State, character: str) -> None:
    outbox, jabber = Outbox(state), Jabber()
    put(outbox, f"a{character}b")
    assert outbox.waiting() == [(THEM, "a\ufffdb")]
    assert flush(outbox, jabber) == [("a\ufffdb", "sent")]
    assert jabber.sent[0].findtext("{jabber:client}body") == "a\ufffdb"


def test_messages_are_sent_once_oldest_first(state: State) -> None:
    outbox, jabber = Outbox(state), Jabber()
    put(outbox, "one")
    put(outbox, "two")
    assert outbox.waiting() == [(THEM, "one"), (THEM, "two")]
    assert flush(outbox, jabber) == [("one", "sent"), ("two", "sent")]
    assert flush(outbox, jabber) == [] and outbox.waiting() == []
    first = jabber.sent[0]
    assert (first.get("to"), first.get("type")) == (THEM, "normal")
    assert first.findtext("{jabber:client}thread") == "t1"


def test_only_an_answer_is_sent_without_authorisation(state: State) -> None:
    outbox, jabber = Outbox(state), Jabber()
    jabber.subscribed = False
    put(outbox, "news")
    put(outbox, "answer", answer=True)
    assert flush(outbox, jabber) == [("answer", "sent")]
    assert outbox.waiting() == [(THEM, "news")]


def test_offline_everything_waits(state: State) -> None:
    outbox, jabber = Outbox(state), Jabber()
    jabber.connected = False
    put(outbox, "answer", answer=True)
    assert flush(outbox, jabber) == [] and outbox.waiting() == [(THEM, "answer")]


def test_a_message_that_was_not_sent_waits_and_an_unknown_one_does_not(state: State) -> None:
    outbox, jabber = Outbox(state), Jabber()
    put(outbox, "one")
    jabber.error = Unreachable("offline")
    assert flush(outbox, jabber) == [] and outbox.waiting() == [(THEM, "one")]
    jabber.error = Unknown("lost")
    assert flush(outbox, jabber) == [("one", "unknown")]
    assert outbox.waiting() == [] and outbox.unknown() == [(THEM, "one")]
    jabber.error = None
    assert flush(outbox, jabber) == []


def test_a_message_that_a_killed_program_was_sending_is_unknown(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Dying(Jabber):
        def send(self, element: Element) -> None:
            raise Killed

    with State(tmp_path / "s") as state:
        outbox = Outbox(state)
        put(outbox, "one")
        with pytest.raises(Killed):
            flush(outbox, Dying())
    with State(tmp_path / "s") as state:
        outbox = Outbox(state)
        assert outbox.unknown() == [(THEM, "one")] and flush(outbox, Jabber()) == []


def test_an_old_message_is_given_up(state: State) -> None:
    class Later(Rehearsal):
        def time(self) -> float:
            return super().time() + GIVE_UP + 1

    outbox, jabber = Outbox(state), Jabber()
    put(outbox, "old")
    assert flush(outbox, jabber, Later()) == [("old", "given-up")]
    assert jabber.sent == [] and outbox.waiting() == []


def test_a_message_that_was_put_in_a_failed_transaction_is_not_in_the_queue(state: State) -> None:
    outbox = Outbox(state)
    with pytest.raises(ZeroDivisionError), state.transaction() as db:
        outbox.put(THEM, "one", 0.0, db=db)
        raise ZeroDivisionError
    assert outbox.waiting() == []


# ── what comes back, and what is too long ────────────────────────────────────


class Answering(Jabber):
    """A client that gives its stanzas an id, and knows what has come back."""

    def __init__(self) -> None:
        super().__init__()
        self.returned: dict[str, Message] = {}

    def send(self, element: Element) -> None:
        super().send(element)
        element.set("id", f"s{len(self.sent)}")

    def comes_back(self, id: str, sender: str, error: str = "item-not-found") -> None:
        self.returned[id] = Message(Jid.parse(sender), "", "error", id, error=error)


@pytest.mark.parametrize(
    ("sender", "reported"),
    [
        (THEM, True),
        (f"{THEM}/desk", True),
        ("example.test", True),
        ("mallory@example.test", False),
        ("elsewhere.test", False),
    ],
)
def test_a_message_that_comes_back_is_reported_once(
    state: State, sender: str, reported: bool
) -> None:
    outbox, jabber = Outbox(state), Answering()
    put(outbox, "alert")
    put(outbox, "other")
    assert flush(outbox, jabber) == [("alert", "sent"), ("other", "sent")]
    jabber.comes_back("s1", sender)
    results = outbox.flush(jabber, Rehearsal())  # type: ignore[arg-type]
    wanted = [Result(THEM, "alert", "returned", "item-not-found")] if reported else []
    assert results == wanted
    assert flush(outbox, jabber) == [], "it is not sent again, and not reported again"


def test_a_message_comes_back_from_an_address_that_was_written_in_capitals(state: State) -> None:
    outbox, jabber = Outbox(state), Answering()
    outbox.put(THEM.upper(), "alert", Rehearsal().time())
    jabber.comes_back("s1", THEM)
    assert flush(outbox, jabber) == [("alert", "sent")]
    assert flush(outbox, jabber) == [("alert", "returned")]


def test_a_message_that_comes_back_after_a_restart_is_reported(tmp_path: Path) -> None:
    jabber = Answering()
    with State(tmp_path / "s") as state:
        put(Outbox(state), "alert")
        flush(Outbox(state), jabber)
    jabber.comes_back("s1", THEM, "remote-server-timeout")
    with State(tmp_path / "s") as state:
        assert flush(Outbox(state), jabber) == [("alert", "returned")]


def test_after_an_hour_a_message_does_not_come_back_any_more(state: State) -> None:
    class Later(Rehearsal):
        def time(self) -> float:
            return super().time() + RETURNS + 1

    outbox, jabber = Outbox(state), Answering()
    put(outbox, "alert")
    flush(outbox, jabber)
    flush(outbox, jabber, Later())
    jabber.comes_back("s1", THEM)
    assert flush(outbox, jabber) == []


def test_a_state_of_an_older_version_goes_on(state: State) -> None:
    Outbox(state)
    with state.transaction() as db:
        db.execute("DROP TABLE xmpp_sent")
        db.execute(
            "INSERT INTO xmpp_outbox (address, text, kind, thread, answer, made) "
            "VALUES (?, 'old', 'chat', ?, 0, ?)",
            (THEM, "&" * 60_000, Rehearsal().time()),
        )

    class Strict(Answering):
        def send(self, element: Element) -> None:
            stanzas.checked_bytes(element)

    assert flush(Outbox(state), Strict()) == [("old", "given-up")], "it was stored without a limit"


@pytest.mark.parametrize("text", ["x" * 10_000, "&" * 2_000, "\0" * 3_400])
def test_a_text_that_is_too_long_is_refused_and_an_answer_becomes_short(
    state: State, text: str
) -> None:
    outbox, jabber = Outbox(state), Answering()
    with pytest.raises(ValueError, match="too long"):
        put(outbox, text)
    put(outbox, text, answer=True)
    assert flush(outbox, jabber) == [(stanzas.TOO_LONG, "sent")]


def test_a_thread_that_is_too_long_is_left_out_of_an_answer(state: State) -> None:
    outbox, jabber = Outbox(state), Answering()
    outbox.put(THEM, "done", Rehearsal().time(), "chat", "&" * 60_000, answer=True)
    assert flush(outbox, jabber) == [("done", "sent")]
    stanzas.checked_bytes(jabber.sent[0])


def test_the_package_imports_the_outbox_when_it_is_named_and_knows_no_other_name() -> None:
    assert comms.xmpp.Outbox is Outbox and "Outbox" in comms.xmpp.__all__
    with pytest.raises(AttributeError, match="has no attribute 'Outbocks'"):
        comms.xmpp.Outbocks  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("address", ["", "@", "a b@x.test", "x" * 5000])
def test_an_impossible_address_in_a_damaged_file_is_given_up(state: State, address: str) -> None:
    outbox, jabber = Outbox(state), Jabber()
    put(outbox, "first", answer=True)
    with state.transaction() as db:
        db.execute("UPDATE xmpp_outbox SET address = ?", (address,))
    put(outbox, "second", answer=True)
    assert flush(outbox, jabber) == [("first", "given-up"), ("second", "sent")]

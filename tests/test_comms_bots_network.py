"""What every network has: texts that can be said, who is addressed, answers that wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from comms.bots.network import KEPT, Heard, Network, Result, Trust, addressed, printable, shortened
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.state import State
from tests.linenet import LineNetwork


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(tmp_path / "bot.sqlite3") as state:
        yield state


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te"),
        ("\x07be\x00ll\x1b[31m", "bell[31m"),
        ("\u202eevil\u2066", "evil"),
        ("\ud800caf\u00e9", "caf\u00e9"),
    ],
)
def test_a_text_has_no_control_characters(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_text_that_is_too_long_says_how_much_is_missing() -> None:
    assert shortened("a" * 40, 40) == "a" * 40
    short = shortened("a" * 10_000, 40)
    assert len(short) <= 42 and short.startswith("aaa") and short.endswith("characters more)")


def said(text: str, room: str) -> Heard:
    return Heard(LineNetwork(), "ann", "ann", text, {}, room=room)


@pytest.mark.parametrize(
    ("text", "room", "meant"),
    [
        ("uptime", "", "uptime"),
        ("bot: uptime", "", "uptime"),
        ("uptime", "#ops", None),
        ("bot: uptime", "#ops", "uptime"),
        ("Bot,uptime", "#ops", "uptime"),
        ("@bot: uptime", "#ops", "uptime"),
        ("bot uptime is low", "#ops", None),
        ("bottle: uptime", "#ops", None),
        ("api str.split", "#ops", "api str.split"),
        ("  API str.split", "#ops", "API str.split"),
        ("rapid", "#ops", None),
        ("ann: bot: uptime", "#ops", None),
        ("", "#ops", None),
    ],
)
def test_in_a_room_only_what_begins_with_our_name_is_for_us(
    text: str, room: str, meant: str | None
) -> None:
    assert addressed(said(text, room), ["api "]) == meant


def test_who_has_no_account_is_trusted_by_nobody() -> None:
    assert said("x", "").trust == Trust.ACCOUNT
    assert Heard(LineNetwork(), "", "ann", "x", {}).trust == Trust.NOBODY
    assert Trust.NOBODY < Trust.SECRET < Trust.ACCOUNT


def test_a_network_without_an_account_hears_nothing() -> None:
    network = Network()
    assert list(network.heard()) == [] and not network.present("ann")
    assert network.normalize("Ann") == "ann"
    with pytest.raises(NotImplementedError):
        network.say({}, "hello")


# ── answers that wait ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "first", "second"),
    [
        (Unreachable("gone"), [], [Result("ann", "sent")]),
        (TryLater("too fast"), [], [Result("ann", "sent")]),
        (Unknown("lost"), [Result("ann", "unknown", "lost")], []),
        (Refused("no such user"), [Result("ann", "given-up", "no such user")], []),
    ],
)
def test_an_answer_is_said_again_only_if_it_was_not_said(
    state: State, error: CommsError, first: list[Result], second: list[Result]
) -> None:
    network = LineNetwork(state=state)
    network.failures["say"].append(error)
    network.put({"to": "ann"}, "done", 100.0)
    assert network.flush(101.0) == first
    assert network.flush(102.0) == second
    assert network.flush(103.0) == []
    assert network.said == ([("ann", "done")] if second else [])


def test_answers_are_said_in_their_order_and_each_network_says_its_own(state: State) -> None:
    one, other = LineNetwork("one", state), LineNetwork("other", state)
    for text in ("first", "second"):
        one.put({"to": "ann"}, text, 100.0)
    one.failures["say"].append(Unreachable("gone"))
    assert one.flush(101.0) == [] and other.flush(101.0) == []
    one.flush(102.0)
    assert (one.said, other.said) == ([("ann", "first"), ("ann", "second")], [])


def test_an_answer_that_was_being_said_when_the_program_died_is_not_said_again(
    state: State,
) -> None:
    class Dies(BaseException):
        pass

    network = LineNetwork(state=state)
    network.put({"to": "ann"}, "done", 100.0)
    network.failures["say"].append(Dies())  # type: ignore[arg-type]
    with pytest.raises(Dies):
        network.flush(101.0)
    again = LineNetwork(state=state)
    assert again.flush(102.0) == [] and again.said == []


def test_an_answer_that_nobody_waits_for_any_more_is_given_up(state: State) -> None:
    network = LineNetwork(state=state)
    network.put({"to": "ann"}, "done", 100.0)
    [result] = network.flush(101.0 + KEPT)
    assert (result.status, network.said) == ("given-up", [])

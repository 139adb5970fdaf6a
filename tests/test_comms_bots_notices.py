"""Notices: said once, to who is online, and each outcome settled with what follows from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comms.bots.company import Company
from comms.bots.notices import LISTED, RETURNS, Notice, Notices, Outcome
from comms.clock import RealClock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.state import State
from tests.linenet import LineNetwork
from tests.scripted import RecordingHost


class Line(LineNetwork):
    """A network on which Ann is online, and what is said has an id, by which it may come back."""

    def __init__(self, *online: str) -> None:
        super().__init__()
        self.online, self.back = {*online}, list[tuple[str, str, CommsError]]()

    def say(self, to: Any, text: str) -> str:
        super().say(to, text)
        return f"id-{len(self.said)}"

    def present(self, who: str) -> bool:
        if not who:
            raise ValueError("'' is not a screen name")
        return who in self.online

    def returned(self) -> list[tuple[str, str, CommsError]]:
        found, self.back = self.back, []
        return found


class Desk:
    """One network, and the outcomes that were settled."""

    def __init__(self, folder: Path, *online: str) -> None:
        self.state = State(folder / "bot.sqlite3")
        self.outcomes: list[tuple[str, Outcome, str]] = []
        self.line = Line(*online)
        self.notices = Notices(self.state, self.settle)
        self.clock = RealClock()
        self.company = Company([self.line], self.clock, RecordingHost())
        self.company.__enter__()

    def settle(self, db: sqlite3.Connection, notice: Notice, outcome: Outcome, error: str) -> None:
        assert db.in_transaction
        self.outcomes.append((notice.about, outcome, error))

    def put(self, text: str = "hello", about: str = "a") -> None:
        with self.state.transaction() as db:
            self.notices.put("line", "ann", text, about, 100.0, db)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, "ann")
    yield desk
    desk.state.close()
    desk.clock.close()


@pytest.mark.parametrize(
    ("error", "first", "second"),
    [
        (None, [("a", "said", "")], []),
        (Unreachable("gone"), [], [("a", "said", "")]),
        (TryLater("too fast"), [], [("a", "said", "")]),
        (Unknown("lost"), [("a", "unknown", "lost")], []),
        (Refused("no such user"), [("a", "refused", "no such user")], []),
    ],
)
def test_a_notice_is_said_again_only_if_it_was_not_said(
    desk: Desk, error: CommsError | None, first: list[Any], second: list[Any]
) -> None:
    desk.line.failures["say"] += [error] if error else []
    desk.put()
    desk.notices.flush(desk.company, 101.0)
    assert desk.outcomes == first
    for now in (102.0, 103.0):
        desk.notices.flush(desk.company, now)
    assert desk.outcomes == first + second
    assert len(desk.notices.unknown()) == isinstance(error, Unknown)


def test_nothing_is_said_to_who_is_not_there_any_more(desk: Desk) -> None:
    desk.line.online.clear()
    desk.put()
    desk.notices.flush(desk.company, 101.0)
    assert desk.outcomes == [("a", "absent", "nobody is online there")] and desk.line.said == []


def test_who_cannot_be_looked_for_is_not_there(desk: Desk) -> None:
    with desk.state.transaction() as db:
        desk.notices.put("line", "", "hello", "a", 100.0, db)
    desk.notices.flush(desk.company, 101.0)
    assert [outcome for _, outcome, _ in desk.outcomes] == ["absent"]


def test_a_network_that_the_settings_do_not_have_any_more_is_one_where_nobody_is(
    desk: Desk,
) -> None:
    with desk.state.transaction() as db:
        desk.notices.put("other", "ann", "hello", "a", 100.0, db)
    desk.notices.flush(desk.company, 101.0)
    assert [outcome for _, outcome, _ in desk.outcomes] == ["absent"]


@pytest.mark.parametrize(
    ("id", "sender", "error", "now", "outcome"),
    [
        ("id-1", "ann", Refused("gone"), 102.0, "returned"),
        ("id-1", "ann", Unknown("unacknowledged"), 102.0, "unknown"),
        ("id-2", "ann", Refused("gone"), 102.0, None),
        ("", "ann", Refused("gone"), 102.0, None),
        ("id-1", "mallory", Refused("gone"), 102.0, None),
        ("id-1", "", Refused("gone"), 102.0, None),
    ],
)
def test_only_what_the_receiver_returns_has_come_back(
    desk: Desk, id: str, sender: str, error: CommsError, now: float, outcome: str | None
) -> None:
    desk.put()
    desk.notices.flush(desk.company, 101.0)
    desk.line.back = [(id, sender, error)] * 2
    desk.notices.flush(desk.company, now)
    wanted = ["said"] if outcome is None else ["said", outcome]
    assert [kind for _, kind, _ in desk.outcomes] == wanted


def test_what_was_said_long_ago_is_forgotten(desk: Desk) -> None:
    desk.put()
    desk.notices.flush(desk.company, 101.0)
    desk.line.failures["say"].append(Unknown("lost"))
    desk.put()
    desk.notices.flush(desk.company, 101.0)
    desk.notices.flush(desk.company, 102.0 + RETURNS)
    assert desk.state.rows("SELECT status FROM bot_notice") == [("unknown",)]
    desk.notices.flush(desk.company, 102.0 + LISTED)
    assert desk.state.rows("SELECT status FROM bot_notice") == []


def test_what_was_being_said_when_the_program_died_is_in_doubt(desk: Desk) -> None:
    class Dies(BaseException):
        """Ends the program."""

    def dies(to: Any, text: str) -> str:
        raise Dies

    desk.line.say = dies  # type: ignore[method-assign]
    desk.put()
    with pytest.raises(Dies):
        desk.notices.flush(desk.company, 101.0)
    assert desk.outcomes == []
    again = Notices(desk.state, desk.settle)
    again.recover(200.0)
    again.recover(201.0)
    assert [outcome for _, outcome, _ in desk.outcomes] == ["unknown"]
    assert [notice.text for notice in again.unknown()] == ["hello"]


def test_an_outcome_is_not_stored_without_what_follows_from_it(desk: Desk) -> None:
    def fails(*_: object) -> None:
        raise ValueError("no disk")

    desk.put()
    with pytest.raises(ValueError, match="no disk"):
        Notices(desk.state, fails).flush(desk.company, 101.0)
    desk.notices.recover(102.0)
    assert [outcome for _, outcome, _ in desk.outcomes] == ["unknown"], "it was said"


def test_a_notice_that_is_too_long_is_cut(desk: Desk) -> None:
    desk.put("x" * 10_000)
    desk.notices.flush(desk.company, 101.0)
    ((_, text),) = desk.line.said
    assert len(text) <= desk.line.longest and text.endswith("characters more)")

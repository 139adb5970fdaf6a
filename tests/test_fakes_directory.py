"""The accounts and sessions of a chat server, without any protocol."""

from __future__ import annotations

import pytest

from fakes.directory import Accounts, Sessions


def test_a_name_has_one_account_in_any_spelling() -> None:
    accounts: Accounts[str] = Accounts(str.lower)
    accounts.add("Alice", "account")
    assert accounts.find("ALICE") == "account"
    assert accounts.find("bob") is None
    assert (list(accounts), len(accounts)) == (["account"], 1)
    with pytest.raises(ValueError, match="alice is in this world twice"):
        accounts.add("alice", "another")


def test_a_name_may_have_several_sessions_oldest_first() -> None:
    sessions: Sessions[int] = Sessions(str.lower)
    sessions.enter("Alice", 1)
    sessions.enter("bob", 2)
    sessions.enter("alice", 3)
    assert sessions.of("ALICE") == [1, 3]
    assert (list(sessions), len(sessions)) == ([1, 3, 2], 3)
    assert sessions.leave("alice", 1)
    assert not sessions.leave("alice", 1)
    assert sessions.leave("alice", 3)
    assert (sessions.of("alice"), list(sessions)) == ([], [2])


def test_sessions_may_leave_during_an_iteration() -> None:
    sessions: Sessions[int] = Sessions(str)
    for number in range(4):
        sessions.enter(f"name {number // 2}", number)
    seen = []
    for number in sessions:
        seen.append(number)
        sessions.leave("name 0", 1)
        sessions.leave("name 1", 2)
    assert seen == [0, 1, 2, 3]

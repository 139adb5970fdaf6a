"""The state file: transactions, memory, one owner, and errors that name the file."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from comms.errors import StateError
from comms.ledger import Ledger
from comms.state import State


def open_connections() -> list[sqlite3.Connection]:
    """Returns the sqlite3 connections of this process that have not been closed."""
    found = []
    for value in gc.get_objects():
        if type(value) is sqlite3.Connection:  # isinstance is slow for a million objects
            with contextlib.suppress(sqlite3.ProgrammingError):
                value.total_changes  # noqa: B018
                found.append(value)
    return found


def test_a_transaction_happens_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state:
        with state.transaction() as db:
            state.remember(db, "kept", 1)
        with pytest.raises(ZeroDivisionError), state.transaction() as db:
            state.remember(db, "lost", 1)
            raise ZeroDivisionError
        assert (state.recall("kept"), state.recall("lost")) == (1, None)


def test_remembered_values_survive_the_program_and_are_replaced(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state, state.transaction() as db:
        state.remember(db, "key", {"list": [1, None, "ä"]})
    with State(tmp_path / "s") as state:
        assert state.recall("key") == {"list": [1, None, "ä"]}
        with state.transaction() as db:
            state.remember(db, "key", None)
        assert state.recall("key") is None and state.recall("unknown key") is None


def test_an_sql_error_becomes_a_state_error_that_names_the_file(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state:
        with pytest.raises(StateError, match=r"s: no such table: nowhere"):
            state.rows("SELECT * FROM nowhere")
        with pytest.raises(StateError, match=r"s: no such table: nowhere"):
            with state.transaction() as db:
                db.execute("INSERT INTO nowhere VALUES (1)")
        with state.transaction() as db:
            state.remember(db, "key", "the state can still be used")


def test_only_one_instance_can_lock_a_state_file_until_it_closes(tmp_path: Path) -> None:
    first, second = State(tmp_path / "s"), State(tmp_path / "s")
    first.lock()
    with pytest.raises(StateError, match="another instance is at work on it"):
        second.lock()
    first.close()
    second.lock()
    second.close()


def damage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)


def write_text(path: Path) -> None:
    path.write_text("not a database at all")


def write_newer_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("spoil", [damage, write_text])
def test_a_damaged_state_file_is_an_error_that_names_it(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    spoil(tmp_path / "s")
    with pytest.raises(StateError, match="cannot be used") as caught:
        State(tmp_path / "s")
    assert caught.value.exit_code == 5 and str(tmp_path / "s") in str(caught.value)


def test_the_state_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    write_newer_version(tmp_path / "s")
    with pytest.raises(StateError, match="newer version"):
        State(tmp_path / "s")


def test_a_directory_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"none/s: .*cannot be used"):
        State(tmp_path / "none" / "s")


def test_only_a_file_that_is_damaged_is_to_be_moved_away(tmp_path: Path) -> None:
    write_text(tmp_path / "s")
    with pytest.raises(StateError, match="not a database; move the file away to start afresh"):
        State(tmp_path / "s")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StateError, match=r"unable to open .*; mend that, or write another path"):
        State(tmp_path / "folder")


def test_a_file_that_another_program_has_locked_is_not_to_be_moved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comms.state.BUSY", 0)
    with contextlib.closing(sqlite3.connect(tmp_path / "s")) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateError, match="locked; end the other program that uses it"):
            State(tmp_path / "s")


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_new_file_is_for_its_owner_only_and_others_keep_their_mode(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o640)
    for name, mode in (("new", 0o600), ("old", 0o640)):
        State(tmp_path / name).close()
        assert (tmp_path / name).stat().st_mode & 0o777 == mode


def test_a_lock_that_cannot_be_created_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "s.lock").mkdir()
    with State(tmp_path / "s") as state:
        with pytest.raises(StateError, match=r"\.lock: unable to open .*; write another path"):
            state.lock()


@pytest.mark.parametrize("spoil", [damage, write_text, write_newer_version])
def test_a_state_file_that_cannot_be_used_is_not_kept_open(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    spoil(tmp_path / "s")
    before = open_connections()
    with pytest.raises(StateError) as caught:
        State(tmp_path / "s")
    assert caught.value
    assert [connection for connection in open_connections() if connection not in before] == []


# ── the same file under another name ─────────────────────────────────────────


def symlink(path: Path) -> Path:
    other = path.with_name("link")
    other.symlink_to(path)
    return other


def chain(path: Path) -> Path:
    other = path.with_name("chain")
    other.symlink_to(symlink(path))
    return other


def folder_link(path: Path) -> Path:
    folder = path.parent.with_name(path.parent.name + "-link")
    folder.symlink_to(path.parent)
    return folder / path.name


def dots(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


def hard_link(path: Path) -> Path:
    other = path.with_name("hard")
    other.hardlink_to(path)
    return other


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


@pytest.mark.parametrize("name", [symlink, chain, folder_link, dots, hard_link, relative])
@pytest.mark.parametrize("other_first", [False, True])
def test_a_state_file_has_one_owner_whatever_it_is_called(
    tmp_path: Path, name: Callable[[Path], Path], other_first: bool
) -> None:
    State(tmp_path / "s").close()
    other = name(tmp_path / "s")
    paths = [other, tmp_path / "s"] if other_first else [tmp_path / "s", other]
    first, second = State(paths[0]), State(paths[1])
    first.lock()
    with pytest.raises(StateError, match="another instance is at work on it"):
        second.lock()
    first.close()
    second.lock()
    second.close()


# ── damage ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", ["", "{", "[" * 100_000, "nul", "'x'"])
def test_a_damaged_value_is_an_error_of_the_state(tmp_path: Path, value: str) -> None:
    with State(tmp_path / "s") as state:
        with state.transaction() as db:
            db.execute("INSERT INTO memory VALUES ('key', ?)", (value,))
        with pytest.raises(StateError, match="damaged"):
            state.recall("key")


@pytest.mark.parametrize(
    ("value", "like"),
    [
        (5, {}),
        ([1], {}),
        ("x", {}),
        ({"count": "x"}, {"count": 0}),
        ({"count": True}, {"count": 0}),
        ({"changes": 5}, {"changes": [0.0]}),
        ({"changes": ["x"]}, {"changes": [0.0]}),
        (True, [""]),
        ([5], [""]),
        (1e308, 0.0),
        (-1, 0.0),
        (float("nan"), 0.0),
    ],
)
def test_a_value_of_another_type_is_an_error_of_the_state(
    tmp_path: Path, value: object, like: object
) -> None:
    with State(tmp_path / "s") as state:
        with state.transaction() as db:
            state.remember(db, "key", value)
        assert state.recall("key") is not None
        with pytest.raises(StateError, match="another type than expected; restore a copy"):
            state.recall("key", like)


def test_a_value_of_the_right_type_is_returned(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state:
        assert state.recall("key", {"count": 0}) is None
        value = {"since": 5, "changes": [1.5], "other": None}
        with state.transaction() as db:
            state.remember(db, "key", value)
        assert state.recall("key", {"since": 0.0, "changes": [0.0], "count": 0}) == value


@pytest.mark.parametrize("damage", ["x", "null", "[1]", "5", "true", '"x"'])
@pytest.mark.parametrize("column", ["facts", "outcome", "intended"])
def test_a_damaged_ledger_is_an_error_of_the_state(
    tmp_path: Path, column: str, damage: str
) -> None:
    if (column, damage) == ("intended", "5"):
        return
    with State(tmp_path / "s") as state:
        ledger = Ledger(state)
        with state.transaction() as db:
            ledger.intend(db, ["key"], "t", "what", {}, 1.0)
            db.execute(f"UPDATE ledger SET {column} = ?", (damage,))
        with pytest.raises(StateError, match="damaged"):
            ledger.find("key")


def test_a_file_that_is_damaged_while_it_is_open_is_an_error_of_the_state(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state:
        with state.transaction() as db:
            for number in range(2000):
                state.remember(db, f"key {number}", "x" * 100)
    raw = bytearray((tmp_path / "s").read_bytes())
    raw[8192:] = os.urandom(len(raw) - 8192)
    (tmp_path / "s").write_bytes(raw)
    with pytest.raises(StateError), State(tmp_path / "s") as state:
        with state.transaction() as db:
            for number in range(2000):
                state.remember(db, f"key {number}", "y")


def test_an_error_of_the_block_is_not_replaced_by_one_of_the_rollback(tmp_path: Path) -> None:
    with State(tmp_path / "s") as state, pytest.raises(ZeroDivisionError):
        with state.transaction() as db:
            db.execute("ROLLBACK")  # as a full disk does
            raise ZeroDivisionError


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(StateError, match=r"no file can have this name: .*; write another path"):
        State(Path(name))

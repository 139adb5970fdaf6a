"""Rows that workers process: each once, whoever dies."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import DeclarativeBase

from comms.errors import StateError
from scenarios.models import Job, Tries, TryColumns, Worker, connect, shown, url_problem, working


class Base(DeclarativeBase):
    """The tables of these tests."""


class Task(Job, Base):
    """Something to be done once."""

    __tablename__ = "task"


class Try(TryColumns, Base):
    """Attempts."""

    __tablename__ = "try"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine at which nobody answers."""
    with socket.socket() as taken:  # bound but not listening, so that nobody else gets it
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = connect("sqlite:///tasks.sqlite3", lambda name: tmp_path / name, Base.metadata)
    yield found
    found.dispose()


def add(worker: Worker, *dues: float) -> None:
    with worker.session() as db, db.begin():
        db.add_all(Task(due=due) for due in dues)


def statuses(worker: Worker) -> list[str]:
    with worker.session() as db:
        return [task.status for task in db.query(Task).order_by(Task.due)]


def test_rows_are_claimed_in_the_order_in_which_they_are_due(engine: Engine) -> None:
    with Worker(engine) as worker:
        add(worker, 30, 10, 20)
        claimed = [worker.claim(Task, 25) for _ in range(3)]
    assert [task.due for task in claimed if task] == [10, 20] and claimed[2] is None


def test_what_became_of_a_row_is_stored_with_the_next_claim(engine: Engine) -> None:
    with Worker(engine) as worker:
        add(worker, 1, 2)
        first = worker.claim(Task, 9)
        assert first is not None
        first.status = "sent"
        second = worker.claim(Task, 9, done=first)
        assert second is not None
        second.status, second.error = "refused", "550 no"
        worker.store(second)
        with worker.session() as db:
            found = [(task.status, task.tries, task.error) for task in db.query(Task)]
    assert found == [("sent", 1, ""), ("refused", 1, "550 no")]


def test_what_a_dead_worker_was_doing_is_settled_by_the_next_one(engine: Engine) -> None:
    with Worker(engine) as worker:
        add(worker, 1, 2)
        worker.claim(Task, 9)
    with Worker(engine) as worker:
        assert worker.recover(Task, "unknown") == 1
        assert worker.recover(Task, "unknown") == 0
        assert statuses(worker) == ["unknown", "waiting"]


def test_rows_taken_ahead_and_not_begun_were_never_worked_on(engine: Engine) -> None:
    with Worker(engine) as worker:
        add(worker, 1, 2, 3)
        worker.claim(Task, 9, ahead=2)
        assert statuses(worker) == ["working", "taken", "waiting"]
    with Worker(engine) as worker:
        assert worker.recover(Task, "unknown") == 1
        assert statuses(worker) == ["unknown", "waiting", "waiting"]


def test_rows_taken_ahead_are_released_for_others(engine: Engine) -> None:
    with Worker(engine) as worker:
        add(worker, 1, 2, 3)
        first = worker.claim(Task, 9, ahead=3)
        worker.release(Task)
        assert statuses(worker) == ["working", "waiting", "waiting"]
        second = worker.claim(Task, 9, done=first, ahead=3)
    assert second is not None and second.due == 2


def test_a_row_taken_ahead_that_was_settled_meanwhile_is_passed_over(engine: Engine) -> None:
    with Worker(engine) as worker:
        add(worker, 1, 2, 3)
        first = worker.claim(Task, 9, ahead=3)
        with worker.session() as db, db.begin():
            db.query(Task).filter(Task.due == 2).update({"status": "suppressed"})
        second = worker.claim(Task, 9, done=first, ahead=3)
        assert second is not None and second.due == 3
        assert statuses(worker) == ["working", "suppressed", "working"]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_a_new_sqlite_file_is_for_its_owner_only(engine: Engine, tmp_path: Path) -> None:
    with Worker(engine) as worker:
        add(worker, 1)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert len(modes) > 1 and {*modes.values()} == {0o600}, modes


def test_a_connection_that_the_server_has_ended_is_not_used_again(engine: Engine) -> None:
    with engine.connect() as db:
        ended: Any = db.connection.dbapi_connection
    ended.close()  # as a server that is restarted does
    with engine.connect() as db:
        assert db.scalar(text("SELECT 7")) == 7


def test_a_second_worker_on_sqlite_is_refused(engine: Engine) -> None:
    with Worker(engine):
        with pytest.raises(StateError, match=r"tasks\.sqlite3: another instance is at work on it"):
            Worker(engine)
    with Worker(engine) as worker:
        assert worker.number == 1


def test_tries_are_counted_until_they_end(engine: Engine) -> None:
    tries = Tries(engine, Try)
    tries.begin_attempt("a")
    tries.begin_attempt("a")
    tries.begin_attempt("b")
    assert (tries.attempts("a"), tries.attempts("b"), tries.attempts("c")) == (2, 1, 0)
    tries.end_attempt("a")
    assert tries.attempts("a") == 0


def test_a_database_that_cannot_be_reached_is_an_error_in_one_line(closed_port: int) -> None:
    url = f"postgresql+psycopg://shop:secret@127.0.0.1:{closed_port}/shop"
    with pytest.raises(StateError, match=r"shop:\*\*\*@127.*connection failed") as caught:
        with working(url, Path, Base.metadata):
            pass
    assert len(str(caught.value).splitlines()) == 1 and "secret" not in str(caught.value)


def test_a_database_of_another_version_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "tasks.sqlite3") as db:
        db.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, due FLOAT, status TEXT, old TEXT)")
    db.close()
    words = r"^sqlite:///tasks\.sqlite3: table task has no column error, .*; name a new database$"
    with (
        pytest.raises(StateError, match=words),
        working("sqlite:///tasks.sqlite3", tmp_path.joinpath, Base.metadata),
    ):
        pass


def test_what_the_database_refuses_is_an_error(tmp_path: Path) -> None:
    url = "sqlite:///tasks.sqlite3"
    with pytest.raises(StateError, match=r"tasks\.sqlite3: no such table: absent"):
        with working(url, lambda name: tmp_path / name, Base.metadata) as worker:
            with worker.session() as db:
                db.execute(text("SELECT * FROM absent"))
    with working(url, lambda name: tmp_path / name, Base.metadata) as worker:
        assert worker.number == 1, "the one before has let it go"


def test_a_password_is_not_shown() -> None:
    assert shown("postgresql://shop:secret@db/shop") == "postgresql://shop:***@db/shop"
    assert shown("postgresql://db/shop?user=shop&password=secret") == "postgresql://db/shop"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql+psycopg://db:secret/shop", "it is not the URL of a database"),
        ("postgresql+psycopg://shop:a@secret@db/shop", "it has two @; write %40"),
        ("postgresql+psycopg://shop:a%40secret@db/shop", ""),
        ("sqlite:////home/a@b@c/shop.sqlite3", ""),
        ("sqlite://tickets.sqlite3", "it is not the URL of a database"),
        ("sqlite:///tickets.sqlite3?timeout=abc", "it is not the URL of a database"),
        ("sqlite:///tickets\0.sqlite3", "it has a NUL"),
        ("postgresql+psycopg://shop:secret@db/shop?connect_timeout=5", ""),
        ("oracle://shop:secret@db/shop", ""),
    ],
)
def test_a_wrong_url_is_named_and_not_shown(url: str, problem: str) -> None:
    found = url_problem(url)
    assert found.startswith(problem) and "secret" not in found

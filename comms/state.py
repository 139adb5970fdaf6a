"""What a program must remember, in one SQLite file.

    with State(path) as state:
        with state.transaction() as db:
            db.execute(…)

The ledger and the outboxes are tables of the same file, so that what belongs together, such as "the
command has run" and "its receipt is waiting", commits in one transaction.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from comms.errors import StateError
from comms.lock import Lock, make_private

LATEST = 253_402_300_800  # seconds since the epoch of the year 10000, which no date can show
BUSY = 5.0  # seconds that a writer waits for another one's transaction


class State:
    """An open state file.

    Raises StateError if it cannot be opened, is damaged, or was written by a newer version.
    """

    VERSION = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: Lock | None = None
        make_private(path)
        try:
            self._db = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        except ValueError as error:  # NUL, or a character that no file name can have
            raise StateError(
                f"{str(path)!r}: no file can have this name: {error}; write another path"
            ) from None
        try:
            self._prepare()
        except BaseException:
            # The caller never gets this object, so nobody else could close the connection.
            self._db.close()
            raise

    def _prepare(self) -> None:
        try:
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS memory (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
            )
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.execute(f"PRAGMA user_version = {self.VERSION}")
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        if version > self.VERSION:
            raise StateError(
                f"{self.path}: written by a newer version of this program "
                f"({version}, this is {self.VERSION}); update the program"
            )

    def _unusable(self, error: sqlite3.Error) -> StateError:
        remedy = "mend that, or write another path"
        if type(error) is sqlite3.DatabaseError:  # not one of SQLite's files, or a damaged one
            remedy = "move the file away to start afresh"
        elif error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            remedy = "end the other program that uses it"
        return StateError(f"{self.path}: cannot be used as state: {error}; {remedy}")

    def __enter__(self) -> State:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and releases the lock."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def lock(self) -> None:
        """Makes this the only instance that works on the file, until it closes or dies.

        Raises StateError if another instance has the lock.
        """
        self._lock = Lock(self.path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Runs the block in a transaction: everything takes effect, or nothing.

        Raises StateError.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._roll_back()
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StateError(f"{self.path}: {error}") from None

    def _roll_back(self) -> None:
        """Ends a transaction without effect.

        A full disk may have ended it already, and a COMMIT that fails leaves it open. On a damaged
        file even this fails; then the next transaction says so.
        """
        with contextlib.suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def recall(self, key: str, like: Any = None) -> Any:
        """Returns what was remembered under a key, None if nothing was.

        Raises StateError, also if it does not have the types of `like`.
        """
        found = self.rows("SELECT value FROM memory WHERE key = ?", key)
        value = self.value(found[0][0]) if found else None
        if value is not None and like is not None and not _has_types(value, like):
            raise self._damaged(f"{key!r} has another type than expected")
        return value

    def value(self, text: object, like: Any = None) -> Any:
        """Returns a stored JSON value. Raises StateError if it is damaged.

        It also is if it does not have the types of `like`, such as `{}` or `0.0`.
        """
        try:
            value = json.loads(str(text))
        except (ValueError, RecursionError) as error:
            raise self._damaged(str(error)) from None
        if like is not None and not _has_types(value, like):
            raise self._damaged(f"{str(text)[:100]!r} has another type than expected")
        return value

    def _damaged(self, problem: str) -> StateError:
        return StateError(
            f"{self.path}: a stored value is damaged: {problem}; "
            "restore a copy of the file, or move it away to start afresh"
        )

    def remember(self, db: sqlite3.Connection, key: str, value: Any) -> None:
        """Stores a JSON value under a key, in an open transaction; None removes the key."""
        if value is None:
            db.execute("DELETE FROM memory WHERE key = ?", (key,))
            return
        db.execute(
            "INSERT OR REPLACE INTO memory (key, value) VALUES (?, ?)", (key, json.dumps(value))
        )

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Returns the rows of a query. Raises StateError."""
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: {error}") from None


def _has_types(value: Any, like: Any) -> bool:
    """Returns whether a JSON value has the types of an example, and the numbers are possible.

    A key of the example need not be there. The items of a list are like its first one.
    """
    if isinstance(like, dict):
        return isinstance(value, dict) and all(
            _has_types(value[key], item) for key, item in like.items() if key in value
        )
    if isinstance(like, list):
        return isinstance(value, list) and all(_has_types(item, like[0]) for item in value)
    if isinstance(like, float):  # a time, in most cases
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and 0 <= value < LATEST
    return type(value) is type(like)

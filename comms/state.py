"""What a program must not forget, in one sqlite3 file. `ledger` and `outbox` are tables of it, so that what belongs
together commits together.

    with State(path) as state:
        with state.transaction() as db:
            db.execute(…)
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

BUSY = 5.0  # seconds that a writer waits for another's transaction


class State:
    """An open state file. Raises StateError when it cannot be opened, is damaged, or is of a newer version."""

    VERSION = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: sqlite3.Connection | None = None
        try:
            self._db = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            self._prepare()
        except BaseException:
            # Nobody gets this object, so nobody else could close the connection.
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
                f"{self.path}: was written by a newer version ({version}, this one knows {self.VERSION})"
            )

    def _unusable(self, error: sqlite3.Error) -> StateError:
        return StateError(
            f"{self.path}: the state cannot be used: {error}; move the file away to begin anew"
        )

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
        """Closes the file, and gives up sole ownership."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def lock(self) -> None:
        """Makes this the only instance at work on the file, until it closes or dies. Raises StateError if another is."""
        lock = sqlite3.connect(f"{self.path}.lock", timeout=0, isolation_level=None)
        try:
            lock.execute("BEGIN EXCLUSIVE")  # held by the connection: a crash releases it
        except sqlite3.Error as error:
            lock.close()
            raise StateError(f"{self.path}: another instance is at work on it ({error})") from None
        self._lock = lock

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it happens, or nothing. Raises StateError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise StateError(f"{self.path}: {error}") from None

    def recall(self, key: str) -> Any:
        """What was remembered under a key, None when nothing was. Raises StateError."""
        found = self.rows("SELECT value FROM memory WHERE key = ?", key)
        return json.loads(str(found[0][0])) if found else None

    def remember(self, db: sqlite3.Connection, key: str, value: Any) -> None:
        """Keeps a JSON value under a key, in an open transaction."""
        db.execute(
            "INSERT OR REPLACE INTO memory (key, value) VALUES (?, ?)", (key, json.dumps(value))
        )

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Reads. Raises StateError."""
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StateError(f"{self.path}: {error}") from None

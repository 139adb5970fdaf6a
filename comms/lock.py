"""A lock on a file, so that only one instance of a program works on it.

    with Lock(path):
        ...

The system releases it when the process dies, so that a lock is never left over.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import types
from pathlib import Path

from comms.errors import StateError


def make_private(path: Path) -> None:
    """Makes a database that does not exist yet, for its owner only.

    Others could read the keys in it, or lock it. What is wrong with the path, SQLite says later.
    """
    if str(path) != ":memory:":
        with contextlib.suppress(OSError, ValueError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


class Lock:
    """The lock on a file, held until it is closed or the process dies.

    The path may be a link: what is locked is the file that it leads to, under all its names.
    Raises StateError if another instance has the lock.
    """

    def __init__(self, path: Path) -> None:
        place = f"{os.path.realpath(path)}.lock"
        make_private(Path(place))
        try:
            lock = sqlite3.connect(place, timeout=0, isolation_level=None)
        except sqlite3.Error as error:
            raise StateError(f"{place}: {error}; write another path for the state") from None
        try:
            # The open transaction is the lock. If the process dies, the system releases it.
            lock.execute("BEGIN EXCLUSIVE")
            self._file = _locked(path)
        except (sqlite3.Error, OSError) as error:
            lock.close()
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if busy or isinstance(error, BlockingIOError):
                raise StateError(f"{path}: another instance is at work on it ({error})") from None
            raise StateError(f"{place}: {error}; remove this file") from None
        self._lock = lock

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Releases the lock.

        Connections of this process to the file must be closed before: closing any descriptor of a
        file releases SQLite's own locks on it.
        """
        self._lock.close()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _locked(path: Path) -> int | None:
    """Locks the file itself, whatever its names are. Returns its descriptor; None without locks.

    This is `flock`, which does not disturb the locks of SQLite. Raises OSError if another instance
    has the lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise
    except OSError:  # a file system without such locks
        os.close(file)
        return None
    return file

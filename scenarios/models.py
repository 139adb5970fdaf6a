"""Databases of programs: how they are opened, and rows that workers process (SQLAlchemy).

    with working("sqlite:///shop.sqlite3", settings.path, Base.metadata) as worker:
        worker.recover(Notice, "unknown")
        while (notice := worker.claim(Notice, now)) is not None:
            ...                                  # send it
            notice.status = "sent"
            worker.store(notice)

A row is marked before the work on it begins, and settled afterwards. If a worker dies in between,
the mark says so, and the next worker decides what that means. On PostgreSQL several workers share
the rows; on SQLite there is one, and a second one is refused.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Engine,
    MetaData,
    Update,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    inspect,
    make_url,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, StatementError
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

from comms.errors import StateError
from comms.lock import Lock, make_private
from comms.setting_types import Check
from comms.words import one_line

WORKERS = 1000  # at most, on one database
ADVISORY = 0x6D61696C  # the class of our locks in PostgreSQL; any number that no other program uses

# ── opening a database ───────────────────────────────────────────────────────


def url_problem(url: str) -> str:
    """Returns why SQLAlchemy cannot open the database of a URL, or "". It quotes nothing of it."""
    try:
        dialect = make_url(url).get_dialect()
        dialect.import_dbapi()
        # TypeError: what a dialect makes of an option that it does not know
        dialect().create_connect_args(make_url(url))
    except (ArgumentError, TypeError, ValueError):  # ValueError: a number is none
        return "it is not the URL of a database that SQLAlchemy can open"
    except ImportError as error:
        return f"its driver is not installed: {error}"
    if "\0" in url:
        return "it has a NUL character"
    if dialect.name != "sqlite" and url.partition("?")[0].count("@") > 1:
        # Otherwise the rest of the password would be taken for the host, and shown.
        return "it has two @; write %40 for one in the password"
    return ""


def _no_database(url: str) -> str:
    """Returns why no database can be opened at this URL, or ""."""
    name = "" if (problem := url_problem(url)) else make_url(url).get_backend_name()
    return problem or ("" if name in ("sqlite", "postgresql") else f"{name} has not been tried")


DatabaseUrl = Annotated[str, Check(_no_database, '"sqlite:///shop.sqlite3"')]


def shown(url: str) -> str:
    """Returns a database URL without its password, and what is after `?`: it may be there, too."""
    return make_url(url).set(query={}).render_as_string(hide_password=True)


def connect(url: str, path: Callable[[str], Path], tables: MetaData) -> Engine:
    """Opens a database, and creates the tables if there are none.

    `path` makes a relative SQLite file absolute. The caller disposes of the engine. Raises
    StateError if a table is one of another version.
    """
    where = make_url(url)
    is_sqlite = where.get_backend_name() == "sqlite"
    if is_sqlite and where.database and where.database != ":memory:":
        file = path(where.database)
        make_private(file)
        where = where.set(database=str(file))
    # A connection that the server has ended, because it was restarted, is not used again.
    engine = create_engine(where, pool_pre_ping=True)
    if is_sqlite:
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
    try:
        with engine.begin() as db:
            if not is_sqlite:
                # Two programs that start at once must not both create them.
                db.execute(select(func.pg_advisory_xact_lock(ADVISORY)))
            tables.create_all(db)
            for table in tables.sorted_tables:
                columns = inspect(db).get_columns(table.name, table.schema)
                known = {column["name"] for column in columns}
                for name in sorted({column.name for column in table.columns} - known):
                    raise StateError(
                        f"{shown(url)}: table {table.name} has no column {name}, because another "
                        "version of the program has made it; name a new database"
                    )
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextlib.contextmanager
def opened(url: str, path: Callable[[str], Path], tables: MetaData) -> Iterator[Engine]:
    """Opens a database as `connect` does, for a block in which what goes wrong is a StateError."""
    try:
        engine = connect(url, path, tables)
        try:
            yield engine
        finally:
            engine.dispose()
    except StatementError as error:
        raise StateError(f"{shown(url)}: {one_line(str(error.orig))}") from None


def _on_connect(connection: Any, record: object) -> None:
    # sqlite3 would begin transactions by itself, and too late; _on_begin does it instead.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # As durable as a rollback journal, but a commit waits for the disk once and not several times.
    connection.execute("PRAGMA journal_mode = WAL")


def _on_begin(connection: Any) -> None:
    # Locked for writing from the start: programs take turns, and can never deadlock.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


# ── counting attempts ────────────────────────────────────────────────────────


class TryColumns:
    """Columns of the table that Tries counts in: how often a mail was begun and not finished."""

    key: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]


class Tries:
    """Counts the tries of each mail in a table with TryColumns; it fits comms.mailbox.Attempts."""

    def __init__(self, engine: Engine, table: type[Any]) -> None:
        self._engine, self._table = engine, table

    def attempts(self, key: str) -> int:
        """Returns the number of tries so far."""
        with Session(self._engine) as db:
            found = db.get(self._table, key)
            return int(found.tries) if found else 0

    def begin_attempt(self, key: str) -> None:
        """Counts a try that begins."""
        table = inspect(self._table).local_table
        # In one statement: another worker may be counting the same mail.
        insert: Any = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert
        first = insert(table).values(key=key, tries=1)
        more = {"tries": table.c.tries + 1}
        with Session(self._engine) as db, db.begin():
            db.execute(first.on_conflict_do_update(index_elements=["key"], set_=more))

    def end_attempt(self, key: str) -> None:
        """Forgets the tries of a mail that was finished."""
        with Session(self._engine) as db, db.begin():
            db.execute(delete(self._table).where(self._table.key == key))


# ── rows that workers process ────────────────────────────────────────────────


class Job:
    """Columns of a row that a worker processes. Times are in seconds since the epoch.

    `status` is waiting, taken (by a worker, which has not begun), working, or what the program
    settled it as.
    """

    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(default="waiting")
    due: Mapped[float]
    tries: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(default="")
    worker: Mapped[int] = mapped_column(default=0)  # that is, or was, at work on it


JobRow = TypeVar("JobRow", bound=Job)


class Worker:
    """One process at work on a database: alone on SQLite, one of several on PostgreSQL.

    Its number is locked for as long as it lives, so that what a dead worker left can be told from
    what a living one is doing. All its work uses the connection that holds the lock: a worker that
    loses its lock cannot go on. Raises StateError if SQLite's file has a worker already.
    """

    def __init__(self, engine: Engine) -> None:
        self.number, self.engine = 1, engine
        self._lock: Lock | None = None
        self._taken: defaultdict[type[Job], deque[Any]] = defaultdict(deque)
        self._connection = engine.connect()
        try:
            if engine.dialect.name == "sqlite":
                self._lock = Lock(Path(engine.url.database or ""))
            else:
                free = (number for number in range(1, WORKERS + 1) if self._locks(number))
                self.number = next(free)
                # The lock stays. In a transaction that is open, sessions would commit nothing.
                self._connection.commit()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._connection.invalidate()  # closed, and with it the locks, instead of pooled
        self._connection.close()
        if self._lock is not None:
            self._lock.close()

    def session(self) -> Session:
        """Returns a session on the worker's connection."""
        return Session(self._connection, expire_on_commit=False)

    def claim(
        self,
        kind: type[JobRow],
        now: float,
        *where: ColumnElement[bool],
        done: Job | None = None,
        ahead: int = 1,
    ) -> JobRow | None:
        """Marks the first row that is due as being worked on, and returns it; None without one.

        In the same transaction, stores the row that is `done`. A search takes up to `ahead` rows,
        which the next calls return without another search, whatever their conditions. `release`
        returns those that are left.
        """
        with self._connection.begin():
            if done is not None:
                self._write(done)
            taken = self._taken[kind]
            while taken or self._take(kind, now, *where, ahead=ahead):
                row: JobRow = taken.popleft()
                if self._begin(row):
                    return row
        return None

    def _take(self, kind: type[Job], now: float, *where: ColumnElement[bool], ahead: int) -> bool:
        """Takes the first rows that are due. Returns False if there are none."""
        due = select(kind).where(kind.status == "waiting", kind.due <= now, *where)
        due = due.order_by(kind.due, kind.id).limit(ahead)
        with self.session() as db:
            # What other workers are just claiming is left out, not waited for.
            rows = list(db.scalars(due.with_for_update(skip_locked=True)))
        taken = update(kind).where(kind.id.in_([row.id for row in rows]))
        self._connection.execute(taken.values(status="taken", worker=self.number))
        self._taken[kind].extend(rows)
        return bool(rows)

    def _begin(self, row: Job) -> bool:
        """Marks a row as being worked on. Returns False if it is not ours any more."""
        values = {"status": "working", "worker": self.number, "tries": row.tries + 1}
        if not self._update(row, values, "taken"):
            return False
        for name, value in values.items():
            set_committed_value(row, name, value)
        return True

    def store(self, row: Job) -> None:
        """Stores what became of a row that this worker has claimed."""
        with self._connection.begin():
            self._write(row)

    def _write(self, row: Job) -> None:
        unmodified = inspect(row).unmodified
        names = [attr.key for attr in inspect(type(row)).column_attrs if attr.key not in unmodified]
        self._update(row, {name: getattr(row, name) for name in names})

    def _update(self, row: Job, values: dict[str, Any], status: str = "") -> bool:
        """Stores values in a row, if it has this status. Returns whether it had.

        Not by a session, which would take longer for it than sending a mail.
        """
        kind: Any = type(row)
        statement = _update(kind, tuple(values), bool(status))
        bound = {"this_id": row.id, "this_status": status, **values}
        return not values or self._connection.execute(statement, bound).rowcount == 1

    def release(self, kind: type[Job]) -> None:
        """Lets others have the rows that were taken and not begun."""
        if rows := self._taken.pop(kind, None):
            ours = update(kind).where(kind.id.in_([row.id for row in rows]), kind.status == "taken")
            with self._connection.begin():
                self._connection.execute(ours.values(status="waiting"))

    def recover(self, kind: type[Job], status: str) -> int:
        """Settles the rows that dead workers were working on, and returns how many there were."""
        self.release(kind)
        begun = kind.status.in_(("taken", "working"))
        count = 0
        with self.session() as db, db.begin():
            for number in list(db.scalars(select(kind.worker).where(begun).distinct())):
                if number != self.number and not self._locks(number):
                    continue  # it is alive
                theirs = update(kind).where(kind.worker == number)
                db.execute(theirs.where(kind.status == "taken").values(status="waiting"))
                left = theirs.where(kind.status == "working").values(
                    status=status, error="the program ended while it was sent"
                )
                count += len(db.execute(left.returning(kind.id)).all())
                if number != self.number:
                    self._unlocks(number)
        return count

    @contextlib.contextmanager
    def only_one(self, what: str) -> Iterator[bool]:
        """Yields whether this worker does something alone; no other one begins it in the block."""
        digest = hashlib.sha256(what.encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        if self._lock is not None:
            yield True
            return
        with self._connection.begin():
            alone = bool(self._connection.scalar(select(func.pg_try_advisory_lock(key))))
        try:
            yield alone
        finally:
            if alone:
                with self._connection.begin():
                    self._connection.scalar(select(func.pg_advisory_unlock(key)))

    def _locks(self, number: int) -> bool:
        """Locks the number of a worker, unless one that lives has it."""
        return self._lock is not None or bool(
            self._connection.scalar(select(func.pg_try_advisory_lock(ADVISORY, number)))
        )

    def _unlocks(self, number: int) -> None:
        if self._lock is None:
            self._connection.scalar(select(func.pg_advisory_unlock(ADVISORY, number)))


@contextlib.contextmanager
def working(url: str, path: Callable[[str], Path], tables: MetaData) -> Iterator[Worker]:
    """Opens a database as `opened` does, and yields a worker on it.

    Raises StateError if there is a worker already, and for what the database refuses.
    """
    with opened(url, path, tables) as engine, Worker(engine) as worker:
        yield worker


@functools.cache
def _update(kind: type[Any], names: tuple[str, ...], with_status: bool) -> Update:
    """Returns the statement that stores these columns of one row."""
    table = inspect(kind).local_table
    statement = update(table).where(table.c.id == bindparam("this_id"))
    if with_status:
        statement = statement.where(table.c.status == bindparam("this_status"))
    return statement.values({name: bindparam(name) for name in names})

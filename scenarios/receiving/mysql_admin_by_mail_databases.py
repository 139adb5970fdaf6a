"""The databases that mysql-admin-by-mail administers: a MySQL or MariaDB server, or SQLite files.

Every name in a statement is one that the database itself has listed, or a new one of letters that
need no quoting. SQLAlchemy writes the statements, and quotes the names where it must.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Annotated, Any

from sqlalchemy import (
    Connection,
    Engine,
    Index,
    MetaData,
    NullPool,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.schema import CreateIndex, CreateSchema, DropIndex, DropSchema

from comms.setting_types import Check
from comms.words import one_line
from scenarios.models import url_problem

SYSTEM = frozenset(("information_schema", "main", "mysql", "performance_schema", "sys", "temp"))
ROWS = 50  # of an answer
SUFFIX = ".sqlite3"
# Without the text of the statements, in which there may be anything.
PROCESSES = (
    "SELECT id, user, db, command, time, state FROM information_schema.processlist ORDER BY id"
)


class NotDone(Exception):
    """Why a command has done nothing, in words for its sender."""


def _no_server(url: str) -> str:
    """Returns why no databases can be administered at this URL, or ""."""
    if problem := url_problem(url):
        return problem
    found = make_url(url)
    name = found.get_backend_name()
    if name not in ("mysql", "mariadb", "sqlite"):
        return f"{name} has not been tried"
    return "" if found.database or name != "sqlite" else "it has no folder"


def _no_name(pattern: str) -> str:
    found = re.fullmatch("[a-z0-9_*]{1,64}", pattern)
    return "" if found else f"{pattern[:60]!r} is not of a-z, 0-9, _ and *"


ServerUrl = Annotated[str, Check(_no_server, '"mysql+pymysql://robot@db1.example.org/"')]
NamePattern = Annotated[str, Check(_no_name, '"test_*"')]


class Databases:
    """The databases of one server whose names match one of the patterns, and what they contain.

    Statements take `timeout` seconds at most. Raises NotDone, and the errors of SQLAlchemy.
    """

    def __init__(
        self, url: str, patterns: Collection[str], timeout: float, path: Callable[[str], Path]
    ) -> None:
        self._patterns = patterns
        where = make_url(url)
        self._folder: Path | None = None
        if where.get_backend_name() == "sqlite":
            self._folder = path(str(where.database))
            self._folder.mkdir(exist_ok=True)
            self.engine: Engine = create_engine("sqlite://", poolclass=NullPool)
            event.listen(self.engine, "connect", self._attach)
        else:
            seconds = max(1, round(timeout))
            keys = ("connect_timeout", "read_timeout", "write_timeout")
            options = dict.fromkeys(keys, seconds)
            self.engine = create_engine(where, poolclass=NullPool, connect_args=options)

    def _attach(self, connection: Any, record: object) -> None:
        """Opens each file of the folder as a database: SQLite calls that to attach it."""
        assert self._folder is not None
        quote = self.engine.dialect.identifier_preparer.quote_identifier
        for file in sorted(self._folder.glob(f"*{SUFFIX}")):
            connection.execute(f"ATTACH ? AS {quote(file.stem)}", (str(file),))

    # ── what is there ────────────────────────────────────────────────────────

    def databases(self, db: Connection) -> str:
        """Returns the names of the databases."""
        return _lines(self._known(db))

    def tables(self, db: Connection, database: str) -> str:
        """Returns the names of the tables in a database."""
        found = inspect(db).get_table_names(schema=self._database(db, database))
        return _lines(found) or "no tables\n"

    def indexes(self, db: Connection, database: str, table: str) -> str:
        """Returns the indexes of a table, and the columns of each."""
        found = self._table(db, database, table)
        rows = [f"primary key ({', '.join(column.name for column in found.primary_key)})"]
        for index in sorted(found.indexes, key=lambda index: str(index.name)):
            columns = ", ".join(column.name for column in index.columns)
            rows.append(f"{index.name} ({columns}){' unique' if index.unique else ''}")
        return _lines(rows if found.primary_key else rows[1:]) or "no indexes\n"

    def processes(self, db: Connection) -> str:
        """Returns what the server is doing, without the statements themselves."""
        if self._folder is not None:
            raise NotDone("SQLite is files, and has no server with processes")
        rows = db.execute(text(PROCESSES)).all()
        return _lines(" · ".join(str(value or "-") for value in row) for row in rows)

    # ── what changes ─────────────────────────────────────────────────────────

    def create(self, db: Connection, database: str) -> str:
        """Creates a database."""
        if not self._may(database):
            raise NotDone(f"{database} is not among the databases that may be administered")
        if database in [name.casefold() for name in inspect(db).get_schema_names()]:
            raise NotDone(f"there is a database {database} already")
        if self._folder is None:
            db.execute(CreateSchema(database))
        else:
            (self._folder / f"{database}{SUFFIX}").touch(exist_ok=False)
        return ""

    def drop(self, db: Connection, database: str) -> str:
        """Removes a database, and all that is in it."""
        found = self._database(db, database)
        if self._folder is None:
            db.execute(DropSchema(found))
        else:
            (self._folder / f"{found}{SUFFIX}").unlink()
        return ""

    def create_index(
        self, db: Connection, index: str, database: str, table: str, columns: str
    ) -> str:
        """Creates an index of a table on these columns, whose names have commas between them."""
        found = self._table(db, database, table)
        if index in [str(other.name).casefold() for other in found.indexes]:
            raise NotDone(f"there is an index {index} already")
        chosen = [
            found.c[_one_of(found.c.keys(), name.strip(), "column")] for name in columns.split(",")
        ]
        db.execute(CreateIndex(Index(index, *chosen)))
        return ""

    def drop_index(self, db: Connection, index: str, database: str, table: str) -> str:
        """Removes an index of a table."""
        indexes = {str(other.name): other for other in self._table(db, database, table).indexes}
        db.execute(DropIndex(indexes[_one_of(indexes, index, "index")]))
        return ""

    # ── names ────────────────────────────────────────────────────────────────

    def _may(self, database: str) -> bool:
        name = database.casefold()
        return name not in SYSTEM and any(
            fnmatch.fnmatchcase(name, pattern) for pattern in self._patterns
        )

    def _known(self, db: Connection) -> list[str]:
        return [name for name in inspect(db).get_schema_names() if self._may(name)]

    def _database(self, db: Connection, name: str) -> str:
        return _one_of(self._known(db), name, "database")

    def _table(self, db: Connection, database: str, table: str) -> Table:
        schema = self._database(db, database)
        name = _one_of(inspect(db).get_table_names(schema=schema), table, "table")
        return Table(name, MetaData(), schema=schema, autoload_with=db, resolve_fks=False)


def _one_of(known: Iterable[str], name: str, what: str) -> str:
    """Returns the known name that is meant: commands come without capitals. Raises NotDone."""
    same = [one for one in known if one.casefold() == name]
    if name not in same and len(same) > 1:
        raise NotDone(f"{what} {name}: there are several, which differ in capitals only")
    if not same:
        raise NotDone(f"there is no {what} {name} that may be administered")
    return name if name in same else same[0]


def _lines(rows: Iterable[str]) -> str:
    """Returns an answer: each row as one line, whatever characters are in its names."""
    shown = [f"{one_line(row)[:200]}\n" for row in rows]
    more = f"… and {len(shown) - ROWS} more\n" if len(shown) > ROWS else ""
    return "".join(shown[:ROWS]) + more

"""SQL is compiled once in a process of tests, and not once for each database.

Every rehearsal and every restart of a program opens a database of its own, and SQLAlchemy keeps
what it has compiled for one. To compile the same statements again took a fifth of the time of the
tests of tickets, and 3 % of that of the suite.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event


class _Compiled(dict[Any, Any]):
    """Statements by what they are compiled from, the first of which is the dialect.

    Each database has one of its own, and here they count as the same if they are of one type.
    """

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), compiled)


_COMPILED = _Compiled()


@event.listens_for(Engine, "engine_connect")
def _share(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":  # real servers may differ from each other
        connection.execution_options(compiled_cache=_COMPILED)

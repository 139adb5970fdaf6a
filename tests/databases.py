"""The PostgreSQL of tests: a database without tables, and what programs have written into it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_engine, text

from fakes import World


def emptied(url: str) -> str:
    """Removes all tables of a database. Returns its URL."""
    engine = create_engine(url)
    with engine.begin() as db:
        db.execute(text("DROP SCHEMA public CASCADE"))
        db.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Returns what a query finds."""
    engine = create_engine(url)
    with engine.connect() as db:
        found = [tuple(row) for row in db.execute(text(sql))]
    engine.dispose()
    return found


def on_database(world: World, url: str, **more: Any) -> dict[str, Any]:
    """Returns the settings of a world whose program uses this database, and has these settings."""
    [(name, table)] = world.settings["scenario"].items()
    return {**world.settings, "scenario": {name: {**table, "database": url, **more}}}

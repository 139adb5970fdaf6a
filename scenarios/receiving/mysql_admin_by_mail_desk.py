"""The desk of mysql-admin-by-mail: its commands, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from comms.clock import Clock
from comms.commands import Order, Verb, names
from comms.host import Outcome
from comms.words import one_line
from scenarios.receiving.mysql_admin_by_mail_databases import Databases, NotDone

OFFERED: dict[str, Callable[..., str]] = {
    "show databases": Databases.databases,
    "show tables in NAME": Databases.tables,
    "show index in NAME.NAME": Databases.indexes,
    "show processlist": Databases.processes,
    "create database NAME": Databases.create,
    "drop database NAME": Databases.drop,
    "create index NAME on NAME.NAME (NAMES)": Databases.create_index,
    "drop index NAME on NAME.NAME": Databases.drop_index,
}


def verbs(databases: Databases, clock: Clock) -> dict[str, Verb]:
    """Returns what may be ordered, as MySQL writes it. What is dropped must be confirmed."""
    return {
        form: Verb(
            partial(carry_out, form, databases, clock),
            "databases",  # one after the other
            confirm=form.startswith("drop "),
            repeatable=form.startswith("show "),
        )
        for form in OFFERED
    }


def carry_out(form: str, databases: Databases, clock: Clock, order: Order) -> Outcome:
    """Carries out one command, in a transaction. Whatever goes wrong is its outcome."""
    began = clock.monotonic()
    connected = in_doubt = False
    try:
        with databases.engine.begin() as db:
            connected = True
            output = OFFERED[form](databases, db, *names(form, order.verb))
        return Outcome(0, output, clock.monotonic() - began)
    except NotDone as error:
        problem = str(error)
    # A driver raises what it likes, and the mail is answered anyway.
    except Exception as error:
        problem = one_line(str(error.orig if isinstance(error, DBAPIError) else error))[:300]
        if not isinstance(error, SQLAlchemyError):
            problem = f"{type(error).__name__}: {problem}"
        if not connected:
            problem = f"the database does not answer, and nothing was done: {problem}"
        elif isinstance(error, DBAPIError) and error.connection_invalidated:
            problem, in_doubt = f"the connection was lost ({problem})", True
        else:  # a driver that does not understand an answer knows no more than that
            in_doubt = not isinstance(error, (SQLAlchemyError, OSError))
    return Outcome(None, "", clock.monotonic() - began, problem, in_doubt)

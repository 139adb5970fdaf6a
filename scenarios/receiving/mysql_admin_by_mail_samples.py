"""The people and databases of mysql-admin-by-mail, and what they send and are answered."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakes import World

INBOX, SENDER = "cly6ruct1yit2d@yourco.test", "mysql@yourco.test"
JEREMY, MICHAEL, OWNER = (f"{name}@yourco.test" for name in ("jeremy", "michael", "owner"))
EVE = "eve@evil.example"
SETTINGS = {
    "inbox": INBOX,
    "admins": [JEREMY, MICHAEL],
    "sender": f"MySQL <{SENDER}>",
    "owner": OWNER,
    "database": "sqlite:///databases",
    "databases": ["shop", "test_*"],
    "rights": {
        MICHAEL: [
            "show databases",
            "show index in shop.*",
            "create index NAME on shop.NAME (NAMES)",
            "create database test_*",
            "drop database test_*",
        ]
    },
}
TABLES = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, placed TEXT, "order" TEXT);
CREATE TABLE "order" (id INTEGER PRIMARY KEY, "group" TEXT);
CREATE TABLE "Line Items" (id INTEGER PRIMARY KEY);
"""
MAIL = """\
# the new test server
Create database test_2
> drop database test_2
CREATE INDEX by_customer ON shop.orders (customer, placed)
show index in shop.orders
show databases
--\x20
Jeremy
drop database shop
"""
TRANSCRIPT = """\
> create database test_2
db1.yourco.test: done in 0.0 s

> create index by_customer on shop.orders (customer, placed)
db1.yourco.test: done in 0.0 s

> show index in shop.orders
db1.yourco.test: done in 0.0 s

| primary key (id)
| by_customer (customer, placed)

> show databases
db1.yourco.test: done in 0.0 s

| shop
| test_2
"""
HOSTILE = 'x" AS y; DROP TABLE orders; --'  # the name of a database that is there


def prepare(folder: Path) -> None:
    """Makes the databases: one of the shop, one that is not to be touched, one with an odd name."""
    databases = folder / "databases"
    databases.mkdir()
    with contextlib.closing(sqlite3.connect(databases / "shop.sqlite3")) as db:
        db.executescript(TABLES)
    for name in ("payroll", HOSTILE):
        (databases / f"{name}.sqlite3").touch()


def trial(world: World) -> dict[str, Any]:
    """Makes the databases for `make live`."""
    prepare(world.folder)
    table = {"database": f"sqlite:///{world.folder / 'databases'}", "poll": 1}
    return {"scenario": {"mysql-admin-by-mail": table}}


def databases(folder: Path) -> list[str]:
    """The names of the databases that are there, without the one that has an odd name."""
    found = [path.stem for path in (folder / "databases").glob("*.sqlite3")]
    return sorted(name for name in found if name != HOSTILE)


def indexes(folder: Path) -> list[str]:
    """The statements with which the indexes of the shop were made."""
    with contextlib.closing(sqlite3.connect(folder / "databases" / "shop.sqlite3")) as db:
        rows = db.execute("SELECT sql FROM sqlite_master WHERE type = 'index' ORDER BY name")
        return [str(row[0]) for row in rows if row[0]]


def mails(
    world: World, sender: str, text: str, subject: str = "commands", message_id: str = ""
) -> None:
    """Sends a mail to the secret inbox, with a command on each line of its text."""
    name = message_id or f"{len(world.mail.messages)}@phone.test"
    head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{name}>\r\n"
    head += "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    body = text.replace("\n", "\r\n")
    world.mail.deliver(INBOX, f"{head}\r\n{body}\r\n".encode())


def answers(world: World, who: str) -> list[str]:
    """The texts that a person got from the program."""
    return [mail.text.replace("\r\n", "\n") for mail in world.mail.inbox(who)]


def phrase(world: World, who: str) -> str:
    """The phrase that the program has last asked for."""
    asked = [text for text in answers(world, who) if "send within 900 s: " in text]
    return asked[-1].partition("send within 900 s: ")[2].split("\n")[0] if asked else "yes"

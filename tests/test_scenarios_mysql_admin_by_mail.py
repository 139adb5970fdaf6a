"""mysql-admin-by-mail: names, settings, databases that are away; drills are elsewhere."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from comms import settings
from comms.commands import Order
from comms.errors import SettingsError
from comms.host import Outcome
from fakes.world import World
from scenarios.receiving import mysql_admin_by_mail as page
from scenarios.receiving.mysql_admin_by_mail_databases import ROWS, Databases, NotDone
from scenarios.receiving.mysql_admin_by_mail_desk import OFFERED, verbs
from scenarios.receiving.mysql_admin_by_mail_samples import (
    JEREMY,
    SETTINGS,
    answers,
    mails,
    trial,
)

PASSWORD = "canary-p4ssw0rd"
ODD = """
CREATE TABLE Orders (Id INTEGER PRIMARY KEY, Customer TEXT);
CREATE TABLE "select" ("from" TEXT, "FROM " TEXT);
"""


@pytest.fixture
def world() -> Iterator[World]:
    with World(page.WORLD, rehearsal=True) as world:
        yield world


def order(world: World, text: str, url: str = "sqlite:///databases", **changes: Any) -> Outcome:
    """What becomes of a command."""
    databases = Databases(url, ("shop", "x*"), 5, lambda name: world.folder / name)
    offered = verbs(databases, world.clock)
    (form,) = [form for form in OFFERED if form.split()[:2] == text.split()[:2]]
    command = offered[form].command
    assert callable(command)
    outcome = command(Order(1, text, JEREMY, {}))
    assert isinstance(outcome, Outcome)
    return outcome


def shop(folder: Path) -> None:
    (folder / "databases").mkdir()
    with contextlib.closing(sqlite3.connect(folder / "databases" / "shop.sqlite3")) as db:
        db.executescript(ODD)


def test_names_are_found_in_any_case_and_quoted_as_they_must_be(world: World) -> None:
    shop(world.folder)
    assert order(world, "show tables in shop").output == "Orders\nselect\n"
    assert order(world, "create index by_from on shop.select (from)").error == ""
    assert order(world, "create index by_two on shop.orders (customer, id)").error == ""
    assert order(world, "show index in shop.select").output == "by_from (from)\n"
    index = "primary key (Id)\nby_two (Customer, Id)\n"
    assert order(world, "show index in shop.orders").output == index
    again = order(world, "create index by_two on shop.orders (id)")
    assert again.error == "there is an index by_two already"
    assert order(world, "drop index by_two on shop.orders").error == ""
    assert order(world, "show index in shop.orders").output == "primary key (Id)\n"
    assert order(world, "drop database shop").error == ""
    assert order(world, "show databases").output == ""


def test_a_long_answer_is_cut_and_says_so_and_each_name_is_one_line(world: World) -> None:
    (world.folder / "databases").mkdir()
    (world.folder / "databases" / "x\n| shop.sqlite3").touch()
    assert order(world, "show databases").output == "x | shop\n"
    with contextlib.closing(sqlite3.connect(world.folder / "databases" / "shop.sqlite3")) as db:
        for number in range(ROWS + 5):
            db.execute(f"CREATE TABLE t{number:03} (id INTEGER)")
    shown = order(world, "show tables in shop").output.splitlines()
    assert len(shown) == ROWS + 1 and shown[-1] == "… and 5 more"


@pytest.mark.parametrize(
    ("content", "url"),
    [
        (b"this is no database" * 100, "sqlite:///databases"),
        (b"", f"mysql+pymysql://robot:{PASSWORD}@127.0.0.1:1/"),
        (b"", f"mysql+pymysql://robot:{PASSWORD}@127.0.0.1:1/?charset=nosuch"),
    ],
)
def test_a_database_that_cannot_be_used_is_an_answer(
    world: World, content: bytes, url: str
) -> None:
    (world.folder / "databases").mkdir()
    (world.folder / "databases" / "shop.sqlite3").write_bytes(content)
    outcome = order(world, "show tables in shop", url)
    assert outcome.code is None and outcome.error and PASSWORD not in outcome.error
    assert url[:3] == "sql" or "does not answer, and nothing was done" in outcome.error


@pytest.mark.parametrize(
    ("error", "in_doubt"),
    [
        (NotDone("there is a database shop already"), False),
        (OperationalError("CREATE", {}, Exception("denied")), False),
        (PermissionError(13, "Permission denied"), False),
        (OperationalError("CREATE", {}, Exception("lost"), connection_invalidated=True), True),
        (struct.error("unpack requires a buffer of 4 bytes"), True),
    ],
)
def test_what_may_have_been_done_is_not_called_failed(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, in_doubt: bool
) -> None:
    def create(*_: object) -> str:
        raise error

    monkeypatch.setitem(OFFERED, "create database NAME", create)
    outcome = order(world, "create database shop")
    assert (outcome.code, outcome.in_doubt) == (None, in_doubt) and outcome.error


def test_a_mail_goes_on_after_an_error_if_the_settings_say_so(world: World) -> None:
    shop(world.folder)
    mails(world, JEREMY, "show tables in nowhere\nshow databases")
    world.clock.until(30)
    table = {**SETTINGS, "after_error": "go on"}
    site = {**world.settings, "scenario": {"mysql-admin-by-mail": table}}
    page.run(world.clock, settings.load(site, world.folder), world.host)
    [answer] = answers(world, JEREMY)
    assert "there is no database nowhere" in answer and "| shop\n" in answer


def test_the_live_form_has_databases_to_try(world: World) -> None:
    live = trial(world)["scenario"]["mysql-admin-by-mail"]
    site = {**world.settings, "scenario": {"mysql-admin-by-mail": SETTINGS | live}}
    settings.load(site, world.folder).table("mysql-admin-by-mail", page.Rules)
    assert "orders\n" in order(world, "show tables in shop", live["database"]).output


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"database": "postgresql://db1/"}, "database: postgresql has not been tried"),
        ({"database": "mysql+nosuch://db1/"}, "it is not the URL of a database"),
        ({"database": "sqlite://"}, "it has no folder"),
        ({"database": f"x:{PASSWORD}"}, "it is not the URL of a database"),
        ({"databases": []}, "databases: is empty"),
        ({"databases": ["Shop"]}, "databases.*'Shop' is not of a-z, 0-9, _ and"),
        ({"after_error": "go"}, "after_error: unknown value"),
        ({"rights": {JEREMY: ["drop table NAME"]}}, "rights: .drop table NAME. allows nothing"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    world: World, change: dict[str, Any], problem: str
) -> None:
    site = {**world.settings, "scenario": {"mysql-admin-by-mail": SETTINGS | change}}
    with pytest.raises(SettingsError, match=problem) as raised:
        page.run(world.clock, settings.load(site, world.folder), world.host)
    assert PASSWORD not in str(raised.value)

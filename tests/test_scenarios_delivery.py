"""Mails that are rows: what each outcome makes of them, and servers that are away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import DeclarativeBase

from comms import settings
from comms.compose import Message
from comms.errors import Unreachable
from fakes import World
from scenarios.delivery import Delivery, MailRow
from scenarios.models import Worker, connect

BOT = "bot@yourco.test"


class Base(DeclarativeBase):
    """The tables of these tests."""


class Letter(MailRow, Base):
    """A mail whose subject is its address."""

    __tablename__ = "letter"


def written(row: Letter) -> tuple[str, Message]:
    return BOT, Message(BOT, [row.address], row.address, "Hello")


@contextlib.contextmanager
def delivery(
    world: World, *to: str, repeat: bool = False
) -> Iterator[tuple[Worker, Delivery[Letter]]]:
    server = settings.load(world.settings, world.folder).server("smtp")
    engine = connect("sqlite:///letters.sqlite3", lambda name: world.folder / name, Base.metadata)
    now = world.clock.time()
    with Worker(engine) as worker:
        with worker.session() as db, db.begin():
            db.add_all(Letter(address=one, domain="", made=now, due=now) for one in to)
        yield (
            worker,
            Delivery(Letter, written, server, world.clock, world.host, worker, repeat=repeat),
        )
    engine.dispose()


def statuses(worker: Worker) -> list[tuple[str, int]]:
    with worker.session() as db:
        return [(row.status, row.tries) for row in db.query(Letter).order_by(Letter.id)]


@pytest.fixture
def world() -> Iterator[World]:
    table: dict[str, Any] = {"servers": ["smtp"], "program": BOT, "person": [{"address": BOT}]}
    table["mail"] = {"relay": "keep"}
    with World(table, rehearsal=True) as made:
        yield made


def test_a_mail_that_cannot_be_written_is_flagged_and_costs_no_other_one(world: World) -> None:
    with delivery(world, "a@a.example", "a@b@c", "c@c.example") as (worker, sending):
        assert not sending.send()
        assert statuses(worker) == [("sent", 1), ("flagged", 1), ("sent", 1)]
        assert sending.report() == 1
    assert world.said[0] == "3 letters: 1 flagged, 2 sent"
    assert world.said[1].startswith("id 2, a@b@c: flagged: to: 'a@b@c' is not one address")


@pytest.mark.parametrize(("repeat", "status"), [(False, "unknown"), (True, "waiting")])
def test_a_mail_whose_outcome_is_unknown_is_sent_again_only_if_it_may_be_repeated(
    world: World, repeat: bool, status: str
) -> None:
    world.faults.arm("smtp . lost stored nth 1")
    with delivery(world, "a@a.example", repeat=repeat) as (worker, sending):
        assert sending.send() is repeat
        assert statuses(worker) == [(status, 1)]


def test_a_server_may_be_away_after_a_long_time_without_mail(world: World) -> None:
    world.clock.until(20 * 86400)
    with delivery(world, "a@a.example") as (worker, sending):
        sending.send()
        world.clock.wait(None, world.clock.time() + 10 * 86400)
        world.close_port("smtp")
        now = world.clock.time()
        with worker.session() as db, db.begin():
            db.add(Letter(address="b@b.example", domain="", made=now, due=now))
        assert sending.send(), "it waits"
        world.clock.wait(None, world.clock.time() + 5 * 3600)
        with pytest.raises(Unreachable):
            sending.send()
        world.open_port("smtp")
        assert not sending.send()


def test_a_mail_that_a_wrong_clock_has_put_off_is_sent(world: World) -> None:
    with delivery(world, "a@a.example") as (worker, sending):
        with worker.session() as db, db.begin():
            db.query(Letter).update({"due": world.clock.time() + 10 * 86400})
        assert not sending.send()
        assert statuses(worker) == [("sent", 1)]

"""account-activation: a link works once, a mail is sent once, and the pages tell nothing."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from comms import settings
from comms.errors import CommsError, SettingsError
from fakes import World
from fakes.browser import Page
from scenarios.models import opened
from scenarios.sending import account_activation
from scenarios.sending.account_activation_desk import same
from scenarios.sending.account_activation_model import Asked, Base
from scenarios.sending.account_activation_samples import (
    ANN,
    BOB,
    EVE,
    SITE,
    TEMPLATES,
    Visitor,
    link,
    to,
)
from scenarios.sending.account_activation_web import problem
from tests import drills
from tests.visited import FORM

if TYPE_CHECKING:
    pass

MODULE = "tests.visited"


def play(world: World, **rules: Any) -> int:
    tables = {**world.settings["scenario"]["account-activation"], **rules}
    given = {**world.settings, "scenario": {"account-activation": tables}}
    loaded = settings.load(given, world.folder)
    return account_activation.run(world.clock, loaded, world.host)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "account-activation.sqlite3")) as db:
        return db.execute(sql).fetchall()


# ── cut at every unit ────────────────────────────────────────────────────────


def two_sign_ups(*faults: str) -> tuple[World, dict[str, str]]:
    """Ann and Bob sign up. Returns the world, and what became of each mail."""
    with World(account_activation.WORLD, rehearsal=True, faults=faults) as world:
        for name, address in (("Ann", ANN), ("Bob", BOB)):
            Visitor(world, name).signs_up(1, address, name)
        world.clock.until(60)
        play(world)
        return world, dict(rows(world.folder, "SELECT address, status FROM asked"))


PLAIN, _ = two_sign_ups()


@pytest.mark.parametrize("cut", drills.quick_at("smtp . nth 1", drills.cuts(PLAIN.records)))
def test_wherever_the_connection_is_cut_nobody_is_missing_or_mailed_twice(cut: str) -> None:
    world, found = two_sign_ups(cut)
    got = Counter(mail.envelope.to[0] for mail in world.mail.messages)
    assert sorted(found) == [ANN, BOB] and set(found.values()) <= {"sent", "unknown"}
    assert max(got.values()) == 1, "nobody twice"
    assert all(got[address] or found[address] == "unknown" for address in (ANN, BOB))
    assert list(found.values()).count("unknown") <= 1
    listed = [line for line in world.said if "unknown:" in line]
    assert len(listed) == list(found.values()).count("unknown")


# ── killed at every step ─────────────────────────────────────────────────────


def killed(at: int, folder: Path, then: int) -> int | None:
    """Kills the program at a step of Ann's sign-up, lets it run again, and she activates.

    `then` is the step of the activation at which it is killed. Returns the steps of the sign-up, or
    None if it was killed.
    """
    folder.mkdir()
    with World({**account_activation.WORLD, "tls": "off"}) as world:
        given = world.settings
        steps = drills.killed(at, MODULE, given, folder)
        drills.start_again(MODULE, given, folder, 1)
        [(status,)] = rows(folder, "SELECT status FROM asked")
        mails = world.mail.messages
        assert len(mails) == 1 if status == "sent" else len(mails) <= 1, "nobody twice"
        assert status in ("sent", "unknown") and (folder / "answer").read_text() == (
            "Look into your mailbox"
        )
        if mails:
            (folder / "token").write_text(link(world).partition("=")[2])
            drills.killed(then, MODULE, given, folder)
            drills.start_again(MODULE, given, folder, 1)
            assert rows(folder, "SELECT key, form FROM account") == [(ANN, FORM)], "once"
            assert len(world.mail.messages) == 1
    return steps


@pytest.mark.slow
def test_killed_at_any_step_nobody_is_missing_or_mailed_twice(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at), at)) > 20


# ── the same answer, and the same work ───────────────────────────────────────


@contextlib.contextmanager
def visiting(**rules: Any) -> Iterator[tuple[World, list[str]]]:
    """A world in which the program will run for a while. Yields the world, and the SQL of it."""
    statements: list[str] = []

    def note(connection: Any, cursor: Any, sql: str, *rest: Any) -> None:
        statements.append(re.sub(r"\s+", " ", sql))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with World(account_activation.WORLD, rehearsal=True) as world:
            yield world, statements
            world.clock.until(150)
            play(world, **{"poll": 10, **rules})
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", ["/sign-up", "/resend"])
def test_answer_and_work_are_the_same_whether_an_address_is_known_or_not(path: str) -> None:
    found: dict[str, tuple[Page, list[str], list[str]]] = {}
    with visiting() as (world, statements):
        ann, bob, eve = (Visitor(world, name) for name in ("Ann", "Bob", "Eve"))
        ann.signs_up(10, ANN)
        ann.opens(30)
        ann.presses(40)
        bob.signs_up(50, BOB, "Bob")

        def ask(address: str) -> None:
            form = eve.open(f"{SITE}{path}").forms[0].fields
            fields = {**form, "address": address} | ({"name": "Eve"} if "name" in form else {})
            statements.clear()
            events = len(world.events)
            # No redirect is followed here: this is the answer itself.
            page = eve.browser._request(f"{SITE}{path}", "POST", fields, {})
            logged = [one.text for one in world.events[events:] if one.who == "program"]
            found[address] = page, statements.copy(), logged

        for number, address in enumerate((ANN, BOB, EVE)):
            world.clock.at(100 + 20 * number, partial(ask, address))
    pages = [page for page, _, _ in found.values()]
    assert {(page.status, page.body) for page in pages} == {(303, pages[0].body)}
    assert len({tuple(sorted(page.headers)) for page in pages}) == 1
    work = [sql for _, sql, _ in found.values()]
    assert len(work[0]) > 5 and work[0] == work[1] == work[2]
    assert [logged for _, _, logged in found.values()] == [[], [], []]


def test_a_form_that_is_sent_twice_is_one_request_and_one_click() -> None:
    with visiting() as (world, _):
        ann = Visitor(world, "Ann")
        answers: list[Page] = []

        def twice(url: str, **fields: str) -> None:
            page = ann.open(url)
            answers.extend(ann.browser.submit(page, **fields) for _ in range(2))

        world.clock.at(10, lambda: twice(f"{SITE}/sign-up", name="Ann", address=ANN))
        world.clock.at(60, lambda: twice(link(world)))
    assert len(world.mail.messages) == 1
    titles = [page.title for page in answers]
    assert titles == ["Look into your mailbox"] * 2 + ["Your account is active"] * 2
    assert len([one for one in world.events if one.text.startswith("activated")]) == 1


def test_a_form_that_is_corrected_and_sent_again_is_another_request() -> None:
    with visiting() as (world, _):
        ann = Visitor(world, "Ann")

        def corrects() -> None:
            page = ann.open(f"{SITE}/sign-up")
            for address in (BOB, ANN, ANN):  # the page is still there when she goes back
                ann.browser.submit(page, name="Ann", address=address)

        world.clock.at(10, corrects)
    assert [mail.envelope.to for mail in world.mail.messages] == [[BOB], [ANN]]


def test_a_program_that_is_to_stop_leaves_no_mail_in_doubt() -> None:
    with World(account_activation.WORLD, rehearsal=True) as world:
        Visitor(world, "Ann").signs_up(10, ANN)
        world.clock.until(60)
        world.clock.stopping = lambda: True  # type: ignore[method-assign]
        play(world)
        assert rows(world.folder, "SELECT status FROM asked") == [("waiting",)]


def waits(number: int, now: float) -> Asked:
    """A sign-up whose mail waits."""
    one = f"user{number}@mail.example"
    facts = {"form": one, "key": one, "address": one, "token": one, "name": "User", "client": ""}
    return Asked(**facts, template="activate", status="waiting", made=now, due=now)


def test_a_mail_takes_as_long_however_many_wait() -> None:
    loaded: list[Asked] = []

    def note(row: Asked, context: Any) -> None:
        loaded.append(row)

    with World(account_activation.WORLD, rehearsal=True) as world:
        database = "sqlite:///account-activation.sqlite3"
        with opened(database, world.folder.joinpath, Base.metadata) as engine:
            with Session(engine) as db, db.begin():
                db.add_all(waits(number, world.clock.time()) for number in range(40))
        world.clock.until(20)
        event.listen(Asked, "load", note)
        try:
            play(world)
        finally:
            event.remove(Asked, "load", note)
        assert len(world.mail.messages) == 40 and len(loaded) < 3 * 40


def test_an_address_in_other_letters_is_the_same_person() -> None:
    with visiting() as (world, _):
        ann, eve = Visitor(world, "Ann"), Visitor(world, "Eve")
        ann.signs_up(10, ANN)
        ann.opens(60)
        ann.presses(70)
        eve.signs_up(80, ANN.upper(), "Eve")
        # The sign that looks like K, and becomes one when it is folded, is another person's.
        eve.asks_again(100, ANN.replace("a", "\N{FULLWIDTH LATIN SMALL LETTER A}"))
    subjects = ["Activate your account", "Your account is active already"]
    assert to(world.mail.messages) == [(ANN, subject) for subject in subjects]
    assert same("K\N{KELVIN SIGN}@X.test") == "k\N{KELVIN SIGN}@x.test"


def test_another_mail_goes_where_the_sign_up_said() -> None:
    with visiting() as (world, _):
        Visitor(world, "Ann").signs_up(10, "Ann@customer.test")
        Visitor(world, "Eve").asks_again(100, "ANN@customer.test")
    assert [mail.envelope.to for mail in world.mail.messages] == [["Ann@customer.test"]] * 2


# ── hostile input ────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
def test_no_other_method_than_a_post_activates(method: str) -> None:
    with visiting() as (world, _):
        ann = Visitor(world, "Ann")
        ann.signs_up(10, ANN)
        ann.opens(60, method=method)
    assert rows_of(world) == []


def rows_of(world: World) -> list[str]:
    """Returns whose accounts were activated."""
    return [one.text for one in world.events if one.text.startswith("activated")]


HOSTILE = [
    ("name", ""),
    ("name", " \t "),
    ("name", "x" * 101),
    ("name", "Eve\r\nBcc: bob@customer.test"),
    ("name", "Eve\0"),
    ("name", "Eve\N{RIGHT-TO-LEFT OVERRIDE}"),
    ("address", ""),
    ("address", "eve"),
    ("address", "eve@"),
    ("address", "@elsewhere.test"),
    ("address", "eve@elsewhere.test, bob@customer.test"),
    ("address", "eve@elsewhere.test\nBcc: bob@customer.test"),
    ("address", "eve@elsewhere.test\r\nRCPT TO:<bob@customer.test>"),
    ("address", "Eve <eve@elsewhere.test>"),
    ("address", "<eve@elsewhere.test>"),
    ("address", "eve@elsewhere.test>"),
    ("address", "eve@elsewhere.test (eve)"),
    ("address", "undisclosed: eve@elsewhere.test;"),
    ("address", "eve@elsewhere.test\0"),
    ("address", "e" * 250 + "@elsewhere.test"),
    ("address", "<script>alert(1)</script>@elsewhere.test"),
    ("address", "\N{RIGHT-TO-LEFT OVERRIDE}eve@elsewhere.test"),
]


@pytest.mark.parametrize(("field", "value"), HOSTILE)
def test_what_cannot_be_a_name_or_an_address_is_refused(field: str, value: str) -> None:
    assert problem(field, value.strip())


def test_a_value_in_every_field_is_inert_on_the_page_that_refuses_it() -> None:
    script = "\"'><script>alert(1)</script>{{ 7 * 7 }}"
    shown: list[str] = []
    with visiting() as (world, _):
        eve = Visitor(world, "Eve")

        def fills_in() -> None:
            for path in ("/sign-up", "/resend", "/activate"):
                fields = {**eve.open(f"{SITE}/sign-up").forms[0].fields, "token": script}
                fields |= {"name": script, "address": script}
                shown.append(eve.open(f"{SITE}{path}", "POST", fields).html)
                shown.append(eve.open(f"{SITE}{path}?token={script}&address={script}").html)

        world.clock.at(10, fills_in)
    assert len(shown) == 6 and not any("<script" in html for html in shown)
    assert "{{ 7 * 7 }}" in shown[0] and "49" not in shown[0]


def test_a_name_is_not_in_a_mail_and_is_inert_on_the_page() -> None:
    name = "<img src=//evil.test> https://evil.test/"
    with visiting() as (world, _):
        eve = Visitor(world, "Eve")
        eve.signs_up(10, ANN, name)
        pages = eve.opens(60)
    [mail] = world.mail.messages
    assert b"evil.test" not in mail.raw
    assert pages[0].status == 200 and "<img" not in pages[0].html and "evil.test" in pages[0].text


def test_the_key_is_in_nothing_that_leaves_the_program() -> None:
    with visiting() as (world, _):
        ann = Visitor(world, "Ann")
        pages = [*ann.signs_up(10, ANN), *ann.opens(60), *ann.presses(70)]
        world.clock.at(80, lambda: pages.extend([ann.open(SITE), ann.open(f"{SITE}/none")]))
        path = world.folder / "account-activation.secret"
        path.write_text("canary" * 10)
        path.chmod(0o600)
    texts = [repr(item) for item in world.recording] + [page.html for page in pages]
    texts += [repr(page.headers) for page in pages] + [repr(ann.browser.cookies)]
    assert rows_of(world) and not any("canary" in text for text in texts)
    token = link(world).partition("token=")[2]
    said = [one.text for one in world.events]
    assert token and not any(token in text for text in said), "nor is a token in the log"


def test_links_begin_with_the_settings_whatever_the_client_says() -> None:
    with visiting(site="https://accounts.yourco.test") as (world, _):
        ann = Visitor(world, "Ann")
        headers = {"X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test"}
        site = "https://accounts.yourco.test"

        def sign_up() -> None:
            form = ann.open(f"{site}/sign-up").forms[0].fields
            ann.open(f"{site}/sign-up", "POST", {**form, "name": "Ann", "address": ANN}, headers)

        world.clock.at(10, sign_up)
    assert link(world).startswith(f"{site}/activate?token=")


# ── limits, servers and settings ─────────────────────────────────────────────


def test_a_mail_that_is_refused_is_not_tried_again_and_others_go_out() -> None:
    with visiting() as (world, _):
        world.faults.arm(f'RCPT arg *{ANN}* reply "550 5.1.1 no such mailbox"')
        Visitor(world, "Ann").signs_up(10, ANN)
        Visitor(world, "Bob").signs_up(11, BOB, "Bob")
    assert to(world.mail.messages) == [(BOB, "Activate your account")]
    assert len([one for one in world.records if one.verb == "RCPT"]) == 2
    assert world.said[-1] == "requests: 1 refused, 1 sent"


def test_a_mail_is_given_up_after_a_while() -> None:
    with visiting(give_up=100) as (world, _):
        world.faults.arm('RCPT reply "451 4.7.1 later" times 9')
        Visitor(world, "Ann").signs_up(10, ANN)
        world.clock.at(500, world.faults.disarm)
    assert world.said[-1] == "requests: 1 given-up" and world.mail.messages == []


def test_a_mistake_in_a_template_is_found_before_anybody_signs_up() -> None:
    with World(account_activation.WORLD, rehearsal=True) as world:
        folder = world.folder / "templates"
        folder.mkdir()
        (folder / "activate.txt").write_text("Subject: Hi\n\n{{ url }}\n", newline="\n")
        (folder / "already-active.txt").write_text("Subject: Hi\n\n", newline="\n")
        with pytest.raises(SettingsError, match=r"activate\.txt:3: 'url' is undefined"):
            play(world, templates=str(folder))
        assert world.records == [] and (TEMPLATES / "activate.txt").exists()


def test_a_database_that_is_none_is_a_comms_error() -> None:
    with World(account_activation.WORLD, rehearsal=True) as world:
        (world.folder / "account-activation.sqlite3").write_text("x" * 5000)
        with pytest.raises(CommsError, match=r"activation\.sqlite3: file is not a"):
            play(world)

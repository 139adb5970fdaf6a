"""ship-notices: each customer gets one notice, whatever the list, the server or the machine do."""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from comms import settings
from comms.errors import CommsError, SettingsError, StateError
from comms.host import RealHost
from comms.lock import Lock
from fakes import World
from scenarios import catalogue
from scenarios.live import run_live
from scenarios.models import working
from scenarios.sending import ship_notices
from scenarios.sending.ship_notices_input import LONGEST, BadLine, Customer, read
from scenarios.sending.ship_notices_model import Base, Notice, enlist, suppress, unwanted
from scenarios.sending.ship_notices_samples import TEMPLATES, customers, notices, orders, shop
from tests import drills
from tests.command import run_command
from tests.thorough import THOROUGH

MODULE = "scenarios.sending.ship_notices"
CODES = (0, 1)  # 1: the outcome of a notice is unknown


# ── the list ─────────────────────────────────────────────────────────────────


def lines(path: Path, content: bytes) -> list[Customer | BadLine]:
    path.write_bytes(content)
    return list(read(path))


@pytest.mark.parametrize(
    "content",
    [
        b"order,name,address\n1,Ann,ann@a.example\n",
        b"\xef\xbb\xbforder,name,address\r\n1,Ann,ann@a.example\r\n",
        b"order;name;address\n1;Ann;ann@a.example\n",
        b"address,order,name\n\n ann@a.example , 1 , Ann ",
        b'"order","name","address"\n"1","Ann","ann@a.example"\n',
    ],
    ids=["plain", "BOM and CRLF", "semicolons", "another order of columns", "quoted"],
)
def test_a_list_as_spreadsheets_write_it_is_read(tmp_path: Path, content: bytes) -> None:
    [found] = lines(tmp_path / "list.csv", content)
    assert isinstance(found, Customer)
    assert (found.order, found.values["name"], found.address) == ("1", "Ann", "ann@a.example")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", r"list\.csv:1: no column 'order'; write a first line such as order,name,address"),
        (b"order,name\n", "no column 'address'"),
        (b"order,name,address,name\n", "two columns have the same name"),
        ("order,name,address\n".encode("utf-16"), "the line is not in UTF-8"),
        (b"\0" * 10_000_000, f"the line is longer than {LONGEST} bytes"),
    ],
)
def test_a_list_without_columns_is_an_error(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        lines(tmp_path / "list.csv", content)


def test_make_live_has_a_list() -> None:
    done = run_command("live", "ship-notices")
    assert (done.returncode, done.stdout.splitlines()[-2]) == (0, "5 notices: 5 sent"), done.stderr


def test_a_list_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.csv: No such file"):
        list(read(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"1,Ann", "2 fields for 3 columns"),
        (b'1,"Ann,ann@a.example', "not CSV: unexpected end of data"),
        (b"1,,ann@a.example", "name is empty"),
        (b"1,Ann,ann", "'ann' is not a mail address"),
        (b"1,Ann,ann@a.example (Ann)", "is not a mail address"),
        (b"1,Ann,a@a.example\rBcc: x@x.example", "not CSV|contains a line break"),
        (b"1,Ann\0,ann@a.example", "not CSV|NUL"),
        (b"1,J\xf6rg,joerg@a.example", "the line is not in UTF-8"),
        (b"1," + b"x" * 10_000_000 + b",ann@a.example", f"longer than {LONGEST} bytes"),
    ],
)
def test_a_bad_line_costs_no_other_line(tmp_path: Path, line: bytes, problem: str) -> None:
    content = b"order,name,address\n" + line + b"\n2,Bob,bob@b.example\n"
    bad, good = lines(tmp_path / "list.csv", content)
    assert isinstance(bad, BadLine) and bad.line == 2
    assert re.search(problem, bad.problem), bad.problem
    assert isinstance(good, Customer) and (good.line, good.order) == (3, "2")


# ── playing the program ──────────────────────────────────────────────────────


def run(world: World, raising: bool = False, **rules: Any) -> int:
    tables = {**world.settings["scenario"]["ship-notices"], **rules}
    given = {**world.settings, "scenario": {"ship-notices": tables}}
    try:
        return ship_notices.run(world.clock, settings.load(given, world.folder), world.host)
    except CommsError as error:
        if raising:
            raise
        return error.exit_code


def statuses(folder: Path) -> dict[str, str]:
    """Order → what became of its notice."""
    with sqlite3.connect(folder / "ship-notices.sqlite3") as db:
        found = dict(db.execute('SELECT "order", status FROM notice'))
    db.close()
    return found


def play(
    count: int, *faults: str, config: Mapping[str, Any] = ship_notices.WORLD, **rules: Any
) -> tuple[World, dict[str, str]]:
    """Runs the program twice. Returns the world, and what became of the notices."""
    with World(config, rehearsal=True, faults=faults) as world:
        shop(world.folder, customers(count))
        world.clock.until(4000)
        run(world, **rules)
        run(world, **rules)
        return world, statuses(world.folder)


PLAIN, _ = play(2)


@pytest.mark.parametrize("cut", drills.quick_at("smtp . nth 1", drills.cuts(PLAIN.records)))
def test_wherever_the_connection_is_cut_nobody_is_missing_or_notified_twice(cut: str) -> None:
    world, found = play(2, cut)
    nobody_is_missing_or_notified_twice(Counter(orders(world)), found)


def nobody_is_missing_or_notified_twice(got: Counter[str], found: dict[str, str]) -> None:
    assert sorted(found) == ["1", "2"]
    assert set(found.values()) <= {"sent", "unknown"}, found
    assert list(found.values()).count("unknown") <= 1
    assert max(got.values()) == 1, "nobody twice"
    assert all(got[order] or status == "unknown" for order, status in found.items())


def killed(at: int, folder: Path, config: Mapping[str, Any] = ship_notices.WORLD) -> int | None:
    """Kills the program at this step, and lets it run again."""
    folder.mkdir()
    shop(folder, customers(2))
    with World({**config, "tls": "off"}) as world:
        steps = drills.killed(at, MODULE, world.settings, folder, CODES)
        drills.start_again(MODULE, world.settings, folder, 1, CODES)
        got, found = Counter(orders(world)), statuses(folder)
    nobody_is_missing_or_notified_twice(got, found)
    return steps


@pytest.mark.slow
def test_killed_at_any_step_nobody_is_missing_or_notified_twice(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at))) > 30


def test_a_second_program_on_the_same_file_is_refused() -> None:
    with World(ship_notices.WORLD, rehearsal=True) as world:
        shop(world.folder, customers(1))
        (world.folder / "ship-notices.sqlite3").touch()
        with Lock(world.folder / "ship-notices.sqlite3"):
            assert run(world) == StateError.exit_code
        assert run(world) == 0 and orders(world) == ["1"]


@pytest.mark.slow
def test_an_order_on_another_line_of_a_later_list_is_known_and_no_mistake() -> None:
    with World(ship_notices.WORLD, rehearsal=True) as world:
        shop(world.folder, customers(2))
        assert run(world) == 0
        shop(world.folder, customers(3)[::-1])
        assert run(world) == 0 and sorted(orders(world)) == ["1", "2", "3"]
        shop(world.folder, [*customers(3), *customers(600)])
        assert run(world) == 1 and len(orders(world)) == 600
        told = [event.text for event in world.events if "left-out" in event.text]
        wanted = [f"order {n} was in line {n + 1} already" for n in (1, 2, 3)]
        assert len(told) == 3 and all(map(str.__contains__, told, wanted))


def test_a_notice_of_an_earlier_list_without_a_column_waits_and_is_named() -> None:
    with World(ship_notices.WORLD, rehearsal=True) as world:
        shop(world.folder, customers(1))
        world.close_port("smtp")
        run(world)
        world.open_port("smtp")
        folder = world.folder / "templates"
        folder.mkdir()
        (folder / "shipped.txt").write_text("Subject: {{ courier }}\n\n", newline="\n")
        shop(world.folder, [])
        with pytest.raises(SettingsError, match=r"shipped\.txt:1: 'courier' is undefined"):
            run(world, raising=True, templates=str(folder))
        assert statuses(world.folder) == {"1": "waiting"}, "it was not sent for certain"
        assert run(world) == 0 and orders(world) == ["1"]


# ── limits ───────────────────────────────────────────────────────────────────


def test_the_rate_and_that_of_each_domain_are_kept() -> None:
    world, _ = play(14, rate=2, domain_rate=0.1)
    began = notices(world)[0].at
    at = {mail.subject.split()[1]: mail.at - began for mail in notices(world)}
    assert sorted(at.values())[:7] == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    for number in range(1, 8):
        assert at[str(number + 7)] - at[str(number)] >= 10, "the second one to the same domain"


def test_a_session_is_used_for_as_many_mails_as_the_settings_say() -> None:
    world, _ = play(7, session=3)
    sessions = Counter(record.session for record in world.records if record.verb == "MAIL")
    assert list(sessions.values()) == [3, 3, 1]


# ── what comes back ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("to", "more", "subject"),
    [
        ("returns@yourco.test", "", "unsubscribe"),
        ("returns+aaaaaaaaaaaaaaaaaaaa@yourco.test", "", "unsubscribe"),
        ("{back}", "", "Where is my parcel?"),
        ("{back}", "Auto-Submitted: auto-replied\r\n", "Re: unsubscribe"),
    ],
    ids=["no token", "a guess", "a question", "a vacation program"],
)
def test_other_mail_stays_for_a_person(to: str, more: str, subject: str) -> None:
    with World(ship_notices.WORLD, rehearsal=True) as world:
        shop(world.folder, customers(1))
        run(world)
        address = to.format(back=notices(world)[0].envelope.sender)
        text = f"From: customer1@mail1.example\r\nTo: {address}\r\n{more}Subject: {subject}\r\n\r\n"
        world.mail.deliver("returns@yourco.test", text.encode())
        shop(world.folder, [line.replace("1,", "9,", 1) for line in customers(1)])
        run(world)
        assert orders(world) == ["1", "9"], "they are still notified"
        assert len(world.mail.inbox("returns@yourco.test")) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "token", "body", "status"),
    [
        ("GET", "", {}, 200),
        ("HEAD", "", {}, 200),
        ("POST", "", {}, 400),
        ("POST", "", {"List-Unsubscribe": "one-click"}, 400),
        ("POST", "x", {"List-Unsubscribe": "One-Click"}, 404),
        ("GET", "x", {}, 404),
        ("POST", "%00", {"List-Unsubscribe": "One-Click"}, 404),
        ("PUT", "", {"List-Unsubscribe": "One-Click"}, 400),
    ],
)
def test_only_a_click_on_a_link_of_ours_unsubscribes(
    method: str, token: str, body: dict[str, str], status: int
) -> None:
    with World(ship_notices.WORLD, rehearsal=True) as world:
        shop(world.folder, customers(1))
        site = "http://127.0.0.1:8025"
        run(world, site=site)
        url = notices(world)[0].headers["list-unsubscribe"][1:].partition(">")[0]
        assert notices(world)[0].headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
        program, click = world.browser("mail-program"), {"List-Unsubscribe": "One-Click"}
        found: list[int] = []

        def clicks() -> None:
            found.append(program.open(url + token, method, body).status)
            with sqlite3.connect(world.folder / "ship-notices.sqlite3") as db:
                found.append(db.execute("SELECT count(*) FROM suppressed").fetchone()[0])
            db.close()
            found.extend(program.open(url, "POST", click).status for _ in range(2))

        world.clock.at(10, clicks)
        run(world, site=site, listen="127.0.0.1:8025")
        assert found == [status, 0, 200, 200]
        shop(world.folder, [line.replace("1,", "9,", 1) for line in customers(1)])
        run(world, site=site)
        assert orders(world) == ["1"] and statuses(world.folder)["9"] == "suppressed"


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [("5.1.1", "no such mailbox", ["1"]), ("4.2.2", "mailbox full", ["1", "10"])],
)
def test_who_cannot_be_reached_now_is_told_of_the_next_order(
    status: str, text: str, told: list[str]
) -> None:
    with World(ship_notices.WORLD, rehearsal=True) as world:
        for line in (customers(1), [customers(1)[0].replace(",", "0,", 1)]):
            shop(world.folder, line)
            world.clock.until(world.clock.elapsed + 600)
            loaded = settings.load(world.settings, world.folder)
            ship_notices.run(world.clock, loaded, world.host)
            if len(orders(world)) == 1:
                world.mail.bounce(notices(world)[0], status=status, text=text)
        assert orders(world) == told and statuses(world.folder)["1"] == "bounced"


@pytest.mark.parametrize("address", ["MÜLLER@shop.example", "Straße@shop.example"])
@pytest.mark.parametrize("spelled", [str, str.lower])
def test_who_has_unsubscribed_gets_no_more_however_the_address_is_written(
    tmp_path: Path, address: str, spelled: Callable[[str], str]
) -> None:
    first, second = Customer(1, "1", address, {}), Customer(2, "2", spelled(address), {})
    with working("sqlite:///a", lambda name: tmp_path / name, Base.metadata) as worker:
        assert not list(enlist(worker, [first], 1.0, lambda: "a"))
        with worker.session() as db, db.begin():
            unwanted(db, db.scalars(select(Notice)).one(), "", 1.0)
        assert not list(enlist(worker, [second], 2.0, lambda: "b"))
        suppress(worker)
        with worker.session() as db:
            assert [*db.scalars(select(Notice.status))] == ["suppressed", "suppressed"]


def test_a_page_without_a_site_is_a_mistake_in_the_settings() -> None:
    with World(ship_notices.WORLD, rehearsal=True) as world:
        with pytest.raises(SettingsError, match="listen: the page needs an address; write site"):
            run(world, raising=True, listen="127.0.0.1:8025")


# ── dry runs ─────────────────────────────────────────────────────────────────


def test_a_dry_run_on_the_command_line_sends_nothing_and_needs_no_server(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    shop(tmp_path, customers(3))
    site.write_text(
        f"""
        [smtp]
        host = "127.0.0.1"
        port = 1
        [scenario.ship-notices]
        sender = "shop@yourco.test"
        returns = "returns@yourco.test"
        templates = "{TEMPLATES}"
        samples = 2
        """
    )
    said = io.StringIO()
    host = RealHost(said, said)
    page = catalogue.named("ship-notices")
    assert run_live(page, site, once=True, dry_run=True, host=host) == 0
    assert "Dry run: 3 notices would be sent, 0 lines left out" in said.getvalue()
    files = sorted(path.name for path in (tmp_path / "ship-notices.samples").iterdir())
    assert files == ["line-2.eml", "line-3.eml"]


def test_a_page_without_a_dry_run_says_so(tmp_path: Path) -> None:
    done = run_command("run", "apache-alert", "--live", str(tmp_path / "none.toml"), "--dry-run")
    assert (
        done.returncode == 2 and "apache-alert has no dry run; leave --dry-run out" in done.stderr
    )


# ── very many ────────────────────────────────────────────────────────────────

KINDS = (
    'RCPT nth {} reply "451 4.7.1 later"',
    'RCPT nth {} reply "550 5.1.1 no such mailbox"',
    "smtp MAIL nth {} hang up before",
    "smtp . nth {} lost stored",
    "smtp . nth {} lost unstored",
)


@pytest.mark.slow
def test_of_thousands_of_notices_at_one_percent_faults_the_counts_agree() -> None:
    count, random = 20_000 if THOROUGH else 2_000, Random(7)
    faults = [
        random.choice(KINDS).format(at) for at in random.sample(range(1, count - 50), count // 100)
    ]
    with World(ship_notices.WORLD, rehearsal=True, records=False, faults=faults) as world:
        shop(world.folder, customers(count))
        folder = world.folder / "templates"
        folder.mkdir()
        shutil.copy(TEMPLATES / "shipped.txt", folder)  # only the text
        world.clock.until(10 * 86400)
        code = run(world, templates=str(folder), session=1000)
        found, got = Counter(statuses(world.folder).values()), Counter(orders(world))
        world.faults.disarm()
    assert code == 1 and sum(found.values()) == count
    assert set(found) == {"sent", "refused", "unknown"}
    refused = sum('"550 ' in fault for fault in faults)
    lost = sum("lost" in fault for fault in faults)
    assert (found["refused"], found["unknown"]) == (refused, lost)
    assert max(got.values()) == 1, "nobody twice"
    stored = sum("lost stored" in fault for fault in faults)
    assert len(got) == found["sent"] + stored, "nobody missing"

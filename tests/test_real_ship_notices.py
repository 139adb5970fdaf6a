"""ship-notices on a real PostgreSQL, which several workers share, and through a real Postfix."""

# apt-get install: postgresql postfix

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from comms.clock import RealClock
from comms.host import RealHost
from comms.settings import load
from fakes import World
from scenarios.sending import ship_notices
from scenarios.sending.ship_notices_samples import BACK, SHOP, TEMPLATES, customers, orders, shop
from tests import drills
from tests.databases import emptied, on_database, rows
from tests.real import need, postfix

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
MODULE = "scenarios.sending.ship_notices"
PLAIN = {**ship_notices.WORLD, "tls": "off"}


def test_several_workers_notify_each_customer_once(postgres: str, tmp_path: Path) -> None:
    database = emptied(postgres)
    shop(tmp_path, customers(400))
    with World(PLAIN) as world:
        codes = drills.together(3, MODULE, on_database(world, database), tmp_path)
        got = Counter(orders(world))
    assert codes == [0, 0, 0]
    assert len(got) == 400 and max(got.values()) == 1
    workers = rows(database, "SELECT worker, count(*) FROM notice GROUP BY worker")
    assert len(workers) > 1, "more than one worker had a part in it"


def killed(at: int, database: str, folder: Path) -> int | None:
    """Kills a worker at this step; others then send the rest."""
    folder.mkdir()
    shop(folder, customers(6))
    with World(PLAIN) as world:
        tables = on_database(world, database)
        steps = drills.killed(at, MODULE, tables, folder, codes=(0, 1))
        drills.together(2, MODULE, tables, folder)
        got = Counter(orders(world))
    found = dict(rows(database, 'SELECT "order", status FROM notice'))
    assert len(found) == 6 and set(found.values()) <= {"sent", "unknown"}
    assert list(found.values()).count("unknown") <= 1
    assert max(got.values()) == 1, "nobody twice"
    assert all(got[order] or status == "unknown" for order, status in found.items())
    return steps


def test_when_a_worker_is_killed_the_others_send_the_rest(postgres: str, tmp_path: Path) -> None:
    steps = killed(0, emptied(postgres), tmp_path / "whole")
    assert steps is not None
    for at in (1, steps // 2, steps):
        assert killed(at, emptied(postgres), tmp_path / str(at)) is None, "it was killed"


def test_notices_go_out_through_postfix(postgres: str, tmp_path: Path) -> None:
    shop(tmp_path, customers(30))
    people = [f"customer{n}@mail{n % 7}.example" for n in range(1, 30)]  # not the last one
    accounts = [{"address": address} for address in (BACK, SHOP, *people)]
    with World({**PLAIN, "person": accounts}) as world:
        with postfix(people, deliver_to=world.address("smtp")[1]) as (relay, authority, _):
            site = tmp_path / "site.toml"
            site.write_text(
                f"""
                [smtp]
                host = "localhost"
                port = {relay.port}
                ca_file = "{authority.ca_file}"
                [pop3]
                host = "localhost"
                port = {world.address("pop3")[1]}
                tls = "none"
                user = "{BACK}"
                password = {json.dumps(world.settings["pop3"]["password"])}
                [scenario.ship-notices]
                sender = "Shop <{SHOP}>"
                returns = "{BACK}"
                templates = "{TEMPLATES}"
                database = "{emptied(postgres)}"
                session = 10
                """
            )
            site.chmod(0o600)
            command = [sys.executable, "-m", "scenarios", "run", "ship-notices", "--once", "--live"]
            done = subprocess.run([*command, site], cwd=ROOT, capture_output=True, text=True)
            world.mail.wait_for_n(29, timeout=30)
    assert done.returncode == 1, done.stderr
    assert "30 notices: 1 refused, 29 sent" in done.stdout
    assert "line 31, customer30@mail2.example: refused: " in done.stdout
    got = Counter(orders(world))
    assert len(got) == 29 and max(got.values()) == 1


def test_the_rate_beside_that_of_smtp_source_of_postfix(
    postgres: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints what one session of each sends in a second; that all arrive is what is tested."""
    count = 1000
    people = [f"customer{n}@mail{n % 7}.example" for n in range(1, count + 1)]
    shop(tmp_path, customers(count))
    rates = {}
    with World({"servers": ["pop3"], "tls": "off", "person": [{"address": BACK}]}) as world:
        with postfix(people, deliver_to=0, by="discard:") as (relay, _, place):
            source = [need("smtp-source", "postfix"), "-c", "-d", "-s", "1", "-m", str(count)]
            source += ["-l", "700", "-f", BACK, "-t", people[0], f"127.0.0.1:{relay.port}"]
            began = time.monotonic()
            subprocess.run(source, check=True, capture_output=True)
            rates["smtp-source"] = count / (time.monotonic() - began)
            for name, database in (
                ("ship-notices on PostgreSQL", emptied(postgres)),
                ("ship-notices on SQLite", "sqlite:///rate.sqlite3"),
            ):
                rules = {"sender": SHOP, "returns": BACK, "templates": str(TEMPLATES)}
                tables = {
                    "smtp": {"host": "127.0.0.1", "port": relay.port, "tls": "none"},
                    "pop3": world.settings["pop3"],
                    "scenario": {"ship-notices": {**rules, "database": database, "session": count}},
                }
                with contextlib.closing(RealClock()) as clock:
                    began = time.monotonic()
                    code = ship_notices.run(clock, load(tables, tmp_path), RealHost())
                rates[name] = count / (time.monotonic() - began)
                assert code == 0
            log = (place / "log" / "mail.log").read_text()
    accepted = Counter(re.findall(r"/cleanup\[.*: message-id=(.*)", log))
    assert (accepted.total(), max(accepted.values())) == (3 * count, 1)
    with capsys.disabled():
        for name, rate in rates.items():
            print(f"\n{name:30} {rate:8,.0f} mails per second", end="")
        print()

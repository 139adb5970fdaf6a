"""order-receipt on a real PostgreSQL and through a real Postfix; its PDF in a real reader."""

# apt-get install: postgresql postfix poppler-utils fonts-dejavu-core

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fakes import World
from scenarios.sending import order_receipt
from scenarios.sending.order_receipt_input import checked, read
from scenarios.sending.order_receipt_pdf import Paper
from scenarios.sending.order_receipt_samples import (
    BOOKS,
    OWNER,
    SHOP,
    TEMPLATES,
    append,
    order,
    receipts,
)
from tests import drills
from tests.databases import emptied, on_database, rows
from tests.real import postfix

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
MODULE = "scenarios.sending.order_receipt"
PLAIN = {**order_receipt.WORLD, "tls": "off"}
DEJAVU = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


def pay(folder: Path, count: int) -> None:
    lines = (json.dumps(order(str(n), f"buyer{n}")) + "\n" for n in range(1, count + 1))
    append(folder, "".join(lines))


def got(world: World) -> Counter[str]:
    return Counter(mail.subject.split()[-1] for mail in receipts(world))


def statuses(database: str) -> dict[str, str]:
    return dict(rows(database, 'SELECT "order", status FROM receipt'))


def test_several_workers_serve_each_buyer_once(postgres: str, tmp_path: Path) -> None:
    database = emptied(postgres)
    pay(tmp_path, 220)  # more than a batch: they take turns at the file
    with World(PLAIN) as world:
        codes = drills.together(3, MODULE, on_database(world, database), tmp_path)
        served = got(world)
    assert codes == [0, 0, 0]
    assert len(served) == 220 and max(served.values()) == 1
    assert set(statuses(database).values()) == {"sent"}


def killed(at: int, database: str, folder: Path) -> int | None:
    """Kills a worker at this step; others then send the rest."""
    folder.mkdir()
    pay(folder, 6)
    with World(PLAIN) as world:
        tables = on_database(world, database)
        steps = drills.killed(at, MODULE, tables, folder, codes=(0, 1))
        drills.together(2, MODULE, tables, folder)
        served = got(world)
    found = statuses(database)
    assert len(found) == 6 and set(found.values()) <= {"sent", "unknown"}
    assert list(found.values()).count("unknown") <= 1
    assert max(served.values()) == 1, "nobody twice"
    assert all(served[number] or status == "unknown" for number, status in found.items())
    return steps


def test_when_a_worker_is_killed_the_others_send_the_rest(postgres: str, tmp_path: Path) -> None:
    steps = killed(0, emptied(postgres), tmp_path / "whole")
    assert steps is not None
    for at in (1, steps // 2, steps):
        assert killed(at, emptied(postgres), tmp_path / str(at)) is None, "it was killed"


def test_receipts_go_out_through_postfix(postgres: str, tmp_path: Path) -> None:
    pay(tmp_path, 10)
    append(tmp_path, json.dumps(order("1", "buyer1")) + "\n")
    people = [f"buyer{n}@customer.example" for n in range(1, 10)]  # not the last one
    people.append(OWNER)
    accounts = [{"address": address} for address in (SHOP, *people)]
    with World({**PLAIN, "person": accounts}) as world:
        with postfix(people, deliver_to=world.address("smtp")[1]) as (relay, authority, _):
            site = tmp_path / "site.toml"
            site.write_text(
                f"""
                [smtp]
                host = "localhost"
                port = {relay.port}
                ca_file = "{authority.ca_file}"
                [scenario.order-receipt]
                owner = "{OWNER}"
                seller = "{BOOKS}"
                sender = "Yourco Books <{SHOP}>"
                templates = "{TEMPLATES}"
                database = "{emptied(postgres)}"
                """
            )
            command = [
                sys.executable,
                "-m",
                "scenarios",
                "run",
                "order-receipt",
                "--once",
                "--live",
            ]
            done = subprocess.run([*command, site], cwd=ROOT, capture_output=True, text=True)
            world.mail.wait_for_n(10, timeout=30)
        served, told = got(world), world.mail.inbox(OWNER)
    assert done.returncode == 1, done.stderr
    assert "10 receipts: 1 refused, 9 sent" in done.stdout
    assert "order 10, buyer10@customer.example: refused: " in done.stdout
    assert len(served) == 9 and max(served.values()) == 1
    assert [mail.subject for mail in told] == ["1 order needs a look"]


@pytest.mark.parametrize("name", ["Zoë “Ann” Šámal", "Зоя Ωμέγα Łukasz"])
def test_a_reader_of_pdf_finds_every_character(tmp_path: Path, name: str) -> None:
    found = checked(read(json.dumps(order("7 (a)", "ann", name=name)).encode()))
    file = tmp_path / "receipt.pdf"
    file.write_bytes(Paper(BOOKS, DEJAVU).receipt(found))
    done = subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", "no warning either"
    lines = [" ".join(line.split()) for line in done.stdout.splitlines() if line.strip()]
    assert lines == [
        BOOKS,
        "Receipt 7 (a)",
        "Paid on 2026-01-05",
        f"by {name}",
        "Item Quantity Price Amount in EUR",
        "Book 2 37.45 74.90",
        "Delivery 1 4.90 4.90",
        "Total 79.80 EUR",
        "includes 5.22 EUR of tax",
    ]

"""order-receipt: each paid order gets one receipt, whatever is in the list or breaks on the way."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
import string
from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import settings
from comms.errors import CommsError, SettingsError, StateError
from comms.lock import Lock
from fakes import World
from scenarios import catalogue, rehearsal
from scenarios.delivery import Delivery
from scenarios.sending import order_receipt
from scenarios.sending.order_receipt_input import EXAMPLE, Order, checked, digest, read
from scenarios.sending.order_receipt_pdf import Paper
from scenarios.sending.order_receipt_samples import (
    BOOKS,
    OWNER,
    alerts,
    append,
    drawn,
    font,
    order,
    receipts,
)
from tests import drills
from tests.thorough import THOROUGH

PAGE = catalogue.named("order-receipt")
MODULE = "scenarios.sending.order_receipt"
CODES = (0, 1)  # 1: the outcome of a receipt is unknown

# ── orders ───────────────────────────────────────────────────────────────────


def parsed(text: str) -> Order:
    return checked(read(text.encode()))


def line(**changes: Any) -> str:
    table = {**order("7", "ann"), **changes}
    return json.dumps({key: value for key, value in table.items() if value != "absent"})


def test_numbers_are_exact_whether_they_are_written_as_texts_or_as_numbers() -> None:
    texts = parsed(line())
    numbers = parsed(line().replace('"37.45"', "37.45").replace('"79.80"', "79.8"))
    assert texts == numbers and digest(texts.table()) == digest(numbers.table())
    assert texts.total == Decimal("79.80") and str(numbers.total) == "79.80"
    cents = [{"name": "Sweet", "quantity": 1, "price": "0.10"}] * 3
    assert parsed(line(items=cents, total="0.30", tax="absent")).total == Decimal("0.30")


def test_an_order_is_the_same_after_it_was_stored() -> None:
    found = parsed(line(name="Zoe\u0308  \t Ann", paid="2026-01-05T09:30:00+05:30", extra=[1]))
    assert found.name == "Zo\xeb Ann"
    again = checked(json.loads(json.dumps(found.table())))
    assert again == found and digest(again.table()) == digest(found.table())
    assert again.paid.isoformat() == "2026-01-05T09:30:00+05:30"


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("EUR", "1.50"), ("JPY", "150"), ("KWD", "1.505"), ("CLF", "1.5055"), ("XTS", "-0.00")],
)
def test_a_currency_has_its_own_decimals(currency: str, amount: str) -> None:
    items = [{"name": "Book", "quantity": 1, "price": amount}]
    found = parsed(line(currency=currency, items=items, total=amount, tax="absent"))
    assert str(found.total) == amount.removeprefix("-")
    too_fine = f"{amount}1" if "." in amount else f"{amount}.5"
    with pytest.raises(ValueError, match=r"decimals of its currency|expected an amount"):
        parsed(line(currency=currency, total=too_fine))


BOOK = {"name": "Book", "quantity": 1, "price": "1"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"order": "absent"}, "order: expected a text, found nothing"),
        ({"order": ["7"]}, "order: expected a text"),
        ({"name": "  "}, "name: expected a text"),
        ({"name": "x" * 201}, "name: longer than 200 characters"),
        ({"name": "Ann\nBcc: x@x.example"}, "name: .* contains a line break"),
        ({"name": "Ann\0"}, "name: .* contains a line break or NUL"),
        ({"name": "Ann\u202egro.elpmaxe"}, r"name: U\+202E in it cannot be printed"),
        ({"name": "Ann\ud800"}, r"name: U\+D800 in it cannot be printed"),
        ({"name": "Ann\x1b[2J"}, r"name: U\+001B in it cannot be printed"),
        ({"address": "absent"}, "address: expected a text"),
        ({"address": "ann"}, "address: 'ann' is not a mail address"),
        ({"address": "a@a.example, b@b.example"}, "is not a mail address"),
        ({"address": "Ann <a@a.example>"}, "is not a mail address"),
        ({"currency": "euro"}, "currency: expected a code such as EUR, found 'euro'"),
        ({"items": []}, "items: expected a list of 1 to 500"),
        ({"items": [BOOK] * 501}, "items: expected a list of 1 to 500"),
        ({"items": {"name": "Book"}}, "items: expected a list"),
        ({"items": ["Book"]}, r"items\[1\]: expected an object"),
        ({"items": [{**BOOK, "quantity": 0}]}, r"items\[1\]\.quantity: expected a whole number"),
        ({"items": [{**BOOK, "quantity": 1.5}]}, "expected a whole number, found '1.5'"),
        ({"items": [{**BOOK, "quantity": True}]}, "expected a whole number, found True"),
        ({"items": [{**BOOK, "price": "1e3"}]}, r"items\[1\]\.price: expected an amount"),
        ({"items": [{**BOOK, "price": "1,50"}]}, "expected an amount such as 39.90, found '1,50'"),
        ({"items": [{**BOOK, "price": float("nan")}]}, "expected an amount .* found 'NaN'"),
        ({"items": [{**BOOK, "price": 0.1 + 0.2}]}, "expected an amount"),
        ({"items": [{**BOOK, "price": "9" * 13}]}, "expected an amount"),
        ({"items": [BOOK, {**BOOK, "price": "٣"}]}, r"items\[2\]\.price: expected an amount"),
        ({"total": 79.81}, "total: 79.81 EUR, but the items add up to 79.80"),
        ({"total": "79.805"}, "total: 79.805 has more than the 2 decimals"),
        ({"total": None}, "total: expected an amount such as 39.90, found nothing"),
        ({"items": [{**BOOK, "price": "-1"}], "total": "-1"}, "neither below 0"),
        ({"tax": "79.81"}, "no less than the tax"),
        ({"tax": "-1"}, "neither below 0"),
        ({"paid": "2026-01-05T00:00:00"}, "paid: expected a time with its zone"),
        ({"paid": "yesterday"}, "found 'yesterday'"),
        ({"paid": "0001-01-01T00:00:00+14:00"}, "paid: expected a time"),
        ({"paid": 1767571200}, "paid: expected a time with its zone, .* found '1767571200'"),
    ],
)
def test_what_is_wrong_with_an_order_is_said_with_its_key(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parsed(line(**changes))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"1,Ann", "the line is not JSON: Extra data, column 2"),
        (b"[1]", "the line is not an object"),
        (b'{"name": "J\xf6rg"}', "the line is not in UTF-8"),
        (b'{"total": "1", "total": "2"}', "the line has a key twice"),
        (b"[" * 200_000, "the line is nested too deeply"),
        (b'{"order"', "the line is not JSON"),
    ],
)
def test_a_line_that_is_no_order_is_named(raw: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(raw)
    assert read(b'\xef\xbb\xbf{"order": 7}') == {"order": "7"}, "with the mark of UTF-8"


PRICES = st.decimals(min_value=0, max_value=10**6, places=2)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 999), PRICES), min_size=1, max_size=20))
def test_sums_are_exact_for_any_prices(rows: list[tuple[int, Decimal]]) -> None:
    items = [{"name": "x", "quantity": count, "price": str(price)} for count, price in rows]
    cents = sum(count * int(price * 100) for count, price in rows)
    total = f"{cents // 100}.{cents % 100:02}"
    assert str(parsed(line(items=items, total=total, tax="absent")).total) == total
    wrong = f"{(cents + 1) // 100}.{(cents + 1) % 100:02}"
    with pytest.raises(ValueError, match="the items add up to"):
        parsed(line(items=items, total=wrong, tax="absent"))


# ── the PDF ──────────────────────────────────────────────────────────────────

LATIN = "Zoë Šťastná".replace("ť", "t") + " “Å” – 5 €"
PAPER = Paper(BOOKS, None)


def lines_of(pdf: bytes) -> list[str]:
    return [text.decode("cp1252") for text in re.findall(rb"\((.*)\) Tj", pdf)]


def test_a_pdf_has_the_order_and_is_always_the_same() -> None:
    found = parsed(line(name=LATIN, items=[{**BOOK, "name": "Book {nb} (2nd)"}], total=1, tax=0))
    pdf = PAPER.receipt(found)
    assert pdf == Paper(BOOKS, None).receipt(found)
    texts = [text.replace("\\", "") for text in lines_of(pdf)]
    assert texts[:4] == [BOOKS, "Receipt 7", "Paid on 2026-01-05", f"by {LATIN}"]
    assert texts[8:] == [
        *("Book {nb} (2nd)", "1", "1.00", "1.00"),
        *("Total", "1.00 EUR", "includes 0.00 EUR of tax"),
    ]
    assert b"/CreationDate (D:20260105000000Z)" in pdf, "the time is the order's"


def test_a_long_order_goes_on_on_the_next_page() -> None:
    pdf = PAPER.receipt(parsed(line(items=[BOOK] * 80, total=80, tax="absent")))
    assert lines_of(pdf).count("Quantity") == pdf.count(b"/Type /Page\n") == 3


def test_what_helvetica_lacks_is_drawn_with_the_font_or_named(tmp_path: Path) -> None:
    greek = parsed(line(name="Ωmega"))
    with pytest.raises(ValueError, match=r"name: Helvetica lacks 'Ω' \(U\+03A9\); set order-rec"):
        PAPER.receipt(greek)
    path = font(tmp_path / "boxes.ttf", string.printable + "Ω")
    paper = Paper(BOOKS, path)
    pdf = paper.receipt(greek)
    assert b"Boxes" in pdf and pdf == Paper(BOOKS, path).receipt(greek)
    assert b"Boxes" not in paper.receipt(EXAMPLE), "only where it is needed"
    with pytest.raises(ValueError, match=r"name: boxes\.ttf lacks 'é' \(U\+00E9\)"):
        paper.receipt(parsed(line(name="Ωé")))
    for shaped in ("אבי", "أحمد", "कि"):
        with pytest.raises(ValueError, match="cannot be drawn, because it needs shaping"):
            paper.receipt(parsed(line(name=shaped)))


def test_a_font_or_a_seller_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    for content in (b"", b"not a font", b"\0\1\0\0" + b"\xff" * 100):
        (tmp_path / "x.ttf").write_bytes(content)
        with pytest.raises(SettingsError, match=r"order-receipt\.font: .* is not a TrueType font"):
            Paper(BOOKS, tmp_path / "x.ttf")
    with pytest.raises(SettingsError, match=r"order-receipt\.seller: Helvetica lacks 'Ω'"):
        Paper("Ω Books", None)


# ── playing the program ──────────────────────────────────────────────────────


def run(world: World, **rules: Any) -> int:
    tables = {**world.settings["scenario"]["order-receipt"], "every": 60, **rules}
    loaded = {**world.settings, "scenario": {"order-receipt": tables}}
    try:
        return order_receipt.run(world.clock, settings.load(loaded, world.folder), world.host)
    except CommsError as error:
        return error.exit_code


def pay(folder: Path, *numbers: int, **changes: Any) -> None:
    """Lists these orders."""
    rows = (json.dumps(order(str(n), f"buyer{n}", **changes)) + "\n" for n in numbers)
    append(folder, "".join(rows))


def statuses(folder: Path) -> dict[str, str]:
    """Order → what became of its receipt."""
    with sqlite3.connect(folder / "order-receipt.sqlite3") as db:
        found = dict(db.execute('SELECT "order", status FROM receipt'))
    db.close()
    return found


def got(world: World) -> Counter[str]:
    """How many receipts there are of each order."""
    return Counter(mail.subject.split()[-1] for mail in receipts(world))


def rehearsed(*faults: str, until: float = 200) -> World:
    """Returns a world, not yet entered, in which two orders are paid."""
    world = World(order_receipt.WORLD, rehearsal=True, faults=faults)
    pay(world.folder, 1, 2)
    world.clock.until(until)
    return world


def nobody_is_missing_or_served_twice(got: Counter[str], found: dict[str, str]) -> None:
    assert sorted(found) == ["1", "2"]
    assert set(found.values()) <= {"sent", "unknown"}, found
    assert list(found.values()).count("unknown") <= 1
    assert max(got.values()) == 1, "nobody twice"
    assert all(got[number] or status == "unknown" for number, status in found.items())


with rehearsed() as plain:
    run(plain)
    CUTS = list(drills.cuts(plain.records))


@pytest.mark.parametrize("cut", drills.quick_at("smtp . nth 1", CUTS))
def test_wherever_the_connection_is_cut_nobody_is_missing_or_served_twice(cut: str) -> None:
    with rehearsed(cut) as world:
        if run(world) not in CODES:  # half of what the server offers has no login: it is refused
            world.clock.until(400)
            run(world)
        found = statuses(world.folder)
        nobody_is_missing_or_served_twice(got(world), found)
        unknown = sum(status == "unknown" for status in found.values())
        assert len(alerts(world)) == unknown, "the owner is told of what is unknown"


def killed(at: int, folder: Path) -> int | None:
    """Kills the program at this step, and lets it run again."""
    folder.mkdir()
    pay(folder, 1, 2)
    append(folder, "not an order\n")
    with World({**order_receipt.WORLD, "tls": "off"}) as world:
        steps = drills.killed(at, MODULE, world.settings, folder, CODES)
        drills.start_again(MODULE, world.settings, folder, 1, CODES)
        nobody_is_missing_or_served_twice(got(world), statuses(folder))
        texts = "".join(mail.text for mail in alerts(world))
    assert "orders.jsonl: line 3: the line is not JSON" in texts, "the owner is told"
    return steps


@pytest.mark.slow
def test_killed_at_any_step_nobody_is_missing_or_served_twice(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at))) > 30


def test_a_second_program_on_the_same_file_is_refused() -> None:
    with rehearsed() as world:
        (world.folder / "order-receipt.sqlite3").touch()
        with Lock(world.folder / "order-receipt.sqlite3"):
            assert run(world) == StateError.exit_code
        assert run(world) == 0 and got(world).total() == 2


def test_a_receipt_that_is_sent_again_is_the_same_mail() -> None:
    with rehearsed("smtp . lost stored nth 1") as world:
        assert run(world) == 1 and statuses(world.folder) == {"1": "unknown", "2": "sent"}
        # The owner has asked the buyer, and decides.
        with sqlite3.connect(world.folder / "order-receipt.sqlite3") as db:
            db.execute("UPDATE receipt SET status = 'waiting' WHERE status = 'unknown'")
        db.close()
        world.clock.until(400)
        assert run(world) == 0
        first, second, again = receipts(world)
    assert first.raw == again.raw != second.raw
    assert first.headers["message-id"] != second.headers["message-id"]


# ── what no order can do ─────────────────────────────────────────────────────

EVIL = "\r\nBcc: everybody@other.example\r\n\r\nEvil"


def with_text(field: str, text: str) -> dict[str, Any]:
    """An order that has this text in a field."""
    if field.startswith("item "):
        field = field.removeprefix("item ")
        return {**order("9", "ann"), "items": [{**BOOK, field: text}], "total": 1, "tax": "0"}
    return {**order("9", "ann"), field: text}


@pytest.mark.slow
@pytest.mark.parametrize("field", [*EXAMPLE.table(), *(f"item {key}" for key in BOOK)])
def test_no_field_of_an_order_can_add_a_header(field: str) -> None:
    with World(order_receipt.WORLD, rehearsal=True) as world:
        for before in ("", "1", "ann@customer.example"):
            append(world.folder, json.dumps(with_text(field, before + EVIL)) + "\n")
        world.clock.until(60)
        assert run(world) == 1
        assert receipts(world) == [], "it is refused"
        assert [mail.envelope.to for mail in alerts(world)] == [[OWNER]]
        assert all("bcc" not in mail.headers for mail in world.mail.messages)


def test_html_in_an_order_is_shown_and_not_obeyed() -> None:
    with World(order_receipt.WORLD, rehearsal=True) as world:
        pay(world.folder, 1, name="<script>alert(1)</script> {{ 7 * 7 }}")
        world.clock.until(60)
        assert run(world) == 0
        [mail] = receipts(world)
    assert "<script>" not in mail.html and "&lt;script&gt;" in mail.html
    assert "Hello <script>alert(1)</script> {{ 7 * 7 }}," in mail.text
    assert "by <script>alert(1)</script> {{ 7 * 7 }}" in drawn(mail)


# ── the owner ────────────────────────────────────────────────────────────────


def test_the_owner_is_told_once_and_again_only_of_what_is_new() -> None:
    with World(order_receipt.WORLD, rehearsal=True) as world:
        pay(world.folder, 1, 2, address="nobody")
        world.clock.until(600)
        run(world)
        pay(world.folder, 3, address="nobody")
        world.clock.until(1200)
        run(world)
        subjects = [mail.subject for mail in alerts(world)]
        assert subjects == ["2 orders need a look"], "one mail an hour"
        world.clock.until(8000)
        run(world, every=1000)
        assert [mail.subject for mail in alerts(world)][1:] == ["1 order needs a look"]


def test_a_mail_to_the_owner_that_may_be_lost_is_sent_again() -> None:
    with World(order_receipt.WORLD, rehearsal=True, faults=["smtp . lost unstored"]) as world:
        pay(world.folder, 1, address="nobody")
        world.clock.until(600)
        run(world)
        assert [mail.subject for mail in alerts(world)] == []
        world.faults.disarm()
        world.clock.until(8000)
        run(world, every=1000)
        assert [mail.subject for mail in alerts(world)] == ["1 order needs a look"]


def test_a_template_that_lacks_a_value_is_found_before_there_is_an_order() -> None:
    with rehearsed() as world:
        folder = world.folder / "templates"
        folder.mkdir()
        (folder / "receipt.txt").write_text("Subject: {{ customer }}\n\n", newline="\n")
        assert run(world, templates=str(folder)) == SettingsError.exit_code
        assert not (world.folder / "order-receipt.sqlite3").exists()
        assert run(world) == 0 and got(world).total() == 2


# ── what each claim would notice ─────────────────────────────────────────────

COUNTER = itertools.count()
DESK = f"{MODULE}_desk.Desk"
# A mistake → where it is made, what is there instead, and what then breaks in which act.
MISTAKES: dict[str, tuple[str, Any, dict[str, set[str]]]] = {
    "each line is an order": (
        f"{MODULE}_desk.number_of",
        lambda table: f"{next(COUNTER)} {table['order']}",
        {
            "order-receipt": {"each buyer gets one receipt"},
            "receipt-restart": {"each order gets one receipt", "what is known is logged"},
        },
    ),
    "the PDF has no table": (
        f"{MODULE}_pdf.Paper._table",
        lambda self, pdf, order: None,
        {"order-receipt": {"the total is in all three parts"}},
    ),
    "no mark": (
        "comms.compose.Message.add_header",
        lambda self, name, value: None,
        {"order-receipt": {"no vacation program answers them"}},
    ),
    "a report without words, and always bad": (
        f"{DESK}.report",
        lambda self: 1,
        {
            "order-receipt": {"the exit code is 0"},
            "receipt-bad-orders": {"the others are kept, with what is wrong"},
            "receipt-corrected": {"the exit code is 0"},
            "receipt-troubles": {"the report names the others"},
            "receipt-restart": {"the exit code is 0"},
            "receipt-names": {"the exit code is 0"},
        },
    ),
    "always good": (
        f"{DESK}.report",
        lambda self: 0,
        {
            "receipt-bad-orders": {"the exit code is 1"},
            "receipt-other-content": {"the exit code is 1"},
            "receipt-troubles": {"the exit code is 1"},
        },
    ),
    "addresses are not checked": (
        f"{MODULE}_desk.checked",
        lambda table: checked({**table, "address": "everybody@other.example"}),
        {"receipt-bad-orders": {"only the good order gets a receipt", "nobody else gets a mail"}},
    ),
    "the owner is not told": (
        f"{DESK}._tell",
        lambda self: None,
        {
            "receipt-bad-orders": {"the owner is told of all in one mail"},
            "receipt-other-content": {"the owner is told"},
            "receipt-troubles": {"the owner is told once"},
            "receipt-names": {"the owner is told what Zoya's lacks"},
        },
    ),
    "what was sent may be corrected": (
        f"{MODULE}_desk.NEVER_SENT",
        ("flagged", "refused", "sent"),
        {"receipt-other-content": {"the buyer gets no second receipt"}},
    ),
    "nothing may be corrected": (
        f"{MODULE}_desk.NEVER_SENT",
        (),
        {"receipt-corrected": {"the receipt goes to the right one"}},
    ),
    "what is unknown is sent again": (
        f"{MODULE}_desk.Delivery",
        lambda *rest, **options: Delivery(*rest, **{**options, "repeat": True}),
        {"receipt-troubles": {"the busy server is tried again, the lost reply is not"}},
    ),
    "only ASCII is built in": (
        f"{MODULE}_pdf.BUILT_IN",
        "ascii",
        {"receipt-names": {"Zoë gets a receipt"}},
    ),
    "what is flagged stays so": (
        f"{DESK}.try_flagged_again",
        lambda self: None,
        {
            "receipt-names": {
                "with a font that has it, Zoya gets hers",
                "the font is in the PDF",
            }
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed_by_claims(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, instead, breaks = MISTAKES[mistake]
    monkeypatch.setattr(place, instead)
    for act in PAGE.acts():
        if act.name in breaks:
            claims = rehearsal.rehearse(PAGE, act).claims
            broken = {claim.text for claim in claims if not claim.holds}
            assert breaks[act.name] <= broken, act.name


@pytest.mark.slow
def test_each_claim_would_notice_a_mistake() -> None:
    for act in PAGE.acts():
        noticed = {text for _, _, breaks in MISTAKES.values() for text in breaks.get(act.name, ())}
        claims = {claim.text for claim in rehearsal.rehearse(PAGE, act).claims}
        assert claims == noticed, act.name


# ── very many ────────────────────────────────────────────────────────────────

KINDS = (
    'RCPT nth {} reply "451 4.7.1 later"',
    'RCPT nth {} reply "550 5.1.1 no such mailbox"',
    "smtp MAIL nth {} hang up before",
    "smtp . nth {} lost stored",
    "smtp . nth {} lost unstored",
)


@pytest.mark.slow
def test_of_hundreds_of_orders_with_ten_faults_the_counts_agree() -> None:
    count, random = 500 if THOROUGH else 150, Random(7)
    places = random.sample(range(1, count - 50), 10)
    faults = [random.choice(KINDS).format(at) for at in places]
    with World(order_receipt.WORLD, rehearsal=True, records=False, faults=faults) as world:
        pay(world.folder, *range(count))
        pay(world.folder, *range(0, count, 10))  # listed again
        pay(world.folder, *range(0, count, 50), name="Somebody Else")
        world.clock.until(3600)
        assert run(world, pause=100_000) == 1
        found, sent = Counter(statuses(world.folder).values()), got(world)
        world.faults.disarm()
    assert found.total() == count and set(found) == {"sent", "refused", "unknown"}
    refused = sum('"550 ' in fault for fault in faults)
    lost = sum("lost" in fault for fault in faults)
    assert (found["refused"], found["unknown"]) == (refused, lost)
    assert max(sent.values()) == 1, "nobody twice"
    stored = sum("lost stored" in fault for fault in faults)
    assert len(sent) == found["sent"] + stored, "nobody missing"
    told = world.mail.inbox(OWNER)
    assert [mail.subject for mail in told] == [f"{count // 50 + refused + lost} orders need a look"]

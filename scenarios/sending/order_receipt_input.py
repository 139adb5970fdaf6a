"""Paid orders: a line of JSON for each, and what is checked before anybody gets a receipt.

Amounts are exact: a number is never read as a float, and every sum is computed again.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from comms import addresses
from comms.header import check_line
from comms.words import one_line

LONGEST = 200  # characters of a text
ITEMS = 500  # in an order, at most
# ISO 4217: the currencies whose amounts do not have two decimals.
DECIMALS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
_AMOUNT = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,4})?")


@dataclass(frozen=True)
class Item:
    """A row of an order. Discounts have a negative price."""

    name: str
    quantity: int
    price: Decimal

    @property
    def amount(self) -> Decimal:
        """The price of all of them."""
        return self.quantity * self.price


@dataclass(frozen=True)
class Order:
    """A paid order. `tax` is the part of the total that is tax, if the shop says it."""

    order: str
    paid: datetime
    name: str
    address: str
    currency: str
    items: tuple[Item, ...]
    total: Decimal
    tax: Decimal | None = None

    def table(self) -> dict[str, Any]:
        """Returns it as JSON has it; the same order is always the same table."""
        items = [
            {"name": item.name, "quantity": str(item.quantity), "price": str(item.price)}
            for item in self.items
        ]
        tax = {} if self.tax is None else {"tax": str(self.tax)}
        return {
            "order": self.order,
            "paid": self.paid.isoformat(),
            "name": self.name,
            "address": self.address,
            "currency": self.currency,
            "items": items,
            "total": str(self.total),
            **tax,
        }

    def values(self) -> dict[str, Any]:
        """Returns what templates are filled with: all amounts are texts."""
        items = [
            {**row, "amount": str(item.amount)}
            for row, item in zip(self.table()["items"], self.items, strict=True)
        ]
        return {
            **self.table(),
            "paid": f"{self.paid:%Y-%m-%d}",
            "items": items,
            "tax": self.tax or "",
        }

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yields the name and the value of each text that the buyer will read."""
        yield "order", self.order
        yield "name", self.name
        for number, item in enumerate(self.items, 1):
            yield f"items[{number}].name", item.name


EXAMPLE = Order(
    "1001",
    datetime(2026, 1, 5, 9, 30, tzinfo=UTC),
    "Ann",
    "ann@example.org",
    "EUR",
    (Item("Book", 2, Decimal("39.90")),),
    Decimal("79.80"),
    Decimal("5.22"),
)


def digest(table: Mapping[str, Any]) -> str:
    """Returns what tells two contents apart."""
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def read(line: bytes) -> dict[str, Any]:
    """Reads a line. Numbers are left as they are written. Raises ValueError."""
    try:
        text = line.decode("utf-8-sig")  # editors of some systems begin a file with a mark
        found = json.loads(
            text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_unique
        )
    except UnicodeDecodeError:
        raise ValueError("the line is not in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the line is not JSON: {error.msg}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("the line is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError('the line is not an object; write {"order": …}')
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("the line has a key twice")
    return found


def number_of(table: Mapping[str, Any]) -> str:
    """Returns what identifies an order. Raises ValueError."""
    return _text(table, "order")


def checked(table: Mapping[str, Any]) -> Order:
    """Checks an order. Raises ValueError, as `KEY: PROBLEM`."""
    address = _text(table, "address")
    if not addresses.is_address(address):
        raise ValueError(f"address: {address!r} is not a mail address")
    currency = _text(table, "currency")
    if not re.fullmatch("[A-Z]{3}", currency):
        raise ValueError(f"currency: expected a code such as EUR, found {_shown(currency)}")
    decimals = DECIMALS.get(currency, 2)
    rows = table.get("items")
    if not isinstance(rows, list) or not 1 <= len(rows) <= ITEMS:
        raise ValueError(f"items: expected a list of 1 to {ITEMS}")
    items = tuple(_item(row, f"items[{at}].", decimals) for at, row in enumerate(rows, 1))
    total = _amount(table, "total", decimals)
    tax = None if table.get("tax") is None else _amount(table, "tax", decimals)
    added = sum((item.amount for item in items), Decimal())
    if added != total:
        raise ValueError(f"total: {total} {currency}, but the items add up to {added}")
    if total < 0 or not 0 <= (tax or 0) <= total:
        raise ValueError("total: expected no less than the tax, and neither below 0")
    paid, name = _time(table, "paid"), _text(table, "name")
    return Order(number_of(table), paid, name, address, currency, items, total, tax)


def _item(row: object, place: str, decimals: int) -> Item:
    if not isinstance(row, dict):
        raise ValueError(f"{place.rstrip('.')}: expected an object")
    quantity = row.get("quantity")
    if not isinstance(quantity, str) or not re.fullmatch("[1-9][0-9]{0,5}", quantity):
        raise ValueError(f"{place}quantity: expected a whole number, found {_shown(quantity)}")
    price = _amount(row, "price", decimals, place)
    return Item(_text(row, "name", place), int(quantity), price)


def _amount(row: Mapping[str, Any], key: str, decimals: int, place: str = "") -> Decimal:
    text = row.get(key)
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise ValueError(f"{place}{key}: expected an amount such as 39.90, found {_shown(text)}")
    exact = Decimal(text)
    written = exact.quantize(Decimal(1).scaleb(-decimals)) + 0  # no -0.00
    if written != exact:
        raise ValueError(
            f"{place}{key}: {text} has more than the {decimals} decimals of its currency"
        )
    return written


def _time(row: Mapping[str, Any], key: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(row, key))
        found.astimezone(UTC)  # the first and the last year may have no other zones
    except (ValueError, OverflowError):
        found = datetime.min
    if found.tzinfo is None:
        example = "a time with its zone, such as 2026-01-05T09:30:00+01:00"
        raise ValueError(f"{key}: expected {example}, found {_shown(row.get(key))}")
    return found


def _text(row: Mapping[str, Any], key: str, place: str = "") -> str:
    """Returns a text as it is shown: with single spaces, and its characters composed."""
    value, key = row.get(key), place + key
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key}: expected a text, found {_shown(value)}")
    if len(value) > LONGEST:
        raise ValueError(f"{key}: longer than {LONGEST} characters")
    check_line(key, value)
    text = " ".join(unicodedata.normalize("NFC", value).split())
    for character in text:
        # Controls, halves of characters, and marks that turn the direction of what follows.
        if not character.isprintable():
            problem = f"U+{ord(character):04X} in it cannot be printed"
            raise ValueError(f"{key}: {problem}; leave it out")
    return text


def _shown(value: object) -> str:
    return "nothing" if value is None else one_line(repr(value))[:60]

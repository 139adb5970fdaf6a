"""The shop of order-receipt, its buyers, and what they pay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

if TYPE_CHECKING:
    from fakes import World
    from fakes.mail import Mail

SHOP, OWNER = "shop@yourco.test", "owner@yourco.test"
BOOKS = "Yourco Books, 1 Main Street"
TEMPLATES = Path(__file__).parent / "templates"
RULES = {
    "owner": OWNER,
    "seller": BOOKS,
    "sender": f"Yourco Books <{SHOP}>",
    "templates": str(TEMPLATES),
}


def order(number: str, buyer: str, **changes: Any) -> dict[str, Any]:
    """Returns an order as the shop's program writes it."""
    return {
        "order": number,
        "paid": "2026-01-05T00:00:00+00:00",
        "name": buyer.title(),
        "address": f"{buyer}@customer.example",
        "currency": "EUR",
        "items": [
            {"name": "Book", "quantity": 2, "price": "37.45"},
            {"name": "Delivery", "quantity": 1, "price": "4.90"},
        ],
        "total": "79.80",
        "tax": "5.22",
        **changes,
    }


def lists(world: World, number: str, buyer: str, **changes: Any) -> Callable[[], None]:
    """Returns the cue at which the shop appends an order to its file."""

    def cue() -> None:
        append(world.folder, json.dumps(order(number, buyer, **changes)) + "\n")
        world.tell("shop", f"lists order {number.splitlines()[0]} of {buyer.title()}")

    return cue


def append(folder: Path, text: str) -> None:
    """Appends to the file of orders."""
    with (folder / "orders.jsonl").open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def receipts(world: World) -> list[Mail]:
    """The receipts that were sent so far."""
    return [mail for mail in world.mail.messages if mail.envelope.to != [OWNER]]


def alerts(world: World) -> list[Mail]:
    """The mails to the owner so far."""
    return world.mail.inbox(OWNER)


def drawn(mail: Mail) -> str:
    """Returns the texts that are drawn in Helvetica on the PDF of a receipt, a line for each."""
    lines = mail.attachment("*.pdf").split(b"\n")
    found = [line.partition(b"(")[2].rpartition(b") Tj")[0] for line in lines if b") Tj" in line]
    # Brackets in a text have a backslash.
    return "\n".join(re.sub(rb"\\(.)", rb"\1", text).decode("cp1252") for text in found)


def places_of(words: str, mail: Mail) -> list[str]:
    """Returns the parts of a receipt in which these words are."""
    parts = {"text": mail.text, "HTML": mail.html, "PDF": drawn(mail)}
    return [name for name, text in parts.items() if words in text]


def font(path: Path, characters: str) -> Path:
    """Writes a TrueType font that has these characters, all as the same box."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 700), (500, 700), (500, 0)):
        pen.lineTo(corner)
    pen.closePath()
    box = pen.glyph()
    names = {ord(character): f"u{ord(character):04X}" for character in characters}
    glyphs = [".notdef", *names.values()]
    builder = FontBuilder(1000)
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys(glyphs, box))
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (600, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    # The same bytes each time. In seconds since 1904, this is some day of 2024.
    builder.font["head"].created = builder.font["head"].modified = 3_800_000_000
    builder.font.recalcTimestamp = False
    builder.save(path)
    return path

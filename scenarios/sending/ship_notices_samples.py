"""The shop of ship-notices: its templates and its list of customers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SHOP, BACK = "shop@yourco.test", "returns@yourco.test"

TEXT = """Subject: Order {{ order }} is on its way

Hello {{ name }},

your order {{ order }} was shipped today. Your parcel: {{ parcel }}
"""
HTML = """<p>Hello {{ name }},
<p>your order {{ order }} was shipped today. Your parcel: <b>{{ parcel }}</b>
"""


def shop(folder: Path, lines: Iterable[str], text: str = TEXT) -> None:
    """Writes the templates and the list into the folder of a world."""
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "templates" / "shipped.txt").write_text(text, encoding="utf-8", newline="\n")
    (folder / "templates" / "shipped.html").write_text(HTML, encoding="utf-8", newline="\n")
    rows = "".join(f"{line}\n" for line in ("order,name,address,parcel", *lines))
    (folder / "customers.csv").write_text(rows, encoding="utf-8", newline="\n")


def customers(count: int) -> list[str]:
    """Returns the lines of that many customers, at seven domains."""
    return [
        f"{n},Customer {n},customer{n}@mail{n % 7}.example,PARCEL{n:05}"
        for n in range(1, count + 1)
    ]

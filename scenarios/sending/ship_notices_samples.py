"""The shop of ship-notices: its templates and its list of customers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakes import World
    from fakes.mail import Mail

SHOP, BACK = "shop@yourco.test", "returns@yourco.test"

TEMPLATES = Path(__file__).parent / "templates"


def shop(folder: Path, lines: Iterable[str]) -> None:
    """Writes the list into the folder of a world."""
    rows = "".join(f"{line}\n" for line in ("order,name,address,parcel", *lines))
    (folder / "customers.csv").write_text(rows, encoding="utf-8", newline="\n")


def customers(count: int) -> list[str]:
    """Returns the lines of that many customers, at seven domains."""
    return [
        f"{n},Customer {n},customer{n}@mail{n % 7}.example,PARCEL{n:05}"
        for n in range(1, count + 1)
    ]


def notices(world: World) -> list[Mail]:
    """The notices that were sent so far."""
    return [mail for mail in world.mail.messages if mail.subject.endswith("is on its way")]


def orders(world: World) -> list[str]:
    """The number of the order that each notice is about."""
    return [mail.subject.split()[1] for mail in notices(world)]


def trial(world: World) -> dict[str, Any]:
    """Writes a list of five customers for `make live`."""
    shop(world.folder, customers(5))
    return {"scenario": {"ship-notices": {"customers": str(world.folder / "customers.csv")}}}

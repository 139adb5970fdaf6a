"""Which act of a receiving program holds over POP3, and which over IMAP: `make doors`.

A program cannot tell which of the two it reads its mail by (comms.mailbox). So each act is played
through both doors, with the same claims. The acts that are about one protocol say so here.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from scenarios import catalogue, rehearsal
from scenarios.catalogue import Page
from scenarios.errors import FAILED
from scenarios.play import Act, merged
from scenarios.rehearsal import Performance

DOORS = ("pop3", "imap")
# Act → the only protocol that it is about, and what of it.
ABOUT = {
    "inbox-count": ("pop3", "the commands of a session of POP3, and its QUIT"),
    "inbox-count-object": ("pop3", "QUIT, which ends a session in both styles"),
    "apop-login": ("pop3", "APOP"),
    "mysql-cut-before-quit": ("pop3", "a link that is lost before QUIT deletes the mails"),
    "ticket-session-broken": ("pop3", "an answer to RETR that breaks off"),
    "inbox-count-imap": ("imap", "\\Seen, folders, and UIDVALIDITY"),
    "mysql-by-imap": ("imap", "UID EXPUNGE, and mails that others have marked"),
    "mysql-by-imap-at-once": ("imap", "IDLE, and a connection that waits and is lost"),
    "ticket-by-imap": ("imap", "what ticket-by-mail says, with a server that has both"),
    "mysql-two-doors-imap": ("imap", "what mysql-two-doors says, for the story"),
}
LEGEND = "✓ 7 all seven claims hold   ✗ 2 two claims break   – the act is about the other protocol"


@dataclass
class Row:
    """One act, played through the doors that it is not too particular for."""

    page: Page
    act: Act
    cells: dict[str, Performance] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 if every claim holds, and if the program used no other door."""
        broken = any(cell.broken for cell in self.cells.values())
        strayed = any(
            other in cell.protocols
            for door, cell in self.cells.items()
            for other in DOORS
            if other != door and self.act.name not in ABOUT
        )
        return FAILED if broken or strayed else 0


def pages() -> list[Page]:
    """Returns the scenarios whose programs can read mail through both doors."""
    return [page for page in catalogue.pages() if {"POP3", "IMAP"} <= {*page.doc.protocols}]


def acts() -> list[tuple[Page, Act]]:
    """Returns the acts of these scenarios in which mail can be read."""
    return [
        (page, act) for page in pages() for act in page.acts() if {*DOORS} & {*act.world["servers"]}
    ]


def doors(act: Act) -> tuple[str, ...]:
    """Returns the doors through which an act can be played."""
    return (ABOUT[act.name][0],) if act.name in ABOUT else DOORS


def through(page: Page, act: Act, door: str) -> Act:
    """Returns the act with that door only. One that is about a protocol has its own servers."""
    if act.name in ABOUT:
        return act
    servers = [name for name in act.world["servers"] if name not in DOORS]
    over = {"servers": [*servers, door], "scenario": {page.name: {"mailbox": door}}}
    return replace(act, world=merged(act.world, over))


def play(chosen: Iterable[tuple[Page, Act]], which: Collection[str] = DOORS) -> Iterator[Row]:
    """Plays acts through those of these doors that they have."""
    for page, act in chosen:
        cells = {
            door: rehearsal.rehearse(page, through(page, act, door))
            for door in doors(act)
            if door in which
        }
        yield Row(page, act, cells)


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yields the table, and what the acts that have one door only are about."""
    yield f"{'':34}{'POP3':8}IMAP"
    page = ""
    for row in rows:
        if row.page.name != page:
            page = row.page.name
            yield f"{page} · {row.page.doc.section}"
        cells = "".join(f"{_mark(row.cells.get(door)):8}" for door in DOORS)
        about = ABOUT[row.act.name][1] if row.act.name in ABOUT else ""
        yield f"    {row.act.name:30}{cells}{about}".rstrip()
        for door, cell in row.cells.items():
            for claim in cell.broken:
                yield from textwrap.wrap(f"{door}: {claim}", 92, initial_indent=" " * 8)
    others = [
        page.name
        for page in catalogue.pages()
        if "POP3" in page.doc.protocols and "IMAP" not in page.doc.protocols
    ]
    if others:
        yield f"over POP3 only: {', '.join(others)}"


def _mark(cell: Performance | None) -> str:
    if cell is None:
        return "–"
    return f"✗ {len(cell.broken)}" if cell.broken else f"✓ {len(cell.claims)}"

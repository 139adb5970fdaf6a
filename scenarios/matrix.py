"""What each fault breaks: a scenario's faults and drills down, its acts across.

A fault is played only in the acts that speak its protocol. The faults that the docstring lists come
first, because it says what they do. What a further drill breaks may be right: if a mailbox does not
exist, its owner gets no mail. So these are for the reader to judge.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from scenarios import rehearsal
from scenarios.catalogue import Page
from scenarios.errors import FAILED, PageError
from scenarios.play import Act
from scenarios.rehearsal import FaultMisfit, Performance

WIDTH = 100
LEGEND = "✓ every claim holds   ✗ 2 two claims break   – the fault does not apply to this act"
# Of the columns: the space before a fault, a cell, and `as listed [12]`.
INDENT, CELL, VERDICT = 4, 5, 15


@dataclass
class Row:
    """One fault in every act; None in an act that it is not played in, or never met in."""

    fault: str
    cells: list[Performance | None]
    listed: str = ""  # what the docstring says: "all hold" or "breaks CLAIM, CLAIM"
    wrong: str = ""  # in what way the outcome is not as listed

    @property
    def broken(self) -> list[tuple[str, list[str]]]:
        """(number of the act, the claims that break) for each act in which claims break."""
        return [
            (str(cell.act.number), cell.broken)
            for cell in self.cells
            if cell is not None and cell.broken
        ]


@dataclass
class Matrix:
    """All rows of one scenario. The first is the play without a fault."""

    page: Page
    acts: list[Act]
    rows: list[Row] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 if everything that can be expected came true: listed faults, and no fault at all."""
        return FAILED if self.rows[0].broken or any(row.wrong for row in self.rows) else 0


def play(page: Page, acts: Sequence[Act], whole: bool = True) -> Matrix:
    """Plays the acts under each listed fault and each drill. `whole`: these are all the acts.

    Raises PageError for a listed fault that does not fit the servers of an act.
    """
    clean = [rehearsal.rehearse(page, act) for act in acts]
    matrix = Matrix(page, list(acts), [Row("none", list(clean))])
    listed = dict(page.doc.faults)
    for fault, outcome in listed.items():
        try:
            cells = _cells(page, clean, fault)
            if clean and not any(cells):
                rehearsal.rehearse(page, clean[0].act, [fault])  # is there such a server at all?
        except FaultMisfit as error:
            raise PageError(page.path, f"Fault: {fault}: {error}") from None
        wrong = _wrong(page, fault, clean, cells, whole)
        matrix.rows.append(Row(fault, _met(cells), outcome, wrong))
    for drill in rehearsal.drills():
        if drill in listed:
            continue
        try:
            cells = _cells(page, clean, drill)
        except FaultMisfit:  # it needs a server that this scenario does not have
            continue
        if any(cells):
            matrix.rows.append(Row(drill, _met(cells)))
    return matrix


def _cells(page: Page, clean: list[Performance], fault: str) -> list[Performance | None]:
    """Plays a fault in the acts that speak its protocol. Raises FaultMisfit."""
    needed = rehearsal.protocols_of(fault)
    return [
        rehearsal.rehearse(page, calm.act, [fault]) if needed <= calm.protocols else None
        for calm in clean
    ]


def _met(cells: list[Performance | None]) -> list[Performance | None]:
    return [cell if cell is not None and cell.met else None for cell in cells]


def _wrong(
    page: Page, fault: str, clean: list[Performance], cells: list[Performance | None], whole: bool
) -> str:
    """In what way a listed fault did something else; "" if it did what the docstring says."""
    played = [cell for cell in cells if cell is not None]
    if whole and (not played or set.intersection(*(set(cell.unmet) for cell in played))):
        return "it was never met"
    # An act in which the fault does not apply goes on as it does without.
    everywhere = [
        cell or replace(calm, expected=[]) for cell, calm in zip(cells, clean, strict=True)
    ]
    judged = rehearsal.judge(page, everywhere, [fault])
    # Played alone, an act cannot break what the docstring says of the others.
    if any(one.broken != one.expected for one in everywhere) or (whole and judged.unknown):
        return "something else happened"
    return ""


# ── how it is shown ──────────────────────────────────────────────────────────


def lines(matrix: Matrix) -> Iterator[str]:
    """Yields the lines of a matrix, none of them wider than WIDTH."""
    page = matrix.page
    yield f"{page.name} · {page.doc.section}"
    # A number and its act stay on one line.
    acts = (f"{act.number}\N{NO-BREAK SPACE}{act.name}" for act in matrix.acts)
    yield from _wrapped(f"acts: {'  '.join(acts)}", "  ", "        ")
    yield ""
    widest = WIDTH - INDENT - CELL * len(matrix.acts) - VERDICT
    width = min(widest, max(len(row.fault) for row in matrix.rows))
    numbers = "".join(f"  {act.number:<{CELL - 2}}" for act in matrix.acts)
    yield f"{'  fault':<{width + INDENT}}{numbers}".rstrip()
    notes: dict[tuple[str, ...], int] = {}  # what breaks, by act → the number of the note
    none, *others = matrix.rows
    yield from _row(none, width, notes)
    for title, rows in (
        ("listed by the docstring, which says what must happen", [r for r in others if r.listed]),
        ("for you to judge", [row for row in others if not row.listed]),
    ):
        if rows:
            yield f"  {title}"
        for row in rows:
            yield from _row(row, width, notes)
    if notes:
        yield ""
    for texts, number in notes.items():
        mark = f"[{number}] "
        for text in texts:
            yield from _wrapped(f"{mark}{text}", "  ", " " * 6)
            mark = " " * len(mark)
    yield ""


def _row(row: Row, width: int, notes: dict[tuple[str, ...], int]) -> Iterator[str]:
    first, *rest = textwrap.wrap(row.fault, width)  # a long fault takes several lines
    cells = "".join(f"  {_mark(cell):<{CELL - 2}}" for cell in row.cells)
    verdict = ""
    if row.listed:
        verdict = "not as listed" if row.wrong else "as listed"
    elif not any(row.cells):
        verdict = "never met"
    if row.broken:
        texts = tuple(f"act {act}: {'; '.join(claims)}" for act, claims in row.broken)
        verdict += f" [{notes.setdefault(texts, len(notes) + 1)}]"
    yield f"{' ' * INDENT}{first:<{width}}{cells} {verdict.strip()}".rstrip()
    for part in rest:
        yield f"{' ' * (INDENT + 2)}{part}"
    if row.wrong:
        said = f"✗ {row.wrong}; the docstring says: {row.listed}"
        yield from _wrapped(said, " " * (INDENT + 2), " " * (INDENT + 4))


def _mark(cell: Performance | None) -> str:
    if cell is None:
        return "–"
    return f"✗ {len(cell.broken)}" if cell.broken else "✓"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]

"""Which scenarios exist: found by their files and described by their docstrings.

A page is a module in a section folder (`scenarios/sending/apache_alert.py`). A module that belongs
to a page has the page's name and one of the suffixes in `COMPANIONS`
(`scenarios/sending/apache_alert_acts.py`); it is never a scenario itself.

Listing the pages imports none of them, so that it needs nothing beyond the standard library.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.errors import PageError, UsageError
from scenarios.play import Act, Scenario

HERE = Path(__file__).resolve().parent
NOT_SECTIONS = {"book", "stage"}
COMPANIONS = {
    "_acts": "further acts",
    "_alarm": "what the owner of a program hears",
    "_desk": "the machinery of a program that would not fit on its page",
    "_model": "database tables",
    "_outbox": "answers that wait to be sent",
    "_push": "a second program, chosen by a setting",
    "_samples": "people, mail and output that acts use",
}
PROTOCOLS = ("MIME", "SMTP", "POP3", "IMAP", "XMPP", "TOC", "IRC", "HTTP")
FACTS = "Listing 6.2 · SMTP · try: make scenario NAME=apache-alert"


@dataclass(frozen=True)
class Page:
    """One scenario's page, as its docstring describes it."""

    name: str
    path: Path
    module: str
    title: str
    section: str  # the place in the chapter: "Listing 6.2"
    protocols: tuple[str, ...]
    needs: tuple[str, ...]  # packages beyond the standard library
    faults: tuple[tuple[str, str], ...]  # (fault, outcome: "all hold" or "breaks CLAIM, CLAIM")

    @property
    def missing(self) -> list[str]:
        """The needed packages that are not installed."""
        return [package for package in self.needs if importlib.util.find_spec(package) is None]

    @property
    def book(self) -> str | None:
        """The module that plays the printed listing; None if nothing was printed."""
        path = HERE / "book" / self.path.name
        return f"scenarios.book.{path.stem}" if path.exists() else None

    def run(self, book: bool = False) -> Callable[..., Any]:
        """Imports the program, or the printed listing. Raises PageError if it has no `run`."""
        module = self.book if book and self.book else self.module
        run = getattr(importlib.import_module(module), "run", None)
        if not callable(run):
            path = self.path if module == self.module else HERE / "book" / self.path.name
            raise PageError(path, "no function `run`; write def run(clock, settings, host)")
        return run  # type: ignore[no-any-return]

    def acts(self) -> list[Act]:
        """Imports the page and its further acts. Raises PageError if there are none."""
        self.run()
        scenario = getattr(importlib.import_module(self.module), "scenario", None)
        if not isinstance(scenario, Scenario):
            raise PageError(self.path, "no `scenario`; write scenario = Scenario(WORLD)")
        if self.path.with_name(f"{self.path.stem}_acts.py").exists():
            importlib.import_module(f"{self.module}_acts")
        if not scenario.acts:
            raise PageError(self.path, 'no acts; write @scenario.act("name") above a function')
        return scenario.acts


def pages() -> list[Page]:
    """Returns every page, by section and name. Raises PageError for a mistake in any of them."""
    return [_described(path) for path in _paths().values()]


def names() -> list[str]:
    """Returns the name of every scenario, in the order of `pages`, without reading the pages."""
    return list(_paths())


def named(name: str) -> Page:
    """Returns the page of a scenario. Raises UsageError, with the nearest name, if there is none.

    Raises PageError for a mistake in this page; the other pages are not read.
    """
    paths = _paths()
    if name in paths:
        return _described(paths[name])
    raise UsageError(
        f"unknown scenario {name!r}{nearest(name, list(paths))}; choose from: {', '.join(paths)}"
    )


def nearest(word: str, known: list[str]) -> str:
    """Returns ` (did you mean 'x'?)`, or nothing if no known word is similar."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _paths() -> dict[str, Path]:
    """The files of all pages, by the name of the scenario."""
    found: dict[str, Path] = {}
    for path in sorted(HERE.glob("*/*.py")):
        if path.parent.name in NOT_SECTIONS or path.stem.startswith("_"):
            continue
        suffix = next((one for one in COMPANIONS if path.stem.endswith(one)), None)
        if suffix is None:
            name = path.stem.replace("_", "-")
            if name in found:
                other = found[name].relative_to(HERE)
                raise PageError(path, f"{other} has the same name; rename one of the two")
            found[name] = path
            continue
        owner = path.with_name(f"{path.stem.removesuffix(suffix)}.py")
        if not owner.exists():
            raise PageError(
                path,
                f"*{suffix}.py belongs to a page, and there is no {owner.name}; rename the file",
            )
    return found


# ── reading a docstring ──────────────────────────────────────────────────────


def _described(path: Path) -> Page:
    try:
        doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    except SyntaxError as error:
        raise PageError(path, f"line {error.lineno}: {error.msg}; correct the Python") from None
    title, *rest = doc.splitlines() or [""]
    if not title or "· try:" in title:
        raise PageError(path, "no title; begin the docstring with one sentence about the problem")
    section, protocols = _facts(path, rest)
    needs = re.search(r"^Needs: (.+)$", doc, re.M)
    return Page(
        path.stem.replace("_", "-"),
        path,
        f"scenarios.{path.parent.name}.{path.stem}",
        title.rstrip("."),
        section,
        protocols,
        tuple(needs[1].replace(",", " ").split()) if needs else (),
        tuple(_faults(path, rest)),
    )


def _facts(path: Path, lines: list[str]) -> tuple[str, tuple[str, ...]]:
    """The section and the protocols, from the line with `· try:`."""
    facts = next((line for line in lines if "· try:" in line), "")
    fields = [field.strip() for field in facts.split("·")]
    if len(fields) != 3 or not all(fields):
        problem = f"cannot read {facts!r}" if facts else "no line with `· try:` in the docstring"
        raise PageError(path, f"{problem}; write a line like: {FACTS}")
    section, listed, _ = fields
    protocols = tuple(word.strip() for word in listed.split(","))
    for word in protocols:
        if word not in PROTOCOLS:
            near = nearest(word.upper(), list(PROTOCOLS))
            raise PageError(
                path, f"unknown protocol {word!r}{near}; choose from {', '.join(PROTOCOLS)}"
            )
    return section, protocols


def _faults(path: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    """(fault, outcome) of each `Fault:` line; indented lines continue the line before."""
    for line in re.sub(r"\n +", " ", "\n".join(lines)).splitlines():
        if not line.startswith("Fault:"):
            continue
        fault, arrow, outcome = line.removeprefix("Fault:").strip().partition(" -> ")
        if not arrow or not (outcome == "all hold" or outcome.startswith("breaks ")):
            raise PageError(
                path,
                f"cannot read {line!r}; write Fault: TEXT -> all hold (or breaks CLAIM, CLAIM)",
            )
        yield fault, outcome

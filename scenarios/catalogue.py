"""Which scenarios there are: found by their files, described by their docstrings, without importing them."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_NOT_SECTIONS = {"book", "stage"}


@dataclass(frozen=True)
class Scenario:
    """One scenario's file, as its docstring describes it."""

    name: str
    module: str
    title: str
    section: str  # where it stands in the chapter: "Listing 6.2"
    protocols: tuple[str, ...]
    needs: tuple[str, ...]  # packages beyond the standard library
    faults: tuple[tuple[str, str], ...]  # (fault, what happens: "all hold" or "breaks CLAIM, CLAIM")

    @property
    def missing(self) -> list[str]:
        """The packages it needs that are not installed here."""
        return [package for package in self.needs if importlib.util.find_spec(package) is None]

    @property
    def book(self) -> str | None:
        """The module with the printed listing's way, None where nothing was printed."""
        name = self.module.rpartition(".")[2]
        return f"scenarios.book.{name}" if (HERE / "book" / f"{name}.py").exists() else None

    @property
    def more_acts(self) -> str | None:
        """The module beside it with its further acts."""
        path = HERE.parent / (self.module.replace(".", "/") + "_acts.py")
        return f"{self.module}_acts" if path.exists() else None


def scenarios() -> list[Scenario]:
    """Every scenario, by section folder and name."""
    found = []
    for path in sorted(HERE.glob("*/*.py")):
        if path.parent.name in _NOT_SECTIONS or path.stem.startswith("_") or path.stem.endswith("_acts"):
            continue
        doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        if "\nFault:" in doc or "· try:" in doc:
            found.append(_described(path, doc))
    return found


def named(name: str) -> Scenario:
    """The scenario of this name. Raises LookupError, suggesting the nearest."""
    every = {one.name: one for one in scenarios()}
    if name in every:
        return every[name]
    raise LookupError(f"there is no scenario {name!r}{nearest(name, list(every))}; there are: {', '.join(every)}")


def nearest(word: str, known: list[str]) -> str:
    """` (did you mean 'x'?)`, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _described(path: Path, doc: str) -> Scenario:
    facts = next(line for line in doc.splitlines() if "· try:" in line)
    section, protocols, *_ = (part.strip() for part in facts.split("·"))
    needs = re.search(r"^Needs: (.+)$", doc, re.M)
    faults = re.findall(r"^Fault: (.+?) -> (.+)$", doc, re.M)
    return Scenario(
        path.stem.replace("_", "-"),
        f"scenarios.{path.parent.name}.{path.stem}",
        doc.splitlines()[0].rstrip("."),
        section,
        tuple(word.strip() for word in protocols.split(",")),
        tuple(needs[1].replace(",", " ").split()) if needs else (),
        tuple(faults),
    )

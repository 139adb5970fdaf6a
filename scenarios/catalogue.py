"""Which scenarios exist, found by their files.

A page is a module in a section folder (`scenarios/sending/apache_alert.py`). A module that belongs
to a page has the page's name and one of the suffixes in `COMPANIONS`
(`scenarios/sending/apache_alert_acts.py`); it is never a scenario itself.

Listing the pages imports none of them, so that it needs nothing beyond the standard library.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import traceback
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comms.suggest import did_you_mean
from scenarios import docstring, mistakes
from scenarios.docstring import Docstring
from scenarios.errors import Misuse, PageError, UsageError
from scenarios.mistakes import MISTAKES, Mistake
from scenarios.play import Act, Scenario

HERE = Path(__file__).resolve().parent
# The places of the chapter that have a page, in its order: after the listings of a section come its
# text and the uses that it names. A page for another place comes last.
CHAPTER = (
    "Listing 6.1",
    "Listing 6.2",
    "Section 6.1.1",
    "Section 6.1",
    "Introduction",
    "Listing 6.3",
    "Listing 6.4",
    "Section 6.1.2",
    "Listing 6.5",
    "Section 6.1.3",
    "Listing 6.6",
    "Table 6.1",
    "Listing 6.7",
    "Section 6.2.1",
    "Listing 6.8",
    "Section 6.2.2",
    "Listing 6.9",
)
NOT_SECTIONS = {"book", "stage"}
COMPANIONS = {
    "_acts": "further acts",
    "_agents": "what people do with what a program has stored",
    "_dialogue": "what a program says to a server, and how it reads the answers",
    "_databases": "the databases that a program administers",
    "_desk": "parts of a program that would not fit on its page",
    "_input": "a file that an operator hands to a program, and how it is read",
    "_model": "database tables",
    "_outbox": "answers that wait to be sent",
    "_pdf": "a document that is attached to a mail",
    "_push": "a second program, chosen by a setting",
    "_quotes": "what a reply quotes, and how it is told from the reply",
    "_repair": "what is put right in a message before it is sent",
    "_replies": "the addresses for replies",
    "_returns": "mail that comes back to a program",
    "_samples": "people, mail and output that acts use",
    "_web": "the pages that a program serves",
}


@dataclass(frozen=True)
class Page:
    """One scenario's page: its files, and what its docstring says."""

    name: str
    path: Path
    module: str
    doc: Docstring

    @property
    def missing(self) -> list[str]:
        """The needed packages that are not installed."""
        return [name for name in self.doc.needs if importlib.util.find_spec(name) is None]

    @property
    def book(self) -> Path | None:
        """The file that plays the printed listing; None if nothing was printed."""
        path = HERE / "book" / self.path.name
        return path if path.exists() else None

    def sources(self, book: bool = False) -> list[Path]:
        """The files that the program, or the printed listing, consists of: the page comes first."""
        if book:
            return [self.book, *mistakes.used_by(self.book)] if self.book else []
        beside = (self.path.with_name(f"{self.path.stem}{suffix}.py") for suffix in COMPANIONS)
        return [self.path, *(path for path in beside if path.exists())]

    def run(self, book: bool = False, mended: int = 0) -> Callable[..., Any]:
        """Imports the program, or the printed listing with that mistake mended (0: none).

        Raises PageError if it has no `run`, UsageError for a mistake that cannot be mended.
        """
        path = self.book if book else self.path
        assert path is not None, "nothing was printed for this page"
        run = getattr(_imported(path), "run", None)
        if not callable(run):
            raise PageError(path, "no function `run`; write def run(clock, settings, host)")
        if not mended:
            return run  # type: ignore[no-any-return]
        mends = self.mends()
        if mended not in mends:
            known = ", ".join(map(str, mends)) or "none"
            raise UsageError(
                f"--mended {mended}: the listing of {self.name} is not played with this mistake "
                f"mended; choose from: {known}"
            )
        return functools.partial(run, mended=mended)

    def mends(self) -> dict[int, str]:
        """Imports the printed listing, and returns what is done instead of which mistake."""
        return dict(getattr(_imported(self.book), "MENDS", {})) if self.book else {}

    def acts(self) -> list[Act]:
        """Imports the page and its further acts, and checks them.

        Raises PageError if there are no acts, or if the docstring shows other settings than `Rules`
        has.
        """
        self.run()
        module = _imported(self.path)
        scenario = getattr(module, "scenario", None)
        if not isinstance(scenario, Scenario):
            raise PageError(self.path, "no `scenario`; write scenario = Scenario(WORLD)")
        docstring.check_settings(self.path, self.doc, getattr(module, "Rules", None))
        further = self.path.with_name(f"{self.path.stem}_acts.py")
        if further.exists():
            _imported(further)
        if not scenario.acts:
            raise PageError(self.path, 'no acts; write @scenario.act("name") above a function')
        return scenario.acts

    def trial(self) -> Callable[[Any], dict[str, Any]] | None:
        """Returns the function `trial` of the samples, None if there is none.

        It gets the world of `make live`, in which it may let things happen, and returns settings.
        """
        samples = self.path.with_name(f"{self.path.stem}_samples.py")
        return getattr(_imported(samples), "trial", None) if samples.exists() else None

    def breaks_as_written(self) -> dict[str | tuple[str, int], dict[str, Mistake]]:
        """Imports the printed listing and returns its BREAKS. Raises PageError without one."""
        assert self.book is not None, "nothing was printed for this page"
        breaks = getattr(_imported(self.book), "BREAKS", None)
        if not isinstance(breaks, dict):
            raise PageError(self.book, 'no `BREAKS`; write BREAKS = {"act": {"claim": 1}}')
        return breaks

    def breaks(self, mended: int = 0) -> dict[str, dict[str, Mistake]]:
        """Imports the printed listing, and returns the claims that it breaks in each act.

        With each claim goes the mistake that breaks it: its number, or a sentence. Raises PageError
        if the listing does not say so, or names an act or a number that does not exist.
        """
        breaks = self.breaks_as_written()
        assert self.book is not None
        acts = [act.name for act in self.acts() if act.book]
        for key, claims in breaks.items():
            name, number = key if isinstance(key, tuple) else (key, 0)
            if name not in acts:
                hint = did_you_mean(name, acts)
                problem = f"unknown act {name!r}{hint}; choose from: {', '.join(acts)}"
                raise PageError(self.book, f"BREAKS: {problem}")
            if number and number not in self.mends():
                problem = f"act {name}: mistake {number} is not in MENDS; add what is done instead"
                raise PageError(self.book, f"BREAKS: {problem}")
            if not isinstance(claims, dict):
                raise PageError(self.book, f'BREAKS: act {name}: write {{"claim": 1}}')
            for claim, mistake in claims.items():
                if not isinstance(mistake, str) and mistake not in MISTAKES:
                    problem = f"unknown mistake {mistake!r}; choose from 1 to {len(MISTAKES)}"
                    raise PageError(self.book, f"BREAKS: {claim}: {problem}")
        return {act: breaks.get((act, mended), breaks.get(act, {})) for act in acts}


def pages() -> list[Page]:
    """Returns every page, in the order of the chapter. Raises PageError for a mistake in one."""
    return [_page(path) for path in _paths().values()]


def names() -> list[str]:
    """Returns the name of every scenario, in the order of `pages`, whatever is in the pages."""
    return list(_paths())


def named(name: str) -> Page:
    """Returns the page of a scenario, by its name or the beginning of it.

    Raises UsageError, with the nearest name, if there is none, and PageError for a mistake in this
    page; the other pages may have mistakes.
    """
    paths = _paths()
    return _page(paths[choose(name, list(paths), "unknown scenario")])


def choose(word: str, known: Sequence[str], unknown: str) -> str:
    """Returns the known word that is given, or that alone begins with what is given.

    Raises UsageError that begins with `unknown`, and lists the words to choose from.
    """
    if word in known:
        return word
    beginnings = [one for one in known if word and one.startswith(word)]
    if len(beginnings) == 1:
        return beginnings[0]
    if beginnings:
        raise UsageError(f"{word!r} begins several names; choose from: {', '.join(beginnings)}")
    raise UsageError(
        f"{unknown} {word!r}{did_you_mean(word, known)}; choose from: {', '.join(known)}"
    )


def _page(path: Path) -> Page:
    return Page(path.stem.replace("_", "-"), path, _module(path), docstring.read(path))


def _paths() -> dict[str, Path]:
    """Returns the files of all pages, by the name of the scenario, in the chapter's order."""
    found: dict[str, Path] = {}
    for path in sorted(HERE.glob("*/*.py")):
        if path.parent.name in NOT_SECTIONS or path.stem.startswith("_"):
            continue
        suffix = next((suffix for suffix in COMPANIONS if path.stem.endswith(suffix)), None)
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
    return dict(sorted(found.items(), key=lambda item: _place_in_chapter(item[1])))


def _place_in_chapter(path: Path) -> tuple[int, str, str]:
    section = docstring.section(path)
    place = CHAPTER.index(section) if section in CHAPTER else len(CHAPTER)
    return place, section, str(path)


# ── importing ────────────────────────────────────────────────────────────────


def _module(path: Path) -> str:
    return f"scenarios.{path.parent.name}.{path.stem}"


def _imported(path: Path) -> types.ModuleType:
    """Imports a page, a companion or a printed listing.

    Raises PageError for wrong syntax, an import that fails, and wrong use of play.py. Any other
    exception is a bug and passes through.
    """
    try:
        return importlib.import_module(_module(path))
    except SyntaxError as error:
        problem = f"line {error.lineno}: {error.msg}"
        raise PageError(error.filename or path, f"{problem}; correct the Python") from None
    except (ImportError, Misuse) as error:
        place = _place(error)
        if place is None:
            raise
        remedy = "correct the import"
        if isinstance(error, Misuse):
            remedy = error.remedy
        elif isinstance(error, ModuleNotFoundError):
            remedy += f", or write Needs: {error.name} if it is a package"
        raise PageError(place.filename, f"line {place.lineno}: {error}; {remedy}") from None


def _place(error: Exception) -> traceback.FrameSummary | None:
    """Returns where in a page an error was raised; None if it was raised elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    # A mistake in the use of play.py is raised in play.py, and is a mistake of its caller.
    others = ("<frozen importlib", str(HERE / "play.py"))
    own = [frame for frame in frames if not frame.filename.startswith(others)]
    place = own[-1]
    is_page = Path(place.filename).is_relative_to(HERE) and Path(place.filename).parent != HERE
    return place if is_page else None

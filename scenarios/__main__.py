"""Lists, rehearses and runs the scenarios of the chapter.

    python -m scenarios list
    python -m scenarios run NAME [--act NAME] [--as book [--mended N]] [--fault TEXT] [--live FILE]
    python -m scenarios report NAME [--out DIR]
    python -m scenarios live NAME
    python -m scenarios record NAME
    python -m scenarios faults [NAME]
    python -m scenarios doors

The exit code of a rehearsal is 0 if everything is as expected, 1 if not, 2 for a wrong option or a
mistake in a page, and 70 for a bug.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from comms.errors import SettingsError
from comms.suggest import did_you_mean
from scenarios import catalogue, doors, matrix, output, rehearsal, screen, site
from scenarios.catalogue import Page
from scenarios.errors import OWN_FAULT, ROOT, USAGE, UsageError, unwritable
from scenarios.live import run_live
from scenarios.play import Act
from scenarios.rehearsal import Performance, Played
from scenarios.stage.wire import WireChoice

PACKAGE = "comms-and-fakes"
STORIES = ROOT / "tests" / "stories"
INTERRUPTED = 130  # exit code, as shells have it
_WRONG = re.compile(r"invalid choice: '(.*?)'|unrecognized arguments: ([^\s=]+)")
DISTRIBUTIONS = {"fpdf": "fpdf2"}  # what is imported → what pip installs, if they differ
_OPTIONAL = re.compile(r"(?P<name>[\w-]+)[^;]*;.*\bextra == ['\"](?P<extra>[\w-]+)['\"]")


def main(words: Sequence[str] | None = None) -> int:
    """Does what the command line asks for, and returns the exit code."""
    options = _parser().parse_args(words)
    try:
        return int(options.do(options))
    except (UsageError, SettingsError) as error:
        screen.complain(f"error: {error}")
        return USAGE
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except screen.Enough:
        return 0
    except KeyboardInterrupt:  # a live program ends by itself
        return INTERRUPTED
    except Exception:  # a bug, in an act or here
        screen.show_traceback()
        return OWN_FAULT


class _Parser(argparse.ArgumentParser):
    """Reports a wrong word in one line, with the nearest right one."""

    def error(self, message: str) -> NoReturn:
        wrong = _WRONG.search(message)
        hint = did_you_mean(wrong[1] or wrong[2], list(self.words())) if wrong else ""
        screen.complain(f"error: {message}{hint}; {self.prog} --help lists the options")
        raise SystemExit(USAGE)

    def words(self) -> Iterator[str]:
        """Yields every option and every word that can be chosen, those of a command included."""
        for action in self._actions:
            yield from (*action.option_strings, *map(str, action.choices or ()))
            if isinstance(action.choices, dict):
                for command in action.choices.values():
                    yield from command.words()


def _parser() -> argparse.ArgumentParser:
    description = (__doc__ or "").splitlines()[0]
    parser = _Parser(prog="python -m scenarios", description=description)
    words = parser.add_subparsers(required=True, metavar="WORD")

    listing = words.add_parser("list", help="list every scenario, one per line")
    listing.add_argument("--json", action="store_true", help="as a JSON array")
    listing.set_defaults(do=_list)

    rehearsal = _Parser(add_help=False)  # what every command that plays acts can be asked for
    add = rehearsal.add_argument
    add("name", metavar="NAME", help="the name of a scenario, or its beginning; or `all`")
    add("--act", metavar="NAME", help="play only this act; its number will do")
    add("--as", dest="way", choices=["book"], help="play the printed listing instead")
    add("--mended", metavar="N", type=int, default=0, help="with --as book: mistake N is mended")
    add("--fault", metavar="TEXT", action="append", default=[], help="arm a fault; repeatable")
    add("--out", metavar="DIR", type=Path, help="keep transcript, mails and report in this folder")

    run = words.add_parser(
        "run", parents=[rehearsal], help="rehearse a scenario on fake servers, or run it live"
    )
    add = run.add_argument
    add("--live", metavar="FILE", type=Path, help="use the real servers of this settings file")
    add("--once", action="store_true", help="with --live: a single round, as cron would")
    add("--dry-run", action="store_true", help="with --live: send nothing, and write samples")
    add("--wire", metavar="WHAT", help="show the wire: all, a protocol (smtp), a session (smtp:3)")
    add("--claims", action="store_true", help="list the claims that hold, too")
    add("--diff", action="store_true", help="show our program and the printed listing side by side")
    add("--step", action="store_true", help="wait for Enter after each event")
    add("--keep", action="store_true", help="serve what the last act left, until Ctrl-C")
    add("--json", action="store_true", help="print the claims as one JSON value")
    add("--quiet", action="store_true", help="print only what is wrong")
    run.set_defaults(do=_run)

    report = words.add_parser(
        "report",
        parents=[rehearsal],
        help="rehearse a scenario, and draw a picture of each act (in reports/NAME without --out)",
    )
    report.set_defaults(do=_report)

    record = words.add_parser("record", help="write the story of a scenario into tests/stories")
    record.add_argument("name", metavar="NAME", help="the name of a scenario, or `all`")
    record.set_defaults(do=_record)

    live = words.add_parser("live", help="run a scenario on fake servers in real time")
    live.add_argument("name", metavar="NAME", help="the name of a scenario, or its beginning")
    live.add_argument("--out", metavar="DIR", type=Path, help="write the settings file here")
    live.set_defaults(do=_live)

    faults = words.add_parser(
        "faults", help="rehearse every scenario, or one, under each listed fault and each drill"
    )
    faults.add_argument("name", metavar="NAME", nargs="?")
    faults.set_defaults(do=_faults)

    doors_ = words.add_parser(
        "doors", help="rehearse every act that reads mail over POP3 and over IMAP"
    )
    doors_.set_defaults(do=_doors)
    return parser


# ── the commands ─────────────────────────────────────────────────────────────


def _list(options: argparse.Namespace) -> int:
    pages = catalogue.pages()
    if options.json:
        rows = [
            {
                "name": page.name,
                "title": page.doc.title,
                "section": page.doc.section,
                "protocols": page.doc.protocols,
            }
            for page in pages
        ]
        screen.show(json.dumps(rows, indent=1))
        return 0
    width = max(len(page.name) for page in pages)
    for page in pages:
        protocols = ", ".join(page.doc.protocols)
        screen.show(f"{page.name:<{width}}  {page.doc.title} · {page.doc.section} · {protocols}")
    return 0


def _run(options: argparse.Namespace) -> int:
    _check(options)
    if options.live is not None:
        page = catalogue.named(options.name)
        _ensure_packages(page)
        if options.dry_run and "dry_run" not in (page.doc.settings or {}):
            raise UsageError(f"{page.name} has no dry run; leave --dry-run out")
        return run_live(page, options.live, options.once, options.dry_run)
    if "all" in options.fault:
        return _table(_pages(options), options.act)
    wire = _wire(options.wire)
    view = output.View(options.way == "book", options.quiet, wire, options.claims, options.step)

    def show(played: Played, acts: list[Act]) -> None:
        if options.json:
            return
        if wire and options.name != "all":
            _check_wire(wire, played)
        diff = _as_printed(played.page, acts, options) if options.diff else None
        output.show(played, dataclasses.replace(view, diff=diff))

    results = _rehearse(options, options.out, show)
    if results and options.out and not (options.json or options.quiet):
        screen.show(f"report: {options.out / 'index.html'}")
    if options.json:
        screen.show(
            json.dumps([output.as_json(played) for played in results], indent=1, default=str)
        )
    if options.keep and results:
        site.keep(results[-1].performances[-1])
    return _exit_code(results)


def _report(options: argparse.Namespace) -> int:
    if "all" in options.fault:
        raise UsageError("--fault all prints a table; name one fault for a report")
    view = output.View(options.way == "book", quiet=True)
    pages = _pages(options)
    default = Path("reports") if len(pages) > 1 else Path("reports") / pages[0].name
    folder = options.out or default
    results = _rehearse(options, folder, lambda played, acts: output.show(played, view))
    if results:
        screen.show(f"report: {folder / 'index.html'}")
    return _exit_code(results)


def _exit_code(results: list[Played]) -> int:
    return max((played.exit_code for played in results), default=0)


def _check(options: argparse.Namespace) -> None:
    """Raises UsageError for options of `run` of which one makes another meaningless."""
    if options.live is None:
        _refuse(
            options,
            "once",
            "works only with --live, because an act decides itself how often it runs",
        )
        _refuse(options, "dry_run", "works only with --live; an act decides itself what it sends")
    elif options.name == "all":
        raise UsageError("--live runs one scenario; write its name instead of all")
    else:
        rehearsals = "act way mended fault out wire claims diff step keep json quiet"
        _refuse(options, rehearsals, "is for rehearsals; leave it out with --live")
    if "all" in options.fault:
        one = "way out json wire diff step keep"
        _refuse(options, one, "is for one fault; write it instead of --fault all")
    if options.step and not screen.has_user():
        raise UsageError("--step waits for Enter, and the input is no terminal; leave it out")
    if options.step:
        _refuse(options, "wire diff json quiet", "does not tell the story; leave it out, or --step")
    if options.diff:
        _refuse(options, "way wire", "is for one way; leave it out, because --diff shows both ways")


def _refuse(options: argparse.Namespace, names: str, because: str) -> None:
    """Raises UsageError if one of these options is used."""
    for name in names.split():
        if getattr(options, name):
            option = "as" if name == "way" else name.replace("_", "-")
            raise UsageError(f"--{option} {because}")


def _pages(options: argparse.Namespace) -> list[Page]:
    """Returns the pages that are to be played. Raises UsageError."""
    one = options.name != "all"
    printed = options.way == "book" or getattr(options, "diff", False)
    if options.mended and not (printed and one):
        raise UsageError(
            "--mended mends a mistake of one printed listing; write --as book or --diff"
        )
    if options.act and not one:
        raise UsageError("--act plays an act of one scenario; write its name instead of all")
    return [catalogue.named(options.name)] if one else catalogue.pages()


def _rehearse(
    options: argparse.Namespace, folder: Path | None, show: Callable[[Played, list[Act]], None]
) -> list[Played]:
    """Plays what is asked for, shows each scenario, and keeps it if there is a folder for that."""
    book, pages = options.way == "book", _pages(options)
    results: list[Played] = []
    kept: list[tuple[Path, Played]] = []
    if folder is not None:
        with _writing_to(folder, "--out: "):
            folder.mkdir(parents=True, exist_ok=True)  # now: an error after the acts would be late
    for page in pages:
        acts = _chosen(page, options.act)
        if book and (page.book is None or not any(act.book for act in acts)):
            screen.show(f"{page.name}: no listing was printed for this, so --as book plays nothing")
            continue
        played = rehearsal.play(page, acts, options.fault, book, options.mended if book else 0)
        results.append(played)
        show(played, acts)
        if folder is not None:
            other = rehearsal.play(page, acts, options.fault, not book) if page.book else None
            kept.append((folder if len(pages) == 1 else folder / page.name, played))
            with _writing_to(folder, "--out: "):
                output.keep(played, kept[-1][0], other, book)
                output.keep_index(kept[-1:], kept[-1][0])
    if folder is not None and len(kept) > 1:
        with _writing_to(folder, "--out: "):
            output.keep_index(kept, folder)
    return results


@contextlib.contextmanager
def _writing_to(folder: Path, option: str = "") -> Iterator[None]:
    """Raises UsageError if something in the folder, which `option` named, cannot be written."""
    try:
        yield
    except OSError as error:
        raise unwritable(folder, error, option) from None


def _as_printed(page: Page, acts: list[Act], options: argparse.Namespace) -> dict[str, Performance]:
    """Plays the listing for --diff, and returns its acts by name. Raises UsageError."""
    if page.book is None or not any(act.book for act in acts):
        raise UsageError(f"--diff: no listing was printed for {page.name}; leave --diff out")
    played = rehearsal.play(page, acts, options.fault, book=True, mended=options.mended)
    return {performance.act.name: performance for performance in played.performances}


def _wire(text: str | None) -> WireChoice | None:
    """Returns what --wire chooses. Raises UsageError."""
    if text is None:
        return None
    try:
        return WireChoice(text, rehearsal.protocols())
    except ValueError as error:
        raise UsageError(f"--wire: {error}") from None


def _check_wire(chosen: WireChoice, played: Played) -> None:
    """Raises UsageError if --wire chooses nothing that these acts have."""
    try:
        chosen.check(item for performance in played.performances for item in performance.recording)
    except ValueError as error:
        raise UsageError(f"--wire: {error}") from None


def _record(options: argparse.Namespace) -> int:
    """Writes what a run prints into the files that a test compares it with."""
    pages = catalogue.pages() if options.name == "all" else [catalogue.named(options.name)]
    for page in pages:
        played = rehearsal.play(page, _chosen(page, None))
        file = STORIES / f"{page.name}.txt"
        with contextlib.redirect_stdout(io.StringIO()) as story:
            output.show(played)
        with _writing_to(STORIES):
            STORIES.mkdir(exist_ok=True)
            file.write_text(story.getvalue(), "utf-8", newline="\n")
        screen.show(f"written: {file.relative_to(ROOT)}")
    return 0


def _live(options: argparse.Namespace) -> int:
    page = catalogue.named(options.name)
    _ensure_packages(page)
    return site.live(page, options.out)


def _faults(options: argparse.Namespace) -> int:
    pages = [catalogue.named(options.name)] if options.name else catalogue.pages()
    return _table(pages, None)


def _table(pages: list[Page], act: str | None) -> int:
    """Prints what each listed fault, and each drill that applies, breaks."""
    code = 0
    for page in pages:
        played = matrix.play(page, _chosen(page, act), whole=act is None)
        for line in matrix.lines(played):
            screen.show_words(line)
        code = max(code, played.exit_code)
    screen.show_words(matrix.LEGEND)
    return code


def _doors(options: argparse.Namespace) -> int:
    for page in doors.pages():
        _ensure_packages(page)
    rows = list(doors.play(doors.acts()))
    for line in doors.lines(rows):
        screen.show(line)
    screen.show_words(doors.LEGEND)
    return max(row.exit_code for row in rows)


# ── what the commands share ──────────────────────────────────────────────────


def _chosen(page: Page, name: str | None) -> list[Act]:
    """The acts of a page, or the one that was asked for. Raises UsageError, PageError.

    `name` is the beginning of a name, or a number as the table of faults shows it.
    """
    _ensure_packages(page)
    acts = rehearsal.checked(page).acts()
    if name is None:
        return acts
    if name.isdecimal():
        numbered = [act for act in acts if str(act.number) == name]
        if not numbered:
            names = ", ".join(f"{act.number} {act.name}" for act in acts)
            raise UsageError(f"{page.name} has no act {name}; choose from: {names}")
        return numbered
    chosen = catalogue.choose(name, [act.name for act in acts], f"{page.name} has no act")
    return [act for act in acts if act.name == chosen]


def _ensure_packages(page: Page) -> None:
    """Restarts the command with .venv's Python, creating .venv first, if packages are missing.

    This is for a clone. Raises UsageError where the package is installed: there the user decides
    what else is.
    """
    if not page.missing:
        return
    missing = ", ".join(page.missing)
    if os.environ.get("SCENARIOS_IN_VENV"):
        raise UsageError(f"{page.name} needs {missing}, which .venv does not have; remove .venv")
    script = ROOT / ".ci" / "venv.py"
    if not script.exists():
        packages = [DISTRIBUTIONS.get(name, name) for name in page.missing]
        wanted = _extras_with(packages) or " ".join(packages)
        raise UsageError(
            f"{page.name} needs {missing}; run: {sys.executable} -m pip install {wanted}"
        )
    setup = subprocess.run([sys.executable, str(script)], check=False)
    if setup.returncode:
        raise SystemExit(setup.returncode)
    python = str(ROOT / ".venv" / "bin" / "python")
    # The clone may be installed as editable, and this be called from anywhere.
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "SCENARIOS_IN_VENV": "1", "PYTHONPATH": path}
    os.execve(python, [python, "-m", "scenarios", *sys.argv[1:]], environment)


def _extras_with(packages: Sequence[str]) -> str:
    """Returns the extras of this package, quoted for a shell, that install these, or ""."""
    import importlib.metadata  # here, because it takes as long as all of argparse

    try:
        requirements = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:  # the files were copied, not installed
        return ""
    extras: dict[str, str] = {}  # what is installed → the first extra that does it
    for requirement in requirements:
        match = _OPTIONAL.match(requirement)
        if match is not None:
            extras.setdefault(match["name"].lower(), match["extra"])
    found = dict.fromkeys(extras.get(package.lower(), "") for package in packages)
    return f"'{PACKAGE}[{','.join(found)}]'" if all(found) else ""


def _end() -> NoReturn:
    raise SystemExit(main())


if __name__ == "__main__":
    # Little of what a program makes is garbage in cycles: to look for it so often, and in all that
    # is imported, took a twentieth of the time of a rehearsal.
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    _end()

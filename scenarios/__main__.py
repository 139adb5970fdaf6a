"""Lists, rehearses and runs the scenarios of the chapter.

    python -m scenarios list
    python -m scenarios run NAME [--act NAME] [--as book [--mended N]] [--fault TEXT] [--live FILE]
    python -m scenarios report NAME [--out DIR]
    python -m scenarios live NAME
    python -m scenarios record NAME
    python -m scenarios faults [NAME]

The exit code of a rehearsal is 0 if everything is as expected, 1 if not, 2 for a wrong option or a
mistake in a page, and 70 for a bug.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from comms.errors import SettingsError
from comms.suggest import did_you_mean
from scenarios import catalogue, matrix, output, rehearsal, screen, site
from scenarios.catalogue import Page
from scenarios.errors import OWN_FAULT, ROOT, USAGE, UsageError
from scenarios.live import run_live
from scenarios.play import Act
from scenarios.rehearsal import Performance, Played
from scenarios.stage.wire import WireChoice

PACKAGE = "comms-and-fakes"
STORIES = ROOT / "tests" / "stories"
INTERRUPTED = 130  # exit code, as shells have it
_WRONG = re.compile(r"invalid choice: '(.*?)'|unrecognized arguments: ([^\s=]+)")
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
        screen.complain(f"error: {message}{hint}; {self.prog} --help lists the words")
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

    run = words.add_parser("run", help="rehearse a scenario on fake servers, or run it live")
    add = run.add_argument
    add("name", metavar="NAME", help="the name of a scenario, or its beginning; or `all`")
    add("--act", metavar="NAME", help="play only this act")
    add("--as", dest="way", choices=["book"], help="play the printed listing instead")
    add("--mended", metavar="N", type=int, default=0, help="with --as book: mistake N is mended")
    add("--fault", metavar="TEXT", action="append", default=[], help="arm a fault; repeatable")
    add("--live", metavar="FILE", type=Path, help="use the real servers of this settings file")
    add("--once", action="store_true", help="with --live: a single round, as cron would")
    add("--out", metavar="DIR", type=Path, help="keep transcript, mails and state in this folder")
    add("--wire", metavar="WHAT", help="show the wire: all, a protocol (smtp), a session (smtp:3)")
    add("--claims", action="store_true", help="list the claims that hold, too")
    add("--diff", action="store_true", help="show our program and the printed listing side by side")
    add("--step", action="store_true", help="wait for Enter after each event")
    add("--keep", action="store_true", help="serve what the last act left, until Ctrl-C")
    add("--json", action="store_true", help="print the claims as one JSON value")
    add("--quiet", action="store_true", help="print only what is wrong")
    run.set_defaults(do=_run)

    report = words.add_parser("report", help="rehearse a scenario, and draw a picture of each act")
    report.add_argument("name", metavar="NAME", help="the name of a scenario, or `all`")
    report.add_argument("--act", metavar="NAME", help="play only this act")
    report.add_argument("--as", dest="way", choices=["book"], help="play the printed listing first")
    report.add_argument("--mended", metavar="N", type=int, default=0, help="with --as book")
    report.add_argument("--fault", metavar="TEXT", action="append", default=[], help="arm a fault")
    report.add_argument("--out", metavar="DIR", type=Path, help="instead of reports/NAME")
    report.set_defaults(
        do=_report,
        json=False,
        quiet=True,
        live=None,
        once=False,
        wire=None,
        claims=False,
        step=False,
        diff=False,
        keep=False,
    )

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
    if options.once and options.live is None:
        raise UsageError(
            "--once works only with --live, because an act decides itself how often it runs"
        )
    printed = options.way == "book" or options.diff
    if options.mended and (not printed or options.name == "all"):
        raise UsageError(
            "--mended mends a mistake of one printed listing; write --as book or --diff"
        )
    pages = catalogue.pages() if options.name == "all" else [catalogue.named(options.name)]
    if options.live is not None:
        if options.name == "all":
            raise UsageError("--live runs one scenario; write its name instead of all")
        for option in ("act", "way", "fault", "out"):
            if getattr(options, option):
                shown = "as" if option == "way" else option
                raise UsageError(f"--{shown} is for rehearsals; leave it out with --live")
        _ensure_packages(pages[0])
        return run_live(pages[0], options.live, options.once)
    if options.act and options.name == "all":
        raise UsageError("--act plays an act of one scenario; write its name instead of all")
    if "all" in options.fault:
        for option in ("way", "out", "json"):
            if getattr(options, option):
                shown = "as" if option == "way" else option
                raise UsageError(f"--{shown} is for one fault; write it instead of --fault all")
        return _table(pages, options.act)
    return _rehearse(pages, options)


def _report(options: argparse.Namespace) -> int:
    if "all" in options.fault:
        raise UsageError("--fault all prints a table; name one fault for a report")
    if options.out is None:
        options.out = Path("reports") if options.name == "all" else Path("reports") / options.name
    return _run(options)


def _rehearse(pages: list[Page], options: argparse.Namespace) -> int:
    book = options.way == "book"
    view = output.View(book, options.quiet, _wire(options.wire), options.claims, options.step)
    results: list[Played] = []
    kept: list[tuple[Path, Played]] = []
    for page in pages:
        acts = _chosen(page, options.act)
        if book and (page.book is None or not any(act.book for act in acts)):
            screen.show(f"{page.name}: no listing was printed for this, so --as book plays nothing")
            continue
        played = rehearsal.play(page, acts, options.fault, book, options.mended if book else 0)
        results.append(played)
        if options.diff:
            printed = _as_printed(page, acts, options)
            view = dataclasses.replace(view, diff=printed)
        if not options.json:
            output.show(played, view)
        if options.out is not None:
            other = None
            if page.book is not None:
                other = rehearsal.play(page, acts, options.fault, not book)
            kept.append((options.out if len(pages) == 1 else options.out / page.name, played))
            _keep(*kept[-1], other, book)
    if kept:
        if len(pages) > 1:
            output.keep_index(kept, options.out)
        if options.do is _report or not (options.json or options.quiet):
            screen.show(f"report: {options.out / 'index.html'}")
    if options.json:
        screen.show(
            json.dumps([output.as_json(played) for played in results], indent=1, default=str)
        )
    if options.keep and results:
        site.keep(results[-1].performances[-1])
    return max((played.exit_code for played in results), default=0)


def _as_printed(page: Page, acts: list[Act], options: argparse.Namespace) -> dict[str, Performance]:
    """Plays the listing for --diff, and returns its acts by name. Raises UsageError."""
    if options.way == "book" or options.wire or options.step:
        raise UsageError("--diff shows both ways; leave out --as, --wire and --step")
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


def _keep(folder: Path, played: Played, other: Played | None, book: bool) -> None:
    try:
        output.keep(played, folder, other, book)
        output.keep_index([(folder, played)], folder)
    except OSError as error:
        raise UsageError(
            f"--out: {folder} cannot be written: {error.strerror}; name another folder"
        ) from None


def _record(options: argparse.Namespace) -> int:
    """Writes what a run prints into the files that a test compares it with."""
    pages = catalogue.pages() if options.name == "all" else [catalogue.named(options.name)]
    for page in pages:
        played = rehearsal.play(page, _chosen(page, None))
        file = STORIES / f"{page.name}.txt"
        with contextlib.redirect_stdout(io.StringIO()) as story:
            output.show(played)
        file.parent.mkdir(exist_ok=True)
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
            screen.show(line)
        code = max(code, played.exit_code)
    screen.show(matrix.LEGEND)
    return code


# ── what the commands share ──────────────────────────────────────────────────


def _chosen(page: Page, name: str | None) -> list[Act]:
    """The acts of a page, or the one that was asked for. Raises UsageError, PageError."""
    _ensure_packages(page)
    acts = rehearsal.checked(page).acts()
    if name is None:
        return acts
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
        wanted = _extra_with(page.missing) or " ".join(page.missing)
        raise UsageError(
            f"{page.name} needs {missing}; run: {sys.executable} -m pip install {wanted}"
        )
    setup = subprocess.run([sys.executable, str(script)], check=False)
    if setup.returncode:
        raise SystemExit(setup.returncode)
    python = str(ROOT / ".venv" / "bin" / "python")
    environment = {**os.environ, "SCENARIOS_IN_VENV": "1"}
    os.execve(python, [python, "-m", "scenarios", *sys.argv[1:]], environment)


def _extra_with(packages: Sequence[str]) -> str:
    """Returns the extra of this package, quoted for a shell, that installs these, or ""."""
    try:
        requirements = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:  # the files were copied, not installed
        return ""
    extras: dict[str, set[str]] = {}  # extra → what it installs
    for requirement in requirements:
        match = _OPTIONAL.match(requirement)
        if match is not None:
            extras.setdefault(match["extra"], set()).add(match["name"].lower())
    for extra, installed in extras.items():
        if installed.issuperset(one.lower() for one in packages):
            return f"'{PACKAGE}[{extra}]'"
    return ""


def _end() -> NoReturn:
    raise SystemExit(main())


if __name__ == "__main__":
    _end()

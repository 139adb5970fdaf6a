"""The command: `python -m scenarios list`, `python -m scenarios run NAME …`. Here, and only here, programs meet fakes.

A rehearsal plays each act on a fresh world, and checks its claims; `--live FILE` runs the program on real servers.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from comms import settings as comms_settings
from comms.clock import Once, RealClock
from comms.errors import CommsError, SettingsError
from comms.host import RealHost
from fakes.clock import START, NotAtRest
from fakes.drills import DRILLS
from fakes.faults import FaultError
from fakes.host import Event
from fakes.mail import Envelope
from fakes.servers import read_faults
from fakes.transcripts.recorder import render
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue
from scenarios.catalogue import Scenario
from scenarios.play import Act, Claim, acts_of, laid_over
from scenarios.stage.narration import narrate

FAILED, WORDS, OWN_FAULT = 1, 2, 70
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Performance:
    """An act as it was played."""

    act: Act
    claims: list[Claim] = field(default_factory=list)
    recording: list[Record | Event] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    transcript: str = ""

    @property
    def broken(self) -> list[str]:
        """The claims that do not hold."""
        return [claim.text for claim in self.claims if not claim.holds]


@dataclass
class Played:
    """A scenario as it was played, and what was expected of it."""

    scenario: Scenario
    performances: list[Performance]
    expected: list[str]  # the claims that should break
    unmet: list[str]  # faults that no act met

    @property
    def broken(self) -> list[str]:
        """The claims that do not hold, in all acts."""
        return [text for performance in self.performances for text in performance.broken]

    @property
    def exit_code(self) -> int:
        """0 when exactly what was expected happened."""
        return 0 if not self.unmet and self.broken == self.expected else FAILED


def acts(scenario: Scenario) -> list[Act]:
    """The acts of a scenario: its own, then those in the file beside it."""
    modules = [importlib.import_module(scenario.module)]
    if scenario.more_acts:
        modules.append(importlib.import_module(scenario.more_acts))
    return acts_of(*modules)


def rehearse(scenario: Scenario, act: Act, faults: Sequence[str] = (), book: bool = False) -> Performance:
    """Plays one act on a fresh world, by the program or by the book's way. Raises FaultError."""
    run = importlib.import_module((scenario.book if book else None) or scenario.module).run
    performance = Performance(act)
    with World(act.world, rehearsal=True, faults=faults) as world:

        def program(once: bool = False, **changes: Mapping[str, Any]) -> int:
            settings = comms_settings.load(laid_over(world.settings, changes), world.folder)
            clock = Once(world.clock) if once else world.clock
            try:
                code = run(clock, settings, world.host)
            except (Exception, NotAtRest) as error:
                code = error.exit_code if isinstance(error, CommsError) else OWN_FAULT
                text = f"ends with exit code {code}: {type(error).__name__}: {error}"
                world.tell("program", text.replace(str(world.folder), "."), "error")
            world.clock.settle()
            return int(code or 0)

        performance.claims = list(act.play(world, program))
        performance.recording = list(world.recording)
        performance.mails = [mail.raw for mail in world.mail.messages]
        performance.envelopes = [mail.envelope for mail in world.mail.messages]
        performance.unmet = [str(fault) for fault in world.faults.unmet()]
        performance.transcript = render(performance.recording)
        world.faults.disarm()
    return performance


def play(scenario: Scenario, chosen: list[Act], faults: Sequence[str] = (), book: bool = False) -> Played:
    """Plays acts of a scenario, and knows what should come of it. Raises FaultError."""
    performances = [rehearse(scenario, act, faults, book) for act in chosen if act.book or not book]
    unmet = [text for text in (performances[0].unmet if performances else []) if all(
        text in performance.unmet for performance in performances)]  # fmt: skip
    expected: list[str] = []
    if book and scenario.book:
        breaks: Mapping[str, list[str]] = importlib.import_module(scenario.book).BREAKS
        expected = [text for act in chosen if act.book for text in breaks.get(act.name, [])]
    elif faults:
        wanted = [str(fault) for text in faults for fault in read_faults(text)]
        for listed, outcome in scenario.faults:
            if [str(fault) for fault in read_faults(listed)] == wanted and outcome.startswith("breaks "):
                expected = _claims_in(outcome.removeprefix("breaks "), performances)
    return Played(scenario, performances, expected, unmet)


def _claims_in(outcome: str, performances: list[Performance]) -> list[str]:
    """The claims that a docstring names after `breaks`, parted by commas, in the order of the acts."""
    every = [claim.text for performance in performances for claim in performance.claims]
    named = [text for text in every if f", {text}," in f", {outcome},"]
    return named or [outcome]


# ── the words ────────────────────────────────────────────────────────────────────────────────────────────────────


def main(words: Sequence[str] | None = None) -> int:
    """Does what the words say; gives the exit code."""
    options = _parser().parse_args(words)
    try:
        return int(options.do(options))
    except (LookupError, FaultError, SettingsError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return WORDS
    except BrokenPipeError:  # somebody's `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scenarios", description=(__doc__ or "").splitlines()[0])
    words = parser.add_subparsers(required=True, metavar="WORD")
    listing = words.add_parser("list", help="every scenario, a line each")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(do=_list)
    run = words.add_parser("run", help="rehearse a scenario on fakes, or run it live")
    run.add_argument("name", metavar="NAME", help="a scenario's name, or `all`")
    run.add_argument("--act", metavar="NAME", help="only this act")
    run.add_argument("--as", dest="way", choices=["book"], help="the way of the printed listing")
    run.add_argument("--fault", metavar="TEXT", action="append", default=[], help="something that goes wrong")
    run.add_argument("--live", metavar="FILE", type=Path, help="on the real servers of this settings file")
    run.add_argument("--once", action="store_true", help="with --live: one round, as cron would")
    run.add_argument("--out", metavar="DIR", type=Path, help="keep transcript, mails and state there")
    run.add_argument("--json", action="store_true", help="claims as one JSON value on stdout")
    run.add_argument("--quiet", action="store_true", help="nothing but what is wrong")
    run.set_defaults(do=_run)
    faults = words.add_parser("faults", help="every scenario, or one, under each fault it lists and each drill it knows")
    faults.add_argument("name", metavar="NAME", nargs="?")
    faults.set_defaults(do=_faults)
    return parser


def _list(options: argparse.Namespace) -> int:
    every = catalogue.scenarios()
    if options.json:
        rows = [{"name": one.name, "title": one.title, "section": one.section, "protocols": one.protocols} for one in every]
        print(json.dumps(rows, indent=1))
        return 0
    width = max(len(one.name) for one in every)
    for one in every:
        print(f"{one.name:<{width}}  {one.title} · {one.section} · {', '.join(one.protocols)}")
    return 0


def _run(options: argparse.Namespace) -> int:
    if options.once and options.live is None:
        raise LookupError("--once goes with --live: a rehearsal's acts decide themselves how often they run")
    every = catalogue.scenarios() if options.name == "all" else [catalogue.named(options.name)]
    if options.live is not None:
        if options.name == "all":
            raise LookupError("--live runs one scenario; say its name")
        _ensure_packages(every[0])
        return _live(every[0], options.live, options.once)
    codes = []
    results = []
    if "all" in options.fault:
        return _table(every, options.act)
    for scenario in every:
        _ensure_packages(scenario)
        chosen = _chosen(scenario, options.act)
        if options.way == "book" and (scenario.book is None or not any(act.book for act in chosen)):
            print(f"{scenario.name}: nothing was printed for this; there is no book's way to play")
            continue
        played = play(scenario, chosen, options.fault, options.way == "book")
        codes.append(played.exit_code)
        results.append(played)
        if not options.json:
            _show(played, options)
        if options.out is not None:
            _keep(played, options.out if len(every) == 1 else options.out / scenario.name)
    if options.json:
        print(json.dumps([_as_json(played) for played in results], indent=1, default=str))
    return max(codes, default=0)


def _faults(options: argparse.Namespace) -> int:
    return _table([catalogue.named(options.name)] if options.name else catalogue.scenarios(), None)


def _table(every: list[Scenario], act: str | None) -> int:
    """Each scenario under each fault that it lists, and under each drill that its servers know: what breaks."""
    code = 0
    for scenario in every:
        _ensure_packages(scenario)
        chosen = _chosen(scenario, act)
        listed = dict(scenario.faults)
        print(f"{scenario.name}: {', '.join(one.name for one in chosen)}")
        for text in [*listed, *(name for name in DRILLS if name not in listed)]:
            try:
                played = play(scenario, chosen, [text])
            except FaultError:  # a drill for servers that this world does not have
                continue
            breaks = f"breaks {', '.join(dict.fromkeys(played.broken))}" if played.broken else "all hold"
            outcome = "not met" if played.unmet else breaks
            wrong = text in listed and act is None and (played.broken, played.unmet) != (played.expected, [])
            code = max(code, FAILED if wrong else 0)
            print(f"  {text:<64} {outcome}{'   ✗ the docstring says: ' + listed[text] if wrong else ''}")
    return code


def _chosen(scenario: Scenario, name: str | None) -> list[Act]:
    every = acts(scenario)
    chosen = [act for act in every if name in (None, act.name)]
    if not chosen:
        names = [act.name for act in every]
        near = catalogue.nearest(str(name), names)
        raise LookupError(f"{scenario.name} has no act {name!r}{near}; it has: {', '.join(names)}")
    return chosen


def _ensure_packages(scenario: Scenario) -> None:
    """Starts over with .venv's Python, set up first if need be, when packages are missing here."""
    if not scenario.missing:
        return
    if os.environ.get("SCENARIOS_IN_VENV"):
        raise LookupError(f"{scenario.name} needs {', '.join(scenario.missing)}, and .venv lacks it; remove .venv")
    setup = subprocess.run([sys.executable, str(ROOT / ".ci" / "venv.py")], check=False)
    if setup.returncode:
        raise SystemExit(setup.returncode)
    python = str(ROOT / ".venv" / "bin" / "python")
    os.execve(python, [python, "-m", "scenarios", *sys.argv[1:]], {**os.environ, "SCENARIOS_IN_VENV": "1"})


# ── what is shown and kept ───────────────────────────────────────────────────────────────────────────────────────


def _show(played: Played, options: argparse.Namespace) -> None:
    scenario = played.scenario
    if not options.quiet:
        way = ", the book's way" if options.way else ""
        print(f"{scenario.name}{way}: {scenario.title} · {scenario.section} · {', '.join(scenario.protocols)}")
    for performance in played.performances:
        if not options.quiet:
            print(f"\nact {performance.act.name}: {performance.act.title}\n")
            for line in narrate(performance.recording):
                print(line)
            print()
        for claim in performance.claims:
            if not options.quiet or claim.holds == (claim.text in played.expected):
                found = "" if claim.holds else f"\n      found instead: {claim.found!r}"
                print(f"  {'✓' if claim.holds else '✗'} {claim.text}{found}")
    for text in played.unmet:
        print(f"  ✗ the fault was never met: {text}")
    if played.broken != played.expected:
        for text in (text for text in played.expected if text not in played.broken):
            print(f"  ✗ expected to break here, and holds: {text}")
    elif played.expected and not options.quiet:
        print("  These claims were expected to break here, and only these.")
    if not options.quiet:
        print()


def _as_json(played: Played) -> dict[str, Any]:
    return {
        "scenario": played.scenario.name,
        "exit": played.exit_code,
        "expected_to_break": played.expected,
        "unmet_faults": played.unmet,
        "acts": [
            {
                "name": performance.act.name,
                "title": performance.act.title,
                "claims": [
                    {"text": claim.text, "holds": claim.holds, "found": repr(claim.found) if not claim.holds else None}
                    for claim in performance.claims
                ],
            }
            for performance in played.performances
        ],
    }


def _keep(played: Played, folder: Path) -> None:
    """transcript.txt, an .eml a message, state.json, for each act: the same octets from run to run."""
    for performance in played.performances:
        place = folder / performance.act.name
        place.mkdir(parents=True, exist_ok=True)
        (place / "transcript.txt").write_text(performance.transcript, "utf-8")
        for number, raw in enumerate(performance.mails, 1):
            (place / f"mail-{number}.eml").write_bytes(raw)
        events = [
            {"at": one.at - START, "who": one.who, "level": one.level, "text": one.text}
            for one in performance.recording
            if isinstance(one, Event)
        ]
        claims = {claim.text: claim.holds for claim in performance.claims}
        state = json.dumps({"act": performance.act.name, "claims": claims, "events": events}, indent=1)
        (place / "state.json").write_text(state + "\n", "utf-8")


# ── live ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _live(scenario: Scenario, file: Path, once: bool) -> int:
    """Runs the program on real servers; SIGTERM and SIGINT end it after the work in hand."""
    settings = comms_settings.load(file)
    clock, host = RealClock(), RealHost()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.stop())
    try:
        run = importlib.import_module(scenario.module).run
        code = int(run(Once(clock) if once else clock, settings, host) or 0)
    except CommsError as error:
        host.log("ends", "error", exit=error.exit_code, trouble=str(error))
        code = error.exit_code
    except Exception:
        traceback.print_exc()
        code = OWN_FAULT
    finally:
        for text in settings.warnings:
            host.log("settings", "warning", trouble=text)
        clock.close()
    return code


def _end() -> NoReturn:
    raise SystemExit(main())


if __name__ == "__main__":
    _end()

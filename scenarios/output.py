"""What a rehearsal shows on the terminal, prints as JSON, and keeps in files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios import screen
from scenarios.catalogue import Page
from scenarios.mistakes import Made
from scenarios.play import Claim
from scenarios.rehearsal import Performance, Played
from scenarios.stage import report, side_by_side
from scenarios.stage.story import story
from scenarios.stage.text import Teller, columns
from scenarios.stage.wire import LEGEND, WireChoice, wire

SHOWN = 4  # people whose mails are counted by name in the table at the end


@dataclass(frozen=True)
class View:
    """What of a rehearsal is shown. `wire` shows records instead of the story."""

    book: bool = False
    quiet: bool = False  # only what is not as expected
    wire: WireChoice | None = None
    claims: bool = False  # a line for each claim, even if all of an act hold
    step: bool = False  # wait for Enter after each event
    diff: Mapping[str, Performance] | None = None  # the acts as printed, to be shown beside ours


def show(played: Played, view: View = View()) -> None:
    """Prints the story of each act with its claims, and what the run has come to."""
    with screen.keyboard() if view.step else nullcontext(lambda: None) as wait_for_enter:
        _show(played, view, wait_for_enter)


def _show(played: Played, view: View, wait_for_enter: Callable[[], None]) -> None:
    page = played.page
    teller, seen = Teller(screen.width()), set[str]()
    if not view.quiet:
        way = ", as printed" if view.book else ""
        if played.mended:
            instead = page.mends()[played.mended]
            way += f" but for mistake {played.mended} ({instead})"
        screen.show_words(f"{page.name}{way}: {page.doc.title}")
        screen.show_words(f"{page.doc.section} · {', '.join(page.doc.protocols)}")
        if view.wire:
            screen.show_words(LEGEND)
        if view.step:
            screen.show(screen.NEXT)
        if view.diff:
            screen.show_words(side_by_side.LEGEND)
    for performance in played.performances:
        if not view.quiet:
            screen.show_words(f"\nact {performance.act.name}: {performance.act.title}\n")
            _show_act(performance, view, teller, seen, wait_for_enter)
            screen.show()
        if performance.broken != performance.expected:
            for text in performance.tracebacks:
                screen.complain(text.rstrip("\n"))
        _show_claims(performance, view)
    for fault in played.unmet:
        screen.show(f"  ✗ the fault was never met: {fault}")
    if not played.judged:
        screen.show(
            "  A listing's mistakes and a fault together: for you to judge what should break."
        )
    elif played.broken != played.expected:
        for text in (text for text in played.expected if text not in played.broken):
            screen.show(f"  ✗ expected to break here, and holds: {text}")
    elif played.expected and not view.quiet:
        screen.show("  These claims were expected to break here, and only these.")
        if view.book and not played.mended:
            for number, instead in page.mends().items():
                screen.show(
                    f"  Mistake {number} hides others. MENDED={number} mends it: {instead}."
                )
    if not view.quiet:
        _show_end(played, view)


def _show_act(
    performance: Performance,
    view: View,
    teller: Teller,
    seen: set[str],
    wait_for_enter: Callable[[], None],
) -> None:
    if view.wire:
        for line in wire(performance.recording, view.wire, screen.width()):
            screen.show_line(line)
        return
    if view.diff and performance.act.name in view.diff:
        printed = view.diff[performance.act.name].recording
        for line in side_by_side.side_by_side(performance.recording, printed, screen.width()):
            screen.show_line(line)
        return
    for lines in teller.tell_act(story(performance.recording, seen)):
        wait_for_enter()
        for line in lines:
            screen.show_line(line)


def _show_claims(performance: Performance, view: View) -> None:
    """Prints how many claims hold, and each that does not; all of them if that is asked for."""
    number, broken = len(performance.claims), performance.broken
    if not view.quiet:
        mark = "✗" if broken else "✓"
        screen.show(f"  {mark} {number - len(broken)} of {number} {_claims(number)}")
    for claim in performance.claims:
        as_expected = claim.holds != (claim.text in performance.expected)
        told = view.claims or not claim.holds or not as_expected
        if not as_expected if view.quiet else told:
            _show_claim(claim, performance.mistakes.get(claim.text))


def _claims(number: int) -> str:
    return "claim" if number == 1 else "claims"


def _show_end(played: Played, view: View) -> None:
    """Prints what people have at the end of each act, and where more is."""
    counts = list(played.performances[0].counts) if played.performances else []
    rows = [["act", "claims", "mails", "messages", "commands", *counts]]
    for performance in played.performances:
        number = len(performance.claims)
        held = number - len(performance.broken)
        rows.append(
            [
                performance.act.name,
                f"{held} of {number}",
                _each({who: len(mails) for who, mails in performance.maildrops.items()}),
                _each(performance.messages),
                str(performance.commands or ""),
                *(str(performance.counts[what] or "") for what in counts),
            ]
        )
    screen.show()
    for line in columns(rows):
        screen.show(f"  {line}")
    acts, total = len(played.performances), sum(len(one.claims) for one in played.performances)
    broken = len(played.broken)
    words = f"{total - broken} of {total} claims hold" if broken else f"{total} claims hold"
    more = "" if view.wire else " · WIRE=all shows the wire"
    listed = "" if view.claims else " · CLAIMS=1 lists the claims"
    screen.show_words(
        f"\n{acts} {'act' if acts == 1 else 'acts'} · {words}{more}{listed} · OUT=dir keeps it"
    )


def _each(counts: Mapping[str, int]) -> str:
    """Returns how much each person has; the name of a person is the part before the @."""
    found = [f"{who.partition('@')[0]} {number}" for who, number in counts.items() if number]
    return ", ".join(found[:SHOWN] + ["…"] * (len(found) > SHOWN))


def _show_claim(claim: Claim, mistake: Made | None) -> None:
    screen.show_words(f"  {'✓' if claim.holds else '✗'} {claim.text}")
    if not claim.holds:
        for line in (*claim.shape, *(mistake.lines if mistake else ())):
            screen.show(f"      {line}")


def as_json(played: Played) -> dict[str, Any]:
    """Returns the claims and the exit code as JSON values."""
    return {
        "scenario": played.page.name,
        "exit": played.exit_code,
        "expected_to_break": played.expected,
        "unmet_faults": played.unmet,
        "acts": [
            {
                "name": performance.act.name,
                "title": performance.act.title,
                "claims": [
                    _claim_as_json(claim, performance.mistakes.get(claim.text))
                    for claim in performance.claims
                ],
            }
            for performance in played.performances
        ],
    }


def _claim_as_json(claim: Claim, mistake: Made | None) -> dict[str, Any]:
    return {
        "text": claim.text,
        "holds": claim.holds,
        "expected": claim.expected or None,
        "found": claim.found or None,
        # Of the printed listing: the one that breaks the claim.
        "mistake": dataclasses.asdict(mistake) if mistake and not claim.holds else None,
    }


def keep(played: Played, folder: Path, other: Played | None = None, book: bool = False) -> None:
    """Writes transcript.txt, mail-N.eml, state.json and report.html for each act.

    `other` is the same played in the other way: as printed, or if `book`, with our program. The
    files are the same, byte for byte, from run to run and on every platform.
    """
    others = {one.act.name: one for one in other.performances} if other else {}
    for performance in played.performances:
        place = folder / performance.act.name
        place.mkdir(parents=True, exist_ok=True)
        (place / "transcript.txt").write_text(performance.transcript, "utf-8", newline="\n")
        for number, raw in enumerate(performance.mails, 1):
            (place / f"mail-{number}.eml").write_bytes(raw)
        state = {
            "act": performance.act.name,
            "claims": {claim.text: claim.holds for claim in performance.claims},
            "events": performance.events,
        }
        text = json.dumps(state, indent=1) + "\n"
        (place / "state.json").write_text(text, "utf-8", newline="\n")
        ways = [_way(played.page, performance, book)]
        if performance.act.name in others:
            ways.append(_way(played.page, others[performance.act.name], not book))
        (place / "report.html").write_bytes(report.act_page(played.page, ways).encode())


def keep_index(results: Sequence[tuple[Path, Played]], folder: Path) -> None:
    """Writes index.html, which leads to the reports of the acts. Each result has its folder."""
    places = [(f"{path.relative_to(folder)}/".removeprefix("./"), one) for path, one in results]
    title = results[0][1].page.name if len(results) == 1 else "The scenarios"
    (folder / "index.html").write_bytes(report.index_page(title, places).encode())


def _way(page: Page, performance: Performance, book: bool) -> report.Way:
    title = "As printed" if book else "Our program"
    return report.Way("b" if book else "a", title, performance, page.sources(book))

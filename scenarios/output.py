"""What a rehearsal shows on the terminal, prints as JSON, and keeps in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scenarios import screen
from scenarios.docstring import Docstring
from scenarios.play import Claim
from scenarios.rehearsal import Played
from scenarios.stage.narration import narrate


def show(played: Played, book: bool = False, quiet: bool = False) -> None:
    """Prints the narration and the claims; with `quiet` only what is not as expected."""
    page = played.page
    if not quiet:
        way = ", as printed" if book else ""
        screen.show(f"{page.name}{way}: {_facts(page.doc)}")
    for performance in played.performances:
        if not quiet:
            screen.show(f"\nact {performance.act.name}: {performance.act.title}\n")
            for line in narrate(performance.recording):
                screen.show(line)
            screen.show()
        if performance.broken != performance.expected:
            for text in performance.tracebacks:
                screen.complain(text.rstrip("\n"))
        for claim in performance.claims:
            as_expected = claim.holds != (claim.text in performance.expected)
            if not (quiet and as_expected):
                _show_claim(claim)
    for fault in played.unmet:
        screen.show(f"  ✗ the fault was never met: {fault}")
    if played.broken != played.expected:
        for text in (text for text in played.expected if text not in played.broken):
            screen.show(f"  ✗ expected to break here, and holds: {text}")
    elif played.expected and not quiet:
        screen.show("  These claims were expected to break here, and only these.")
    if not quiet:
        screen.show()


def _facts(doc: Docstring) -> str:
    return " · ".join((doc.title, doc.section, ", ".join(doc.protocols)))


def _show_claim(claim: Claim) -> None:
    screen.show(f"  {'✓' if claim.holds else '✗'} {claim.text}")
    if claim.expected:
        screen.show(f"      expected: {claim.expected}")
    if claim.found:
        screen.show(f"      found:    {claim.found}")


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
                    {
                        "text": claim.text,
                        "holds": claim.holds,
                        "expected": claim.expected or None,
                        "found": claim.found or None,
                    }
                    for claim in performance.claims
                ],
            }
            for performance in played.performances
        ],
    }


def keep(played: Played, folder: Path) -> None:
    """Writes transcript.txt, mail-N.eml and state.json for each act.

    The files are the same, byte for byte, from run to run.
    """
    for performance in played.performances:
        place = folder / performance.act.name
        place.mkdir(parents=True, exist_ok=True)
        (place / "transcript.txt").write_text(performance.transcript, "utf-8")
        for number, raw in enumerate(performance.mails, 1):
            (place / f"mail-{number}.eml").write_bytes(raw)
        state = {
            "act": performance.act.name,
            "claims": {claim.text: claim.holds for claim in performance.claims},
            "events": performance.events,
        }
        (place / "state.json").write_text(json.dumps(state, indent=1) + "\n", "utf-8")

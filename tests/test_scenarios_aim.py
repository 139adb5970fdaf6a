"""The AIM scenarios: every claim, the book's way, the listed faults, and the same octets each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scenarios import catalogue
from scenarios.__main__ import acts, main, play, rehearse
from scenarios.play import Act

ROOT = Path(__file__).parent.parent
NAMES = ("aim-hello", "aim-callbacks", "aim-uptime")
ACTS = [(name, act) for name in NAMES for act in acts(catalogue.named(name))]
BOOK = [(name, act) for name, act in ACTS if act.book]
FAULTS = [(name, fault) for name in NAMES for fault, _ in catalogue.named(name).faults]


def ids(pair: object) -> str:
    return pair.name if isinstance(pair, Act) else str(pair)


def test_every_act_of_the_catalogue_is_there() -> None:
    assert {
        "aim-send-im", "aim-on-error", "aim-on-im", "aim-on-status-available", "aim-on-status-online", "aim-on-status-idle",
        "aim-on-status-away", "aim-uptime-bot", "server-info-push",
    } <= {act.name for _, act in ACTS}  # fmt: skip


@pytest.mark.parametrize(("name", "act"), ACTS, ids=ids)
def test_every_claim_holds(name: str, act: Act) -> None:
    performance = rehearse(catalogue.named(name), act)
    assert performance.claims and not performance.broken, performance.transcript


@pytest.mark.parametrize(("name", "act"), BOOK, ids=ids)
def test_the_books_way_breaks_exactly_what_is_listed(name: str, act: Act) -> None:
    played = play(catalogue.named(name), [act], book=True)
    assert played.broken == played.expected


def test_the_book_lists_no_act_that_is_not_there() -> None:
    import importlib

    for name in NAMES:
        book = catalogue.named(name).book
        assert book is not None
        assert set(importlib.import_module(book).BREAKS) <= {act.name for one, act in BOOK if one == name}


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_listed_fault_does_what_is_listed(name: str, fault: str) -> None:
    assert main(["run", name, "--fault", fault, "--quiet"]) == 0


@pytest.mark.parametrize(("name", "act"), ACTS, ids=ids)
def test_a_rehearsal_is_the_same_octet_for_octet(name: str, act: Act) -> None:
    first, second = (rehearse(catalogue.named(name), act) for _ in range(2))
    assert first.transcript == second.transcript
    assert [str(one) for one in first.recording] == [str(one) for one in second.recording]


def test_rehearsals_are_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    kept = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        for name in NAMES:
            subprocess.run(
                [sys.executable, "-m", "scenarios", "run", name, "--quiet", "--out", str(folder / name)],
                check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
            )  # fmt: skip
        kept.append({str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()})
    assert kept[0] == kept[1] and len(kept[0]) >= 2 * len(ACTS)


def test_no_password_stands_in_what_is_kept(tmp_path: Path) -> None:
    from fakes.world import PASSWORD

    main(["run", "aim-hello", "--quiet", "--out", str(tmp_path)])
    roasted = "0x" + bytes(a ^ b for a, b in zip(PASSWORD.encode(), b"Tic/Toc", strict=False)).hex()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            text = file.read_text()
            assert PASSWORD not in text and roasted not in text


def test_the_claims_are_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "aim-hello", "--json"]) == 0
    (played,) = json.loads(capsys.readouterr().out)
    assert [act["name"] for act in played["acts"]] == [
        "aim-send-im",
        "aim-nobody-there",
        "aim-wrong-password",
        "aim-too-fast",
    ]

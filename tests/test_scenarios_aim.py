"""The AIM scenarios: their acts, what they decide, and that their claims break when the program is spoiled."""

from __future__ import annotations

import ast
import html
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comms.toc import client, markup, session
from comms.toc.markup import Html
from comms.toc.session import Session
from fakes.world import PASSWORD
from scenarios import catalogue
from scenarios.__main__ import acts, main, rehearse
from scenarios.aim import aim_uptime
from scenarios.aim.aim_uptime import DISK, nearly_full

NAMES = ("aim-hello", "aim-callbacks", "aim-uptime")


def test_every_act_of_the_catalogue_is_there() -> None:
    assert {
        "aim-send-im", "aim-on-error", "aim-on-im", "aim-on-status-available", "aim-on-status-online", "aim-on-status-idle",
        "aim-on-status-away", "aim-uptime-bot", "server-info-push",
    } <= {act.name for name in NAMES for act in acts(catalogue.named(name))}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_book_lists_no_act_and_no_claim_that_is_not_there(name: str) -> None:
    scenario = catalogue.named(name)
    assert scenario.book is not None
    for act, texts in importlib.import_module(scenario.book).BREAKS.items():
        (one,) = (one for one in acts(scenario) if one.name == act and one.book)
        assert set(texts) <= {claim.text for claim in rehearse(scenario, one).claims}


def test_the_book_stands_on_clock_link_and_codec_and_never_on_the_client() -> None:
    for path in (Path(__file__).parent.parent / "scenarios" / "book").glob("*.py"):
        modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        assert not {"comms.toc.client", "comms.toc.session", "comms.toc.buddies", "comms.toc.markup"} & modules, path


def test_no_password_stands_in_what_is_kept(tmp_path: Path) -> None:
    main(["run", "aim-hello", "--quiet", "--out", str(tmp_path)])
    roasted = "0x" + bytes(a ^ b for a, b in zip(PASSWORD.encode(), b"Tic/Toc", strict=False)).hex()
    texts = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert texts and not any(PASSWORD in text or roasted in text for text in texts)


# ── the pure decision ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limit", "known", "places"),
    [
        (90, [], []),
        (58, [], ["/"]),
        (43, [], ["/", "/var"]),
        (60, [], []),
        (60, ["/"], ["/"]),  # it was full, and has not come far from it
        (64, ["/"], []),
        (60, ["/var"], []),
    ],
)
def test_a_disk_is_nearly_full_from_the_limit_on_and_has_room_again_well_below(
    limit: int, known: list[str], places: list[str]
) -> None:
    assert nearly_full(DISK, limit, known) == places


def test_any_table_at_all_can_be_read() -> None:
    table = "Filesystem Use% Mounted on\ntmpfs - 91% /with blanks in it\nnone 100% \n95% /x\nmac 93%  1234 5% /Volumes/a\n"
    assert nearly_full(table, 90, ()) == ["/Volumes/a", "/with blanks in it"]  # macOS counts inodes too


# ── claims break when the program is spoiled ─────────────────────────────────────────────────────────────────────


def broken(name: str, act: str) -> list[str]:
    scenario = catalogue.named(name)
    (one,) = (one for one in acts(scenario) if one.name == act)
    return rehearse(scenario, one).broken


def spoil(place: Any, name: str, thing: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(place, name, thing)


@pytest.mark.parametrize(
    ("spoiled", "name", "act", "claim"),
    [
        (spoil(Session, "sync", lambda self: []), "aim-hello", "aim-nobody-there", "it does not say that it arrived"),
        (spoil(session, "RATE_ATTEMPTS", 1), "aim-hello", "aim-too-fast", "it arrives"),
        (spoil(Html, "text", property(str)), "aim-callbacks", "aim-on-im", "of HTML, what a person reads is told"),
        (spoil(html, "escape", lambda text, quote: text), "aim-uptime", "aim-uptime-long-answer",
         "what looks like a tag is shown"),
        (spoil(client, "split_message", lambda text, room: [markup.to_html(text)]), "aim-uptime", "aim-uptime-long-answer",
         "every line arrives, whole"),
        (spoil(aim_uptime, "normalize", lambda name: "stranger"), "aim-uptime", "aim-uptime-silence",
         "a stranger learns nothing"),
        (spoil(aim_uptime, "nearly_full", lambda table, limit, known: ["/var"]), "aim-uptime", "server-info-push",
         "nothing is said while there is room"),
    ],
)  # fmt: skip
def test_a_spoiled_program_breaks_its_claims(
    monkeypatch: pytest.MonkeyPatch, spoiled: Callable[[pytest.MonkeyPatch], None], name: str, act: str, claim: str
) -> None:
    assert not broken(name, act)
    spoiled(monkeypatch)
    found = broken(name, act)
    assert claim in found

"""The AIM scenarios: their acts, when a disk is nearly full, claims that break if spoiled."""

from __future__ import annotations

import ast
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from comms import settings as comms_settings
from comms.clock import Once
from comms.toc import client, markup, session
from comms.toc.markup import Html
from comms.toc.session import Session
from fakes import World
from fakes.host import Command
from scenarios import catalogue
from scenarios.__main__ import main
from scenarios.aim import aim_uptime, aim_uptime_push
from scenarios.aim.aim_uptime_push import nearly_full
from scenarios.aim.aim_uptime_samples import DISK
from scenarios.rehearsal import rehearse

NAMES = ("aim-hello", "aim-callbacks", "aim-uptime")
BOOK = Path(__file__).parent.parent / "scenarios" / "book"


def test_every_act_of_the_chapter_is_there() -> None:
    assert {
        "aim-send-im",
        "aim-on-error",
        "aim-on-im",
        "aim-on-status-available",
        "aim-on-status-online",
        "aim-on-status-idle",
        "aim-on-status-away",
        "aim-uptime-bot",
        "server-info-push",
    } <= {act.name for name in NAMES for act in catalogue.named(name).acts()}


@pytest.mark.parametrize("name", NAMES)
def test_the_printed_listing_names_only_acts_and_claims_that_exist(name: str) -> None:
    page = catalogue.named(name)
    assert page.book is not None
    for act, texts in page.breaks().items():
        (found,) = (one for one in page.acts() if one.name == act and one.book)
        assert set(texts) <= {claim.text for claim in rehearse(page, found).claims}


def test_the_printed_listings_use_the_toc_codec_but_not_the_client() -> None:
    mended = {"comms.toc.client", "comms.toc.session", "comms.toc.buddies", "comms.toc.markup"}
    for path in BOOK.glob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not mended & modules, path


def test_no_password_is_in_the_kept_files(tmp_path: Path) -> None:
    main(["run", "aim-hello", "--quiet", "--out", str(tmp_path)])
    pairs = zip(b"secret", b"Tic/Toc", strict=False)
    roasted = "0x" + bytes(letter ^ key for letter, key in pairs).hex()
    texts = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert texts and not any("secret" in text or roasted in text for text in texts)


# ── when a disk is nearly full ───────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limit", "known", "places"),
    [
        (90, [], []),
        (58, [], ["/"]),
        (43, [], ["/", "/var"]),
        (60, [], []),
        (60, ["/"], ["/"]),  # it was full, and is still close to the limit
        (64, ["/"], []),
        (60, ["/var"], []),
    ],
)
def test_a_disk_is_nearly_full_at_the_limit_and_has_room_well_below_it(
    limit: int, known: list[str], places: list[str]
) -> None:
    assert nearly_full(DISK, limit, known) == places


def test_tables_of_other_systems_can_be_read() -> None:
    table = (
        "Filesystem Use% Mounted on\n"
        "tmpfs - 91% /with spaces in it\n"
        "none 100% \n"
        "95% /x\n"
        "mac 93%  1234 5% /Volumes/a\n"  # macOS counts inodes, too
    )
    assert nearly_full(table, 90, ()) == ["/Volumes/a", "/with spaces in it"]


# ── claims break when the program is spoiled ─────────────────────────────────


def broken(name: str, act: str) -> list[str]:
    page = catalogue.named(name)
    (found,) = (one for one in page.acts() if one.name == act)
    return rehearse(page, found).broken


def spoil(place: Any, name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(place, name, value)


@pytest.mark.parametrize(
    ("spoiled", "name", "act", "claim"),
    [
        (
            spoil(Session, "sync", lambda self: []),
            "aim-hello",
            "aim-nobody-there",
            "the program does not report that it arrived",
        ),
        (
            spoil(session, "RATE_ATTEMPTS", 1),
            "aim-hello",
            "aim-too-fast",
            "the greeting is sent again and arrives",
        ),
        (
            spoil(Html, "text", property(str)),
            "aim-callbacks",
            "aim-on-im",
            "HTML is reported as plain text",
        ),
        (
            spoil(html, "escape", lambda text, quote: text),
            "aim-uptime",
            "aim-uptime-long-answer",
            "a name that looks like a tag is shown",
        ),
        (
            spoil(client, "split_message", lambda text, room: [markup.to_html(text)]),
            "aim-uptime",
            "aim-uptime-long-answer",
            "every line arrives",
        ),
        (
            spoil(aim_uptime, "normalize", lambda name: "stranger"),
            "aim-uptime",
            "aim-uptime-silence",
            "a stranger gets no answer",
        ),
        (
            spoil(aim_uptime_push, "nearly_full", lambda table, limit, known: ["/var"]),
            "aim-uptime",
            "server-info-push",
            "nothing is sent while there is room",
        ),
    ],
)
def test_a_spoiled_program_breaks_its_claims(
    monkeypatch: pytest.MonkeyPatch,
    spoiled: Callable[[pytest.MonkeyPatch], None],
    name: str,
    act: str,
    claim: str,
) -> None:
    assert not broken(name, act)
    spoiled(monkeypatch)
    assert claim in broken(name, act)


def test_a_disk_with_a_long_name_is_reported_as_plain_text() -> None:
    place = "/" + "x" * 3000
    config = {**aim_uptime.WORLD, "host": {"name": "web1.yourco.test"}}
    with World(config, rehearsal=True) as world:
        world.host.commands["df", "-k"] = Command(output=f"/dev/a 100 99 1 99% {place}\n")
        admin = world.aim.actor("SysAdmin")
        admin.signs_on()
        settings = {**world.settings}
        settings["scenario"]["aim-uptime"]["push"] = 90
        loaded = comms_settings.load(settings, world.folder)
        assert aim_uptime.run(Once(world.clock), loaded, world.host) == 1
        heard = "".join(Html(im.text).text for im in admin.heard)
        assert place in heard.replace("\n", "") and "nearly full" in heard

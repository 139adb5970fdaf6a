"""build-mail: its logs; no news is lost when it is cut off or killed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from comms.compose import Message
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.builds import Build
from scenarios.sending.build_mail import WORLD
from scenarios.sending.build_mail_desk import describe
from scenarios.sending.build_mail_samples import CAROL, DAVE, LOG
from tests import drills

PAGE = catalogue.named("build-mail")
MODULE = "scenarios.sending.build_mail"


@pytest.mark.parametrize("log", ["../secret", "/etc/passwd", "link", "none", ".", "x" * 3000])
def test_a_log_outside_of_the_folder_is_not_mailed(tmp_path: Path, log: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "builds"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    mail = Message("a@b.test", ["c@d.test"], "x")
    describe(mail, Build("main", 7, False, log=log), folder, 100, 5)
    assert "The log cannot be read" in (mail.text or "") and mail.attachments == []


# ── cut off and killed ───────────────────────────────────────────────────────

ACT = PAGE.acts()[0]
WIRE = [item for item in rehearsal.rehearse(PAGE, ACT).recording if isinstance(item, Record)]


@pytest.mark.parametrize("cut", drills.quick_at("smtp . nth 1", drills.cuts(WIRE)))
def test_cut_anywhere_the_news_arrives_and_twice_only_if_the_answer_was_lost(cut: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [cut])
    got = Counter(
        (address, raw[raw.index(b"Subject:") :][:40]) for address, raw in mails(performance)
    )
    assert sorted(address for address, _ in got) == [CAROL, CAROL, DAVE], "nobody is missing"
    unsure = " . nth" in cut and "unstored" not in cut
    assert set(got.values()) <= ({1, 2} if unsure else {1})


def mails(performance: rehearsal.Performance) -> list[tuple[str, bytes]]:
    pairs = zip(performance.envelopes, performance.mails, strict=True)
    return [(address, raw) for envelope, raw in pairs for address in envelope.to]


def killed(at: int, folder: Path) -> int | None:
    """Kills the program at a step, and runs it again. Returns the number of steps, or None."""
    folder.mkdir()
    line = {"number": 1, "status": "failed", "log": "log", "commits": [{"author": CAROL}]}
    rows = [{**line, "branch": "main"}, {**line, "branch": "main", "number": 2, "status": "passed"}]
    (folder / "builds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "log").write_text("\n".join(LOG))
    with World({**WORLD, "tls": "off"}) as world:
        steps = drills.killed(at, MODULE, world.settings, folder)
        drills.killed(0, MODULE, world.settings, folder)
        got = Counter(mail.subject for mail in world.mail.inbox(CAROL))
    assert set(got) == {"[main] Build 1 failed", "[main] Build 2 works again"}, "nothing is missing"
    assert sum(got.values()) <= 3, "a mail that was being sent may come twice"
    return steps


@pytest.mark.slow
def test_killed_at_any_step_no_news_is_lost(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at))) > 30

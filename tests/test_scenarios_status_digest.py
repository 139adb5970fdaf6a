"""status-digest: what is a change; no change is lost or announced twice, cut off or killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.clock import RealClock
from comms.host import Outcome, RealHost
from comms.settings import load
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.play import merged
from scenarios.sending.status_digest import WORLD, Rules, compared, digest, run
from scenarios.sending.status_digest_desk import Report, ask
from scenarios.sending.status_digest_samples import TEAM, answers
from tests import drills

PAGE = catalogue.named("status-digest")
MODULE = "scenarios.sending.status_digest"
HEARD = 1_767_571_200.0  # 2026-01-05 00:00 UTC
NEVER = Report({})
UP, DOWN = Report({"web": "up", "disk": "9%"}, HEARD), Report({"disk": "9%", "web": "down"}, HEARD)
SILENT = Report(UP.lines, HEARD, "it did not answer")
UNKNOWN = "a: unknown (it did not answer; last heard 2026-01-05 00:00 UTC)"

# ── what is a change ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "now", "changed", "same"),
    [
        (NEVER, UP, ["a disk: 9% (new)", "a web: up (new)"], []),
        (UP, UP, [], ["a disk: 9%", "a web: up"]),
        (UP, DOWN, ["a web: up -> down"], ["a disk: 9%"]),
        (UP, Report({"web": "up"}), ["a disk: 9% -> (gone)"], ["a web: up"]),
        (UP, SILENT, [UNKNOWN], []),
        (SILENT, SILENT, [], [UNKNOWN]),
        (SILENT, UP, ["a: answers again"], ["a disk: 9%", "a web: up"]),
        (SILENT, DOWN, ["a: answers again", "a web: up -> down"], ["a disk: 9%"]),
        (NEVER, Report({}, 0, "x"), ["a: unknown (x; never heard)"], []),
        (Report({}, 0, "x"), UP, ["a disk: 9% (new)", "a web: up (new)"], []),
    ],
)
def test_what_differs_from_the_digest_before_is_a_change(
    before: Report, now: Report, changed: list[str], same: list[str]
) -> None:
    assert compared("a", before, now) == (changed, same)


def rules(only_changes: bool = False) -> Rules:
    table = {"hosts": {"a": ["x"]}, "team": [TEAM], "only_changes": only_changes}
    return load({"scenario": {"status-digest": table}}).table("status-digest", Rules)


def test_without_a_change_there_is_a_digest_unless_only_changes_are_wanted() -> None:
    mail = digest({"a": UP}, {"a": UP}, rules())
    assert mail is not None and mail.subject == "Status: 0 changed"
    assert mail.text == "Changed:\n  (nothing)\n\nAs before:\n  a disk: 9%\n  a web: up\n"
    assert digest({"a": UP}, {"a": UP}, rules(only_changes=True)) is None
    assert digest({"a": UP}, {"a": SILENT}, rules(only_changes=True)) is not None


class Says(RealHost):
    """A machine on which every command ends like this."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome

    def run(self, command: object, timeout: float, input: bytes = b"") -> Outcome:
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "silence"),
    [
        (Outcome(0, "web: up\n"), ""),
        (Outcome(0, "\n \n"), "exit status 0"),
        (Outcome(255, "one\nno route\x1b[0m\n"), "no route [0m"),
        (Outcome(1), "exit status 1"),
        (Outcome(None, "web: up\n", 10.0, "still running after 10 s"), "it did not answer"),
        (Outcome(None, "", 0.0, "could not be started"), "it did not answer"),
    ],
)
def test_a_host_is_silent_unless_its_command_succeeds_and_says_something(
    outcome: Outcome, silence: str
) -> None:
    clock = RealClock()
    report = ask(["x"], UP, 10, clock, Says(outcome))
    clock.close()
    assert report.silence == silence
    assert report.lines == (UP.lines if silence else {"web": "up"})


@pytest.mark.slow
@given(st.text(max_size=50))
def test_any_answer_becomes_a_digest_that_can_be_sent(output: str) -> None:
    clock = RealClock()
    report = ask(["x"], NEVER, 10, clock, Says(Outcome(0, output)))
    clock.close()
    mail = digest({"a": NEVER}, {"a": report}, rules())
    assert mail is not None and mail.to_bytes()
    changed, same = compared("a", NEVER, report)
    assert all(len(line.splitlines()) == 1 for line in changed + same)


def test_after_a_round_that_took_long_the_missed_digests_are_left_out() -> None:
    with World(WORLD, rehearsal=True) as world:
        answers(world, "db1", takes=4 * 3600)
        world.clock.at(1800, lambda: answers(world, "db1", "mariadb: up\n"))
        settings = merged(world.settings, {"scenario": {"status-digest": {"timeout": 5 * 3600}}})
        world.clock.until(6 * 3600 + 1800)
        run(world.clock, load(settings, world.folder), world.host)
        hours = [(mail.at - HEARD) // 3600 for mail in world.mail.inbox(TEAM)]
    assert hours == [4, 5, 6]


# ── cut off and killed ───────────────────────────────────────────────────────

ACT = PAGE.acts()[0]
WIRE = [item for item in rehearsal.rehearse(PAGE, ACT).recording if isinstance(item, Record)]


@pytest.mark.parametrize("cut", drills.quick_at("smtp . nth 1", drills.cuts(WIRE)))
def test_cut_anywhere_each_digest_arrives_and_twice_only_if_the_answer_was_lost(cut: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [cut])
    got = Counter(raw[raw.index(b"Subject:") :][:20] for raw in performance.mails)
    unsure = " . nth" in cut and "unstored" not in cut
    assert len(got) == 3 and set(got.values()) <= ({1, 2} if unsure else {1})


def killed(at: int, folder: Path) -> int | None:
    """Kills the program at a step, and runs it again. Returns the number of steps, or None."""
    folder.mkdir()
    with World({**WORLD, "tls": "off"}) as world:
        table: dict[str, Any] = {"hosts": {"a": ["echo", "web: up"]}, "team": [TEAM]}
        table["only_changes"] = True
        settings = {**world.settings, "scenario": {"status-digest": table}}
        steps = drills.killed(at, MODULE, settings, folder)
        drills.killed(0, MODULE, settings, folder)
        got = Counter(mail.subject for mail in world.mail.inbox(TEAM))
    assert set(got) == {"Status: 1 changed"}, "the change is announced"
    assert got.total() <= 2, "a mail that was being sent may come twice"
    return steps


@pytest.mark.slow
def test_killed_at_any_step_no_change_is_lost(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at))) > 30

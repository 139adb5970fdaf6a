"""custom-extension: its link is cut at every unit, and it is killed at every step."""

from __future__ import annotations

from contextlib import suppress

import pytest

from comms import settings as comms_settings
from comms.errors import SettingsError
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.jabber.custom_extension import BOT, JEREMY, RESTART, WORLD, Rules, run
from scenarios.jabber.custom_extension_acts import submits
from scenarios.jabber.custom_extension_samples import answers, asks, command, form
from tests import drills
from tests.test_scenarios_jabber import Killed, killed_at

PAGE = catalogue.named("custom-extension")
FORM = PAGE.acts()[1]
RECORDS = [one for one in rehearsal.rehearse(PAGE, FORM).recording if isinstance(one, Record)]
CUTS = list(drills.cuts(RECORDS))
QUICK = drills.three_of([*dict.fromkeys(map(drills.place, CUTS))])


@pytest.mark.parametrize(
    "fault", drills.sampled(CUTS, [cut for cut in CUTS if drills.place(cut) in QUICK], "xmpp")
)
def test_a_cut_connection_runs_no_form_twice(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, FORM, [fault])
    ran = [event["text"] for event in performance.events if event["text"].startswith("runs: ")]
    assert len(ran) == len(set(ran)) <= 2, "each order runs at most once"
    assert performance.tracebacks == []
    died = [event["text"] for event in performance.events if event["level"] == "end"]
    # Before it has logged in, it ends; a supervisor starts it again.
    login = ("stream", "auth", "response", "bind", "nth 1 ")
    assert died == [] or any(word in fault for word in login), died


def order(world: World) -> None:
    """Jeremy asks for the form, and submits it."""
    jeremy = world.jabber.actor(JEREMY)
    jeremy.comes()
    world.clock.at(10, lambda: asks(world, jeremy, "form", command(), "set"))
    content = form(action="restart", really="0")
    world.clock.at(20, lambda: submits(world, jeremy, "order", "form", content))
    world.clock.until(30)


@pytest.mark.slow
def test_killed_at_any_step_an_order_runs_once_at_most_and_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[list[str]] = []
    for step in range(1, 40):
        with World(WORLD, rehearsal=True) as world:
            order(world)
            settings = comms_settings.load(world.settings, world.folder)
            with killed_at(step, monkeypatch) as count, suppress(Killed):
                run(world.clock, settings, world.host)
            died = count[0] == step
            world.clock.until(world.clock.elapsed + 60)
            run(world.clock, settings, world.host)
            ran = world.host.ran
            assert ran.count(RESTART) <= 1, step
            jeremy = world.jabber.actor(JEREMY)
            told = [stanza.body for stanza in jeremy.messages]
            # What was running is reported by message, and nothing is reported twice.
            assert len(told) + len(answers(jeremy, "order")) <= 1, step
            reported.append(told)
            if not died:
                assert any("whether it was done is not known" in "".join(one) for one in reported)
                return
    raise AssertionError("the program has more steps than were tried")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"restart": []}, "restart: no choice has a command line; write restart = "),
        ({"admins": []}, "admins: "),
        ({"admins": ["yourco.test"]}, "admins"),
        ({"confirm": ["halt"]}, "confirm"),
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, object], problem: str) -> None:
    tables = {"scenario": {"custom-extension": {"admins": [JEREMY], **changes}}}
    with pytest.raises(SettingsError, match=problem):
        comms_settings.load(tables).table("custom-extension", Rules)
    assert BOT not in problem

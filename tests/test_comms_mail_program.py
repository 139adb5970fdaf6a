"""What programs with commands by mail share: their settings, rights, state and rounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.commands import Verb
from comms.errors import SettingsError, StateError
from comms.mail_program import AdminRules, MailProgram, command_lines
from comms.setting_types import StateFile
from comms.state import State
from fakes.world import World

INBOX, BOT = "cly6ruct1yit2d@yourco.test", "bot@yourco.test"
ANN, BOB = "ann@yourco.test", "bob@yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["smtp", "pop3"],
    "program": BOT,
    "person": [{"address": BOT, "aliases": [INBOX]}, {"address": ANN}, {"address": BOB}],
    "host": {"commands": [{"run": ["restart"]}, {"run": ["status"]}]},
    "scenario": {"obey": {"inbox": INBOX, "admins": ["Ann@yourco.test", BOB]}},
}
VERBS = command_lines({"restart web": ("restart",), "status web": ("status",)}, 10)


@dataclass(frozen=True, kw_only=True)
class Rules(AdminRules):
    state: StateFile = Path("obey.sqlite3")


def loaded(world: World, **changes: Any) -> tuple[Rules, settings.Settings]:
    table = {**world.settings["scenario"]["obey"], **changes}
    site = settings.load({**world.settings, "scenario": {"obey": table}}, world.folder)
    return site.table("obey", Rules), site


def test_administrators_may_use_all_commands_or_what_their_rights_say() -> None:
    rights: dict[str, tuple[str, ...]] = {"BOB@yourco.test": ("status *",)}
    rules = Rules(inbox=INBOX, admins=("Ann@yourco.test", BOB), rights=rights, state=Path("x"))
    assert rules.granted(VERBS) == {ANN: ["restart web", "status web"], BOB: ["status *"]}
    assert command_lines({"go": ("go", "now")}, 3) == {"go": Verb(("go", "now"), "", 3)}


@pytest.mark.parametrize(
    ("rights", "problem"),
    [
        ({"bbo@yourco.test": ["status web"]}, 'rights: "bbo@yourco.test" is not an admin'),
        ({BOB: ["statsu web"]}, 'obey.rights: "statsu web" allows nothing; choose from: restart'),
        ({BOB: ["status * web"]}, "allows nothing"),
    ],
)
def test_rights_that_cannot_be_meant_are_refused(rights: dict[str, Any], problem: str) -> None:
    with World(WORLD, rehearsal=True) as world, pytest.raises(SettingsError, match=problem):
        rules, site = loaded(world, rights=rights)
        with MailProgram("obey", rules, site, world.clock, world.host) as program:
            program.offer(VERBS, rules.granted(VERBS))


def test_an_administrator_is_told_what_they_may_not_order() -> None:
    with World(WORLD, rehearsal=True) as world:
        head = f"From: {BOB}\r\nSubject: Restart web\r\nMessage-ID: <1@phone.test>\r\n"
        world.mail.deliver(INBOX, f"{head}\r\n".encode())
        world.clock.until(10)
        rules, site = loaded(world, rights={BOB: ["status web"]})
        with MailProgram("obey", rules, site, world.clock, world.host) as program:
            program.offer(VERBS, rules.granted(VERBS))
            program.obey()
            audit = [(what, verdict) for _, what, verdict, _ in program.commands.audit()]
        assert world.host.ran == [] and ("restart web", "refused") in audit
        [answer] = world.mail.inbox(BOB)
        assert f"{BOB} may not restart web; allowed: status web" in answer.text


def test_a_program_obeys_each_as_far_as_they_may_and_alone() -> None:
    with World(WORLD, rehearsal=True) as world:
        for number, who in enumerate((ANN, BOB)):
            head = f"From: {who}\r\nSubject: x\r\nMessage-ID: <{number}@phone.test>\r\n"
            text = "Restart web\r\nstatus web\r\n"
            world.mail.deliver(INBOX, f"{head}\r\n{text}".encode())
        world.clock.until(10)
        rules, site = loaded(world, rights={BOB: ["status web"]})
        with MailProgram("obey", rules, site, world.clock, world.host) as program:
            program.offer(VERBS, rules.granted(VERBS), commands_in=program.commands_in)
            assert program.obey() == 0
            with State(rules.state) as other, pytest.raises(StateError, match="another"):
                other.lock()
        assert world.host.ran == [("restart",), ("status",), ("status",)]
        [answer] = world.mail.inbox(BOB)
        assert "may not restart web; allowed: status web" in answer.text
        with State(rules.state) as state:
            state.lock()  # the program has released it
            assert state.rows("SELECT count(*) FROM ledger") == [(4,)]

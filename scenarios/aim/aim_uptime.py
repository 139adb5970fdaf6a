"""Ask a server for its uptime and its disks by instant message.

Listing 6.7 · TOC · try: make scenario NAME=aim-uptime

A bot on the server answers the messages of its administrators: `uptime` and `disk` with one section
each, any other text with both. Its answers are marked as automatic, so that two such bots never
talk to each other. With `push` the program does the opposite: it watches the disks, and notifies
the administrators when one is nearly full (aim_uptime_push.py).

[scenario.aim-uptime]
admins = ["SysAdmin"]                # required: screen names; nobody else is answered
commands = { uptime = ["uptime"], disk = ["df", "-k"] }
timeout = 10                         # seconds that a command may take
fresh = 5                            # seconds for which an output is used again
push = 0                             # per cent of a disk that count as nearly full; 0: answer
every = 300                          # seconds between checks with push; with --once, cron decides
html = true                          # the warning as HTML, with a bold headline
state = "aim-uptime.sqlite3"

Fault: toc_send_im reply 903 times 1 -> all hold

What goes wrong in the printed listing: it answers anybody, auto-responses too; a command that hangs
hangs the bot; `<` in an output is taken for a tag; and the server hangs up on an answer of more
than 2,048 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from comms.bots.aim import Aim
from comms.bots.bot import Bot
from comms.bots.network import Heard
from comms.clock import Clock
from comms.host import Host, OutcomeLike
from comms.setting_types import (
    CommandLine,
    NonEmpty,
    ScreenName,
    Seconds,
    SecondsOrZero,
    StateFile,
    between,
)
from comms.settings import Settings
from comms.toc.markup import Html
from comms.toc.messages import normalize
from scenarios.aim.aim_uptime_push import push
from scenarios.aim.aim_uptime_samples import DISK, UPTIME
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["toc"],
    "program": "Web1Bot",
    "aim": [{"screen_name": name} for name in ("Web1Bot", "SysAdmin", "Stranger")],
    "host": {
        "name": "web1.yourco.test",
        "commands": [
            {"run": ["uptime"], "output": UPTIME, "takes": 0.1},
            {"run": ["df", "-k"], "output": DISK, "takes": 0.2},
        ],
    },
    "scenario": {"aim-uptime": {"admins": ["sysadmin"]}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    admins: NonEmpty[tuple[ScreenName, ...]]
    commands: NonEmpty[dict[NonEmpty[str], NonEmpty[CommandLine]]] = field(
        default_factory=lambda: {"uptime": ("uptime",), "disk": ("df", "-k")}
    )
    timeout: Seconds = 10
    fresh: SecondsOrZero = 5
    push: Annotated[int, between(0, 100)] = 0
    every: Seconds = 300
    html: bool = True
    state: StateFile = Path("aim-uptime.sqlite3")

    def __post_init__(self) -> None:
        if self.push and "disk" not in self.commands:
            raise ValueError(
                'push: needs the command disk; write commands = { disk = ["df", "-k"] }'
            )


class Outputs:
    """The outputs of the commands.

    Each is kept for `fresh` seconds, so that ten questions at once run a command only once.
    """

    def __init__(self, rules: Rules, clock: Clock, host: Host) -> None:
        self._rules, self._clock, self._host = rules, clock, host
        self._kept: dict[str, tuple[float, OutcomeLike]] = {}

    def outcome(self, name: str) -> OutcomeLike:
        """Returns how a command ended; runs it if its last outcome is no longer fresh."""
        if (
            name not in self._kept
            or self._clock.monotonic() - self._kept[name][0] > self._rules.fresh
        ):
            done = self._host.run(self._rules.commands[name], self._rules.timeout)
            self._kept[name] = self._clock.monotonic(), done
        return self._kept[name][1]

    def failure(self, name: str) -> str:
        """Returns why a command failed, or ""."""
        outcome = self.outcome(name)
        return "" if outcome.code == 0 else outcome.error or f"exit status {outcome.code}"

    def text(self, name: str) -> str:
        """Returns the output of a command, after its failure if there was one."""
        failure = self.failure(name)
        return (f"{name}: {failure}\n" if failure else "") + self.outcome(name).output.strip()

    def answer(self, question: str) -> str:
        """Returns the section that was asked for, or all sections."""
        wanted = question.strip().casefold()
        asked = [name for name in self._rules.commands if name.casefold() == wanted]
        return "\n\n".join(map(self.text, asked or self._rules.commands))


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped, or watches the disks. Raises CommsError."""
    rules = settings.table("aim-uptime", Rules)
    aim, outputs = Aim(settings.server("toc"), clock, host), Outputs(rules, clock, host)
    if rules.push:
        return push(aim.client, outputs, rules, clock, host)
    admins = {normalize(name) for name in rules.admins}

    def answer(heard: Heard) -> str:
        if heard.who in admins:
            return outputs.answer(heard.text)
        host.log("not-answered", "warning", who=heard.name)
        return ""

    Bot([aim], answer, clock, host).run()
    return 0


@scenario.act("aim-uptime-bot")
def bot(world: World, program: Program) -> Iterator[Claim]:
    """The administrator asks for everything, for one section, and for everything again."""
    admin = world.aim.actor("SysAdmin")
    world.clock.at(60, lambda: admin.says("Web1Bot", "<i>how are you?</i>"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "Uptime"))
    world.clock.at(122, lambda: admin.says("Web1Bot", "and now?"))
    program()
    answers = [Html(im.text).text for im in admin.heard]
    yield equal("each message gets one answer", len(answers), 3, shows=admin.heard)
    both = f"{UPTIME.strip()}\n\n{DISK.strip()}"
    yield equal("the answer has both sections", answers[:1], [both], shows=admin.heard[:1])
    yield equal(
        "a section can be asked for", answers[1:2], [UPTIME.strip()], shows=admin.heard[1:2]
    )
    ran = [" ".join(command) for command in world.host.ran]
    commands = ["uptime", "df -k", "uptime", "df -k"]
    yield equal("a fresh output is used again", ran, commands, shows=world.host.ran)

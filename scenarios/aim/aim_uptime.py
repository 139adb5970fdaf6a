"""Ask a server how it is, by IM: uptime and disks, for those who may know.

Listing 6.7 · TOC · try: make scenario NAME=aim-uptime

A bot on the server signs on and waits. Whoever stands on its list of administrators gets an answer to each IM: `uptime`
and `disk` alone or, to anything else, both. The answers call themselves automatic, so that two such bots never talk.
With `push` the same program looks at the disks now and then instead, and tells the administrators when one is nearly full.

[scenario.aim-uptime]
admins = ["SysAdmin"]                # who is answered; nobody else learns anything
commands = { uptime = ["uptime"], disk = ["df", "-k"] }
timeout = 10                         # seconds that a command may take
fresh = 5                            # seconds for which an output is good enough to be told again
push = 90                            # per cent of a disk; 0: answer IMs (with a screen name of its own: one session a name)
every = 300                          # seconds between two looks; cron does it with --once
html = true                          # the warning as HTML, its headline bold
state = "aim-uptime.sqlite3"

Fault: toc_send_im reply 903 times 1 -> all hold

What goes wrong in the printed listing: it answers anybody, auto-responses too; a command that hangs hangs the bot; `<` in
an output is taken for a tag; and an answer of more than 2,048 octets makes the server hang up.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.errors import CommsError
from comms.host import Host, OutcomeLike
from comms.settings import Settings
from comms.state import State
from comms.toc.buddies import Buddy
from comms.toc.client import Client
from comms.toc.markup import Html, to_html
from comms.toc.messages import normalize
from scenarios.play import Claim, Program, act

if TYPE_CHECKING:
    from fakes import World

UPTIME = "00:01:00 up 41 days, 3:20, 2 users, load average: 0.08, 0.03, 0.01\n"
DISK = (
    "Filesystem     1K-blocks     Used Available Use% Mounted on\n"
    "/dev/sda1       20511312 11274808   8171256  58% /\n"
    "/dev/sdb1      103081248 41233920  56588064  43% /var\n"
)
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


SLACK = 5  # per cent below the limit at which a disk counts as having room again


@dataclass(frozen=True)
class Rules:
    """The scenario's settings; times in seconds."""

    admins: tuple[str, ...] = ()
    commands: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"uptime": ("uptime",), "disk": ("df", "-k")})
    timeout: float = 10
    fresh: float = 5
    push: int = 0
    every: float = 300
    html: bool = True
    state: Path = Path("aim-uptime.sqlite3")

    def __post_init__(self) -> None:
        if not self.admins:
            raise ValueError('admins is empty: nobody would be answered; write admins = ["YourScreenName"]')
        if self.push and "disk" not in self.commands:
            raise ValueError('push needs a command `disk`; write disk = ["df", "-k"] into commands')


class Facts:
    """What the commands say, each kept for a moment: ten questions at once are one look."""

    def __init__(self, rules: Rules, clock: Clock, host: Host) -> None:
        self._rules, self._clock, self._host = rules, clock, host
        self._kept: dict[str, tuple[float, OutcomeLike]] = {}

    def look(self, name: str) -> OutcomeLike:
        """How a command ended, just now or a moment ago."""
        if name not in self._kept or self._clock.time() - self._kept[name][0] > self._rules.fresh:
            done = self._host.run(self._rules.commands[name], self._rules.timeout)
            self._kept[name] = self._clock.time(), done
        return self._kept[name][1]

    def trouble(self, name: str) -> str:
        """Why a command's output is not to be trusted; empty when it is."""
        done = self.look(name)
        return "" if done.code == 0 else done.error or f"exit status {done.code}"

    def text(self, name: str) -> str:
        """What a command said; if it failed or hung, that first."""
        trouble = self.trouble(name)
        return (f"{name}: {trouble}\n" if trouble else "") + self.look(name).output.strip()

    def about(self, question: str) -> str:
        """The answer to an IM: one section if it asks for one, else all."""
        wanted = [name for name in self._rules.commands if name == question.strip().casefold()]
        return "\n\n".join(map(self.text, wanted or self._rules.commands))


def nearly_full(table: str, limit: int, known: Collection[str]) -> list[str]:
    """Where df's output shows so many per cent in use, or more; what is known to be full stays so for some per cent."""
    used = {place: int(per_cent) for per_cent, place in re.findall(r"^.*? (\d+)% +(?:.* \d+% +)?(\S.*)$", table, re.M)}
    return sorted(place for place in used if used[place] >= (limit - SLACK if place in known else limit))


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped, or, with `push`, looks and tells."""
    rules = settings.table("aim-uptime", Rules)
    client = Client(settings.server("toc"), clock, host)
    facts = Facts(rules, clock, host)
    if rules.push:
        return push(client, facts, rules, clock, host)
    admins = {normalize(name) for name in rules.admins}

    @client.on_im
    def answer(message: Html, buddy: Buddy, auto_response: bool) -> None:
        if auto_response:
            return
        if buddy.name not in admins:
            host.log("not-answered", "warning", who=buddy)
            return
        buddy.send_im(facts.about(message.text), auto_response=True)
        host.log("answered", to=buddy)

    with client:
        client.connect()
        client.wait()
    return 0


def push(client: Client, facts: Facts, rules: Rules, clock: Clock, host: Host) -> int:
    """Tells each administrator once which disks are nearly full, and once that none is any more; one who is not there is
    told at a later look. Ends with 0 when there was room at the last look, 1 when not, 5 when nobody knows."""
    code = 5
    with State(rules.state) as state:
        state.lock()
        for _ in clock.every(rules.every):
            table, trouble = facts.text("disk"), facts.trouble("disk")
            if trouble:  # part of a table is no news: what is not in it may be full or not
                host.log("cannot-tell", "warning", trouble=trouble)
                code = 5
                continue
            news = {}
            for admin in rules.admins:
                known = state.recall(f"told {normalize(admin)}") or []
                places = nearly_full(table, rules.push, known)
                code = 1 if places else 0
                if places != known:
                    news[admin] = places
            for admin in tell(client, news, table, rules, host):
                with state.transaction() as db:
                    state.remember(db, f"told {normalize(admin)}", news[admin])
    return code


def tell(client: Client, news: dict[str, list[str]], table: str, rules: Rules, host: Host) -> Iterator[str]:
    """Tells everybody their news over one connection; gives those who got it."""
    with client:
        for number, (admin, places) in enumerate(news.items()):
            headline = f"{host.name}: {', '.join(places)} nearly full" if places else f"{host.name}: room again"
            text = Html(f"<b>{to_html(headline)}</b>\n{to_html(table)}") if rules.html else f"{headline}\n{table}"
            try:
                if number == 0:
                    client.connect()
                client.send_im(admin, text, auto_response=True)
            except CommsError as error:
                host.log("not-told", "warning", who=admin, trouble=error)
            else:
                yield admin


@act("aim-uptime-bot")
def bot(world: World, program: Program) -> Iterator[Claim]:
    """The administrator asks three times: for all, for a part, and for all again at once."""
    admin = world.aim.actor("SysAdmin")
    world.clock.at(60, lambda: admin.says("Web1Bot", "<i>how are you?</i>"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "Uptime"))
    world.clock.at(122, lambda: admin.says("Web1Bot", "and now?"))
    program()
    answers = [Html(im.text).text for im in admin.heard]
    yield Claim("each IM gets one answer", len(answers) == 3, answers)
    both = f"{UPTIME.strip()}\n\n{DISK.strip()}"
    yield Claim("the answer has both sections", answers[:1] == [both], answers[:1])
    yield Claim("one section can be asked for", answers[1:2] == [UPTIME.strip()], answers[1:2])
    ran = [" ".join(line) for line in world.host.ran]
    yield Claim("what is fresh is not looked at again", ran == ["uptime", "df -k", "uptime", "df -k"], ran)

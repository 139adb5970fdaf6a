"""Look things up by instant message: an answer with its source, or what comes near.

Section 6.2.1 · TOC, XMPP · try: make scenario NAME=lookup-bot

`phone jeremy` is looked up in a table, which is a file of lines `name<TAB>value`; `jeremy` alone in
all of them. A name that is not there is answered with those that come near. A command can be a
source, too: it reads the name, and has a time limit. Everybody may ask, but not too often.

[scenario.lookup-bot]
tables = { phone = "phones.tsv" }    # required; a first line `# TEXT` says where it comes from
commands = { dns = ["dns-lookup"] }  # optional: reads a name, and prints what it knows about it
timeout = 5                          # seconds that a command may take
questions = 5                        # that a user may ask
within = 60                          # seconds

The bot is on those networks that the settings file has a table for.

Fault: toc_send_im reply 903 times 1 -> all hold
Fault: xmpp message split 1 -> all hold
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.bots.aim import Aim
from comms.bots.bot import Bot
from comms.bots.company import Limits
from comms.bots.jabber import Jabber
from comms.bots.network import Heard, Network
from comms.clock import Clock
from comms.commands import normalized
from comms.errors import SettingsError
from comms.host import Host
from comms.setting_types import CommandLine, Count, NonEmpty, ReadableFile, Seconds
from comms.settings import Settings
from comms.words import one_line
from scenarios.bots.lookup_bot_samples import HOSTS, OFFICE, PHONES
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

NEAR = 3  # names that are suggested
LONGEST = 100  # characters of a question
WORLD: dict[str, Any] = OFFICE
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    tables: NonEmpty[dict[NonEmpty[str], ReadableFile]]
    commands: dict[NonEmpty[str], NonEmpty[CommandLine]] = field(default_factory=dict)
    timeout: Seconds = 5
    questions: Count = 5
    within: Seconds = 60

    def __post_init__(self) -> None:
        for key, example in (("tables", "phone"), ("commands", "dns")):
            for name in getattr(self, key):
                if normalized(name).split() != [name]:
                    problem = f"{name[:60]!r} is not one word in lower case"
                    raise ValueError(f"{key}: {problem}; write one, as in {example}")


def read(path: Path) -> tuple[str, dict[str, str]]:
    """Returns where a table comes from, and its values by name. Raises OSError, ValueError."""
    lines = path.read_text("utf-8-sig").splitlines()
    source = lines.pop(0)[1:].strip() if lines and lines[0].startswith("#") else path.name
    rows = (line.partition("\t") for line in lines)
    return source, {name.strip().casefold(): value.strip() for name, tab, value in rows if tab}


class LookUp:
    """Answers questions. The tables are read again for each, so that a change counts at once."""

    def __init__(self, rules: Rules, host: Host) -> None:
        self._rules, self._host = rules, host

    def answer(self, heard: Heard) -> str:
        """Returns the answer to one message."""
        question = " ".join(one_line(heard.text).casefold().split())[:LONGEST]
        kind, _, name = question.partition(" ")
        if kind in self._rules.commands and name:
            return self._ask(kind, name)
        known = [*self._rules.tables, *self._rules.commands]
        if question in ("", "help", "?", *known):
            return f"Ask me for a name, or for one of these and a name: {', '.join(known)}"
        if kind in self._rules.tables and name:
            return self._search([kind], name)
        return self._search(list(self._rules.tables), question)

    def _search(self, tables: list[str], name: str) -> str:
        found, near = [], []
        for table in tables:
            try:
                source, values = read(self._rules.tables[table])
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                self._host.log("table-unreadable", "warning", table=table, trouble=why)
                found.append(f"{table}: I cannot read this table just now")
                continue
            if name in values:
                found.append(f"{table} {name}: {values[name]} (source: {source})")
            near += [f"{table} {one}" for one in difflib.get_close_matches(name, values, NEAR)]
        hint = f"; near to it: {', '.join(near[:NEAR])}" if near else ""
        return "\n".join(found) or f"I do not know {name}{hint}"

    def _ask(self, kind: str, name: str) -> str:
        """Asks a command, which reads the name: it is never a part of a command line."""
        done = self._host.run(self._rules.commands[kind], self._rules.timeout, f"{name}\n".encode())
        if done.code is None:
            return f"{kind} has not answered within {self._rules.timeout:g} s; ask again later"
        if done.code or not done.output.strip():
            return f"{kind} does not know {name}"
        return f"{kind} {name}: {done.output.strip()} (source: {kind})"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped. Raises CommsError."""
    rules = settings.table("lookup-bot", Rules)
    networks: list[Network] = []
    if "toc" in settings.tables:
        networks.append(Aim(settings.server("toc"), clock, host))
    if "xmpp" in settings.tables:
        networks.append(Jabber(settings.server("xmpp"), clock, host))
    if not networks:
        raise SettingsError("settings: no network; write [toc] or [xmpp]")
    limits = Limits(rules.questions, in_place=10 * rules.questions, seconds=rules.within)
    Bot(networks, LookUp(rules, host).answer, clock, host, limits).run()
    return 0


@scenario.act("info-lookup-bot")
def lookup(world: World, program: Program) -> Iterator[Claim]:
    """Ann asks by AIM and Bob by Jabber, in a table and in all of them."""
    ann, bob = world.aim.actor("Ann"), world.jabber.actor("bob@yourco.test")
    (world.folder / "phones.tsv").write_text(PHONES, newline="\n")
    (world.folder / "hosts.tsv").write_text(HOSTS, newline="\n")
    world.clock.at(10, lambda: ann.says("LookupBot", "<b>Phone</b>  Jeremy"))
    world.clock.at(20, lambda: bob.says("bot@yourco.test", "web1"))
    world.clock.at(30, lambda: bob.says("bot@yourco.test", "dns www.yourco.test"))
    world.clock.until(40)
    program()
    phone = ["phone jeremy: 4711 (source: https://intranet.yourco.test/phones)"]
    texts = [im.text for im in ann.heard]
    yield equal("a name is answered with its source", texts, phone, shows=ann.heard)
    answers = [stanza.body for stanza in bob.messages]
    web1 = "host web1: 192.0.2.11, rack 3 (source: hosts.tsv)"
    yield equal("a name alone is found", answers[:1], [web1], shows=bob.messages[:1])
    www = "dns www.yourco.test: 192.0.2.80 (source: dns)"
    yield equal("a command is asked, too", answers[1:], [www], shows=bob.messages[1:])

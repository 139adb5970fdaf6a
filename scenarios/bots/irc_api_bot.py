"""Answer questions about the API in the project's channels.

Section 6.2.1 · IRC · try: make scenario NAME=irc-api-bot

`api str.split` in a channel is answered with signature, first sentence and link, from Python's own
documentation; `api more str.split` with the whole text, which goes to the asker alone if it is
long. A name that is almost right gets suggestions. Answers are notices, which no program may
answer, and everything else that is said in the channel is left alone.

[scenario.irc-api-bot]
modules = ["json", "pathlib", "re", "textwrap"]   # beside the built-in names; others are unknown
questions = 5                                     # that a user may ask
within = 60                                       # seconds

The channels are those of [irc]. Nothing is run to find a name, and no module is imported but those
of the list, which are imported before the bot goes online.

Fault: irc-kicked -> all hold
Fault: irc NOTICE split 1 -> all hold
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.bots.bot import Bot
from comms.bots.company import Limits
from comms.bots.irc import Irc
from comms.bots.network import Heard
from comms.clock import Clock
from comms.host import Host
from comms.setting_types import Count, Module, NonEmpty, Seconds
from comms.settings import Settings
from scenarios.bots.irc_api_bot_desk import Reference
from scenarios.play import Claim, Program, Scenario, equal, holds, sent

if TYPE_CHECKING:
    from fakes import World

CHANNEL = "#dev"
PREFIX = "api "
SOURCE = "apibot!~apibot@127.0.0.1"
HELP = "ask me: api str.split, or api more str.split"
QUESTION = re.compile(r"(?:api\s+)?(more\s+)?([A-Za-z]\w*(?:(?:\.|#|::)\w+)*)(?:\(\))?\s*\??", re.I)
WORLD: dict[str, Any] = {
    "servers": ["irc"],
    "program": "apibot@yourco.test",
    "person": [{"address": f"{name}@yourco.test"} for name in ("apibot", "ann", "bob")],
    "scenario": {"irc-api-bot": {"modules": ["textwrap", "comms.backoff"]}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    modules: NonEmpty[tuple[Module, ...]] = ("json", "pathlib", "re", "textwrap")
    questions: Count = 5
    within: Seconds = 60


def answer(heard: Heard, reference: Reference) -> str:
    """Returns what is known about the name that was asked for; "" if it was no question."""
    asked = QUESTION.fullmatch(heard.text.strip())
    if asked is None or asked[2].casefold() in ("help", "api"):
        # In a channel, `api is down` is a sentence, and no question.
        return "" if heard.room and asked is None else HELP
    name = asked[2]
    if found := reference.describe(name, whole=bool(asked[1])):
        return found
    near = reference.near(name)
    if not near and heard.room:
        return ""
    return f"I do not know {name}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped. Raises CommsError."""
    rules = settings.table("irc-api-bot", Rules)
    reference = Reference(rules.modules)
    limits = Limits(rules.questions, in_place=4 * rules.questions, seconds=rules.within)
    irc = Irc(settings.server("irc"), clock, host)
    Bot([irc], lambda heard: answer(heard, reference), clock, host, limits, [PREFIX]).run()
    return 0


@scenario.act("irc-api-bot")
def api(world: World, program: Program) -> Iterator[Claim]:
    """Ann and Bob talk about the program that they write, and ask the bot."""
    ann, bob = world.irc.person("ann"), world.irc.person("bob")
    for person in (ann, bob):
        person.joins(CHANNEL)
    world.clock.at(10, lambda: ann.says(CHANNEL, "how was this called again?"))
    world.clock.at(20, lambda: bob.says(CHANNEL, "api str.split"))
    world.clock.at(30, lambda: ann.says(CHANNEL, "the api is down again"))
    world.clock.at(31, lambda: ann.says(CHANNEL, "api is not the word"))
    world.clock.at(40, lambda: ann.says(CHANNEL, "apibot: textwrap.shorten"))
    world.clock.at(50, lambda: bob.says("apibot", "api comms.backoff.Backoff#failed"))
    world.clock.until(60)
    program(irc={"channels": [CHANNEL]})
    answers = [message for message in ann.hears if message.sender == "apibot"]
    texts = [message.text for message in answers]
    shown = "str.split(self, /, sep=None, maxsplit=-1) - Return a list of the substrings"
    link = "https://docs.python.org/3/library/stdtypes.html#str.split"
    yield holds(
        "a name is answered with its signature and a link",
        texts and texts[0].startswith(shown) and texts[0].endswith(link),
        texts,
        shows=answers[:1],
    )
    own = [message for message in bob.hears if message.target == "bob"]
    failed = "comms.backoff.Backoff.failed(self) -> 'float' - Schedules the next attempt"
    yield holds(
        "the project's own names are known, too",
        [message.text.startswith(failed) for message in own] == [True],
        [message.text for message in own],
        shows=own,
    )
    yield equal("what people say to each other is left alone", len(answers), 2, shows=answers)
    said = [one for one in sent(world, "NOTICE", "PRIVMSG") if b"NickServ" not in one.raw]
    yield equal(
        "every answer is a notice", {record.verb for record in said} - {"NOTICE"}, set(), said
    )
    # Others read the line with its source before it.
    longest = max((len(record.raw) for record in said), default=0) + len(f":{SOURCE} ")
    yield holds("every line fits into 512 bytes", longest <= 512, longest, shows=said)

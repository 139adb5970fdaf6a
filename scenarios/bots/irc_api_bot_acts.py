"""Further acts of irc-api-bot: unknown names, long answers, other programs, an unquiet network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.bots.irc_api_bot import CHANNEL, scenario
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

BOT = "apibot"


def answers(person: Any, place: str = CHANNEL) -> list[Any]:
    """What the bot has said to a person, or in a channel where that person is."""
    return [one for one in person.hears if one.sender == BOT and one.target == place]


def texts(person: Any, place: str = CHANNEL) -> list[str]:
    return [message.text for message in answers(person, place)]


@scenario.act("irc-api-unknown")
def unknown(world: World, program: Program) -> Iterator[Claim]:
    """Ann mistypes names, and Bob tries to reach what is not documented for him."""
    ann, bob = world.irc.person("ann"), world.irc.person("bob")
    ann.joins(CHANNEL)
    asked = ["api str.spilt", "api textwarp", "api subprocess.run", "apibot: help"]
    for number, text in enumerate(asked):
        world.clock.at(10 + number, partial(ann.says, CHANNEL, text))
    # The module `this` prints a poem when it is imported.
    hidden = ["this", "str.__class__", "textwrap.re.compile", "comms.backoff.Backoff._host"]
    for number, name in enumerate(hidden):
        world.clock.at(20 + number, partial(bob.says, BOT, f"api {name}"))
    world.clock.until(40)
    program(irc={"channels": [CHANNEL]})
    said, refused = texts(ann), texts(bob, "bob")
    yield equal(
        "a name that is almost right gets suggestions",
        said[:2],
        [
            "I do not know str.spilt; did you mean str.split or str.rsplit?",
            "I do not know textwarp; did you mean textwrap?",
        ],
        shows=answers(ann)[:2],
    )
    yield equal(
        "a module that is not on the list is unknown, and help is there",
        said[2:],
        ["ask me: api str.split, or api more str.split"],
        shows=answers(ann)[2:],
    )
    known = [text for text in refused if not text.startswith("I do not know ")]
    yield equal("nothing private is shown", (len(refused), known), (4, []), answers(bob, "bob"))
    yield holds("no module is imported for a question", "this" not in sys.modules, "this")


@scenario.act("irc-api-long")
def long(world: World, program: Program) -> Iterator[Claim]:
    """Ann asks in the channel for the whole text about a function."""
    ann, bob = world.irc.person("ann"), world.irc.person("bob")
    for person in (ann, bob):
        person.joins(CHANNEL)
    world.clock.at(10, lambda: ann.says(CHANNEL, "api more textwrap.wrap"))
    world.clock.until(60)
    program(irc={"channels": [CHANNEL]})
    yield equal(
        "the channel reads that the answer is long",
        texts(bob),
        ["ann: that is long; I send it to you alone"],
        shows=answers(bob),
    )
    alone = texts(ann, "ann")
    shown = alone[:2] == [
        "textwrap.wrap(text, width=70, **kwargs)",
        "Wrap a single paragraph of text, returning a list of wrapped lines.",
    ]
    yield holds("the asker gets the text", shown, alone, shows=answers(ann, "ann"))
    yield holds("and not more than eight lines of it", 3 < len(alone) <= 8, alone)


@scenario.act("irc-api-robots")
def robots(world: World, program: Program) -> Iterator[Claim]:
    """Other programs say what looks like a question, and Bob asks thirty times in a row."""
    ann, bob = world.irc.person("ann"), world.irc.person("bob")
    news = world.irc.person("news")
    for person in (ann, bob, news):
        person.joins(CHANNEL)
    world.clock.at(10, lambda: news.notices(CHANNEL, "api str.split"))
    world.clock.at(12, lambda: news.sets("news", "+B"))  # from now on the server marks it as a bot
    world.clock.at(14, lambda: news.says(CHANNEL, "api str.split"))
    world.clock.at(16, lambda: news.says(BOT, "\x01VERSION\x01"))
    world.clock.at(20, lambda: ann.says(CHANNEL, "\x02api\x0f \x0304str.join\x03"))
    for number in range(30):
        world.clock.at(30 + number / 10, partial(bob.says, CHANNEL, "api str.strip"))
    world.clock.at(40, lambda: ann.says(CHANNEL, "api str.title"))
    world.clock.until(60)
    program(irc={"channels": [CHANNEL]})
    said = [text.partition("(")[0] for text in texts(ann)]
    yield equal("no program is answered", said.count("str.split"), 0)
    yield equal("colours do not matter", said[:1], ["str.join"], shows=answers(ann)[:1])
    yield equal("a flood gets five answers", said.count("str.strip"), 5, shows=answers(ann)[1:6])
    yield equal("others are still answered", said[-1:], ["str.title"], shows=answers(ann)[-1:])
    floods = told(world, "flood")
    yield equal("the flood is logged", len(floods), 25, shows=floods[:1])


@scenario.act("irc-api-away")
def away(world: World, program: Program) -> Iterator[Claim]:
    """An old session has the nick, the bot is kicked, the link is lost, a channel is locked."""
    ann, other = world.irc.person("ann"), world.irc.person(BOT)
    other.joins("#elsewhere")
    for channel in (CHANNEL, "#locked"):
        ann.joins(channel)
    ann.sets("#locked", "+k", "secret")
    world.clock.at(10, lambda: ann.says(CHANNEL, "apibot: str.join"))
    world.clock.at(30, lambda: ann.says(CHANNEL, "apibot: str.split"))
    world.clock.at(40, lambda: ann.kicks(CHANNEL, BOT))
    world.clock.at(60, lambda: ann.says(CHANNEL, "api str.strip"))
    world.clock.at(70, lambda: world.cut("irc"))
    world.clock.at(90, lambda: ann.says(CHANNEL, "api str.title"))
    world.clock.until(100)
    code = program(irc={"channels": [CHANNEL, "#locked"]})
    said = [
        (one.sender, one.text.partition("(")[0])
        for one in ann.hears
        if one.verb == "NOTICE" and one.sender.startswith(BOT)
    ]
    wanted = [(BOT, f"str.{name}") for name in ("join", "split", "strip")]
    yield equal("it takes its nick back", said[:2], wanted[:2], shows=answers(ann)[:2])
    yield equal("it comes back after a kick", said[2:3], wanted[2:], shows=answers(ann)[2:3])
    back = [(BOT, "str.title")]
    yield equal("it comes back after the loss", said[3:], back, shows=answers(ann)[3:])
    locked = told(world, "irc-not-joined channel=#locked")
    yield equal("a locked channel is logged, once for each session", len(locked), 2, shows=locked)
    yield equal("the program has not ended", code, 0)

"""Further acts of jabber-hello: contacts who do not agree; polling compared with callbacks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.jabber.jabber_hello import BOT, THEM, scenario
from scenarios.play import Claim, Program, ends, equal, holds

if TYPE_CHECKING:
    from fakes import World

SHY, NOBODY = "shy@yourco.test", "nobody@yourco.test"
BURST = 150
WAIT = 60.0  # seconds that a contact has to agree


@scenario.act("jabber-hello-refused", book=False)
def refused(world: World, program: Program) -> Iterator[Claim]:
    """One contact refuses, one never answers; three addresses do not exist or are invalid."""
    shy, them = world.jabber.actor(SHY), world.jabber.actor(THEM)
    shy.comes()
    them.comes()
    world.clock.at(5, lambda: shy.refuses(BOT))

    def greet(to: str) -> tuple[int, float, str]:
        began = world.clock.elapsed
        code = program(scenario={"jabber-hello": {"to": to}})
        return code, world.clock.elapsed - began, ends(world)[-1].text

    code, seconds, text = greet(SHY)
    at_once = (code, seconds) == (4, 5) and "has refused" in text
    yield holds("a refusal ends the program at once", at_once, (code, seconds, text), shows=text)
    waits = [greet(THEM)[:2], greet(NOBODY)[:2]]
    yield equal(
        "no answer and no such user end it after a minute",
        waits,
        [(4, WAIT)] * 2,
        shows=ends(world)[-2:],
    )
    code, seconds, text = greet("them@elsewhere.test")
    reason = "them@elsewhere.test cannot be asked: remote-server-not-found"
    named = (code, seconds) == (4, 0) and reason in text
    yield holds("an unknown domain ends it at once", named, (code, seconds, text), shows=text)
    code, _, text = greet("a b@yourco.test")
    yield holds("an invalid address is an error in the settings", code == 2, text, shows=text)
    yield equal("no message is sent to any of them", world.jabber.messages, [])


@scenario.act("jabber-poll-vs-callback", book=False)
def both_ways(world: World, program: Program) -> Iterator[Claim]:
    """Two contacts talk to the bot, one in a burst: first it polls, then it uses a callback."""
    world.jabber.befriend(BOT, THEM)
    them, shy = world.jabber.actor(THEM), world.jabber.actor(SHY)
    answers, delays, answers_on_wire = [], [], []
    for way in ("poll", "callback"):
        begins = world.clock.elapsed

        def burst() -> None:
            for number in range(BURST):
                them.says(BOT, f"number {number}")

        them.clear()
        shy.clear()
        world.clock.at(begins + 10, lambda: shy.says(BOT, "Hi <there> & welcome"))
        world.clock.at(begins + 20, burst)
        world.clock.until(begins + 30)
        program(scenario={"jabber-hello": {"listen": way}})
        answers.append([stanza.body for person in (them, shy) for stanza in person.messages])
        asked = world.clock.time() - world.clock.elapsed + begins + 10
        sent = [record for record in world.records if record.direction == "C"]
        answered = [record for record in sent if b"You said: Hi" in record.raw][-1:]
        delays += [record.at - asked for record in answered]
        answers_on_wire += answered
    wanted = ["Hello from Python!"]
    wanted += [f"Hello, them. You said: number {number}" for number in range(BURST)]
    wanted += ["Hello, shy. You said: Hi <there> & welcome"]
    yield equal("both ways give the same answers", answers[0], answers[1], shows=answers_on_wire)
    yield equal(
        "no message of the burst is lost or overtaken", answers[0], wanted, shows=answers_on_wire
    )
    yield equal(
        "polling answers at the next poll, a callback at once",
        delays,
        [2.0, 0.0],
        shows=answers_on_wire,
    )
    stanzas = [re.sub(r" id='[^']*'", "", str(stanza)) for stanza in world.jabber.messages]
    once = 2 * (2 * BURST + 3)
    yield equal("each message is answered once", len(stanzas), once, shows=answers_on_wire)

"""Further acts of jabber-hello: those who do not agree, and the same bot polled and by callback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.jabber.jabber_hello import BOT, THEM, scenario
from scenarios.play import Claim, Program, equal, holds

if TYPE_CHECKING:
    from fakes import World

BURST = 150
LIMIT = 60.0  # seconds that are waited for somebody to agree


@scenario.act("jabber-hello-refused", book=False)
def refused(world: World, program: Program) -> Iterator[Claim]:
    """One refuses, one never answers, one does not exist, one is of a domain that nobody knows."""
    shy, them = world.jabber.person("shy@yourco.test"), world.jabber.person(THEM)
    shy.comes()
    them.comes()
    world.clock.at(5, lambda: shy.refuses(BOT))
    codes, texts, waited = [], [], []
    for to in (
        "shy@yourco.test",
        THEM,
        "nobody@yourco.test",
        "them@elsewhere.test",
        "a b@yourco.test",
    ):
        began = world.clock.elapsed
        codes.append(program(scenario={"jabber-hello": {"to": to}}))
        waited.append(world.clock.elapsed - began)
        texts.append(
            next(
                event.text
                for event in reversed(world.events)
                if event.text.startswith("ends with exit")
            )
        )
    yield holds(
        "a refusal is the end, at once",
        codes[0] == 4 and waited[0] == 5 and "has refused" in texts[0],
        texts[0],
    )
    late = [
        (code, seconds) == (4, LIMIT) for code, seconds in zip(codes[1:3], waited[1:3], strict=True)
    ]
    yield holds(
        "who does not answer has a minute, and so has who does not exist",
        all(late),
        (codes, waited),
    )
    words = "them@elsewhere.test cannot be asked: remote-server-not-found"
    yield holds(
        "an unknown domain is named at once",
        codes[3] == 4 and waited[3] == 0 and words in texts[3],
        texts[3],
    )
    yield holds("what is no address is an error in the settings", codes[4] == 2, texts[4])
    yield equal("nothing was sent to any of them", world.jabber.messages, [])


@scenario.act("jabber-poll-vs-callback", book=False)
def both_ways(world: World, program: Program) -> Iterator[Claim]:
    """Two people talk to the bot, one of them in a burst: once it polls, once it is called back."""
    world.jabber.befriend(BOT, THEM)
    them, shy = world.jabber.person(THEM), world.jabber.person("shy@yourco.test")
    answers, delays = [], []
    for way in ("poll", "callback"):
        begins = world.clock.elapsed

        def burst() -> None:
            for number in range(BURST):
                them.says(BOT, f"number {number}")

        them.forget()
        shy.forget()
        world.clock.at(begins + 10, lambda: shy.says(BOT, "Hi <there> & welcome"))
        world.clock.at(begins + 20, burst)
        world.clock.until(begins + 30)
        program(scenario={"jabber-hello": {"listen": way}})
        answers.append([stanza.body for person in (them, shy) for stanza in person.messages])
        spoken = [
            one.at for one in world.records if one.direction == "C" and b"You said: Hi" in one.raw
        ]
        delays += [
            at - (world.clock.time() - world.clock.elapsed + begins + 10) for at in spoken[-1:]
        ]
    wanted = [
        "Hello from Python!",
        *(f"Hello, them. You said: number {number}" for number in range(BURST)),
    ]
    wanted.append("Hello, shy. You said: Hi <there> & welcome")
    yield holds("both ways give the same answers", answers[0] == answers[1], answers)
    yield equal("nothing of the burst is lost, and its order is kept", answers[0], wanted)
    yield equal(
        "by callback the answer comes at once, by polling at the next look", delays, [2.0, 0.0]
    )
    said = [re.sub(r" id='[^']*'", "", str(stanza)) for stanza in world.jabber.messages]
    yield equal("nobody is answered twice", len(said), 2 * (2 * BURST + 3))

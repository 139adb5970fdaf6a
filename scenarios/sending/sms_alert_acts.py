"""Further acts of sms-alert: long texts, carriers, a gateway that closes, and too many texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms import sms
from scenarios.play import Claim, Program, equal, holds, told
from scenarios.sending.sms_alert import scenario
from scenarios.sending.sms_alert_samples import ANN, BOB, fails, received

if TYPE_CHECKING:
    from fakes import World

AT_ONCE = {"sms-alert": {"confirm": 1}}
OUTPUT = "Größe von „[/home]“ ≥ 98 % — naïve users, 日 by 日: " + "please clean up your files. " * 6
WRONG = {
    "verizn": "unknown carrier 'verizn' (did you mean 'verizon'?)",
    "att": "the mail gateway of att (txt.att.net) closed on 2025-06-17",
    "verizon": "'555-0100': numbers of verizon have ten digits",
}


@scenario.act("sms-alert-long", scenario=AT_ONCE)
def long(world: World, program: Program) -> Iterator[Claim]:
    """The check prints 230 characters, some of them not in the alphabet of text messages."""
    fails(world, OUTPUT)()
    world.clock.until(200)
    program()
    world.clock.until(500)
    program(scenario={"sms-alert": {"long": "split", "state": "other.sqlite3"}})
    texts = received(world, ANN)
    start = 'db1 FAILED: Größe von "[/home]" ? 98 % - naive users, ? by ?: please clean'
    first = "".join(texts[:1])
    yield holds(
        "other characters become similar ones",
        first.startswith(start),
        first,
        shows=world.mail.messages,
    )
    yield holds(
        "a long text is cut, with a mark", first.endswith("..."), first, shows=world.mail.messages
    )
    numbers = [text[:4] for text in texts[1:]]
    yield equal("or split into numbered texts", numbers, ["1/2 ", "2/2 "], world.mail.messages)
    whole = " ".join(text[4:] for text in texts[1:])
    wanted = sms.plain(f"db1 FAILED: {OUTPUT}").strip()
    yield equal("whose parts are the whole text", whole, wanted, shows=world.mail.messages)
    sizes = [sms.size(text) for text in texts]
    yield holds(
        "brackets count two, and all fit",
        max(sizes, default=161) <= 160,
        sizes,
        shows=world.mail.messages,
    )


@scenario.act("sms-alert-carriers")
def carriers(world: World, program: Program) -> Iterator[Claim]:
    """The settings name an unknown carrier, one whose gateway has closed, and a number."""
    errors = []
    for carrier in WRONG:
        phones = {"555-0100": carrier} if carrier == "verizon" else {"555-010-0123": carrier}
        code = program(once=True, scenario={"sms-alert": {"phones": phones}})
        errors.append((code, world.events[-1].text))
    wrong = [
        error
        for (code, error), wanted in zip(errors, WRONG.values(), strict=True)
        if code != 2 or wanted not in error
    ]
    yield equal("each is refused at the start, by name", wrong, [], shows=told(world, "ends with"))
    yield equal("nothing is checked or sent", (world.host.ran, list(world.records)), ([], []))


@scenario.act("sms-alert-gateway-closes", scenario=AT_ONCE)
def gateway_closes(world: World, program: Program) -> Iterator[Claim]:
    """The gateway no longer takes texts to one of the phones."""
    world.faults.arm('smtp RCPT arg 5550100123* reply "550 5.1.1 This service has ended"')
    fails(world, "no answer")()
    world.clock.until(200)
    program()
    log = [event.text for event in told(world, "text-refused")]
    named = len(log) == 1 and f"to={ANN}" in log[0] and "This service has ended" in log[0]
    yield holds("the log says so, once", named, log, shows=told(world, "text-refused"))
    got = received(world, BOB)
    yield equal(
        "the other phone gets its text", got, ["db1 FAILED: no answer"], shows=world.mail.messages
    )


@scenario.act("sms-alert-limit", scenario={"sms-alert": {"confirm": 1, "per_hour": 3}})
def limit(world: World, program: Program) -> Iterator[Claim]:
    """The check changes its mind every two minutes, for a quarter of an hour."""
    for minute in range(2, 15, 4):
        world.clock.at(minute * 60, fails(world, "load 12"))
        world.clock.at((minute + 2) * 60, fails(world, "load 1", 0))
    world.clock.until(20 * 60)
    program(scenario={"sms-alert": {"flaps": 100}})
    failed, fine = "db1 FAILED: load 12", "db1 OK: load 1"
    wanted = [failed, fine, failed]
    yield equal("each phone gets three texts", received(world, ANN), wanted, world.mail.messages)
    held = [event.text for event in told(world, "text-held-back")]
    yield equal("the others are logged", len(held), 5, shows=told(world, "text-held-back"))
    world.clock.advance(3600)
    fails(world, "load 13")()
    program(once=True)
    yield equal(
        "an hour later there is room again",
        received(world, ANN)[3:],
        ["db1 FAILED: load 13"],
        shows=world.mail.messages[-1:],
    )

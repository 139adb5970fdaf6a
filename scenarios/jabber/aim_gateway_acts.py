"""Further acts of aim-gateway: refusals, contacts, errors, unregistering, a gateway that is off."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from comms.state import State
from scenarios.jabber.aim_gateway import GATE, JULIET, MALLORY, ROMEO, scenario
from scenarios.jabber.aim_gateway_samples import (
    REGISTER,
    answers,
    asks,
    conditions,
    registers,
    unregisters,
)
from scenarios.play import Claim, Program, equal, sent, told

if TYPE_CHECKING:
    from fakes import World

ADDRESSES = f"from='{ROMEO}' to='{GATE}'"
NAME, TYBALT, NURSE = "Romeo My Romeo", "tybalt@aim.yourco.test", "nurse@aim.yourco.test"


def online(world: World, name: str = "romeomyromeo") -> bool:
    """Whether a screen name is signed on to AIM."""
    return name in [one.replace(" ", "").lower() for one in world.aim.online]


def presences(person: Any, sender: str) -> list[Any]:
    """The presence that a person got from an address."""
    return [one for one in person.all if one.kind == "presence" and one.sender == sender]


def types(stanzas: list[Any]) -> list[str]:
    """What each presence says: its type, or its show, or that it is available."""
    return [stanza.type or stanza.child_text("show") or "available" for stanza in stanzas]


def returned(person: Any) -> list[tuple[str, str]]:
    """(who returned it, the condition) of the messages that came back to a person."""
    errors = [stanza for stanza in person.messages if stanza.type == "error"]
    return [(stanza.sender, stanza.condition) for stanza in errors]


def stored(world: World) -> list[tuple[object, ...]]:
    """What the gateway has stored about registrations."""
    with State(world.folder / "aim-gateway.sqlite3") as state:
        return state.rows("SELECT jid, screen_name FROM registrations")


@scenario.act("aim-gateway-refused")
def refused(world: World, program: Program) -> Iterator[Claim]:
    """A wrong password, no name, a user of another domain, and a user who never registered."""
    romeo, mallory = world.jabber.actor(ROMEO), world.jabber.actor(MALLORY)
    romeo.comes()
    mallory.comes()
    form = f"<query xmlns='{REGISTER}'/>"
    world.clock.at(5, lambda: asks(romeo, "form", form))
    world.clock.at(10, lambda: registers(romeo, NAME, "montague", "wrong"))
    world.clock.at(11, lambda: registers(romeo, "", "secret", "nameless"))
    world.clock.at(12, lambda: registers(romeo, "x" * 5000, "secret", "long"))
    world.clock.at(13, lambda: asks(romeo, "empty", form, "set"))
    world.clock.at(14, lambda: unregisters(romeo))
    world.clock.at(15, lambda: registers(mallory, NAME, "secret", "stranger"))
    world.clock.at(16, lambda: asks(romeo, "unknown", "<x xmlns='urn:x'/>"))
    world.clock.at(20, lambda: romeo.says(JULIET, "Art thou there?"))
    world.clock.at(21, lambda: romeo.asks(JULIET))
    world.clock.until(30)
    code = program()
    fields = [
        child.tag.partition("}")[2] for one in answers(romeo, "form") for child in one.element[0]
    ]
    wanted = ["instructions", "username", "password"]
    yield equal("the form says what is needed", fields, wanted, shows=answers(romeo, "form"))
    ids = ("wrong", "nameless", "long", "empty", "remove", "unknown")
    found = {id: conditions(romeo, id) for id in ids}
    bad = ["not-acceptable"]
    wanted_conditions = {
        **dict.fromkeys(("wrong", "nameless", "long", "empty"), bad),
        "remove": ["registration-required"],
        "unknown": ["service-unavailable"],
    }
    shows = [one for id in ids for one in answers(romeo, id)]
    yield equal("each refusal says why", found, wanted_conditions, shows=shows)
    stranger = conditions(mallory, "stranger")
    shows = answers(mallory, "stranger")
    yield equal("a user of another domain may not register", stranger, ["forbidden"], shows=shows)
    back = returned(romeo)
    need = [(JULIET, "registration-required")]
    yield equal("without registration a message comes back", back, need, shows=romeo.messages)
    state = world.jabber.roster(ROMEO)[JULIET]
    asked = (state.subscription, state.ask)
    shows = [one for one in sent(world, "presence") if b"unsubscribed" in one.raw]
    yield equal("and a request is refused", asked, ("none", False), shows=shows)
    yield equal("nothing is stored", (stored(world), code), ([], 0))
    leaks = [one.text for one in world.events if one.who == "program" and "montague" in one.text]
    yield equal("no password is in the log", leaks, [])


@scenario.act("aim-gateway-contacts")
def contacts(world: World, program: Program) -> Iterator[Claim]:
    """Romeo adds Tybalt and removes the nurse; Tybalt comes, is idle, and goes."""
    romeo, tybalt = world.jabber.actor(ROMEO), world.aim.actor("Tybalt")
    romeo.comes()
    world.clock.at(10, lambda: registers(romeo, NAME, "secret"))
    world.clock.at(12, lambda: romeo.accepts(GATE))
    world.clock.at(20, lambda: romeo.asks(TYBALT))
    world.clock.at(21, lambda: romeo.asks(NURSE))
    world.clock.at(30, tybalt.signs_on)
    world.clock.at(40, lambda: tybalt.idles(600))
    world.clock.at(50, tybalt.signs_off)
    world.clock.at(60, lambda: romeo.drops(NURSE))
    world.clock.at(70, lambda: tybalt.signs_on())
    world.clock.at(75, lambda: tybalt.says("romeomyromeo", "Peace? I hate the word"))
    world.clock.until(90)
    program()
    shows = presences(romeo, TYBALT)
    found = types(shows)
    wanted = ["available", "xa", "unavailable", "available", "unavailable"]
    yield equal("who is added is shown with each status", found, wanted, shows=shows)
    roster = world.jabber.roster(ROMEO)
    states = [roster[who].subscription for who in (TYBALT, NURSE)]
    changes = sent(world, "toc2_new_buddies", "toc2_remove_buddy")
    yield equal("who is added agrees, and who is removed", states, ["to", "none"], shows=changes)
    verbs = {one.verb for one in changes}
    both = {"toc2_new_buddies", "toc2_remove_buddy"}
    yield equal("AIM's own list is changed", verbs, both, shows=changes)
    heard = [(stanza.sender, stanza.body) for stanza in romeo.messages]
    yield equal(
        "an IM needs no subscription", heard, [(TYBALT, "Peace? I hate the word")], romeo.messages
    )


@scenario.act("aim-gateway-errors")
def errors(world: World, program: Program) -> Iterator[Claim]:
    """Messages to nobody, to the gateway itself, and while AIM is away; then AIM is back."""
    romeo, juliet = world.jabber.actor(ROMEO), world.aim.actor("Juliet")
    romeo.comes()
    world.clock.at(10, lambda: registers(romeo, NAME, "secret"))
    world.clock.at(12, lambda: romeo.accepts(GATE))
    # Some servers acknowledge the gateway's request like this, which does not mean that he left.
    world.clock.at(15, lambda: world.jabber.inject(f"<presence type='unavailable' {ADDRESSES}/>"))
    world.clock.at(20, lambda: romeo.says(JULIET, "Art thou there?"))  # she is not
    world.clock.at(21, lambda: romeo.says(GATE, "help"))
    composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    odd = (
        f"<message to='{JULIET}' type='chat'>{composing}</message>",
        f"<message to='{JULIET}' type='error'><body>x</body></message>",
        f"<message to='{JULIET}' type='groupchat'><body>x</body></message>",
    )
    for at, stanza in enumerate(odd, 30):
        world.clock.at(at, partial(romeo.sends, stanza))

    def aim_goes() -> None:
        world.close_port("toc")
        world.cut("toc")

    world.clock.at(40, aim_goes)
    world.clock.at(50, lambda: romeo.says(JULIET, "And now?"))
    world.clock.at(60, lambda: world.open_port("toc"))
    world.clock.at(700, juliet.signs_on)
    world.clock.at(710, lambda: romeo.says(JULIET, "At last"))
    world.clock.until(720)
    program()
    back = returned(romeo)
    wanted = [
        (JULIET, "recipient-unavailable"),
        (GATE, "service-unavailable"),
        (JULIET, "remote-server-timeout"),
    ]
    yield equal("what cannot be carried comes back with a reason", back, wanted, romeo.messages)
    ims = [im.text for im in juliet.heard]
    yield equal("when AIM is back, messages arrive again", ims, ["At last"], shows=juliet.heard)


@scenario.act("aim-gateway-unregister")
def unregister(world: World, program: Program) -> Iterator[Claim]:
    """Romeo registers, and unregisters a minute later; the gateway starts again."""
    romeo = world.jabber.actor(ROMEO)
    romeo.comes()
    world.clock.at(10, lambda: registers(romeo, NAME, "secret"))
    world.clock.at(12, lambda: romeo.accepts(GATE))
    world.clock.at(60, lambda: unregisters(romeo))
    world.clock.at(70, lambda: romeo.says(JULIET, "Art thou there?"))
    world.clock.until(80)
    program()
    found = conditions(romeo, "remove")
    yield equal("unregistering succeeds", found, [""], shows=answers(romeo, "remove"))
    states = {one.subscription for one in world.jabber.roster(ROMEO).values()}
    shows = [one for one in sent(world, "presence") if b"unsubscribe" in one.raw]
    yield equal("the gateway and the contacts take their leave", states, {"none"}, shows=shows)
    back = returned(romeo)
    need = [(JULIET, "registration-required")]
    yield equal("a message comes back afterwards", back, need, shows=romeo.messages)
    left = (stored(world), online(world))
    yield equal("nothing is stored, and nobody is signed on", left, ([], False))
    world.clock.until(100)
    program()
    yield equal("nobody is after a new start, either", online(world), False)


@scenario.act("aim-gateway-down")
def down(world: World, program: Program) -> Iterator[Claim]:
    """The gateway is stopped and started again; then its link is cut."""
    romeo, juliet = world.jabber.actor(ROMEO), world.aim.actor("Juliet")
    romeo.comes()
    juliet.signs_on()
    world.clock.at(10, lambda: registers(romeo, NAME, "secret"))
    world.clock.at(12, lambda: romeo.accepts(GATE))
    world.clock.until(30)
    program()
    left = types(presences(romeo, JULIET))[-1:]
    shows = presences(romeo, JULIET)[-1:]
    yield equal("a gateway that stops takes the contacts offline", left, ["unavailable"], shows)
    romeo.says(JULIET, "Art thou there?")
    back = returned(romeo)
    gone = [(JULIET, "remote-server-timeout")]
    said = told(world, f"says to {JULIET}")
    yield equal("while it is down, a message comes back", back, gone, shows=said)
    world.clock.at(40, lambda: romeo.says(JULIET, "Art thou there now?"))
    world.clock.at(50, lambda: world.cut("component"))
    world.clock.at(200, lambda: romeo.says(JULIET, "Still there?"))
    world.clock.until(210)
    program()
    ims = [im.text for im in juliet.heard]
    wanted = ["Art thou there now?", "Still there?"]
    yield equal("started again, it finds who is online", ims, wanted, shows=juliet.heard)


@scenario.act("aim-gateway-secret")
def secret(world: World, program: Program) -> Iterator[Claim]:
    """The gateway's secret is not the one that the server knows."""
    code = program(component={"password": "guess"})
    ended = [event for event in world.events if event.level == "end"]
    yield equal("a wrong secret ends it with 4", code, 4, shows=ended)
    shown = [event.text for event in told(world, "ends") if "guess" in event.text]
    yield equal("the secret is not shown", shown, [])

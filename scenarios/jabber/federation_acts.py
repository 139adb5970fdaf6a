"""Further acts of federation: who pretends to be Ann, who is denied, a server that is away."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.jabber.federation import ANN, BOT, EVE, MALLORY, STATUS, WORLD, scenario
from scenarios.play import Claim, Program, equal, holds

if TYPE_CHECKING:
    from fakes import World

# The second letter is Cyrillic.
LOOK_ALIKE = "p\N{CYRILLIC SMALL LETTER A}rtner.test"


def asks(sender: str, more: str = "") -> str:
    """A question to the bot that names its sender."""
    return f"<message from='{sender}' to='{BOT}' type='chat'><body>status</body>{more}</message>"


def refused(world: World) -> list[str]:
    """Whom the program has refused."""
    events = [event.text for event in world.events if event.text.startswith("refused ")]
    return [text.partition("who=")[2].partition(" ")[0] for text in events]


def is_bots(stanza: Any) -> bool:
    """Whether a stanza is a message of the bot."""
    return (stanza.sender or "").startswith(BOT)


@scenario.act("jabber-spoof-refused", book=False)
def spoofed(world: World, program: Program) -> Iterator[Claim]:
    """Eve's server says that it is partner.test; Mallory, a colleague, writes Ann's name."""
    evil = world.neighbour("evil.test")
    ann = world.neighbour("partner.test").actor(ANN)
    mallory = world.jabber.actor(MALLORY)
    world.clock.at(1, ann.comes)
    world.clock.at(10, lambda: evil.inject(asks(ANN)))
    world.clock.at(20, lambda: mallory.sends(asks(ANN)))
    world.clock.until(40)
    program()
    verified = [
        one for one in world.records if one.protocol == "xmpp-server" and one.direction == "S"
    ]
    verdicts = [one for one in verified if b"'invalid'" in one.raw]
    yield equal("the real server denies the key of the impostor", len(verdicts), 2, shows=verdicts)
    crossed = [one for one in world.jabber.messages if one.sender == ANN]
    yield equal("nothing of the impostor reaches the bot", crossed, [])
    seen = [one for one in world.records if one.protocol == "xmpp" and b"<body>" in one.raw]
    yield equal(
        "a name that a client writes is replaced by its own",
        refused(world),
        [f"{MALLORY}/play"],
        shows=seen,
    )
    yield equal("no command runs", world.host.ran, [])
    heard = [*mallory.messages, *ann.messages]
    yield equal("nobody is answered", list(filter(is_bots, heard)), [])


@scenario.act(
    "federation-look-alikes",
    book=False,
    person=[*WORLD["person"], {"address": f"ann@{LOOK_ALIKE}"}, {"address": "ann@evil.test"}],
    xmpp={"neighbours": ["partner.test", "evil.test", LOOK_ALIKE]},
)
def alike(world: World, program: Program) -> Iterator[Claim]:
    """A nick, a resource, a look-alike domain, another Ann, a forged carbon copy."""
    evil = world.neighbour("evil.test")
    other_ann = evil.actor("ann@evil.test", ANN)  # the resource is Ann's address
    twin = world.neighbour(LOOK_ALIKE).actor(f"ann@{LOOK_ALIKE}")
    eve = evil.actor(EVE)
    nick = f"lobby@conference.evil.test/{ANN}"
    carbon = (
        "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
        f"<message xmlns='jabber:client' from='{ANN}' to='{BOT}' type='chat'>"
        "<body>status</body></message></forwarded></received>"
    )
    world.clock.at(10, lambda: other_ann.says(BOT, "status"))
    world.clock.at(20, lambda: twin.says(BOT, "status"))
    world.clock.at(30, lambda: evil.inject(asks(nick)))
    world.clock.at(40, lambda: eve.sends(f"<message to='{BOT}' type='chat'>{carbon}</message>"))
    world.clock.until(60)
    program()
    people = [f"ann@evil.test/{ANN}", f"ann@{LOOK_ALIKE}/play", nick]
    shown = [event for event in world.events if event.text.startswith("refused ")]
    yield equal("each one is refused by the whole address", refused(world)[:3], people, shows=shown)
    yield equal("a forged copy is not taken for Ann's message", ANN in refused(world), False)
    yield equal("no command runs", world.host.ran, [])
    yield equal("nobody is answered", [*other_ann.messages, *twin.messages, *eve.messages], [])


@scenario.act(
    "federation-denied",
    book=False,
    xmpp={"denied": ["evil.test"]},
    scenario={
        "federation": {"domains": ["partner.test"], "deny": ["Bob@partner.test"], "notify": [EVE]}
    },
    # Nobody is a contact: presence would cross while the bot writes, in one order or the other.
    person=[{"address": one} for one in (BOT, EVE, "bob@partner.test", "carl@partner.test")],
)
def denied(world: World, program: Program) -> Iterator[Claim]:
    """One domain is denied by the server; of another, all may ask but Bob."""
    partner, evil = world.neighbour("partner.test"), world.neighbour("evil.test")
    bob, carl, eve = (
        partner.actor("bob@partner.test"),
        partner.actor("carl@partner.test"),
        evil.actor(EVE),
    )
    for at, person in ((5, bob), (10, bob), (20, carl), (30, eve)):
        world.clock.at(at, partial(person.says, BOT, "status"))
    world.clock.until(40)
    program()
    yield equal("people of a domain are answered", len(carl.messages), 1, shows=carl.messages)
    logged = [event for event in world.events if event.text.startswith("refused ")]
    # What is returned because a link between servers broke is no answer.
    answers = [stanza for stanza in bob.messages if stanza.type != "error"]
    found = (answers, sorted(set(refused(world))))
    yield equal("who is denied is not", found, ([], [f"{bob.address}/play"]), shows=logged)
    conditions = [one.condition for one in eve.messages]
    wanted = ["remote-server-timeout"]
    yield equal("nothing of a denied server is carried", conditions, wanted)
    failed = [event for event in world.events if event.text.startswith("message-returned")]
    yield holds(
        "the bot cannot write to it either",
        len(failed) == 1 and "not-allowed" in failed[0].text,
        [event.text for event in world.events],
        shows=failed,
    )
    ran = world.host.ran
    yield equal("one command runs", ran, [STATUS], shows=ran)


@scenario.act("federation-away", book=False, scenario={"federation": {"notify": [ANN]}})
def away(world: World, program: Program) -> Iterator[Claim]:
    """The other server is away when the bot writes to Ann, and is back when she asks."""
    world.close_port("xmpp-server partner.test")
    ann = world.neighbour("partner.test").actor(ANN)
    world.clock.at(60, lambda: world.open_port("xmpp-server partner.test"))
    world.clock.at(70, lambda: ann.says(BOT, "status"))
    world.clock.until(90)
    program()
    failed = [event for event in world.events if event.text.startswith("message-returned")]
    yield holds(
        "what could not be delivered is logged",
        len(failed) == 1 and "remote-server-timeout" in failed[0].text,
        [event.text for event in world.events],
        shows=failed,
    )
    answers = [one for one in ann.messages if is_bots(one)]
    yield equal("the link is made again when it is needed", len(answers), 1, shows=answers)

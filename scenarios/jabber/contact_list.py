"""Keep a contact list: who is on it, who may see us, who asks to.

Section 6.2.2 · XMPP · try: make scenario NAME=contact-list

The program takes people off the list, puts people on it (and asks whether we may see them), answers those who ask to see
us by two lists of its own, and prints who is there. Whoever is on neither list stays unanswered and is printed: a bot
that administrators talk to does not let everybody in.

[scenario.contact-list]
add = ["them@yourco.test"]
remove = []
names = { "them@yourco.test" = "Them" }          # what they are called on the list
groups = { "them@yourco.test" = ["Friends"] }
accept = []                                      # who may see us
deny = []                                        # who may not
watch = 60                                       # seconds until the list is printed

Fault: xmpp iq split 3 -> all hold
Fault: xmpp-domain-sender -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.errors import Refused
from comms.host import Host
from comms.settings import Settings
from comms.xmpp import Client, Contact, Jid, Presence
from scenarios.play import Claim, Program, act

if TYPE_CHECKING:
    from fakes import World

BOT, THEM = "bot@yourco.test", "them@yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "person": [{"address": f"{name}@yourco.test"} for name in ("bot", "them", "fan", "old", "mallory")],
}


@dataclass(frozen=True)
class Rules:
    """The scenario's settings; times in seconds."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    watch: float = 60

    def __post_init__(self) -> None:
        for key in ("add", "remove", "names", "groups", "accept", "deny"):
            for address in getattr(self, key):
                try:
                    Jid.parse(address)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from None

    def verdict(self, who: Jid) -> str:
        """accept, deny, or nothing: somebody must decide."""
        for verdict in ("deny", "accept"):
            if who.bare in {Jid.parse(address).bare for address in getattr(self, verdict)}:
                return verdict
        return ""


def shown(contact: Contact, presence: Presence) -> str:
    """A line of the list."""
    asked = " (asked)" if contact.pending else ""
    groups = f" in {', '.join(contact.groups)}" if contact.groups else ""
    return f"{contact.name or contact.jid} <{contact.jid}> {contact.subscription}{asked}{groups}: {presence.show}"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Brings the list into order, watches, prints it. Ends with 0, or 1 when something could not be done."""
    rules = settings.table("contact-list", Rules)
    code = 0
    with Client(settings.server("xmpp"), clock, host, accept_subscriptions=rules.accept) as jabber:

        @jabber.on_subscription_request
        def decide(request: Presence) -> None:
            assert request.sender is not None
            if rules.verdict(request.sender) == "deny":
                jabber.deny(request.sender)
                host.say(f"{request.sender.bare} was denied")
            else:
                host.say(f"{request.sender.bare} asks to see us: {request.text}")

        jabber.on_new_subscription(lambda presence: host.say(f"{presence.sender} lets us see them"))
        for address in rules.remove:
            try:
                jabber.remove(address)
            except Refused as error:
                host.say(f"{address} cannot be removed: {error}")
                code = 1
        for address in rules.add:
            jabber.add(address, rules.names.get(address, ""), rules.groups.get(address, ()))
        jabber.wait(clock.time() + rules.watch)
        for contact in jabber.roster.values():
            host.say(shown(contact, jabber.roster.presence(contact.jid)))
    return code


@act("jabber-roster", book=False, scenario={"contact-list": {"add": [THEM], "groups": {THEM: ["Friends"]}}})
def roster(world: World, program: Program) -> Iterator[Claim]:
    """People come onto the list, agree, ask back, are shown, and are taken off again."""
    them, mallory = world.jabber.person(THEM), world.jabber.person("mallory@yourco.test")
    them.comes()
    world.clock.at(10, lambda: them.accepts(BOT))
    pushed = "<query xmlns='jabber:iq:roster'><item jid='mallory@yourco.test' subscription='both'/></query>"

    def forge() -> None:
        for device in world.jabber.sessions(BOT):
            mallory.sends(f"<iq to='{device}' type='set' id='p'>{pushed}</iq>")

    world.clock.at(20, forge)
    program()
    said = says(world)
    listed = [f"{THEM} <{THEM}> to in Friends: available"]
    yield Claim("who has agreed can be seen", said == [f"{THEM} lets us see them", *listed], said)
    yield Claim("a stranger puts nobody onto the list", list(world.jabber.roster(BOT)) == [THEM], world.jabber.roster(BOT))

    world.jabber.befriend(BOT, "fan@yourco.test", "from")
    world.jabber.befriend(BOT, "old@yourco.test", "both")
    them.asks(BOT)
    program(scenario={"contact-list": {"add": ["mallory@yourco.test"], "accept": [THEM]}})
    found = [line.partition("> ")[2].partition(":")[0] for line in says(world)[len(said) :]]
    wanted = ["from", "none (asked)", "both", "both in Friends"]
    yield Claim("none, from, to and both are told apart", found == wanted, found)

    said = says(world)
    gone = [THEM, "old@yourco.test", "mallory@yourco.test", "nobody@yourco.test"]
    code = program(scenario={"contact-list": {"add": [], "remove": gone}})
    left = list(world.jabber.roster(BOT))
    yield Claim("who is removed is gone", left == ["fan@yourco.test"], left)
    theirs = [contact.subscription for contact in world.jabber.roster(THEM).values()]
    yield Claim("and sees us no more", set(theirs) <= {"none"}, theirs)
    told = says(world)[len(said) :]
    yield Claim(
        "who is not there cannot be removed, and that is said", code == 1 and "item-not-found" in "".join(told), told
    )
    code = program(scenario={"contact-list": {"add": ["a b@yourco.test"]}})
    yield Claim("what is no address is an error in the settings", code == 2, code)


def says(world: World) -> list[str]:
    """What the program has printed."""
    return [event.text for event in world.events if event.level == "say"]

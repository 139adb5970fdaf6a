"""Keep a contact list: add and remove contacts, and decide who may see us.

Section 6.2.2 · XMPP · try: make scenario NAME=contact-list

The program removes contacts, adds contacts (which asks for their authorisation), answers requests
to see us from two lists of its settings, and prints the contact list. A request from an address on
neither list is printed and left open: a bot that obeys administrators must not admit everybody.

[scenario.contact-list]
add = []
remove = []
names = {}                           # { "them@yourco.test" = "Them" }
groups = {}                          # { "them@yourco.test" = ["Friends"] }
accept = []                          # who may see us
deny = []                            # who may not
watch = 60                           # seconds until the list is printed

Fault: xmpp iq split 3 -> all hold
Fault: xmpp-domain-sender -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from comms import words
from comms.clock import Clock
from comms.errors import Refused
from comms.host import Host
from comms.setting_types import JabberAddress, NonEmpty, SecondsOrZero
from comms.settings import Settings
from comms.xmpp import Client, Contact, Jid, Presence
from scenarios.play import Claim, Program, Scenario, equal, holds

if TYPE_CHECKING:
    from fakes import World

QUOTED = 200  # characters of a request that are printed

BOT, THEM = "bot@yourco.test", "them@yourco.test"
FAN, OLD, MALLORY = "fan@yourco.test", "old@yourco.test", "mallory@yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "person": [{"address": address} for address in (BOT, THEM, FAN, OLD, MALLORY)],
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    add: tuple[JabberAddress, ...] = ()
    remove: tuple[JabberAddress, ...] = ()
    names: dict[JabberAddress, str] = field(default_factory=dict)
    groups: dict[JabberAddress, tuple[NonEmpty[str], ...]] = field(default_factory=dict)
    accept: tuple[JabberAddress, ...] = ()
    deny: tuple[JabberAddress, ...] = ()
    watch: SecondsOrZero = 60

    def verdict(self, contact: Jid) -> str:
        """Returns deny, accept, or "" for an address on neither list."""
        for verdict in ("deny", "accept"):
            if contact.bare in {Jid.parse(address).bare for address in getattr(self, verdict)}:
                return verdict
        return ""


def line(contact: Contact, presence: Presence) -> str:
    """Returns the line about a contact in the printed list."""
    asked = " (asked)" if contact.pending else ""
    groups = f" in {', '.join(contact.groups)}" if contact.groups else ""
    name = contact.name or contact.jid
    return f"{name} <{contact.jid}> {contact.subscription}{asked}{groups}: {presence.show}"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Changes the list, watches, prints it. Returns 0, or 1 if a contact could not be removed."""
    rules = settings.table("contact-list", Rules)
    code = 0
    server = settings.server("xmpp")
    with Client(server, clock, host, accept_subscriptions=rules.accept) as jabber:

        @jabber.on_subscription_request
        def decide(request: Presence) -> None:
            assert request.sender is not None
            if rules.verdict(request.sender) == "deny":
                jabber.deny(request.sender)
                host.say(f"{request.sender.bare} was denied")
            else:
                text = words.one_line(request.text)[:QUOTED]
                host.say(f"{request.sender.bare} asks to see us: {text}")

        @jabber.on_new_subscription
        def agreed(presence: Presence) -> None:
            host.say(f"{presence.sender} lets us see them")

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
            host.say(line(contact, jabber.roster.presence(contact.jid)))
    return code


@scenario.act(
    "jabber-roster",
    book=False,
    scenario={"contact-list": {"add": [THEM], "groups": {THEM: ["Friends"]}}},
)
def roster(world: World, program: Program) -> Iterator[Claim]:
    """A contact is added and agrees; others are added and removed."""
    them = world.jabber.actor(THEM)
    them.comes()
    world.clock.at(10, lambda: them.accepts(BOT))
    program()
    lines = [f"{THEM} lets us see them", f"{THEM} <{THEM}> to in Friends: available"]
    yield equal("a contact who agrees can be seen", world.said, lines, shows=world.said)

    world.jabber.befriend(BOT, FAN, "from")
    world.jabber.befriend(BOT, OLD, "both")
    them.asks(BOT)
    program(scenario={"contact-list": {"add": [MALLORY], "accept": [THEM]}})
    found = [line.partition("> ")[2].partition(":")[0] for line in world.said[len(lines) :]]
    states = ["from", "none (asked)", "both", "both in Friends"]
    yield equal(
        "the list shows each state of a subscription", found, states, shows=world.said[len(lines) :]
    )

    before = len(world.said)
    gone = [THEM, OLD, MALLORY, "nobody@yourco.test"]
    code = program(scenario={"contact-list": {"add": [], "remove": gone}})
    yield equal(
        "removed contacts are gone",
        list(world.jabber.roster(BOT)),
        [FAN],
        shows=world.said[before:],
    )
    theirs = {contact.subscription for contact in world.jabber.roster(THEM).values()}
    yield holds("removed contacts do not see us any more", theirs <= {"none"}, theirs)
    failures = "".join(world.said[before:])
    failed = code == 1 and "item-not-found" in failures
    yield holds(
        "removing an unknown contact is reported", failed, failures, shows=world.said[before:]
    )

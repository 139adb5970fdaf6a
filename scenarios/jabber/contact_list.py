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
accept = []                                      # who may see us; before they ask, too, where the server can
deny = []                                        # who may not
watch = 60                                       # seconds until the list is printed
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.errors import Refused
from comms.host import Host
from comms.settings import Settings
from comms.xmpp import Client, Contact, Jid, Presence

if TYPE_CHECKING:
    pass

BOT, THEM = "bot@yourco.test", "them@yourco.test"


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
    asked = " (asked)" if contact.asked else ""
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
                host.say(str(error))
                code = 1
        for address in rules.add:
            jabber.add(address, rules.names.get(address, ""), rules.groups.get(address, ()))
        jabber.wait(clock.time() + rules.watch)
        for contact in jabber.roster.values():
            host.say(shown(contact, jabber.roster.presence(contact.jid)))
    return code

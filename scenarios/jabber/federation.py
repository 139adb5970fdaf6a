"""Answer people whose accounts are at another server, and nobody who only looks like them.

Section 6.2.2 · XMPP · try: make scenario NAME=federation

A Jabber server that is linked with others takes messages from them, and vouches for the domain of
each sender, because servers verify each other. So a bot may answer people elsewhere, if it compares
whole addresses: the local part alone, the nick of a room, or a domain that looks alike proves
nothing. A list of addresses and domains is never answered, whatever else allows it.

[scenario.federation]
people = ["ann@partner.test"]        # who may ask
domains = []                         # servers whose people may all ask
deny = []                            # addresses and domains that are never answered
status = ["uptime"]                  # the command that answers them
notify = []                          # who is told at the start that the bot is there
poll = 3                             # seconds
timeout = 10                         # seconds that the command may take

Fault: xmpp message split 1 -> all hold
Fault: xmpp-server message split 1 -> all hold
Fault: xmpp-delayed -> all hold
Fault: xmpp-server result reset times 1 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.errors import Unknown, Unreachable
from comms.host import Host
from comms.setting_types import CommandLine, JabberAddress, NonEmpty, Seconds
from comms.settings import Settings
from comms.xmpp import Client, Jid, Message, stanzas
from scenarios.play import Claim, Program, Scenario, equal, holds

if TYPE_CHECKING:
    from fakes import World

BOT, ANN = "bot@yourco.test", "ann@partner.test"
EVE, MALLORY = "eve@evil.test", "mallory@yourco.test"
STATUS = ("uptime",)
ANSWER = " 09:05:00 up 41 days,  load average: 0.15"
WORLD: dict[str, Any] = {
    "servers": ["xmpp", "xmpp-server"],
    "program": BOT,
    "person": [
        {"address": BOT, "contacts": {ANN: "both"}},
        {"address": ANN, "contacts": {BOT: "both"}},
        {"address": EVE},
        {"address": MALLORY},
    ],
    "xmpp": {"domains": ["yourco.test"], "neighbours": ["partner.test", "evil.test"]},
    "host": {"name": "db1.yourco.test", "commands": [{"run": list(STATUS), "output": ANSWER}]},
    "scenario": {"federation": {"people": [ANN]}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    people: tuple[JabberAddress, ...] = (ANN,)
    domains: tuple[NonEmpty[str], ...] = ()
    deny: tuple[NonEmpty[str], ...] = ()
    status: CommandLine = STATUS
    notify: tuple[JabberAddress, ...] = ()
    poll: Seconds = 3
    timeout: Seconds = 10

    def __post_init__(self) -> None:
        for key in ("domains", "deny"):
            for text in getattr(self, key):
                try:
                    address = Jid.parse(text)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}; write a domain or an address") from None
                if address.resource or (key == "domains" and address.local):
                    wanted = '"partner.test"' if key == "domains" else '"evil.test"'
                    raise ValueError(f"{key}: {text!r} is too exact; write {key} = [{wanted}]")

    def verdict(self, sender: Jid) -> str:
        """Returns why a sender is refused, "" for a sender who may ask.

        Both sides are prepared addresses, so that case and other spellings do not matter.
        """
        domain = Jid.parse(sender.domain)
        if {sender.bare, domain} & set(map(Jid.parse, self.deny)):
            return "denied"
        allowed = {*(Jid.parse(one).bare for one in self.people), *map(Jid.parse, self.domains)}
        return "" if {sender.bare, domain} & allowed else "not on the list"


def handle(message: Message, rules: Rules, jabber: Client, host: Host) -> None:
    """Answers one message, or logs why not."""
    sender = message.sender
    if sender is None or (why := rules.verdict(sender)):
        host.log("refused", "warning", who=sender, trouble=why if sender else "no sender")
    elif message.text.strip().casefold() == "status":
        outcome = host.run(rules.status, timeout=rules.timeout)
        text = outcome.output.strip() if outcome.code == 0 else "The command failed."
        jabber.send(message.reply(text))
    else:
        jabber.send(message.reply("You may say: status"))


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Answers until stopped. Raises CommsError if it cannot log in."""
    rules = settings.table("federation", Rules)
    with Client(settings.server("xmpp"), clock, host) as jabber:
        for address in rules.notify:
            jabber.send(stanzas.message(Jid.parse(address), "I am here.", "chat"))
        for _ in clock.every(rules.poll):
            for message in jabber.received_messages():
                try:
                    handle(message, rules, jabber, host)
                except (Unreachable, Unknown) as error:  # the connection will be restored
                    host.log("not-answered", "warning", to=message.sender, trouble=error)
    return 0


@scenario.act("federation", book=False)
def linked(world: World, program: Program) -> Iterator[Claim]:
    """Ann asks from another server; so does Eve, who may not."""
    ann = world.neighbour("partner.test").actor(ANN)
    eve = world.neighbour("evil.test").actor(EVE)
    world.clock.at(5, ann.comes)
    world.clock.at(10, lambda: ann.says(BOT, "Status"))
    world.clock.at(20, lambda: eve.says(BOT, "status"))
    world.clock.at(30, lambda: ann.says(BOT, "hello"))
    world.clock.until(40)
    program()
    heard = [stanza.body for stanza in ann.messages]
    yield equal(
        "the question crosses once, and is answered",
        heard,
        [ANSWER.strip(), "You may say: status"],
        shows=ann.messages,
    )
    seen = [one.type for one in ann.all if one.kind == "presence" and BOT in (one.sender or "")]
    crossed = [one for one in world.records if one.verb == "presence" and b"from='bot@" in one.raw]
    yield holds(
        "the bot's presence crosses, too",
        None in seen and "unavailable" in seen,
        seen,
        shows=crossed,
    )
    yield equal("a stranger gets no answer", [one.body for one in eve.messages], [])
    logged = [event.text for event in world.events if event.text.startswith("refused")]
    yield equal("a stranger is logged", len(logged), 1, shows=logged)
    proofs = [one for one in world.records if one.verb == "result"]
    domains = {
        part for one in proofs for part in (b"from='yourco", b"from='partner") if part in one.raw
    }
    yield equal("both servers have proved their domains", len(domains), 2, shows=proofs)

"""Send a greeting over Jabber: ask for authorisation, wait for it, then deliver.

Listing 6.8 · XMPP · try: make scenario NAME=jabber-hello

A contact who is not on our list is asked for authorisation, and gets nothing before they agree: an
unwanted greeting is spam. If they refuse or do not answer in time, the program fails. After the
greeting it may stay and answer messages, by polling or by callback.

[scenario.jabber-hello]
to = "them@yourco.test"              # required
text = "Hello from Python!"
wait = 60                            # seconds that they have to agree
listen = ""                          # "poll" or "callback": stay, and answer messages
poll = 3                             # seconds

Fault: xmpp presence arg them* hang up after times 1 -> all hold
Fault: xmpp message split 1 -> all hold
Fault: xmpp-cut -> all hold

What goes wrong in the printed listing: the greeting waits in a queue until they agree, and the
program ends before that, so it is lost; and anybody who asks may see the bot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from comms.clock import Clock
from comms.errors import Unknown, Unreachable
from comms.host import Host
from comms.setting_types import JabberAddress, NonEmpty, Seconds, SecondsOrZero
from comms.settings import Settings
from comms.xmpp import Client, Message
from scenarios.play import Claim, Program, Scenario, equal, holds

if TYPE_CHECKING:
    from fakes import World

QUOTED = 1000  # characters of a message that the answer repeats

BOT, THEM = "bot@yourco.test", "them@yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "person": [{"address": address} for address in (BOT, THEM, "shy@yourco.test")],
    "scenario": {"jabber-hello": {"to": THEM}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    to: JabberAddress
    text: NonEmpty[str] = "Hello from Python!"
    wait: SecondsOrZero = 60
    listen: Literal["", "poll", "callback"] = ""
    poll: Seconds = 3


def answer(message: Message) -> str:
    """Returns the bot's answer to a message."""
    if message.unreadable:
        return message.unreadable
    name = message.sender.local if message.sender else "you"
    text = message.text.strip()
    quoted = text if len(text) <= QUOTED else f"{text[:QUOTED]}…"
    return f"Hello, {name}. You said: {quoted}"


def poll(jabber: Client, clock: Clock, seconds: float, host: Host) -> None:
    """Answers, at every poll, the messages that have arrived since the last one."""
    for _ in clock.every(seconds):
        for message in jabber.received_messages():
            try:
                jabber.send(message.reply(answer(message)))
            except (Unreachable, Unknown) as error:  # the connection will be restored
                host.log("not-answered", "warning", to=message.sender, trouble=error)


def call_back(jabber: Client) -> None:
    """Answers each message when it arrives."""
    jabber.on_message(lambda message: jabber.send(message.reply(answer(message))))
    jabber.wait()


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Greets, and stays if asked to. Raises TryLater without an answer in time, else Refused."""
    rules = settings.table("jabber-hello", Rules)
    with Client(settings.server("xmpp"), clock, host) as jabber:
        jabber.deliver(rules.to, rules.text, wait=rules.wait)
        host.say(f"{rules.to} was greeted.")
        if rules.listen == "poll":
            poll(jabber, clock, rules.poll, host)
        elif rules.listen == "callback":
            call_back(jabber)
    return 0


@scenario.act("jabber-hello")
def hello(world: World, program: Program) -> Iterator[Claim]:
    """The bot asks, and ten seconds later they agree."""
    them = world.jabber.actor(THEM)
    them.comes()
    world.clock.at(10, lambda: them.accepts(BOT))
    code = program()
    asked = [stanza for stanza in them.all if stanza.type in ("subscribe", "chat")]
    kinds = [stanza.type for stanza in asked]
    yield equal("they are asked first", kinds[:1], ["subscribe"], shows=asked[:1])
    heard = [stanza.body or "" for stanza in them.messages]
    greeted = len(heard) == 1 and heard[0].startswith("Hello")
    yield holds("they are greeted after they agreed", greeted, heard, shows=them.messages)
    elapsed = world.clock.elapsed
    yield holds(
        "the program exits with 0 afterwards",
        code == 0 and elapsed >= 10,
        (code, elapsed),
        shows=world.said,
    )

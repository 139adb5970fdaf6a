"""Say hello to somebody over Jabber: ask for authorisation, wait for it, then deliver.

Listing 6.8 · XMPP · try: make scenario NAME=jabber-hello

Who is not on our contact list is asked whether we may see them, and nothing is sent before they agree: a greeting to
somebody who does not want it is spam. If they refuse, or do not answer in time, the program says so and fails. After the
greeting it may stay and talk, by polling or by callback: the same bot either way.

[scenario.jabber-hello]
to = "them@yourco.test"
text = "Hello from Python!"
wait = 60                            # seconds that they have to agree
listen = ""                          # "poll" or "callback": stay, and answer whatever comes
poll = 3                             # seconds between two looks

Fault: xmpp presence arg them* hang up after times 1 -> all hold
Fault: xmpp message split 1 -> all hold
Fault: xmpp-cut -> all hold

What goes wrong in the printed listing: the greeting is only put into a queue until they agree, and then the program ends,
so it never leaves; and whoever asks to see the bot is let in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from comms.xmpp import Client, Jid, Message
from scenarios.play import Claim, Program, Scenario, holds

if TYPE_CHECKING:
    from fakes import World

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
    """The scenario's settings; times in seconds."""

    to: str = ""
    text: str = "Hello from Python!"
    wait: float = 60
    listen: str = ""
    poll: float = 3

    def __post_init__(self) -> None:
        try:
            Jid.parse(self.to)
        except ValueError as error:
            raise ValueError(f'to: {error}; write to = "you@example.org"') from None
        if self.listen not in ("", "poll", "callback"):
            raise ValueError(f'listen is {self.listen!r}; write "poll", "callback", or nothing')
        if self.poll <= 0:
            raise ValueError("poll must be more than 0 seconds")


def answer(message: Message) -> str:
    """What the bot has to say."""
    return f"Hello, {message.sender.local if message.sender else 'you'}. You said: {message.text.strip()}"


def poll(jabber: Client, clock: Clock, seconds: float) -> None:
    """Looks again and again what has come since the last look."""
    for _ in clock.every(seconds):
        for message in jabber.received_messages():
            jabber.send(message.reply(answer(message)))


def call_back(jabber: Client) -> None:
    """Is called when something comes."""
    jabber.on_message(lambda message: jabber.send(message.reply(answer(message))))
    jabber.wait()


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Greets, and stays if it should. Raises TryLater when they do not agree in time, Refused when they will not."""
    rules = settings.table("jabber-hello", Rules)
    with Client(settings.server("xmpp"), clock, host) as jabber:
        jabber.deliver(rules.to, rules.text, wait=rules.wait)
        host.say(f"{rules.to} was greeted.")
        if rules.listen == "poll":
            poll(jabber, clock, rules.poll)
        elif rules.listen == "callback":
            call_back(jabber)
    return 0


@scenario.act("jabber-hello")
def hello(world: World, program: Program) -> Iterator[Claim]:
    """The bot asks; ten seconds later they agree."""
    them = world.jabber.person(THEM)
    them.comes()
    world.clock.at(10, lambda: them.accepts(BOT))
    code = program()
    kinds = [stanza.type for stanza in them.all if stanza.type in ("subscribe", "chat")]
    yield holds("they are asked first", kinds[:1] == ["subscribe"], kinds)
    heard = [stanza.body or "" for stanza in them.messages]
    yield holds(
        "and greeted once they have agreed", len(heard) == 1 and heard[0].startswith("Hello"), heard
    )
    elapsed = world.clock.elapsed
    yield holds(
        "the program ends well, and only then", code == 0 and elapsed >= 10, (code, elapsed)
    )

"""A bot that takes commands on every network at once, in a world that has them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from comms import settings as comms_settings
from comms.bots.aim import Aim
from comms.bots.irc import Irc
from comms.bots.jabber import Jabber
from comms.bots.mail import Mail
from comms.bots.network import Network
from comms.bots.orders import Orders, known_by
from comms.commands import Commands, Order, Verb
from comms.host import OutcomeLike
from comms.mail_door import MailRules
from comms.state import State
from fakes import World

BOT, JEREMY, MALLORY = (f"{name}@yourco.test" for name in ("bot", "jeremy", "mallory"))
INBOX = "s3cret-77@yourco.test"
ROOM = "ops@conference.yourco.test"
CHANNEL = "#ops"
RESTART = ("systemctl", "restart", "mariadb")
ACCOUNTS = {
    "jeremy": {"aim": "Jeremy Admin", "jabber": JEREMY, "irc": "jeremy", "mail": JEREMY},
}
WORLD: dict[str, Any] = {
    "servers": ["toc", "xmpp", "irc", "smtp", "pop3"],
    "program": BOT,
    "person": [
        {"address": BOT, "aliases": [INBOX]},
        *({"address": f"{name}@yourco.test"} for name in ("jeremy", "mallory", "bot2")),
    ],
    "aim": [{"screen_name": name} for name in ("OpsBot", "Jeremy Admin", "Mallory", "JeremyAdmln")],
    "host": {"name": "db1.yourco.test", "services": ["mariadb"]},
}


def opened(world: World, whois: str = "anyone") -> Any:
    """A room that shows addresses, opened by the account bot2."""
    boss = world.jabber.actor("bot2@yourco.test")
    boss.joins(ROOM, "boss")
    field = f"<field var='muc#roomconfig_whois'><value>{whois}</value></field>"
    form = f"<x xmlns='jabber:x:data' type='submit'>{field}</x>"
    query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
    boss.sends(f"<iq type='set' id='1' to='{ROOM}'>{query}</iq>")
    return boss


@contextmanager
def networks_of(world: World, commands: Commands, state: State) -> Iterator[list[Network]]:
    """Yields the four networks of the world's program; commands come by mail, too."""
    config = {**world.settings, "irc": {**world.settings["irc"], "channels": [CHANNEL]}}
    site = comms_settings.load(config, world.folder)
    clock, host, person = world.clock, world.host, known_by(ACCOUNTS)
    rules = MailRules(site.server("pop3"), site.server("smtp"), INBOX, (JEREMY,), BOT)
    mail = Mail(rules, commands, clock, host, poll=5, person=lambda address: person(mail, address))
    yield [
        Aim(site.server("toc"), clock, host, state),
        Jabber(site.server("xmpp"), clock, host, state, contacts=[JEREMY], rooms=[ROOM]),
        Irc(site.server("irc"), clock, host, state),
        mail,
    ]


def obey(world: World, seconds: float, *only: str, **verb: Any) -> Commands:
    """Runs the bot in the world, on all networks or only some, and returns its commands."""
    verbs = {"restart": Verb(RESTART, "mysql", **verb)}
    with State(world.folder / "bot.sqlite3") as state:
        commands = Commands(state, verbs, {"jeremy": ["*"]}, world.clock, world.host)
        with networks_of(world, commands, state) as networks:
            chosen = [one for one in networks if not only or one.name in only]
            orders = Orders(
                commands,
                chosen,
                world.clock,
                world.host,
                answer=answer,
                person=known_by(ACCOUNTS),
            )
            orders.recover()
            world.clock.until(world.clock.elapsed + seconds)
            orders.run(1.0)
    return commands


def answer(order: Order, outcome: OutcomeLike) -> str:
    """The answer to a command: that it was done, or why not."""
    return f"{order.verb}: {outcome.error or outcome.code}"


def mails(world: World, sender: str, subject: str, to: str = INBOX, extra: str = "") -> None:
    """Mails a command."""
    number = len(world.mail.messages)
    head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{number}@x.test>\r\n{extra}"
    world.mail.deliver(to, f"{head}\r\n\r\n".encode())

"""A world with every network, and Jeremy, who has an account on each."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

BOT, JEREMY, MALLORY = (f"{name}@yourco.test" for name in ("bot", "jeremy", "mallory"))
INBOX = "cly6ruct1yit2d@yourco.test"
ROOM, CHANNEL = "ops@conference.yourco.test", "#ops"
UPTIME = "00:01:00 up 41 days, 3:20, 2 users, load average: 0.08, 0.03, 0.01\n"
PEOPLE = {
    "jeremy": {"aim": "Sys Admin", "jabber": JEREMY, "irc": "jeremy", "mail": JEREMY},
}


# The settings for a room and for mail.
ALL: dict[str, Any] = {"scenario": {"many-networks": {"rooms": [ROOM], "inbox": INBOX}}}


def world_of_all() -> dict[str, Any]:
    """Returns a WORLD with a server for each network."""
    return {
        "servers": ["toc", "xmpp", "irc", "smtp", "pop3"],
        "program": BOT,
        "person": [
            {"address": BOT, "aliases": [INBOX], "contacts": {JEREMY: "both"}},
            *({"address": address} for address in (JEREMY, MALLORY)),
        ],
        "aim": [{"screen_name": name} for name in ("OpsBot", "SysAdmin", "SysAdmln")],
        "host": {
            "name": "db1.yourco.test",
            "services": ["mariadb"],
            "commands": [{"run": ["uptime"], "output": UPTIME, "takes": 0.1}],
        },
        "scenario": {"many-networks": {"people": PEOPLE, "mail_poll": 10}},
    }


def open_room(world: Any) -> None:
    """Lets Jeremy open the room, as one in which everybody sees the addresses."""
    owner = world.jabber.actor(JEREMY)
    owner.joins(ROOM, "jez")
    field = "<field var='muc#roomconfig_whois'><value>anyone</value></field>"
    form = f"<x xmlns='jabber:x:data' type='submit'>{field}</x>"
    query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
    owner.sends(f"<iq type='set' id='1' to='{ROOM}'>{query}</iq>")


def mails(world: Any, sender: str, subject: str) -> None:
    """Mails a command to the secret inbox."""
    number = len(world.mail.messages)
    head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{number}@phone.test>\r\n"
    world.mail.deliver(INBOX, f"{head}\r\n\r\n".encode())


def tries(person: Any, target: str, text: str) -> None:
    """Lets a person say something on IRC, where the server may refuse it: the bot may be away."""
    with contextlib.suppress(LookupError):
        person.says(target, text)


def ask_everywhere(world: Any, text: str, start: float, apart: float = 10) -> None:
    """Jeremy says something on every network, one after the other."""
    open_room(world)
    jabber = world.jabber.actor(JEREMY)
    ask_on_some(world, text, start, apart)
    later = start + 3 * apart
    world.clock.at(later, lambda: jabber.says(ROOM, f"bot: {text}", "groupchat"))
    world.clock.at(later + apart, lambda: mails(world, JEREMY, text))


def ask_on_some(world: Any, text: str, start: float, apart: float = 10) -> None:
    """Jeremy says something on AIM, to the bot's account on Jabber, and in the IRC channel."""
    aim, jabber = world.aim.actor("SysAdmin"), world.jabber.actor(JEREMY)
    irc = world.irc.person("jeremy")
    irc.joins(CHANNEL)
    irc.logs_in()
    world.clock.at(start, lambda: aim.says("OpsBot", text))
    world.clock.at(start + apart, lambda: jabber.says(BOT, text))
    world.clock.at(start + 2 * apart, lambda: tries(irc, CHANNEL, f"bot: {text}"))


def heard_everywhere(world: Any) -> dict[str, list[Any]]:
    """What Jeremy has got from the bot in each place."""
    jabber = world.jabber.actor(JEREMY)
    stanzas = [one for one in jabber.messages if one.body]
    heard = world.irc.person("jeremy").hears if "irc" in world.servers else []
    notices = [one for one in heard if one.sender.startswith("bot")]
    return {
        "aim": list(world.aim.actor("SysAdmin").heard),
        "jabber": [one for one in stanzas if one.sender.startswith(BOT)],
        "room": [one for one in stanzas if one.sender == f"{ROOM}/bot"],
        "irc": notices,
        "mail": list(world.mail.inbox(JEREMY)),
    }


def trial(world: Any) -> dict[str, Any]:
    """Lets Jeremy ask everywhere while `make live` runs, and returns the channel."""
    open_room(world)
    irc = world.irc.person("jeremy")
    irc.joins(CHANNEL)
    irc.logs_in()
    says = (
        (world.aim.actor("SysAdmin").says, "OpsBot", "uptime"),
        (world.jabber.actor(JEREMY).says, BOT, "uptime"),
        (irc.says, CHANNEL, "bot: uptime"),
    )
    for number, (say, to, text) in enumerate(says, 2):
        timer = threading.Timer(number * 3.0, say, (to, text))
        timer.daemon = True
        timer.start()
    return {"irc": {"channels": [CHANNEL]}, **ALL}

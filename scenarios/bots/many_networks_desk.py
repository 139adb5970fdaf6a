"""The networks of many-networks: those for which the settings have a table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from comms.bots.aim import Aim
from comms.bots.irc import Irc
from comms.bots.jabber import Jabber
from comms.bots.mail import Mail
from comms.bots.network import Network
from comms.clock import Clock
from comms.commands import Commands
from comms.errors import SettingsError
from comms.host import Host
from comms.mail_door import MailRules
from comms.settings import Settings
from comms.xmpp import Jid

if TYPE_CHECKING:
    from scenarios.bots.many_networks import Rules

NAMES: dict[str, type[Network]] = {"aim": Aim, "jabber": Jabber, "irc": Irc, "mail": Mail}


def problem_of(people: Mapping[str, Mapping[str, str]], rooms: Collection[str]) -> str:
    """Returns what is wrong with the accounts of people or with rooms, "" if nothing is."""
    owners: dict[tuple[str, str], str] = {}
    for person, accounts in people.items():
        for network, account in accounts.items():
            if network not in NAMES:
                return f"people: unknown network {network!r}; choose from: {', '.join(NAMES)}"
            owner = owners.setdefault((network, account.casefold()), person)
            if owner != person:
                return f"people: {account!r} is both {owner} and {person}; keep one of them"
    jids = [accounts["jabber"] for accounts in people.values() if "jabber" in accounts]
    for key, text in (*(("people", jid) for jid in jids), *(("rooms", room) for room in rooms)):
        try:
            if not Jid.parse(text).local or Jid.parse(text).resource:
                return f'{key}: {text!r} is not a bare Jabber address; write "you@example.org"'
        except ValueError as error:
            return f'{key}: {error}; write "you@example.org"'
    return ""


def networks_of(
    rules: Rules,
    settings: Settings,
    commands: Commands,
    person: Callable[[Network, str], str],
    clock: Clock,
    host: Host,
) -> list[Network]:
    """Returns every network of the settings. Raises SettingsError if there is none."""
    state, known = commands.state, rules.people.values()
    found: list[Network] = []
    if "toc" in settings.tables:
        found.append(Aim(settings.server("toc"), clock, host, state))
    if "xmpp" in settings.tables:
        contacts = [accounts["jabber"] for accounts in known if "jabber" in accounts]
        server = settings.server("xmpp")
        found.append(Jabber(server, clock, host, state, contacts=contacts, rooms=rules.rooms))
    if "irc" in settings.tables:
        found.append(Irc(settings.server("irc"), clock, host, state))
    if rules.inbox:
        admins = tuple(accounts["mail"] for accounts in known if "mail" in accounts)
        mailbox = settings.mailbox("many-networks", rules.mailbox)
        door = MailRules(mailbox, settings.server("smtp"), rules.inbox, admins)
        mail = Mail(
            door,
            commands,
            clock,
            host,
            poll=rules.mail_poll,
            person=lambda address: person(mail, address),
        )
        found.append(mail)
    if not found:
        raise SettingsError("settings: no network; write [toc], [xmpp] or [irc], or set inbox")
    return found

"""The networks of many-networks: those for which the settings have a table."""

from __future__ import annotations

from collections.abc import Callable
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

if TYPE_CHECKING:
    from scenarios.bots.many_networks import Rules

NAMES: dict[str, type[Network]] = {"aim": Aim, "jabber": Jabber, "irc": Irc, "mail": Mail}


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

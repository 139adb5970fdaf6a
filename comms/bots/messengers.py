"""The messengers of a settings file, XMPP and AIM, and the accounts that people have there."""

from __future__ import annotations

from collections.abc import Collection

from comms.bots.aim import Aim
from comms.bots.jabber import Jabber
from comms.bots.network import Network
from comms.clock import Clock
from comms.errors import SettingsError
from comms.host import Host
from comms.settings import Settings
from comms.state import State
from comms.xmpp import Jid


def messengers(
    settings: Settings,
    clock: Clock,
    host: Host,
    state: State | None = None,
    contacts: Collection[str] = (),
) -> list[Network]:
    """Returns a network for each of the tables [xmpp] and [toc].

    `contacts` may see our presence by XMPP. Raises SettingsError if there is no such table.
    """
    networks: list[Network] = []
    if "xmpp" in settings.tables:
        server = settings.server("xmpp")
        networks.append(Jabber(server, clock, host, state, contacts=contacts))
    if "toc" in settings.tables:
        networks.append(Aim(settings.server("toc"), clock, host, state))
    if not networks:
        raise SettingsError("settings: no network; write [toc] or [xmpp]")
    return networks


def not_bare(account: str) -> str:
    """Returns why an account is not a Jabber address without a resource, "" if it is one."""
    try:
        jid = Jid.parse(account)
        is_bare = jid.local and not jid.resource
    except ValueError:
        is_bare = False
    return "" if is_bare else f"{account!r} is not a bare Jabber address"

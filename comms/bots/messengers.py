"""The messengers of a settings file, XMPP and AIM, and the accounts that people have there."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from comms.bots.aim import Aim
from comms.bots.company import Company
from comms.bots.jabber import Jabber
from comms.bots.network import Network
from comms.clock import Clock
from comms.compose import Message
from comms.errors import SettingsError
from comms.host import Host
from comms.settings import Settings
from comms.state import State
from comms.toc.messages import normalize
from comms.xmpp import Jid

# Where a message to an account reaches nobody else; the first one keeps it for who is offline.
PRIVATE = (Jabber.name, Aim.name)


def messengers(
    settings: Settings,
    clock: Clock,
    host: Host,
    state: State | None = None,
    contacts: Collection[str] = (),
    rooms: Collection[str] = (),
    *,
    confirms: bool = False,
) -> list[Network]:
    """Returns a network for each of the tables [xmpp] and [toc].

    `contacts` may see our presence by XMPP; `rooms` and `confirms` are those of `Jabber`. Raises
    SettingsError if there is no such table.
    """
    networks: list[Network] = []
    if "xmpp" in settings.tables:
        server = settings.server("xmpp")
        jabber = Jabber(
            server, clock, host, state, contacts=contacts, rooms=rooms, confirms=confirms
        )
        networks.append(jabber)
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


def _compared(network: str, account: str) -> str:
    """Returns the form in which two names of the same account are equal."""
    if network == Aim.name:
        return normalize(account)
    if network == Jabber.name and not not_bare(account):
        return str(Jid.parse(account))
    return account.casefold()


def problem_of(
    people: Mapping[str, Mapping[str, str]], rooms: Collection[str], networks: Collection[str]
) -> str:
    """Returns what is wrong with the accounts of people or with rooms, "" if nothing is.

    `people` maps each person to names of networks and the accounts there.
    """
    owners: dict[tuple[str, str], str] = {}
    for person, accounts in people.items():
        for network, account in accounts.items():
            if network not in networks:
                return f"people: unknown network {network!r}; choose from: {', '.join(networks)}"
            owner = owners.setdefault((network, _compared(network, account)), person)
            if owner != person:
                return f"people: {account!r} is both {owner} and {person}; keep one of them"
    jids = [accounts["jabber"] for accounts in people.values() if "jabber" in accounts]
    for key, text in (*(("people", jid) for jid in jids), *(("rooms", room) for room in rooms)):
        if problem := not_bare(text):
            return f'{key}: {problem}; write "you@example.org"'
    return without_mail({who: known for who, known in people.items() if "mail" in known})


def reached(accounts: Mapping[str, str], company: Company) -> tuple[Network, str] | None:
    """Returns where a person is told what nobody has asked for: where both are online, if possible.

    Of a name on AIM that is new, that is known a moment later. Never by IRC, where a nick may be
    another user's. None if there is no such place.
    """

    def order(network: Network) -> tuple[bool, bool, int]:
        online, present = company.is_online(network), company.sees(network, accounts[network.name])
        return not online, not present, PRIVATE.index(network.name)

    known = [one for one in company.networks if one.name in PRIVATE and one.name in accounts]
    if len(known) > 1:  # who has one account need not be asked whether they are there
        known.sort(key=order)
    return (known[0], accounts[known[0].name]) if known else None


def online_at(accounts: Mapping[str, str], company: Company) -> tuple[str, str] | None:
    """Returns a network where a person is online now, and the account there; None if nowhere.

    Call it in every round: the networks are asked by this, and tell us later.
    """
    found = [
        (network.name, accounts[network.name])
        for network in company.networks
        if network.name in PRIVATE
        and network.name in accounts
        and company.sees(network, accounts[network.name])
    ]
    return found[0] if found else None


def without_mail(people: Mapping[str, Mapping[str, str]]) -> str:
    """Returns that a person has no usable mail address, "" if everybody has one."""
    for person, accounts in people.items():
        try:
            Message(accounts["mail"], [accounts["mail"]]).to_bytes()
        except (KeyError, ValueError):
            return f'people: {person} needs a mail address; write mail = "{person}@example.org"'
    return ""

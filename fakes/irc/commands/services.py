"""Operators of the network, and NickServ, which knows accounts."""

from __future__ import annotations

from fakes.irc.lines import Command, Line
from fakes.irc.users import Client

NAME = "NickServ"
SOURCE = "NickServ!NickServ@services.test"


def oper(client: Client, command: Command) -> None:
    """`name password`."""
    name, password = command.parameters[:2]
    if not client.policy.oper:
        client.numeric(491)
    elif not client.network.is_oper(name, password):
        client.numeric(464)
    else:
        client.user.modes.add("o")
        client.tell(Line(client.user.source, "MODE", (client.user.nick,), "+o"))
        client.numeric(381)


def kill(client: Client, command: Command) -> None:
    """`nick :reason`, of operators."""
    nick, why = command.parameters[:2]
    victim = client.network.find(nick)
    if not client.user.is_operator:
        client.numeric(481)
    elif victim is None:
        client.numeric(401, nick)
    else:
        client.network.expel(victim, f"Killed ({client.user.nick} ({why}))")


def ns(client: Client, command: Command) -> None:
    """`IDENTIFY [account] password`, `GHOST nick [password]`, `LOGOUT`."""
    if client.policy.nickserv:
        obey(client, " ".join(command.parameters))
    else:
        client.numeric(421, "NS")


def obey(client: Client, text: str) -> None:
    """Does what a message to NickServ asks for, and answers by a notice."""
    verb, *words = text.split() or [""]
    answer = {"IDENTIFY": _identify, "GHOST": _ghost, "LOGOUT": _logout}.get(verb.upper())
    said = answer(client, words) if answer else "Unknown command; use IDENTIFY, GHOST or LOGOUT"
    client.tell(Line(SOURCE, "NOTICE", (client.user.nick,), said))


def _owns(client: Client, account: str, password: str) -> str:
    """Returns the account if the password is right, else ""."""
    person = client.network.people.find(account)
    right = person is not None and person.password == password
    found = client.network.account_of(account) if right else ""
    return "" if found in client.policy.locked else found


def _identify(client: Client, words: list[str]) -> str:
    if not 1 <= len(words) <= 2:
        return "Write IDENTIFY [account] password"
    account = _owns(client, words[0] if len(words) == 2 else client.user.nick, words[-1])
    if not account:
        return "Invalid account or password"
    text = f"You are now logged in as {account}"
    client.numeric(900, client.user.source, account, text=text)
    client.network.log_in(client.user, account)
    return text


def _ghost(client: Client, words: list[str]) -> str:
    if not 1 <= len(words) <= 2:
        return "Write GHOST nick [password]"
    victim = client.network.find(words[0])
    if victim is None or victim is client.user:
        return f"{words[0]} is not online"
    owned = client.network.account_of(victim.nick)
    by_account = owned and owned == client.user.account
    if not by_account and not (len(words) == 2 and _owns(client, victim.nick, words[1])):
        return "Access denied"
    client.network.expel(victim, f"GHOST command used by {client.user.nick}")
    return f"{victim.nick} has been ghosted"


def _logout(client: Client, words: list[str]) -> str:
    client.network.log_in(client.user, "")
    client.numeric(901, client.user.source)
    return "You are now logged out"


COMMANDS = {"OPER": oper, "KILL": kill, "NS": ns}

"""The commands of a registered client: one function per command.

    joining     JOIN, PART, KICK, TOPIC, INVITE, NAMES
    modes       MODE
    messages    PRIVMSG, NOTICE, TAGMSG, AWAY, SETNAME
    queries     WHO, WHOIS, WHOWAS, ISON, USERHOST, LIST, LUSERS, MOTD, VERSION, TIME, INFO, PING
    services    OPER, KILL, and NickServ

Each function takes the client and the command, and answers by `client.numeric`. To add a command,
write its function, name it in COMMANDS of its module, and add a row to session.VERBS.
"""

from __future__ import annotations

from collections.abc import Callable

from fakes.irc.commands import joining, messages, modes, queries, services
from fakes.irc.lines import Command
from fakes.irc.users import Client

COMMANDS: dict[str, Callable[[Client, Command], None]] = {
    **joining.COMMANDS,
    **modes.COMMANDS,
    **messages.COMMANDS,
    **queries.COMMANDS,
    **services.COMMANDS,
}
# A connection changes its nick in its session, because that may complete the registration.
OF_PERSONS = {**COMMANDS, "NICK": messages.nick}

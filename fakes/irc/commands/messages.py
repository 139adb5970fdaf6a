"""Messages, and what a user says about itself."""

from __future__ import annotations

from fakes.irc.channels import Channel
from fakes.irc.commands import services
from fakes.irc.lines import Command, Line, cut, encode
from fakes.irc.names import is_nick
from fakes.irc.tokens import AWAY, REAL_NAME, TARGETS
from fakes.irc.users import Client, User


def privmsg(client: Client, command: Command) -> None:
    """`target,… :text`."""
    if not command.parameters or not command.parameters[0]:
        client.numeric(411, text="No recipient given (PRIVMSG)")
    elif len(command.parameters) < 2 or not command.parameters[1]:
        client.numeric(412)
    else:
        _send(client, command, command.parameters[1])


def notice(client: Client, command: Command) -> None:
    """`target,… :text`. It is never answered (RFC 2812 §3.3.2)."""
    if len(command.parameters) >= 2 and all(command.parameters[:2]):
        _send(client, command, command.parameters[1])


def tagmsg(client: Client, command: Command) -> None:
    """`target,…`: a message that consists of tags (IRCv3 message-tags)."""
    _send(client, command, None)


def _send(client: Client, command: Command, text: str | None) -> None:
    network, targets = client.network, dict[str, str]()
    for target in filter(None, command.parameters[0].split(",")):
        targets.setdefault(network.fold(target), target)
    for target in list(targets.values())[:TARGETS]:
        if network.policy.nickserv and network.same(target, services.NAME):
            if text is not None:
                services.obey(client, text)
        elif target.startswith("#"):
            _to_channel(client, command, target, text)
        else:
            _to_user(client, command, target, text)


def _to_channel(client: Client, command: Command, target: str, text: str | None) -> None:
    channel = client.network.find_channel(target)
    if channel is None:
        _refuse(client, command, 403, target)
    elif not channel.may_speak(client.user):
        _refuse(client, command, 404, channel.name)
    else:
        recipients = [user for user in channel.users if user is not client.user]
        _deliver(client, command, channel, recipients, text)


def _to_user(client: Client, command: Command, target: str, text: str | None) -> None:
    user = client.network.find(target)
    if user is None:
        _refuse(client, command, 401, target)
        return
    _deliver(client, command, user, [user], text)
    if user.away is not None and command.verb == "PRIVMSG":
        client.numeric(301, user.nick, text=user.away)


def _refuse(client: Client, command: Command, number: int, target: str) -> None:
    if command.verb != "NOTICE":
        client.numeric(number, target)


def _deliver(
    client: Client, command: Command, to: Channel | User, recipients: list[User], text: str | None
) -> None:
    network, sender = client.network, client.user
    target = to.name if isinstance(to, Channel) else to.nick
    tags = network.tags_of(sender)
    if client.has("message-tags"):
        tags |= {name: value for name, value in command.tags.items() if name.startswith("+")}
    needs = "message-tags" if text is None else ""
    line = Line(sender.source, command.verb, (target,), text, tags, needs)
    for user in recipients:
        # What a user sends to itself has no label; the echo has it (IRCv3 labeled-response).
        (user.client.tell_apart if user is sender else user.client.tell)(line)
    if client.has("echo-message"):
        client.tell(line)
    network.record(command.verb, sender, target, line)


def away(client: Client, command: Command) -> None:
    """`[:text]`; without a text the user is there again."""
    text = "".join(command.parameters[:1])
    client.network.set_away(client.user, cut(text, AWAY) if text else None)
    client.numeric(306 if text else 305)


def setname(client: Client, command: Command) -> None:
    """`:real name`."""
    name = "".join(command.parameters[:1])
    if not name or len(encode(name)) > REAL_NAME:
        client.fail("SETNAME", "INVALID_REALNAME", text="Realname is not valid")
    else:
        client.network.set_real_name(client.user, name)


def nick(client: Client, command: Command) -> None:
    """`nick`, of a person who acts by cues."""
    name = "".join(command.parameters[:1])
    if not is_nick(name):
        client.numeric(432, name)
    elif not client.network.is_free(name, client.user):
        client.numeric(433, name)
    else:
        client.network.rename(client.user, name)


COMMANDS = {
    "PRIVMSG": privmsg,
    "NOTICE": notice,
    "TAGMSG": tagmsg,
    "AWAY": away,
    "SETNAME": setname,
}

"""Channels: entering and leaving them, topics, invitations, and who is inside."""

from __future__ import annotations

from fakes.irc.channels import Channel, Member
from fakes.irc.lines import Command, Line, cut
from fakes.irc.names import is_channel
from fakes.irc.tokens import CHANNELS, KICK, TARGETS, TOPIC
from fakes.irc.users import Client, User


def join(client: Client, command: Command) -> None:
    """`#channel,… [key,…]`, or `0`: leaves all channels."""
    names, *more = command.parameters
    keys = more[0].split(",") if more else []
    if names == "0":
        for channel in list(client.user.channels.values()):
            _part(client, channel, "Left all channels")
        return
    for number, name in enumerate(names.split(",")):
        if name:
            _join(client, name, keys[number] if number < len(keys) else "")


def _join(client: Client, name: str, key: str) -> None:
    network, user = client.network, client.user
    if not is_channel(name):
        client.numeric(403, name)
        return
    channel = network.find_channel(name)
    if channel is not None and user in channel:
        return
    if len(user.channels) >= CHANNELS:
        client.numeric(405, name)
        return
    refusal = channel.refusal(user, key) if channel is not None else 0
    if refusal:
        client.numeric(refusal, name)
        return
    channel = network.join(name, user)
    if channel.topic:
        _show_topic(client, channel)
    show_names(client, channel)


def part(client: Client, command: Command) -> None:
    """`#channel,… [:reason]`."""
    names, *reason = command.parameters
    for name in filter(None, names.split(",")):
        channel = _inside(client, name)
        if channel is not None:
            _part(client, channel, reason[0] if reason else "")


def _part(client: Client, channel: Channel, reason: str) -> None:
    user = client.user
    tags = client.network.tags_of(user)
    line = Line(user.source, "PART", (channel.name,), reason or None, tags)
    client.network.tell_channel(channel, line)
    client.network.remove(channel, user)


def _inside(client: Client, name: str) -> Channel | None:
    """Returns a channel that the user is in; else sends why not."""
    channel = client.network.find_channel(name)
    if channel is None:
        client.numeric(403, name)
        return None
    if client.user not in channel:
        client.numeric(442, channel.name)
        return None
    return channel


def kick(client: Client, command: Command) -> None:
    """`#channel nick,… [:comment]`."""
    name, nicks, *comment = command.parameters
    network, user = client.network, client.user
    channel = _inside(client, name)
    if channel is None:
        return
    if not channel.is_operator(user):
        client.numeric(482, channel.name)
        return
    for nick in list(filter(None, nicks.split(",")))[:TARGETS]:
        victim = network.find(nick)
        if user not in channel:  # it was a victim itself
            client.numeric(442, channel.name)
            break
        if victim is None:
            client.numeric(401, nick)
        elif victim not in channel:
            client.numeric(441, victim.nick, channel.name)
        else:
            text = cut(comment[0] if comment and comment[0] else user.nick, KICK)
            tags = network.tags_of(user)
            line = Line(user.source, "KICK", (channel.name, victim.nick), text, tags)
            network.tell_channel(channel, line)
            network.remove(channel, victim)


def topic(client: Client, command: Command) -> None:
    """`#channel [:topic]`."""
    name, *text = command.parameters
    channel = client.network.find_channel(name)
    if channel is None:
        client.numeric(403, name)
    elif not text:
        if not channel.is_seen_by(client.user):
            client.numeric(442, channel.name)
        elif channel.topic:
            _show_topic(client, channel)
        else:
            client.numeric(331, channel.name)
    elif client.user not in channel:
        client.numeric(442, channel.name)
    elif "t" in channel.modes and not channel.is_operator(client.user):
        client.numeric(482, channel.name)
    else:
        _set_topic(client, channel, cut(text[0], TOPIC))


def _set_topic(client: Client, channel: Channel, text: str) -> None:
    user, network = client.user, client.network
    channel.topic, channel.topic_by, channel.topic_at = text, user.nick, network.now()
    line = Line(user.source, "TOPIC", (channel.name,), text, network.tags_of(user))
    network.tell_channel(channel, line)


def _show_topic(client: Client, channel: Channel) -> None:
    client.numeric(332, channel.name, text=channel.topic)
    client.numeric(333, channel.name, channel.topic_by, f"{channel.topic_at:.0f}")


def invite(client: Client, command: Command) -> None:
    """`nick #channel`; without parameters, lists the invitations for the user."""
    network, user = client.network, client.user
    if not command.parameters:
        for one in network.channels.values():
            if user in one.invited:
                client.numeric(336, one.name)
        client.numeric(337)
        return
    if len(command.parameters) < 2:
        client.numeric(461, "INVITE")
        return
    nick, name = command.parameters[:2]
    guest = network.find(nick)
    if guest is None:
        client.numeric(401, nick)
        return
    channel = _inside(client, name)
    if channel is None:
        return
    if "i" in channel.modes and not channel.is_operator(user):
        client.numeric(482, channel.name)
    elif guest in channel:
        client.numeric(443, guest.nick, channel.name)
    else:
        _invite(client, channel, guest)


def _invite(client: Client, channel: Channel, guest: User) -> None:
    network, user = client.network, client.user
    channel.invited[guest] = None
    client.numeric(341, guest.nick, channel.name)
    tags, words = network.tags_of(user), (guest.nick, channel.name)
    guest.client.tell(Line(user.source, "INVITE", words, tags=tags))
    for other in channel.users:
        if other is not user:
            other.client.tell(Line(user.source, "INVITE", words, None, tags, "invite-notify"))


def names(client: Client, command: Command) -> None:
    """`#channel`."""
    name = "".join(command.parameters[:1]).partition(",")[0]
    channel = client.network.find_channel(name)
    if channel is None or not channel.is_seen_by(client.user):
        client.numeric(366, channel.name if channel else name or "*")
    else:
        show_names(client, channel)


def show_names(client: Client, channel: Channel) -> None:
    """Sends who is in a channel, in order of arrival."""
    multi, full = client.has("multi-prefix"), client.has("userhost-in-names")

    def written(member: Member) -> str:
        return member.prefix(multi) + (member.user.source if full else member.user.nick)

    sign = "@" if "s" in channel.modes else "="
    seen = set(client.network.visible(channel.users, client.user))
    names = [written(member) for member in channel if member.user in seen]
    client.numerics(353, sign, channel.name, texts=names)
    client.numeric(366, channel.name)


COMMANDS = {
    "JOIN": join,
    "PART": part,
    "KICK": kick,
    "TOPIC": topic,
    "INVITE": invite,
    "NAMES": names,
}

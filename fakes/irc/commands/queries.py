"""Questions: who is there, which channels, and what the server is."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fakes.irc.channels import Channel
from fakes.irc.lines import Command, Line
from fakes.irc.network import stamp
from fakes.irc.numerics import TEXTS
from fakes.irc.tokens import PER_LINE, SERVER_VERSION, TOKENS
from fakes.irc.users import Client, User

INFORMATION = "A fake server for tests"
USERHOSTS = 5  # nicks of one USERHOST


# ── users ────────────────────────────────────────────────────────────────────


def who(client: Client, command: Command) -> None:
    """`[mask [o]]`."""
    mask, *flags = command.parameters or ("*",)
    mask = "*" if mask == "0" else mask  # everybody (RFC 2812 §3.6.1)
    only_operators = flags[:1] == ["o"]
    channel = client.network.find_channel(mask)
    for user in _meant(client, mask, channel):
        if user.is_operator or not only_operators:
            _show_who(client, user, channel)
    client.numeric(315, mask)


def _meant(client: Client, mask: str, channel: Channel | None) -> list[User]:
    network = client.network
    exact = network.find(mask)
    if channel is not None:
        found = channel.users if channel.is_seen_by(client.user) else []
    elif exact is not None:
        return [exact]
    else:
        found = [user for user in network.everybody if network.matches(mask, user.nick)]
    return network.visible(found, client.user)


def _show_who(client: Client, user: User, channel: Channel | None) -> None:
    flags = "H" if user.away is None else "G"
    flags += "*" if user.is_operator else ""
    member = channel.member(user) if channel is not None else None
    flags += member.prefix(client.has("multi-prefix")) if member is not None else ""
    flags += "B" if "B" in user.modes else ""
    name = channel.name if channel is not None else "*"
    words = (name, user.name, user.host, client.network.name, user.nick, flags)
    client.numeric(352, *words, text=f"0 {user.real_name}")


def whois(client: Client, command: Command) -> None:
    """`[server] nick`."""
    if not command.parameters or not command.parameters[-1]:
        client.numeric(431)
        return
    network = client.network
    server, nick = ("", *command.parameters)[-2:] if command.parameters[1:] else ("", "")
    nick = (nick or command.parameters[0]).partition(",")[0]
    if server and not network.same(server, network.name) and network.find(server) is None:
        client.numeric(402, server)
        return
    user = network.find(nick)
    if user is None:
        client.numeric(401, nick)
    else:
        _show_whois(client, user)
    client.numeric(318, user.nick if user else nick)


def _show_whois(client: Client, user: User) -> None:
    network, nick = client.network, user.nick
    client.numeric(311, nick, user.name, user.host, "*", text=user.real_name)
    seen = [
        member.prefix(client.has("multi-prefix")) + channel.name
        for channel in user.channels.values()
        if channel.is_seen_by(client.user) and (member := channel.member(user))
    ]
    client.numerics(319, nick, texts=seen)
    client.numeric(312, nick, network.name, text=INFORMATION)
    if user.is_operator:
        client.numeric(313, nick, text="is an IRC operator")
    if user.away is not None:
        client.numeric(301, nick, text=user.away)
    if user.account:
        client.numeric(330, nick, user.account, text="is logged in as")
    if "B" in user.modes:
        client.numeric(335, nick, text="is a bot")
    if user.secure:
        client.numeric(671, nick, text="is using a secure connection")
    idle, since = f"{network.now() - user.active:.0f}", f"{user.since:.0f}"
    client.numeric(317, nick, idle, since, text="seconds idle, signon time")


def whowas(client: Client, command: Command) -> None:
    """`nick [count]`."""
    if not command.parameters or not command.parameters[0]:
        client.numeric(431)
        return
    nick, *count = command.parameters
    network = client.network
    found = [past for past in network.history if network.same(past.nick, nick)]
    if count and count[0].isascii() and count[0].isdigit() and int(count[0][:6]):
        found = found[: int(count[0][:6])]
    for past in found:
        client.numeric(314, past.nick, past.name, past.host, "*", text=past.real_name)
        client.numeric(312, past.nick, network.name, text=stamp(past.at))
    if not found:
        client.numeric(406, nick)
    client.numeric(369, nick)


def ison(client: Client, command: Command) -> None:
    """`nick …`."""
    nicks = " ".join(command.parameters).split()
    found = [user.nick for nick in nicks if (user := client.network.find(nick))]
    client.numerics(303, texts=found or [""])


def userhost(client: Client, command: Command) -> None:
    """`nick …`, up to five."""
    found = []
    for nick in command.parameters[:USERHOSTS]:
        user = client.network.find(nick)
        if user is not None:
            star = "*" if user.is_operator else ""
            sign = "+" if user.away is None else "-"
            found.append(f"{user.nick}{star}={sign}{user.name}@{user.host}")
    client.numerics(302, texts=found or [""])


# ── channels ─────────────────────────────────────────────────────────────────


def list_channels(client: Client, command: Command) -> None:
    """`[condition,…]`: a name, a mask, `!mask`, `>n` or `<n` users."""
    conditions = "".join(command.parameters[:1]).split(",")
    tests = [_condition(client, text) for text in conditions if text]
    client.numeric(321, "Channel", text="Users  Name")
    for channel in client.network.channels.values():
        if channel.is_seen_by(client.user) and _fits(channel, tests):
            client.numeric(322, channel.name, str(len(channel)), text=channel.topic)
    client.numeric(323)


_Test = tuple[bool, Callable[[Channel], bool]]  # whether it is a name, of which one must fit


def _fits(channel: Channel, tests: list[_Test]) -> bool:
    names = [test for is_name, test in tests if is_name]
    others = [test for is_name, test in tests if not is_name]
    return all(test(channel) for test in others) and (
        not names or any(test(channel) for test in names)
    )


def _condition(client: Client, text: str) -> _Test:
    network, rest = client.network, text[1:]
    if text[0] in "<>" and rest.isascii() and rest.isdigit():
        limit = int(rest[:9])
        if text[0] == ">":
            return False, lambda channel: len(channel) > limit
        return False, lambda channel: len(channel) < limit
    if text[0] == "!":
        return False, lambda channel: not network.matches(rest, channel.name)
    return True, lambda channel: network.matches(text, channel.name)


# ── the server ───────────────────────────────────────────────────────────────


def send_isupport(client: Client, off: Collection[str]) -> None:
    """Sends the limits of the server (005)."""
    tokens = [
        token.replace("{casemapping}", client.policy.casemapping)
        for token in TOKENS
        if token.partition("=")[0] not in off
    ]
    if client.policy.utf8only:
        tokens.append("UTF8ONLY")
    for start in range(0, len(tokens), PER_LINE):
        line = tokens[start : start + PER_LINE]
        client.numeric(5, *line, text="are supported by this server")


def send_lusers(client: Client) -> None:
    """Sends how many users and channels there are."""
    network = client.network
    count, most = len(network.clients), network.most
    operators = sum(user.is_operator for user in network.everybody)
    invisible = sum("i" in user.modes for user in network.everybody)
    client.numeric(251, text=TEXTS[251].format(count - invisible, invisible))
    if operators:
        client.numeric(252, str(operators))
    client.numeric(254, str(len(network.channels)))
    client.numeric(255, text=f"I have {count} clients and 0 servers")
    for number, where in ((265, "local"), (266, "global")):
        text = f"Current {where} users {count}, max {most}"
        client.numeric(number, str(count), str(most), text=text)


def send_motd(client: Client) -> None:
    """Sends the message of the day."""
    if not client.policy.motd:
        client.numeric(422)
        return
    client.numeric(375, text=f"- {client.network.name} Message of the day - ")
    for line in client.policy.motd.split("\n"):
        client.numeric(372, text=f"- {line}")
    client.numeric(376)


def lusers(client: Client, command: Command) -> None:
    """Counts users and channels."""
    send_lusers(client)


def motd(client: Client, command: Command) -> None:
    """The message of the day."""
    send_motd(client)


def version(client: Client, command: Command) -> None:
    """The version of the server, and its limits."""
    client.numeric(351, SERVER_VERSION, client.network.name, text=INFORMATION)
    send_isupport(client, client.policy.off)


def time(client: Client, command: Command) -> None:
    """The time of the server."""
    network = client.network
    client.numeric(391, network.name, text=stamp(network.now()))


def info(client: Client, command: Command) -> None:
    """What the server is."""
    client.numeric(371, text=f"{SERVER_VERSION}: {INFORMATION}")
    client.numeric(374)


def ping(client: Client, command: Command) -> None:
    """`token`."""
    if not command.parameters:
        client.numeric(409)
    else:
        name = client.network.name
        client.tell(Line(name, "PONG", (name,), command.parameters[0]))


COMMANDS = {
    "WHO": who,
    "WHOIS": whois,
    "WHOWAS": whowas,
    "ISON": ison,
    "USERHOST": userhost,
    "LIST": list_channels,
    "LUSERS": lusers,
    "MOTD": motd,
    "VERSION": version,
    "TIME": time,
    "INFO": info,
    "PING": ping,
}

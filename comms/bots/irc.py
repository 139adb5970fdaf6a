"""IRC as a network for bots.

Only the account counts that the server names at each message. Everybody may take a nick that is
free, and what services write into a channel by relay has the account of the relay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from comms.bots.network import Heard, Network, printable
from comms.clock import Clock
from comms.errors import Refused
from comms.host import Host
from comms.irc import Client, Message
from comms.irc.lines import pieces

if TYPE_CHECKING:
    from comms.settings import Server
    from comms.state import State

ROOM_LINES, LINES = 3, 8  # lines of an answer in a channel, and to one user
PIECE = 350  # bytes of a line, so that the names before it have room, too
MORE = "… ({} lines more)"


class Irc(Network):
    """One nick. What is said is a notice, which no program may answer (RFC 2812 §3.3.2).

    A channel gets short answers only; a long one goes to the asker, and the channel is told so.
    """

    name = "irc"
    longest = LINES * PIECE

    def __init__(
        self, server: Server, clock: Clock, host: Host, state: State | None = None
    ) -> None:
        super().__init__(state)
        self.client = Client(server, clock, host)
        self.client.on_message(self._hear)
        self._heard: list[Heard] = []

    def _hear(self, message: Message) -> None:
        who = self.normalize(message.account)
        to = {"to": message.where, "nick": message.nick, "room": message.channel, "account": who}
        self._heard.append(Heard(self, who, message.nick, message.text, to, room=message.channel))

    def connect(self) -> None:
        self.client.connect()

    def close(self) -> None:
        self.client.disconnect()

    def heard(self) -> Iterator[Heard]:
        self.client.wait(0)
        found, self._heard = self._heard, []
        yield from found

    def say(self, to: Mapping[str, Any], text: str) -> None:
        lines = [line for line in pieces(printable(text), PIECE) if line.strip()]
        receiver, nick = str(to["to"]), str(to.get("nick", ""))
        if not to.get("room") and self._is_another(nick, str(to.get("account", ""))):
            raise Refused(f"{nick} is another user now, and the answer is not for that one")
        if to.get("room") and nick and len(lines) > ROOM_LINES:
            self.client.notice(receiver, f"{nick}: that is long; I send it to you alone")
            receiver = nick
        if len(lines) > LINES:
            lines[LINES - 1 :] = [MORE.format(len(lines) - LINES + 1)]
        self.client.notice(receiver, "\n".join(lines))

    def _is_another(self, nick: str, account: str) -> bool:
        """Whether a nick, by which a user with this account has asked, has another owner now."""
        people = self.client.people
        known = bool(account) and people.tells and people.shares(nick)
        return known and self.normalize(people.account(nick)) != account

    def present(self, who: str) -> bool:
        """Whether a user whose account we know is in one of our channels."""
        people, account = self.client.people, self.normalize(who)
        nicks = (nick for channel in people.channels() for nick in people.present(channel))
        return any(self.normalize(people.account(nick)) == account for nick in nicks)

    def normalize(self, who: str) -> str:
        return self.client.fold(who)

    def own_name(self, room: str) -> str:
        return self.client.nick

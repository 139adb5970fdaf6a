"""XMPP as a network for bots, with its chat rooms.

An account is vouched for by its server, and that by TLS and by the servers on the way. In a room,
only an address that the room itself shows counts: enter only rooms whose server you trust.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from comms.bots import network
from comms.bots.network import Heard, Network, printable
from comms.clock import Clock
from comms.errors import CommsError, Refused, Unknown, Unreachable
from comms.host import Host
from comms.xmpp import Client, Jid, Message, Outbox, stanzas
from comms.xmpp.rooms import Room, Said

if TYPE_CHECKING:
    from comms.settings import Server
    from comms.state import State

AGAIN = 60.0  # seconds until a room is asked again that has refused us, or thrown us out
ENTER = 10.0  # seconds that a room may take to let us in


class Jabber(Network):
    """One account, and the rooms that it enters. `contacts` may see its presence.

    With `confirms`, the server keeps each message until the caller of `heard` has handled it and
    asks for more. If the program is killed before that, the server delivers it again, or returns it
    as an error.
    """

    name = "jabber"

    def __init__(
        self,
        server: Server,
        clock: Clock,
        host: Host,
        state: State | None = None,
        *,
        contacts: Collection[str] = (),
        rooms: Collection[str] = (),
        nick: str = "",
        confirms: bool = False,
    ) -> None:
        super().__init__()
        self.client: Client | None = None
        self._server, self._clock, self._host, self._contacts = server, clock, host, contacts
        self._confirms = confirms
        self._nick = nick or server.jid.partition("@")[0] or "bot"
        self._rooms: dict[str, Room | None] = dict.fromkeys(rooms)
        self._due: dict[str, float] = {}  # room → when it is asked again
        self._returned: set[tuple[str, Jid | None]] = set()  # what `returned` has returned
        self._asked: set[Jid] = set()  # who was asked whether we may see their presence
        # XMPP has an outbox of its own, which learns what has come back.
        self._outbox = Outbox(state) if state is not None else None

    def connect(self) -> None:
        self.client = Client(
            self._server,
            self._clock,
            self._host,
            accept_subscriptions=self._contacts or False,
            delayed=True,
            confirms=self._confirms,
        )

    def close(self) -> None:
        if self.client is not None:
            self.client.disconnect()
            self.client = None

    def heard(self) -> Iterator[Heard]:
        client = self._required()
        for message in client.received_messages():
            if message.sender is not None:
                yield self._from_account(message.sender, message)
        for address in self._rooms:
            room = self._entered(client, address)
            for said in room.received_messages() if room is not None else ():
                yield self._from_room(address, said)
        client.confirm()

    def _required(self) -> Client:
        if self.client is None:
            raise Unreachable("not on XMPP: connect() comes first")
        return self.client

    def _from_account(self, sender: Jid, message: Message) -> Heard:
        to = {"to": str(sender), "kind": message.kind, "thread": message.thread}
        return Heard(
            self,
            str(sender.bare),
            str(sender.bare),
            message.text,
            to,
            keys=message.keys,
            replaces=message.replaces,
            delayed=message.delayed,
            unreadable=message.unreadable,
        )

    def _from_room(self, address: str, said: Said) -> Heard:
        who = str(said.author.jid.bare) if said.author.jid is not None else ""
        to = {"to": address, "kind": "groupchat", "thread": ""}
        return Heard(self, who, said.nick, said.text, to, room=address)

    def _entered(self, client: Client, address: str) -> Room | None:
        """Returns the room; enters it if we are not inside, and it is time to try."""
        room, now = self._rooms[address], self._clock.monotonic()
        if room is not None and room.joined:
            return room
        if client.connected and now >= self._due.get(address, 0.0):
            self._due[address] = now + AGAIN
            try:
                self._rooms[address] = self._enter(client, address)
            except (CommsError, ValueError) as error:
                self._host.log("room-not-entered", "warning", room=address, trouble=error)
        return room

    def _enter(self, client: Client, address: str) -> Room:
        for nick in (self._nick, f"{self._nick}_"):
            try:
                return client.join(address, nick, wait=ENTER)
            except Refused as error:
                if "conflict" not in str(error):
                    raise
        return client.join(address, f"{self._nick}_{self._host.token(4)}", wait=ENTER)

    def say(self, to: Mapping[str, Any], text: str) -> str:
        kind, address = str(to.get("kind", "chat")), Jid.parse(str(to["to"]))
        text, thread = stanzas.fitting(address, printable(text), kind, str(to.get("thread", "")))
        element = stanzas.message(address, text, kind, thread)
        self._required().send(element)
        return element.get("id", "")

    def returned(self) -> Iterator[tuple[str, str, CommsError]]:
        """Returns what came back with what was heard last; an outbox takes its own out of it."""
        known, returned = self._returned, self._required().returned
        self._returned = {(id, message.sender) for id, message in returned.items()}
        for id, message in list(returned.items()):
            if (id, message.sender) not in known:
                kind = Unknown if message.error == "unacknowledged" else Refused
                sender = str(message.sender.bare) if message.sender is not None else ""
                yield id, sender, kind(message.error)

    def present(self, who: str) -> bool:
        client, address = self._required(), Jid.parse(who).bare
        if client.connected and address not in self._asked and not client.subscribed_to(address):
            self._asked.add(address)
            client.request_subscription(address)
        found = client.roster.presence(address)
        # RFC 6121 §8.5.2.1.1: to a negative priority, servers deliver nothing that names none.
        return found.show != "unavailable" and found.priority >= 0

    def normalize(self, who: str) -> str:
        return str(Jid.parse(who).bare)

    def own_name(self, room: str) -> str:
        found = self._rooms.get(room)
        return found.nick if found is not None else self._nick

    def put(
        self, to: Mapping[str, Any], text: str, now: float, db: sqlite3.Connection | None = None
    ) -> None:
        assert self._outbox is not None, "a network without a state has no outbox"
        kind, thread = str(to.get("kind", "chat")), str(to.get("thread", ""))
        self._outbox.put(str(to["to"]), text, now, kind, thread, answer=True, db=db)

    def flush(self, now: float) -> list[network.Result]:
        if self._outbox is None or self.client is None:
            return []
        results = self._outbox.flush(self.client, self._clock)
        return [network.Result(one.address, one.status, one.error) for one in results]

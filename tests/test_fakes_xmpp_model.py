"""Rosters, subscriptions, presence and stored messages against a simple model.

There are three accounts with two resources each. The model does not use the table of RFC 6121
Appendix A: it keeps who sees whom, who has asked whom, and who is available. Each client keeps what
it receives, as a real one would. After every action, that must agree with the model.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes.xmpp.jabber import Actor
from fakes.xmpp.markup import ROSTER
from fakes.xmpp.stanzas import Stanza
from tests.thorough import fewer
from tests.xmpp_raw import world

NAMES = ("alice", "bob", "carol")
RESOURCES = ("home", "phone")
names, resources = st.sampled_from(NAMES), st.sampled_from(RESOURCES)
priorities = st.integers(-1, 2)
pairs = st.permutations(NAMES).map(lambda order: (order[0], order[1]))


def address(name: str) -> str:
    return f"{name}@example.test"


class Client:
    """What a client knows from the stanzas that it has received."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        # contact → subscription, whether asked, whether approved, name
        self.roster: dict[str, tuple[str, bool, bool, str]] = {}
        self.available: set[str] = set()  # full addresses
        self.messages: list[str] = []
        self._read = 0

    def listen(self) -> None:
        """Reads the stanzas that have arrived since the last call."""
        for stanza in self.actor.all[self._read :]:
            if stanza.kind == "iq":
                self._read_roster(stanza)
            elif stanza.kind == "message":
                self.messages.append(stanza.body)
            elif stanza.type is None:
                self.available.add(stanza.sender or "")
            elif stanza.type == "unavailable":
                # From a full address one resource is gone, from a bare one all are.
                gone = stanza.sender or ""
                self.available = {
                    there
                    for there in self.available
                    if there != gone and there.partition("/")[0] != gone
                }
        self._read = len(self.actor.all)

    def _read_roster(self, stanza: Stanza) -> None:
        query = stanza.child("query", ROSTER)
        if query is None:
            return
        if stanza.type == "result":
            self.roster.clear()
        for item in query:
            contact = item.get("jid", "").partition("@")[0]
            if item.get("subscription") == "remove":
                del self.roster[contact]
            else:
                self.roster[contact] = (
                    item.get("subscription", ""),
                    item.get("ask") == "subscribe",
                    item.get("approved") == "true",
                    item.get("name", ""),
                )

    def forget(self) -> None:
        self.__init__(self.actor)  # type: ignore[misc]
        self._read = len(self.actor.all)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = world(person=[{"address": address(name)} for name in NAMES])
        self.clients = {
            (name, resource): Client(self.world.jabber.actor(address(name), resource))
            for name in NAMES
            for resource in RESOURCES
        }
        self.sees: set[tuple[str, str]] = set()  # the first sees the second
        self.asked: set[tuple[str, str]] = set()  # the first has asked the second, and waits
        self.approved: set[tuple[str, str]] = set()  # the first approves the second in advance
        self.items: dict[tuple[str, str], str] = {}  # in the first's roster the second has a name
        self.available: dict[tuple[str, str], int] = {}  # with this priority
        self.connected: set[tuple[str, str]] = set()
        self.stored: dict[str, list[str]] = defaultdict(list)
        self.received: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.numbers = count(1)

    def _any_session(self, name: str) -> Actor:
        """A session of this account; sending from it does not make it available."""
        connected = (key for key in sorted(self.connected) if key[0] == name)
        key = next(connected, (name, "home"))
        self._connect(key)
        return self.clients[key].actor

    def _connect(self, key: tuple[str, str]) -> None:
        if key not in self.connected:
            self.connected.add(key)
            query = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
            self.clients[key].actor.sends(query)

    # ── presence ─────────────────────────────────────────────────────────────

    @rule(name=names, resource=resources, priority=priorities)
    def become_available(self, name: str, resource: str, priority: int) -> None:
        key = (name, resource)
        self._connect(key)
        self.clients[key].actor.comes(priority=priority)
        self.available[key] = priority
        if priority >= 0:
            self.received[key] += self.stored.pop(name, [])

    @rule(name=names, resource=resources)
    def become_unavailable(self, name: str, resource: str) -> None:
        key = (name, resource)
        if key in self.connected:
            self.clients[key].actor.sends("<presence type='unavailable'/>")
            self.available.pop(key, None)
            self.clients[key].listen()
            self.clients[key].available.clear()

    @rule(name=names, resource=resources, politely=st.booleans())
    def disconnect(self, name: str, resource: str, politely: bool) -> None:
        key = (name, resource)
        if key in self.connected:
            if politely:
                self.clients[key].actor.goes()
            else:
                self.world.jabber.conflict(f"{address(name)}/{resource}")
            self.connected.discard(key)
            self.available.pop(key, None)
            self.clients[key].forget()
            self.received.pop(key, None)

    # ── subscriptions ────────────────────────────────────────────────────────

    @rule(pair=pairs)
    def ask(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._send_presence(me, other, "subscribe")
        if pair not in self.sees:
            self.items.setdefault(pair, "")
            if (other, me) in self.approved:
                self.sees.add(pair)
                self.asked.discard(pair)
            else:
                self.asked.add(pair)

    @rule(pair=pairs)
    def accept(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._send_presence(me, other, "subscribed")
        if (other, me) in self.sees:
            return
        self.items.setdefault(pair, "")
        if (other, me) in self.asked:
            self.asked.discard((other, me))
            self.sees.add((other, me))
        else:
            self.approved.add(pair)

    @rule(pair=pairs)
    def refuse(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._send_presence(me, other, "unsubscribed")
        self.asked.discard((other, me))
        self.sees.discard((other, me))
        self.approved.discard(pair)

    @rule(pair=pairs)
    def unsubscribe(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._send_presence(me, other, "unsubscribe")
        self.asked.discard(pair)
        self.sees.discard(pair)

    def _send_presence(self, me: str, other: str, type: str) -> None:
        self._any_session(me).sends(f"<presence to='{address(other)}' type='{type}'/>")

    # ── rosters ──────────────────────────────────────────────────────────────

    @rule(pair=pairs, name=st.sampled_from(["", "A", "B"]))
    def name_a_contact(self, pair: tuple[str, str], name: str) -> None:
        item = f"<item jid='{address(pair[1])}' name='{name}' subscription='both'/>"
        self._set_item(pair[0], item)
        self.items[pair] = name

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def remove_a_contact(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(sorted(self.items)))
        self._set_item(pair[0], f"<item jid='{address(pair[1])}' subscription='remove'/>")
        del self.items[pair]
        for direction in (pair, pair[::-1]):
            self.sees.discard(direction)
            self.asked.discard(direction)
        self.approved.discard(pair)

    def _set_item(self, name: str, item: str) -> None:
        query = f"<query xmlns='jabber:iq:roster'>{item}</query>"
        self._any_session(name).sends(f"<iq type='set' id='s'>{query}</iq>")

    # ── messages ─────────────────────────────────────────────────────────────

    @rule(pair=pairs)
    def send_a_message(self, pair: tuple[str, str]) -> None:
        me, other = pair
        text = f"m{next(self.numbers)}"
        message = f"<message to='{address(other)}' type='chat'><body>{text}</body></message>"
        self._any_session(me).sends(message)
        wanting = {
            key: priority
            for key, priority in self.available.items()
            if key[0] == other and priority >= 0
        }
        if not wanting:
            self.stored[other].append(text)
        for key, priority in wanting.items():
            if priority == max(wanting.values()):
                self.received[key].append(text)

    # ── what must hold ───────────────────────────────────────────────────────

    @invariant()
    def every_client_agrees_with_the_model(self) -> None:
        for (name, resource), client in self.clients.items():
            client.listen()
            if (name, resource) not in self.connected:
                continue
            assert client.messages == self.received[name, resource]
            contacts = [other for me, other in self.items if me == name]
            assert client.roster == {other: self._item(name, other) for other in contacts}
            if (name, resource) in self.available:
                visible = {
                    f"{address(other)}/{where}"
                    for other, where in self.available
                    if other == name or (name, other) in self.sees
                }
                assert client.available == visible

    def _item(self, me: str, other: str) -> tuple[str, bool, bool, str]:
        """What the model expects in a roster."""
        to, by = (me, other) in self.sees, (other, me) in self.sees
        subscription = "both" if to and by else "to" if to else "from" if by else "none"
        asked, approved = (me, other) in self.asked, (me, other) in self.approved
        return subscription, asked, approved, self.items[me, other]

    @invariant()
    def the_server_agrees_with_the_model(self) -> None:
        for name in NAMES:
            roster = self.world.jabber.roster(address(name))
            asking = {contact.partition("@")[0] for contact, item in roster.items() if item.asking}
            assert asking == {other for other, me in self.asked if me == name}
            stored = self.world.jabber.offline(address(name))
            assert [stanza.body for stanza in stored] == self.stored[name]


Model.TestCase.settings = fewer(steps=30)
TestModel = Model.TestCase

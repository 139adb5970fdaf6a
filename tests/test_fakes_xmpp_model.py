"""Rosters, subscriptions, presence and waiting messages of three accounts with two resources each, against a plain model.

The model knows nothing of the table of RFC 6121 Appendix A: who sees whom, who has asked whom, and who is there. Each
client keeps what it was told, as a client would; whatever was done, that must be what the model says.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes.xmpp.jabber import Actor
from fakes.xmpp.markup import ROSTER
from fakes.xmpp.stanzas import Stanza
from tests.xmpp_raw import world

NAMES = ("alice", "bob", "carol")
RESOURCES = ("home", "phone")
names, resources, priorities = st.sampled_from(NAMES), st.sampled_from(RESOURCES), st.integers(-1, 2)
pairs = st.permutations(NAMES).map(lambda order: (order[0], order[1]))


def address(name: str) -> str:
    return f"{name}@example.test"


class Client:
    """What a client knows, from what it was told."""

    def __init__(self, person: Actor) -> None:
        self.person = person
        self.roster: dict[str, tuple[str, bool, bool, str]] = {}
        self.there: set[str] = set()
        self.messages: list[str] = []
        self._read = 0

    def listen(self) -> None:
        for stanza in self.person.all[self._read :]:
            if stanza.kind == "iq":
                self._roster(stanza)
            elif stanza.kind == "message":
                self.messages.append(stanza.body)
            elif stanza.type is None:
                self.there.add(stanza.sender or "")
            elif stanza.type == "unavailable":
                gone = stanza.sender or ""
                self.there = {one for one in self.there if one != gone and one.partition("/")[0] != gone}
        self._read = len(self.person.all)

    def _roster(self, stanza: Stanza) -> None:
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
                    item.get("subscription", ""), item.get("ask") == "subscribe", item.get("approved") == "true",
                    item.get("name", ""),
                )  # fmt: skip

    def forget(self) -> None:
        self.__init__(self.person)  # type: ignore[misc]
        self._read = len(self.person.all)


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
        self.approved: set[tuple[str, str]] = set()  # the first has approved the second beforehand
        self.items: dict[tuple[str, str], str] = {}  # the first has the second in his roster, by this name
        self.there: dict[tuple[str, str], int] = {}  # available, with this priority
        self.connected: set[tuple[str, str]] = set()
        self.waiting: dict[str, list[str]] = defaultdict(list)
        self.received: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.numbers = count(1)

    def _speaker(self, name: str) -> Actor:
        """Some session of this account; one that is not available shows nothing of itself by speaking."""
        key = next((key for key in sorted(self.connected) if key[0] == name), (name, "home"))
        self._connect(key)
        return self.clients[key].person

    def _connect(self, key: tuple[str, str]) -> None:
        if key not in self.connected:
            self.connected.add(key)
            self.clients[key].person.sends("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")

    # ── presence ─────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(name=names, resource=resources, priority=priorities)
    def shows(self, name: str, resource: str, priority: int) -> None:
        key = (name, resource)
        self._connect(key)
        self.clients[key].person.comes(priority=priority)
        self.there[key] = priority
        if priority >= 0:
            self.received[key] += self.waiting.pop(name, [])

    @rule(name=names, resource=resources)
    def hides(self, name: str, resource: str) -> None:
        key = (name, resource)
        if key in self.connected:
            self.clients[key].person.sends("<presence type='unavailable'/>")
            self.there.pop(key, None)
            self.clients[key].listen()
            self.clients[key].there.clear()

    @rule(name=names, resource=resources, politely=st.booleans())
    def leaves(self, name: str, resource: str, politely: bool) -> None:
        key = (name, resource)
        if key in self.connected:
            if politely:
                self.clients[key].person.goes()
            else:
                self.world.jabber.conflict(f"{address(name)}/{resource}")
            self.connected.discard(key)
            self.there.pop(key, None)
            self.clients[key].forget()
            self.received.pop(key, None)

    # ── subscriptions ────────────────────────────────────────────────────────────────────────────────────────────

    @rule(pair=pairs)
    def asks(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._say(me, other, "subscribe")
        if pair not in self.sees:
            self.items.setdefault(pair, "")
            if (other, me) in self.approved:
                self.sees.add(pair)
                self.asked.discard(pair)
            else:
                self.asked.add(pair)

    @rule(pair=pairs)
    def accepts(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._say(me, other, "subscribed")
        if (other, me) in self.sees:
            return
        self.items.setdefault(pair, "")
        if (other, me) in self.asked:
            self.asked.discard((other, me))
            self.sees.add((other, me))
        else:
            self.approved.add(pair)

    @rule(pair=pairs)
    def refuses(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._say(me, other, "unsubscribed")
        self.asked.discard((other, me))
        self.sees.discard((other, me))
        self.approved.discard(pair)

    @rule(pair=pairs)
    def drops(self, pair: tuple[str, str]) -> None:
        me, other = pair
        self._say(me, other, "unsubscribe")
        self.asked.discard(pair)
        self.sees.discard(pair)

    def _say(self, me: str, other: str, kind: str) -> None:
        self._speaker(me).sends(f"<presence to='{address(other)}' type='{kind}'/>")

    # ── rosters ──────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(pair=pairs, name=st.sampled_from(["", "A", "B"]))
    def names_a_contact(self, pair: tuple[str, str], name: str) -> None:
        self._set(pair[0], f"<item jid='{address(pair[1])}' name='{name}' subscription='both'/>")
        self.items[pair] = name

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def removes_a_contact(self, data: st.DataObject) -> None:
        pair = data.draw(st.sampled_from(sorted(self.items)))
        self._set(pair[0], f"<item jid='{address(pair[1])}' subscription='remove'/>")
        del self.items[pair]
        for one in (pair, pair[::-1]):
            self.sees.discard(one)
            self.asked.discard(one)
        self.approved.discard(pair)

    def _set(self, name: str, item: str) -> None:
        self._speaker(name).sends(f"<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>")

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(pair=pairs)
    def writes(self, pair: tuple[str, str]) -> None:
        me, other = pair
        text = f"m{next(self.numbers)}"
        speaker = self._speaker(me)
        speaker.sends(f"<message to='{address(other)}' type='chat'><body>{text}</body></message>")
        wanting = {key: priority for key, priority in self.there.items() if key[0] == other and priority >= 0}
        if not wanting:
            self.waiting[other].append(text)
        for key, priority in wanting.items():
            if priority == max(wanting.values()):
                self.received[key].append(text)

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def everybody_knows_what_the_model_says(self) -> None:
        for (name, resource), client in self.clients.items():
            client.listen()
            if (name, resource) not in self.connected:
                continue
            assert client.messages == self.received[name, resource]
            assert client.roster == {other: self._item(name, other) for me, other in self.items if me == name}
            if (name, resource) in self.there:
                seen = {key for key in self.there if key[0] == name or (name, key[0]) in self.sees}
                assert client.there == {f"{address(one)}/{where}" for one, where in seen}

    def _item(self, me: str, other: str) -> tuple[str, bool, bool, str]:
        to, by = (me, other) in self.sees, (other, me) in self.sees
        subscription = "both" if to and by else "to" if to else "from" if by else "none"
        return subscription, (me, other) in self.asked, (me, other) in self.approved, self.items[me, other]

    @invariant()
    def the_server_knows_what_the_model_says(self) -> None:
        for name in NAMES:
            roster = self.world.jabber.roster(address(name))
            asking = {contact.partition("@")[0] for contact, item in roster.items() if item.asking}
            assert asking == {other for other, me in self.asked if me == name}
            assert [stanza.body for stanza in self.world.jabber.offline(address(name))] == self.waiting[name]


Model.TestCase.settings = settings(stateful_step_count=30)
TestModel = Model.TestCase

"""What clients want to be notified of: the `NODE+notify` of their capabilities.

A presence carries a hash of what its client can do (XEP-0115). The first time that this matters,
the client is asked for what the hash stands for; the answer holds for every client with the same
hash if it agrees with it (§5.4), and otherwise only for the one that was asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from fakes.xmpp.addresses import jid
from fakes.xmpp.extensions.caps import CAPS, verification
from fakes.xmpp.extensions.disco import INFO
from fakes.xmpp.markup import element
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza, build_stanza

KNOWN = 1000  # hashes whose features are remembered; the one used longest ago is forgotten first
QUESTIONS = 1000  # clients that have not answered yet
WAITING = 100  # events that wait for the answer of one client
_NOTIFY = "+notify"

Nodes: TypeAlias = frozenset[str]
Act: TypeAlias = Callable[[Nodes], None]


class Capabilities(NamedTuple):
    """The `<c/>` of a presence; `hash` is "" in its old form (XEP-0115 §8)."""

    node: str
    ver: str
    hash: str

    @classmethod
    def of(cls, presence: Stanza | None) -> Capabilities | None:
        """Reads them from a presence; None if there are none."""
        found = presence.child("c", CAPS) if presence is not None else None
        if found is None or not found.get("ver"):
            return None
        return cls(found.get("node", ""), found.get("ver", ""), found.get("hash", ""))


class _Question(NamedTuple):
    id: str  # of the iq
    address: str  # full, of the client that is asked
    capabilities: Capabilities
    acts: list[Act]


class Interests:
    """What is known of the clients of all accounts and their contacts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        # By hash and value, or by address and value if it did not agree.
        self._known: OrderedDict[tuple[str, str], Nodes] = OrderedDict()
        self._questions: OrderedDict[str, _Question] = OrderedDict()  # by the id of the iq
        self._asked: dict[tuple[str, Capabilities], _Question] = {}

    def known(self, address: str, of: Capabilities) -> Nodes:
        """The nodes that a client wants, as far as that is known."""
        return self._known.get((of.hash, of.ver), self._known.get((address, of.ver), frozenset()))

    def when_known(self, asks: str, address: str, of: Capabilities, act: Act) -> None:
        """Calls `act` with the nodes that a client wants, at once or when it has answered.

        `asks` is the bare address of the account in whose name it is asked.
        """
        for key in ((of.hash, of.ver), (address, of.ver)):
            if key in self._known:
                self._known.move_to_end(key)
                act(self._known[key])
                return
        asked = self._asked.get((address, of))
        if asked is not None:
            if len(asked.acts) < WAITING:
                asked.acts.append(act)
            return
        id = "caps-" + self._service.runtime.token(12)
        asked = self._questions[id] = self._asked[address, of] = _Question(id, address, of, [act])
        if len(self._questions) > QUESTIONS:
            self._forget(next(iter(self._questions)))
        query = element(f"{{{INFO}}}query", {"node": f"{of.node}#{of.ver}"})
        self._service.router.route(
            build_stanza("iq", type="get", sender=asks, to=address, id=id, children=[query])
        )

    def answered(self, stanza: Stanza) -> None:
        """Takes the result or error of an IQ, if it answers a question of this."""
        question = self._questions.get(stanza.id or "")
        if question is None or jid(stanza.sender or "").text != question.address:
            return
        self._forget(question.id)
        of, query = question.capabilities, stanza.child("query", INFO)
        found = list(query) if stanza.type == "result" and query is not None else []
        features = [one.get("var", "") for one in found if one.tag == f"{{{INFO}}}feature"]
        nodes = frozenset(name.removesuffix(_NOTIFY) for name in features if name.endswith(_NOTIFY))
        agrees = bool(of.hash) and verification(found, of.hash) == of.ver
        self._known[(of.hash if agrees else question.address, of.ver)] = nodes
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        acts = question.acts
        if agrees:
            # It holds for others who were asked the same, too.
            same = [id for id, one in self._questions.items() if one.capabilities[1:] == of[1:]]
            acts = [*acts, *(act for id in same for act in self._forget(id))]
        for act in acts:
            act(nodes)

    def _forget(self, id: str) -> list[Act]:
        """Removes a question; returns what has waited for its answer."""
        question = self._questions.pop(id)
        del self._asked[question.address, question.capabilities]
        return question.acts

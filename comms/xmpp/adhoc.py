"""Ad-hoc commands (XEP-0050): what a program offers to any Jabber client, as forms.

    adhoc = AdHoc(jabber, clock, host)
    adhoc.offer(Offer("mysql", "MySQL", fields, run), allowed)

    def run(who, values, id):                  # when a form was submitted
        return True, "MySQL told to restart."

A form can be submitted once, by the device that it was shown to, within `LIFETIME`. `id` is the id
of this execution, by which a program can know an order again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from comms.clock import Clock
from comms.host import Host
from comms.xmpp import about, stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.client import Client
from comms.xmpp.forms import DATA, Field, form, submitted
from comms.xmpp.stanzas import STANZA_ERRORS

COMMANDS = "http://jabber.org/protocol/commands"
COMMAND = f"{{{COMMANDS}}}command"
ACTIONS = ("execute", "next", "prev", "complete", "cancel")
LIFETIME = 600.0  # seconds that a form waits to be submitted
OPEN = 100  # forms that wait

Run = Callable[[Jid, dict[str, str], str], tuple[bool, str]]


@dataclass(frozen=True)
class Offer:
    """A command: without `fields` it runs at once. `run` returns whether it was done, and a text.

    `allowed` says who may know of it, and use it.
    """

    node: str
    title: str
    run: Run
    allowed: Callable[[Jid], bool]
    fields: Sequence[Field] = ()
    instructions: str = ""


class AdHoc:
    """The commands of one client."""

    def __init__(self, jabber: Client, clock: Clock, host: Host) -> None:
        self._clock, self._host, self._jabber = clock, host, jabber
        self._offers: dict[str, Offer] = {}
        # The forms that wait: id → who got it, of which command, and until when it may be used.
        self._open: dict[str, tuple[Jid, str, float]] = {}
        jabber.on_query(COMMANDS, self._answer)
        jabber.on_node(self._describe)

    def offer(self, offer: Offer) -> None:
        """Adds a command."""
        self._offers[offer.node] = offer

    # ── what there is (XEP-0050 §2.1, §2.2) ──────────────────────────────────

    def _describe(self, query: Element) -> Element | None:
        """Answers disco at the nodes of commands; None at all others."""
        asked = query[0]
        node, who = asked.get("node"), self._sender(query)
        found = Element(asked.tag, {"node": node or ""})
        mine = [offer for offer in self._offers.values() if offer.allowed(who)]
        if asked.tag == f"{{{about.ITEMS}}}query" and node == COMMANDS:
            for offer in mine:
                item = {"jid": query.get("to", ""), "node": offer.node, "name": offer.title}
                SubElement(found, f"{{{about.ITEMS}}}item", item)
            return found
        titles = {offer.node: offer.title for offer in mine} | {COMMANDS: "Commands"}
        if asked.tag != f"{{{about.INFO}}}query" or node not in titles:
            return None
        kind = "command-list" if node == COMMANDS else "command-node"
        identity = {"category": "automation", "type": kind, "name": titles[node]}
        SubElement(found, f"{{{about.INFO}}}identity", identity)
        for feature in (COMMANDS, DATA):
            SubElement(found, f"{{{about.INFO}}}feature", {"var": feature})
        return found

    def _sender(self, query: Element) -> Jid:
        """Returns who asks; a query without a sender is from our own account."""
        return Jid.parse(query.get("from") or str(self._jabber.jid))

    # ── running a command (XEP-0050 §2.4) ────────────────────────────────────

    def _answer(self, query: Element) -> Element:
        asked, who = query[0], self._sender(query)
        node, action = asked.get("node", ""), asked.get("action", "execute")
        offer, id = self._offers.get(node), asked.get("sessionid")
        if query.get("type") != "set" or asked.tag != COMMAND:
            return stanzas.error(query, "bad-request", "modify")
        if offer is None or not offer.allowed(who):
            # To others it does not look different from a command that does not exist.
            self._host.log("command-refused", "warning", who=str(who), what=node[:100])
            return stanzas.error(query, "item-not-found")
        if action not in ACTIONS:
            return _error(query, "malformed-action")
        if id is None:
            return self._begin(query, offer, who, action)
        owner, of, until = self._open.get(id, (None, "", 0.0))
        if (owner, of) != (who, node):
            return _error(query, "bad-sessionid")
        if self._clock.time() > until:
            del self._open[id]
            return _error(query, "session-expired", "not-allowed", "cancel")
        if action == "cancel":
            del self._open[id]
            return stanzas.result(query, _command(node, id, "canceled"))
        if action == "prev":
            return _error(query, "bad-action")
        try:
            values = submitted(asked, offer.fields)
        except ValueError as error:
            return _error(query, "bad-payload", text=str(error))
        del self._open[id]  # first, so that the same form never runs twice
        return self._run(query, offer, who, values, id)

    def _begin(self, query: Element, offer: Offer, who: Jid, action: str) -> Element:
        if action in ("prev", "cancel"):
            return _error(query, "bad-action")
        id = self._host.token(16)
        if not offer.fields:
            return self._run(query, offer, who, {}, id)
        if len(self._open) >= OPEN:
            del self._open[next(iter(self._open))]  # the oldest is abandoned
        self._open[id] = (who, offer.node, self._clock.time() + LIFETIME)
        command = _command(offer.node, id, "executing")
        actions = SubElement(command, f"{{{COMMANDS}}}actions", {"execute": "complete"})
        SubElement(actions, f"{{{COMMANDS}}}complete")
        command.append(form(offer.title, offer.instructions, offer.fields))
        return stanzas.result(query, command)

    def _run(
        self, query: Element, offer: Offer, who: Jid, values: dict[str, str], id: str
    ) -> Element:
        done, text = offer.run(who, values, id)
        command = _command(offer.node, id, "completed")
        note = SubElement(command, f"{{{COMMANDS}}}note", {"type": "info" if done else "error"})
        note.text = text
        return stanzas.result(query, command)


def _command(node: str, id: str, status: str) -> Element:
    return Element(COMMAND, {"node": node, "sessionid": id, "status": status})


def _error(
    query: Element,
    exact: str,
    condition: str = "bad-request",
    kind: str = "modify",
    text: str = "",
) -> Element:
    """Returns an error with the more exact condition of XEP-0050 §4.4."""
    answer = stanzas.error(query, condition, kind)
    if text:
        SubElement(answer[0], f"{{{STANZA_ERRORS}}}text").text = text
    SubElement(answer[0], f"{{{COMMANDS}}}{exact}")
    return answer

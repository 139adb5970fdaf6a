"""What the client answers about itself: features (XEP-0030), version (XEP-0092), time (XEP-0202).

A program that wants other answers registers its own (`Client.on_query`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement

from comms.xmpp.stanzas import PING, RECEIPTS

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
VERSION = "jabber:iq:version"
TIME = "urn:xmpp:time"

NAME = "comms"
NUMBER = "0.2"  # of this software

# Namespace → what answers a query of type get: the content of the result, None for no content.
Answers = dict[str, Callable[[Element], Element | None]]


def answers(now: Callable[[], float], extra: Callable[[], Iterable[str]]) -> Answers:
    """Returns the answers. `extra` are the namespaces that the program itself answers.

    An answer raises LookupError about something that does not exist.
    """

    def info(query: Element) -> Element:
        _no_node(query)
        found = Element(f"{{{INFO}}}query")
        kind = {"category": "client", "type": "bot", "name": NAME}
        SubElement(found, f"{{{INFO}}}identity", kind)
        for feature in sorted({INFO, ITEMS, VERSION, TIME, PING, RECEIPTS, *extra()}):
            SubElement(found, f"{{{INFO}}}feature", {"var": feature})
        return found

    def items(query: Element) -> Element:
        _no_node(query)
        return Element(f"{{{ITEMS}}}query")

    def version(query: Element) -> Element:
        found = Element(f"{{{VERSION}}}query")
        # XEP-0092 §5: the operating system is nobody's business.
        for name, text in (("name", NAME), ("version", NUMBER)):
            SubElement(found, f"{{{VERSION}}}{name}").text = text
        return found

    def time(query: Element) -> Element:
        found = Element(f"{{{TIME}}}time")
        # The time zone would say where we are.
        SubElement(found, f"{{{TIME}}}tzo").text = "+00:00"
        moment = datetime.fromtimestamp(now(), UTC)
        SubElement(found, f"{{{TIME}}}utc").text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return found

    return {INFO: info, ITEMS: items, VERSION: version, TIME: time, PING: lambda query: None}


def _no_node(query: Element) -> None:
    """XEP-0030 §3.2: only the client as a whole can be asked about. Raises LookupError."""
    if query.get("node"):
        raise LookupError("no such node")

"""Messages stored for users who are away (XEP-0160), and their delay stamp (XEP-0203).

A sender may give hints about storing (XEP-0334).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import parse_or_none
from fakes.xmpp.markup import DELAY, element, namespace
from fakes.xmpp.policy import Environment
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, with_child, without_children

STAMP = f"{{{DELAY}}}delay"
CHAT_STATES = "http://jabber.org/protocol/chatstates"
HINTS = "{urn:xmpp:hints}"


def timestamp(at: float) -> str:
    """Formats a time as XEP-0082 says, in UTC and whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def delay(sender: str, at: float) -> Element:
    """Builds the `<delay/>` element: who stored the stanza, and since when (XEP-0203 §2)."""
    return element(STAMP, {"from": sender, "stamp": timestamp(at)})


def with_delay(stanza: Stanza, domain: str, at: float) -> Stanza:
    """Returns a message with a stamp of the domain, unless it has one already.

    XEP-0203 §2: the stamp says when the message was sent originally, so that the first one counts.
    """
    if any(_is_stamp_of(domain, child) for child in _stamps(stanza)):
        return stanza
    return with_child(stanza, delay(domain, at))


def without_delay(stanza: Stanza, domain: str) -> Stanza:
    """Returns a message without the stamps that claim to be those of the domain, or of a room.

    XEP-0203 §5: they are forged if that has not delayed it yet.
    """
    if STAMP not in stanza.child_names:
        return stanza
    if not any(_is_stamp_of(domain, child) for child in stanza.element):
        return stanza
    return without_children(stanza, lambda child: _is_stamp_of(domain, child))


def _stamps(stanza: Stanza) -> Iterable[Element]:
    return stanza.element if STAMP in stanza.child_names else ()


def _is_stamp_of(domain: str, child: Element) -> bool:
    sender = parse_or_none(child.get("from", "")) if child.tag == STAMP else None
    return sender is not None and sender.text == domain


class Offline:
    """Stores messages for the accounts of one service, and delivers them later."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def store(self, account: Account, stanza: Stanza) -> None:
        """Stores a message.

        Raises StanzaError if the queue is full, or if nothing is stored here (XEP-0160 §2, §3).
        """
        if not self._environment.offers("offline"):
            raise StanzaError("service-unavailable")
        if not may_be_kept(stanza):
            return
        if stanza.child_names and all(map(_is_transient, stanza.child_names)):
            return
        if len(account.offline) >= self._environment.policy.offline:
            text = "there are too many messages waiting for this account"
            raise StanzaError("service-unavailable", text)
        now = self._environment.runtime.now()
        account.offline.append(with_delay(stanza, account.jid.domain, now))

    def deliver(self, resource: Resource) -> None:
        """Delivers the stored messages to a resource, oldest first."""
        account = resource.account
        waiting, account.offline = account.offline, []
        for stanza in waiting:
            resource.deliver(stanza)


def may_be_kept(stanza: Stanza) -> bool:
    """Whether the sender of a message lets it be stored for later (XEP-0334 §4.2, §5)."""
    return stanza.type == "error" or f"{HINTS}no-store" not in stanza.child_names


def _is_transient(name: str) -> bool:
    """Whether a child of a message is of no use later: who is typing now, and in which thread."""
    return namespace(name) == CHAT_STATES or name.endswith("}thread")

"""Messages kept for somebody who is not there (XEP-0160), and the stamp that says so (XEP-0203)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import DELAY, element, namespace
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, with_child

if TYPE_CHECKING:
    from fakes.xmpp.service import Service

CHAT_STATES = "http://jabber.org/protocol/chatstates"


def stamp(at: float) -> str:
    """A time as XEP-0082 writes it, in UTC and whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def delay(sender: str, at: float) -> Element:
    """XEP-0203 §2: who kept it, and since when."""
    return element(f"{{{DELAY}}}delay", {"from": sender, "stamp": stamp(at)})


class Offline:
    """The queues of all accounts of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def keep(self, account: Account, stanza: Stanza) -> None:
        """Keeps a message. Raises StanzaError when the queue is full, or nothing is kept here (XEP-0160 §2, §3)."""
        if not self._service.offers("offline"):
            raise StanzaError("service-unavailable")
        if stanza.children and all(namespace(name) == CHAT_STATES or name.endswith("}thread") for name in stanza.children):
            return  # who is typing is of no use to anybody later
        if len(account.offline) >= self._service.policy.offline:
            raise StanzaError("service-unavailable", "there are too many messages waiting for this account")
        account.offline.append(with_child(stanza, delay(account.jid.domain, self._service.runtime.now())))

    def hand_over(self, resource: Resource) -> None:
        """Hands the queue to the first resource that wants messages, oldest first."""
        account = resource.account
        waiting, account.offline = account.offline, []
        for stanza in waiting:
            resource.deliver(stanza)

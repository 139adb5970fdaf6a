"""Messages stored for users who are away (XEP-0160), and their delay stamp (XEP-0203)."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import DELAY, element, namespace
from fakes.xmpp.policy import Environment
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, with_child

CHAT_STATES = "http://jabber.org/protocol/chatstates"


def timestamp(at: float) -> str:
    """Formats a time as XEP-0082 says, in UTC and whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def delay(sender: str, at: float) -> Element:
    """Builds the `<delay/>` element: who stored the stanza, and since when (XEP-0203 §2)."""
    return element(f"{{{DELAY}}}delay", {"from": sender, "stamp": timestamp(at)})


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
        if stanza.child_names and all(map(_is_transient, stanza.child_names)):
            return
        if len(account.offline) >= self._environment.policy.offline:
            text = "there are too many messages waiting for this account"
            raise StanzaError("service-unavailable", text)
        stamp = delay(account.jid.domain, self._environment.runtime.now())
        account.offline.append(with_child(stanza, stamp))

    def deliver(self, resource: Resource) -> None:
        """Delivers the stored messages to a resource, oldest first."""
        account = resource.account
        waiting, account.offline = account.offline, []
        for stanza in waiting:
            resource.deliver(stanza)


def _is_transient(name: str) -> bool:
    """Whether a child of a message is of no use later: who is typing now, and in which thread."""
    return namespace(name) == CHAT_STATES or name.endswith("}thread")

"""Where stanzas go: what a client says is stamped and sent on its way; what is for an address here is dealt with.

Stanzas queue: one that answers another waits until that other has had all its effects, so that order is kept from any
one sender to any one recipient (RFC 6120 §10.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.markup import ROSTER
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError
from fakes.xmpp.subscriptions import SEEN

if TYPE_CHECKING:
    from fakes.xmpp.service import Service

IQ_TYPES = ("get", "set", "result", "error")


class Router:
    """The stanzas of one service, on their way."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: deque[tuple[Stanza, Resource | None]] = deque()
        self._busy = False

    # ── from a client ────────────────────────────────────────────────────────────────────────────────────────────

    def said(self, resource: Resource, stanza: Stanza) -> None:
        """A client says a stanza: its sender is stamped (RFC 6120 §8.1.2.1), and what is wrong is answered."""
        stanza = stanza.but(sender=resource.jid.text, lang=stanza.lang or resource.lang or None)
        self._service.told(stanza)
        self.turn(lambda: self._said(resource, stanza))

    def _said(self, resource: Resource, stanza: Stanza) -> None:
        to: Jid | None = None
        try:
            if stanza.to is not None:
                to = _address(stanza.to)
            elif stanza.kind == "message":
                to, stanza = resource.account.jid, stanza.but(to=resource.account.address)  # RFC 6120 §10.3.1
            if stanza.kind == "iq":
                self._check_iq(resource, stanza)
            self._service.leaves(resource, stanza, to)
            if stanza.kind == "presence":
                self._service.presence.said(resource, stanza, to)
            elif to is None:
                self._to_account(resource.account, resource.account.jid, stanza)
            else:
                self.route(stanza)
        except StanzaError as error:
            if stanza.type != "error" and (stanza.kind != "iq" or stanza.type != "result"):
                answer = stanza.error(error)
                if to is None and stanza.to is not None:  # RFC 6120 §8.3.1 (2): nobody is told a malformed address
                    answer = answer.but(sender=resource.jid.domain)
                resource.deliver(answer)

    def _check_iq(self, resource: Resource, stanza: Stanza) -> None:
        """RFC 6120 §8.2.3: what every IQ must have. Raises StanzaError."""
        if stanza.id is None:
            # an old client asks for the roster so, and waits for pushes: some servers refuse, and push all the same
            if stanza.payload == f"{{{ROSTER}}}query" and self._service.policy.iq_without_id == "push":
                resource.interested = True
            raise StanzaError("bad-request", "an iq has an id (RFC 6120 §8.1.3)")
        if stanza.type not in IQ_TYPES:
            raise StanzaError("bad-request", "the type of an iq is get, set, result or error (RFC 6120 §8.2.3)")
        if stanza.type in ("get", "set") and len(stanza.children) != 1:
            raise StanzaError("bad-request", "a get or set holds exactly one element (RFC 6120 §8.2.3)")

    # ── from anybody ─────────────────────────────────────────────────────────────────────────────────────────────

    def route(self, stanza: Stanza, asker: Resource | None = None) -> None:
        """Sends a stanza, complete with sender and recipient, on its way.

        `asker` is told when it cannot go, instead of the sender that the stanza names.
        """
        self._waiting.append((stanza, asker))
        if not self._busy:
            self.turn(_nothing)

    def turn(self, act: Callable[[], object]) -> None:
        """Does something; what is routed in it is delivered when the outermost turn is over."""
        if self._busy:
            act()
            return
        self._busy = True
        try:
            act()
            while self._waiting:
                self._deliver(*self._waiting.popleft())
        finally:
            self._busy = False
            self._waiting.clear()  # not empty only after an exception

    def _deliver(self, stanza: Stanza, asker: Resource | None) -> None:
        try:
            to = _address(stanza.to or "")
            if not self._service.is_here(to):
                self._service.abroad(to, stanza)
            elif not to.local:
                self._to_domain(to, stanza)
            else:
                self._to_account(self._service.account(to), to, stanza)
        except StanzaError as error:
            # RFC 6120 §8.3.1: an error is never answered, nor is a result (§8.2.3)
            if asker is not None:
                asker.deliver(stanza.error(error).but(to=asker.jid.text))
            elif stanza.type != "error" and (stanza.kind != "iq" or stanza.type != "result") and stanza.sender:
                self._waiting.append((stanza.error(error), None))

    def _to_domain(self, to: Jid, stanza: Stanza) -> None:
        """RFC 6120 §10.5.1, §10.5.2: the server itself is meant; it takes requests, and has no use for messages."""
        if stanza.kind == "iq" and stanza.type in ("get", "set"):
            self._service.answer(stanza, None, to)
        elif stanza.kind == "message" and stanza.type != "error":
            raise StanzaError("service-unavailable")

    def _to_account(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        if account is not None and not self._service.arrives(account, stanza):
            return
        if account is None and to.bare in self._service.gone and stanza.kind == "message":
            raise StanzaError("gone")  # RFC 6120 §8.3.3.5
        if stanza.kind == "message":
            self._service.delivery.arrived(account, to, stanza)
        elif stanza.kind == "presence":
            self._service.presence.arrived(account, to, stanza)
        else:
            self._iq(account, to, stanza)

    def _iq(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """RFC 6121 §8.5, the rows for IQ."""
        asks = stanza.type in ("get", "set")
        if account is None:
            if asks:
                raise StanzaError("service-unavailable")
        elif not to.resource:
            if asks:
                self._service.answer(stanza, account, to)
        else:
            target = account.resources.get(to.resource)
            hidden = asks and self._service.policy.strict_iq and not _shares(account, target, stanza)
            if target is not None and not hidden:
                target.deliver(stanza)
            elif asks:
                raise StanzaError("service-unavailable")


def _nothing() -> None:
    """A turn in which only what waits is delivered."""


def _shares(account: Account, target: Resource | None, stanza: Stanza) -> bool:
    """RFC 6121 §8.5.3.1: whether the sender may know of this resource."""
    sender = jid(stanza.sender or "")
    greeted = target is not None and (sender.text in target.directed or sender.bare in target.directed)
    return greeted or sender.bare == account.address or account.roster.state(sender.bare) in SEEN


def _address(text: str) -> Jid:
    try:
        return jid(text)
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None

"""Where each stanza goes: what clients send, and what arrives for an address of this server."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from fakes.xmpp.accounts import Accounts
from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.delivery import Delivery
from fakes.xmpp.extension import Extension
from fakes.xmpp.extension_set import Extensions
from fakes.xmpp.markup import ROSTER
from fakes.xmpp.policy import Environment
from fakes.xmpp.presence import Presence, has_directed
from fakes.xmpp.requests import Requests
from fakes.xmpp.routing import Router
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError
from fakes.xmpp.subscribing import Subscriptions
from fakes.xmpp.subscriptions import FROM, STIMULI

IQ_TYPES = ("get", "set", "result", "error")


class Dispatcher:
    """Hands each stanza to the part of the service that handles it.

    `from_client` is the way in. `deliver` is called by the router, in order, for every stanza that
    any part has routed.
    """

    def __init__(
        self,
        environment: Environment,
        accounts: Accounts,
        extensions: Extensions,
        router: Router,
        requests: Requests,
        presence: Presence,
        subscriptions: Subscriptions,
        delivery: Delivery,
    ) -> None:
        self._policy = environment.policy
        self._accounts = accounts
        self._extensions = extensions
        self._router = router
        self._requests = requests
        self._presence = presence
        self._subscriptions = subscriptions
        self._delivery = delivery
        self.other_domains: set[str] = set()  # domains of other servers, played by a test
        # Called with every stanza that a client or another server sends, as it is stamped.
        self.on_client_stanza: Callable[[Stanza], None] = lambda stanza: None

    # ── from a client ────────────────────────────────────────────────────────

    def from_client(self, resource: Resource, stanza: Stanza) -> None:
        """Handles a stanza from a client; errors are answered.

        The sender is stamped with the client's full address (RFC 6120 §8.1.2.1).
        """
        lang = stanza.lang or resource.lang or None
        self.from_stream(resource, stanza.replace(sender=resource.jid.text, lang=lang))

    def from_stream(self, resource: Resource, stanza: Stanza) -> None:
        """Handles a stanza that is stamped already. Nobody changes it from now on."""
        self.on_client_stanza(stanza)
        self._router.turn(self._from_client, resource, stanza)

    def _from_client(self, resource: Resource, stanza: Stanza) -> None:
        to: Jid | None = None
        try:
            if stanza.to is not None:
                to = _parse_address(stanza.to)
            elif stanza.kind == "message":
                # RFC 6120 §10.3.1: a message without a recipient is for the user's own account
                to = resource.account.jid
                stanza = stanza.replace(to=resource.account.address)
            if stanza.kind == "iq":
                self._check_iq(resource, stanza)
            self._extensions.check_outgoing(resource, stanza, to)
            if stanza.kind == "message":
                self._extensions.message_sent(resource, stanza)
            if stanza.kind == "presence":
                if stanza.type is None:
                    stanza = self._extensions.stamp_presence(resource, stanza)
                was_available = resource.presence is not None
                part = self._subscriptions if stanza.type in STIMULI else self._presence
                part.send(resource, stanza, to)
                first = resource.presence is not None and not was_available
                self._extensions.presence_sent(resource, stanza, to, first)
            elif to is None:
                self._to_account(resource.account, resource.account.jid, stanza)
            else:
                self._router.pass_on(stanza)
        except StanzaError as error:
            if stanza.may_be_answered:
                answer = stanza.error(error)
                if to is None and stanza.to is not None:
                    # RFC 6120 §8.3.1 (2): an error never comes from a malformed address
                    answer = answer.replace(sender=resource.jid.domain)
                resource.deliver(answer)

    def _check_iq(self, resource: Resource, stanza: Stanza) -> None:
        """Checks what every IQ must have (RFC 6120 §8.2.3). Raises StanzaError."""
        if stanza.id is None:
            # Old clients ask for the roster without an id, and wait for pushes. ejabberd refuses
            # the request but still sends pushes; Prosody only refuses it.
            is_roster = stanza.payload == f"{{{ROSTER}}}query"
            if is_roster and self._policy.iq_without_id == "push":
                resource.interested = True
            raise StanzaError("bad-request", "an iq has an id (RFC 6120 section 8.1.3)")
        if stanza.type not in IQ_TYPES:
            text = "the type of an iq is get, set, result or error (RFC 6120 section 8.2.3)"
            raise StanzaError("bad-request", text)
        if stanza.type in ("get", "set") and len(stanza.child_names) != 1:
            text = "a get or set holds exactly one element (RFC 6120 section 8.2.3)"
            raise StanzaError("bad-request", text)

    def from_server(self, stanza: Stanza) -> None:
        """Handles a stanza from another server, which has proved that it may send it."""
        self.on_client_stanza(stanza)
        self._router.route(stanza)

    # ── from the router ──────────────────────────────────────────────────────

    def deliver(self, stanza: Stanza, asker: Resource | None = None) -> None:
        """Delivers a routed stanza; errors are answered.

        The error goes to `asker`, if there is one, else to the sender that the stanza names.
        """
        try:
            to = _parse_address(stanza.to or "")
            if to.domain not in self._accounts.domains:
                extension = self._extensions.service_at(to.domain)
                if extension is not None:
                    self._to_service(extension, to, stanza)
                elif not (
                    self._extensions.send_away(stanza, to) or to.domain in self.other_domains
                ):
                    raise StanzaError("remote-server-not-found")  # RFC 6120 §10.4.3
            elif not to.local:
                self._to_domain(to, stanza)
            else:
                self._to_account(self._accounts.find(to), to, stanza)
        except StanzaError as error:
            if asker is not None:
                asker.deliver(stanza.error(error).replace(to=asker.jid.text))
            elif stanza.may_be_answered and stanza.sender:
                self._router.route(stanza.error(error))

    def deliver_again(self, account: Account, stanza: Stanza) -> None:
        """Delivers a message that a session of the account has not acknowledged before its end."""
        self._router.turn(self._deliver_again, account, stanza)

    def _deliver_again(self, account: Account, stanza: Stanza) -> None:
        try:
            if self._extensions.accept_incoming(account, stanza):
                self._delivery.place(account, account.jid, stanza)
        except StanzaError as error:
            if stanza.may_be_answered:
                self._router.route(stanza.error(error))

    def _to_service(self, extension: Extension, to: Jid, stanza: Stanza) -> None:
        """Hands a stanza for a subdomain to the extension that serves it."""
        answered_here = _asks(stanza) and not extension.forwards_requests(to)
        if answered_here and self._requests.answer(stanza, to, subdomain=extension.subdomain):
            return
        if extension.receive(stanza, to):
            return
        if _asks(stanza) or (stanza.kind == "message" and stanza.type != "error"):
            raise StanzaError("service-unavailable")

    def _to_domain(self, to: Jid, stanza: Stanza) -> None:
        """RFC 6120 §10.5.1, §10.5.2: the server itself answers requests and refuses messages."""
        if _asks(stanza):
            self._answer(stanza, None, to)
        elif stanza.kind == "message" and stanza.type != "error":
            raise StanzaError("service-unavailable")

    def _to_account(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        if account is not None and not self._extensions.accept_incoming(account, stanza):
            return
        if account is None and to.bare in self._accounts.gone and stanza.kind == "message":
            raise StanzaError("gone")  # RFC 6120 §8.3.3.5
        if stanza.kind == "message":
            self._delivery.receive(account, to, stanza)
        elif stanza.kind == "presence":
            part = self._subscriptions if stanza.type in STIMULI else self._presence
            part.receive(account, to, stanza)
            if account is not None:
                self._extensions.presence_received(account, stanza)
        else:
            self._iq_to_account(account, to, stanza)

    def _iq_to_account(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """RFC 6121 §8.5, the rows for IQ."""
        if account is None:
            if _asks(stanza):
                raise StanzaError("service-unavailable")
        elif not to.resource:
            if _asks(stanza):
                self._answer(stanza, account, to)
            else:
                self._extensions.result_received(account, stanza)
        else:
            target = account.resources.get(to.resource)
            if _asks(stanza) and self._policy.strict_iq and not _shares(account, target, stanza):
                target = None
            if target is not None:
                target.deliver(stanza)
            elif _asks(stanza):
                raise StanzaError("service-unavailable")

    def _answer(self, stanza: Stanza, account: Account | None, to: Jid) -> None:
        """Answers for the domain or an account. Raises StanzaError."""
        if not self._requests.answer(stanza, to, account=account):
            raise StanzaError("service-unavailable")  # RFC 6120 §8.4


def _asks(stanza: Stanza) -> bool:
    """Whether the stanza is an IQ that wants an answer."""
    return stanza.kind == "iq" and stanza.type in ("get", "set")


def _shares(account: Account, target: Resource | None, stanza: Stanza) -> bool:
    """RFC 6121 §8.5.3.1: whether the sender may know about this resource."""
    sender = jid(stanza.sender or "")
    directed = target is not None and has_directed(target, sender)
    own = sender.bare == account.address
    return directed or own or account.roster.state(sender.bare) in FROM


@lru_cache(512)  # a known address is found without a call of this function
def _parse_address(text: str) -> Jid:
    """Parses an address. Raises StanzaError."""
    try:
        return jid(text)
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None

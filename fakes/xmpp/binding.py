"""Resource binding, and what a client may send before it (RFC 6120 §7)."""

from __future__ import annotations

from fakes.wire import Refuse
from fakes.xmpp.addresses import jid, parse_or_none
from fakes.xmpp.markup import BIND, element
from fakes.xmpp.refusals import StreamError
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Outlet, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza


def bind(service: Service, user: str, stanza: Stanza, outlet: Outlet) -> Resource:
    """Binds the resource that a request names, or one chosen by the server.

    Raises Refuse if the account is gone, and StanzaError if the resource cannot be bound.
    """
    account = service.accounts.find(jid(user))
    if account is None:
        error = StreamError("not-authorized", "the account is gone")
        raise Refuse(error, "RFC 6120 §4.9.3.12")
    wanted = stanza.element[0].findtext(f"{{{BIND}}}resource") or ""
    # RFC 6120 §7.7.2.1: a name that is not a resource is better replaced than refused
    address = parse_or_none(f"{user}/{wanted}") if wanted else None
    return service.bind(account, address.resource if address is not None else "", outlet)


def bound(stanza: Stanza, resource: Resource) -> Stanza:
    """Builds the answer to a bind request (RFC 6120 §7.6.1)."""
    address = element(f"{{{BIND}}}jid", text=resource.jid.text)
    payload = element(f"{{{BIND}}}bind", {}, address)
    return build_stanza("iq", type="result", id=stanza.id, children=(payload,))


def check_id(stanza: Stanza) -> None:
    """Raises StanzaError for an iq without an id."""
    if stanza.id is None:
        raise StanzaError("bad-request", "an iq has an id (RFC 6120 section 8.1.3)")


def handle_unbound(
    service: Service, user: str, domain: str, stanza: Stanza, outlet: Outlet
) -> None:
    """Handles a stanza from a client that has not bound a resource yet.

    RFC 6120 §7.1: it may be for the server or for the client's own account only. Raises Refuse, and
    StanzaError.
    """
    account = service.accounts.find(jid(user))
    to = parse_or_none(stanza.to) if stanza.to is not None else jid(user)
    to_domain = to is not None and to.text == domain
    if account is None or to is None or not (to_domain or to == account.jid):
        error = StreamError("not-authorized", "bind a resource first")
        raise Refuse(error, "RFC 6120 §7.1")
    if stanza.kind != "iq" or stanza.type not in ("get", "set") or len(stanza.child_names) != 1:
        return
    check_id(stanza)
    asked = None if to_domain else account
    asker = Resource(account.jid, account, outlet)
    stanza = stanza.replace(sender=user)
    if not service.requests.answer(stanza, to, account=asked, asker=asker):
        raise StanzaError("service-unavailable")

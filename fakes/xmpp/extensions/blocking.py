"""XEP-0191: block lists. An account and the contacts that it blocks do not reach each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza
from fakes.xmpp.subscriptions import FROM

BLOCKING = "urn:xmpp:blocking"
BLOCKED = "{urn:xmpp:blocking:errors}blocked"
MOST = 1000  # addresses per account


class Blocking(Extension):
    """The block list of each account."""

    name = "blocking"
    section = "XEP-0191"
    stored: dict[str, dict[str, None]]  # account → the blocked addresses, prepared, in order

    def answers(self) -> Answers:
        return {
            ("account", f"{{{BLOCKING}}}blocklist"): self._list,
            ("account", f"{{{BLOCKING}}}block"): self._block,
            ("account", f"{{{BLOCKING}}}unblock"): self._unblock,
        }

    def domain_features(self) -> Iterable[str]:
        return (BLOCKING,)

    # ── what a block prevents ────────────────────────────────────────────────

    def withholds_presence(self, account: Account, contact: Jid) -> bool:
        return self._blocks(account, contact)

    def check_outgoing(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        if self.stored and to is not None and self._blocks(resource.account, to):
            raise StanzaError("not-acceptable", "", element(BLOCKED), type="cancel")

    def accepts_incoming(self, account: Account, stanza: Stanza) -> bool:
        # Most accounts block nobody: look that up before the address is parsed.
        if not self.stored or account.address not in self.stored or not stanza.sender:
            return True
        if not self._blocks(account, jid(stanza.sender)):
            return True
        if stanza.kind == "message" or (stanza.kind == "iq" and stanza.type in ("get", "set")):
            raise StanzaError("service-unavailable")
        return False

    def _blocks(self, account: Account, other: Jid) -> bool:
        blocked = self.stored.get(account.address)
        return bool(blocked) and other.bare != account.address and _matches(blocked or (), other)

    # ── what clients ask ─────────────────────────────────────────────────────

    def _list(self, request: Request) -> Iterable[Element]:
        account = _own_account(request, "get")
        assert request.resource is not None
        request.resource.extension_data[self.name] = True  # it gets pushes from now on
        return [_addresses("blocklist", self.stored.get(account.address, ()))]

    def _block(self, request: Request) -> Iterable[Element]:
        account = _own_account(request, "set")
        named = _read_items(request.payload)
        blocked = self.stored.setdefault(account.address, {})
        if not named:
            raise StanzaError("bad-request", "block whom?")
        if len(blocked.keys() | set(named)) > MOST:
            raise StanzaError("resource-constraint", f"{MOST} addresses are blocked at most")
        # Contacts get unavailable presence before the block holds, because afterwards no
        # presence reaches them.
        for contact in _contacts_that_see(account):
            if not _matches(blocked, jid(contact)) and _matches(named, jid(contact)):
                self.service.presence.show(account, contact, gone=True)
        blocked.update(dict.fromkeys(named))
        self._push(account, _addresses("block", named))
        return ()

    def _unblock(self, request: Request) -> Iterable[Element]:
        account = _own_account(request, "set")
        named = _read_items(request.payload)
        seeing = _contacts_that_see(account)
        were_blocked = [contact for contact in seeing if self._blocks(account, jid(contact))]
        blocked = self.stored.setdefault(account.address, {})
        # XEP-0191 §3.5: an empty request removes the whole list
        for address in named or list(blocked):
            blocked.pop(address, None)
        for contact in were_blocked:
            if not self._blocks(account, jid(contact)):
                self.service.presence.show(account, contact, gone=False)
        self._push(account, _addresses("unblock", named))
        return ()

    def _push(self, account: Account, payload: Element) -> None:
        """Tells the resources that have asked for the list about a change."""
        for resource in list(account.resources.values()):
            if resource.extension_data.get(self.name):
                id = "block-" + self.service.runtime.token(8)
                to = resource.jid.text
                push = build_stanza("iq", type="set", to=to, id=id, children=(payload,))
                resource.deliver(push)


def _matches(blocked: Collection[str], other: Jid) -> bool:
    """XEP-0191 §6: a full address, a bare one, a domain with a resource, or a whole domain."""
    domain = f"{other.domain}/{other.resource}" if other.resource else other.domain
    return any(address in blocked for address in (other.text, other.bare, domain, other.domain))


def _own_account(request: Request, type: str) -> Account:
    """The account that asks about itself. Raises StanzaError."""
    if not request.own or request.account is None:
        raise StanzaError("forbidden")
    if request.stanza.type != type:
        raise StanzaError("bad-request")
    return request.account


def _read_items(payload: Element) -> list[str]:
    """The addresses that a request names, prepared. Raises StanzaError."""
    items = payload.findall(f"{{{BLOCKING}}}item")
    try:
        return [jid(item.get("jid", "")).text for item in items]
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None


def _addresses(name: str, addresses: Iterable[str]) -> Element:
    items = (element(f"{{{BLOCKING}}}item", {"jid": address}) for address in addresses)
    return element(f"{{{BLOCKING}}}{name}", {}, *items)


def _contacts_that_see(account: Account) -> list[str]:
    """The contacts that see the account's presence."""
    return [item.jid for item in account.roster.items.values() if item.state in FROM]

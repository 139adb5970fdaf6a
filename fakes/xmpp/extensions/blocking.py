"""XEP-0191: to whom an account is not there, and who is not there to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.markup import element
from fakes.xmpp.service import Answer, Extension, Request, Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, made
from fakes.xmpp.subscriptions import SEEN

BLOCKING = "urn:xmpp:blocking"
BLOCKED = "{urn:xmpp:blocking:errors}blocked"
MOST = 1000  # addresses an account


class Blocking(Extension):
    """The block lists."""

    name = "blocking"
    section = "XEP-0191"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._lists: dict[str, dict[str, None]] = {}

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {
            ("account", f"{{{BLOCKING}}}blocklist"): self._list,
            ("account", f"{{{BLOCKING}}}block"): self._block,
            ("account", f"{{{BLOCKING}}}unblock"): self._unblock,
        }

    def domain_features(self) -> Iterable[str]:
        return (BLOCKING,)

    def forgets(self, account: Account) -> None:
        self._lists.pop(account.address, None)

    # ── what the core asks ───────────────────────────────────────────────────────────────────────────────────────

    def withholds(self, account: Account, contact: Jid) -> bool:
        return self._blocks(account, contact)

    def leaves(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        if to is not None and self._blocks(resource.account, to):
            raise StanzaError("not-acceptable", "", element(BLOCKED), type="cancel")

    def arrives(self, account: Account, stanza: Stanza) -> bool:
        if account.address not in self._lists or not stanza.sender or not self._blocks(account, jid(stanza.sender)):
            return True
        if stanza.kind == "message" or (stanza.kind == "iq" and stanza.type in ("get", "set")):
            raise StanzaError("service-unavailable")
        return False

    def _blocks(self, account: Account, other: Jid) -> bool:
        blocked = self._lists.get(account.address)
        return bool(blocked) and other.bare != account.address and _among(blocked or (), other)

    # ── what clients ask ─────────────────────────────────────────────────────────────────────────────────────────

    def _list(self, request: Request) -> Iterable[Element]:
        account = _own(request, "get")
        assert request.resource is not None
        request.resource.marks["blocklist"] = True  # it gets pushes from now on
        return [_named("blocklist", self._lists.get(account.address, ()))]

    def _block(self, request: Request) -> Iterable[Element]:
        account = _own(request, "set")
        named = _items(request.payload)
        blocked = self._lists.setdefault(account.address, {})
        if not named:
            raise StanzaError("bad-request", "block whom?")
        if len(blocked.keys() | set(named)) > MOST:
            raise StanzaError("resource-constraint", f"{MOST} addresses are blocked at most")
        for contact in _seen(account):  # before the block holds: afterwards nothing of us reaches them
            if not _among(blocked, jid(contact)) and _among(named, jid(contact)):
                self.service.presence.show(account, contact, gone=True)
        blocked.update(dict.fromkeys(named))
        self._push(account, _named("block", named))
        return ()

    def _unblock(self, request: Request) -> Iterable[Element]:
        account = _own(request, "set")
        named = _items(request.payload)
        was = [contact for contact in _seen(account) if self._blocks(account, jid(contact))]
        blocked = self._lists.setdefault(account.address, {})
        for one in named or list(blocked):
            blocked.pop(one, None)
        for contact in was:
            if not self._blocks(account, jid(contact)):
                self.service.presence.show(account, contact, gone=False)
        self._push(account, _named("unblock", named))
        return ()

    def _push(self, account: Account, what: Element) -> None:
        for resource in list(account.resources.values()):
            if resource.marks.get("blocklist"):
                token = "block-" + self.service.runtime.token(8)
                resource.deliver(made("iq", type="set", to=resource.jid.text, id=token, inside=(what,)))


def _among(blocked: Collection[str], other: Jid) -> bool:
    """XEP-0191 §5: a whole address, a bare one, a domain's resource, or everybody of a domain."""
    domain = f"{other.domain}/{other.resource}" if other.resource else other.domain
    return any(one in blocked for one in (other.text, other.bare, domain, other.domain))


def _own(request: Request, kind: str) -> Account:
    """The account that asks about itself. Raises StanzaError."""
    if not request.own or request.account is None:
        raise StanzaError("forbidden")
    if request.stanza.type != kind:
        raise StanzaError("bad-request")
    return request.account


def _items(payload: Element) -> list[str]:
    """The addresses named, prepared. Raises StanzaError."""
    try:
        return [jid(one.get("jid", "")).text for one in payload.findall(f"{{{BLOCKING}}}item")]
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None


def _named(name: str, addresses: Iterable[str]) -> Element:
    return element(f"{{{BLOCKING}}}{name}", {}, *(element(f"{{{BLOCKING}}}item", {"jid": one}) for one in addresses))


def _seen(account: Account) -> list[str]:
    return [item.jid for item in account.roster.items.values() if item.state in SEEN]

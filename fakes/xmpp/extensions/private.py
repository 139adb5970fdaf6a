"""XEP-0049: what a client keeps with the server for itself, under the name of its element."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element, namespace
from fakes.xmpp.service import Answer, Extension, Request, Service
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import StanzaError

PRIVATE = "jabber:iq:private"
MOST = 100  # elements an account


class Private(Extension):
    """Elements by account and name."""

    name = "private"
    section = "XEP-0049"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._kept: dict[str, dict[str, Element]] = {}

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {("account", f"{{{PRIVATE}}}query"): self._answer}

    def forgets(self, account: Account) -> None:
        self._kept.pop(account.address, None)

    def _answer(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        if not request.own:
            raise StanzaError("forbidden")
        asked = list(request.payload)
        kept = self._kept.setdefault(account.address, {})
        if not asked or (request.stanza.type == "get" and len(asked) > 1):
            raise StanzaError("bad-request", "one element says what is meant")
        if any(_reserved(namespace(one.tag)) for one in asked):
            raise StanzaError("not-acceptable", "this namespace is the server's")
        if request.stanza.type == "set":
            if len(kept.keys() | {one.tag for one in asked}) > MOST:
                raise StanzaError("resource-constraint", f"{MOST} elements are kept at most")
            kept.update({one.tag: one for one in asked})
            return ()
        return [element(f"{{{PRIVATE}}}query", {}, kept.get(asked[0].tag, element(asked[0].tag)))]


def _reserved(space: str) -> bool:
    return space in ("", PRIVATE, "vcard-temp") or space.startswith("jabber:")

"""XEP-0049: elements that a client stores on the server for itself, by their names."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element, namespace
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

PRIVATE = "jabber:iq:private"
MOST = 100  # elements per account


class Private(Extension):
    """The stored elements of each account."""

    name = "private"
    section = "XEP-0049"
    stored: dict[str, dict[str, Element]]  # account → element name → element

    def answers(self) -> Answers:
        return {("account", f"{{{PRIVATE}}}query"): self._answer}

    def _answer(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        if not request.own:
            raise StanzaError("forbidden")
        named = list(request.payload)
        stored = self.stored.setdefault(account.address, {})
        if not named or (request.stanza.type == "get" and len(named) > 1):
            raise StanzaError("bad-request", "one element says what is meant")
        if any(_is_reserved(namespace(child.tag)) for child in named):
            raise StanzaError("not-acceptable", "this namespace is the server's")
        if request.stanza.type == "set":
            if len(stored.keys() | {child.tag for child in named}) > MOST:
                raise StanzaError("resource-constraint", f"{MOST} elements are kept at most")
            for child in named:
                self.service.extensions.element_stored(account, child)
            stored.update({child.tag: child for child in named})
            return ()
        name = named[0].tag
        return [element(f"{{{PRIVATE}}}query", {}, stored.get(name, element(name)))]


def _is_reserved(space: str) -> bool:
    return space in ("", PRIVATE, "vcard-temp") or space.startswith("jabber:")

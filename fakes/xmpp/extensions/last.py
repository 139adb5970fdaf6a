"""XEP-0012: how long somebody has been gone, and how long the server has been up."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.service import Answer, Extension, Request
from fakes.xmpp.stanzas import StanzaError

LAST = "jabber:iq:last"


class Last(Extension):
    """Answers for the domain, and for accounts to those who may see their presence."""

    name = "last"
    section = "XEP-0012"

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {("domain", f"{{{LAST}}}query"): self._uptime, ("account", f"{{{LAST}}}query"): self._seen}

    def domain_features(self) -> Iterable[str]:
        return (LAST,)

    def _uptime(self, request: Request) -> Iterable[Element]:
        return self._told(request, self.service.started)

    def _seen(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        if not request.may_see:
            raise StanzaError("forbidden")  # XEP-0012 §4
        if any(account.available()):
            return self._told(request, self.service.runtime.now())
        at, stanza = account.left or (self.service.started, None)
        return self._told(request, at, stanza.text("status") if stanza is not None else "")

    def _told(self, request: Request, since: float, status: str = "") -> Iterable[Element]:
        if request.stanza.type != "get":
            raise StanzaError("not-allowed")
        seconds = int(self.service.runtime.now() - since)
        return [element(f"{{{LAST}}}query", {"seconds": str(seconds)}, text=status)]

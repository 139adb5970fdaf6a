"""XEP-0012: how long a user has been away, and how long the server has been running."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

LAST = "jabber:iq:last"


class Last(Extension):
    """Answers for the domain, and for accounts to those who may see their presence."""

    name = "last"
    section = "XEP-0012"

    def answers(self) -> Answers:
        return {
            ("domain", f"{{{LAST}}}query"): self._uptime,
            ("account", f"{{{LAST}}}query"): self._last_seen,
        }

    def domain_features(self) -> Iterable[str]:
        return (LAST,)

    def _uptime(self, request: Request) -> Iterable[Element]:
        return self._seconds(request, self.service.started)

    def _last_seen(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        if not request.may_see:
            raise StanzaError("forbidden")  # XEP-0012 §4
        if any(account.available()):
            return self._seconds(request, self.service.runtime.now())
        if account.last_unavailable is None:
            return self._seconds(request, self.service.started)
        at, presence = account.last_unavailable
        return self._seconds(request, at, presence.child_text("status"))

    def _seconds(self, request: Request, since: float, status: str = "") -> Iterable[Element]:
        if request.stanza.type != "get":
            raise StanzaError("not-allowed")
        seconds = int(self.service.runtime.now() - since)
        return [element(f"{{{LAST}}}query", {"seconds": str(seconds)}, text=status)]

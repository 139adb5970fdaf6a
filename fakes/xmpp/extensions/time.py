"""XEP-0202: what time it is at the server."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.offline import stamp
from fakes.xmpp.service import Answer, Extension, Request
from fakes.xmpp.stanzas import StanzaError

TIME = "urn:xmpp:time"


class Time(Extension):
    """The world's clock, in UTC."""

    name = "time"
    section = "XEP-0202"

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {("domain", f"{{{TIME}}}time"): self._time}

    def domain_features(self) -> Iterable[str]:
        return (TIME,)

    def _time(self, request: Request) -> Iterable[Element]:
        if request.stanza.type != "get":
            raise StanzaError("not-allowed")
        zone, now = element(f"{{{TIME}}}tzo", text="+00:00"), stamp(self.service.runtime.now())
        return [element(f"{{{TIME}}}time", {}, zone, element(f"{{{TIME}}}utc", text=now))]

"""XEP-0202: the server's time."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element
from fakes.xmpp.offline import timestamp
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

TIME = "urn:xmpp:time"


class Time(Extension):
    """Answers with the time of the world's clock, in UTC."""

    name = "time"
    section = "XEP-0202"

    def answers(self) -> Answers:
        return {("domain", f"{{{TIME}}}time"): self._time}

    def domain_features(self) -> Iterable[str]:
        return (TIME,)

    def _time(self, request: Request) -> Iterable[Element]:
        if request.stanza.type != "get":
            raise StanzaError("not-allowed")
        zone = element(f"{{{TIME}}}tzo", text="+00:00")
        utc = element(f"{{{TIME}}}utc", text=timestamp(self.service.runtime.now()))
        return [element(f"{{{TIME}}}time", {}, zone, utc)]

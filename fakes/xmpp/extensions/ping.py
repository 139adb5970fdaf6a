"""XEP-0199: is anybody there?"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.service import Answer, Extension, Request
from fakes.xmpp.stanzas import StanzaError

PING = "urn:xmpp:ping"


class Ping(Extension):
    """The server answers, for itself and for its accounts."""

    name = "ping"
    section = "XEP-0199"

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {("domain", f"{{{PING}}}ping"): _pong, ("account", f"{{{PING}}}ping"): _pong}

    def domain_features(self) -> Iterable[str]:
        return (PING,)

    def account_features(self) -> Iterable[str]:
        return (PING,)


def _pong(request: Request) -> Iterable[Element]:
    if request.stanza.type != "get":
        raise StanzaError("bad-request")
    return ()

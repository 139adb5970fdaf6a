"""XEP-0199: pings."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

PING = "urn:xmpp:ping"


class Ping(Extension):
    """Answers for the server, and in the name of its accounts."""

    name = "ping"
    section = "XEP-0199"

    def answers(self) -> Answers:
        return {
            ("domain", f"{{{PING}}}ping"): _pong,
            ("account", f"{{{PING}}}ping"): _pong,
        }

    def domain_features(self) -> Iterable[str]:
        return (PING,)

    def account_features(self) -> Iterable[str]:
        return (PING,)


def _pong(request: Request) -> Iterable[Element]:
    if request.stanza.type != "get":
        raise StanzaError("bad-request")
    return ()

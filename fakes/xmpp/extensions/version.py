"""XEP-0092: the name and version of the server."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

VERSION = "jabber:iq:version"


class Version(Extension):
    """Answers for the domain. The operating system is not disclosed (XEP-0092 §5)."""

    name = "version"
    section = "XEP-0092"

    def answers(self) -> Answers:
        return {("domain", f"{{{VERSION}}}query"): _version}

    def domain_features(self) -> Iterable[str]:
        return (VERSION,)


def _version(request: Request) -> Iterable[Element]:
    if request.stanza.type != "get":
        raise StanzaError("not-allowed")
    name = element(f"{{{VERSION}}}name", text="fakes")
    version = element(f"{{{VERSION}}}version", text="0.1.0")
    return [element(f"{{{VERSION}}}query", {}, name, version)]

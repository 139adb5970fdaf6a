"""XEP-0092: the name and version of the server."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.version import VERSION
from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

NAMESPACE = "jabber:iq:version"


class Version(Extension):
    """Answers for the domain. The operating system is not disclosed (XEP-0092 §5)."""

    name = "version"
    section = "XEP-0092"

    def answers(self) -> Answers:
        return {("domain", f"{{{NAMESPACE}}}query"): _version}

    def domain_features(self) -> Iterable[str]:
        return (NAMESPACE,)


def _version(request: Request) -> Iterable[Element]:
    if request.stanza.type != "get":
        raise StanzaError("not-allowed")
    name = element(f"{{{NAMESPACE}}}name", text="fakes")
    version = element(f"{{{NAMESPACE}}}version", text=VERSION)
    return [element(f"{{{NAMESPACE}}}query", {}, name, version)]

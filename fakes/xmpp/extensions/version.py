"""XEP-0092: which server this is."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.service import Answer, Extension, Request
from fakes.xmpp.stanzas import StanzaError

VERSION = "jabber:iq:version"


class Version(Extension):
    """The name and version of the server; its operating system is nobody's business."""

    name = "version"
    section = "XEP-0092"

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {("domain", f"{{{VERSION}}}query"): _version}

    def domain_features(self) -> Iterable[str]:
        return (VERSION,)


def _version(request: Request) -> Iterable[Element]:
    if request.stanza.type != "get":
        raise StanzaError("not-allowed")
    name = element(f"{{{VERSION}}}name", text="fakes")
    return [element(f"{{{VERSION}}}query", {}, name, element(f"{{{VERSION}}}version", text="0.1.0"))]

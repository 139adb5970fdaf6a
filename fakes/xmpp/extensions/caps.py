"""XEP-0115: what the server can do, as one hash in its stream features. The caps of clients pass with their presence."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extensions.disco import information
from fakes.xmpp.markup import element
from fakes.xmpp.service import Extension

CAPS = "http://jabber.org/protocol/caps"
NODE = "https://fakes.example"


class Caps(Extension):
    """The hash, and the node under which disco#info answers for it."""

    name = "caps"
    section = "XEP-0115"

    def domain_features(self) -> Iterable[str]:
        return (CAPS,)

    def stream_features(self) -> Iterable[Element]:
        return (element(f"{{{CAPS}}}c", {"hash": "sha-1", "node": NODE, "ver": self._ver()}),)

    def info_node(self) -> str:
        return f"{NODE}#{self._ver()}"

    def _ver(self) -> str:
        """XEP-0115 §5.1: identity and features in order, each with `<` behind it, hashed."""
        (category, kind, name), features = information(self.service)
        said = "".join(f"{one}<" for one in (f"{category}/{kind}//{name}", *features))
        return base64.b64encode(hashlib.sha1(said.encode()).digest()).decode()

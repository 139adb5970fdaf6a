"""XEP-0115: what the server can do, as a hash in its stream features.

The caps of clients pass with their presence, untouched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.disco import domain_information
from fakes.xmpp.markup import element

CAPS = "http://jabber.org/protocol/caps"
NODE = "https://fakes.example"


class Caps(Extension):
    """The hash, and the node at which disco#info answers for it."""

    name = "caps"
    section = "XEP-0115"

    def domain_features(self) -> Iterable[str]:
        return (CAPS,)

    def stream_features(self) -> Iterable[Element]:
        return (element(f"{{{CAPS}}}c", {"hash": "sha-1", "node": NODE, "ver": self._hash()}),)

    def info_node(self) -> str:
        return f"{NODE}#{self._hash()}"

    def _hash(self) -> str:
        """XEP-0115 §5.1: hashes the identity and the sorted features, each followed by `<`."""
        found = domain_information(self.service)
        identity = f"{found.category}/{found.type}//{found.name}"
        text = "".join(f"{part}<" for part in (identity, *found.features))
        return base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()

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
from fakes.xmpp.forms import DATA
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
        """XEP-0115 §5.1: hashes the identity, the sorted features and the forms."""
        found = domain_information(self.service)
        identity = f"{found.category}/{found.type}//{found.name}"
        forms = (part for form in sorted(map(_parts, found.forms)) for part in form)
        text = "".join(f"{part}<" for part in (identity, *found.features, *forms))
        return base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()


def _parts(form: Element) -> list[str]:
    """What of a form is hashed: its type, then the name and the values of each field, sorted."""
    fields = {
        one.get("var", ""): sorted(value.text or "" for value in one.iter(f"{{{DATA}}}value"))
        for one in form.iter(f"{{{DATA}}}field")
    }
    parts = fields.pop("FORM_TYPE", [])
    for name in sorted(fields):
        parts += [name, *fields[name]]
    return parts

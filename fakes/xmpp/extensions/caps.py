"""XEP-0115: what the server can do, as a hash in its stream features.

The caps of clients pass with their presence, untouched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.disco import INFO, domain_query
from fakes.xmpp.forms import DATA
from fakes.xmpp.markup import element

CAPS = "http://jabber.org/protocol/caps"
NODE = "https://fakes.example"
_HASHES = {"sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}


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
        return verification(domain_query(self.service), "sha-1")


def verification(found: Iterable[Element], hash: str) -> str:
    """The value that the content of a disco#info result has (XEP-0115 §5.1).

    It is "" if there can be none: for an unknown hash, or if something is there twice (§5.4).
    """
    if hash not in _HASHES:
        return ""
    identities, features, forms = [], [], []
    for one in found:
        if one.tag == f"{{{INFO}}}identity":
            lang = one.get("{http://www.w3.org/XML/1998/namespace}lang", "")
            names = (one.get("category", ""), one.get("type", ""), lang, one.get("name", ""))
            identities.append("/".join(names))
        elif one.tag == f"{{{INFO}}}feature":
            features.append(one.get("var", ""))
        elif one.tag == f"{{{DATA}}}x":
            form = _form(one)
            if form is not None:
                forms.append(form)
    kinds = [form[0] for form in forms]
    for some in (identities, features, kinds):
        if len(some) != len(set(some)):
            return ""
    parts = [*sorted(identities), *sorted(features)]
    parts += [part for form in sorted(forms) for part in form]
    text = "".join(f"{part}<" for part in parts)
    digest = hashlib.new(_HASHES[hash], text.encode("utf-8", "surrogatepass")).digest()
    return base64.b64encode(digest).decode()


def _form(x: Element) -> list[str] | None:
    """What a form adds to the value: its type, then each field with its values, sorted."""
    fields = {}
    for one in x.findall(f"{{{DATA}}}field"):
        values = [value.text or "" for value in one.findall(f"{{{DATA}}}value")]
        fields[one.get("var", "")] = (one.get("type"), sorted(values))
    kind, names = fields.pop("FORM_TYPE", (None, []))
    if kind != "hidden" or len(names) != 1:
        return None
    return [names[0], *(part for name in sorted(fields) for part in (name, *fields[name][1]))]

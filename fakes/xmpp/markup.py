"""XML as this server writes it, and the namespaces that it knows.

Names are in ElementTree's form, `{namespace}name`. What is written has no prefix but `stream:` and `xml:`, both known to
every stream, so that an element means the same wherever it is put.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element

CLIENT = "jabber:client"
SERVER = "jabber:server"
STREAMS = "http://etherx.jabber.org/streams"
STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"
ROSTER = "jabber:iq:roster"
DELAY = "urn:xmpp:delay"
XML = "http://www.w3.org/XML/1998/namespace"
LANG = f"{{{XML}}}lang"


def element(name: str, attributes: dict[str, str | None] | None = None, *inside: Element | str, text: str = "") -> Element:
    """An element with its children. A child that is a text is the name of an empty one; attributes of None are left out."""
    made = Element(name, {key: value for key, value in (attributes or {}).items() if value is not None})
    made.extend(Element(child) if isinstance(child, str) else child for child in inside)
    made.text = text or None
    return made


def namespace(name: str) -> str:
    """`jabber:client` of `{jabber:client}message`; "" when it has none."""
    return name[1:].partition("}")[0] if name.startswith("{") else ""


def local(name: str) -> str:
    """`message` of `{jabber:client}message`."""
    return name.rpartition("}")[2]


def written(one: Element, within: str = CLIENT) -> str:
    """An element as text, where `within` is the default namespace."""
    space, name = namespace(one.tag), local(one.tag)
    start, inner = name, within
    if space == STREAMS and within != STREAMS:
        start = name = f"stream:{name}"
    elif space != within:
        start, inner = f"{name} xmlns='{escaped(space)}'", space
    for key, value in one.attrib.items():
        if key.startswith(f"{{{XML}}}"):
            start += f" xml:{local(key)}='{escaped(value)}'"
        elif key.startswith("{"):  # a prefix of its own for each: rare, and always right
            start += f" xmlns:{_prefix(start)}='{escaped(namespace(key))}'"
            start += f" {_prefix(start, last=True)}:{local(key)}='{escaped(value)}'"
        else:
            start += f" {key}='{escaped(value)}'"
    inside = escaped(one.text or "") + "".join(written(child, inner) + escaped(child.tail or "") for child in one)
    return f"<{start}>{inside}</{name}>" if inside else f"<{start}/>"


def _prefix(start: str, last: bool = False) -> str:
    return f"ns{start.count(' xmlns:ns') - last}"


_SPECIAL = re.compile("[&<>'\"\r\n\t]")
_WRITTEN = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&apos;", '"': "&quot;", "\r": "&#xD;", "\n": "&#xA;", "\t": "&#x9;",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text as it may stand between tags and between quotes; blanks that a parser would change are written as numbers."""
    return _SPECIAL.sub(lambda found: _WRITTEN[found[0]], text) if _SPECIAL.search(text) else text


def all_written(elements: Iterable[Element]) -> bytes:
    """Elements one behind the other, as octets."""
    return "".join(map(written, elements)).encode()

"""XML as this server writes it, and the namespaces that it knows.

Names have the form that ElementTree uses, `{namespace}name`. The XML written here uses only the
prefixes `stream:` and `xml:`. Every stream knows both, so that an element keeps its meaning
wherever it is inserted.
"""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

CLIENT = "jabber:client"
SERVER = "jabber:server"
DIALBACK = "jabber:server:dialback"
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


def element(
    name: str,
    attributes: dict[str, str | None] | None = None,
    *children: Element | str,
    text: str = "",
) -> Element:
    """Builds an element.

    Attributes whose value is None are left out. A child given as `str` becomes an empty element of
    that name. Raises ValueError for a character that XML cannot hold.
    """
    given = {key: value for key, value in (attributes or {}).items() if value is not None}
    for value in (text, *given.values()):
        check_text(value)
    built = Element(name, given)
    built.extend(Element(child) if isinstance(child, str) else child for child in children)
    built.text = text or None
    return built


# XML 1.0 §2.2 lists what is allowed, for which `re` would compile a large table.
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def check_text(text: str) -> None:
    """Raises ValueError if the text has a character that XML cannot hold, with its position.

    A reference such as `&#0;` could not hold it either, so that no client can send it.
    """
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise ValueError(
            f"U+{ord(found[0]):04X} at position {found.start()} of the text "
            "is not a character of XML 1.0; leave it out"
        )


def ascii_text(text: str) -> str:
    """Returns what a client has written with escapes instead of what is not ASCII.

    Every text that the server makes up is ASCII, because there are clients that cannot read others.
    """
    return text.encode("ascii", "backslashreplace").decode()


def namespace(name: str) -> str:
    """The namespace of a name: `jabber:client` for `{jabber:client}message`, "" without one."""
    return name[1:].partition("}")[0] if name.startswith("{") else ""


def local_name(name: str) -> str:
    """The name without its namespace: `message` for `{jabber:client}message`."""
    return name.rpartition("}")[2]


def serialize(tree: Element, within: str = CLIENT) -> str:
    """Writes an element as text; `within` is the default namespace at the place of insertion."""
    space, name = namespace(tree.tag), local_name(tree.tag)
    start, inner = name, within
    if space == STREAMS and within != STREAMS:
        start = name = f"stream:{name}"
    elif space != within:
        start, inner = f"{name} xmlns='{escape(space)}'", space
    for key, value in tree.attrib.items():
        if key.startswith(f"{{{XML}}}"):
            start += f" xml:{local_name(key)}='{escape(value)}'"
        elif key.startswith("{"):
            # A new prefix for each such attribute: they are rare, and this is always right.
            start += f" xmlns:{_prefix(start)}='{escape(namespace(key))}'"
            start += f" {_prefix(start, last=True)}:{local_name(key)}='{escape(value)}'"
        else:
            start += f" {key}='{escape(value)}'"
    content = escape(tree.text or "") + "".join(
        serialize(child, inner) + escape(child.tail or "") for child in tree
    )
    return f"<{start}>{content}</{name}>" if content else f"<{start}/>"


def _prefix(start: str, last: bool = False) -> str:
    """The next unused prefix of a start tag, or with `last` the one declared last."""
    return f"ns{start.count(' xmlns:ns') - last}"


_SPECIAL = re.compile("[&<>'\"\r\n\t]")
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    # A parser would turn these into spaces or newlines inside attributes.
    "\r": "&#xD;",
    "\n": "&#xA;",
    "\t": "&#x9;",
}


is_special = _SPECIAL.search  # whether there is something to escape


def escape(text: str) -> str:
    """Escapes text for use between tags and between quotes."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text) if is_special(text) else text

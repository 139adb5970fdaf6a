"""What a message without a plain text contains: another form of its text, or why it has none.

Clients notify each other by such messages all the time (`composing`, `received`): these mean
nothing to a program. What a person has meant for a reader is read if it is a text, and otherwise
explained to them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from xml.etree.ElementTree import Element

from comms.numbers import number
from comms.xmpp.stream import CLIENT, split_tag

XHTML_IM = "http://jabber.org/protocol/xhtml-im"
XHTML = "http://www.w3.org/1999/xhtml"
ENCRYPTED = "I cannot read encrypted messages"
NO_TEXT = "I can only read text"
# Other people's programs also say these: an encrypted message is marked by XEP-0380, or contains
# one of these elements (OMEMO, OpenPGP old and new, S/MIME).
_MARK = "{urn:xmpp:eme:0}encryption"
_CIPHERS = frozenset(
    {
        "{eu.siacs.conversations.axolotl}encrypted",
        "{urn:xmpp:omemo:1}encrypted",
        "{urn:xmpp:omemo:2}encrypted",
        "{urn:xmpp:openpgp:0}openpgp",
        "{jabber:x:encrypted}x",
        "{urn:ietf:params:xml:ns:xmpp-e2e}e2e",
    }
)
_FALLBACK = "{urn:xmpp:fallback:0}"
_IS_FALLBACK = f"{_FALLBACK}fallback"
_OTR = "?OTR"  # how the text of an encrypted message begins in OTR
# Payloads that a person has sent, and what to answer. All others were sent by a client.
_EXPLAINED = {
    "{jabber:x:conference}x": "I do not join chat rooms",
    "{jabber:x:data}x": "I cannot fill in forms",
    "{jabber:x:roster}x": "I do not take contacts; I can only read text",
    "{http://jabber.org/protocol/rosterx}x": "I do not take contacts; I can only read text",
    "{http://jabber.org/protocol/geoloc}geoloc": NO_TEXT,
    "{urn:xmpp:attention:0}attention": "I am here; I can only read text",
    "{urn:xmpp:bob}data": "I cannot see pictures; I can only read text",
    "{urn:xmpp:file-metadata:0}file": "I cannot read files; I can only read text",
    "{urn:xmpp:jingle-message:0}propose": "I cannot take calls; I can only read text",
    "{urn:xmpp:reference:0}reference": "I cannot read files; I can only read text",
    "{urn:xmpp:sfs:0}file-sharing": "I cannot read files; I can only read text",
}
_BLOCKS = frozenset("address blockquote div dl dt dd h1 h2 h3 h4 h5 h6 hr li ol p pre ul".split())


def is_encrypted(tags: Collection[str], body: str) -> bool:
    """Whether the text of a message is encrypted. Then its body only says so, to other clients.

    `tags` are those of the children of the message.
    """
    return _MARK in tags or not _CIPHERS.isdisjoint(tags) or body.lstrip().startswith(_OTR)


def own_text(element: Element, body: str) -> str:
    """Returns a body without what a client has added for clients that know less (XEP-0428).

    That is the whole body, as of a reaction or of a retracted message, or a part of it, such as the
    quotation in a reply (XEP-0461). Its sender has not written that.
    """
    if element.find(_IS_FALLBACK) is None:
        return body  # as almost always: `iterfind` would cost ten times as much as `find`
    for fallback in element.iterfind(_IS_FALLBACK):
        marks = list(fallback.iterfind(f"{_FALLBACK}body"))
        if not marks and fallback.find(f"{_FALLBACK}subject") is None:
            return ""
        ranges = []
        for mark in marks:
            start, end = number(mark.get("start", "0")), number(mark.get("end", str(len(body))))
            if start is not None and end is not None and start <= end:
                ranges.append((start, end))
        # The last first, so that the positions of the others stay right.
        for start, end in sorted(ranges, reverse=True):
            body = body[:start] + body[end:]
    return body


def other_text(element: Element) -> str:
    """Returns the text of a message without a body: from its XHTML (XEP-0071), or its link."""
    for page in element.iterfind(f"{{{XHTML_IM}}}html/{{{XHTML}}}body"):
        lines = (" ".join(line.split()) for line in "".join(_pieces(page)).split("\n"))
        if text := "\n".join(line for line in lines if line):
            return text
    link = element.find("{jabber:x:oob}x")  # XEP-0066
    if link is None:
        return ""
    words = (link.findtext(f"{{jabber:x:oob}}{name}") or "" for name in ("desc", "url"))
    return " ".join(" ".join(words).split())


def explanation(element: Element) -> str:
    """Returns what to answer to a message without a text; "" if no person has meant it to be read.

    An XHTML text that is empty was meant, too: it may be a picture.
    """
    found = (_EXPLAINED[child.tag] for child in element if child.tag in _EXPLAINED)
    has_page = element.find(f"{{{XHTML_IM}}}html") is not None
    return next(found, NO_TEXT if has_page else "")


def names(element: Element) -> str:
    """Returns the namespaces of the payloads of a message, for the log."""
    spaces = dict.fromkeys(split_tag(child)[0] for child in element)
    return " ".join(space[:100] for space in spaces if space != CLIENT)[:300]


def _pieces(element: Element) -> Iterator[str]:
    """Yields the text of XHTML, with a line feed at the edges of each block.

    The reader of the stream has limited the depth.
    """
    namespace, name = split_tag(element)
    if namespace == XHTML and name in ("script", "style", "head"):
        return
    edge = "\n" if namespace == XHTML and name in _BLOCKS else ""
    yield edge
    if name == "br":
        yield "\n"
    if name == "img":
        yield element.get("alt", "")
    # A line feed in the source is a space.
    yield " ".join((element.text or "").split("\n"))
    for child in element:
        yield from _pieces(child)
        yield " ".join((child.tail or "").split("\n"))
    yield edge

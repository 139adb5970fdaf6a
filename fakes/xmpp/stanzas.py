"""Stanzas as values: the start tag as fields, the content as the bytes that were received.

The start tag is always serialized from the fields. The content is passed on untouched, unless
prefixes in it stand for the content namespace (RFC 6120 §4.8.5). A stanza is never changed:
`stanza.replace(to=…)` returns another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import (
    CLIENT,
    DELAY,
    LANG,
    STANZA_ERRORS,
    STREAMS,
    XML,
    check_text,
    element,
    escape,
    local_name,
    namespace,
    serialize,
)
from fakes.xmpp.pieces import Piece
from fakes.xmpp.splitter import Splitter

# The scope in which stanzas are read: what their names mean is the same on every stream.
_SCOPE = f"<x xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>".encode()
KINDS = {f"{{{CLIENT}}}{kind}": kind for kind in ("message", "presence", "iq")}

# RFC 6120 §8.3.3: the error type that belongs to each condition.
CONDITIONS: dict[str, str] = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}


class StanzaError(Exception):
    """Raised by whatever handles a stanza, to answer it with an error. The stream stays open.

    `type` is the error type; by default that of the condition in RFC 6120 §8.3.3.
    `extra` are application-specific elements (RFC 6120 §8.3.4). Without `repeats`, the answer does
    not repeat the content, because there is a password in it; with `instead` it has that element in
    its place, if a protocol says so.
    """

    def __init__(
        self,
        condition: str,
        text: str = "",
        *extra: Element,
        type: str = "",
        repeats: bool = True,
        instead: Element | None = None,
    ) -> None:
        super().__init__(condition)
        self.repeats = repeats and instead is None
        self.instead = [instead] if instead is not None else []
        self.condition = condition
        self.text = text
        self.extra = extra
        self.type = type or CONDITIONS[condition]

    def element(self) -> Element:
        """Builds the `<error/>` element."""
        condition = f"{{{STANZA_ERRORS}}}{self.condition}"
        error = element(f"{{{CLIENT}}}error", {"type": self.type}, condition)
        if self.text:
            error.append(element(f"{{{STANZA_ERRORS}}}text", {LANG: "en"}, text=self.text))
        error.extend(self.extra)
        return error


class Written(NamedTuple):
    """An element that is XML already, with the content namespace around it."""

    tag: str
    xml: str


@dataclass(slots=True, eq=False)
class Stanza:
    """A message, presence or iq. Attributes that are absent are None; `lang` is `xml:lang`."""

    kind: str
    type: str | None = None
    to: str | None = None
    sender: str | None = None
    id: str | None = None
    lang: str | None = None
    content: bytes = b""  # between the start tag and the end tag
    child_names: tuple[str, ...] = ()  # of the child elements, as `{namespace}name`
    extra_attributes: str = ""  # prefixes that the content uses, and attributes unknown here
    _element: Element | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"<{self.to_bytes().decode('utf-8', 'replace')}>"

    def replace(self, **changes: Any) -> Stanza:
        """Returns a copy with other values for these fields."""
        # dataclasses.replace takes several times as long, and every delivery needs a copy.
        other = Stanza(
            self.kind,
            self.type,
            self.to,
            self.sender,
            self.id,
            self.lang,
            self.content,
            self.child_names,
            self.extra_attributes,
        )
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    def to_bytes(self) -> bytes:
        """Serializes the stanza for a stream whose default namespace is the content namespace."""
        start, rest, end = _tags(self.kind, self.sender, self.to, self.type, self.lang)
        id = "" if self.id is None else f" id='{escape(self.id)}'"
        if not self.content:
            return f"{start}{id}{rest}{self.extra_attributes}/>".encode()
        tag = f"{start}{id}{rest}{self.extra_attributes}>"
        return b"".join((tag.encode(), self.content, end))

    # ── reading it ───────────────────────────────────────────────────────────

    @property
    def element(self) -> Element:
        """The whole stanza as a tree. It is shared: do not change it."""
        if self._element is None:
            self._element = ElementTree.fromstring(_SCOPE + self.to_bytes() + b"</x>")[0]
        return self._element

    def child(self, name: str, space: str = CLIENT) -> Element | None:
        """The first child of this name; None if there is none."""
        full_name = f"{{{space}}}{name}"
        return self.element.find(full_name) if full_name in self.child_names else None

    def child_text(self, name: str, space: str = CLIENT) -> str:
        """The text of the first child of this name; "" if there is none."""
        found = self.child(name, space)
        return "" if found is None else found.text or ""

    @property
    def payload(self) -> str:
        """The name of the first child, as `{namespace}name`; "" if there is none."""
        return self.child_names[0] if self.child_names else ""

    @property
    def body(self) -> str:
        """The first body of a message."""
        return self.child_text("body")

    @property
    def text(self) -> str:
        """The body, under the name that the text of a mail or an IM has."""
        return self.body

    @property
    def subject(self) -> str:
        """The first subject of a message."""
        return self.child_text("subject")

    @property
    def thread(self) -> str:
        """The thread of a message."""
        return self.child_text("thread")

    @property
    def delayed(self) -> bool:
        """Whether the stanza was stored on its way (XEP-0203)."""
        return f"{{{DELAY}}}delay" in self.child_names

    @property
    def condition(self) -> str:
        """The condition of an error, such as `service-unavailable`; "" if it is not an error."""
        error = self.child("error")
        for child in error if error is not None else ():
            if namespace(child.tag) == STANZA_ERRORS and local_name(child.tag) != "text":
                return local_name(child.tag)
        return ""

    # ── answering it ─────────────────────────────────────────────────────────

    @property
    def may_be_answered(self) -> bool:
        """RFC 6120 §8.3.1, §8.2.3: errors and results are never answered with an error."""
        return self.type != "error" and (self.kind != "iq" or self.type != "result")

    def result(self, *children: Element | Written) -> Stanza:
        """Builds the answer of type result to an iq (RFC 6120 §8.2.3)."""
        return build_stanza(
            "iq", type="result", to=self.sender, sender=self.to, id=self.id, children=children
        )

    def error(self, error: StanzaError) -> Stanza:
        """Builds the answer of type error (RFC 6120 §8.3.1).

        It has the same kind and id, the addresses exchanged, and repeats the content if it may.
        """
        # An iq without an id is answered with an empty one, as Prosody and ejabberd do.
        id = self.id if self.id is not None or self.kind != "iq" else ""
        instead = "".join(map(serialize, error.instead)).encode()
        names = tuple(child.tag for child in error.instead)
        return self.replace(
            type="error",
            to=self.sender,
            sender=self.to,
            id=id,
            content=(self.content if error.repeats else instead)
            + serialize(error.element()).encode(),
            child_names=(*(self.child_names if error.repeats else names), f"{{{CLIENT}}}error"),
        )


# Most stanzas between two clients differ in their ids and contents only. To make the other parts
# takes more than ten times as long as to find them, and this runs for every stanza that is sent.
@lru_cache(256)
def _tags(
    kind: str, sender: str | None, to: str | None, type: str | None, lang: str | None
) -> tuple[str, str, bytes]:
    """What is before the id of a stanza in its start tag, what is after it, and the end tag."""
    start = f"<{kind}{_attribute('from', sender)}{_attribute('to', to)}"
    rest = f"{_attribute('type', type)}{_attribute('xml:lang', lang)}"
    return start, rest, f"</{kind}>".encode()


def _attribute(name: str, value: str | None) -> str:
    return "" if value is None else f" {name}='{escape(value)}'"


def build_stanza(
    kind: str,
    *,
    type: str | None = None,
    to: str | None = None,
    sender: str | None = None,
    id: str | None = None,
    lang: str | None = None,
    children: Iterable[Element | Written] = (),
) -> Stanza:
    """Builds a stanza from elements. Raises ValueError for a character that XML cannot hold."""
    for value in (type, to, sender, id, lang):
        if value is not None:
            check_text(value)
    elements = list(children)
    content = "".join(
        child.xml if isinstance(child, Written) else serialize(child) for child in elements
    ).encode()
    names = tuple(child.tag for child in elements)
    return Stanza(kind, type, to, sender, id, lang, content, names)


def with_child(stanza: Stanza, child: Element, **changes: Any) -> Stanza:
    """Returns a copy with one more child, and with other values for the fields in `changes`."""
    content = stanza.content + serialize(child).encode()
    return stanza.replace(content=content, child_names=(*stanza.child_names, child.tag), **changes)


def without_children(stanza: Stanza, unwanted: Callable[[Element], bool]) -> Stanza:
    """Returns a copy without some of the children."""
    kept = [child for child in stanza.element if not unwanted(child)]
    content = escape(stanza.element.text or "") + "".join(
        serialize(child) + escape(child.tail or "") for child in kept
    )
    names = tuple(child.tag for child in kept)
    return stanza.replace(content=content.encode(), child_names=names, extra_attributes="")


_LANG = LANG[1:]  # as the parser names it
_KNOWN_ATTRIBUTES = {"type", "to", "from", "id", _LANG}


def from_piece(piece: Piece) -> Stanza:
    """Reads a stanza from a piece of a stream."""
    attributes = piece.attributes
    raw = piece.raw
    end = raw.rfind(b"<") if raw[piece.tag_end - 2] != ord("/") else piece.tag_end
    stanza = Stanza(
        KINDS[piece.name],
        attributes.get("type"),
        attributes.get("to"),
        attributes.get("from"),
        attributes.get("id"),
        attributes.get(_LANG),
        raw[piece.tag_end : end],
        piece.child_names,
    )
    if piece.prefixes or not attributes.keys() <= _KNOWN_ATTRIBUTES:
        stanza.extra_attributes = _extra_attributes(piece)
    return _reserialize(stanza) if piece.needs_rewriting else stanza


def _extra_attributes(piece: Piece) -> str:
    """Serializes the prefixes in scope, and the attributes that have no field in a `Stanza`."""
    prefixes = dict(piece.prefixes)
    known = {"stream": STREAMS, "xml": XML, **prefixes}  # the first two are known everywhere
    prefix_of = {uri: prefix for prefix, uri in known.items()}
    text = "".join(f" xmlns:{prefix}='{escape(uri)}'" for prefix, uri in prefixes.items())
    for name, value in piece.attributes.items():
        if name in _KNOWN_ATTRIBUTES:
            continue
        space, brace, plain = name.rpartition("}")
        if brace:
            text += f" {prefix_of[space]}:{plain}='{escape(value)}'"
        else:
            text += f" {name}='{escape(value)}'"
    return text


def _reserialize(stanza: Stanza) -> Stanza:
    """Serializes the content again, so that no prefix stands for the content namespace."""
    return without_children(stanza, lambda child: False)


def parse_stanza(text: str | bytes) -> Stanza:
    """Parses a stanza whose default namespace is the content namespace.

    Raises ValueError if the text is not exactly one stanza, or if it has a character that XML
    cannot hold.
    """
    if isinstance(text, str):
        check_text(text)
    raw = text.encode() if isinstance(text, str) else text
    buffer = bytearray(_SCOPE + raw)
    splitter = Splitter()
    splitter.next(buffer)
    piece = splitter.next(buffer)
    whole = piece is not None and piece.kind == "element" and not buffer.strip()
    if piece is None or not whole or piece.name not in KINDS or piece.prefixed:
        shown = raw.decode("utf-8", "replace")
        raise ValueError(f"not one stanza: {shown!r}; write one <message/>, <presence/> or <iq/>")
    return from_piece(piece)

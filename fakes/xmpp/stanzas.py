"""A stanza as a value: its start tag as fields, its inside as the octets that came.

The start tag is always written anew; the inside is passed on untouched, unless prefixes in it stand for the content
namespace (RFC 6120 §4.8.5). A stanza is never changed: `stanza.but(to=…)` gives another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import CLIENT, DELAY, LANG, STANZA_ERRORS, STREAMS, element, escaped, local, namespace, written
from fakes.xmpp.splitter import Piece, Splitter

_SCOPE = f"<x xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>".encode()  # what a stanza's names mean on every stream
KINDS = frozenset({f"{{{CLIENT}}}{kind}" for kind in ("message", "presence", "iq")})

# RFC 6120 §8.3.3: the type that goes with each condition.
CONDITIONS: dict[str, str] = {
    "bad-request": "modify", "conflict": "cancel", "feature-not-implemented": "cancel", "forbidden": "auth",
    "gone": "cancel", "internal-server-error": "cancel", "item-not-found": "cancel", "jid-malformed": "modify",
    "not-acceptable": "modify", "not-allowed": "cancel", "not-authorized": "auth", "policy-violation": "modify",
    "recipient-unavailable": "wait", "redirect": "modify", "registration-required": "auth",
    "remote-server-not-found": "cancel", "remote-server-timeout": "wait", "resource-constraint": "wait",
    "service-unavailable": "cancel", "subscription-required": "auth", "undefined-condition": "cancel",
    "unexpected-request": "wait",
}  # fmt: skip


class StanzaError(Exception):
    """What is wrong with one stanza: raised by whoever handles it, answered in one place; the stream lives on."""

    def __init__(self, condition: str, text: str = "", *extra: Element, type: str = "") -> None:
        super().__init__(condition)
        self.condition = condition
        self.text = text
        self.extra = extra
        self.type = type or CONDITIONS[condition]

    def element(self) -> Element:
        """The `<error/>`."""
        made = element(f"{{{CLIENT}}}error", {"type": self.type}, f"{{{STANZA_ERRORS}}}{self.condition}")
        if self.text:
            made.append(element(f"{{{STANZA_ERRORS}}}text", {LANG: "en"}, text=self.text))
        made.extend(self.extra)
        return made


@dataclass(slots=True, eq=False)
class Stanza:
    """`kind` is message, presence or iq. Attributes that are absent are None, and `lang` is `xml:lang`.

    `inside` are the octets between its tags, `children` the names of the elements there, `extra` what else its start
    tag holds: prefixes that its inside uses, and attributes that nobody here knows.
    """

    kind: str
    type: str | None = None
    to: str | None = None
    sender: str | None = None
    id: str | None = None
    lang: str | None = None
    inside: bytes = b""
    children: tuple[str, ...] = ()
    extra: str = ""
    _element: Element | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"<{self.octets().decode('utf-8', 'replace')}>"

    def but(self, **changes: Any) -> Stanza:
        """The same with other fields."""
        other = Stanza(
            self.kind, self.type, self.to, self.sender, self.id, self.lang, self.inside, self.children, self.extra
        )  # fmt: skip
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    def octets(self) -> bytes:
        """As it is sent on a stream whose default namespace is the content namespace."""
        start = self.kind
        if self.sender is not None:  # one after another: a loop costs twice the time, for each stanza that is delivered
            start += f" from='{escaped(self.sender)}'"
        if self.to is not None:
            start += f" to='{escaped(self.to)}'"
        if self.id is not None:
            start += f" id='{escaped(self.id)}'"
        if self.type is not None:
            start += f" type='{escaped(self.type)}'"
        if self.lang is not None:
            start += f" xml:lang='{escaped(self.lang)}'"
        if not self.inside:
            return f"<{start}{self.extra}/>".encode()
        return b"<%b>%b</%b>" % ((start + self.extra).encode(), self.inside, self.kind.encode())

    # ── looking into it ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def element(self) -> Element:
        """It as a tree, with every element that it holds. Shared: not to be changed."""
        if self._element is None:
            self._element = ElementTree.fromstring(_SCOPE + self.octets() + b"</x>")[0]
        return self._element

    def child(self, name: str, space: str = CLIENT) -> Element | None:
        """The first child of this name."""
        return self.element.find(f"{{{space}}}{name}") if f"{{{space}}}{name}" in self.children else None

    def text(self, name: str, space: str = CLIENT) -> str:
        """The text of the first child of this name; "" when there is none."""
        found = self.child(name, space)
        return "" if found is None else found.text or ""

    @property
    def payload(self) -> str:
        """The name of the first child, as `{namespace}name`; "" when there is none."""
        return self.children[0] if self.children else ""

    @property
    def body(self) -> str:
        """A message's first body."""
        return self.text("body")

    @property
    def subject(self) -> str:
        """A message's first subject."""
        return self.text("subject")

    @property
    def thread(self) -> str:
        """A message's thread."""
        return self.text("thread")

    @property
    def delayed(self) -> bool:
        """Whether somebody kept it on its way (XEP-0203)."""
        return f"{{{DELAY}}}delay" in self.children

    @property
    def condition(self) -> str:
        """The condition of an error: `service-unavailable`; "" when it is none."""
        error = self.child("error")
        for one in error if error is not None else ():
            if namespace(one.tag) == STANZA_ERRORS and local(one.tag) != "text":
                return local(one.tag)
        return ""

    # ── answering it ─────────────────────────────────────────────────────────────────────────────────────────────

    def result(self, *inside: Element) -> Stanza:
        """The answer of type result (RFC 6120 §8.2.3)."""
        return made("iq", type="result", to=self.sender, sender=self.to, id=self.id, inside=inside)

    def error(self, error: StanzaError) -> Stanza:
        """The answer of type error: same kind and id, addresses exchanged, what was sent inside (RFC 6120 §8.3.1)."""
        said = written(error.element()).encode()
        return self.but(
            type="error", to=self.sender, sender=self.to, id=self.id if self.id is not None or self.kind != "iq" else "",
            inside=self.inside + said, children=(*self.children, f"{{{CLIENT}}}error"),
        )  # fmt: skip


def made(
    kind: str,
    *,
    type: str | None = None,
    to: str | None = None,
    sender: str | None = None,
    id: str | None = None,
    lang: str | None = None,
    inside: Iterable[Element] = (),
) -> Stanza:
    """A stanza of the server's own."""
    elements = list(inside)
    text = "".join(map(written, elements)).encode()
    return Stanza(kind, type, to, sender, id, lang, text, tuple(one.tag for one in elements))


def with_child(stanza: Stanza, child: Element, **changes: Any) -> Stanza:
    """The same with one element more."""
    inside = stanza.inside + written(child).encode()
    return stanza.but(inside=inside, children=(*stanza.children, child.tag), **changes)


_KNOWN = {"type", "to", "from", "id", LANG[1:]}


def from_piece(piece: Piece) -> Stanza:
    """The stanza that came on a stream."""
    attributes = piece.attributes
    raw = piece.raw
    end = raw.rfind(b"<") if raw[piece.tag_end - 2] != 0x2F else piece.tag_end
    stanza = Stanza(
        local(piece.name), attributes.get("type"), attributes.get("to"), attributes.get("from"), attributes.get("id"),
        attributes.get(LANG[1:]), raw[piece.tag_end : end], piece.children,
    )  # fmt: skip
    if piece.declared or not attributes.keys() <= _KNOWN:
        stanza.extra = _extra(piece)
    return _rewritten(stanza) if piece.odd else stanza


def _extra(piece: Piece) -> str:
    prefixes = dict(piece.declared)
    text = "".join(f" xmlns:{prefix}='{escaped(uri)}'" for prefix, uri in prefixes.items())
    for name, value in piece.attributes.items():
        space, brace, plain = name.rpartition("}")
        if name in _KNOWN:
            continue
        prefix = next((prefix for prefix, uri in prefixes.items() if uri == space), "xml")
        text += f" {prefix}:{plain}='{escaped(value)}'" if brace else f" {name}='{escaped(value)}'"
    return text


def _rewritten(stanza: Stanza) -> Stanza:
    """Without prefixes for the content namespace: all of its inside written anew."""
    tree = stanza.element
    inside = escaped(tree.text or "") + "".join(written(one) + escaped(one.tail or "") for one in tree)
    return stanza.but(inside=inside.encode(), extra="")


def parsed(text: str | bytes) -> Stanza:
    """The stanza that a text says, its default namespace being the content namespace. Raises ValueError."""
    raw = text.encode() if isinstance(text, str) else text
    buffer = bytearray(_SCOPE + raw)
    splitter = Splitter()
    splitter.next(buffer)
    piece = splitter.next(buffer)
    if piece is None or piece.kind != "element" or piece.name not in KINDS or piece.prefixed or buffer.strip():
        raise ValueError(f"this is not one stanza: {raw.decode('utf-8', 'replace')!r}")
    return from_piece(piece)

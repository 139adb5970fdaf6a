"""Messages, presence and queries: elements read into values, and built from them.

`reason_to_ignore` is the rule of whom to obey: a program that acts on a message asks it first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement

from comms.errors import CommsError, Refused, TryLater
from comms.xmpp.addresses import Jid
from comms.xmpp.stream import CLIENT, LANG, split_tag

STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ROSTER = "jabber:iq:roster"
PING = "urn:xmpp:ping"
ROOM_USER = "http://jabber.org/protocol/muc#user"
_DELAY = ("{urn:xmpp:delay}delay", "{jabber:x:delay}x")  # XEP-0203, and XEP-0091 before it
_COPIES = frozenset({  # what holds somebody else's stanza: carbons, forwarding, archives
    "{urn:xmpp:carbons:2}received", "{urn:xmpp:carbons:2}sent", "{urn:xmpp:forward:0}forwarded", "{urn:xmpp:mam:2}result",
})  # fmt: skip

MESSAGE, PRESENCE, IQ = (f"{{{CLIENT}}}{name}" for name in ("message", "presence", "iq"))
_TYPES = ("chat", "error", "groupchat", "headline", "normal")
_SHOWS = ("away", "chat", "dnd", "xa")


@dataclass(frozen=True)
class Message:
    """A message. `sender` is None for what the server says in the account's own name; `at` is when it was sent, as far
    as is known, in seconds since the epoch; `element` is the whole stanza."""

    sender: Jid | None
    text: str
    kind: str = "normal"  # chat, error, groupchat, headline, normal
    id: str = ""
    thread: str = ""
    subject: str = ""
    at: float = 0.0
    delayed: bool = False  # it was stored somewhere before it came
    element: Element = field(default_factory=lambda: Element(MESSAGE), repr=False, compare=False)

    def reply(self, text: str) -> Element:
        """The answer: to the resource that asked, of the same type, in the same thread (RFC 6121 §5.1, §5.2.5)."""
        return message(self.sender, text, self.kind, self.thread)


@dataclass(frozen=True)
class Presence:
    """How one resource, or a contact as a whole, can be reached. `show` is available, chat, away, xa, dnd or
    unavailable; `kind` is the stanza's type (empty for available)."""

    sender: Jid | None
    show: str = "available"
    text: str = ""
    priority: int = 0
    kind: str = ""
    element: Element = field(default_factory=lambda: Element(PRESENCE), repr=False, compare=False)


def read_message(element: Element, now: float) -> Message:
    """A message as a value. Raises ValueError when its `from` is no address."""
    delays = [element.find(tag) for tag in _DELAY]
    delay = next((one for one in delays if one is not None), None)
    kind = element.get("type", "normal")
    return Message(
        _sender(element),
        _text(element, "body"),
        kind if kind in _TYPES else "normal",  # RFC 6121 §5.2.2
        element.get("id", ""),
        _text(element, "thread"),
        _text(element, "subject"),
        now if delay is None else _moment(delay.get("stamp", ""), now),
        delay is not None,
        element,
    )


def read_presence(element: Element) -> Presence:
    """A presence as a value. Raises ValueError when its `from` is no address."""
    kind = element.get("type", "")
    show = _text(element, "show").strip()
    number = _text(element, "priority").strip()
    return Presence(
        _sender(element),
        "unavailable" if kind else show if show in _SHOWS else "available",
        _text(element, "status"),
        int(number) if re.fullmatch("-?[0-9]{1,3}", number) else 0,
        kind,
        element,
    )


def reason_to_ignore(message: Message, own: Jid, rooms: object = (), delayed: bool = False) -> str:
    """Why this message is not one that a program should act on; empty when it is.

    It must come from an account (not a server, not a room, not ourselves), be of type chat or normal, hold a text, and
    have come straight away (`delayed` lets stored ones pass). What it forwards of others proves nothing (XEP-0280 §11).
    """
    sender = message.sender
    if message.kind not in ("chat", "normal"):
        return f"it is of type {message.kind}"
    if sender is None or sender.bare == own.bare:
        return "it comes from our own account"
    if not sender.is_account:
        return "it comes from a server, not from an account"
    # XEP-0045 §7.5: in a room's private message the account is the room; everyone in it would be the administrator
    if any(child.tag.startswith(f"{{{ROOM_USER}}}") for child in message.element):
        return "it comes from a room"
    if isinstance(rooms, dict | set | frozenset) and sender.bare in rooms:
        return "it comes from a room"
    if any(child.tag in _COPIES for child in message.element):
        return "it holds a copy of another message, which anybody can make up"
    if message.delayed and not delayed:
        return "it was stored before it came"
    if not message.text.strip():
        return "it has no text"
    return ""


# ── building ─────────────────────────────────────────────────────────────────


def message(to: Jid | None, text: str, kind: str = "chat", thread: str = "") -> Element:
    """A message."""
    element = Element(MESSAGE, {"type": kind})
    if to is not None:
        element.set("to", str(to))
    SubElement(element, f"{{{CLIENT}}}body").text = text
    if thread:
        SubElement(element, f"{{{CLIENT}}}thread").text = thread
    return element


def presence(
    to: Jid | None = None, kind: str = "", show: str = "", text: str = "", priority: int = 0
) -> Element:
    """A presence: to everybody who may know, or to one. `show` is away, chat, dnd, xa, or nothing."""
    element = Element(PRESENCE)
    if to is not None:
        element.set("to", str(to))
    if kind:
        element.set("type", kind)
    for name, value in (("show", show), ("status", text), ("priority", str(priority or ""))):
        if value:
            SubElement(element, f"{{{CLIENT}}}{name}").text = value
    return element


def iq(kind: str, child: Element | None = None, to: Jid | None = None) -> Element:
    """A query or its answer: `kind` is get, set, result."""
    element = Element(IQ, {"type": kind})
    if to is not None:
        element.set("to", str(to))
    if child is not None:
        element.append(child)
    return element


def result(query: Element, child: Element | None = None) -> Element:
    """The result of a query (RFC 6120 §8.2.3)."""
    return _back(query, iq("result", child))


def error(query: Element, condition: str, kind: str = "cancel") -> Element:
    """The refusal of a query (RFC 6120 §8.3)."""
    element = _back(query, iq("error"))
    SubElement(
        SubElement(element, f"{{{CLIENT}}}error", {"type": kind}), f"{{{STANZA_ERRORS}}}{condition}"
    )
    return element


def _back(query: Element, element: Element) -> Element:
    for name, other in (("to", "from"), ("id", "id")):
        value = query.get(other)
        if value is not None:
            element.set(name, value)
    return element


def condition(element: Element) -> str:
    """The condition of a stanza of type error: `item-not-found`, `remote-server-not-found` … (RFC 6120 §8.3.3)."""
    found = element.find(f"{{{CLIENT}}}error")
    names = [split_tag(child) for child in found] if found is not None else []
    return next(
        (name for space, name in names if space == STANZA_ERRORS and name != "text"),
        "undefined-condition",
    )


def as_exception(element: Element, what: str) -> CommsError:
    """A stanza of type error as an exception: TryLater when it says wait, else Refused."""
    found = element.find(f"{{{CLIENT}}}error")
    text = found.findtext(f"{{{STANZA_ERRORS}}}text") if found is not None else ""
    kind = TryLater if found is not None and found.get("type") == "wait" else Refused
    return kind(
        f"{what}: {condition(element)}"
        + (f" ({text.strip()[:200]})" if text and text.strip() else "")
    )


# ── reading ──────────────────────────────────────────────────────────────────


def _sender(element: Element) -> Jid | None:
    text = element.get("from")
    return None if text is None else Jid.parse(text)


def _text(element: Element, name: str) -> str:
    """The text of a child; of several in different languages the one that names none, else the first."""
    found = [child for child in element if child.tag == f"{{{CLIENT}}}{name}"]
    best = next((child for child in found if child.get(LANG) is None), found[0] if found else None)
    return "" if best is None else best.text or ""


def _moment(stamp: str, now: float) -> float:
    """XEP-0082's time, or XEP-0091's, in seconds since the epoch; now when it says nothing."""
    legacy = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d:\d\d:\d\d)", stamp)
    try:
        moment = datetime.fromisoformat(
            "{}-{}-{}T{}".format(*legacy.groups()) if legacy else stamp.replace("Z", "+00:00")
        )
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return now

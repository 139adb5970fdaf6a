"""Messages, presence and queries: read from XML elements, and built as elements.

`reason_to_ignore` decides which messages a program may act on. The client applies it to everything
that it returns.
"""

from __future__ import annotations

import re
from collections.abc import Container
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
# Elements that contain the stanza of another user: carbons, forwarding and archives.
_COPIES = frozenset(
    {
        "{urn:xmpp:carbons:2}received",
        "{urn:xmpp:carbons:2}sent",
        "{urn:xmpp:forward:0}forwarded",
        "{urn:xmpp:mam:2}result",
    }
)

# Conditions that pass, whatever type of error a server calls them (RFC 6120 §8.3.3): a server that
# restarts or is overloaded often answers `cancel` where it means `wait`.
PASSING = frozenset(
    "internal-server-error recipient-unavailable remote-server-timeout resource-constraint".split()
)

MESSAGE, PRESENCE, IQ = (f"{{{CLIENT}}}{name}" for name in ("message", "presence", "iq"))
_TYPES = ("chat", "error", "groupchat", "headline", "normal")
_SHOWS = ("away", "chat", "dnd", "xa")


@dataclass(frozen=True)
class Message:
    """A message.

    `sender` is None if the server writes on behalf of our own account. `at` is when it was sent, as
    far as known, in seconds since the epoch. `element` is the whole stanza.
    """

    sender: Jid | None
    text: str
    kind: str = "normal"  # chat, error, groupchat, headline, normal
    id: str = ""
    thread: str = ""
    subject: str = ""
    at: float = 0.0
    delayed: bool = False  # it was stored somewhere before it arrived
    element: Element = field(default_factory=lambda: Element(MESSAGE), repr=False, compare=False)

    def reply(self, text: str) -> Element:
        """Returns an answer: to the same resource, of the same type, in the same thread.

        RFC 6121 §5.1, §5.2.5.
        """
        return message(self.sender, text, self.kind, self.thread)


@dataclass(frozen=True)
class Presence:
    """How one resource, or a contact as a whole, can be reached.

    `show` is available, chat, away, xa, dnd or unavailable. `kind` is the type of the stanza, empty
    for available.
    """

    sender: Jid | None
    show: str = "available"
    text: str = ""
    priority: int = 0
    kind: str = ""
    element: Element = field(default_factory=lambda: Element(PRESENCE), repr=False, compare=False)


# ── reading ──────────────────────────────────────────────────────────────────


def read_message(element: Element, now: float) -> Message:
    """Returns a message as a value. Raises ValueError if its `from` is not an address."""
    delays = (element.find(tag) for tag in _DELAY)
    delay = next((found for found in delays if found is not None), None)
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
    """Returns a presence as a value. Raises ValueError if its `from` is not an address."""
    kind = element.get("type", "")
    show = _text(element, "show").strip()
    priority = _text(element, "priority").strip()
    return Presence(
        _sender(element),
        "unavailable" if kind else show if show in _SHOWS else "available",
        _text(element, "status"),
        int(priority) if re.fullmatch("-?[0-9]{1,3}", priority) else 0,
        kind,
        element,
    )


def reason_to_ignore(
    message: Message, own: Jid, rooms: Container[Jid] = (), delayed: bool = False
) -> str:
    """Returns why a program should not act on a message; "" if it may.

    It may if the message comes from an account (not a server, a room or ourselves), is of type chat
    or normal, has a text, and was not stored on the way (which `delayed` allows).
    """
    sender = message.sender
    if message.kind not in ("chat", "normal"):
        return f"it is of type {message.kind}"
    if sender is None or sender.bare == own.bare:
        return "it comes from our own account"
    if not sender.is_account:
        return "it comes from a server, not from an account"
    # XEP-0045 §7.5: a private message in a room comes from the room's address. If a room were an
    # administrator, everybody in it would be one.
    in_room = any(child.tag.startswith(f"{{{ROOM_USER}}}") for child in message.element)
    if in_room or sender.bare in rooms:
        return "it comes from a room"
    # XEP-0280 §11: a forwarded stanza proves nothing about its sender.
    if any(child.tag in _COPIES for child in message.element):
        return "it contains a copy of another message, which can be forged"
    if message.delayed and not delayed:
        return "it was stored before it arrived"
    if not message.text.strip():
        return "it has no text"
    return ""


def condition(element: Element) -> str:
    """Returns the condition of a stanza of type error (RFC 6120 §8.3.3), as `item-not-found`."""
    found = element.find(f"{{{CLIENT}}}error")
    names = [split_tag(child) for child in found] if found is not None else []
    conditions = (name for space, name in names if space == STANZA_ERRORS and name != "text")
    return next(conditions, "undefined-condition")


def as_exception(element: Element, what: str) -> CommsError:
    """Returns a stanza of type error as an exception: TryLater if the state passes, else Refused.

    It does if the error is of type wait, or if its condition is one that passes.
    """
    found = element.find(f"{{{CLIENT}}}error")
    text = found.findtext(f"{{{STANZA_ERRORS}}}text") if found is not None else ""
    waits = found is not None and found.get("type") == "wait"
    kind = TryLater if waits or condition(element) in PASSING else Refused
    details = f" ({text.strip()[:200]})" if text and text.strip() else ""
    return kind(f"{what}: {condition(element)}{details}")


def _sender(element: Element) -> Jid | None:
    text = element.get("from")
    return None if text is None else Jid.parse(text)


def _text(element: Element, name: str) -> str:
    """Returns the text of a child; of several ones, the one without a language, or the first."""
    found = [child for child in element if child.tag == f"{{{CLIENT}}}{name}"]
    first = found[0] if found else None
    best = next((child for child in found if child.get(LANG) is None), first)
    return "" if best is None else best.text or ""


def _moment(stamp: str, now: float) -> float:
    """Returns a time as in XEP-0082 or XEP-0091, in seconds since the epoch; `now` if invalid."""
    legacy = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d:\d\d:\d\d)", stamp)
    text = "{}-{}-{}T{}".format(*legacy.groups()) if legacy else stamp.replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return now


# ── building ─────────────────────────────────────────────────────────────────


def message(to: Jid | None, text: str, kind: str = "chat", thread: str = "") -> Element:
    """Returns a message. In its text, control characters and the like will be sent as U+FFFD."""
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
    """Returns a presence, for everybody who may see us, or for one address.

    `show` is away, chat, dnd or xa, or empty for plainly available.
    """
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
    """Returns a query or its answer. `kind` is get, set, result or error."""
    element = Element(IQ, {"type": kind})
    if to is not None:
        element.set("to", str(to))
    if child is not None:
        element.append(child)
    return element


def result(query: Element, child: Element | None = None) -> Element:
    """Returns the result of a query (RFC 6120 §8.2.3)."""
    return _addressed(query, iq("result", child))


def error(query: Element, condition: str, kind: str = "cancel") -> Element:
    """Returns the refusal of a query (RFC 6120 §8.3)."""
    element = _addressed(query, iq("error"))
    child = SubElement(element, f"{{{CLIENT}}}error", {"type": kind})
    SubElement(child, f"{{{STANZA_ERRORS}}}{condition}")
    return element


def _addressed(query: Element, answer: Element) -> Element:
    """Addresses an answer to the sender of the query, with the query's id."""
    for name, source in (("to", "from"), ("id", "id")):
        value = query.get(source)
        if value is not None:
            answer.set(name, value)
    return answer

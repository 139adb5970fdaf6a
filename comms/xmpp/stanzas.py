"""Messages, presence and queries: read from XML elements, and built as elements.

`reason_to_ignore` decides which messages a program may act on. The client applies it to everything
that it returns.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement

from comms.errors import CommsError, Refused, TryLater
from comms.xmpp import payloads
from comms.xmpp.addresses import Jid
from comms.xmpp.stream import CLIENT, LANG, split_tag, to_bytes

STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ROSTER = "jabber:iq:roster"
_STABLE = "urn:xmpp:sid:0"
PING = "urn:xmpp:ping"
RECEIPTS = "urn:xmpp:receipts"
ROOM_USER = "http://jabber.org/protocol/muc#user"
_in_room = re.compile(re.escape(f"{{{ROOM_USER}}}")).match  # whether a tag is one of a room's
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
_BODY, _THREAD, _SUBJECT = (f"{{{CLIENT}}}{name}" for name in ("body", "thread", "subject"))
_SHOW, _PRIORITY, _STATUS = (f"{{{CLIENT}}}{name}" for name in ("show", "priority", "status"))
_SHOWS = ("away", "chat", "dnd", "xa")

LONGEST = 10_000  # bytes that every server accepts (RFC 6120 §13.12); more could cost the stream
RESERVED = 64  # bytes of a message for what is added when it is sent, such as its id
TOO_LONG = "The answer is too long for one message."


# Not frozen, though nothing changes it: to make it would take four times as long, which is a
# fifteenth of what it takes to receive a message.
@dataclass(slots=True, unsafe_hash=True)
class Message:
    """A message.

    `sender` is None if the server writes on behalf of our own account. `at` is when it was sent, as
    far as known, in seconds since the epoch. `element` is the whole stanza. `error` is the
    condition of a message of type error, such as `item-not-found`. `unreadable` says, as a sentence
    for the sender, why a message without a text cannot be read.
    """

    sender: Jid | None
    text: str
    kind: str = "normal"  # chat, error, groupchat, headline, normal
    id: str = ""
    thread: str = ""
    subject: str = ""
    at: float = 0.0
    delayed: bool = False  # it was stored somewhere before it arrived
    error: str = ""
    unreadable: str = ""
    element: Element = field(default_factory=lambda: Element(MESSAGE), repr=False, compare=False)

    @property
    def keys(self) -> tuple[str, ...]:
        """What identifies the message: who has sent it, and each id that it has.

        A copy that comes again, from an archive or after a lost connection, has the same. It is
        empty for a message without an id.
        """
        ids = [self.id]
        archived = []  # XEP-0359: the id of its author, and those of the archives on the way
        for child in self.element:
            if child.tag == f"{{{_STABLE}}}origin-id":
                ids.append(child.get("id", ""))
            elif child.tag == f"{{{_STABLE}}}stanza-id" and child.get("id"):
                archived.append(f"{child.get('by', '')} {child.get('id')}")
        found = [*(self._key(id) for id in ids if id), *map(self._key, archived)]
        return tuple(dict.fromkeys(found))

    @property
    def replaces(self) -> str:
        """The key of the message that this one corrects (XEP-0308), "" if it corrects none.

        A user can correct only what the same user has sent.
        """
        found = self.element.find("{urn:xmpp:message-correct:0}replace")
        return self._key(found.get("id", "")) if found is not None and found.get("id") else ""

    def _key(self, id: str) -> str:
        digest = hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()  # an id may be long
        return f"xmpp:{self.sender.bare if self.sender else ''}:{digest}"

    def reply(self, text: str) -> Element:
        """Returns an answer: to the same resource, of the same type, in the same thread.

        RFC 6121 §5.1, §5.2.5. What a stranger has written may make it too long: then it is a short
        one (`fitting`).
        """
        text, thread = fitting(self.sender, text, self.kind, self.thread)
        return message(self.sender, text, self.kind, thread)


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
    texts = _texts(element)
    delay = None
    for tag in _DELAY:
        if tag in texts and delay is None:
            delay = element.find(tag)
    kind = element.get("type", "normal")
    text, unreadable = texts.get(_BODY, ""), ""
    if payloads.is_encrypted(texts.keys(), text):
        text, unreadable = "", payloads.ENCRYPTED
    elif text.strip() and not (text := payloads.own_text(element, text)).strip():
        pass  # only other clients say something
    elif not text.strip():
        text = payloads.other_text(element) or text
        unreadable = "" if text.strip() else payloads.explanation(element)
    return Message(
        _sender(element),
        text,
        kind if kind in _TYPES else "normal",  # RFC 6121 §5.2.2
        element.get("id", ""),
        texts.get(_THREAD, ""),
        texts.get(_SUBJECT, ""),
        now if delay is None else _moment(delay.get("stamp", ""), now),
        delay is not None,
        condition(element) if kind == "error" else "",
        unreadable,
        element,
    )


def read_presence(element: Element) -> Presence:
    """Returns a presence as a value. Raises ValueError if its `from` is not an address."""
    texts = _texts(element)
    kind = element.get("type", "")
    show = texts.get(_SHOW, "").strip()
    priority = texts.get(_PRIORITY, "").strip()
    return Presence(
        _sender(element),
        "unavailable" if kind else show if show in _SHOWS else "available",
        texts.get(_STATUS, ""),
        int(priority) if re.fullmatch("-?[0-9]{1,3}", priority) else 0,
        kind,
        element,
    )


def reason_to_ignore(
    message: Message, own: Jid, rooms: Container[Jid] = (), delayed: bool = False
) -> str:
    """Returns why a program should not act on a message; "" if it may.

    It may if the message comes from an account (not a server, a room or ourselves), is of type chat
    or normal, has a text or would have one that we cannot read, and was not stored on the way
    (which `delayed` allows).
    """
    sender = message.sender
    if message.kind not in ("chat", "normal"):
        return f"it is of type {message.kind}"
    account = None if sender is None else sender.bare
    if sender is None or account == own.bare:
        return "it comes from our own account"
    if not sender.is_account:
        return "it comes from a server, not from an account"
    # XEP-0045 §7.5: a private message in a room comes from the room's address. If a room were an
    # administrator, everybody in it would be one.
    tags = [child.tag for child in message.element]
    if account in rooms or any(map(_in_room, tags)):
        return "it comes from a room"
    # XEP-0280 §11: a forwarded stanza proves nothing about its sender.
    if not _COPIES.isdisjoint(tags):
        return "it contains a copy of another message, which can be forged"
    if message.delayed and not delayed:
        return "it was stored before it arrived"
    if not message.text.strip() and not message.unreadable:
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


def _texts(element: Element) -> dict[str, str]:
    """Returns the texts of the children by tag.

    Of several with the same tag it is that of the first one without a language, or of the first.
    """
    best: dict[str, Element] = {}
    for child in element:
        tag = child.tag
        if tag not in best or (best[tag].get(LANG) is not None and child.get(LANG) is None):
            best[tag] = child
    return {tag: child.text or "" for tag, child in best.items()}


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


def receipt(received: Message) -> Element:
    """Returns the receipt for a message (XEP-0184)."""
    element = Element(MESSAGE, {"type": received.kind, "to": str(received.sender)})
    SubElement(element, f"{{{RECEIPTS}}}received", {"id": received.id})
    return element


def checked_bytes(element: Element) -> bytes:
    """Returns a stanza as XML. Raises ValueError if it is too long for some server."""
    data = to_bytes(element)
    if len(data) > LONGEST:
        name = split_tag(element)[1]
        raise ValueError(
            f"the {name} is too long: {len(data)} bytes, and not every server takes more than "
            f"{LONGEST} (RFC 6120 §13.12): split it"
        )
    return data


def fitting(to: Jid | None, text: str, kind: str, thread: str) -> tuple[str, str]:
    """Returns (text, thread) of an answer that every server accepts (RFC 6120 §13.12).

    An answer that is too long has no thread, or if that is not enough, a short text.
    """
    for candidate in ((text, thread), (text, ""), (TOO_LONG, thread)):
        if len(to_bytes(message(to, candidate[0], kind, candidate[1]))) <= LONGEST - RESERVED:
            return candidate
    return TOO_LONG, ""


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

"""Messengers, XHTML-IM, and the book of what was sent, of im-templates."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Protocol
from xml.etree.ElementTree import Element, SubElement, tostring

from comms.clock import Clock
from comms.errors import CommsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.settings import Settings
from comms.state import State
from comms.toc.client import Client as Aim
from comms.xmpp import Client as Jabber
from comms.xmpp import Jid, stanzas
from comms.xmpp.stream import CLIENT

XHTML = "http://www.w3.org/1999/xhtml"
# What XEP-0071 §6 lets a client show, as far as a message needs it; of the rest the text stays.
ELEMENTS = {"p", "br", "em", "strong", "a", "ul", "ol", "li", "blockquote", "span"}
SAME = {"b": "strong", "i": "em"}
HIDDEN = {"script", "style", "head", "title"}


@dataclass(frozen=True)
class Written:
    """A message that is ready to be sent."""

    network: str
    to: str
    subject: str
    text: str
    xhtml: Element | None = None


# ── XHTML-IM ─────────────────────────────────────────────────────────────────


def xhtml(html: str) -> Element:
    """Returns HTML as the element of a message, with what is allowed there (XEP-0071 §6)."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    whole = Element("{http://jabber.org/protocol/xhtml-im}html")
    whole.append(reader.body)
    return whole


class _Reader(HTMLParser):
    """Builds the body. An element that is never closed ends where it must, as in a browser."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Element(f"{{{XHTML}}}body")
        self._open = [self.body]
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = SAME.get(tag, tag)
        self._hidden += tag in HIDDEN
        if name not in ELEMENTS or self._hidden:
            return
        if name in ("p", "ul", "ol", "blockquote"):
            self._end("p")
        if name == "li":
            self._end("li")
        new = SubElement(self._open[-1], f"{{{XHTML}}}{name}")
        target = dict(attrs).get("href") or ""
        if name == "a" and target.partition(":")[0].lower() in ("http", "https", "mailto"):
            new.set("href", target)
        if name != "br":
            self._open.append(new)

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in HIDDEN))
        self._end(SAME.get(tag, tag))

    def handle_data(self, data: str) -> None:
        here = self._open[-1]
        if self._hidden:
            return
        if len(here):
            here[-1].tail = (here[-1].tail or "") + data
        else:
            here.text = (here.text or "") + data

    def _end(self, name: str) -> None:
        """Closes the innermost open element of this name, and all that is open in it."""
        for at in range(len(self._open) - 1, 0, -1):
            if self._open[at].tag == f"{{{XHTML}}}{name}":
                del self._open[at:]
                return


# ── the messengers ───────────────────────────────────────────────────────────


class Messenger(Protocol):
    """A network that is open. `send` raises CommsError and ValueError."""

    def send(self, message: Written) -> None:
        """Sends a message."""

    def returned(self, wait: float) -> Iterator[tuple[str, str]]:
        """Yields the receiver and the error of what comes back within that many seconds."""


class JabberMessenger:
    """Jabber: a text, a subject, and XHTML-IM."""

    def __init__(self, jabber: Jabber, clock: Clock) -> None:
        self._jabber, self._clock = jabber, clock

    def send(self, message: Written) -> None:
        """Sends a message; without the XHTML, if it would be too long with it."""
        element = stanzas.message(Jid.parse(message.to), message.text)
        SubElement(element, f"{{{CLIENT}}}subject").text = message.subject
        rich = tostring(message.xhtml) if message.xhtml is not None else b""
        if (
            message.xhtml is not None
            and len(rich) + len(message.text.encode()) < stanzas.LONGEST / 2
        ):
            element.append(message.xhtml)
        self._jabber.send(element)

    def returned(self, wait: float) -> Iterator[tuple[str, str]]:
        """Waits, and yields what has come back."""
        self._jabber.wait(self._clock.time() + wait)
        for message in self._jabber.returned_messages():
            yield str(message.sender.bare if message.sender else ""), message.error


class AimMessenger:
    """AIM: the text; the server says at once if nobody of that name is online."""

    def __init__(self, aim: Aim) -> None:
        self._aim = aim

    def send(self, message: Written) -> None:
        """Sends a message."""
        if not self._aim.send_im(message.to, message.text):
            raise Unknown("the server does not say whether it has arrived")

    def returned(self, wait: float) -> Iterator[tuple[str, str]]:
        """Nothing comes back later."""
        yield from ()


@contextlib.contextmanager
def _open_jabber(settings: Settings, clock: Clock, host: Host) -> Iterator[Messenger]:
    with Jabber(settings.server("xmpp"), clock, host) as jabber:
        yield JabberMessenger(jabber, clock)


@contextlib.contextmanager
def _open_aim(settings: Settings, clock: Clock, host: Host) -> Iterator[Messenger]:
    with Aim(settings.server("toc"), clock, host) as aim:
        aim.connect()
        yield AimMessenger(aim)


Open = Callable[[Settings, Clock, Host], AbstractContextManager[Messenger]]
MESSENGERS: dict[str, Open] = {"xmpp": _open_jabber, "aim": _open_aim}


# ── the book ─────────────────────────────────────────────────────────────────

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instant_messages (
    key TEXT PRIMARY KEY, address TEXT NOT NULL, status TEXT NOT NULL, trouble TEXT NOT NULL)
"""


class Book:
    """What was sent, in a state file. Every method raises StateError.

    A message is known again by what is in it, so that a corrected one is a new one.
    """

    def __init__(self, state: State, messages: Sequence[Written]) -> None:
        self._state = state
        with state.transaction() as db:
            db.execute(_SCHEMA)
            # These were being sent when an earlier run ended.
            why = "the program ended while it was sent"
            change = "UPDATE instant_messages SET status = 'unknown', trouble = ? WHERE status = ?"
            db.execute(change, (why, "sending"))

    def status(self, message: Written) -> tuple[str, str]:
        """Returns what became of a message, and why: sent, failed, unknown, or waiting."""
        query = "SELECT status, trouble FROM instant_messages WHERE key = ?"
        found = self._state.rows(query, _key(message))
        return (str(found[0][0]), str(found[0][1])) if found else ("waiting", "")

    def is_new(self, message: Written) -> bool:
        """Whether a message was never sent, and never may have been."""
        return self.status(message)[0] == "waiting"

    def send(self, message: Written, messenger: Messenger) -> None:
        """Sends a message that is new, and stores what becomes of it."""
        if not self.is_new(message):
            return  # twice in one file
        self._note(message, "sending")
        try:
            messenger.send(message)
        except Unknown as error:
            self._note(message, "unknown", str(error))
        except (Unreachable, TryLater) as error:
            self._note(message, "waiting", str(error))  # for the next run
        except (CommsError, ValueError) as error:
            self._note(message, "failed", str(error))
        else:
            self._note(message, "sent")

    def came_back(self, network: str, to: str, error: str) -> None:
        """Stores that what was sent to an address has come back."""
        change = "UPDATE instant_messages SET status = 'failed', trouble = ? WHERE address = ?"
        with self._state.transaction() as db:
            db.execute(f"{change} AND status = 'sent'", (error, f"{network}:{to}"))

    def _note(self, message: Written, status: str, trouble: str = "") -> None:
        row = (_key(message), f"{message.network}:{message.to}", status, trouble)
        with self._state.transaction() as db:
            db.execute("INSERT OR REPLACE INTO instant_messages VALUES (?, ?, ?, ?)", row)


def _key(message: Written) -> str:
    content = "\0".join((message.network, message.to, message.subject, message.text))
    return hashlib.sha256(content.encode()).hexdigest()

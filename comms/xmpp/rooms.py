"""A chat room that the client is in: what is said there, and who may speak for whom (XEP-0045).

    room = client.join("ops@conference.example.test", "bot")
    for said in room.received_messages():
        if said.affiliation in ("owner", "admin"):      # as the room says, not the message
            room.say(f"{said.nick}: done")

A nick proves nothing: everybody may choose one that is free. What counts is what the room has said
about the occupant with this nick in its presence: the affiliation, the role, and in some rooms the
real address. All of it is taken at the moment at which a message arrives.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, SubElement

from comms.errors import CommsError, Refused
from comms.host import Host
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.stanzas import ROOM_USER, Message
from comms.xmpp.stream import CLIENT

MUC = "http://jabber.org/protocol/muc"
HELD = 1000  # messages that wait to be taken; of more, the oldest are dropped
OCCUPANTS = 10_000  # occupants that are remembered
NICK = 1023  # bytes

_ITEM = f"{{{ROOM_USER}}}x/{{{ROOM_USER}}}item"
_STATUS = f"{{{ROOM_USER}}}x/{{{ROOM_USER}}}status"
_OCCUPANT_ID = "{urn:xmpp:occupant-id:0}occupant-id"
# Why the room has removed us, by status code (XEP-0045 §16.6).
_REMOVED = {
    "301": "banned",
    "307": "kicked",
    "321": "no longer a member",
    "322": "only members may stay",
    "332": "the service shuts down",
    "333": "an error of the connection",
}


@dataclass(frozen=True)
class Occupant:
    """What the room says about who has a nick. `jid` is None if it keeps the address secret."""

    nick: str
    affiliation: str = "none"
    role: str = "none"
    jid: Jid | None = None


@dataclass(frozen=True)
class Said:
    """A message in a room, and what the room said about its author when it arrived."""

    nick: str
    text: str
    author: Occupant
    id: str = ""
    at: float = 0.0

    @property
    def affiliation(self) -> str:
        """The affiliation of the author: owner, admin, member or none."""
        return self.author.affiliation


class Room:
    """A room. `joined` is whether we are in it; `left_because` says why not."""

    def __init__(self, jid: Jid, nick: str, send: Callable[[Element], None], host: Host) -> None:
        self.jid = jid
        self.nick = nick
        self.subject = ""
        self.joined = False
        self.left_because = ""
        self.refusal: CommsError | None = None  # of the attempt to join
        self.occupants: dict[str, Occupant] = {}
        self.password = ""
        self._send, self._host = send, host
        self._messages: deque[Said] = deque(maxlen=HELD)

    # ── what a program does ──────────────────────────────────────────────────

    def say(self, text: str) -> None:
        """Says something to everybody. Raises Refused if we are not in the room, and as `send`."""
        if not self.joined:
            raise Refused(f"{self.jid}: not in this room ({self.left_because or 'never entered'})")
        self._send(stanzas.message(self.jid, text, "groupchat"))

    def received_messages(self) -> list[Said]:
        """Returns what others have said since the last call; `Client.received_messages` looks."""
        found = list(self._messages)
        self._messages.clear()
        return found

    def leave(self) -> None:
        """Leaves the room."""
        if self.joined:
            self.joined, self.left_because = False, "left"
            self._send(stanzas.presence(self._as(self.nick), "unavailable"))

    # ── what the client does ─────────────────────────────────────────────────

    def enter(self) -> None:
        """Asks to enter, without the history: what was said before is not for a program."""
        presence = stanzas.presence(self._as(self.nick))
        x = SubElement(presence, f"{{{MUC}}}x")
        SubElement(x, f"{{{MUC}}}history", {"maxstanzas": "0"})
        if self.password:
            SubElement(x, f"{{{MUC}}}password").text = self.password
        self.occupants.clear()
        self.refusal = None
        self._send(presence)

    def lost(self) -> None:
        """The session is over, and with it our place in the room."""
        self.occupants.clear()
        self.joined, self.left_because = False, "the connection was lost"

    def on_presence(self, element: Element, sender: Jid) -> None:
        """Handles a presence from the room."""
        kind, nick = element.get("type", ""), sender.resource
        if kind == "error":
            if not self.joined:
                self.refusal = stanzas.as_exception(element, f"{self.jid} cannot be entered")
            return
        codes = {str(status.get("code")) for status in element.iterfind(_STATUS)}
        item = element.find(_ITEM)
        is_own = "110" in codes
        if kind == "unavailable":
            # Who is removed because the room is destroyed is not told so by 110 (XEP-0045 §10.9).
            is_own = is_own or (self.joined and nick == self.nick)
            self.occupants.pop(nick, None)
            if is_own and "303" in codes:
                self.nick = (item.get("nick") if item is not None else "") or self.nick
            elif is_own:
                self.occupants.clear()
                reasons = [text for code, text in _REMOVED.items() if code in codes]
                self.joined = False
                self.left_because = ", ".join(reasons) or self.left_because or "removed"
                self._host.log("room-left", room=str(self.jid), trouble=self.left_because)
            return
        if kind or item is None:
            return
        if nick in self.occupants or len(self.occupants) < OCCUPANTS:
            self.occupants[nick] = Occupant(
                nick, item.get("affiliation", "none"), item.get("role", "none"), _jid(item)
            )
        if is_own:
            self.nick, self.joined, self.left_because = nick, True, ""

    def on_error(self, message: Message) -> None:
        """Handles a message of ours that has come back."""
        # XEP-0045 §7.4: so the room answers who is not in it. A service that was restarted, or that
        # could not be reached, has told nobody that they are out.
        if self.joined and message.sender == self.jid and message.error == "not-acceptable":
            self.occupants.clear()
            self.joined, self.left_because = False, "the room does not know us any more"
            self._host.log("room-left", room=str(self.jid), trouble=self.left_because)

    def on_message(self, message: Message) -> None:
        """Handles a message of type groupchat from the room."""
        sender = message.sender
        if sender is None:
            return
        texts = {child.tag for child in message.element}
        if f"{{{CLIENT}}}subject" in texts and f"{{{CLIENT}}}body" not in texts:
            self.subject = message.subject
            return
        nick = sender.resource
        if not nick or nick == self.nick or message.delayed or not message.text.strip():
            return  # from the room itself, our own, old, or without a text
        author = self.occupants.get(nick)
        if author is None:
            author = Occupant(nick)  # the room has not said who it is: nobody
        self._messages.append(Said(nick, message.text, replace(author), message.id, message.at))

    def _as(self, nick: str) -> Jid:
        return Jid.parse(f"{self.jid}/{nick}")


def _jid(item: Element) -> Jid | None:
    try:
        return Jid.parse(item.get("jid", ""))
    except ValueError:
        return None

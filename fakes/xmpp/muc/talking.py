"""What occupants say: to all, to one, by IQ (XEP-0410; XEP-0045 §7.4, §7.5, §8.1, §17.4)."""

from __future__ import annotations

from fakes.xmpp.addresses import Jid
from fakes.xmpp.extensions.disco import INFO, ITEMS
from fakes.xmpp.extensions.stanza_ids import with_id
from fakes.xmpp.markup import CLIENT, element, namespace
from fakes.xmpp.muc.hall import Hall
from fakes.xmpp.muc.names import X
from fakes.xmpp.offline import may_be_kept
from fakes.xmpp.room import ROLES, Occupant, Room
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza, StanzaError, with_child

PENDING = 1000  # IQs between occupants whose answer is awaited
# Errors that say that a session is gone, for whatever reason (§11.1).
GONE = frozenset(
    "gone item-not-found recipient-unavailable redirect remote-server-not-found "
    "remote-server-timeout service-unavailable".split()
)


PING = "{urn:xmpp:ping}ping"


class Talking(Hall):
    """Messages and IQs of occupants."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        # (who was asked, id) → who asked, and with which id, of IQs between occupants
        self._asked: dict[tuple[str, str], tuple[str, str]] = {}

    # ── messages (§7.4, §7.5, §8.1) ──────────────────────────────────────────

    def _say(self, room: Room, occupant: Occupant | None, stanza: Stanza) -> None:
        """A message for everybody, or another subject."""
        if occupant is None:
            raise StanzaError("not-acceptable", "enter the room first")
        names = stanza.child_names
        body = f"{{{CLIENT}}}body" in names
        # §8.1: with a body or a thread, a subject is that of the message
        subject = f"{{{CLIENT}}}subject" in names and f"{{{CLIENT}}}thread" not in names
        if occupant.role == "visitor":
            raise StanzaError("forbidden", "visitors may only listen")
        may_change = room.config.change_subject or occupant.role == "moderator"
        if subject and not body and not may_change:
            raise StanzaError("forbidden", "only moderators change the subject")
        id = self.service.runtime.token(16)
        message = with_id(self._from(room, occupant, stanza), room.address, id)
        self.service.extensions.said_in_room(room, occupant, message, id)
        now = self.service.runtime.now()
        if subject and not body:
            room.kept.subject = (now, message)
        elif body and may_be_kept(message):
            room.remember(now, message)
        self.send_to_all(room, message)

    def _private_message(
        self, room: Room, occupant: Occupant | None, stanza: Stanza, nick: str
    ) -> None:
        if occupant is None:
            raise StanzaError("not-acceptable", "enter the room first")
        if stanza.type == "groupchat":
            raise StanzaError("bad-request", "groupchat is for the room")
        target = room.occupants.get(nick)
        if target is None:
            raise StanzaError("item-not-found", "nobody here has this nick")
        least = {"anyone": 1, "participants": 2, "moderators": 3, "none": 4}[room.config.private]
        if ROLES.index(occupant.role) < least:
            raise StanzaError("forbidden", "private messages are not allowed")
        # An empty <x/> says that it comes from a room; the sender's own could say anything.
        message = with_child(self._from(room, occupant, stanza), element(X))
        for full in target.sessions:
            self.service.router.route(message.replace(to=full))

    def _returned(self, room: Room, occupant: Occupant | None, stanza: Stanza, to: Jid) -> None:
        """A message that comes back: its session is gone, or a private one was refused."""
        if occupant is None:
            return
        target = room.occupants.get(to.resource)
        if stanza.condition in GONE and (target is None or X not in stanza.child_names):
            self._remove_session(room, stanza.sender or "", ("333",))
        elif target is not None:
            answer = stanza.replace(sender=f"{room.address}/{occupant.nick}")
            for full in target.sessions:
                self.service.router.route(answer.replace(to=full))

    # ── IQs between occupants ────────────────────────────────────────────────

    def _iq(self, room: Room, occupant: Occupant | None, stanza: Stanza, to: Jid) -> bool:
        asks = stanza.type in ("get", "set")
        if not to.resource:
            return False
        if occupant is None:
            if asks:
                # §6.6 for disco; for all else, as XEP-0410 §3.3 says for pings
                about = namespace(stanza.payload) in (INFO, ITEMS)
                condition = "bad-request" if about else "not-acceptable"
                raise StanzaError(condition, "enter the room first")
            return True
        target = room.occupants.get(to.resource)
        sender = f"{room.address}/{occupant.nick}"
        if not asks:
            asker, id = self._asked.pop((stanza.sender or "", stanza.id or ""), ("", ""))
            if asker:
                self.service.router.route(stanza.replace(sender=sender, to=asker, id=id))
            return True
        if target is None:
            raise StanzaError("item-not-found", "nobody here has this nick")
        if target is occupant and stanza.payload == PING:
            self.service.router.route(stanza.result())  # XEP-0410 §3.3: answered by the room
            return True
        # One of the sessions answers, the last one that has sent presence.
        full = next(reversed(target.sessions))
        id = stanza.id or ""
        while (full, id) in self._asked:  # two who ask do not know each other's ids
            id = self.service.runtime.token(16)
        self._asked[full, id] = (stanza.sender or "", stanza.id or "")
        if len(self._asked) > PENDING:
            del self._asked[next(iter(self._asked))]
        self.service.router.route(stanza.replace(sender=sender, to=full, id=id))
        return True

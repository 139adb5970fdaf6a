"""XEP-0425 (0.3.0): a moderator retracts what an occupant has said in a room.

The message is named by the id that the room has given it. All occupants are told, and newcomers do
not get it any more. In the archive there is a tombstone instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast
from xml.etree.ElementTree import Element

from fakes.xmpp.archiving.finding import archive_of
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.retraction import author_of, said, unsay
from fakes.xmpp.extensions.rooms import Rooms
from fakes.xmpp.extensions.stanza_ids import with_id
from fakes.xmpp.markup import element
from fakes.xmpp.muc.names import MODERATED, OCCUPANT, RETRACT
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.room import rank
from fakes.xmpp.stanzas import StanzaError, build_stanza

MODERATION = "urn:xmpp:message-moderate:1"


class Moderation(Extension):
    """What moderators retract."""

    name = "moderation"
    section = "XEP-0425"

    def answers(self) -> Answers:
        return {("service", f"{{{MODERATION}}}moderate"): self._moderate}

    def room_features(self) -> Iterable[str]:
        return (MODERATION,)

    def _moderate(self, request: Request) -> Iterable[Element]:
        rooms = cast("Rooms", self.service.extensions.named("rooms"))
        room = rooms.room_of(request)
        moderator = room.session(request.stanza.sender or "")
        if moderator is None or moderator.role != "moderator":
            raise StanzaError("forbidden", "only moderators retract what others have said")
        asked = request.payload
        if request.stanza.type != "set" or asked.find(RETRACT) is None:
            raise StanzaError("bad-request", "a moderator retracts")
        found = said(self.service, room, asked.get("id", ""))
        if found is None:
            raise StanzaError("item-not-found", "the room does not remember this message")
        # The author may have left, or have another nick.
        author = author_of(found)
        people = room.kept.affiliations
        of_author = (people[who] for who in people if room.occupant_id(who) == author)
        if rank(next(of_author, "none")) > rank(room.affiliation(moderator.bare)):
            raise StanzaError("not-allowed", "they have a higher affiliation")
        who = element(f"{{{OCCUPANT}}}occupant-id", {"id": room.occupant_id(moderator.bare)})
        moderated = element(MODERATED, {"by": f"{room.address}/{moderator.nick}"}, who)
        retract = element(RETRACT, {"id": asked.get("id")}, moderated)
        reason = asked.findtext(f"{{{MODERATION}}}reason")
        if reason:
            retract.append(element(f"{RETRACT.rpartition('}')[0]}}}reason", text=reason))
        token = self.service.runtime.token
        message = build_stanza(
            "message",
            type="groupchat",
            sender=room.address,
            id=token(16),
            children=(retract,),
        )
        unsay(self.service, room, found, asked.get("id", ""), message.id or "", *retract)
        archive = archive_of(self.service)
        if archive is not None:
            id = token(16)
            message = with_id(message, room.address, id)
            archive.add_to_room(room, message, id)
        rooms.send_to_all(room, message)
        return ()

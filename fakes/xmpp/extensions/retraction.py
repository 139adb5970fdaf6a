"""XEP-0424 (0.4.2): an author retracts a message, which a room then does not show to newcomers.

In the archive there is a tombstone instead. Between two users, retractions are passed on, and the
archives of both do the same (`fakes/xmpp/archiving/messages.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.archiving.finding import archive_of
from fakes.xmpp.extension import Extension
from fakes.xmpp.muc.names import OCCUPANT, RETRACT
from fakes.xmpp.room import Occupant, Room
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza, StanzaError

FEATURE = "urn:xmpp:message-retract:1"


class Retraction(Extension):
    """What authors retract."""

    name = "retraction"
    section = "XEP-0424"

    def room_features(self) -> Iterable[str]:
        return (FEATURE,)

    def said_in_room(self, room: Room, occupant: Occupant, message: Stanza, id: str) -> None:
        if RETRACT not in message.child_names:
            return
        retract = message.element.find(RETRACT)
        assert retract is not None
        found = said(self.service, room, retract.get("id", ""))
        if found is None:
            return  # of a message that the room does not remember, clients decide
        # §5: the author is the same user, whatever nick they have now.
        if author_of(found) != room.occupant_id(occupant.bare):
            raise StanzaError("forbidden", "only the author retracts a message")
        unsay(self.service, room, found, retract.get("id", ""), message.id or id)


def said(service: Service, room: Room, id: str) -> Stanza | None:
    """The message to which a room has given this id, in its history or in its archive."""
    archive = archive_of(service)
    return room.said(id) or (archive.said(room, id) if archive is not None else None)


def unsay(
    service: Service, room: Room, message: Stanza, id: str, by: str, *reasons: Element
) -> None:
    """Removes a message from the history; the archive keeps a tombstone (§4).

    `by` is the id of the message that retracts it, and `reasons` are elements of the tombstone.
    """
    room.unsay(message)
    archive = archive_of(service)
    if archive is not None:
        archive.bury(room, id, by, *reasons)


def author_of(message: Stanza) -> str:
    """The occupant id of who has sent a message in a room."""
    child = message.element.find(f"{{{OCCUPANT}}}occupant-id")
    return child.get("id", "") if child is not None else ""

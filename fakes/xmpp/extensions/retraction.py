"""XEP-0424 (0.4.2): an author retracts a message, which a room then does not show to newcomers.

Between two users, retractions are only passed on.
"""

from __future__ import annotations

from collections.abc import Iterable

from fakes.xmpp.extension import Extension
from fakes.xmpp.muc.names import OCCUPANT, RETRACT
from fakes.xmpp.room import Occupant, Room
from fakes.xmpp.stanzas import Stanza, StanzaError

FEATURE = "urn:xmpp:message-retract:1"


class Retraction(Extension):
    """What authors retract in rooms."""

    name = "retraction"
    section = "XEP-0424"

    def room_features(self) -> Iterable[str]:
        return (FEATURE,)

    def said_in_room(self, room: Room, occupant: Occupant, message: Stanza) -> None:
        if RETRACT not in message.child_names:
            return
        retract = message.element.find(RETRACT)
        assert retract is not None
        found = room.said(retract.get("id", ""))
        if found is None:
            return  # of a message that the room does not remember, clients decide
        # §5: the author is the same user, whatever nick they have now.
        if author_of(found) != room.occupant_id(occupant.bare):
            raise StanzaError("forbidden", "only the author retracts a message")
        room.unsay(found)


def author_of(message: Stanza) -> str:
    """The occupant id of who has sent a message in a room."""
    child = message.element.find(f"{{{OCCUPANT}}}occupant-id")
    return child.get("id", "") if child is not None else ""

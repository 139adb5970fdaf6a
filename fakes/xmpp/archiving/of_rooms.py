"""The archives of rooms: what is said to all, and who may read it again (XEP-0313 §6.1.2).

An archive is kept with its room, and is deleted with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import attrgetter
from typing import cast
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.archiving import queries
from fakes.xmpp.archiving.messages import Archived, Messages, tombstone
from fakes.xmpp.archiving.preferences import MAM
from fakes.xmpp.archiving.rules import is_worth_in_room
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.retraction import FEATURE as RETRACTION
from fakes.xmpp.extensions.rooms import Rooms
from fakes.xmpp.markup import element
from fakes.xmpp.muc.names import USER, X
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.room import Occupant, Room, rank
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza, StanzaError, with_child

FEATURES = (MAM, f"{MAM}#extended")
TOMBSTONES = f"{RETRACTION}#tombstone"


class RoomArchives(Extension):
    """The archives of the rooms of a server."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._most = service.policy.archive
        self._most_bytes = service.policy.archive_bytes
        self._said: set[str] = set()

    def answers(self) -> Answers:
        return {
            ("service", queries.QUERY): self._query_room,
            ("service", queries.METADATA): self._metadata_of_room,
        }

    def features_of_rooms(self) -> Iterable[str]:
        return (*FEATURES, *((TOMBSTONES,) if self.service.offers("retraction") else ()))

    # ── what is archived ─────────────────────────────────────────────────────

    def said_in_room(self, room: Room, occupant: Occupant, message: Stanza, id: str) -> None:
        if is_worth_in_room(message):
            self.add_to_room(room, message, id, next(reversed(occupant.sessions)))

    def add_to_room(self, room: Room, message: Stanza, id: str, sender: str = "") -> None:
        """Archives what is said in a room, under the id that the room has given it.

        `sender` is the real address of who says it; "" for the room itself.
        """
        messages = self.of_room(room)
        count = messages.add(self.service.runtime.now(), message, sender, id)
        if count > self._most or messages.size > self._most_bytes:
            self.drop_oldest(messages, room.address)

    def of_room(self, room: Room) -> Messages:
        """The archive of a room."""
        data = room.kept.extension_data
        if self.name not in data:
            data[self.name] = Messages(of_room=True)
        return cast("Messages", data[self.name])

    def room_at(self, address: Jid) -> Room | None:
        """The room with an address; None if there is none."""
        rooms = self.service.extensions.service_at(address.domain)
        return rooms.all_rooms().get(address.bare) if isinstance(rooms, Rooms) else None

    def drop_oldest(self, messages: Messages, address: str) -> None:
        """Drops the oldest of an archive that has more than the policy allows; says so once."""
        while len(messages) > self._most or messages.size > self._most_bytes:
            long = messages.size > self._most_bytes
            limit = f"_bytes is {self._most_bytes:,}" if long else f" is {self._most:,}"
            messages.drop_oldest()
            self.say_once(
                f"archive of {address}: from now on, the oldest messages are forgotten, "
                f"because xmpp.archive{limit}"
            )

    def say_once(self, text: str) -> None:
        """Says that something is dropped, unless it was said before."""
        if text not in self._said:
            self._said.add(text)
            self.service.on_drop(text)

    # ── who asks ─────────────────────────────────────────────────────────────

    def _query_room(self, request: Request) -> Iterable[Element]:
        room, sees = self._room(request)
        if request.stanza.type == "get":
            return [queries.form(of_account=False)]
        query = queries.Query.read(request.payload, of_account=False)
        if query.address is not None and query.address.bare != room.address and not sees:
            raise StanzaError("forbidden", "real addresses are not shown here")  # §4.1.1

        def show(message: Archived) -> Stanza:
            if not sees or not message.other:
                return message.stanza
            affiliation = room.affiliation(jid(message.other).bare)
            item = {"affiliation": affiliation, "jid": message.other}
            return with_child(message.stanza, element(X, {}, element(f"{{{USER}}}item", {**item})))

        return [self.answer(self.of_room(room), request, query, show)]

    def _metadata_of_room(self, request: Request) -> Iterable[Element]:
        room, _ = self._room(request)
        return [queries.metadata(request, self.of_room(room))]

    def _room(self, request: Request) -> tuple[Room, bool]:
        """The room that is asked, and whether the asker sees real addresses. Raises StanzaError."""
        rooms = self.service.extensions.service_at(request.to.domain)
        if not isinstance(rooms, Rooms) or not request.to.local:
            raise StanzaError("service-unavailable")
        room, asker = rooms.room_of(request), jid(request.stanza.sender or "")
        occupant, affiliation = room.session(asker.text), room.affiliation(asker.bare)
        if occupant is not None:
            return room, room.sees_addresses(occupant)
        if room.locked:
            raise StanzaError("item-not-found", "the room is locked")
        outside = affiliation == "none" and room.config.members_only
        # There is no way to name the password, so that who has entered knows it, or rules here.
        guarded = room.config.password and rank(affiliation) < rank("admin")
        if affiliation == "outcast" or outside or guarded:
            raise StanzaError("forbidden", "only those who may enter the room read its archive")
        moderator = room.default_role(asker.bare) == "moderator"
        return room, moderator or room.config.whois == "anyone"

    # ── what was retracted ───────────────────────────────────────────────────

    def said(self, room: Room, id: str) -> Stanza | None:
        """The message of a room with this id; None if it is not in the archive."""
        try:
            messages = self.of_room(room)
            return messages[messages.number_of(id)].stanza
        except KeyError:
            return None

    def bury(self, room: Room, id: str, by: str, *reasons: Element) -> None:
        """Leaves a tombstone of a message, which was retracted by that with the id `by`."""
        messages = self.of_room(room)
        with suppress(KeyError):
            number, now = messages.number_of(id), self.service.runtime.now()
            messages.bury(number, tombstone(messages[number].stanza, now, by, *reasons))

    def answer(
        self,
        archive: Messages,
        request: Request,
        query: queries.Query,
        show: Callable[[Archived], Stanza] = attrgetter("stanza"),
    ) -> Element:
        """Sends the results of a query; returns the end of the answer. Raises StanzaError."""
        resource, runtime = request.resource, self.service.runtime
        send = self.service.router.route if resource is None else resource.deliver
        most = self.service.policy.archive_page
        return queries.answer(
            archive, request, query, most, send=send, token=runtime.token, show=show
        )

"""The rooms that are open, and what every part of their extension does with them.

A `Hall` finds and opens rooms, shows occupants to each other, and sends messages to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.stanza_ids import without_ids_of
from fakes.xmpp.markup import element
from fakes.xmpp.muc.names import OCCUPANT, because, item_of, user_x, without_claims
from fakes.xmpp.offline import without_delay
from fakes.xmpp.requests import Request
from fakes.xmpp.room import Kept, Occupant, Room
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import Stanza, StanzaError, with_child

ROOMS = 1000  # rooms of one world


class Hall(Extension):
    """The rooms of a server. `stored` has the persistent ones, by address."""

    stored: dict[str, Kept]

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._rooms: dict[str, Room] = {}

    # ── finding, opening and closing rooms ───────────────────────────────────

    def _find(self, address: str) -> Room | None:
        """The room with a bare address; None if there is none."""
        room = self._rooms.get(address)
        if room is None and address in self.stored:
            room = self._rooms[address] = Room(address, self.stored[address])
        return room

    def _open(self, address: str, owner: str) -> Room:
        """Opens a room, which is locked until its owner has configured it (XEP-0045 §10.1)."""
        if len(self._rooms) >= ROOMS:
            raise StanzaError("not-allowed", f"{ROOMS} rooms are open at most")
        kept = Kept(self.service.runtime.token(20), affiliations={owner: "owner"})
        room = self._rooms[address] = Room(address, kept, locked=True)
        return room

    def _close_if_empty(self, room: Room) -> None:
        if not room.occupants and (room.locked or not room.config.persistent):
            self._rooms.pop(room.address, None)
            self.stored.pop(room.address, None)

    def forget(self, account: Account) -> None:
        """An account that is opened again later is another user."""
        for room in [*self._rooms.values(), *map(self._find, self.stored)]:
            if room is not None:
                room.set_affiliation(account.address, "none")
                room.forget_nicks(account.address)

    def room_of(self, request: Request) -> Room:
        room = self._find(request.to.bare) if request.to.local else None
        if room is None:
            raise StanzaError("item-not-found", "there is no such room")
        return room

    def all_rooms(self) -> dict[str, Room]:
        """The rooms that there are, by address."""
        found = map(self._find, dict.fromkeys((*self._rooms, *self.stored)))
        return {room.address: room for room in found if room is not None}

    # ── writing presence ─────────────────────────────────────────────────────

    def _presence_of(
        self,
        room: Room,
        occupant: Occupant,
        sees: bool,
        codes: tuple[str, ...] = (),
        *,
        gone: bool = False,
        new_nick: str | None = None,
        stanza: Stanza | None = None,
        details: Iterable[Element] = (),
    ) -> Stanza:
        """The presence of an occupant, as it is shown to those who see addresses or not."""
        base = stanza or (Stanza("presence") if gone else occupant.presence)
        role = "none" if gone and new_nick is None else occupant.role
        item = item_of(room.affiliation(occupant.bare), role, nick=new_nick)
        if sees:
            item.set("jid", next(reversed(occupant.sessions)))
        inside = list(details)
        item.extend(one for one in inside if not one.tag.endswith("}destroy"))
        x = user_x(item, codes)
        x.extend(one for one in inside if one.tag.endswith("}destroy"))
        clean = without_claims(base)
        shown = with_child(clean, x, type="unavailable" if gone else None)
        return with_child(
            shown,
            element(f"{{{OCCUPANT}}}occupant-id", {"id": room.occupant_id(occupant.bare)}),
            sender=f"{room.address}/{occupant.nick}",
            to=None,
        )

    def _shown(self, room: Room, occupant: Occupant, sees: bool) -> Stanza:
        """The current presence of an occupant, made again only if something has changed."""
        current = occupant.presence
        made_from = (current, occupant.nick, occupant.role, room.affiliation(occupant.bare))
        known = occupant.shown.get(sees)
        if known is None or known[0] != made_from:
            known = occupant.shown[sees] = (made_from, self._presence_of(room, occupant, sees))
        return known[1]

    def _show(
        self,
        room: Room,
        occupant: Occupant,
        codes: tuple[str, ...] = (),
        *,
        but: str = "",
        gone: bool = False,
        new_nick: str | None = None,
        stanza: Stanza | None = None,
        details: Iterable[Element] = (),
    ) -> None:
        """Shows an occupant to everybody in the room; its own sessions get the code 110 too."""
        make = partial(
            self._presence_of,
            room,
            occupant,
            gone=gone,
            new_nick=new_nick,
            stanza=stanza,
            details=list(details),
        )
        # The same stanza for all others who see the same: a room may have ten thousand of them.
        shown = {sees: make(sees, codes) for sees in (False, True)}
        stanzas: list[Stanza] = []
        addresses: list[str] = []
        for viewer in room.occupants.values():
            if viewer is not occupant:
                stanzas += [shown[room.sees_addresses(viewer)]] * len(viewer.sessions)
                addresses += viewer.sessions
        self._route_all(stanzas, addresses)
        own = make(room.sees_addresses(occupant), ("110", *codes))
        for full in occupant.sessions:
            if full != but:
                self.service.router.route(own.replace(to=full))

    def _route_all(self, stanzas: Iterable[Stanza], addresses: list[str]) -> None:
        """Sends each stanza to the address in the same place.

        Who gets which is settled now, because who is in the room may change before all are
        delivered. Each copy is made when it is about to be delivered: ten thousand take long.
        """
        copies = zip(stanzas, addresses, strict=False)
        self.service.router.route_all(stanza.replace(to=full) for stanza, full in copies)

    # ── sending messages ─────────────────────────────────────────────────────

    def _from(self, room: Room, occupant: Occupant, stanza: Stanza) -> Stanza:
        """A message as it comes from an occupant, without what the sender cannot claim."""
        clean = without_ids_of(without_claims(stanza), room.address)
        clean = without_delay(clean, room.address)
        id = element(f"{{{OCCUPANT}}}occupant-id", {"id": room.occupant_id(occupant.bare)})
        return with_child(clean, id, sender=f"{room.address}/{occupant.nick}", to=None)

    def send_to_all(
        self, room: Room, message: Stanza, wanted: Callable[[Occupant], bool] = lambda one: True
    ) -> None:
        wanting = filter(wanted, room.occupants.values())
        addresses = [full for occupant in wanting for full in occupant.sessions]
        self._route_all(repeat(message), addresses)

    # ── leaving ──────────────────────────────────────────────────────────────

    def _remove_session(
        self, room: Room, full: str, codes: tuple[str, ...] = (), stanza: Stanza | None = None
    ) -> None:
        """A session leaves. Its occupant leaves with the last one (XEP-0045 §7.14)."""
        occupant = room.session(full)
        assert occupant is not None
        if len(occupant.sessions) == 1:
            self._remove(room, occupant, codes, stanza=stanza)
            return
        gone = self._presence_of(room, occupant, False, ("110", *codes), gone=True)
        shown = occupant.presence
        room.leave(full)
        self.service.router.route(gone.replace(to=full))
        if occupant.presence is not shown:
            self._show(room, occupant)

    def _remove(
        self,
        room: Room,
        occupant: Occupant,
        codes: tuple[str, ...] = (),
        *,
        stanza: Stanza | None = None,
        reason: str = "",
        actor: Occupant | None = None,
        extra: Element | None = None,
    ) -> None:
        """An occupant leaves or is removed; everybody learns it and why.

        XEP-0045 §7.14, §8.2, §9.1.
        """
        occupant.role = "none"
        details = [*because(reason, actor), *([extra] if extra is not None else [])]
        self._show(room, occupant, codes, gone=True, stanza=stanza, details=details)
        for full in list(occupant.sessions):
            room.leave(full)
        self._close_if_empty(room)

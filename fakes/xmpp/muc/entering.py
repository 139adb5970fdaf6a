"""How users enter a room, leave it, and change their nicks (XEP-0045 §7.1 to §7.3, §7.6, §7.14)."""

from __future__ import annotations

from fakes.xmpp.addresses import Jid
from fakes.xmpp.markup import CLIENT, element
from fakes.xmpp.muc.hall import Hall
from fakes.xmpp.muc.names import JOIN, MUC, item_of, user_x, without_claims
from fakes.xmpp.offline import delay
from fakes.xmpp.room import Occupant, Room, rank
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza, with_child


class Entering(Hall):
    """What presence does in a room."""

    # ── presence: enter, leave, change (§7) ──────────────────────────────────

    def _presence(self, room: Room | None, stanza: Stanza, to: Jid, sender: Jid) -> None:
        occupant = room.session(sender.text) if room is not None else None
        if stanza.type in ("unavailable", "error"):
            if room is not None and occupant is not None:
                codes = ("333",) if stanza.type == "error" else ()
                shown = stanza if stanza.type == "unavailable" else None
                self._remove_session(room, sender.text, codes, shown)
            return
        if stanza.type is not None:
            return  # a room has no subscriptions
        if not to.resource:
            raise StanzaError("jid-malformed", "a nick is needed")
        if room is None or occupant is None:
            if JOIN in stanza.child_names:
                self._enter(room, stanza, to, sender)
            else:
                # §7.2.18: the client believes that it is in the room
                self._send_not_inside(stanza, to)
        elif JOIN in stanza.child_names and to.resource == occupant.nick:
            changed = _changes(occupant, stanza)
            room.enter(occupant.nick, occupant.bare, stanza)
            self._welcome(room, occupant, stanza, tell_others=changed)  # §17.3
        elif to.resource != occupant.nick:
            self._rename(room, occupant, stanza, to.resource)
        else:
            room.enter(occupant.nick, occupant.bare, stanza)
            self._show(room, occupant)

    def _send_not_inside(self, stanza: Stanza, to: Jid) -> None:
        x = user_x(item_of("none", "none"), ("110", "307", "333"))
        gone = build_stanza(
            "presence", type="unavailable", sender=to.text, to=stanza.sender, children=(x,)
        )
        self.service.router.route(gone)

    def _enter(self, room: Room | None, stanza: Stanza, to: Jid, sender: Jid) -> None:
        """Lets a session in, if it may enter (§7.2)."""
        created = room is None
        if room is None:
            room = self._open(to.bare, sender.bare)
        else:
            self._check_entry(room, stanza, to.resource, sender)
        changed = _changes(room.occupants.get(to.resource), stanza)
        occupant = room.enter(to.resource, sender.bare, stanza)
        self._welcome(room, occupant, stanza, ("201",) if created else (), tell_others=changed)

    def _check_entry(self, room: Room, stanza: Stanza, nick: str, sender: Jid) -> None:
        affiliation = room.affiliation(sender.bare)
        if room.locked and affiliation != "owner":
            raise StanzaError("item-not-found", "the room is locked")
        if affiliation == "outcast":
            raise StanzaError("forbidden", "banned from this room")
        if room.config.members_only and affiliation == "none":
            raise StanzaError("registration-required", "this room is for members only")
        join = stanza.child("x", MUC)
        password = join.findtext(f"{{{MUC}}}password") if join is not None else ""
        if room.config.password and password != room.config.password:
            raise StanzaError("not-authorized", "this room needs a password")
        if not room.nick_is_free(nick, sender.bare):
            raise StanzaError("conflict", "this nick is taken")
        full = room.config.max_users and len(room.occupants) >= room.config.max_users
        if full and nick not in room.occupants and rank(affiliation) < rank("admin"):
            raise StanzaError("service-unavailable", "the room is full")

    def _welcome(
        self,
        room: Room,
        occupant: Occupant,
        stanza: Stanza,
        codes: tuple[str, ...] = (),
        *,
        tell_others: bool = True,
    ) -> None:
        """Sends what a session gets that enters, in the order of §7.1."""
        full = stanza.sender or ""
        route = self.service.router.route
        others = [other for other in room.occupants.values() if other is not occupant]
        sees = room.sees_addresses(occupant)
        # Made when it is about to be delivered. Who has left by then is not shown any more.
        self.service.router.route_all(
            self._shown(room, other, sees).replace(to=full)
            for other in others
            if room.occupants.get(other.nick) is other
        )
        if tell_others:
            self._show(room, occupant, but=full)
        if room.config.whois == "anyone":
            codes = ("100", *codes)
        own = self._presence_of(room, occupant, sees, codes=("110", *codes))
        route(own.replace(to=full, id=stanza.id))
        join = stanza.child("x", MUC)
        wish = join.find(f"{{{MUC}}}history") if join is not None else None
        for at, message in room.recent(wish, self.service.runtime.now()):
            route(with_child(message, delay(room.address, at), to=full))
        route(self._current_subject(room).replace(to=full))

    def _current_subject(self, room: Room) -> Stanza:
        if room.kept.subject is not None:
            at, message = room.kept.subject
            return with_child(message, delay(room.address, at))
        empty = element(f"{{{CLIENT}}}subject")
        return build_stanza("message", type="groupchat", sender=room.address, children=(empty,))

    def _rename(self, room: Room, occupant: Occupant, stanza: Stanza, nick: str) -> None:
        """Changes the nick of an occupant (§7.6)."""
        taken = nick in room.occupants or not room.nick_is_free(nick, occupant.bare)
        if taken:
            raise StanzaError("conflict", "this nick is taken")
        self._show(room, occupant, ("303",), gone=True, new_nick=nick)
        room.rename(occupant, nick)
        room.enter(nick, occupant.bare, stanza)
        for session in map(self.service.accounts.resource, occupant.sessions):
            if session is not None:  # those that did not ask for it have to leave under it, too
                session.directed[f"{room.address}/{nick}"] = None
        self._show(room, occupant)


def _changes(occupant: Occupant | None, stanza: Stanza) -> bool:
    """Whether others see anything else with this presence, which is shown from now on."""
    if occupant is None:
        return True
    return without_claims(stanza).content != without_claims(occupant.presence).content

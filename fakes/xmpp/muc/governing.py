"""Who may do what: configuration, affiliations, roles (XEP-0045 §8 to §10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid, parse_or_none
from fakes.xmpp.forms import Form
from fakes.xmpp.markup import element
from fakes.xmpp.muc.hall import Hall
from fakes.xmpp.muc.names import ADMIN, OWNER, USER, admin_item, bare_of, because, user_x
from fakes.xmpp.requests import Request
from fakes.xmpp.room import AFFILIATIONS, CONFIG, ROLES, Config, Occupant, Room, rank
from fakes.xmpp.stanzas import StanzaError, build_stanza


class Governing(Hall):
    """What owners, admins and moderators do."""

    # ── the owner: configuration and destruction (§10) ───────────────────────

    def _owner(self, request: Request) -> Iterable[Element]:
        room, bare = self.room_of(request), bare_of(request)
        if room.affiliation(bare) != "owner":
            raise StanzaError("forbidden", "only owners configure a room")
        if request.stanza.type == "get":
            return [element(f"{{{OWNER}}}query", {}, room.config.form())]
        destroy = request.payload.find(f"{{{OWNER}}}destroy")
        if destroy is not None:
            self._destroy(room, destroy)
            return ()
        form = Form.read(request.payload)
        if form is None:
            raise StanzaError("bad-request", "a form is needed")
        if form.type == "cancel":
            if room.locked:
                self._destroy(room, element(f"{{{OWNER}}}destroy"))
            return ()
        if form.type != "submit" or form.text("FORM_TYPE", CONFIG) != CONFIG:
            raise StanzaError("bad-request", f"the form is a submitted one of {CONFIG}")
        before, room.kept.config = room.config, room.config.changed(form)
        was_locked, room.locked = room.locked, False
        if room.config.persistent:
            self.stored[room.address] = room.kept
        else:
            self.stored.pop(room.address, None)
        if not was_locked:
            self._configured(room, before)
        self._close_if_empty(room)
        return ()

    def _configured(self, room: Room, before: Config) -> None:
        """Tells the occupants about another configuration, and removes those who may not stay."""
        codes = ["104"]
        if before.whois != room.config.whois:
            codes.append("172" if room.config.whois == "anyone" else "173")
        x = user_x(None, tuple(codes))
        message = build_stanza("message", type="groupchat", sender=room.address, children=(x,))
        self.send_to_all(room, message)
        if room.config.members_only and not before.members_only:
            for occupant in list(room.occupants.values()):
                if room.affiliation(occupant.bare) == "none":
                    self._remove(room, occupant, ("322",))

    def _destroy(self, room: Room, asked: Element) -> None:
        """§10.9: everybody leaves, and learns why and where the room goes on."""
        details = [
            element(child.tag.replace(OWNER, USER), text=child.text or "")
            for child in asked
            if child.tag in (f"{{{OWNER}}}reason", f"{{{OWNER}}}password")
        ]
        destroy = element(f"{{{USER}}}destroy", {"jid": asked.get("jid")}, *details)
        self._rooms.pop(room.address, None)
        self.stored.pop(room.address, None)
        room.kept.affiliations.clear()  # the item of a destroyed room says none
        for occupant in list(room.occupants.values()):
            own = self._presence_of(room, occupant, False, ("110",), gone=True, details=[destroy])
            for full in list(occupant.sessions):
                room.leave(full)
                self.service.router.route(own.replace(to=full))

    # ── admins and moderators: affiliations and roles (§8, §9) ───────────────

    def _admin(self, request: Request) -> Iterable[Element]:
        room, bare = self.room_of(request), bare_of(request)
        actor = room.session(request.stanza.sender or "")
        items = request.payload.findall(f"{{{ADMIN}}}item")
        if not items or len(items) != len(request.payload):
            raise StanzaError("bad-request", "items are needed")
        if request.stanza.type == "get":
            return [element(f"{{{ADMIN}}}query", {}, *self._list(room, bare, actor, items[0]))]
        # Everything is checked before anything is changed.
        acts = [self._change(room, bare, actor, item) for item in items]
        _check_owners(room, items)
        for act in acts:
            act()
        return ()

    def _list(
        self, room: Room, bare: str, actor: Occupant | None, asked: Element
    ) -> Iterator[Element]:
        role, affiliation = asked.get("role"), asked.get("affiliation")
        if role is not None:
            if actor is None or actor.role != "moderator":
                raise StanzaError("forbidden", "only moderators list roles")
            for one in room.occupants.values():
                if one.role == role:
                    of = room.affiliation(one.bare)
                    full = next(reversed(one.sessions))  # §17.4
                    yield admin_item(affiliation=of, role=role, jid=full, nick=one.nick)
            return
        if affiliation not in AFFILIATIONS or affiliation == "none":
            raise StanzaError("bad-request", "which list?")
        own = room.affiliation(bare)
        open_list = affiliation != "outcast" and room.config.whois == "anyone"
        if rank(own) < rank("admin") and not (open_list and rank(own) >= rank("member")):
            raise StanzaError("forbidden", "only admins see this list")
        nicks = {who: nick for nick, who in room.kept.nicks.items()}
        for who, found in room.kept.affiliations.items():
            if found == affiliation:
                yield admin_item(affiliation=found, jid=who, nick=nicks.get(who))

    def _change(
        self, room: Room, bare: str, actor: Occupant | None, item: Element
    ) -> Callable[[], None]:
        """Checks one item of a change; returns what carries it out. Raises StanzaError."""
        role, affiliation = item.get("role"), item.get("affiliation")
        reason = item.findtext(f"{{{ADMIN}}}reason") or ""
        if affiliation is not None and role is not None:
            raise StanzaError("bad-request", "an affiliation or a role (XEP-0045 section 17.4)")
        if affiliation is not None:
            to = _whose(room, item)
            if to is None or affiliation not in AFFILIATIONS:
                raise StanzaError("bad-request", "whose affiliation, and which?")
            _check_affiliation(room, bare, to.bare, affiliation)
            return partial(self._affiliate, room, to.bare, affiliation, reason, actor)
        if role not in ROLES:
            raise StanzaError("bad-request", "which role?")
        target = room.occupants.get(item.get("nick", ""))
        if actor is None or actor.role != "moderator":
            raise StanzaError("forbidden", "only moderators change roles")
        if target is None:
            raise StanzaError("item-not-found", "nobody here has this nick")
        _check_role(room, actor, target, role)
        return partial(self._give_role, room, target, role, reason, actor)

    def _give_role(
        self, room: Room, target: Occupant, role: str, reason: str, actor: Occupant
    ) -> None:
        if room.occupants.get(target.nick) is not target:
            return  # removed by an earlier item of the same request
        if role == "none":
            self._remove(room, target, ("307",), reason=reason, actor=actor)
        elif target.role != role:
            target.role = role
            self._show(room, target, details=because(reason, actor))

    def _affiliate(
        self, room: Room, bare: str, affiliation: str, reason: str, actor: Occupant | None
    ) -> None:
        room.set_affiliation(bare, affiliation)
        if affiliation == "outcast":
            room.forget_nicks(bare)
        for occupant in room.of_user(bare):
            if affiliation == "outcast":
                self._remove(room, occupant, ("301",), reason=reason, actor=actor)
            elif affiliation == "none" and room.config.members_only:
                self._remove(room, occupant, ("321",), reason=reason, actor=actor)
            else:
                occupant.role = room.default_role(bare)
                self._show(room, occupant, details=because(reason, actor))


def _check_role(room: Room, actor: Occupant, target: Occupant, role: str) -> None:
    """Raises StanzaError if a moderator may not give this role (§5.1.1)."""
    own, other = rank(room.affiliation(actor.bare)), rank(room.affiliation(target.bare))
    to_moderator = "moderator" in (role, target.role)
    if role == "none":
        if other > own:
            raise StanzaError("not-allowed", "they have a higher affiliation")
    elif to_moderator and own < rank("admin"):
        raise StanzaError("forbidden", "only admins appoint moderators")
    elif role != "moderator" and other >= rank("admin"):
        raise StanzaError("not-allowed", "admins and owners are moderators")
    elif role == "visitor" and other > own:
        raise StanzaError("not-allowed", "they have a higher affiliation")


def _check_affiliation(room: Room, bare: str, target: str, affiliation: str) -> None:
    """Raises StanzaError if a user may not give this affiliation (§5.2.1)."""
    own, other = room.affiliation(bare), room.affiliation(target)
    if rank(own) < rank("admin"):
        raise StanzaError("forbidden", "only admins change affiliations")
    if target == bare and affiliation == "outcast":
        raise StanzaError("conflict", "nobody bans himself")
    if own != "owner" and (rank(other) >= rank("admin") or rank(affiliation) >= rank("admin")):
        raise StanzaError("not-allowed", "only owners appoint admins and owners")


def _check_owners(room: Room, items: list[Element]) -> None:
    """Raises StanzaError if a room would have no owner after all of these changes (§10.4)."""
    before = {who for who, found in room.kept.affiliations.items() if found == "owner"}
    after = set(before)
    for item in items:
        to, affiliation = _whose(room, item), item.get("affiliation")
        if to is not None and affiliation is not None:
            (after.add if affiliation == "owner" else after.discard)(to.bare)
    if before and not after:
        raise StanzaError("conflict", "a room has an owner")


def _whose(room: Room, item: Element) -> Jid | None:
    """The user whose affiliation an item changes: by address, or by the nick of an occupant."""
    occupant = room.occupants.get(item.get("nick", ""))
    return parse_or_none(item.get("jid", "")) or (jid(occupant.bare) if occupant else None)

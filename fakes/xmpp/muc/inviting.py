"""Invitations, requests for voice, and reserved nicks (XEP-0249; XEP-0045 §7.8, §7.10, §7.13)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, parse_or_none
from fakes.xmpp.forms import Field, Form, boolean, build
from fakes.xmpp.markup import element
from fakes.xmpp.muc.hall import Hall
from fakes.xmpp.muc.names import NICK_FORM, REGISTER, REQUEST, USER, X, bare_of
from fakes.xmpp.requests import Request
from fakes.xmpp.room import PEOPLE, Occupant, Room, rank
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza

INVITED = 20  # invitations in one message
_INVITED = frozenset(f"{{{USER}}}{name}" for name in ("reason", "continue"))


class Inviting(Hall):
    """How others come in, and get a voice or a nick."""

    # ── invitations (§7.8) and voice requests (§7.13) ────────────────────────

    def _invitations(
        self, room: Room, occupant: Occupant | None, stanza: Stanza, sender: Jid
    ) -> None:
        x = stanza.child("x", USER)
        assert x is not None
        for decline in x.findall(f"{{{USER}}}decline"):
            self._decline(room, decline, sender)
        invites = x.findall(f"{{{USER}}}invite")
        if not invites:
            return
        if occupant is None:
            raise StanzaError("not-acceptable", "enter the room first")
        if len(invites) > INVITED:
            raise StanzaError("policy-violation", f"{INVITED} invitations at once at most")
        may = room.config.allow_invites or rank(room.affiliation(occupant.bare)) >= rank("admin")
        if room.config.members_only and not may:
            raise StanzaError("forbidden", "only admins invite to this room")
        for invite in invites:
            to = parse_or_none(invite.get("to", ""))
            if to is None:
                raise StanzaError("jid-malformed", "invite whom?")
            if room.config.members_only and room.affiliation(to.bare) == "none":
                room.set_affiliation(to.bare, "member")
            passed = [child for child in invite if child.tag in _INVITED]
            inside = element(
                f"{{{USER}}}invite", {"from": f"{room.address}/{occupant.nick}"}, *passed
            )
            whole = element(X, {}, inside)
            if room.config.password:
                whole.append(element(f"{{{USER}}}password", text=room.config.password))
            self.service.router.route(
                build_stanza("message", sender=room.address, to=to.text, children=(whole,))
            )

    def _decline(self, room: Room, decline: Element, sender: Jid) -> None:
        to = parse_or_none(decline.get("to", ""))
        target = (
            room.occupants.get(to.resource) if to is not None and to.bare == room.address else None
        )
        if target is None:
            return
        passed = [child for child in decline if child.tag == f"{{{USER}}}reason"]
        inside = element(f"{{{USER}}}decline", {"from": sender.bare}, *passed)
        for full in target.sessions:
            self.service.router.route(
                build_stanza(
                    "message", sender=room.address, to=full, children=(element(X, {}, inside),)
                )
            )

    def _voice(self, room: Room, occupant: Occupant | None, stanza: Stanza) -> None:
        """A visitor asks for voice, or a moderator grants it (§7.13, §8.6)."""
        form = Form.read(stanza.element)
        if occupant is None or form is None:
            raise StanzaError("not-acceptable", "enter the room first")
        if form.text("FORM_TYPE") != REQUEST or form.type != "submit":
            raise StanzaError("bad-request", "this form is not known")
        if occupant.role == "visitor":
            fields = [
                Field("muc#role", "list-single", "Role", ("participant",), ("participant",)),
                Field("muc#jid", "jid-single", "User", (occupant.bare,)),
                Field("muc#roomnick", "text-single", "Nick", (occupant.nick,)),
                boolean("muc#request_allow", "Grant voice?", False),
            ]
            asked = build(REQUEST, fields, title="Voice request")
            message = build_stanza("message", sender=room.address, children=(asked,))
            self.send_to_all(room, message, lambda one: one.role == "moderator")
            return
        if occupant.role != "moderator":
            raise StanzaError("forbidden", "only moderators grant voice")
        target = room.occupants.get(form.text("muc#roomnick"))
        if target is not None and target.role == "visitor" and form.flag("muc#request_allow"):
            target.role = "participant"
            self._show(room, target)

    # ── registration: a nick of one's own (§7.10) ────────────────────────────

    def _register(self, request: Request) -> Iterable[Element]:
        room, bare = self.room_of(request), bare_of(request)
        own = [nick for nick, who in room.kept.nicks.items() if who == bare]
        if room.affiliation(bare) == "outcast":
            raise StanzaError("forbidden", "banned from this room")
        if room.config.members_only and room.affiliation(bare) == "none":
            raise StanzaError("not-allowed", "admins choose the members")
        query = f"{{{REGISTER}}}query"
        if request.stanza.type == "get":
            nick_field = Field("muc#register_roomnick", "text-single", "Nick", own)
            form = build(NICK_FORM, [nick_field], title="A nick of your own")
            names = [element(f"{{{REGISTER}}}username", text=nick) for nick in own]
            children = [element(f"{{{REGISTER}}}registered"), *names] if own else []
            return [element(query, {}, *children, form)]
        if request.payload.find(f"{{{REGISTER}}}remove") is not None:
            room.forget_nicks(bare)
            return ()
        wanted = Form.read(request.payload)
        address = None
        if wanted is not None:
            address = parse_or_none(f"{room.address}/{wanted.text('muc#register_roomnick')}")
        if address is None:
            raise StanzaError("bad-request", "which nick?")
        if not room.nick_is_free(address.resource, bare):
            raise StanzaError("conflict", "this nick is taken")
        if len(room.kept.nicks) - len(own) >= PEOPLE:
            raise StanzaError("resource-constraint", f"{PEOPLE} users have reserved a nick")
        new = room.affiliation(bare) == "none"
        if new:
            room.set_affiliation(bare, "member")
        room.forget_nicks(bare)
        room.kept.nicks[address.resource] = bare
        for occupant in room.of_user(bare) if new else ():
            if occupant.role == "visitor":
                occupant.role = room.default_role(bare)
            self._show(room, occupant)
        return ()

"""XEP-0045 (1.35.5): chat rooms at `conference.DOMAIN`, with XEP-0249, XEP-0410 and XEP-0421.

A room is created by the first user who enters it, who is its owner and must configure it. The model
is in `fakes/xmpp/room.py`: Config, Occupant, Room.

Occupants are known by their nicks. Their real addresses are in the presence for moderators, and for
everybody if the room is configured so; in messages they never are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid, parse_or_none
from fakes.xmpp.extension import Extension, Information
from fakes.xmpp.extensions.stanza_ids import SID, with_id, without_ids_of
from fakes.xmpp.forms import DATA, Field, Form, boolean, build
from fakes.xmpp.markup import CLIENT, element
from fakes.xmpp.offline import delay
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.room import AFFILIATIONS, INFO, ROLES, Config, Kept, Occupant, Room, rank
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza, with_child, without_children

MUC = "http://jabber.org/protocol/muc"
USER = f"{MUC}#user"
ADMIN = f"{MUC}#admin"
OWNER = f"{MUC}#owner"
REQUEST = f"{MUC}#request"
REGISTER = "jabber:iq:register"
NICK_FORM = f"{MUC}#register"
OCCUPANT = "urn:xmpp:occupant-id:0"
JOIN, X = f"{{{MUC}}}x", f"{{{USER}}}x"
PING = "{urn:xmpp:ping}ping"
FEATURES = (MUC, f"{MUC}#stable_id", f"{MUC}#self-ping-optimization", OCCUPANT, SID, DATA, REGISTER)
ROOMS = 1000  # rooms of one world
INVITED = 20  # invitations in one message
PENDING = 1000  # IQs between occupants whose answer is awaited
# Errors that say that a session is gone, for whatever reason (§11.1).
GONE = frozenset(
    "gone item-not-found recipient-unavailable redirect remote-server-not-found "
    "remote-server-timeout service-unavailable".split()
)


class Rooms(Extension):
    """The rooms of a server. `stored` has the persistent ones, by address."""

    name = "rooms"
    section = "XEP-0045"
    subdomain = "conference"
    stored: dict[str, Kept]

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._rooms: dict[str, Room] = {}
        # (who was asked, id) → who asked, of IQs between occupants
        self._asked: dict[tuple[str, str], str] = {}

    # ── what discovery shows (§6) ────────────────────────────────────────────

    def information(self, to: Jid) -> Information | None:
        if not to.local:
            return Information("conference", "text", "Rooms", FEATURES)
        room = self._find(to.bare)
        if room is None or room.locked:
            return None
        config = room.config
        form = build(
            INFO,
            [
                Field("muc#roominfo_description", "text-single", "", (config.description,)),
                Field("muc#roominfo_occupants", "text-single", "", (str(len(room.occupants)),)),
                Field("muc#roominfo_subject", "text-single", "", (_subject(room),)),
                boolean("muc#roominfo_changesubject", "", config.change_subject),
            ],
            type="result",
        )
        features = (*FEATURES, *config.features())
        name = config.name or to.local
        return Information("conference", "text", name, features, (form,))

    def items(self, to: Jid) -> Iterable[dict[str, str | None]]:
        room = self._find(to.bare) if to.local else None
        if room is not None:
            nicks = room.occupants if room.config.public else ()
            return [{"jid": f"{room.address}/{nick}"} for nick in nicks]
        addresses = dict.fromkeys((*self._rooms, *self.stored))
        rooms = [self._find(address) for address in addresses if jid(address).domain == to.domain]
        return [
            {"jid": room.address, "name": room.config.name or jid(room.address).local}
            for room in rooms
            if room is not None and room.config.public and not room.locked
        ]

    # ── finding, opening and closing rooms ───────────────────────────────────

    def _find(self, address: str) -> Room | None:
        room = self._rooms.get(address)
        if room is None and address in self.stored:
            room = self._rooms[address] = Room(address, self.stored[address])
        return room

    def _open(self, address: str, owner: str) -> Room:
        """Opens a room, which is locked until its owner has configured it (§10.1)."""
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
                nicks = room.kept.nicks
                room.kept.nicks = {k: who for k, who in nicks.items() if who != account.address}

    # ── what arrives ─────────────────────────────────────────────────────────

    def answers(self) -> Answers:
        return {
            ("service", f"{{{OWNER}}}query"): self._owner,
            ("service", f"{{{ADMIN}}}query"): self._admin,
            ("service", f"{{{REGISTER}}}query"): self._register,
        }

    def forwards_requests(self, to: Jid) -> bool:
        return bool(to.resource)  # §17.4: an IQ for an occupant is for their client

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        sender = parse_or_none(stanza.sender or "")
        if sender is None or not to.local:
            return False
        room = self._find(to.bare)
        if stanza.kind == "presence":
            self._presence(room, stanza, to, sender)
            return True
        if room is None:
            if stanza.type in ("error", "result"):
                return False
            raise StanzaError("not-acceptable" if to.resource else "item-not-found")
        occupant = room.session(sender.text)
        if stanza.kind == "iq":
            return self._iq(room, occupant, stanza, to)
        if stanza.type == "error":
            self._returned(room, occupant, stanza, to)
        elif to.resource:
            self._private_message(room, occupant, stanza, to.resource)
        elif stanza.type == "groupchat":
            self._say(room, occupant, stanza)
        elif X in stanza.child_names:
            self._invitations(room, occupant, stanza, sender)
        elif f"{{{DATA}}}x" in stanza.child_names:
            self._voice(room, occupant, stanza)
        else:
            raise StanzaError("bad-request", "messages for a room have the type groupchat")
        return True

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
            room.enter(occupant.nick, occupant.bare, stanza)
            self._welcome(room, occupant, stanza, tell_others=False)
        elif to.resource != occupant.nick:
            self._rename(room, occupant, stanza, to.resource)
        else:
            room.enter(occupant.nick, occupant.bare, stanza)
            self._show(room, occupant)

    def _send_not_inside(self, stanza: Stanza, to: Jid) -> None:
        x = _user_x(_item("none", "none"), ("110", "307", "333"))
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
        is_new = to.resource not in room.occupants
        occupant = room.enter(to.resource, sender.bare, stanza)
        self._welcome(room, occupant, stanza, ("201",) if created else (), tell_others=is_new)

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
        self._route_all(self._shown(room, other, sees).replace(to=full) for other in others)
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

    def _remove_session(
        self, room: Room, full: str, codes: tuple[str, ...] = (), stanza: Stanza | None = None
    ) -> None:
        """A session leaves. Its occupant leaves with the last one (§7.14)."""
        occupant = room.session(full)
        assert occupant is not None
        if len(occupant.sessions) == 1:
            self._remove(room, occupant, codes, stanza=stanza)
            return
        gone = self._presence_of(room, occupant, False, ("110", *codes), gone=True)
        room.leave(full)
        self.service.router.route(gone.replace(to=full))

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
        """An occupant leaves or is removed; everybody learns it and why (§7.14, §8.2, §9.1)."""
        occupant.role = "none"
        details = [*_because(reason, actor), *([extra] if extra is not None else [])]
        self._show(room, occupant, codes, gone=True, stanza=stanza, details=details)
        for full in list(occupant.sessions):
            room.leave(full)
        self._close_if_empty(room)

    def _rename(self, room: Room, occupant: Occupant, stanza: Stanza, nick: str) -> None:
        """Changes the nick of an occupant (§7.6)."""
        taken = nick in room.occupants or not room.nick_is_free(nick, occupant.bare)
        if taken:
            raise StanzaError("conflict", "this nick is taken")
        self._show(room, occupant, ("303",), gone=True, new_nick=nick)
        room.rename(occupant, nick)
        room.enter(nick, occupant.bare, stanza)
        self._show(room, occupant)

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
        item = _item(room.affiliation(occupant.bare), role, nick=new_nick)
        if sees:
            item.set("jid", next(reversed(occupant.sessions)))
        inside = list(details)
        item.extend(one for one in inside if not one.tag.endswith("}destroy"))
        x = _user_x(item, codes)
        x.extend(one for one in inside if one.tag.endswith("}destroy"))
        clean = _without_claims(base)
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
        self._route_all(
            shown[room.sees_addresses(viewer)].replace(to=full)
            for viewer in list(room.occupants.values())
            if viewer is not occupant
            for full in list(viewer.sessions)
        )
        own = make(room.sees_addresses(occupant), ("110", *codes))
        for full in occupant.sessions:
            if full != but:
                self.service.router.route(own.replace(to=full))

    def _route_all(self, stanzas: Iterator[Stanza]) -> None:
        # Made now: who is in the room may change before all are delivered.
        self.service.router.route_all(iter(list(stanzas)))

    # ── messages (§7.4, §7.5, §8.1) ──────────────────────────────────────────

    def _say(self, room: Room, occupant: Occupant | None, stanza: Stanza) -> None:
        """A message for everybody, or another subject."""
        if occupant is None:
            raise StanzaError("not-acceptable", "enter the room first")
        names = stanza.child_names
        subject, body = f"{{{CLIENT}}}subject" in names, f"{{{CLIENT}}}body" in names
        if occupant.role == "visitor":
            raise StanzaError("forbidden", "visitors may only listen")
        may_change = room.config.change_subject or occupant.role == "moderator"
        if subject and not body and not may_change:
            raise StanzaError("forbidden", "only moderators change the subject")
        message = self._from(room, occupant, stanza)
        message = with_id(message, room.address, self.service.runtime.token(16))
        now = self.service.runtime.now()
        if subject and not body:
            room.kept.subject = (now, message)
        elif body:
            room.remember(now, message)
        self._to_all(room, message)

    def _from(self, room: Room, occupant: Occupant, stanza: Stanza) -> Stanza:
        """A message as it comes from an occupant, without what the sender cannot claim."""
        clean = without_ids_of(_without_claims(stanza), room.address)
        id = element(f"{{{OCCUPANT}}}occupant-id", {"id": room.occupant_id(occupant.bare)})
        return with_child(clean, id, sender=f"{room.address}/{occupant.nick}", to=None)

    def _to_all(
        self, room: Room, message: Stanza, wanted: Callable[[Occupant], bool] = lambda one: True
    ) -> None:
        self._route_all(
            message.replace(to=full)
            for occupant in room.occupants.values()
            if wanted(occupant)
            for full in occupant.sessions
        )

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
                raise StanzaError("not-acceptable", "enter the room first")
            return True
        target = room.occupants.get(to.resource)
        sender = f"{room.address}/{occupant.nick}"
        if not asks:
            asker = self._asked.pop((stanza.sender or "", stanza.id or ""), "")
            if asker:
                self.service.router.route(stanza.replace(sender=sender, to=asker))
            return True
        if target is None:
            raise StanzaError("item-not-found", "nobody here has this nick")
        if target is occupant and stanza.payload == PING:
            self.service.router.route(stanza.result())  # XEP-0410 §3.3: answered by the room
            return True
        # One of the sessions answers, the last one that has sent presence.
        full = next(reversed(target.sessions))
        self._asked[full, stanza.id or ""] = stanza.sender or ""
        if len(self._asked) > PENDING:
            del self._asked[next(iter(self._asked))]
        self.service.router.route(stanza.replace(sender=sender, to=full))
        return True

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
                Field("muc#role", values=("participant",)),
                Field("muc#jid", "jid-single", "User", (occupant.bare,)),
                Field("muc#roomnick", "text-single", "Nick", (occupant.nick,)),
                boolean("muc#request_allow", "Grant voice?", False),
            ]
            asked = build(REQUEST, fields, title="Voice request")
            message = build_stanza("message", sender=room.address, children=(asked,))
            self._to_all(room, message, lambda one: one.role == "moderator")
            return
        if occupant.role != "moderator":
            raise StanzaError("forbidden", "only moderators grant voice")
        target = room.occupants.get(form.text("muc#roomnick"))
        if target is not None and target.role == "visitor" and form.flag("muc#request_allow"):
            target.role = "participant"
            self._show(room, target)

    # ── the owner: configuration and destruction (§10) ───────────────────────

    def _owner(self, request: Request) -> Iterable[Element]:
        room, bare = self._room(request), _bare(request)
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
        x = _user_x(None, tuple(codes))
        message = build_stanza("message", type="groupchat", sender=room.address, children=(x,))
        self._to_all(room, message)
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
        room, bare = self._room(request), _bare(request)
        actor = room.session(request.stanza.sender or "")
        items = request.payload.findall(f"{{{ADMIN}}}item")
        if not items or len(items) != len(request.payload):
            raise StanzaError("bad-request", "items are needed")
        if request.stanza.type == "get":
            return [element(f"{{{ADMIN}}}query", {}, *self._list(room, bare, actor, items[0]))]
        # Everything is checked before anything is changed.
        acts = [self._change(room, bare, actor, item) for item in items]
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
                    yield _admin_item(affiliation=of, role=role, jid=one.bare, nick=one.nick)
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
                yield _admin_item(affiliation=found, jid=who, nick=nicks.get(who))

    def _change(
        self, room: Room, bare: str, actor: Occupant | None, item: Element
    ) -> Callable[[], None]:
        """Checks one item of a change; returns what carries it out. Raises StanzaError."""
        role, affiliation = item.get("role"), item.get("affiliation")
        reason = item.findtext(f"{{{ADMIN}}}reason") or ""
        if affiliation is not None:
            to = parse_or_none(item.get("jid", ""))
            nick = item.get("nick", "")
            if to is None and nick in room.occupants:
                to = jid(room.occupants[nick].bare)
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
            self._show(room, target, details=_because(reason, actor))

    def _affiliate(
        self, room: Room, bare: str, affiliation: str, reason: str, actor: Occupant | None
    ) -> None:
        room.set_affiliation(bare, affiliation)
        for occupant in room.of_user(bare):
            if affiliation == "outcast":
                self._remove(room, occupant, ("301",), reason=reason, actor=actor)
            elif affiliation == "none" and room.config.members_only:
                self._remove(room, occupant, ("321",), reason=reason, actor=actor)
            else:
                occupant.role = room.default_role(bare)
                self._show(room, occupant, details=_because(reason, actor))

    # ── registration: a nick of one's own (§7.10) ────────────────────────────

    def _register(self, request: Request) -> Iterable[Element]:
        room, bare = self._room(request), _bare(request)
        own = [nick for nick, who in room.kept.nicks.items() if who == bare]
        if room.affiliation(bare) == "outcast":
            raise StanzaError("forbidden", "banned from this room")
        if room.config.members_only and room.affiliation(bare) == "none":
            raise StanzaError("not-allowed", "admins choose the members")
        query = f"{{{REGISTER}}}query"
        if request.stanza.type == "get":
            nick_field = Field("muc#register_roomnick", "text-single", "Nick", own)
            form = build(NICK_FORM, [nick_field], title="A nick of your own")
            children = [element(f"{{{REGISTER}}}registered")] if own else []
            return [element(query, {}, *children, form)]
        if request.payload.find(f"{{{REGISTER}}}remove") is not None:
            for nick in own:
                del room.kept.nicks[nick]
            return ()
        wanted = Form.read(request.payload)
        address = None
        if wanted is not None:
            address = parse_or_none(f"{room.address}/{wanted.text('muc#register_roomnick')}")
        if address is None:
            raise StanzaError("bad-request", "which nick?")
        if not room.nick_is_free(address.resource, bare):
            raise StanzaError("conflict", "this nick is taken")
        if room.affiliation(bare) == "none":
            room.set_affiliation(bare, "member")
        for nick in own:
            del room.kept.nicks[nick]
        room.kept.nicks[address.resource] = bare
        return ()

    def _room(self, request: Request) -> Room:
        room = self._find(request.to.bare) if request.to.local else None
        if room is None:
            raise StanzaError("item-not-found", "there is no such room")
        return room


_INVITED = frozenset(f"{{{USER}}}{name}" for name in ("reason", "continue"))


def _bare(request: Request) -> str:
    return jid(request.stanza.sender or "").bare


def _subject(room: Room) -> str:
    return room.kept.subject[1].subject if room.kept.subject is not None else ""


def _without_claims(stanza: Stanza) -> Stanza:
    """A stanza without the elements that only the room may add, or that were for the room."""
    names = (JOIN, X, f"{{{OCCUPANT}}}occupant-id")
    if not any(name in stanza.child_names for name in names):
        return stanza
    return without_children(stanza, lambda child: child.tag in names)


def _item(affiliation: str, role: str, nick: str | None = None) -> Element:
    attributes: dict[str, str | None] = {"affiliation": affiliation, "role": role, "nick": nick}
    return element(f"{{{USER}}}item", attributes)


def _admin_item(**attributes: str | None) -> Element:
    return element(f"{{{ADMIN}}}item", attributes)


def _user_x(item: Element | None, codes: Iterable[str]) -> Element:
    x = element(X)
    if item is not None:
        x.append(item)
    x.extend(element(f"{{{USER}}}status", {"code": code}) for code in codes)
    return x


def _because(reason: str, actor: Occupant | None) -> list[Element]:
    """Who has done it, by nick, and why."""
    found = [element(f"{{{USER}}}actor", {"nick": actor.nick})] if actor is not None else []
    return [*found, element(f"{{{USER}}}reason", text=reason)] if reason else found


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


def _check_affiliation(room: Room, bare: str, target: str, affiliation: str) -> None:
    """Raises StanzaError if a user may not give this affiliation (§5.2.1)."""
    own, other = room.affiliation(bare), room.affiliation(target)
    if rank(own) < rank("admin"):
        raise StanzaError("forbidden", "only admins change affiliations")
    if target == bare and affiliation == "outcast":
        raise StanzaError("conflict", "nobody bans himself")
    if own != "owner" and (rank(other) >= rank("admin") or rank(affiliation) >= rank("admin")):
        raise StanzaError("not-allowed", "only owners appoint admins and owners")
    owners = [who for who, found in room.kept.affiliations.items() if found == "owner"]
    if owners == [target] and affiliation != "owner":
        raise StanzaError("conflict", "a room has an owner")

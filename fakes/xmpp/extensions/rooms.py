"""XEP-0045 (1.35.5): chat rooms at `conference.DOMAIN`, with XEP-0249, XEP-0410 and XEP-0421.

A room is created by the first user who enters it, who is its owner and must configure it. The model
is in `fakes/xmpp/room.py`: Config, Occupant, Room. What happens in rooms is in `fakes/xmpp/muc/`:
hall.py (what all parts share), then entering.py, talking.py, inviting.py, governing.py.

Occupants are known by their nicks. Their real addresses are in the presence for moderators, and for
everybody if the room is configured so; in messages they never are.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from fakes.xmpp.addresses import Jid, jid, parse_or_none
from fakes.xmpp.extension import Information
from fakes.xmpp.extensions.stanza_ids import SID
from fakes.xmpp.forms import DATA, Field, boolean, build
from fakes.xmpp.muc.entering import Entering
from fakes.xmpp.muc.governing import Governing
from fakes.xmpp.muc.inviting import Inviting
from fakes.xmpp.muc.names import (
    ADMIN,
    MUC,
    OCCUPANT,
    OWNER,
    REGISTER,
    REQUEST,
    X,
    subject_of,
)
from fakes.xmpp.muc.talking import Talking
from fakes.xmpp.requests import Answers
from fakes.xmpp.room import INFO
from fakes.xmpp.stanzas import Stanza, StanzaError

OWN_NICK = "x-roomuser-item"
TRAFFIC = f"{MUC}#traffic"
FEATURES = (
    MUC,
    REQUEST,
    f"{MUC}#stable_id",
    f"{MUC}#self-ping-optimization",
    OCCUPANT,
    SID,
    DATA,
    REGISTER,
)


class Rooms(Entering, Talking, Inviting, Governing):
    """The rooms of a server, as a service at a subdomain."""

    name = "rooms"
    section = "XEP-0045"
    subdomain = "conference"

    # ── what discovery shows (§6) ────────────────────────────────────────────

    def information(self, to: Jid) -> Information | None:
        if not to.local:
            return Information("conference", "text", "Rooms", self._features())
        room = self._find(to.bare)
        if room is None or room.locked:
            return None
        config = room.config
        form = build(
            INFO,
            [
                Field("muc#roominfo_description", "text-single", "", (config.description,)),
                Field("muc#roominfo_occupants", "text-single", "", (str(len(room.occupants)),)),
                Field("muc#roominfo_subject", "text-single", "", (subject_of(room),)),
                boolean("muc#roominfo_changesubject", "", config.change_subject),
            ],
            type="result",
        )
        added = (one.features_of_rooms() for one in self.service.extensions.active)
        features = (*self._features(), *config.features(), *chain.from_iterable(added))
        name = config.name or to.local
        return Information("conference", "text", name, features, (form,))

    def service_information(self, node: str, asker: Jid, to: Jid) -> Information | None:
        room = self._find(to.bare) if to.local else None
        if node == TRAFFIC:
            raise StanzaError("service-unavailable", "all content passes")  # §18.1.1
        if node != OWN_NICK or room is None:
            return super().service_information(node, asker, to)
        nicks = [nick for nick, who in room.kept.nicks.items() if who == asker.bare]
        return Information("conference", "text", nicks[0], ()) if nicks else None  # §7.12

    def _features(self) -> tuple[str, ...]:
        added = (one.room_features() for one in self.service.extensions.active)
        return (*FEATURES, *chain.from_iterable(added))

    def items(self, to: Jid) -> Iterable[dict[str, str | None]]:
        room = self._find(to.bare) if to.local else None
        if room is not None:
            nicks = room.occupants if room.config.public else ()
            return [{"jid": f"{room.address}/{nick}"} for nick in nicks]
        return [
            {"jid": room.address, "name": room.config.name or jid(room.address).local}
            for room in self.all_rooms().values()
            if jid(room.address).domain == to.domain and room.config.public and not room.locked
        ]

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

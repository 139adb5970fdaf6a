"""The names that rooms use, and the small elements that they write (XEP-0045)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import jid
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Request
from fakes.xmpp.room import Occupant, Room
from fakes.xmpp.stanzas import Stanza, without_children

MUC = "http://jabber.org/protocol/muc"
USER = f"{MUC}#user"
ADMIN = f"{MUC}#admin"
OWNER = f"{MUC}#owner"
REQUEST = f"{MUC}#request"
REGISTER = "jabber:iq:register"
NICK_FORM = f"{MUC}#register"
OCCUPANT = "urn:xmpp:occupant-id:0"
RETRACT = "{urn:xmpp:message-retract:1}retract"
MODERATED = "{urn:xmpp:message-moderate:1}moderated"
JOIN, X = f"{{{MUC}}}x", f"{{{USER}}}x"


def bare_of(request: Request) -> str:
    return jid(request.stanza.sender or "").bare


def subject_of(room: Room) -> str:
    return room.kept.subject[1].subject if room.kept.subject is not None else ""


def without_claims(stanza: Stanza) -> Stanza:
    """A stanza without the elements that only the room may add, or that were for the room."""
    names = (JOIN, X, f"{{{OCCUPANT}}}occupant-id", RETRACT)
    if not any(name in stanza.child_names for name in names):
        return stanza

    def is_claim(child: Element) -> bool:
        # XEP-0425: only the room says that a moderator has retracted a message.
        own = child.tag == RETRACT and child.find(MODERATED) is None
        return child.tag in names and not own

    return without_children(stanza, is_claim)


def item_of(affiliation: str, role: str, nick: str | None = None) -> Element:
    attributes: dict[str, str | None] = {"affiliation": affiliation, "role": role, "nick": nick}
    return element(f"{{{USER}}}item", attributes)


def admin_item(**attributes: str | None) -> Element:
    return element(f"{{{ADMIN}}}item", attributes)


def user_x(item: Element | None, codes: Iterable[str]) -> Element:
    x = element(X)
    if item is not None:
        x.append(item)
    x.extend(element(f"{{{USER}}}status", {"code": code}) for code in codes)
    return x


def because(reason: str, actor: Occupant | None) -> list[Element]:
    """Who has done it, by nick, and why."""
    found = [element(f"{{{USER}}}actor", {"nick": actor.nick})] if actor is not None else []
    return [*found, element(f"{{{USER}}}reason", text=reason)] if reason else found

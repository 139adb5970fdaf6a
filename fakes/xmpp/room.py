"""A chat room as a value: its configuration, who may do what in it, and who is in it (XEP-0045).

What a room does with stanzas is in `extensions/rooms.py`.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from fakes.xmpp.forms import Field, Form, boolean, build
from fakes.xmpp.stanzas import Stanza, StanzaError

CONFIG = "http://jabber.org/protocol/muc#roomconfig"
INFO = "http://jabber.org/protocol/muc#roominfo"

_STANZA_ID = "{urn:xmpp:sid:0}stanza-id"

# From the least to the most (XEP-0045 §5).
AFFILIATIONS = ("outcast", "none", "member", "admin", "owner")
ROLES = ("none", "visitor", "participant", "moderator")
PRIVATE = ("anyone", "participants", "moderators", "none")  # who may send private messages
WHOIS = ("moderators", "anyone")  # who sees real addresses

HISTORY = 20  # messages that a room remembers, unless it is configured otherwise
MOST_HISTORY = 200
PEOPLE = 10_000  # addresses with an affiliation, per room


def rank(affiliation: str) -> int:
    """The place of an affiliation: a greater one may do more."""
    return AFFILIATIONS.index(affiliation)


@dataclass(frozen=True)
class Config:
    """The configuration of a room, with the defaults of a new one."""

    name: str = ""
    description: str = ""
    persistent: bool = False
    public: bool = True
    members_only: bool = False
    moderated: bool = False
    change_subject: bool = False  # participants may change it, too
    allow_invites: bool = False  # members may invite to a room for members only
    password: str = ""
    private: str = "anyone"
    whois: str = "moderators"
    max_users: int = 0  # 0: no limit
    history: int = HISTORY

    def form(self) -> Element:
        """Builds the form with which owners configure the room (§10.2)."""
        built = []
        for name, (var, label, choices) in _FIELDS.items():
            value = getattr(self, name)
            if isinstance(value, bool):
                built.append(boolean(var, label, value))
            elif choices:
                # An owner may set other numbers of occupants than those of the form.
                shown = str(value) if value != 0 else "none"
                options = choices if shown in choices else (shown, *choices)
                built.append(Field(var, "list-single", label, (shown,), options))
            else:
                kind = "text-private" if name == "password" else "text-single"
                built.append(Field(var, kind, label, (str(value),)))
        protected = boolean(_PROTECTED, "Does it need a password?", bool(self.password))
        return build(CONFIG, [*built, protected], title="Configuration of the room")

    def changed(self, form: Form) -> Config:
        """Returns the configuration with the fields of a submitted form. Raises StanzaError."""
        changes: dict[str, Any] = {}
        for name, (var, _, choices) in _FIELDS.items():
            if var not in form.values:
                continue
            value = getattr(self, name)
            if isinstance(value, bool):
                changes[name] = form.flag(var, value)
            elif isinstance(value, int):
                changes[name] = _number(form.text(var, "0"), var)
            elif choices:
                changes[name] = form.choice(var, choices, value)
            else:
                changes[name] = form.text(var)
        if _PROTECTED in form.values and not form.flag(_PROTECTED):
            changes["password"] = ""
        elif form.flag(_PROTECTED) and not changes.get("password", self.password):
            raise StanzaError("not-acceptable", "a protected room has a password")
        found = replace(self, **changes)
        return replace(found, history=min(found.history, MOST_HISTORY))

    def features(self) -> list[str]:
        """What disco#info says about the room (§6.4)."""
        return [
            "muc_passwordprotected" if self.password else "muc_unsecured",
            "muc_public" if self.public else "muc_hidden",
            "muc_persistent" if self.persistent else "muc_temporary",
            "muc_membersonly" if self.members_only else "muc_open",
            "muc_moderated" if self.moderated else "muc_unmoderated",
            "muc_nonanonymous" if self.whois == "anyone" else "muc_semianonymous",
        ]


_PROTECTED = "muc#roomconfig_passwordprotectedroom"
_VAR = "muc#roomconfig_"
# field → its name in the form, its label, and its choices
_FIELDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "name": (f"{_VAR}roomname", "Name", ()),
    "description": (f"{_VAR}roomdesc", "Description", ()),
    "persistent": (f"{_VAR}persistentroom", "Does it stay when nobody is in it?", ()),
    "public": (f"{_VAR}publicroom", "Is it listed?", ()),
    "members_only": (f"{_VAR}membersonly", "Is it for members only?", ()),
    "moderated": (f"{_VAR}moderatedroom", "Do new visitors need voice?", ()),
    "change_subject": (f"{_VAR}changesubject", "May occupants change the subject?", ()),
    "allow_invites": (f"{_VAR}allowinvites", "May members invite?", ()),
    "password": (f"{_VAR}roomsecret", "Password", ()),
    "private": (f"{_VAR}allowpm", "Who may send private messages?", PRIVATE),
    "whois": (f"{_VAR}whois", "Who sees real addresses?", WHOIS),
    "max_users": (f"{_VAR}maxusers", "Most occupants", ("10", "20", "30", "50", "100", "none")),
    "history": ("muc#maxhistoryfetch", "Messages of the history", ()),
}
assert set(_FIELDS) == {one.name for one in fields(Config)}


def _number(text: str, name: str) -> int:
    if text in ("", "none"):
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise StanzaError("not-acceptable", f"{name} is a number")
    return int(text)


@dataclass
class Kept:
    """What of a room outlives its occupants."""

    secret: str  # occupant ids are made with it
    config: Config = field(default_factory=Config)
    affiliations: dict[str, str] = field(default_factory=dict)  # bare address → affiliation
    nicks: dict[str, str] = field(default_factory=dict)  # reserved nick → bare address
    history: deque[tuple[float, Stanza]] = field(default_factory=deque)
    subject: tuple[float, Stanza] | None = None  # when it was set, and by which message
    extension_data: dict[str, Any] = field(default_factory=dict)  # by the extension's name


@dataclass
class Occupant:
    """Who is in the room under one nick: one user, with one session or more."""

    nick: str
    bare: str
    role: str
    # full address → last presence, in the order in which they came
    sessions: dict[str, Stanza] = field(default_factory=dict)
    # The presence that others see, with the real address or without, and what it was made from:
    # each user who enters gets that of everybody.
    shown: dict[bool, tuple[Any, Stanza]] = field(default_factory=dict)

    @property
    def presence(self) -> Stanza:
        """The presence of the session that has spoken last."""
        return self.sessions[next(reversed(self.sessions))]


class Room:
    """A room, and its occupants by nick. It is locked until its owner has configured it."""

    def __init__(self, address: str, kept: Kept, *, locked: bool = False) -> None:
        self.address = address
        self.kept = kept
        self.locked = locked
        self.occupants: dict[str, Occupant] = {}
        self._by_session: dict[str, Occupant] = {}

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.kept.config

    def affiliation(self, bare: str) -> str:
        """The affiliation of a user."""
        return self.kept.affiliations.get(bare, "none")

    def set_affiliation(self, bare: str, affiliation: str) -> None:
        """Sets the affiliation of a user. Raises StanzaError if there are too many."""
        self.kept.affiliations.pop(bare, None)
        if affiliation == "none":
            return
        if len(self.kept.affiliations) >= PEOPLE:
            raise StanzaError("resource-constraint", f"{PEOPLE} users have an affiliation")
        self.kept.affiliations[bare] = affiliation

    def forget_nicks(self, bare: str) -> None:
        """Removes the nicks that a user has reserved."""
        self.kept.nicks = {nick: who for nick, who in self.kept.nicks.items() if who != bare}

    def default_role(self, bare: str) -> str:
        """The role with which a user enters (§5.1.2)."""
        affiliation = self.affiliation(bare)
        if rank(affiliation) >= rank("admin"):
            return "moderator"
        if self.config.moderated and affiliation == "none":
            return "visitor"
        return "participant"

    def occupant_id(self, bare: str) -> str:
        """XEP-0421 §4.1: the same for a user whenever they are in this room, and only here."""
        return hashlib.sha256(f"{self.kept.secret} {bare}".encode()).hexdigest()[:40]

    # ── who is in it ─────────────────────────────────────────────────────────

    def session(self, full: str) -> Occupant | None:
        """The occupant whose session this is; None if it is not in the room."""
        return self._by_session.get(full)

    def of_user(self, bare: str) -> list[Occupant]:
        """All occupants that are the same user."""
        return [occupant for occupant in self.occupants.values() if occupant.bare == bare]

    def nick_is_free(self, nick: str, bare: str) -> bool:
        """Whether a user may have a nick: nobody else has it or has reserved it."""
        taken = self.occupants.get(nick)
        return (taken is None or taken.bare == bare) and self.kept.nicks.get(nick, bare) == bare

    def enter(self, nick: str, bare: str, presence: Stanza) -> Occupant:
        """Adds a session, and its occupant if there is none with this nick."""
        occupant = self.occupants.get(nick)
        if occupant is None:
            occupant = self.occupants[nick] = Occupant(nick, bare, self.default_role(bare))
        full = presence.sender or ""
        occupant.sessions.pop(full, None)  # it becomes the last one
        occupant.sessions[full] = presence
        self._by_session[full] = occupant
        return occupant

    def leave(self, full: str) -> None:
        """Removes a session, and its occupant with the last one."""
        occupant = self._by_session.pop(full)
        del occupant.sessions[full]
        if not occupant.sessions:
            del self.occupants[occupant.nick]

    def rename(self, occupant: Occupant, nick: str) -> None:
        """Changes the nick of an occupant."""
        del self.occupants[occupant.nick]
        occupant.nick = nick
        self.occupants[nick] = occupant

    def sees_addresses(self, viewer: Occupant | None) -> bool:
        """Whether an occupant sees real addresses (XEP-0045 §4.2)."""
        return self.config.whois == "anyone" or (viewer is not None and viewer.role == "moderator")

    # ── what was said ────────────────────────────────────────────────────────

    def remember(self, at: float, message: Stanza) -> None:
        """Adds a message to the history."""
        history = self.kept.history
        history.append((at, message))
        while len(history) > self.config.history:
            history.popleft()

    def said(self, id: str) -> Stanza | None:
        """The message of the history to which the room has given this id (XEP-0359)."""
        for _, message in self.kept.history:
            for child in message.element.findall(_STANZA_ID):
                if child.get("id") == id and child.get("by") == self.address:
                    return message
        return None

    def unsay(self, message: Stanza) -> None:
        """Removes a message from the history."""
        kept = [entry for entry in self.kept.history if entry[1] is not message]
        self.kept.history.clear()
        self.kept.history.extend(kept)

    def recent(self, wish: Element | None, now: float) -> Iterator[tuple[float, Stanza]]:
        """The history that a new occupant gets; `wish` is its `<history/>` (XEP-0045 §7.2.14)."""
        # It may have been configured to be shorter since the last message.
        found = list(self.kept.history)[max(len(self.kept.history) - self.config.history, 0) :]
        limits = {name: _limit(wish, name) for name in ("maxstanzas", "seconds", "maxchars")}
        seconds, stanzas = limits["seconds"], limits["maxstanzas"]
        since = _since(wish)
        if seconds is not None:
            since = max(since, now - seconds)
        found = [entry for entry in found if entry[0] >= since]
        if stanzas is not None:
            found = found[-stanzas:] if stanzas else []
        if limits["maxchars"] is not None:
            left = limits["maxchars"]
            kept: list[tuple[float, Stanza]] = []
            for entry in reversed(found):
                left -= len(entry[1].to_bytes())
                if left < 0:
                    break
                kept.insert(0, entry)
            found = kept
        return iter(found)


def _since(wish: Element | None) -> float:
    """The time that a wish names, in seconds since the epoch; a very early one if there is none."""
    try:
        at = datetime.fromisoformat(wish.get("since", "") if wish is not None else "")
    except ValueError:
        return -math.inf
    return at.timestamp() if at.tzinfo is not None else -math.inf


def _limit(wish: Element | None, name: str) -> int | None:
    text = wish.get(name, "") if wish is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

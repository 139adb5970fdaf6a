"""Who sees whom in a room, and who may do what, against a simple model (XEP-0045 §5).

Four people enter, leave, are kicked, banned and promoted, and the owner changes the configuration.
Each one's client keeps whom it has been shown. After every step that agrees with the model, and so
does what each of them has heard.
"""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fakes.xmpp.muc.names import USER
from tests.test_fakes_xmpp_extensions_rooms import NAMES, ROOM, Play, admin, configure
from tests.thorough import fewer

RANK = {"outcast": 0, "none": 1, "member": 2, "admin": 3, "owner": 4}
names = st.sampled_from(NAMES)
pairs = st.permutations(NAMES).map(lambda order: (order[0], order[1]))


class Seen:
    """What one client knows of the room from what it has received."""

    def __init__(self) -> None:
        self.inside: dict[str, tuple[str, str, bool]] = {}  # nick → affiliation, role, real address
        self.heard: list[str] = []
        self.read = 0


class Rooms(RuleBasedStateMachine):
    """The model: affiliations, roles of who is inside, and the configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.play = Play().opened()
        self.seen = {name: Seen() for name in NAMES}
        self.affiliations = {"romeo": "owner"}
        self.roles: dict[str, str] = {}
        self.moderated = self.members_only = self.everybody_sees = False
        self.expected: dict[str, list[str]] = {name: [] for name in NAMES}
        self.numbers = count(1)
        self.were_moderators: set[str] = set()  # after the step before
        # Romeo comes in again, so that his client has seen everything.
        self._leave("romeo")
        configure(self.play.romeo)
        self.enter("romeo")
        configure(self.play.romeo, persistentroom="1")
        self.seen["romeo"].heard.clear()

    def affiliation(self, name: str) -> str:
        return self.affiliations.get(name, "none")

    def default_role(self, name: str) -> str:
        if RANK[self.affiliation(name)] >= RANK["admin"]:
            return "moderator"
        visitor = self.moderated and self.affiliation(name) == "none"
        return "visitor" if visitor else "participant"

    def _leave(self, name: str) -> None:
        self.play.actor(name).sends(f"<presence type='unavailable' to='{ROOM}/{name}'/>")

    # ── coming and going ─────────────────────────────────────────────────────

    @rule(name=names)
    def enter(self, name: str) -> None:
        affiliation = self.affiliation(name)
        if name not in self.roles:
            self.play.actor(name).joins(ROOM, name)
            if affiliation != "outcast" and not (self.members_only and affiliation == "none"):
                self.roles[name] = self.default_role(name)

    @rule(name=names)
    def leave(self, name: str) -> None:
        self._leave(name)
        self.roles.pop(name, None)

    # ── governing ────────────────────────────────────────────────────────────

    @rule(pair=pairs)
    def kick(self, pair: tuple[str, str]) -> None:
        actor, target = pair
        condition = admin(self.play.actor(actor), f"nick='{target}' role='none'")
        may = self.roles.get(actor) == "moderator" and target in self.roles
        may = may and RANK[self.affiliation(target)] <= RANK[self.affiliation(actor)]
        assert (condition == "") == may, condition
        if may:
            del self.roles[target]

    @rule(pair=pairs, voice=st.booleans())
    def voice(self, pair: tuple[str, str], voice: bool) -> None:
        actor, target = pair
        role = "participant" if voice else "visitor"
        condition = admin(self.play.actor(actor), f"nick='{target}' role='{role}'")
        may = self.roles.get(actor) == "moderator" and target in self.roles
        may = may and RANK[self.affiliation(target)] < RANK["admin"]
        if may and self.roles[target] == "moderator":
            may = RANK[self.affiliation(actor)] >= RANK["admin"]
        assert (condition == "") == may, condition
        if may:
            self.roles[target] = role

    @rule(pair=pairs, wanted=st.sampled_from(tuple(RANK)))
    def affiliate(self, pair: tuple[str, str], wanted: str) -> None:
        actor, target = pair
        item = f"jid='{target}@example.test' affiliation='{wanted}'"
        condition = admin(self.play.actor(actor), item)
        own, other = self.affiliation(actor), self.affiliation(target)
        may = RANK[own] >= RANK["admin"]
        highest = max(RANK[other], RANK[wanted])
        may = may and (own == "owner" or highest < RANK["admin"])
        owners = [name for name in NAMES if self.affiliation(name) == "owner"]
        may = may and not (owners == [target] and wanted != "owner")
        assert (condition == "") == may, condition
        if not may:
            return
        self.affiliations[target] = wanted
        if wanted == "outcast" or (wanted == "none" and self.members_only):
            self.roles.pop(target, None)
        elif target in self.roles:
            self.roles[target] = self.default_role(target)

    @rule(moderated=st.booleans(), members_only=st.booleans(), whois=st.booleans())
    def configure(self, moderated: bool, members_only: bool, whois: bool) -> None:
        owner = next(name for name in NAMES if self.affiliation(name) == "owner")
        config = {
            "moderatedroom": str(int(moderated)),
            "membersonly": str(int(members_only)),
            "whois": "anyone" if whois else "moderators",
        }
        assert configure(self.play.actor(owner), **config) == ""
        self.moderated, self.members_only, self.everybody_sees = moderated, members_only, whois
        if members_only:
            for name in [one for one in self.roles if self.affiliation(one) == "none"]:
                del self.roles[name]

    # ── talking ──────────────────────────────────────────────────────────────

    @rule(name=names)
    def say(self, name: str) -> None:
        text = f"m{next(self.numbers)}"
        self.play.actor(name).says(ROOM, text, type="groupchat")
        if self.roles.get(name) in ("participant", "moderator"):
            for one in self.roles:
                self.expected[one].append(text)

    @rule(pair=pairs)
    def whisper(self, pair: tuple[str, str]) -> None:
        sender, to = pair
        text = f"w{next(self.numbers)}"
        self.play.actor(sender).says(f"{ROOM}/{to}", text)
        if sender in self.roles and to in self.roles:
            self.expected[to].append(text)

    # ── what must hold ───────────────────────────────────────────────────────

    @invariant()
    def each_one_sees_and_hears_what_they_should(self) -> None:
        for name, seen in self.seen.items():
            self._read(name, seen)
            if name not in self.roles:
                assert seen.inside == {}, name
                continue
            wanted = {one: (self.affiliation(one), role) for one, role in self.roles.items()}
            assert {one: shown[:2] for one, shown in seen.inside.items()} == wanted, name
        self.were_moderators = {one for one, role in self.roles.items() if role == "moderator"}
        for name, seen in self.seen.items():
            assert seen.heard == self.expected[name], name

    def _read(self, name: str, seen: Seen) -> None:
        moderates = self.roles.get(name) == "moderator"
        for stanza in self.play.actor(name).all[seen.read :]:
            room, _, nick = (stanza.sender or "").partition("/")
            if room != ROOM or stanza.type == "error":
                continue
            if stanza.kind == "message" and stanza.body and not stanza.delayed:
                seen.heard.append(stanza.body)
            if stanza.kind != "presence":
                continue
            item = stanza.element.find(f"{{{USER}}}x/{{{USER}}}item")
            assert item is not None
            if stanza.type == "unavailable":
                seen.inside.pop(nick, None)
                if nick == name:
                    seen.inside.clear()
            else:
                jid = item.get("jid") is not None
                if jid and not self.everybody_sees:
                    # It was sent before or after this step made its receiver a moderator.
                    assert moderates or nick == name or name in self.were_moderators
                shown = item.get("affiliation") or "", item.get("role") or "", jid
                seen.inside[nick] = shown
        seen.read = len(self.play.actor(name).all)


class Long(Rooms):
    """The same, in many steps."""


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=2, stateful_step_count=12)
TestRoomsForLong = pytest.mark.slow(Long.TestCase)
TestRoomsForLong.settings = fewer()

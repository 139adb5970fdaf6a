"""The service: what a test sends, and who sees whom, compared with a model."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from fakes.toc import Toc
from tests.test_fakes_toc_session import Bench, taken
from tests.thorough import fewer
from tests.toc_raw import Raw, folded

NAMES = ("alice", "bob", "Ops Bot")
names = st.sampled_from(NAMES)
any_names = st.sampled_from((*NAMES, "nobody"))
forms = st.sampled_from(("toc_signon", "toc2_signon", "toc2_login"))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("IM_IN:bob:F:a\0b", r"'\\x00' at position 13 cannot be sent over TOC; leave it out"),
        ("IM_IN:bob:F:5 €", r"'€' at position 14 .*; write it as &#8364; in HTML"),
        ("x" * 8186, r"has 8186 bytes; a message of the server has at most 8185"),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused(message: str, words: str) -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    with pytest.raises(ValueError, match=words):
        bench.aim.sends("alice", message)
    assert taken(core) == b""
    longest = "ERROR:901:" + "x" * (8185 - len("ERROR:901:"))
    bench.aim.sends("alice", longest)
    assert raw.feed(taken(core)) == [longest]


# ── who sees whom: clients sign on, hide, watch, talk and leave in any order ─


class Permissions:
    """The model of who may see a user."""

    def __init__(self) -> None:
        self.mode = 1
        self.permitted: set[str] = set()
        self.denied: set[str] = set()


class User:
    """The model of an account, and of its session if it has one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stored: set[str] = set()  # the buddies that TOC2 stores
        self.stored_permissions = Permissions()
        self.warning = 0
        self.core: Toc | None = None
        self.raw: Raw | None = None
        self.begin(toc2=False)

    def begin(self, toc2: bool) -> None:
        """Begin a session."""
        self.toc2 = toc2
        self.visible = False
        self.added: set[str] = set()  # watched because of toc_add_buddy
        self.permissions = self.stored_permissions if toc2 else Permissions()
        self.away = False
        self.idle = 0
        self.warnings: dict[str, int] = {}  # how often each sender of an IM may be warned

    def end(self) -> None:
        """End the session."""
        self.core = self.raw = None
        self.begin(toc2=False)

    def tell(self, command: str) -> list[str]:
        """Send a command; return the messages that come at once."""
        assert self.core is not None
        assert self.raw is not None
        self.raw.feed(taken(self.core))
        self.core.receive(self.raw.command(command))
        return self.raw.feed(taken(self.core))

    def received(self) -> list[str]:
        """The messages that have come since the last look."""
        return self.raw.feed(taken(self.core)) if self.core and self.raw else []

    def forget(self, name: str) -> None:
        """Forget the status of a user who is no longer watched: no more updates will come."""
        if name not in self.watched and self.raw is not None:
            self.raw.seen.pop(folded(name), None)

    @property
    def watched(self) -> set[str]:
        return self.added | (self.stored if self.toc2 else set())

    def allows(self, other: User) -> bool:
        return {
            1: True,
            2: False,
            3: other.name in self.permissions.permitted,
            4: other.name not in self.permissions.denied,
            5: other.name in self.stored,
        }[self.permissions.mode] or other is self


class Aim(RuleBasedStateMachine):
    """The clients, and the model beside them."""

    sessions = Bundle("sessions")

    @initialize(target=sessions, forms=st.lists(forms, min_size=len(NAMES), max_size=len(NAMES)))
    def begin(self, forms: list[str]) -> MultipleResults[str]:
        """All users are online and watch each other: most faults can be reached from there."""
        self.bench = Bench(accounts=NAMES)
        self.users = {name: User(name) for name in NAMES}
        for name, form in zip(NAMES, forms, strict=True):
            self.signs_on(name, form)
            self.adds(name, list(NAMES))
            self.is_ready(name)
        return multiple(*NAMES)

    # ── coming and going ─────────────────────────────────────────────────────

    @rule(target=sessions, name=names, form=forms)
    def signs_on(self, name: str, form: str) -> str:
        user = self.users[name]
        if user.core is not None:
            user.end()  # the new session replaces the old one
        user.begin(toc2=form != "toc_signon")
        user.core, user.raw = self.bench.core(), Raw(name, form=form)
        user.core.receive(user.raw.opening())
        return name

    @rule(name=sessions)
    def is_ready(self, name: str) -> None:
        user = self.users[name]
        if user.core is not None and not user.visible:
            user.tell("toc_init_done")
            user.visible = True

    @rule(name=consumes(sessions))
    def leaves(self, name: str) -> None:
        user = self.users[name]
        if user.core is not None:
            user.core.eof()
            user.end()

    # ── lists ────────────────────────────────────────────────────────────────

    @rule(name=sessions, others=st.lists(any_names, min_size=1, max_size=2))
    def adds(self, name: str, others: list[str]) -> None:
        user = self.users[name]
        if user.core is not None:
            user.tell("toc_add_buddy " + " ".join(map(folded, others)))
            user.added |= set(others) - user.watched

    @rule(name=sessions, other=any_names)
    def removes(self, name: str, other: str) -> None:
        user = self.users[name]
        if user.core is not None:
            user.tell(f"toc_remove_buddy {folded(other)}")
            user.added -= {other}
            user.forget(other)

    @rule(name=sessions, other=names, group=st.sampled_from(("A", "B b")))
    def stores(self, name: str, other: str, group: str) -> None:
        user = self.users[name]
        if user.core is not None and user.toc2:
            answers = user.tell(f"toc2_new_buddies {{g:{group}\nb:{folded(other)}\n}}")
            assert f"NEW_BUDDY_REPLY2:{folded(other)}:added" in answers
            user.stored.add(other)

    @rule(name=sessions, other=names)
    def removes_stored(self, name: str, other: str) -> None:
        user = self.users[name]
        if user.core is not None and user.toc2:
            user.tell(f"toc2_remove_buddy {folded(other)} A")
            user.tell(f"toc2_remove_buddy {folded(other)} B b")
            user.stored -= {other}
            user.forget(other)

    @rule(name=sessions, others=st.lists(names, max_size=1))
    def permits(self, name: str, others: list[str]) -> None:
        self.permits_or_denies(name, others, permit=True)

    @rule(name=sessions, others=st.lists(names, max_size=1))
    def denies(self, name: str, others: list[str]) -> None:
        self.permits_or_denies(name, others, permit=False)

    @rule(name=sessions)
    def permits_all(self, name: str) -> None:
        """The two commands with which one client reaches the mode that denies nobody."""
        self.permits_or_denies(name, [], permit=True)
        self.permits_or_denies(name, [], permit=False)

    def permits_or_denies(self, name: str, others: list[str], permit: bool) -> None:
        user = self.users[name]
        if user.core is None:
            return
        user.tell(f"toc_add_{'permit' if permit else 'deny'} " + " ".join(map(folded, others)))
        model = user.permissions
        same, opposite = (
            (model.permitted, model.denied) if permit else (model.denied, model.permitted)
        )
        if model.mode in ((1, 4) if permit else (2, 3, 5)):
            opposite.clear()
            model.mode = 2 if permit else 1
        if others:
            model.mode = 3 if permit else 4
            same |= set(others)

    @rule(name=sessions, mode=st.integers(1, 5))
    def sets_mode(self, name: str, mode: int) -> None:
        user = self.users[name]
        if user.core is not None and user.toc2:
            user.tell(f"toc2_set_pdmode {mode}")
            user.permissions.mode = mode

    @rule(name=sessions, other=names, permit=st.booleans(), add=st.booleans())
    def edits_a_list(self, name: str, other: str, permit: bool, add: bool) -> None:
        user = self.users[name]
        if user.core is None or not user.toc2:
            return
        verb = f"toc2_{'add' if add else 'remove'}_{'permit' if permit else 'deny'}"
        user.tell(f"{verb} {folded(other)}")
        edited = user.permissions.permitted if permit else user.permissions.denied
        edited.add(other) if add else edited.discard(other)

    # ── what others see ──────────────────────────────────────────────────────

    @rule(name=sessions, away=st.booleans())
    def goes_away(self, name: str, away: bool) -> None:
        user = self.users[name]
        if user.core is not None:
            user.tell('toc_set_away "gone"' if away else "toc_set_away")
            user.away = away

    @rule(name=sessions, minutes=st.integers(0, 3))
    def idles(self, name: str, minutes: int) -> None:
        user = self.users[name]
        if user.core is not None:
            user.tell(f"toc_set_idle {minutes * 60}")
            user.idle = minutes

    @rule(name=sessions, other=any_names, anonymous=st.booleans())
    def warns(self, name: str, other: str, anonymous: bool) -> None:
        user = self.users[name]
        if user.core is None or not user.visible:
            return
        target = self.users.get(other)
        answers = user.tell(f"toc_evil {folded(other)} {'anon' if anonymous else 'norm'}")
        refused = f"ERROR:902:{folded(other)}" in answers
        if (
            target is not None
            and target is not user
            and target.visible
            and target.allows(user)
            and user.warnings.get(other, 0)
        ):
            assert not refused
            user.warnings[other] -= 1
            target.warning = min(100, target.warning + (3 if anonymous else 10))
        else:
            assert refused

    @rule(name=sessions, other=any_names, auto=st.booleans())
    def sends(self, name: str, other: str, auto: bool) -> None:
        user, target = self.users[name], self.users.get(other)
        if user.core is None:
            return
        if target is not None:
            target.received()  # from here on, only the IM can come
        answers = user.tell(f'toc_send_im {folded(other)} "a: b"{" auto" if auto else ""}')
        arrives = user.visible and target is not None and target.visible and target.allows(user)
        refused = f"ERROR:901:{folded(other)}" in answers
        assert refused is (user.visible and not arrives)
        if arrives and target is not None and target.raw is not None:
            fields = {"toc_signon": "IM_IN:{}:{}:a: b", "toc2_signon": "IM_IN2:{}:{}:F:a: b"}
            im = fields.get(target.raw.form, "IM_IN_ENC2:{}:{}:F:T: O :F:L:en:a: b")
            messages = answers if target is user else target.received()
            assert im.format(name, "T" if auto else "F") in messages
            target.warnings[name] = target.warnings.get(name, 0) + 1

    # ── what must hold ───────────────────────────────────────────────────────

    @invariant()
    def each_user_sees_what_the_model_says(self) -> None:
        for viewer in self.users.values() if hasattr(self, "users") else ():
            if viewer.core is None or viewer.raw is None:
                continue
            viewer.received()
            for target in self.users.values():
                if target.name not in viewer.watched:
                    continue
                sees = viewer.visible and target.visible and target.allows(viewer)
                assert viewer.raw.online(target.name) is sees, (viewer.name, target.name)
                if sees:
                    kind = " OU" if target.away else " O "
                    status = f"T:{target.warning}:1000:{target.idle}:{kind}"
                    seen = viewer.raw.seen[folded(target.name)]
                    assert seen.removesuffix(":") == status, (viewer.name, target.name)

    @invariant()
    def the_service_lists_the_visible_users(self) -> None:
        if hasattr(self, "users"):
            visible = sorted(user.name for user in self.users.values() if user.visible)
            assert sorted(self.bench.aim.online) == visible


TestAim = Aim.TestCase
TestAim.settings = fewer(steps=40)

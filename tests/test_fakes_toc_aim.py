"""Who sees whom, against a model that a page holds: several clients sign on, hide, watch, talk and leave in any order."""

from __future__ import annotations

from hypothesis import settings
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
from tests.toc_raw import Raw, folded

PEOPLE = ("alice", "bob", "Ops Bot")
people = st.sampled_from(PEOPLE)
somebody = st.sampled_from((*PEOPLE, "nobody"))
forms = st.sampled_from(("toc_signon", "toc2_signon", "toc2_login"))


class Person:
    """What the model knows of one account, and of its session if there is one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stored: set[str] = set()  # buddies that TOC2 keeps
        self.kept = Lists()  # permissions that TOC2 keeps
        self.warning = 0
        self.core: Toc | None = None
        self.raw: Raw | None = None
        self.begin(toc2=False)

    def begin(self, toc2: bool) -> None:
        """A fresh session."""
        self.toc2 = toc2
        self.visible = False
        self.named: set[str] = set()  # watched by toc_add_buddy
        self.lists = self.kept if toc2 else Lists()
        self.away = False
        self.idle = 0
        self.owed: dict[str, int] = {}

    @property
    def watched(self) -> set[str]:
        return self.named | (self.stored if self.toc2 else set())

    def allows(self, other: Person) -> bool:
        return {
            1: True,
            2: False,
            3: other.name in self.lists.permitted,
            4: other.name not in self.lists.denied,
            5: other.name in self.stored,
        }[self.lists.mode] or other is self


class Lists:
    def __init__(self) -> None:
        self.mode = 1
        self.permitted: set[str] = set()
        self.denied: set[str] = set()


class Aim(RuleBasedStateMachine):
    """The clients, the model beside them."""

    sessions = Bundle("sessions")

    @initialize(target=sessions, forms=st.lists(forms, min_size=len(PEOPLE), max_size=len(PEOPLE)))
    def begin(self, forms: list[str]) -> MultipleResults[str]:
        """Everybody is there and watches everybody: most of what can go wrong goes wrong from there."""
        self.bench = Bench(accounts=PEOPLE)
        self.world = {name: Person(name) for name in PEOPLE}
        for name, form in zip(PEOPLE, forms, strict=True):
            self.signs_on(name, form)
            self.adds(name, list(PEOPLE))
            self.is_ready(name)
        return multiple(*PEOPLE)

    def tell(self, person: Person, command: str) -> list[str]:
        """A command of his; gives what he is told at once."""
        assert person.core is not None
        assert person.raw is not None
        person.raw.feed(taken(person.core))
        person.core.receive(person.raw.command(command))
        return person.raw.feed(taken(person.core))

    def gone(self, person: Person) -> None:
        person.core = person.raw = None
        person.begin(toc2=False)

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────

    @rule(target=sessions, name=people, form=forms)
    def signs_on(self, name: str, form: str) -> str:
        person = self.world[name]
        if person.core is not None:
            self.gone(person)
        person.begin(toc2=form != "toc_signon")
        person.core, person.raw = self.bench.core(), Raw(name, form=form)
        person.core.receive(person.raw.opening())
        return name

    @rule(name=sessions)
    def is_ready(self, name: str) -> None:
        person = self.world[name]
        if person.core is not None and not person.visible:
            self.tell(person, "toc_init_done")
            person.visible = True

    @rule(name=consumes(sessions))
    def leaves(self, name: str) -> None:
        person = self.world[name]
        if person.core is not None:
            person.core.eof()
            self.gone(person)

    # ── lists ────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(name=sessions, others=st.lists(somebody, min_size=1, max_size=2))
    def adds(self, name: str, others: list[str]) -> None:
        person = self.world[name]
        if person.core is not None:
            self.tell(person, "toc_add_buddy " + " ".join(folded(other) for other in others))
            person.named |= set(others) - person.watched

    @rule(name=sessions, other=somebody)
    def removes(self, name: str, other: str) -> None:
        person = self.world[name]
        if person.core is not None:
            self.tell(person, f"toc_remove_buddy {folded(other)}")
            person.named -= {other}
            if other not in person.watched and person.raw is not None:
                person.raw.seen.pop(folded(other), None)

    @rule(name=sessions, other=people, group=st.sampled_from(("A", "B b")))
    def stores(self, name: str, other: str, group: str) -> None:
        person = self.world[name]
        if person.core is not None and person.toc2:
            told = self.tell(person, f"toc2_new_buddies {{g:{group}\nb:{folded(other)}\n}}")
            assert f"NEW_BUDDY_REPLY2:{folded(other)}:added" in told
            person.stored.add(other)

    @rule(name=sessions, other=people)
    def unstores(self, name: str, other: str) -> None:
        person = self.world[name]
        if person.core is not None and person.toc2:
            self.tell(person, f"toc2_remove_buddy {folded(other)} A")
            self.tell(person, f"toc2_remove_buddy {folded(other)} B b")
            person.stored -= {other}
            if other not in person.watched and person.raw is not None:
                person.raw.seen.pop(folded(other), None)

    @rule(name=sessions, others=st.lists(people, max_size=1))
    def permits(self, name: str, others: list[str]) -> None:
        self.permits_or_denies(name, others, permit=True)

    @rule(name=sessions, others=st.lists(people, max_size=1))
    def denies(self, name: str, others: list[str]) -> None:
        self.permits_or_denies(name, others, permit=False)

    @rule(name=sessions)
    def turns_around(self, name: str) -> None:
        """What one client does to get from any mode to the two that name nobody."""
        self.permits_or_denies(name, [], permit=True)
        self.permits_or_denies(name, [], permit=False)

    def permits_or_denies(self, name: str, others: list[str], permit: bool) -> None:
        person = self.world[name]
        if person.core is None:
            return
        self.tell(person, f"toc_add_{'permit' if permit else 'deny'} " + " ".join(folded(other) for other in others))
        lists = person.lists
        ours, theirs = (lists.permitted, lists.denied) if permit else (lists.denied, lists.permitted)
        if lists.mode in ((1, 4) if permit else (2, 3, 5)):
            theirs.clear()
            lists.mode = 2 if permit else 1
        if others:
            lists.mode = 3 if permit else 4
            ours |= set(others)

    @rule(name=sessions, mode=st.integers(1, 5))
    def sets_mode(self, name: str, mode: int) -> None:
        person = self.world[name]
        if person.core is not None and person.toc2:
            self.tell(person, f"toc2_set_pdmode {mode}")
            person.lists.mode = mode

    @rule(name=sessions, other=people, permit=st.booleans(), add=st.booleans())
    def edits_a_list(self, name: str, other: str, permit: bool, add: bool) -> None:
        person = self.world[name]
        if person.core is None or not person.toc2:
            return
        self.tell(person, f"toc2_{'add' if add else 'remove'}_{'permit' if permit else 'deny'} {folded(other)}")
        names = person.lists.permitted if permit else person.lists.denied
        names.add(other) if add else names.discard(other)

    # ── what others see ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(name=sessions, away=st.booleans())
    def goes_away(self, name: str, away: bool) -> None:
        person = self.world[name]
        if person.core is not None:
            self.tell(person, 'toc_set_away "gone"' if away else "toc_set_away")
            person.away = away

    @rule(name=sessions, minutes=st.integers(0, 3))
    def idles(self, name: str, minutes: int) -> None:
        person = self.world[name]
        if person.core is not None:
            self.tell(person, f"toc_set_idle {minutes * 60}")
            person.idle = minutes

    @rule(name=sessions, other=somebody, anonymous=st.booleans())
    def warns(self, name: str, other: str, anonymous: bool) -> None:
        person = self.world[name]
        if person.core is None or not person.visible:
            return
        target = self.world.get(other)
        allowed = target is not None and target is not person and target.visible and target.allows(person)
        allowed = allowed and person.owed.get(other, 0) > 0
        told = self.tell(person, f"toc_evil {folded(other)} {'anon' if anonymous else 'norm'}")
        assert (f"ERROR:902:{folded(other)}" in told) is not allowed
        if allowed and target is not None:
            person.owed[other] -= 1
            target.warning = min(100, target.warning + (3 if anonymous else 10))

    @rule(name=sessions, other=somebody, auto=st.booleans())
    def sends(self, name: str, other: str, auto: bool) -> None:
        person, target = self.world[name], self.world.get(other)
        if person.core is None:
            return
        if target is not None and target.core is not None and target.raw is not None:
            target.raw.feed(taken(target.core))
        told = self.tell(person, f'toc_send_im {folded(other)} "a: b"{" auto" if auto else ""}')
        reached = person.visible and target is not None and target.visible and target.allows(person)
        assert (f"ERROR:901:{folded(other)}" in told) is (person.visible and not reached)
        if reached and target is not None and target.core is not None and target.raw is not None:
            came = told if target is person else target.raw.feed(taken(target.core))
            fields = {"toc_signon": "IM_IN:{}:{}:a: b", "toc2_signon": "IM_IN2:{}:{}:F:a: b"}
            wanted = fields.get(target.raw.form, "IM_IN_ENC2:{}:{}:F:T: O :F:L:en:a: b")
            assert wanted.format(name, "T" if auto else "F") in came
            target.owed[name] = target.owed.get(name, 0) + 1

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def everybody_sees_whom_the_model_says(self) -> None:
        for viewer in self.world.values() if hasattr(self, "world") else ():
            if viewer.core is None or viewer.raw is None:
                continue
            viewer.raw.feed(taken(viewer.core))
            for target in self.world.values():
                sees = viewer.visible and target.visible and target.name in viewer.watched and target.allows(viewer)
                if target.name in viewer.watched:
                    assert viewer.raw.online(target.name) is sees, (viewer.name, target.name)
                if sees:
                    status = f"T:{target.warning}:1000:{target.idle}: O{'U' if target.away else ' '}"
                    seen = viewer.raw.seen[folded(target.name)]
                    assert seen.removesuffix(":") == status, (viewer.name, target.name)

    @invariant()
    def the_service_says_who_is_on_line(self) -> None:
        if hasattr(self, "world"):
            assert sorted(self.bench.aim.online) == sorted(one.name for one in self.world.values() if one.visible)


TestAim = Aim.TestCase
TestAim.settings = settings(stateful_step_count=40)

"""Secret inboxes: who has which, until when, and which links change them."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comms import inboxes as module
from comms.inboxes import BITS, Inboxes, Issued, pattern_problem
from comms.state import State
from fakes.world import World

JEREMY, MICHAEL = "jeremy@yourco.test", "michael@yourco.test"


class Desk:
    """Inboxes on the clock of a world."""

    def __init__(self, state: State, world: World) -> None:
        self.state, self.world = state, world
        self.inboxes = Inboxes(state, "ops+*@yourco.test", world.clock, world.host)

    def issue(self, who: str, overlap: float = 0.0) -> Issued:
        with self.state.transaction() as db:
            return self.inboxes.issue(db, who, overlap)

    def is_open(self, *addresses: str) -> bool | None:
        found = self.inboxes.find(addresses)
        return found.open if found else None

    def subject(self, action: str, issued: Issued) -> str:
        link = self.inboxes.link(action, issued, "ops@yourco.test")
        return link.partition("subject=")[2].replace("%20", " ")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with World({"servers": []}, rehearsal=True) as world, State(tmp_path / "state") as state:
        yield Desk(state, world)


def test_an_inbox_is_found_by_its_whole_address_and_no_other(desk: Desk) -> None:
    issued = desk.issue(JEREMY)
    found = desk.inboxes.find(["other@yourco.test", f" {issued.address.upper()}"])
    assert found is not None and found.who == JEREMY and found.open
    for wrong in ("", "ops@yourco.test", issued.address + "x", issued.address[1:], "\udcff"):
        assert desk.inboxes.find([wrong]) is None
    assert desk.inboxes.find([]) is None


def test_an_inbox_is_found_by_its_domain_in_ascii(desk: Desk) -> None:
    inboxes = Inboxes(desk.state, "ops+*@bücher.test", desk.world.clock, desk.world.host)
    with desk.state.transaction() as db:
        issued = inboxes.issue(db, JEREMY)
    shown = issued.address.replace("bücher", "xn--bcher-kva")  # as a mail server writes it
    assert inboxes.find([shown]) == inboxes.find([issued.address]) is not None


def test_a_secret_has_a_hundred_bits_and_is_not_in_the_state(desk: Desk) -> None:
    issued = [desk.issue(f"{number}@yourco.test") for number in range(50)]
    secrets = {one.address.partition("+")[2].partition("@")[0] for one in issued}
    assert len(secrets) == 50 and BITS > 100 and {len(secret) for secret in secrets} == {20}
    stored = desk.state.path.read_bytes()
    assert not any(secret.encode() in stored for secret in secrets)


def test_an_inbox_that_is_changed_as_planned_works_for_the_overlap(desk: Desk) -> None:
    first = desk.issue(JEREMY)
    second = desk.issue(JEREMY, 3600)
    assert desk.is_open(first.address) and desk.is_open(second.address)
    third = desk.issue(JEREMY, 7200)
    desk.world.clock.jump(3601)
    assert desk.is_open(first.address) is False, "a later change does not make it live longer"
    assert desk.is_open(second.address) and desk.is_open(third.address)
    desk.world.clock.jump(3600)
    assert desk.is_open(second.address) is False and desk.is_open(third.address)


def test_an_inbox_that_is_lost_ends_at_once_with_the_older_ones(desk: Desk) -> None:
    first, second = desk.issue(JEREMY), desk.issue(JEREMY, 3600)
    other = desk.issue(MICHAEL)
    third = desk.issue(JEREMY)
    assert [desk.is_open(one.address) for one in (first, second, third, other)] == [
        False,
        False,
        True,
        True,
    ]
    assert desk.inboxes.owners() == {JEREMY, MICHAEL}
    desk.world.clock.jump(-86400)
    assert desk.is_open(first.address) is False, "whatever the clock says"


@pytest.mark.parametrize("action", ["rotate", "lost"])
def test_a_link_is_good_for_one_person_inbox_and_action(desk: Desk, action: str) -> None:
    issued, other = desk.issue(JEREMY), desk.issue(MICHAEL)
    subject = desk.subject(action, issued)
    assert desk.inboxes.signed(subject, JEREMY) == action
    signature = subject.split()[2]
    another = {"rotate": "lost", "lost": "rotate"}[action]
    for wrong in (
        "",
        action,
        f"{action} {issued.id}",
        f"{action} {issued.id} ",
        f"{action} {issued.id} {signature[:-1]}",
        f"{action} {issued.id} {signature}x",
        f"{action} {issued.id} {signature} x",
        f"{action} {other.id} {signature}",
        f"{action} -1 {signature}",
        f"{action} ² {signature}",
        f"{action} {'9' * 5000} {signature}",
        f"{another} {issued.id} {signature}",
        f"{action} {issued.id} é\udcff",
    ):
        assert desk.inboxes.signed(wrong, JEREMY) == "", wrong
    assert desk.inboxes.signed(subject, MICHAEL) == desk.inboxes.signed(subject, "") == ""
    desk.issue(JEREMY, 3600)
    assert desk.inboxes.signed(subject, JEREMY) == "", "it ends with its inbox"


def test_links_are_known_after_a_restart_and_in_no_other_state(desk: Desk, tmp_path: Path) -> None:
    issued = desk.issue(JEREMY)
    subject = desk.subject("rotate", issued)
    again = Desk(desk.state, desk.world)
    assert again.inboxes.signed(subject, JEREMY) == "rotate"
    with State(tmp_path / "other") as state:
        other = Desk(state, desk.world)
        assert other.issue(JEREMY).id == issued.id
        assert other.inboxes.signed(subject, JEREMY) == ""


def test_secrets_are_compared_in_constant_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    issued = [desk.issue(JEREMY), desk.issue(MICHAEL)]
    monkeypatch.setattr(module, "hmac", type("", (), {"compare_digest": compare, "new": hmac.new}))
    for address in ("x@yourco.test", issued[0].address, issued[1].address):
        compared.clear()
        desk.inboxes.find([address])
        assert len(compared) == 2, "with every inbox, whether one has matched or not"
        assert all(len(one) == len(other) == 64 for one, other in compared)
    compared.clear()
    desk.inboxes.signed("rotate 1 x", JEREMY)
    assert len(compared) == 1


@pytest.mark.slow
def test_a_hundred_thousand_guesses_find_nothing(desk: Desk) -> None:
    desk.issue(JEREMY)
    for number in range(100):
        guesses = [f"ops+{number:017d}{last:03d}@yourco.test" for last in range(1000)]
        assert desk.inboxes.find(guesses) is None


@pytest.mark.parametrize(
    ("pattern", "fine"),
    [
        ("ops+*@yourco.test", True),
        ("*@commands.yourco.test", True),
        ("ops@yourco.test", False),
        ("*+*@yourco.test", False),
        ("ops@*.test", False),
        ("*", False),
        ("*@", False),
        ("a b*@yourco.test", False),
        ("x" * 60 + "*@yourco.test", False),
        ("", False),
    ],
)
def test_a_pattern_needs_one_star_before_the_at_sign(pattern: str, fine: bool) -> None:
    problem = pattern_problem(pattern)
    assert (problem == "") is fine
    assert fine or 'write inbox = "ops+*@example.org"' in problem

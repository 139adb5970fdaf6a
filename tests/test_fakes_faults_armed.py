"""The armed faults of a world: where they strike, how they are counted, and what was never met."""

from __future__ import annotations

import pytest

from fakes.drills import DRILLS
from fakes.faults import Drill, Fault, FaultError, Faults, Places
from fakes.servers import protocols
from fakes.smtp import Smtp


@pytest.fixture
def faults() -> Faults:
    """The faults of a world with one SMTP server."""
    return Faults({"smtp": Smtp.vocabulary()}, protocols(), DRILLS)


# ── which unit a fault strikes ───────────────────────────────────────────────


@pytest.mark.parametrize(
    ("condition", "struck"),
    [
        ("", [True, True, True, True, True]),
        ("times 2", [True, True, False, False, False]),
        ("nth 2", [False, True, False, False, False]),
        ("nth 2 times 2", [False, True, True, False, False]),
    ],
)
def test_nth_and_times_choose_the_occurrences(
    faults: Faults, condition: str, struck: list[bool]
) -> None:
    faults.arm(f"MAIL reset {condition}")
    assert [bool(faults.meet("smtp", "MAIL")) for _ in range(5)] == struck


def test_a_probability_strikes_the_same_units_each_time_and_others_with_another_seed() -> None:
    def struck(condition: str) -> list[int]:
        faults = Faults({"smtp": Smtp.vocabulary()}, protocols(), DRILLS)
        faults.arm(f"MAIL probability 0.25 {condition} reset")
        return [number for number in range(400) if faults.meet("smtp", "MAIL")]

    assert struck("") == struck("") != struck("seed 1")
    assert 60 <= len(struck("")) <= 140
    assert struck("times 3") and len(struck("times 3")) == 3


def test_above_strikes_what_comes_too_fast_and_what_it_strikes_does_not_count(
    faults: Faults,
) -> None:
    faults.arm("MAIL above 2 per 60 reset")

    def struck(at: float) -> bool:
        faults.now = lambda: at
        return faults.meet("smtp", "MAIL") is not None

    times = (0.0, 1.0, 2.0, 59.9, 60.0, 60.5, 61.0, 200.0)
    assert [at for at in times if struck(at)] == [2.0, 59.9, 60.5]


def test_of_several_faults_none_is_armed_if_one_cannot_be(faults: Faults) -> None:
    with pytest.raises(FaultError, match="RCTP"):
        faults.arm("MAIL reset; RCTP reset")
    assert not faults


def test_one_fault_is_removed_or_all(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(Faults, "on_disarmed", lambda _, fault: removed.append(str(fault)))
    faults.arm("RCPT reset", "MAIL reset times 2", "clock-jump")
    faults.disarm("mail reset times 2", "clock-jump")
    assert repr(faults) == "<Faults smtp RCPT reset>" and removed == ["smtp MAIL reset times 2"]
    with pytest.raises(FaultError, match="smtp MAIL reset: this is not armed; armed: smtp RCPT re"):
        faults.disarm("MAIL reset")
    faults.disarm()
    assert not faults and removed[1:] == ["smtp RCPT reset"]


def test_an_optional_fault_need_not_be_met(faults: Faults) -> None:
    faults.arm("RCPT reset optional", "MAIL reset")
    assert [str(fault) for fault in faults.unmet()] == ["smtp MAIL reset"]


def test_without_conditions_every_argument_and_every_user_matches(faults: Faults) -> None:
    faults.arm("RCPT reset")
    assert faults.meet("smtp", "RCPT")
    assert faults.meet("smtp", "RCPT", "TO:<carol@x>", "alice@example.test")


def test_only_units_that_match_are_counted(faults: Faults) -> None:
    faults.arm("RCPT arg *bob* user alice nth 2 reset")
    assert not faults.meet("smtp", "RCPT", "TO:<carol@x>", "alice@example.test")
    assert not faults.meet("smtp", "RCPT", "TO:<bob@x>", "ops@example.test")
    assert not faults.meet("smtp", "RCPT", "TO:<Bob@x>", "alice@example.test")
    assert faults.meet("smtp", "rcpt", "TO:<bob@x>", "ALICE"), "the second one that matches"


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("assaf*", True), ("*assaf*", True), ("TO:<assaf@x>", True), ("assaf", False)],
)
def test_an_arg_is_the_text_after_the_command_or_the_address_in_it(
    faults: Faults, pattern: str, matches: bool
) -> None:
    faults.arm(Fault("RCPT", arg=pattern, reset=True))
    assert bool(faults.meet("smtp", "RCPT", "TO:<Assaf@x>")) is matches


def test_the_fault_armed_first_takes_the_unit_and_both_count_it(faults: Faults) -> None:
    faults.arm("MAIL times 1 reset; MAIL nth 2 stall")
    first, second = faults.meet("smtp", "MAIL"), faults.meet("smtp", "MAIL")
    assert first and first.reset and second and second.stall


# ── capabilities and closed ports ────────────────────────────────────────────


def test_a_capability_that_is_off_is_lacking_and_strikes_no_command(faults: Faults) -> None:
    faults.arm("EXPN off")
    assert faults.lacks("smtp", "expn") and not faults.lacks("smtp", "VRFY")
    assert faults.meet("smtp", "EXPN") is None
    assert faults.unmet() == [], "asking for the capability counts as meeting the fault"


def test_a_refuse_fault_counts_attempts_to_connect(faults: Faults) -> None:
    assert not faults.may_refuse("smtp")
    faults.arm("connect nth 2 refuse")
    assert faults.may_refuse("smtp") and not faults.may_refuse("pop3")
    assert [faults.refuses("smtp") for _ in range(3)] == [False, True, False]
    assert faults.meet("smtp", "connect") is None, "the port is closed: no core sees the attempt"


# ── what was never met ───────────────────────────────────────────────────────


def test_what_was_never_met_is_listed(faults: Faults) -> None:
    faults.arm("MAIL reset; RCPT reset; pop-in-use")
    faults.meet("smtp", "MAIL")
    assert [str(fault) for fault in faults.unmet()] == ["smtp RCPT reset", "pop-in-use"]
    assert repr(faults) == "<Faults smtp MAIL reset; smtp RCPT reset; pop-in-use>"
    faults.disarm()
    assert faults.unmet() == [] and not faults
    assert repr(faults) == "<Faults none>"


def test_a_drill_is_staged_when_it_is_armed_and_is_met_when_it_says_so(
    faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged: list[tuple[Drill, object]] = []
    monkeypatch.setattr(Faults, "stage", lambda _, drill, met: staged.append((drill, met)))
    drill = Drill("mine", lambda world, met: None)
    faults.arm(drill)
    ((found, met),) = staged
    assert found is drill and faults.unmet() == [drill]
    met()  # type: ignore[operator]
    assert faults.unmet() == []


# ── places ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smtp RCTP reset", r"smtp has no place 'rctp' \(did you mean 'rcpt'\?\); it has: "),
        ("RCTP reset", r"no server of this world has a place 'rctp' \(did you mean 'rcpt'\?\)"),
        ("pop3 RETR reset", "this world has no pop3 server; it has: smtp"),
    ],
)
def test_an_unknown_place_is_refused_with_the_nearest_one(
    faults: Faults, text: str, message: str
) -> None:
    with pytest.raises(FaultError, match=message):
        faults.arm(text)
    assert not faults


def test_a_place_of_two_servers_needs_the_protocol() -> None:
    pop3 = Places(frozenset({"quit", "connect", "tls"}))
    faults = Faults(vocabulary={"smtp": Smtp.vocabulary(), "pop3": pop3})
    message = "smtp and pop3 have a place 'quit'; name the protocol: smtp QUIT reset"
    with pytest.raises(FaultError, match=message):
        faults.arm("QUIT reset")
    faults.arm("pop3 QUIT reset")


def test_what_is_no_fault_is_refused(faults: Faults) -> None:
    for call in (faults.arm, faults.disarm):
        with pytest.raises(
            FaultError, match='421 is not a fault; write a text such as "RCPT reset"'
        ):
            call(421)  # type: ignore[arg-type]

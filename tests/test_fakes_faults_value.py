"""A fault as a value: exactly one failure, and its text form."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.config import Reader, WorldError
from fakes.faults import KINDS, Fault, FaultError
from fakes.servers import SERVERS, read_faults


def test_the_place_is_compared_without_regard_to_case_spaces_and_underscores() -> None:
    assert Fault("TOC send IM", reset=True) == Fault("toc_send_im", reset=True)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        ({"reply": "451 later"}, "reply"),
        ({"hang_up": "within"}, "hang_up"),
        ({"reset": True}, "reset"),
        ({"after": 0}, "after"),
        ({"delay": 0.0}, "delay"),
        ({"split": 1}, "split"),
        ({"lost": "stored"}, "lost"),
        ({"off": True}, "off"),
    ],
    ids=str,
)
def test_the_kind_is_the_failure_that_is_given_even_if_its_number_is_0(
    failure: dict[str, Any], kind: str
) -> None:
    assert kind in KINDS and Fault("RCPT", **failure).kind == kind


def test_a_tls_handshake_can_hang_up_reset_or_stall() -> None:
    faults = [Fault("tls", hang_up="before"), Fault("tls", reset=True), Fault("tls", stall=True)]
    assert [str(fault) for fault in faults] == ["tls hang up before", "tls reset", "tls stall"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no failure; give exactly one of refuse, reply, hang up"),
        ({"reset": True, "stall": True}, "the fault at 'rcpt' has reset and stall; give exactly"),
        ({"reset": True, "nth": -1}, "nth: -1 is not possible; write a number from 1 up"),
        ({"reset": True, "times": 0}, "times: 0 is not possible; write a number from 1 up"),
        ({"delay": -0.5}, "delay: -0.5 is not possible; write a number from 0 up"),
        ({"delay": math.nan}, "delay: nan is not possible"),
        ({"delay": math.inf}, "delay: inf is not possible"),
        ({"reply": ""}, "reply: the text is empty; write the line that the server sends"),
        ({"split": 0}, "split: 0 is not possible; write a number from 1 up"),
        ({"lost": "half"}, "lost: unknown value 'half'; write stored or unstored"),
        ({"refuse": True}, "refuse does not apply to 'rcpt'; write connect refuse"),
        ({"certificate": "expired"}, "certificate does not apply to 'rcpt'; write tls certificate"),
        ({"where": "tls", "delay": 3.0}, "delay does not apply to tls; write hang up, reset"),
        ({"reset": True, "probability": 1.5}, "probability: 1.5 is not possible; write a number"),
        ({"reset": True, "probability": math.nan}, "probability: nan is not possible"),
        ({"reset": True, "probability": 0.0}, "probability: 0.0 is not possible"),
        ({"reset": True, "probability": 0.5, "nth": 1}, "nth and probability exclude each other"),
        ({"reset": True, "seed": 1}, "seed: it needs a probability; write probability 0.1 seed 2"),
        ({"off": True, "probability": 0.5}, "probability does not apply to off"),
        ({"reset": True, "above": 1}, "above and per belong together; write above 10 per 60"),
        ({"reset": True, "per": 1.0}, "above and per belong together; write above 10 per 60"),
        ({"reset": True, "above": 0, "per": 1.0}, "above: 0 is not possible; write a number from"),
        ({"reset": True, "above": 1, "per": 0.0}, "per: 0 is not possible; write a number of sec"),
        ({"reset": True, "above": 1, "per": math.inf}, "per: inf is not possible"),
        ({"reset": True, "above": 1, "per": 1.0, "nth": 1}, "above excludes nth and probability"),
        ({"off": True, "above": 1, "per": 1.0}, "above does not apply to off"),
        ({"bandwidth": 0}, "bandwidth: 0 is not possible; write a number from 1 up"),
        ({"where": "tls", "bandwidth": 9}, "bandwidth does not apply to tls"),
        ({"where": "connect", "off": True}, "off does not apply to connect; name a command or"),
    ],
    ids=str,
)
def test_values_that_do_not_fit_are_refused_with_a_remedy(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(FaultError, match=message):
        Fault(**{"where": "RCPT", **values})


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(' "\\;'), min_size=1)
FAILURES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(
        [{"hang_up": "within"}, {"reset": True}, {"stall": True}, {"lost": "stored"}, {"off": True}]
    ),
    TEXTS.map(lambda text: {"reply": text}),
    st.integers(0, 10**9).map(lambda number: {"after": number}),
    st.integers(1, 10**9).map(lambda number: {"split": number}),
    st.floats(0, 1e18).map(lambda seconds: {"delay": seconds}),
    st.integers(1, 10**9).map(lambda number: {"bandwidth": number}),
)


@given(
    st.one_of(st.just(""), TEXTS),
    st.one_of(st.just(""), TEXTS),
    st.none() | st.integers(1, 99),
    st.none() | st.integers(1, 99),
    FAILURES,
)
def test_the_text_of_a_fault_is_read_as_the_same_fault(
    arg: str, user: str, nth: int | None, times: int | None, failure: dict[str, Any]
) -> None:
    fault = Fault("RCPT", "smtp", arg, user, nth, times, **failure)
    assert read_faults(str(fault)) == [fault]


@pytest.mark.parametrize(
    "text",
    [
        "RCPT probability 0.05 seed 7 reset times 2 optional",
        "RCPT probability 1e-06 stall",
        'MAIL above 10 per 60 reply "450 4.7.1 too much mail" optional',
        'RCPT arg 451+*@fail.test reply "451 4.3.0 later" optional',
    ],
)
def test_a_text_is_read_and_written_again(text: str) -> None:
    (fault,) = read_faults(text)
    assert str(fault) == text


def test_a_table_of_a_world_file_describes_the_same_fault() -> None:
    def read(table: dict[str, object]) -> tuple[str | Fault, ...]:
        return Reader(SERVERS).read({"fault": [table]}).fault

    assert read({"where": "RCPT", "reply": "451 4.3.0 try later", "times": 2}) == (
        Fault("RCPT", reply="451 4.3.0 try later", times=2),
    )
    with pytest.raises(WorldError, match=r"fault.repyl: unknown key .did you mean 'reply'"):
        read({"where": "RCPT", "repyl": "451"})
    with pytest.raises(WorldError, match=r"fault.where: missing"):
        read({"reply": "451"})


# What a field is not, each field at least once; what is written instead depends on its type.
WRONG: list[tuple[str, Any, str]] = [
    *((name, 451, "a text in quotes") for name in ("where", "protocol", "arg", "user", "reply")),
    *((name, None, "a text in quotes") for name in ("where", "protocol", "arg", "user")),
    ("arg", ["a*"], "a text in quotes"),
    ("reply", b"451 later", "a text in quotes"),
    *((name, "2", "a whole number") for name in ("nth", "times", "after", "split", "bandwidth")),
    *((name, 1.5, "a whole number") for name in ("seed", "above", "nth", "times")),
    *((name, True, "a whole number") for name in ("nth", "times", "after")),
    *((name, "5", "a number") for name in ("delay", "probability", "per")),
    ("delay", True, "a number"),
    *((name, "yes", "True or False") for name in ("refuse", "reset", "stall", "off", "optional")),
    ("reset", 1, "True or False"),
    ("reset", None, "True or False"),
    ("hang_up", True, "before or within or after"),
    ("lost", True, "stored or unstored"),
    ("certificate", None, "expired or other-name or self-signed"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), WRONG, ids=str)
def test_a_value_of_another_type_is_refused(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(FaultError) as caught:
        Fault(**{"where": "RCPT", "reset": True, name: value})
    assert str(caught.value) == f"{name}: {value!r} is not possible; write {wanted}"


def test_the_type_of_every_field_is_looked_at() -> None:
    assert {name for name, _, _ in WRONG} == {one.name for one in dataclasses.fields(Fault)}

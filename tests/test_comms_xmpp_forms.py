"""Data forms: what is shown, and what may come back."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.xmpp.forms import DATA, Field, form, result, submitted

FIELDS = (
    Field("action", "list-single", "What to do", ("restart", "stop")),
    Field("really", "boolean", "Really"),
    Field("why", required=False),
)


def filled(*fields: tuple[str, list[str]], type: str = "submit") -> Element:
    inside = "".join(
        f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"
        for name, values in fields
    )
    return fromstring(f"<command><x xmlns='{DATA}' type='{type}'>{inside}</x></command>")


def test_a_form_shows_its_fields_with_choices_and_defaults() -> None:
    shown = form("MySQL", "Choose.", (*FIELDS, Field("host", value="db1")))
    fields = shown.findall(f"{{{DATA}}}field")
    assert [(one.get("var"), one.get("type"), one.get("label")) for one in fields] == [
        ("action", "list-single", "What to do"),
        ("really", "boolean", "Really"),
        ("why", "text-single", "why"),
        ("host", "text-single", "host"),
    ]
    assert [len(one.findall(f"{{{DATA}}}required")) for one in fields] == [1, 0, 0, 1]
    assert [one.text for one in shown.iterfind(f".//{{{DATA}}}option/{{{DATA}}}value")] == [
        "restart",
        "stop",
    ]
    assert fields[3].findtext(f"{{{DATA}}}value") == "db1"


def test_a_result_has_the_values() -> None:
    shown = result("MySQL", {"state": "running"})
    assert shown.get("type") == "result"
    assert shown.findtext(f"{{{DATA}}}field/{{{DATA}}}value") == "running"


def test_what_is_submitted_is_read_and_unknown_fields_are_ignored() -> None:
    given_ = filled(("action", ["stop"]), ("really", ["true"]), ("x", ["y"]), ("x", ["z"]))
    assert submitted(given_, FIELDS) == {"action": "stop", "really": "1", "why": ""}


def test_a_field_that_was_left_out_has_its_default() -> None:
    fields = (Field("action", "list-single", options=("a", "b"), value="a"), FIELDS[1])
    assert submitted(filled(), fields) == {"action": "a", "really": "0"}


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        (Element("command"), "the form was not submitted"),
        (filled(type="cancel"), "the form was not submitted"),
        (filled(type="form"), "the form was not submitted"),
        (filled(), "action: a value is missing"),
        (filled(("action", [])), "action: a value is missing"),
        (filled(("action", ["halt"])), "action: 'halt' is not a choice; choose from restart, stop"),
        (filled(("action", ["stop", "stop"])), "action: one value is wanted"),
        (filled(("action", ["stop"]), ("action", ["stop"])), "action: one value is wanted"),
        (filled(("action", ["stop"]), ("really", ["2"])), "really: neither yes nor no: '2'"),
        (filled(("action", ["stop"]), ("why", ["x" * 1001])), "why: more than 1000 characters"),
    ],
)
def test_what_cannot_be_right_is_an_error_for_the_user(element: Element, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        submitted(element, FIELDS)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["action", "really", "why", "?"]),
            st.lists(st.sampled_from(["restart", "1", "0", "", "&amp;", "x" * 2000]), max_size=3),
        ),
        max_size=5,
    )
)
def test_whatever_is_submitted_is_a_choice_or_an_error(fields: list[tuple[str, list[str]]]) -> None:
    try:
        values = submitted(filled(*fields), FIELDS)
    except ValueError as error:
        assert len(str(error)) < 200
        return
    assert values["action"] in ("restart", "stop") and values["really"] in ("0", "1")

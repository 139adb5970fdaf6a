"""Names and passwords prepared before they are compared: the examples of RFC 4013 §3, and JIDs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.preparation import nodeprep, resourceprep, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("a\u200bb", "ab"),
    ],
)
def test_saslprep_follows_rfc_4013_section_3(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "\ue000", "a\u0627", "\ufffd"])
def test_saslprep_rejects_what_rfc_4013_prohibits(text: str) -> None:
    with pytest.raises(ValueError):
        saslprep(text)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("Juliet", "juliet"),
        ("ΠΑΤΡΟΣ", "πατροσ"),
        ("Straße", "strasse"),
        ("henryⅣ", "henryiv"),
        ("ｗｉｄｅ", "wide"),
        ("a\u00adb", "ab"),
    ],
)
def test_local_parts_are_case_folded(text: str, prepared: str) -> None:
    assert nodeprep(text) == prepared


@pytest.mark.parametrize("character", [*" \"&'/:<>@", "\u00a0", "\u3000", "\x00", "\x7f", "\ue000"])
def test_local_parts_contain_no_space_and_no_delimiter(character: str) -> None:
    with pytest.raises(ValueError, match=r"^the character U\+00|^the character U\+E000"):
        nodeprep(f"a{character}b")


def test_resources_keep_their_case_and_may_contain_spaces_and_newer_characters() -> None:
    assert resourceprep("Balcony (east) @/😀") == "Balcony (east) @/😀"
    assert resourceprep("ﬁne") == "fine"
    for text in ("a\u1680b", "a\x07", "\ud800", "\U000e0001"):
        with pytest.raises(ValueError):
            resourceprep(text)


@given(st.text(max_size=20))
def test_preparing_twice_changes_nothing_more(text: str) -> None:
    for prepare in (saslprep, nodeprep, resourceprep):
        with contextlib.suppress(ValueError):
            once = prepare(text)
            assert prepare(once) == once

"""Names and passwords prepared before they are compared: the examples of RFC 4013 §3, and JIDs."""

from __future__ import annotations

import unicodedata

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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\u0007", "the character U\\+0007"),
        ("\u0627\u0031", "a name that runs left must begin and end"),
        ("\ue000", "the character U\\+E000"),
        ("a\u0627", "letters that run left and letters that run right"),
        ("\ufffd", "the character U\\+FFFD"),
    ],
)
def test_saslprep_rejects_what_rfc_4013_prohibits(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
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
    for character in ("\u1680", "\x07", "\ud800", "\U000e0001"):
        with pytest.raises(ValueError, match=rf"^the character U\+{ord(character):04X} "):
            resourceprep(f"a{character}b")


@given(st.text(max_size=20))
def test_preparing_twice_changes_nothing_more(text: str) -> None:
    for prepare in (saslprep, nodeprep, resourceprep):
        try:
            once = prepare(text)
        except ValueError:
            continue  # nothing to prepare again
        assert prepare(once) == once


# Marks of different classes, and characters that stand for several of them.
MARKS = "\u0301\u0308\u0316\u0327\u0344\u0f71\u0f73\u0f75"


@given(st.text(st.sampled_from(MARKS + "aeé\u1e69\uac00\u1100\u1161"), min_size=101, max_size=130))
def test_many_combining_marks_in_any_order_are_normalised_as_unicode_says(text: str) -> None:
    assert resourceprep(text) == unicodedata.ucd_3_2_0.normalize("NFKC", text)

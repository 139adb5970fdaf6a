"""Preparing text before it is compared: the examples of RFC 4013 §3, the profiles of RFC 6122."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.preparation import nodeprep, resourceprep, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
    ],
)
def test_the_examples_of_rfc_4013_are_prepared_as_published(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "\ud800", "\ufffe", "\U000e0001"])
def test_forbidden_text_is_an_error(text: str) -> None:
    for profile in (saslprep, nodeprep, resourceprep):
        with pytest.raises(ValueError, match=r"is not allowed|is right-to-left text"):
            profile(text)


@pytest.mark.parametrize(
    ("text", "node", "resource"),
    [
        ("JULIET", "juliet", "JULIET"),
        ("\u03a3", "\u03c3", "\u03a3"),
        ("\uff21", "a", "A"),
        ("\U0001f40d", "\U0001f40d", "\U0001f40d"),
    ],
)
def test_a_local_part_is_folded_and_a_resource_is_not(text: str, node: str, resource: str) -> None:
    assert (nodeprep(text), resourceprep(text)) == (node, resource)


def test_right_to_left_text_is_not_mixed_with_other_text() -> None:
    assert nodeprep("\u05d0\u05d1") == "\u05d0\u05d1"
    with pytest.raises(ValueError, match="mixes"):
        nodeprep("\u05d0a\u05d1")


@given(st.text(max_size=30))
def test_prepared_text_does_not_change_when_prepared_again(text: str) -> None:
    for profile in (saslprep, nodeprep, resourceprep):
        try:
            once = profile(text)
        except ValueError:
            continue
        assert profile(once) == once


# Marks of different classes, and characters that stand for several of them.
MARKS = "\u0301\u0308\u0316\u0327\u0344\u0f71\u0f73\u0f75"


@given(st.text(st.sampled_from(MARKS + "aeé\u1e69\uac00\u1100\u1161"), min_size=101, max_size=130))
def test_many_combining_marks_in_any_order_are_normalised_as_unicode_says(text: str) -> None:
    assert resourceprep(text) == unicodedata.ucd_3_2_0.normalize("NFKC", text)

"""Comments in the fields of a mail."""

from __future__ import annotations

import pytest

from comms.comments import without_comments


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("auto-replied (vacation)", ["auto-replied"]),
        ("(by hand) no", ["no"]),
        ("failed(gone)", ["failed"]),
        ("(a (b (c)) d) base64", ["base64"]),
        ("a (b) c (d)", ["a", "c"]),
        ("a (open", ["a", "(open"]),
        ("a) b", ["a)", "b"]),
        ("", []),
    ],
)
def test_comments_are_left_out_and_what_is_not_closed_stays(value: str, words: list[str]) -> None:
    assert without_comments(value).split() == words

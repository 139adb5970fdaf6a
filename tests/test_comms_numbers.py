"""Whole numbers that others have written."""

from __future__ import annotations

import pytest

from comms.numbers import MOST, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("587", 587),
        (b"587", 587),
        ("007", 7),
        ("0" * 5000 + "1", 1),
        (str(MOST), MOST),
        (str(MOST + 1), None),
        ("9" * 5000, None),
        ("", None),
        (" 1", None),
        ("+1", None),
        ("-1", None),
        ("1_000", None),
        ("1.5", None),
        ("²", None),
        ("١٢", None),
        (b"\xb2", None),
        ("1\n", None),
    ],
)
def test_only_ascii_digits_that_are_not_too_many_are_a_number(
    text: str | bytes, value: int | None
) -> None:
    assert number(text) == value


def test_a_number_may_have_a_limit_of_its_own() -> None:
    assert (number("99", 99), number("100", 99)) == (99, None)

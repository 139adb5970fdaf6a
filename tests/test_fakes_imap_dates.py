"""The Date field of mails."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.dates import Sent, read_date


@pytest.mark.parametrize(
    ("text", "day", "at"),
    [
        # RFC 5322 §A.1.1, §A.5, §A.6.2
        (" Fri, 21 Nov 1997 09:55:06 -0600\r\n", (1997, 11, 21), 880127706.0),
        (
            "Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n        "
            "       -0330 (Newfoundland Time)",
            (1969, 2, 13),
            -27723480.0,
        ),
        ("21 Nov 97 09:55:06 GMT", (1997, 11, 21), 880106106.0),
        ("21 Nov 97 09:55:06 EST", (1997, 11, 21), 880124106.0),
        ("2 Feb 26", (2026, 2, 2), 1769990400.0),
        ("Mon, 2 Feb 126 00:00 +0000", (2026, 2, 2), 1769990400.0),
        ("2 Feb 2026 24:00:00 +0000", (2026, 2, 2), 1769990400.0),
        ("2 Feb 2026 01:00:00 +0099", (2026, 2, 2), 1769994000.0),
    ],
)
def test_a_date_is_read(text: str, day: tuple[int, int, int], at: float) -> None:
    assert read_date(text.encode()) == Sent(date(*day).toordinal(), at)


@pytest.mark.parametrize("text", ["", "yesterday", "31 Feb 2026", "1 Foo 2026", "1 Jan 1", "0000"])
def test_what_is_no_date_is_none(text: str) -> None:
    assert read_date(text.encode()) is None


@pytest.mark.slow
@given(st.text("01239 :+-,()JanFebMonGMT\r\n"))
def test_any_text_is_a_date_or_none(text: str) -> None:
    found = read_date(text.encode())
    assert found is None or 0 < found.day <= date.max.toordinal()

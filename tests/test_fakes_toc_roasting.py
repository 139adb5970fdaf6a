"""Roasting, by its published vector; and the number that TOC2 clients send, in both of its published forms."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.roasting import code, roast, unroast
from tests.toc_raw import long_code, roasted


def test_the_published_vector() -> None:
    assert roast(b"password") == "0x2408105c23001130"
    assert unroast("0x2408105c23001130") == b"password"


def test_digits_may_be_capitals() -> None:
    assert unroast("0x2408105C23001130") == b"password"


@given(st.binary())
def test_roasting_can_be_undone(password: bytes) -> None:
    assert unroast(roast(password)) == password


@given(st.text(string.printable))
def test_the_referee_roasts_alike(password: str) -> None:
    assert roast(password.encode()) == roasted(password)


def test_what_is_not_roasted_is_none() -> None:
    for text in ("", "0", "secret", "2408105c23001130", "0x2", "0xgg", "0X24", "0x é"):
        assert unroast(text) is None


def test_the_two_published_forms_of_the_code_give_one_number() -> None:
    for name in string.printable[:94]:
        for password in string.printable[:94]:
            assert code(name, password) == long_code(name, password)

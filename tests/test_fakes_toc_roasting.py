"""Roasting, by its published vector; and the code of TOC2, by both published formulas."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc.roasting import code, roast, unroast
from tests.toc_raw import long_code, roasted


def test_the_published_vector() -> None:
    assert roast(b"password") == "0x2408105c23001130"
    assert unroast("0x2408105c23001130") == b"password"


def test_hexadecimal_digits_may_be_capitals() -> None:
    assert unroast("0x2408105C23001130") == b"password"


@given(st.binary())
def test_roasting_is_reversible(password: bytes) -> None:
    assert unroast(roast(password)) == password


@given(st.text(string.printable))
def test_the_checking_client_roasts_in_the_same_way(password: str) -> None:
    assert roast(password.encode()) == roasted(password)


@pytest.mark.parametrize(
    "text", ["", "0", "secret", "2408105c23001130", "0x2", "0xgg", "0X24", "0x é"]
)
def test_a_text_that_is_not_roasted_has_no_password(text: str) -> None:
    assert unroast(text) is None


def test_both_published_formulas_of_the_code_have_the_same_result() -> None:
    for name in string.printable[:94]:
        for password in string.printable[:94]:
            assert code(name, password) == long_code(name, password)

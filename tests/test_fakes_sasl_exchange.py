"""One exchange of any mechanism: its steps, and that it never succeeds without a response."""

from __future__ import annotations

import pytest

from fakes import sasl
from fakes.sasl import SaslError
from tests.sasl_exchange import exchange


@pytest.mark.parametrize("mechanism", sorted({*sasl.ALL_MECHANISMS} - {"ANONYMOUS"}))
def test_no_mechanism_accepts_empty_responses(mechanism: str) -> None:
    attempt = exchange(mechanism)
    with pytest.raises(SaslError):
        attempt.start()
        for _ in range(3):
            attempt.answer(b"")
    assert attempt.user == ""


def test_an_exchange_counts_its_challenges() -> None:
    login = exchange("LOGIN")
    assert login.step == 0
    login.start()
    assert (login.step, login.challenge) == (1, b"Username:")
    login.answer(b"user")
    assert (login.step, login.challenge) == (2, b"Password:")

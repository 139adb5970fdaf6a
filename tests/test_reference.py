"""The reference in fakes/README.md says what the code says."""

from __future__ import annotations

from tests.reference import README, rewritten


def test_the_reference_is_that_of_the_code() -> None:
    text = README.read_text("utf-8")
    assert text == rewritten(text), "write it again: .venv/bin/python -m tests.reference"

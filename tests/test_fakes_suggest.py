"""The "did you mean" of error messages."""

from __future__ import annotations

import pytest

from fakes.suggest import nearest


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("rctp", ["mail", "rcpt", "rset"], " (did you mean 'rcpt'?)"),
        ("rcpt", ["rcpt"], " (did you mean 'rcpt'?)"),
        ("banana", ["mail", "rcpt"], ""),
        ("", ["mail"], ""),
        ("mail", [], ""),
    ],
)
def test_the_most_similar_word_is_suggested_if_there_is_one(
    word: str, known: list[str], hint: str
) -> None:
    assert nearest(word, known) == hint
    assert nearest(word, iter(known)) == hint


def test_the_case_of_letters_does_not_matter() -> None:
    assert nearest("SMTP", ["smtp", "pop3"]) == " (did you mean 'smtp'?)"
    assert nearest("pipelining", ["PIPELINING"]) == " (did you mean 'PIPELINING'?)"

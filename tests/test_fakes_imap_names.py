"""Mailbox names in modified UTF-7, and LIST patterns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.names import decode_name, encode_name, matches


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        # RFC 3501 §5.1.3, the example
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
        (b"&Jjo-!", "☺!"),
        (b"a&-b", "a&b"),
        (b"&2D3cSA-", "\U0001f448"),
        (b"inBox", "INBOX"),
        (b"inbox/a", "inbox/a"),
    ],
)
def test_a_name_is_decoded(raw: bytes, name: str) -> None:
    assert decode_name(raw) == name
    if name != "INBOX":
        assert encode_name(name) == raw


@pytest.mark.parametrize(
    "raw",
    # The last ones are other forms of a name: RFC 3501 §5.1.3
    [b"&", b"a&b", b"&A-", b"&2D0-", b"\xe4", b"&!-", b"&AGE-", b"&U,BTFw-&ZeVnLIqe-", b"&Jjp-"],
)
def test_what_is_no_modified_utf7_is_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError):
        decode_name(raw)


def test_names_are_utf8_for_those_who_have_enabled_it() -> None:
    assert decode_name("Entwürfe & mehr".encode(), utf8=True) == "Entwürfe & mehr"
    assert encode_name("Entwürfe & mehr", utf8=True) == "Entwürfe & mehr".encode()
    with pytest.raises(ValueError):
        decode_name(b"\xe4", utf8=True)


@pytest.mark.slow
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_name_is_encoded_and_decoded(name: str) -> None:
    if name.upper() != "INBOX":
        assert decode_name(encode_name(name)) == name


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("*", "a/b", True),
        ("%", "a/b", False),
        ("%", "a", True),
        ("%/%", "a/b", True),
        ("a*", "a/b", True),
        ("a%", "a/b", False),
        ("*%", "a/b", True),
        ("%*", "a/b", True),
        ("*b", "a/b", True),
        ("inb%", "INBOX", True),
        ("inb%", "inbox2", True),
        ("Inbox2", "inbox2", False),
        ("", "a", False),
        ("", "", True),
        ("a**b", "ab", True),
        ("%a%", "/a", False),
    ],
)
def test_a_pattern_matches(pattern: str, name: str, does: bool) -> None:
    assert matches(pattern, name) is does


@pytest.mark.slow
@given(st.text("ab/*%", max_size=9), st.text("ab/", max_size=9))
def test_a_pattern_matches_as_a_regular_expression_does(pattern: str, name: str) -> None:
    expression = re.escape(pattern).replace(r"\*", ".*").replace("%", "[^/]*")
    assert matches(pattern, name) is bool(re.fullmatch(expression, name))

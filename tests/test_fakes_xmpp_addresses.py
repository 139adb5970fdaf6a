"""Jabber addresses: split first, then prepared, and compared only in prepared form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.xmpp.addresses import Jid, jid, parse_or_none, prepare_domain


@pytest.mark.parametrize(
    ("text", "local", "domain", "resource"),
    [
        ("juliet@example.test/balcony", "juliet", "example.test", "balcony"),
        ("Juliet@Example.TEST./Balcony", "juliet", "example.test", "Balcony"),
        ("example.test", "", "example.test", ""),
        ("example.test/foo@bar/baz", "", "example.test", "foo@bar/baz"),
        ("a@b/c@d/e", "a", "b", "c@d/e"),
        ("ΠΑΤΡΟΣ@MÜnchen.de/x", "πατροσ", "münchen.de", "x"),
        ("a@xn--mnchen-3ya.de", "a", "münchen.de", ""),
        ("a@日本。jp", "a", "日本.jp", ""),
        ("[::1]", "", "[::1]", ""),
        ("a@[2001:DB8:0:0::1]/r", "a", "[2001:db8::1]", "r"),
        ("call\\20me@example.test", "call\\20me", "example.test", ""),  # XEP-0106: left alone
    ],
)
def test_an_address_is_split_and_prepared(
    text: str, local: str, domain: str, resource: str
) -> None:
    address = jid(text)
    assert (address.local, address.domain, address.resource) == (local, domain, resource)
    assert jid(address.text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "@example.test", "juliet@", "juliet@/balcony", "juliet@example.test/", "/balcony",
        "a b@example.test", "a@b@c", "a@-b", "a@b-", "a@b_c", "a@b..c", "a@.", "a@xn--x", "a@[::1",
        "a@[1.2.3.4]", "a@[fe80::1%'<x>]", "a<b@example.test", "a@b/\x00", "\ud800@b",
        "a@" + "x" * 64, "x" * 1024 + "@b", "a@b/" + "x" * 1024, "a@b/" + "é" * 512,
    ],
)  # fmt: skip
def test_a_text_that_is_not_an_address_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        jid(text)
    assert parse_or_none(text) is None


def test_the_longest_parts_are_accepted() -> None:
    address = jid("x" * 1023 + "@" + ".".join(["y" * 63] * 15) + "/" + "z" * 1023)
    assert len(address.text) == 1023 + 1 + 959 + 1 + 1023


def test_addresses_compare_by_their_prepared_form() -> None:
    assert jid("Juliet@example.test") == jid("juliet@EXAMPLE.test.")
    assert jid("juliet@example.test/A") != jid("juliet@example.test/a")
    assert jid("juliet@example.test") != "juliet@example.test"
    assert len({jid("a@b"), jid("A@b"), jid("a@B")}) == 1


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    address = parse_or_none(text)
    if address is None:
        return
    assert isinstance(address, Jid)
    assert jid(address.text) == address
    assert prepare_domain(address.domain) == address.domain

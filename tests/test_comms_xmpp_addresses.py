"""Jabber addresses: equal ones compare as equal, invalid ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.preparation import nodeprep
from comms.xmpp import addresses
from comms.xmpp.addresses import Jid, ascii_domain

EQUAL = [
    ("Juliet@Example.TEST/Balcony", "juliet@example.test/Balcony"),
    ("juliet@example.test.", "juliet@example.test"),  # with the dot of the DNS root
    ("\u2168@example.test", "ix@example.test"),  # NFKC, then folded
    ("stra\u00dfe@example.test", "strasse@example.test"),  # RFC 6122 folds; RFC 7622 would keep it
    ("a\u00adb@example.test", "ab@example.test"),  # a soft hyphen is ignored
    ("a@xn--bcher-kva.example", "a@B\u00dcCHER.example"),
    ("a@example\u3002test", "a@example.test"),
    ("example.test", "EXAMPLE.test"),
    ("a@[::1]", "a@[0:0::1]"),
    ("a@127.0.0.1", "a@127.0.0.1"),
    ("a@x.test/\u212b", "a@x.test/\u00c5"),  # the resource: NFKC, case kept
]
DIFFERENT = [
    ("a@example.test", "b@example.test"),
    ("a@example.test/R", "a@example.test/r"),
    ("\u0430dmin@example.test", "admin@example.test"),  # a Cyrillic a
    ("admin@example.test", "admin@examp1e.test"),
    ("admin\\40evil.test@example.test", "admin@evil.test"),  # XEP-0106 escapes stay as they are
]
INVALID = [
    "",
    "@",
    "@x.test",
    "a@",
    "a@x.test/",
    "/r",
    "a@/r",
    "a b@x.test",
    "a@b@c.test",
    "a\u00a0b@x.test",
    '"a"@x.test',
    "a&b@x.test",
    "a'b@x.test",
    "a:b@x.test",
    "<a>@x.test",
    "a@x test",
    "a@x..test",
    "a@" + "x" * 64 + ".test",
    "a" * 1024 + "@x.test",
    "a@x.test/" + "r" * 1024,
    "a@x.test/\x07",
    "\ue000@x.test",
    "a@[::1",
    "a@[x]",
    "a@[fe80::1%'<x>]",
    "\u00ad@x.test",
    "a@x.test/\u00ad",
    "\u0627a@x.test",
    "a@xn--\u0100",
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equivalent_addresses_are_equal(one: str, other: str) -> None:
    assert Jid.parse(one) == Jid.parse(other)
    assert str(Jid.parse(one)) == str(Jid.parse(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_addresses_that_only_look_alike_are_different(one: str, other: str) -> None:
    assert Jid.parse(one) != Jid.parse(other)


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_address_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a Jabber address"):
        Jid.parse(text)


def test_the_resource_may_contain_slashes_and_at_signs() -> None:
    jid = Jid.parse("room@x.test/nick/@else")
    assert (jid.local, jid.domain, jid.resource) == ("room", "x.test", "nick/@else")
    assert str(jid.bare) == "room@x.test"


@given(st.text(max_size=60))
def test_any_text_is_a_value_error_or_an_address_that_reads_back_the_same(text: str) -> None:
    try:
        jid = Jid.parse(text)
    except ValueError:
        return
    assert Jid.parse(str(jid)) == jid


def test_of_accepts_text_and_addresses() -> None:
    jid = Jid.parse("a@x.test")
    assert Jid.of("A@x.test") == jid and Jid.of(jid) is jid
    with pytest.raises(ValueError):
        Jid.of("a b@x.test")


def test_the_domain_for_dns_is_ascii() -> None:
    assert ascii_domain(Jid.parse("b\u00fccher.example").domain) == "xn--bcher-kva.example"
    assert ascii_domain(Jid.parse("a@[::1]").domain) == "::1"


@given(st.from_regex(addresses._PREPARED, fullmatch=True))
def test_an_address_that_needs_no_preparation_is_the_same_with_it(text: str) -> None:
    local, _, domain = text.rpartition("@")
    assert Jid.parse(text) == Jid(nodeprep(local), addresses._domain(domain))

"""Addresses: what RFC 5322 allows is parsed, and nothing else is guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.addresses import Address, is_address, parse, parse_one


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("jeremy@yourco.test", [("", "jeremy@yourco.test")]),
        ("Jeremy <jeremy@yourco.test>", [("Jeremy", "jeremy@yourco.test")]),
        ('"J. <x@y>, Boss" <j@y.test>', [("J. <x@y>, Boss", "j@y.test")]),
        ("John Q. Public <j@y.test>", [("John Q. Public", "j@y.test")]),
        ("=?utf-8?q?J=C3=BCrgen?= <j@y.test>", [("Jürgen", "j@y.test")]),
        ("j@y.test (Jeremy (the boss))", [("", "j@y.test")]),
        ("a@b, <c@d> , E <e@f>", [("", "a@b"), ("", "c@d"), ("E", "e@f")]),
        ("friends: a@b, C <c@d>;", [("", "a@b"), ("C", "c@d")]),
        ("undisclosed-recipients:;", []),
        ('"a b"@c.test', [("", '"a b"@c.test')]),
        ('"ab"@c.test', [("", "ab@c.test")]),
        ("a@[192.0.2.1]", [("", "a@[192.0.2.1]")]),
        ("käthe@exämple.test", [("", "käthe@exämple.test")]),
    ],
)
def test_a_list_of_addresses_is_parsed(text: str, addresses: list[tuple[str, str]]) -> None:
    assert [(address.name, address.address) for address in parse(text)] == addresses


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Jeremy",
        "<jeremy@yourco.test",
        "jeremy@yourco.test>",
        "jeremy@yourco.test <bob@evil.example>",
        "alice@yourco.test)<bob@evil.example>",
        "alice@yourco.test]<bob@evil.example>",
        "a@b c@d",
        "a@b,,c@d",
        "a@b,",
        ",a@b",
        "a b@c",
        "a..b@c",
        "a@",
        "@b",
        "<>",
        "a@b@c",
        "(unclosed a@b",
        '"unclosed a@b',
        "friends: a@b",
        "a@b;",
        "<a@b> <c@d>",
        "a\x00@b",
        "a@b\r\nBcc: c@d",
        "<@route:a@b>",
        "a @b",
        "\udcff@b",
    ],
)
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_one(text)


@pytest.mark.parametrize("text", ["a@b, c@d", "friends: a@b;", "undisclosed-recipients:;"])
def test_parse_one_accepts_neither_several_addresses_nor_a_group(text: str) -> None:
    with pytest.raises(ValueError, match="one address expected"):
        parse_one(text)


def test_is_address_accepts_an_addr_spec_only() -> None:
    assert is_address("a@b")
    for text in ("A <a@b>", " a@b", "a@b, c@d"):
        assert not is_address(text)


def test_addresses_compare_without_case_and_name() -> None:
    assert Address("", "Jeremy@YourCo.test").key == Address("x", "jeremy@yourco.test").key


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20).map(
    str.strip
)


@given(names, st.sampled_from(["a@b.test", "a.b@c.test", '"a b"@c.test', "a@[127.0.0.1]"]))
def test_an_address_reads_back_from_its_text_and_from_a_header(name: str, spec: str) -> None:
    address = Address(name, spec)
    if "=?" not in name:
        assert parse_one(str(address)) == address
    assert parse_one(" ".join(address.header_pieces())) == address


@given(st.text(max_size=200))
def test_any_text_is_a_list_of_safe_addresses_or_a_value_error(text: str) -> None:
    try:
        for address in parse(text):
            assert "@" in address.address
            assert not set(address.address + address.name) & set("\r\n\0")
    except ValueError:
        pass


def test_deep_comments_and_long_lists_take_linear_time() -> None:
    assert parse("(" * 50_000 + ")" * 50_000 + "a@b")[0].address == "a@b"
    assert len(parse(", ".join(["a@b"] * 20_000))) == 20_000

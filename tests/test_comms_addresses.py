"""Mailboxes: what RFC 5322 allows, and what must never be guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.addresses import Address, is_address, parse, parse_one


@pytest.mark.parametrize(("text", "boxes"), [
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
])  # fmt: skip
def test_what_is_an_address_list(text: str, boxes: list[tuple[str, str]]) -> None:
    assert [(box.name, box.address) for box in parse(text)] == boxes


@pytest.mark.parametrize("text", [
    "", "Jeremy", "<jeremy@yourco.test", "jeremy@yourco.test>", "jeremy@yourco.test <bob@evil.example>",
    "alice@yourco.test)<bob@evil.example>", "alice@yourco.test]<bob@evil.example>", "a@b c@d", "a@b,,c@d", "a@b,", ",a@b",
    "a b@c", "a..b@c", "a@", "@b", "<>", "a@b@c", "(unclosed a@b", '"unclosed a@b', "friends: a@b", "a@b;", "<a@b> <c@d>",
    "a\x00@b", "a@b\r\nBcc: c@d", "<@route:a@b>", "a @b", "\udcff@b",
])  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_one(text)


def test_one_address_means_one_and_no_group() -> None:
    for text in ("a@b, c@d", "friends: a@b;", "undisclosed-recipients:;"):
        with pytest.raises(ValueError, match="one address expected"):
            parse_one(text)


def test_a_bare_address_is_told_from_one_with_a_name() -> None:
    assert (
        is_address("a@b")
        and not is_address("A <a@b>")
        and not is_address(" a@b")
        and not is_address("a@b, c@d")
    )


def test_addresses_compare_without_case() -> None:
    assert Address("", "Jeremy@YourCo.test").key == Address("x", "jeremy@yourco.test").key


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=20).map(
    str.strip
)


@given(names, st.sampled_from(["a@b.test", "a.b@c.test", '"a b"@c.test', "a@[127.0.0.1]"]))
def test_a_mailbox_reads_back_from_its_text_and_from_its_header(name: str, address: str) -> None:
    box = Address(name, address)
    if "=?" not in name:
        assert parse_one(str(box)) == box
    assert parse_one(" ".join(box.header_pieces())) == box


@given(st.text(max_size=200))
def test_any_text_is_boxes_or_a_value_error(text: str) -> None:
    try:
        for box in parse(text):
            assert "@" in box.address and not set(box.address + box.name) & set("\r\n\0")
    except ValueError:
        pass


def test_deep_comments_and_long_lists_take_no_more_time_than_they_are_long() -> None:
    assert parse("(" * 50_000 + ")" * 50_000 + "a@b")[0].address == "a@b"
    assert len(parse(", ".join(["a@b"] * 20_000))) == 20_000

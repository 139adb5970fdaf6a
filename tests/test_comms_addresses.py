"""Addresses: what RFC 5322 allows is parsed, and nothing else is guessed at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.addresses import (
    Address,
    is_address,
    parse,
    parse_leniently,
    parse_list_leniently,
    parse_one,
)
from tests.growth import FACTOR_MOST, factor


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
    for text in ("A <a@b>", " a@b", "a@b, c@d", "a.@b", ".a@b", "a@b.", "a@.b"):
        assert not is_address(text)


def test_addresses_compare_without_case_and_name() -> None:
    assert Address("", "Jeremy@YourCo.test").key == Address("x", "jeremy@yourco.test").key


names = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20).map(str.strip)


@given(names, st.sampled_from(["a@b.test", "a.b@c.test", '"a b"@c.test', "a@[127.0.0.1]"]))
def test_an_address_reads_back_from_its_text_and_from_a_header(name: str, spec: str) -> None:
    address = Address(name, spec)
    if "=?" not in name:
        assert parse_one(str(address)) == address
    assert parse_one(" ".join(address.header_pieces())) == address


@pytest.mark.parametrize("name", ["Société\xa0Durand", "Andr\ufffd"])
def test_a_name_with_a_character_that_no_word_has_is_quoted(name: str) -> None:
    address = Address(name, "a@b.test")
    assert parse_one(str(address)) == address


@pytest.mark.parametrize("character", ["\udcff", "\ufffd"])
def test_bytes_that_are_not_utf_8_are_in_no_address_in_quotes_either(character: str) -> None:
    for text in (f'"{character}"@b.test', f'Ann <"a{character}"@b.test>'):
        assert not is_address(text)
        for parser in (parse_one, parse_leniently):
            with pytest.raises(ValueError, match="not UTF-8"):
                parser(text)
    assert parse_one(f'"Ann {character}" <a@b.test>').address == "a@b.test"


def test_two_addresses_are_equal_if_case_and_the_form_of_the_domain_differ() -> None:
    keys = {Address("", f"Ann@{domain}").key for domain in ("BÜCHER.test", "xn--bcher-kva.test")}
    assert keys == {"ann@xn--bcher-kva.test"}


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


# ── as real programs write them ──────────────────────────────────────────────

ANN = "ann@c.test"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("H\udce5kon Berg <ann@c.test>", "Håkon Berg"),  # Latin-1
        ("ann@c.test <ann@c.test>", ANN),
        ("'ann@c.test' <ann@c.test>", ANN),
        ("ANN@c.test <ann@c.test>", "ANN@c.test"),
        ("=?utf-8?Q?Doe,_Ann?= <ann@c.test>", "Doe, Ann"),
        ("=?utf-8?Q?Doe, Ann?= <ann@c.test>", "Doe, Ann"),
        ("Doe, Ann <ann@c.test>", "Doe, Ann"),
        ("Ann [Acme] <ann@c.test>", "Ann [Acme]"),
        ("Ann: Sales; Acme <ann@c.test>", "Ann: Sales; Acme"),
        ("Ann @ Acme <ann@c.test>", "Ann @ Acme"),
        ('Ann "the boss <ann@c.test>', "Ann the boss"),
        ("Ann (x <ann@c.test>", "Ann (x"),
        ("Ann <ann@c.test>,", "Ann"),
    ],
)
def test_the_name_may_be_in_any_form(text: str, name: str) -> None:
    assert parse_leniently(text) == Address(name, ANN)
    with pytest.raises(ValueError):
        parse_one(text)


@pytest.mark.parametrize(
    "text",
    [
        "ann..b@c.test",
        "Ann <ann.@c.test>",
        "jeremy@x.test <ann@c.test>",
        "ann@c.test via <l@c.test>",
    ],
)
def test_any_name_is_only_accepted_on_demand(text: str) -> None:
    if ".." in text or ".@" in text:  # of a Japanese provider; valid in quotes
        assert parse_leniently(text).address.startswith('"ann.')
        return
    with pytest.raises(ValueError):
        parse_leniently(text)
    assert parse_leniently(text, any_name=True).address in text


@pytest.mark.parametrize(
    "text",
    [
        "", "Ann", "a@b.test, c@d.test", "a@b.test, C <c@d.test>", "Ann <>", "Ann <\udce5@c.test>",
        "\udce5@c.test", "A <a@b.test>, C <c@d.test>",
    ],
)  # fmt: skip
def test_several_addresses_or_none_are_never_a_sender(text: str) -> None:
    for any_name in (False, True):
        with pytest.raises(ValueError):
            parse_leniently(text, any_name)


@pytest.mark.parametrize(
    ("text", "found", "wrong"),
    [
        ("Doe, Ann <ann@c.test>, b@c.test", ["ann@c.test", "b@c.test"], 0),
        ("a@b.test,, c@d.test,", ["a@b.test", "c@d.test"], 0),
        ("A [x] <a@b.test>, <c@d.test>", ["a@b.test", "c@d.test"], 0),
        ('a@b.test; "x; y" <c@d.test>;', ["a@b.test", "c@d.test"], 0),  # of Outlook's users
        ("Doe; Ann <a@b.test>; c@d.test", ["a@b.test", "c@d.test"], 0),
        ("a@b.test, nobody", ["a@b.test"], 1),
        ("x@y.test <a@b.test>, c@d.test", ["c@d.test"], 1),
        ("nobody", [], 1),
    ],
)
def test_of_a_list_each_address_that_can_be_read_counts(
    text: str, found: list[str], wrong: int
) -> None:
    addresses, problems = parse_list_leniently(text)
    assert ([address.address for address in addresses], len(problems)) == (found, wrong)


WORST = [
    "a@", "a,", "<", '"', "(", "=?u?q?a", "a@b,", "[", "<a@", '"a" ', '\\"', "a@b <", "@", " ", ",",
    "a@b [x] ,", "x:", 'a@b "', ", <", "=?u?q?x,", "a.", ";", "()", "(\\", "=?",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("piece", WORST)
@pytest.mark.parametrize("end", ["", " <x@y.test>", '"'])
def test_eight_times_the_field_takes_at_most_sixteen_times_as_long(piece: str, end: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        text = piece * (size // len(piece)) + end

        def run() -> None:
            with contextlib.suppress(ValueError):
                parse_leniently(text, any_name=True)
            parse_list_leniently(text)

        return run

    # Both sizes have an even number of quotes. With an odd one, the rest is left unread, which is
    # quick; such a small size would make the large one look slow.
    assert factor(prepared, 1_200) <= FACTOR_MOST

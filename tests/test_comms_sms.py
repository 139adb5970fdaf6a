"""Text messages by mail: the alphabet is counted, nothing is too long, no phone is invented."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import sms
from comms.addresses import is_address

TODAY = datetime(2026, 1, 5, tzinfo=UTC).timestamp()


# ── the alphabet ─────────────────────────────────────────────────────────────


def test_the_alphabet_has_128_places_with_the_escape() -> None:
    assert (len(sms.ALPHABET), len(sms.EXTENSION)) == (127, 10)
    assert not sms.ALPHABET & sms.EXTENSION


@pytest.mark.parametrize(
    ("text", "places"),
    [("", 0), ("hello", 5), ("é§Ω", 3), ("€", 2), ("[1]", 5), ("a\nb", 3), ("x" * 160, 160)],
)
def test_characters_of_the_extension_table_count_two(text: str, places: int) -> None:
    assert sms.size(text) == places


def test_a_character_outside_of_the_alphabet_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="'ê' is not in the GSM alphabet"):
        sms.size("fête")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("“/var” is 98 % full…", '"/var" is 98 % full...'),
        ("naïve fête, façade", "naive fete, facade"),
        ("Größe: 5 €", "Größe: 5 €"),
        ("e\N{COMBINING ACUTE ACCENT}", "é"),
        ("a\r\nb\rc\td", "a\nb\nc d"),
        ("日本", "??"),
        ("👩\u200d🚒 fire", "?? fire"),
        ("½ ① ﬁ", "1/2 1 fi"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("bell\x07", "bell?"),
    ],
)
def test_other_characters_become_similar_ones(text: str, found: str) -> None:
    assert sms.plain(text) == found


@pytest.mark.slow
@given(st.text(max_size=50))
def test_any_text_can_be_made_plain(text: str) -> None:
    plain = sms.plain(text)
    assert sms.size(plain) >= 0
    assert sms.plain(plain) == plain


# ── the length ───────────────────────────────────────────────────────────────

GSM = st.text(sorted(sms.ALPHABET | sms.EXTENSION) + [" "] * 30, max_size=900)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x" * 160, "x" * 160),
        ("x" * 161, "x" * 157 + "..."),
        ("€" * 80, "€" * 80),
        ("€" * 81, "€" * 78 + "..."),
        ("word " * 40, "word " * 30 + "word..."),
        ("", ""),
    ],
)
def test_a_long_text_is_cut_between_words_and_marked(text: str, found: str) -> None:
    assert sms.cut(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("short", ["short"]),
        ("x" * 200, ["1/2 " + "x" * 156, "2/2 " + "x" * 44]),
        ("a" * 100 + " " + "b" * 100, ["1/2 " + "a" * 100, "2/2 " + "b" * 100]),
    ],
)
def test_a_long_text_is_split_into_numbered_parts(text: str, found: list[str]) -> None:
    assert sms.split(text) == found


def test_a_text_of_too_many_parts_is_cut() -> None:
    parts = sms.split("x" * 5000)
    assert len(parts) == 9 and parts[-1].endswith("x...") and parts[-1].startswith("9/9 ")
    assert sms.split("x" * 5000, most=1) == ["x" * 157 + "..."]
    assert [part[:4] for part in sms.split("x" * 5000, most=2)] == ["1/2 ", "2/2 "]


@given(GSM, st.integers(1, 12))
def test_no_part_is_too_long_and_no_word_is_lost(text: str, most: int) -> None:
    parts = sms.split(text, most)
    assert all(sms.size(part) <= sms.LONGEST for part in parts)
    assert len(parts) <= min(most, 9)
    if len(parts) > 1 and not parts[-1].endswith("..."):
        joined = "".join(part.partition(" ")[2] for part in parts)
        assert "".join(joined.split()) == "".join(text.split())


# ── the address ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "phone", ["5550100123", "555-010-0123", "(555) 010 0123", "+1 555.010.0123", "15550100123"]
)
def test_a_number_is_accepted_as_people_write_it(phone: str) -> None:
    assert sms.address(phone, "verizon", TODAY) == "5550100123@vtext.com"
    assert is_address(sms.address(phone, "uscellular", TODAY))


@pytest.mark.parametrize(
    ("phone", "carrier", "error"),
    [
        ("555-CALL", "verizon", "is not a phone number"),
        ("", "verizon", "is not a phone number"),
        ("1" * 16, "verizon", "is not a phone number"),
        ("٥٥٥٠١٠٠١٢٣", "verizon", "is not a phone number"),
        ("5550100123@evil.test", "verizon", "is not a phone number"),
        ("555-0100", "verizon", "numbers of verizon have ten digits"),
        ("5550100123", "verizn", r"unknown carrier 'verizn' \(did you mean 'verizon'\?\)"),
        ("5550100123", "att", r"the mail gateway of att \(txt.att.net\) closed on 2025-06-17"),
    ],
)
def test_a_phone_that_cannot_be_reached_is_an_error(phone: str, carrier: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        sms.address(phone, carrier, TODAY)


def test_a_gateway_is_used_until_the_day_on_which_it_closes() -> None:
    days = (datetime(2027, 3, 30, 23, 59, tzinfo=UTC), datetime(2027, 3, 31, tzinfo=UTC))
    assert [sms.closed("verizon", day.timestamp()) for day in days] == [False, True]
    assert not sms.closed("own", TODAY)


def test_a_carrier_of_our_own_takes_precedence_and_takes_any_country() -> None:
    own = {"acme": "sms.acme.test", "att": "sms.reseller.test"}
    assert sms.address("+49 30 901820", "acme", TODAY, own) == "4930901820@sms.acme.test"
    assert sms.address("5550100123", "att", TODAY, own) == "5550100123@sms.reseller.test"
    with pytest.raises(ValueError, match=r"choose from att, .*, acme, att"):
        sms.address("5550100123", "other", TODAY, own)

"""IMs: plain text to HTML and back, split to the length that servers accept."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.toc.markup import Html, split_message, to_html
from comms.toc.messages import quote

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))


def size(piece: str) -> int:
    return len(quote(piece).encode("latin-1", "xmlcharrefreplace"))


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ('<HTML><BODY BGCOLOR="#ffffff"><FONT>uptime</FONT></BODY></HTML>', "uptime"),
        ("one<br>two<BR/>three<br />four", "one\ntwo\nthree\nfour"),
        ("<p>one</p><p class='x'>two</p>", "one\n\ntwo"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2 &#8364; &eacute;", "1 < 2 && 3 > 2 € é"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<!-- hidden --><b>shown</b><!doctype x>", "shown"),
        ("a<!-- <b>x</b><br> -->b<!--c", "ab<!--c"),
        ("<!--->a-->b", "b"),
        ("", ""),
        ("<pre>kept</pre><progress>", "kept"),
    ],
)
def test_html_becomes_what_a_person_reads(markup: str, text: str) -> None:
    assert Html(markup).text == text


@pytest.mark.parametrize("again", ["<!--", "<!--a-", "<!---", "<!-- <", "<p ", "<a <!--"])
def test_html_of_the_length_of_a_frame_is_read_at_once(again: str) -> None:
    assert len(Html(again * (65_000 // len(again))).text) > 10_000


@given(st.text())
def test_any_text_can_be_read_as_html(text: str) -> None:
    assert isinstance(Html(text).text, str)


@given(TEXTS)
def test_plain_text_survives_the_way_to_html_and_back(text: str) -> None:
    assert Html(to_html(text)).text.strip("\n") == text.strip("\n")


def test_plain_text_contains_no_tags() -> None:
    assert to_html("a<b>&c\r\nd\re") == "a&lt;b&gt;&amp;c<br>d<br>e"


def test_html_keeps_its_tags() -> None:
    assert to_html(Html("<b>a</b> &amp;\nb")) == "<b>a</b> &amp;<br>b"


@given(TEXTS, st.integers(60, 400))
def test_each_piece_fits_and_no_character_is_lost(text: str, limit: int) -> None:
    pieces = list(split_message(text, limit))
    assert all(size(piece) <= limit for piece in pieces)
    received = html.unescape("".join(pieces).replace("<br>", ""))
    assert received.replace(" ", "") == text.replace("\n", "").replace(" ", "")


@given(
    st.lists(st.text('abc <>&"$é€', min_size=1, max_size=20), min_size=1, max_size=40),
    st.integers(200, 400),
)
def test_text_is_split_between_lines(lines: list[str], limit: int) -> None:
    pieces = list(split_message("\n".join(lines), limit))
    received = [line for piece in pieces for line in piece.split("<br>")]
    assert received == [html.escape(line, quote=False) for line in lines]


def test_pieces_hold_as_many_lines_as_fit() -> None:
    pieces = list(split_message("\n".join(["x" * 40] * 10), 100))
    assert [piece.count("x") for piece in pieces] == [80] * 5


def test_a_line_that_is_too_long_is_split_at_a_space_if_it_has_one() -> None:
    assert list(split_message("aaaa bbbb cccc", 12)) == ["aaaa bbbb", "cccc"]
    assert list(split_message("aaaaaaaaaaaa", 8)) == ["aaaaaa", "aaaaaa"]


def test_no_reference_is_split() -> None:
    assert list(split_message("<" * 7, 12)) == ["&lt;&lt;"] * 3 + ["&lt;"]
    assert list(split_message("€" * 3, 18)) == ["€€", "€"]  # seven bytes each on the wire


def test_an_empty_text_is_one_empty_piece_and_empty_lines_are_kept() -> None:
    assert list(split_message("", 100)) == [""]
    assert list(split_message("\n\na\n", 100)) == ["<br><br>a<br>"]


def test_html_is_split_at_its_line_breaks() -> None:
    assert list(split_message(Html("<b>one</b><br>two<BR />three\nfour"), 20)) == [
        "<b>one</b><br>two",
        "three<br>four",
    ]


def test_a_line_of_html_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="a line of HTML has"):
        list(split_message(Html("<b>" + "x" * 100 + "</b>"), 50))


def test_a_limit_that_no_character_fits_is_an_error() -> None:
    with pytest.raises(ValueError, match="an IM of 2 bytes cannot hold 'a'"):
        list(split_message("abc", 2))

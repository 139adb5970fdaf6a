"""IMs are HTML, and of limited length."""

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
        ("", ""),
        ("<pre>kept</pre><progress>", "kept"),
    ],
)
def test_html_gives_what_a_person_reads(markup: str, text: str) -> None:
    assert Html(markup).text == text


@given(st.text())
def test_any_text_at_all_can_be_read(text: str) -> None:
    assert isinstance(Html(text).text, str)


@given(TEXTS)
def test_plain_text_comes_back_from_its_markup(text: str) -> None:
    assert Html(to_html(text)).text.strip("\n") == text.strip("\n")


def test_no_plain_text_is_taken_for_tags() -> None:
    assert to_html("a<b>&c\r\nd\re") == "a&lt;b&gt;&amp;c<br>d<br>e"


def test_html_goes_as_it_is() -> None:
    assert to_html(Html("<b>a</b> &amp;\nb")) == "<b>a</b> &amp;<br>b"


@given(TEXTS, st.integers(60, 400))
def test_every_piece_fits_and_nothing_is_lost(text: str, room: int) -> None:
    parts = list(split_message(text, room))
    assert all(size(part) <= room for part in parts)
    told = html.unescape("".join(parts).replace("<br>", ""))
    assert told.replace(" ", "") == text.replace("\n", "").replace(" ", "")


@given(
    st.lists(st.text('abc <>&"$é€', min_size=1, max_size=20), min_size=1, max_size=40),
    st.integers(200, 400),
)
def test_pieces_part_between_lines(lines: list[str], room: int) -> None:
    parts = list(split_message("\n".join(lines), room))
    assert [line for part in parts for line in part.split("<br>")] == [
        html.escape(line, quote=False) for line in lines
    ]


def test_pieces_are_as_few_as_lines_allow() -> None:
    parts = list(split_message("\n".join(["x" * 40] * 10), 100))
    assert [part.count("x") for part in parts] == [80] * 5


def test_a_line_too_long_is_cut_at_a_blank_where_there_is_one() -> None:
    assert list(split_message("aaaa bbbb cccc", 12)) == ["aaaa bbbb", "cccc"]
    assert list(split_message("aaaaaaaaaaaa", 8)) == ["aaaaaa", "aaaaaa"]


def test_no_reference_is_cut_in_two() -> None:
    assert list(split_message("<" * 7, 12)) == ["&lt;&lt;"] * 3 + ["&lt;"]
    assert list(split_message("€" * 3, 18)) == ["€€", "€"]  # seven octets each on the wire


def test_an_empty_text_is_one_empty_piece_and_empty_lines_stay() -> None:
    assert list(split_message("", 100)) == [""]
    assert list(split_message("\n\na\n", 100)) == ["<br><br>a<br>"]


def test_html_parts_at_its_line_breaks_too() -> None:
    assert list(split_message(Html("<b>one</b><br>two<BR />three\nfour"), 20)) == [
        "<b>one</b><br>two",
        "three<br>four",
    ]


def test_a_line_of_html_too_long_is_refused_since_nobody_knows_where_to_cut() -> None:
    with pytest.raises(ValueError, match="a line of HTML has"):
        list(split_message(Html("<b>" + "x" * 100 + "</b>"), 50))


def test_room_for_nothing_is_an_error_and_no_endless_loop() -> None:
    with pytest.raises(ValueError, match="too few"):
        list(split_message("abc", 2))

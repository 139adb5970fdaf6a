"""HTML as a reader sees it, from any text, in time that grows with its size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.html_text import read_html
from tests.growth import FACTOR_MOST, factor


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("plain", "plain\n"),
        ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
        ("<div>One</div><div>Two</div>", "One\nTwo\n"),
        ("One<br>Two<br/><br />Three", "One\nTwo\n\nThree\n"),
        ("<h1> A\n  title </h1>text", "A title\n\ntext\n"),
        ("<td>Name</td><td>Ann</td>", "Name\tAnn\n"),
        ("<tr><th>A<td>B</tr><tr><td>C<td> <td>D</tr>", "A\tB\nC\tD\n"),
        ("<ul><li>a<li>b</ul>", "a\nb\n"),
        ("<pre>a\n  b\tc\n</pre>d", "a\n  b\tc\n\nd\n"),
        ("a&nbsp;b &amp; &lt;c&gt; &#8364;&#x20ac; &eacute;", "a b & <c> €€ é\n"),
        ("1 < 2 <3 a<b>c</b>", "1 < 2 <3 ac\n"),
        ("a<b\nc", "a\n"),  # a tag that does not end, as in browsers
        ("a<!-- <p>hidden --> b<!--> c<!---> d", "a b c d\n"),
        ("a<!-- never ended", "a\n"),
        ("<style>p{}</style>a<script>if(1<2)</script>b<title>c</title>", "ab\n"),
        ("<STYLE>x</STYLE >a</style>", "a\n"),
        ('<a title="x > y" href=z>a</a>', "a\n"),
        ("<img alt='>' src=x>a</img>", "a\n"),
        ("<!DOCTYPE html><?xml version='1'?></ x>a", "a\n"),
        ("<head><meta charset=x>a", "a\n"),
        ("&#" + "9" * 5000 + ";a", "&#" + "9" * 5000 + ";a\n"),
        ("one<p><p><div><br></div><p>two", "one\n\ntwo\n"),
    ],
)
def test_the_text_is_what_a_reader_sees(source: str, text: str) -> None:
    assert read_html(source).text == text


@given(st.text(alphabet="<>/!-ab \"'=&#;\n\t", max_size=60))
def test_any_text_is_a_page(source: str) -> None:
    page = read_html(source)
    assert page.text == "" or page.text.endswith("\n")


REPEATED = [
    '<a "', '<a href="', "<!--", "<a b=", "<", "</", "<a ", "<a/", "&#", "&", "<p>", "<td>",
    "<pre>", "<style>", "<style", "<a b='", "<title>", "<a =", "<br>", "<a href=x>", "</a>x",
    "<!", "<?", "<a\n", "=", "<table><tr><td>", "<!-->", "<pre>\n", "<a a=a ", "&amp", "]]>",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("repeated", REPEATED)
def test_the_time_grows_with_the_size_of_the_page(repeated: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        return partial(read_html, repeated * (size // len(repeated)))

    assert factor(prepared, 5_000) <= FACTOR_MOST

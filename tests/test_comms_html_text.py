"""HTML as text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.html_text import enriched_to_text, html_to_text
from tests.growth import FACTOR_MOST, factor


def test_html_becomes_the_lines_a_reader_sees() -> None:
    html = (
        "<html><head><style>p{}</style></head><body><p>Hello&nbsp;<b>you</b></p>"
        "<script>x</script><ul><li>one<li>two</ul>a<br>b</body>"
    )
    assert html_to_text(html) == "Hello you\n\none\ntwo\na\nb\n"


@pytest.mark.parametrize("html", ["", "<p></p>", "<script>x</script>", "<!-- x -->"])
def test_html_that_shows_nothing_becomes_the_empty_text(html: str) -> None:
    assert html_to_text(html) == ""


@given(st.text("<>/!-&#;[pbr \n9x", max_size=60))
def test_broken_markup_never_raises(html: str) -> None:
    assert isinstance(html_to_text(html), str)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        # cells and blocks
        ("<table><tr><td>Name</td><td>Ann</td></tr></table>", "Name Ann"),
        ("<table><tr><td>a<td>b<tr><th>c</th><td>d</table>e", "a b\nc d\ne"),
        ("<p>a</p><p>b</p>", "a\n\nb"),
        ("<div>a</div><div>b</div>", "a\nb"),
        ("a<div>b</div><div><br></div><div>c</div>", "a\nb\n\nc"),
        ("<h1>a</h1>b<ul><li>c</li><li>d</li></ul>", "a\n\nb\nc\nd"),
        ("a<br><br/><br >b</br>c", "a\n\nb\nc"),
        ("<dl><dt>a<dd>b</dl><b>c</b><i> d</i>", "a\nb\nc d"),
        # links
        ('<a href="https://x.example/r?t=1">here</a>', "here (https://x.example/r?t=1)"),
        ("<a href=https://x.example/>x.example</a>", "x.example"),
        ('<a href="http://www.x.example">https://x.example/</a>', "https://x.example/"),
        ("<a href='mailto:a@x.example?subject=b'>a@x.example</a>", "a@x.example"),
        ("<a href='mailto:a@x.example'>Ann</a>", "Ann (a@x.example)"),
        ("<a href='tel:+491234'>+49 12-34</a> <a href=#top>top</a>", "+49 12-34 top"),
        ("<a href='javascript:x()'>x</a><a name=q>y</a>", "xy"),
        ("<a href='https://x.example/a&amp;b'>go</a>.", "go (https://x.example/a&b)."),
        ("<a href=https://x.example/1><img alt=Confirm></a>", "Confirm (https://x.example/1)"),
        ("<a href=https://x.example/1>a<a href=https://x.example/2>b", None),
        # lines that are kept
        ("<pre>a\n  b\n\n\nc</pre>d", "a\n  b\n\n\nc\n\nd"),
        ("<pre>\na\r\nb</pre>", "a\nb"),
        ("a<blockquote>b<br>c</blockquote>d", "a\n\n> b\n> c\n\nd"),
        ("<blockquote><p>b</p><pre>c\nd</pre></blockquote>", "> b\n\n> c\n> d"),
        (
            '<blockquote>b<blockquote style="white-space:pre">c</blockquote>d</blockquote>e',
            "> b\n\n> > c\n\n> d\n\ne",
        ),
        ("<blockquote hidden>b</blockquote></blockquote>c", "c"),
        ("<blockquote><a href='http://a.b/c'>a.b/c</a></blockquote>", "> a.b/c"),
        ("<blockquote>" * 9 + "b", "> > > > > b"),
        ("x<div style='white-space: pre-wrap'>a\n b</div>c", "x\na\n b\nc"),
        ("<textarea>a\n&lt;b></textarea>", "a\n<b>"),
        # what is not shown
        ("<head><title>t</title><style>p{}</style><p>words", "words"),
        ("<style>a<b</style>x<script>if (a<b) '</p>'</script>y<template>z</template>", "xy"),
        ("<div style='display: none'>a<div>b</div></div>c<p hidden>d</p>", "c"),
        ("<!--[if mso]>a<![endif]-->b<![if !mso]>c<![endif]><?xml x?><!DOCTYPE html>", "bc"),
        ("a<!-->b<!--->c<!-- -- > --!>d", "abcd"),
        # what is opened and never closed hides nothing
        ("<style>p{} <p>words</p>", "p{}\n\nwords"),
        ("<!-- words <b>more</b>", "words more"),
        ("<div style='display:none'>words", "words"),
        ('words <a href="x', "words"),
        ('<a href="x>words</a>', "words"),
        # markup as browsers read it
        ("a < b && c > d <3", "a < b && c > d <3"),
        ("<p title='a>b'>x</P\n>y<o:p>z</o:p>", "x\n\nyz"),
        ("&lt;b&gt; &#8364; &#x20AC &amp;lt; &nosuch; &#0;", None),
        ("&#99999999999999999999;x", "&#99999999999999999999;x"),
        ("<p a=b/c=d e='f'g>x", "x"),
        ("</>a</ >b", "ab"),
    ],
)
def test_html_is_readable_text(html: str, text: str | None) -> None:
    found = html_to_text(html).removesuffix("\n")
    if text is not None:
        assert found == text
    assert "<a" not in found and "</" not in found


def test_every_link_has_its_own_target() -> None:
    html = "<a href=https://x.example/1>a<a href=https://x.example/2>b"
    assert html_to_text(html) == "a (https://x.example/1)b (https://x.example/2)\n"


@pytest.mark.parametrize(
    ("enriched", "text"),
    [
        ("<bold>The real words</bold>", "The real words\n"),
        ("a\nb\n\nc\n\n\nd", "a b\nc\n\nd\n"),
        ("<color><param>red</param>x</color> << y", "x < y\n"),
        ("a<nl>b <lt>c", "a\nb <c\n"),
        ("<bold></bold>", ""),
    ],
)
def test_enriched_text_becomes_plain_text(enriched: str, text: str) -> None:
    assert enriched_to_text(enriched) == text


WORST = [
    '<a "', '<a href="', "<!--", "<a ", '<a b="c ', "<", "&#", "</a", "<![", "<script>", "<b>",
    "<pre>",
    "<a b='c\" ", "<div hidden>", "<div hidden></div>", "<td>x", "<a href=x>y", "<br>", "&amp;",
    "<?",
    "<a b =", "<a/", "</p", " ", "<style></style", "<!-->", "--!>", "<p\n", "<a href=mailto:x>",
    "\n",
    "<textarea>\n</textarea>", "=\"'", "<p style='display:none'>", "<<p hidden>",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("piece", WORST)
@pytest.mark.parametrize("end", ["", ">", '">', "-->"])
def test_eight_times_the_html_takes_at_most_sixteen_times_as_long(piece: str, end: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        return partial(html_to_text, piece * (size // len(piece)) + end)

    assert factor(prepared, 2_500) <= FACTOR_MOST


@pytest.mark.parametrize(
    ("href", "target"),
    [
        ("https://x.test/?id=7&region=eu&timestamp=1&section=2", None),
        ("https://x.test/?a=1&amp;b=2", "https://x.test/?a=1&b=2"),
        ("https://x.test/?a=1&ampb=2", None),
        ("https://x.test/?a&lt", "https://x.test/?a<"),
        ("https://x.test/&#65;&#x42;", "https://x.test/AB"),
        ("https://x.test/activate\r\n\t?token=abc", "https://x.test/activate?token=abc"),
        (" https://x.test/a ", "https://x.test/a"),
    ],
)
def test_the_target_of_a_link_is_that_which_a_browser_opens(href: str, target: str | None) -> None:
    assert html_to_text(f'<a href="{href}">Go</a>') == f"Go ({target or href})\n"


@pytest.mark.parametrize(
    ("shown", "is_said"),
    [("x.test/AbC", False), ("HTTPS://www.X.TEST/AbC/", False), ("https://x.test/abc", True)],
)
def test_a_target_that_differs_in_case_only_is_another_one(shown: str, is_said: bool) -> None:
    text = html_to_text(f'<a href="https://x.test/AbC">{shown}</a>')
    assert text.endswith("(https://x.test/AbC)\n") == is_said


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<a style='mso-hide:all'>Confirm</a>", "Confirm\n"),
        ("<p style='display:none'>no<div>words</div></p>", "words\n"),
        ("<p hidden>no<p>words</p>more", "words\n\nmore\n"),
        ("<p hidden>no <b>no</b> no</p>words", "words\n"),
        ("<div hidden>no<p>no</p>no</div>words", "words\n"),
    ],
)
def test_what_a_reader_shows_is_not_hidden(html: str, text: str) -> None:
    assert html_to_text(html) == text

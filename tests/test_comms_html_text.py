"""HTML as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.html_text import html_to_text


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

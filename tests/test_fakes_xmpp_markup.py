"""XML as the server writes it: names, namespaces and escapes."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.xmpp.markup import (
    CLIENT,
    STREAMS,
    check_text,
    element,
    escape,
    local_name,
    namespace,
    serialize,
)


def parsed(text: str) -> Element:
    """Parses an element where a stream would have it."""
    scope = f"<x xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>{text}</x>"
    return ElementTree.fromstring(scope)[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\0", r"U\+0000 at position 1 "),
        ("\ufffe", r"U\+FFFE at position 0 "),
        ("abc\udc80\0", r"U\+DC80 at position 3 "),
    ],
)
def test_an_element_cannot_hold_what_xml_cannot(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        element("a", text=text)
    with pytest.raises(ValueError, match=words):
        element("a", {"b": text})


@given(st.text())
def test_a_text_is_refused_or_can_be_parsed(text: str) -> None:
    try:
        check_text(text)
    except ValueError:
        with pytest.raises((ElementTree.ParseError, UnicodeEncodeError)):
            ElementTree.fromstring(f"<a>{escape(text)}</a>".encode())
    else:
        assert parsed(f"<a>{escape(text)}</a>").text == (text or None)


def test_an_element_leaves_out_attributes_without_a_value() -> None:
    built = element(f"{{{CLIENT}}}body", {"a": "1", "b": None}, "{urn:x}empty", text="hi")
    assert serialize(built) == "<body a='1'>hi<empty xmlns='urn:x'/></body>"


@pytest.mark.parametrize(
    ("built", "written"),
    [
        (element(f"{{{CLIENT}}}body"), "<body/>"),
        (element("{urn:x}a", None, "{urn:x}b"), "<a xmlns='urn:x'><b/></a>"),
        (element(f"{{{STREAMS}}}error", None, "{urn:x}b"), "<stream:error><b xmlns='urn:x'/>"),
        (element("{urn:x}a", None, element(f"{{{CLIENT}}}b")), f"<b xmlns='{CLIENT}'/>"),
        (
            element("{urn:x}a", {"{http://www.w3.org/XML/1998/namespace}lang": "en"}),
            " xml:lang='en",
        ),
        (element("{urn:x}a", {"{urn:y}b": "1"}), "<a xmlns='urn:x' xmlns:ns0='urn:y' ns0:b='1'/>"),
    ],
)
def test_a_namespace_is_declared_where_it_changes(built: Element, written: str) -> None:
    assert written in serialize(built)


NAMES = st.sampled_from(["a", f"{{{CLIENT}}}b", "{urn:x}c", "{urn:y}d"])
TEXTS = st.text(st.characters(exclude_categories=["C"]) | st.sampled_from("\t\n\r&<>"))
ATTRIBUTES = st.dictionaries(st.sampled_from(["k", "{urn:x}k", "{urn:z}l"]), TEXTS, max_size=3)


@st.composite
def elements(draw: st.DrawFn, depth: int = 3) -> Element:
    """Any element of these names, with any text inside, around and in its attributes."""
    built = Element(draw(NAMES), draw(ATTRIBUTES))
    built.text = draw(TEXTS)
    for _ in range(draw(st.integers(0, 2)) if depth else 0):
        child = draw(elements(depth - 1))
        child.tail = draw(TEXTS)
        built.append(child)
    return built


def content(tree: Element) -> tuple[object, ...]:
    """An element as a value that can be compared."""
    children = [(content(child), child.tail or "") for child in tree]
    return (tree.tag, dict(tree.attrib), tree.text or "", children)


@given(elements())
def test_any_element_is_parsed_as_it_was_built(built: Element) -> None:
    assert content(parsed(serialize(built))) == content(built)


def test_a_name_is_split_into_namespace_and_local_name() -> None:
    assert (namespace("{urn:x}a"), local_name("{urn:x}a")) == ("urn:x", "a")
    assert (namespace("a"), local_name("a")) == ("", "a")


def test_quotes_and_line_ends_are_escaped_so_that_attributes_keep_them() -> None:
    assert escape("a'\"<>&\r\n\t") == "a&apos;&quot;&lt;&gt;&amp;&#xD;&#xA;&#x9;"
    assert escape("plain") == "plain"

"""The XML of a stream: independent of how it is split, strict, and limited in memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.xmpp import stream
from comms.xmpp.stream import (
    CLIENT,
    LANG,
    End,
    Event,
    Header,
    Malformed,
    Reader,
    representable,
    to_bytes,
)

OPEN = (
    b"<?xml version='1.0'?>\n"
    b"<stream:stream from='example.test' id='s1' version='1.0' xml:lang='en' "
    b"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
WHOLE = (
    OPEN
    + b"<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features> \n"
    + "<message from='a@x.test/\u00e9&lt;&gt;>' type='chat'>"
    "<body>one &amp; \u4e8c <![CDATA[<3]]></body>"
    "<x:y xmlns:x='urn:x' x:z='1' xml:lang='de'>in<b/>between</x:y></message>".encode()
    + b"<iq type='result' id='1'/>"
    + b"<presence/></stream:stream>"
)


def events(data: bytes, cuts: Sequence[int] = ()) -> list[str]:
    """Returns the events of a reader that gets the data in pieces."""
    reader, found, last = Reader(), [], 0
    for cut in [*cuts, len(data)]:
        reader.feed(data[last:cut])
        last = cut
        while (event := reader.next()) is not None:
            found.append(shown(event))
    return found


def shown(event: Event) -> str:
    return tostring(event, "unicode") if isinstance(event, Element) else repr(event)


def test_a_single_cut_anywhere_does_not_change_the_events() -> None:
    whole = events(WHOLE)
    assert len(whole) == 6
    assert whole[-1] == repr(End())
    for cut in range(len(WHOLE) + 1):
        assert events(WHOLE, [cut]) == whole
    assert events(WHOLE, list(range(len(WHOLE)))) == whole


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12).map(sorted))
def test_any_cuts_do_not_change_the_events(cuts: list[int]) -> None:
    assert events(WHOLE, cuts) == events(WHOLE)


def opened() -> Reader:
    reader = Reader()
    reader.feed(OPEN)
    assert isinstance(reader.next(), Header)
    return reader


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<message></presence>", "not-well-formed"),
        (b"<message><body>&nbsp;</body></message>", "not-well-formed"),
        (b"<x:message/>", "not-well-formed"),
        (b"<message a='1' a='2'/>", "not-well-formed"),
        (b"<message>\xff</message>", "not-well-formed"),
        (b"<message>\xed\xa0\x80</message>", "not-well-formed"),
        (b"<message>\x00</message>", "not-well-formed"),
        (b"</message>", "not-well-formed"),
        (b"<!-- a --><message/>", "restricted-xml"),
        (b"<message><?php ?></message>", "restricted-xml"),
        (b"hello<message/>", "bad-format"),
        (b"<a>" * 1000, "policy-violation"),
    ],
)
def test_invalid_xml_is_malformed_with_its_stream_error(data: bytes, condition: str) -> None:
    reader = opened()
    reader.feed(data)
    with pytest.raises(Malformed) as error:
        while reader.next() is not None:
            pass
    assert error.value.condition == condition
    with pytest.raises(Malformed):
        reader.next()


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><stream:stream>", "restricted-xml"),
        (b"<?xml version='1.0' encoding='UTF-16'?>", "unsupported-encoding"),
        (b"<?xml version='1.0' encoding='latin1'?>", "unsupported-encoding"),
        (b"<stream xmlns='jabber:client'>", "invalid-namespace"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", "not-well-formed"),
        (b"SSH-2.0-x>", "not-well-formed"),
    ],
)
def test_anything_but_a_stream_is_malformed(data: bytes, condition: str) -> None:
    reader = Reader()
    reader.feed(data)
    with pytest.raises(Malformed) as error:
        reader.next()
    assert error.value.condition == condition


@pytest.mark.parametrize(
    "endless", [b"x", b"<a", b"<a b='", b"<message><body>" + b"y" * 99, b"<message>" + b"<a/>" * 99]
)
def test_an_element_without_end_is_malformed_at_a_maximum_length(
    endless: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LONGEST", 1 << 18)
    reader = opened()
    reader.feed(endless)
    with pytest.raises(Malformed, match=r"policy-violation|bad-format|not-well-formed"):
        for _ in range(stream.LONGEST // 4096 + 2):
            reader.feed(endless[-1:] * 4096 if endless[-2:] != b"/>" else b"<a/>" * 1024)
            assert reader.next() is None


def test_spaces_between_stanzas_are_not_stored() -> None:
    reader = opened()
    for _ in range(300):
        reader.feed(b" \r\n\t" * 4096)
        assert reader.next() is None
    assert not reader.rest


@pytest.mark.slow
def test_ever_new_names_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """expat stores every name that it has seen. The reader replaces it from time to time."""
    monkeypatch.setattr(stream, "RENEW", 1 << 16)
    reader = opened()
    tracemalloc.start()
    try:
        for number in range(20_000):
            reader.feed(b"<name%d a%d='1' xmlns='urn:%d'/>" % (number, number, number))
            event = reader.next()
            assert isinstance(event, Element)
            assert event.tag == f"{{urn:{number}}}name{number}"
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    reader.feed(b"</stream:stream>")
    assert reader.next() == End()


@pytest.mark.parametrize(
    "text",
    [
        "<a>x</a><b/>",
        "<a><a>x</a></a><b/>",
        "<a><a/></a ><a>y</a>",
        "<a></a ><a>y</a>",
        "<a>x</ab></a>",
        "<a><![CDATA[</a>]]></a><b/>",
        "<a><!-- </a> --></a>",
        "<a><?x </a> ?></a>",
        "<a b='/>'>x</a><a>y</a>",
        "<a b='>'/><a>y</a>",
        '<a b="\'>"/><a>y</a>',
        "<a b='</a>'>x</a>",
        "<a/ ><a>y</a>",
        "<a/><a>y</a>",
        "<a/></a><a>y</a>",
        "<a xmlns='b'>x</a></stream:stream>",
        " <a>x</a> <b>y</b> z",
    ],
)
def test_events_and_the_rest_do_not_depend_on_what_arrives_together(text: str) -> None:
    def events(size: int) -> list[tuple[object, bytes, int]]:
        """Returns the events with the bytes after each of them, and with its size."""
        reader, data = opened(), text.encode()
        found: list[tuple[object, bytes, int]] = []
        try:
            for at in range(0, len(data), size):
                reader.feed(data[at : at + size])
                while (event := reader.next()) is not None:
                    shown = tostring(event) if isinstance(event, Element) else event
                    found.append((shown, reader.rest + data[at + size :], reader.size))
        except Malformed as error:
            found.append((error.condition, b"", 0))
        return found

    assert events(len(text)) == events(1)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_events_or_malformed(data: bytes, inside: bool) -> None:
    reader = opened() if inside else Reader()
    reader.feed(data)
    try:
        while reader.next() is not None:
            pass
    except Malformed as error:
        assert error.exit_code == 3


def test_nothing_after_an_event_is_parsed_before_the_next_call() -> None:
    reader = opened()
    reader.feed(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><injected>")
    assert isinstance(reader.next(), Element)
    assert reader.rest == b"<injected>"


# ── writing ──────────────────────────────────────────────────────────────────

_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_names = st.sampled_from(["body", "x", "query", "item"])
_spaces = st.sampled_from([CLIENT, "urn:a", "urn:b'&", ""])


@st.composite
def elements(draw: st.DrawFn, depth: int = 3) -> Element:
    space, name = draw(_spaces), draw(_names)
    element = Element(f"{{{space}}}{name}" if space else name)
    for key in draw(st.sets(st.sampled_from(["to", LANG, "{urn:a}k", "{urn:c}k"]))):
        element.set(key, draw(_texts))
    element.text = draw(st.none() | _texts)
    for child in draw(st.lists(elements(depth - 1), max_size=2)) if depth else []:
        child.tail = draw(st.none() | _texts)
        element.append(child)
    return element


def is_xml(character: str) -> bool:
    """Whether XML 1.0 §2.2 allows the character, written from that section."""
    number = ord(character)
    ranges = ((0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
    return number in (0x9, 0xA, 0xD) or any(first <= number <= last for first, last in ranges)


def replaced(text: str) -> str:
    """Replaces what XML cannot represent."""
    return "".join(character if is_xml(character) else "\ufffd" for character in text)


def as_sent(element: Element) -> Element:
    for part in element.iter():
        part.text = replaced(part.text or "") or None
        part.tail = replaced(part.tail or "") or None
        for key, value in part.items():
            part.set(key, replaced(value))
    element.tail = None
    return element


@given(st.text())
def test_only_what_xml_cannot_represent_becomes_the_replacement_character(text: str) -> None:
    assert representable(text) == replaced(text)


@given(elements())
def test_a_written_element_reads_back_the_same(element: Element) -> None:
    reader = opened()
    reader.feed(to_bytes(element))
    event = reader.next()
    assert isinstance(event, Element)
    assert tostring(event) == tostring(as_sent(element))


def test_a_name_that_could_be_markup_is_a_value_error() -> None:
    for tag in ("a b", "a>", "a/", "1", "", "{urn:x}a'"):
        with pytest.raises(ValueError, match="name"):
            to_bytes(Element(tag))
    parent = Element("a")
    SubElement(parent, "b", {"x='": "1"})
    with pytest.raises(ValueError, match="name"):
        to_bytes(parent)


# ── hostile layouts ──────────────────────────────────────────────────────────

OPEN = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("stanza", "text"),
    [
        (b"<message a='>>>>'><body>x</body></message>", "x"),
        (b"<message a=\"'>'\"><body>y</body></message>", "y"),
        (b"<message><body>a > b ' c</body></message>", "a > b ' c"),
        (b"<message><body><![CDATA[<b> ' \" ]] > ]]>z</body></message>", "<b> ' \" ]] > z"),
        (b"<message><body><![CDATA[]]>]</body></message>", "]"),
        (b"<message><body>it's</body></message>", "it's"),
    ],
)
def test_an_element_is_found_wherever_its_marks_are_and_however_it_is_split(
    size: int, stanza: bytes, text: str
) -> None:
    reader, found = Reader(), []
    data = OPEN + stanza + b"<presence/>"
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
        while (event := reader.next()) is not None:
            found.append(event)
    assert isinstance(found[1], Element) and "".join(found[1].itertext()) == text
    assert len(found) == 3 and reader.rest == b""


@pytest.mark.parametrize(
    "data", [b"<!-->", b"<!--->-->", b"<?x ?>", b"<!DOCTYPE x '>'>", b"<!-- > -->", b"text <a/>"]
)
def test_what_is_not_allowed_is_refused_wherever_its_marks_are(data: bytes) -> None:
    reader = Reader()
    reader.feed(OPEN)
    reader.next()
    reader.feed(data + b"<a/>" * 3 + b"-->")
    with pytest.raises(Malformed):
        while reader.next() is not None:
            pass


def seconds(unit: bytes, times: int, chunk: int) -> float:
    """The processor time for one element that never ends."""
    data = OPEN + b"<message a='" + unit * times
    best = 1e9
    for _ in range(5):
        reader = Reader()
        began = time.process_time()
        for at in range(0, len(data), chunk):
            reader.feed(data[at : at + chunk])
            while reader.next() is not None:
                pass
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.slow
@pytest.mark.parametrize("unit", [b">", b"'>", b"' b='>", b"'><a b='", b"'><!-->", b"&gt;>"])
@pytest.mark.parametrize("chunk", [16, 65536])
def test_the_time_grows_with_the_input_only(unit: bytes, chunk: int) -> None:
    def measured(times: int) -> float:
        try:
            return seconds(unit, times, chunk)
        except Malformed:
            return 0.0  # it was refused before it could cost much

    size = 100_000 // len(unit)
    assert measured(size) < 24 * max(measured(size // 8), 0.002)

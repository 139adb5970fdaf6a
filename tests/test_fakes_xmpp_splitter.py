"""The splitter returns the same pieces for every chunking, and keeps no more than its limit."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.xmpp.pieces import Piece, piece_of, plain_stanza
from fakes.xmpp.splitter import Splitter
from fakes.xmpp.stanzas import Stanza, from_piece
from tests.xmpp_raw import HEADER

FRAGMENTS = [
    b"<presence/>", "<message to='a'><body>hi &amp; é</body></message>".encode(), b" ", b"\n",
    b"<!-- c -->", b"<!DOCTYPE a>", b"&foo;", b"x", b"<a><b><c><d><e><f/></e></d></c></b></a>",
    b"</stream:stream>", b"<![CDATA[x]]>", b"<m>]]></m>", b"<m", b"/>", b"\xff", b"\xe2\x28\xa1",
    b"<m>\xff</m>", b"<m a='" + b"y" * 150 + b"'>", b"<p:m/>",
    b"<m xmlns:p='jabber:client'><p:x/></m>", b"<?pi x?>", b"<?xml version='1.0'?>", b"<m>",
    b"</m>", b"\x00", b"<m>\xef\xbf\xbf</m>", b"&", b"<", b">", b"'", b"<m>\xed\xa0\x80</m>",
    HEADER, b"<stream:stream/>", b"<m>" + b"z" * 190, b"<m a='1' a='2'/>", b"\xef\xbb\xbf",
    b"<m a='>/>'/>",
]  # fmt: skip


def split(chunks: list[bytes], limit: int = 200, depth: int = 6) -> list[Piece]:
    splitter, buffer, pieces = Splitter(limit, depth), bytearray(), []
    for chunk in chunks:
        buffer += chunk
        while piece := splitter.next(buffer):
            piece.start = piece.end = 0  # the parser's count depends on the chunks
            pieces.append(piece)
    return pieces


streams = st.builds(
    lambda headed, fragments: (HEADER if headed else b"") + b"".join(fragments),
    st.booleans(),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=3)), max_size=7),
)


@given(streams, st.lists(st.integers(0, 600), max_size=6))
@example(b"<stream:stream/>\n<m", [17])
@example(HEADER + b"<m>\xe2\x28\xa1</m>", [])
def test_every_chunking_yields_the_same_pieces(stream: bytes, cuts: list[int]) -> None:
    whole = split([stream])
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert split([stream[a:b] for a, b in itertools.pairwise(edges)]) == whole
    assert split([stream[n : n + 1] for n in range(len(stream))]) == whole


def test_a_piece_has_its_kind_its_names_and_its_bytes() -> None:
    raw = (
        b"<?xml version='1.0'?>"
        + HEADER
        + b" <presence/>\n<message to='a@b' x='>/'><body>hi</body>/></message></stream:stream> "
    )
    header, presence, message, close = split([raw], limit=10_000)
    assert (header.kind, header.name) == ("open", "{http://etherx.jabber.org/streams}stream")
    assert header.raw == b"<?xml version='1.0'?>" + HEADER
    assert (presence.kind, presence.raw) == ("element", b"<presence/>")
    assert presence.child_names == ()
    assert message.attributes == {"to": "a@b", "x": ">/"}
    assert message.raw[message.tag_end : -len("</message>")] == b"<body>hi</body>/>"
    assert message.child_names == ("{jabber:client}body",)
    assert (close.kind, close.raw) == ("close", b"</stream:stream>")


def test_a_piece_has_the_prefixes_of_the_header_and_of_its_own_tag() -> None:
    header = HEADER[:-1] + b" xmlns:h='urn:h'>"
    _, piece = split([header + b"<m xmlns:p='urn:p'/>"], limit=10_000)
    assert piece.prefixes == (("h", "urn:h"), ("p", "urn:p"))
    assert not piece.needs_rewriting
    _, prefixed = split([HEADER + b"<m><x xmlns:c='jabber:client'/></m>"], limit=10_000)
    assert prefixed.needs_rewriting


@pytest.mark.parametrize(
    "stream", [b"<m>" + b"x" * 10_000, b"<m x='" + b"y" * 10_000, b"<" + b"n" * 10_000]
)
def test_a_piece_above_the_limit_is_an_error_and_is_not_buffered(stream: bytes) -> None:
    splitter, buffer = Splitter(1000), bytearray(HEADER)
    assert splitter.next(buffer) is not None
    for n in range(0, len(stream), 100):
        buffer += stream[n : n + 100]
        piece = splitter.next(buffer)
        if piece is not None:
            assert (piece.kind, piece.name) == ("error", "policy-violation")
            assert len(piece.raw) == 1000
            return
        assert len(buffer) <= 1000
    pytest.fail("there was no error")


def test_white_space_between_pieces_is_not_kept() -> None:
    splitter, buffer = Splitter(1000), bytearray(HEADER)
    splitter.next(buffer)
    for _ in range(100):
        buffer += b" \n" * 500
        assert splitter.next(buffer) is None
        assert not buffer


def test_the_parser_is_discarded_when_no_input_is_pending() -> None:
    splitter, buffer = Splitter(), bytearray(HEADER)
    splitter.next(buffer)
    for n in range(1000):
        buffer += b"<a%d/>" % n  # a parser would keep each of these names
        assert splitter.next(buffer) is not None
    assert splitter.next(buffer) is None
    assert splitter._parser is None


NEARLY_PLAIN = st.lists(
    st.sampled_from([
        b"<message", b"<presence", b"<iq", b"<m", b" to='a@b'", b' to="a\'b"', b" id='1'",
        b" id=''", b" type='\xc3\xa9'", b" from='&lt;'", b" xml:lang='en'", b" x='1'", b"\n", b">",
        b"/>", b"<body>", b"</body>", b"<x xmlns='urn:a'", b"<x xmlns='jabber:client' id='2'",
        b"<x xmlns='http://www.w3.org/2000/xmlns/'", b"<p:x", b"text", b"&amp;", b"&x;", b"]]>",
        b"\xef\xbf\xbf", b"\xc3", b"\xc3\xa9", b"\r\n", b"\x01", b"</x>", b"</message>",
        b"</presence>", b"</iq>",
    ]),
    max_size=9,
).map(b"".join)  # fmt: skip
PLAIN = (
    b"<message to='a@b' id=\"1\"><body>hi &lt; \xc3\xa9</body><x xmlns='urn:a' id='2'/></message>"
)


@pytest.mark.parametrize(
    ("raw", "is_plain"),
    [
        (PLAIN, True),
        (b"<presence/>", True),
        (b"<iq type='result' id='1'></iq>", True),
        (PLAIN[:-1], False),
        (b"<message to='a' to='b'/>", False),
        (b"<message to='&lt;'/>", False),
        (b"<message><body>\xc3</body></message>", False),
        (b"<message><body><b/></body></message>", False),
        # Python 3.11.2 took these for plain, with possessive repeats of groups:
        (b"<message id='/>", False),
        (b"<message><b></message>", False),
        (b"<message><x xmlns=/></message>", False),
    ],
)
def test_plain_stanzas_are_those_without_anything_unusual(raw: bytes, is_plain: bool) -> None:
    assert (plain_stanza(bytearray(raw), 1000) is not None) == is_plain


@given(st.lists(NEARLY_PLAIN, max_size=3).map(b"".join))
@example(PLAIN)
@example(b"<message xml:lang='en' type='\xc3\xa9'>" + b"<x/><body>&amp;</body></message>")
@example(b"<message to='a' to='b'/>")
@example(b"<message to='a' id='1' type='chat'/><message id='1' to='a' id='2'/>")
@example(b"<message id='1' to=\"a id='2'\" id='1'/><message id=\"'\" to='a'/>")
@example(b"<presence><x xmlns='http://www.w3.org/2000/xmlns/'/></presence>")
def test_a_plain_stanza_is_the_piece_that_the_parser_would_return(stanzas: bytes) -> None:
    # The parser reads everything on a stream whose header has another prefix.
    parsed = split([HEADER[:-1] + b" xmlns:h='urn:h'>" + stanzas])[1:]
    for piece in parsed:
        if piece.prefixes[:1] == (("h", "urn:h"),):
            piece.prefixes = piece.prefixes[1:]
    assert split([HEADER + stanzas])[1:] == parsed


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN,
        b"<presence/>",
        b"<iq type='result' id='1' xml:lang='en' to='a' from='b'></iq>",
        b"<message><body/></message>",
        b"<message to='a'>" + b"<body>hi</body>" * 100 + b"</message>",
        b"<message to='" + b"a" * 5000 + b"' id=''/>",
    ],
)
def test_a_plain_stanza_is_the_value_that_its_piece_is(raw: bytes) -> None:
    plain = plain_stanza(bytearray(raw + b"<presence/>"), 10_000)
    assert plain is not None and plain[0] == raw
    value, wanted = Stanza(*plain[1]), from_piece(piece_of(plain))
    for field in dataclasses.fields(Stanza):
        assert getattr(value, field.name) == getattr(wanted, field.name), field.name

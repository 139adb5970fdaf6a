"""Where the parts of a mail are, and what they are."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.imap.source import DEEPEST, MOST_PARTS, Part, Source, read_content_type

MIXED = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"


def texts(raw: bytes) -> list[object]:
    """Returns the bodies of the parts, as lists of lists."""

    def of(part: Part) -> object:
        return [*map(of, part.parts)] if part.parts else raw[part.body : part.end].decode()

    return [*map(of, Source(raw).root.parts)]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (
            b"before\r\n--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n\r\n--x--\r\nafter\r\n--x\r\n"
            b"\r\nno\r\n",
            ["one", "two\r\n"],
        ),
        (b"--x\n\none\n--x--\n", ["one"]),
        (b"--x\r\n\r\none\r\n", ["one\r\n"]),  # not closed
        (b"--x\r\n\r\n--x\r\n\r\n\r\n--x--", ["", ""]),
        (b"--x\r\nSubject: no empty line\r\n--x--", [""]),
        (b"--xyz\r\n\r\none\r\n--x--z\r\n", ["one"]),  # a line that begins with it
        (b"no part", []),
        (b"--x--\r\n", []),
        (b"--x\r\n\r\none\r\n--x", ["one"]),
    ],
)
def test_a_multipart_is_split(body: bytes, found: list[object]) -> None:
    assert texts(MIXED + body) == found


def test_the_longest_delimiter_counts() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=xy\r\n\r\n--xy\r\n\r\none\r\n--xy--\r\n"
    assert texts(MIXED + b"--x\r\n" + inner + b"--x\r\n\r\ntwo\r\n--x--\r\n") == [["one"], "two"]


def test_an_outer_delimiter_ends_what_is_inside() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\none"
    message = b"Content-Type: message/rfc822\r\n\r\nA: b\r\n\r\ntwo"
    raw = MIXED + b"--x\r\n" + inner + b"\r\n--x\r\n" + message + b"\r\n--x--\r\n--y\r\n\r\nno\r\n"
    assert texts(raw) == [["one"], ["two"]]


def test_parts_of_a_digest_are_messages() -> None:
    raw = MIXED.replace(b"mixed", b"digest") + b"--x\r\n\r\nSubject: s\r\n\r\nm\r\n--x--\r\n"
    assert Source(raw).root.parts[0].is_message
    assert texts(raw) == [["m"]]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("text/HTML", ("text", "HTML", {})),
        (' image / png (x); (y) name (z) = "a\\"b" (v)', ("image", "png", {"name": 'a"b'})),
        ("a/b; c=d e; f", ("a", "b", {"c": "d"})),
        ("a/b;;c=d", ("a", "b", {"c": "d"})),
        ('a/b; c="d; e=f', ("a", "b", {})),
        ("a/b; c==d", ("a", "b", {"c": "=d"})),
        ("a/b; n*0*=u''a%C3; n*1=b; n*3=z", ("a", "b", {"n*": "u''a%C3b", "n*3": "z"})),
        ("a/b; n*1=c; n*0=b", ("a", "b", {"n": "bc"})),
        ("a/b; n*=u''c", ("a", "b", {"n*": "u''c"})),
        ("nonsense", None),
        ("text/", None),
        ("text/plain charset=x", None),
        ("text/plain/x", None),
        ("", None),
    ],
)
def test_a_content_type_is_read(value: str, found: tuple[str, str, dict[str, str]] | None) -> None:
    read = read_content_type(value.encode())
    if found is None:
        assert read is None
    else:
        parameters = tuple((a.encode(), b.encode()) for a, b in found[2].items())
        assert read == (found[0].encode(), found[1].encode(), parameters)


def test_parts_are_not_looked_for_for_ever() -> None:
    deep = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d-\r\n\r\n--b%d-\r\n" % (n, n)
        for n in range(DEEPEST + 50)
    )
    part, depth = Source(deep).root, 1
    while part.parts:
        part, depth = part.parts[0], depth + 1
    assert depth == DEEPEST
    messages = b"Content-Type: message/rfc822\r\n\r\n" * (DEEPEST + 50)
    part, depth = Source(messages).root, 1
    while part.parts:
        part, depth = part.parts[0], depth + 1
    assert DEEPEST <= depth <= DEEPEST + 1


@pytest.mark.slow
def test_the_parts_of_a_mail_are_counted() -> None:
    root = Source(MIXED + b"--x\r\n\r\n" * (MOST_PARTS + 50)).root
    assert len(root.parts) == MOST_PARTS - 1  # the mail itself is one


def check(raw: bytes, part: Part, end: int) -> None:
    assert part.start <= part.head_end <= part.body <= part.end <= end
    for inner in part.parts:
        assert part.body <= inner.start
        check(raw, inner, part.end)


LINES = st.lists(
    st.sampled_from(
        [b"--x\r\n", b"--x\n", b"--y\r\n", b"--x--\r\n", b"--y--", b"\r\n", b"\n", b"text", b"\r"]
        + [b"Content-Type: multipart/mixed; boundary=" + b + b"\r\n" for b in (b"x", b"y", b'""')]
        + [b"Content-Type: message/rfc822\r\n", b"Content-Type: multipart/digest; boundary=y\n"]
    )
)


@pytest.mark.slow
@example(
    [
        *(b"Content-Type: multipart/mixed; boundary=x\r\n", b"\r\n", b"--x\r\n"),
        *(b"Content-Type: multipart/mixed; boundary=y\r\n", b"\r\n", b"--y\r\n", b"--x\r\n"),
    ]
)
@given(LINES)
def test_parts_are_inside_each_other(lines: list[bytes]) -> None:
    raw = b"".join(lines)
    check(raw, Source(raw).root, len(raw))
    assert Source(raw).root.end == len(raw)

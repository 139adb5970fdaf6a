"""FETCH items, and the bytes of sections."""

from __future__ import annotations

import pytest

from fakes.imap.grammar import BadCommand
from fakes.imap.sections import Item, Section, content, read_items, write_item
from fakes.imap.source import Source
from tests.imap_values import arguments

INNER = b"Subject: inner\r\n\r\ninner body"
SECOND = (
    b"Content-Type: multipart/mixed; boundary=y\r\n\r\n"
    b"--y\r\n\r\nsecond.one\r\n--y\r\nContent-Type: text/html\r\n\r\nsecond.two\r\n--y--\r\n"
)
MAIL = (
    b"Subject: a\r\n b\r\nTo: c\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    b"--x\r\nX-A: b\r\n\r\nfirst\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + INNER + b"\r\n"
    b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + SECOND + b"\r\n--x--\r\n"
)
SIMPLE = b"Subject: a\r\n\r\nbody"


def fetch(text: str, raw: bytes = MAIL) -> bytes:
    (item,) = read_items(arguments(text))
    return content(Source(raw), item)


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ("", MAIL),
        ("HEADER", MAIL.partition(b"--x")[0]),
        ("TEXT", MAIL[MAIL.index(b"--x\r\n") :]),
        ("1", b"first"),
        ("1.MIME", b"X-A: b\r\n\r\n"),
        ("1.HEADER", b""),  # it is not a message
        ("1.1", b""),
        ("2", INNER),
        ("2.HEADER", b"Subject: inner\r\n\r\n"),
        ("2.TEXT", b"inner body"),
        ("2.1", b"inner body"),
        ("2.1.MIME", b"Subject: inner\r\n\r\n"),
        ("2.2", b""),
        ("2.HEADER.FIELDS (subject)", b"Subject: inner\r\n\r\n"),
        ("3", SECOND),
        ("3.1", b"second.one"),
        ("3.2", b"second.two"),
        ("3.2.MIME", b"Content-Type: text/html\r\n\r\n"),
        ("3.3", b""),
        ("4", b""),
        ("HEADER.FIELDS (SUBJECT x)", b"Subject: a\r\n b\r\n\r\n"),
        ("HEADER.FIELDS (x)", b"\r\n"),
        ('HEADER.FIELDS.NOT (Subject "content-TYPE")', b"To: c\r\n\r\n"),
    ],
)
def test_a_section_is_bytes_of_the_mail(section: str, found: bytes) -> None:
    assert fetch(f"BODY[{section}]") == found


def test_a_mail_without_parts_has_one() -> None:
    assert fetch("BODY[1]", SIMPLE) == fetch("RFC822.TEXT", SIMPLE) == b"body"
    assert fetch("BODY[1.MIME]", SIMPLE) == fetch("RFC822.HEADER", SIMPLE) == b"Subject: a\r\n\r\n"
    assert fetch("RFC822", SIMPLE) == SIMPLE
    assert fetch("BODY[2]", SIMPLE) == fetch("BODY[1.1]", SIMPLE) == b""


def test_a_mail_without_an_empty_line_is_all_header() -> None:
    assert fetch("BODY[HEADER]", b"Subject: a") == b"Subject: a"
    assert fetch("BODY[HEADER.FIELDS (x)]", b"Subject: a") == b""


def test_a_partial_is_what_there_is_of_it() -> None:
    assert fetch("BODY[TEXT]<1.2>", SIMPLE) == b"od"
    assert fetch("BODY[TEXT]<2.99>", SIMPLE) == b"dy"
    (item,) = read_items(arguments("BODY[TEXT]<9.1>"))
    assert b"".join(write_item(Source(SIMPLE), item)) == b'BODY[TEXT]<9> ""'


@pytest.mark.parametrize(
    ("text", "label", "sets_seen"),
    [
        ("body[]", b"BODY[]", True),
        (
            'BODY.PEEK[1.2.header.fields (Subject "a b")]<0.5>',
            b'BODY[1.2.HEADER.FIELDS (Subject "a b")]<0>',
            False,
        ),
        (r'BODY[HEADER.FIELDS ("a\\\"b")]', rb'BODY[HEADER.FIELDS ("a\\\"b")]', True),
        (
            "BODY[HEADER.FIELDS ({4+}\r\na\r\nb)]",
            b"BODY[HEADER.FIELDS ({4}\r\na\r\nb)]",
            True,
        ),
        ("BODY[TEXT]", b"BODY[TEXT]", True),
        ("BODY[1.MIME]", b"BODY[1.MIME]", True),
        ("RFC822", b"RFC822", True),
        ("RFC822.TEXT", b"RFC822.TEXT", True),
        ("RFC822.HEADER", b"RFC822.HEADER", False),
        ("RFC822.SIZE", b"RFC822.SIZE", False),
        ("BODY", b"BODY", False),
    ],
)
def test_the_label_of_an_item_is_without_peek(text: str, label: bytes, sets_seen: bool) -> None:
    (item,) = read_items(arguments(text))
    assert (item.label, item.sets_seen) == (label, sets_seen)


def test_macros_and_lists_are_items_in_order() -> None:
    names = [item.name for item in read_items(arguments("FULL"))]
    assert names == ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"]
    found = read_items(arguments("(UID BODY.PEEK[] FLAGS BODY[] uid)"))
    assert found == (Item("UID"), Item("BODY[]", Section()), Item("FLAGS"))


def test_partial_items_that_differ_in_their_size_are_two() -> None:
    found = read_items(arguments("(BODY[]<0.3> BODY[]<0.5> BODY.PEEK[]<0.3>)"))
    assert [item.partial for item in found] == [(0, 3), (0, 5)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *("BODY[TEXT.1]", "BODY[MIME]", "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "BODY["),
        *(
            "BODY[0]",
            "BODY[1.]",
            "BODY[1..2]",
            "BODY[1.0]",
            "BODY[]<0.0>",
            "BODY[]<1>",
            "BODY[FOO]",
        ),
        *("BODY.PEEK", "RFC822.FOO", "(ALL)", "()", "", "(UID  FLAGS)", "BODY[HEADER.FIELDS (a"),
    ],
)
def test_other_items_are_refused(text: str) -> None:
    line = arguments(text)
    with pytest.raises(BadCommand):
        read_items(line)
        line.end()


def test_an_item_is_written_with_its_label() -> None:
    source = Source(SIMPLE)
    (size, text, header) = read_items(arguments("(RFC822.SIZE BODY[TEXT] BODY[2])"))
    assert b"".join(write_item(source, size)) == b"RFC822.SIZE 18"
    assert b"".join(write_item(source, text)) == b"BODY[TEXT] {4}\r\nbody"
    assert b"".join(write_item(source, header)) == b'BODY[2] ""'

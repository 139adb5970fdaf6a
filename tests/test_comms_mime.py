"""The structure of mails: well-formed, and as programs have really sent it."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage, MIMEPart

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.mime import LONG_HEADERS, PARTS, TOO_MANY, parameters, parse
from tests.growth import FACTOR_MOST, factor

TEXT = "Content-Type: text/plain\r\n\r\n{}\r\n"


def contents(mail: str) -> list[str]:
    return [part.content().decode() for part in parse(mail.encode()).leaves()]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("; charset=utf-8", {"charset": "utf-8"}),
        (" charset=utf-8 format=flowed", {"charset": "utf-8", "format": "flowed"}),
        ('; charset="utf-8', {"charset": "utf-8"}),
        ("; charset=utf-8 (plain)", {"charset": "utf-8"}),
        ('; NAME = "a;b=c"; x=1', {"name": "a;b=c", "x": "1"}),
        ("; name=my file.txt; x=1", {"name": "my file.txt", "x": "1"}),
        (r'; name="a \"b\" \\c"', {"name": 'a "b" \\c'}),
        (r'; name="C:\tmp\a.txt"', {"name": r"C:\tmp\a.txt"}),
        ("; name*=utf-8''%e2%82%ac.txt", {"name": "€.txt"}),
        ("; name*0*=utf-8''%e2%82; name*1*=%ac; name*2=.txt", {"name": "€.txt"}),
        ("; name*1=b; name*0=a", {"name": "ab"}),
        ("; name=a.txt; name*=utf-8''b.txt", {"name": "b.txt"}),
        ("; name*=windows-1252'en'%80.txt", {"name": "€.txt"}),
        ("; charset=a; charset=b", {"charset": "a"}),
        (";;; ", {}),
        ("; nonsense; x=1", {"x": "1"}),
    ],
)
def test_parameters_are_read_leniently(text: str, wanted: dict[str, str]) -> None:
    assert parameters(text) == wanted


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("text/plain charset=utf-8", "text/plain"),
        ("TEXT/HTML; x", "text/html"),
        ("text", "text/plain"),
        ("", "text/plain"),
        ("text/html\r\n charset=utf-8", "text/html"),
        ('"text/html"; charset=utf-8', "text/html"),
        ("multipart; boundary=b", "multipart/mixed"),
        ("a/b/c", "a/b"),
        ("plain/text", "text/plain"),
        ("html/text; charset=utf-8", "text/html"),
        ("audio/x.y+z;q", "audio/x.y+z"),
        ("\x00/\x00", "text/plain"),
    ],
)
def test_a_type_is_a_name_that_is_safe_to_print(field: str, kind: str) -> None:
    assert parse(f"Content-Type: {field}\r\n\r\n".encode()).type == kind


MIXED = 'Content-Type: multipart/mixed; boundary="{}"\r\n\r\n'


@pytest.mark.parametrize(
    ("mail", "wanted"),
    [
        (MIXED.format("b") + f"pre\r\n--b\r\n{TEXT.format('1')}--b--\r\npost", ["1"]),
        (MIXED.format("b") + f"--b \t\r\n{TEXT.format('1')}--b-- \r\n", ["1"]),
        (MIXED.format("b") + f"--b\r\n{TEXT.format('1')}--b\r\n{TEXT.format('2')}", ["1", "2\r\n"]),
        (MIXED.format("b") + "--b\r\n\r\n1\r\n--b\r\n2: 3\r\n--b--", ["1", ""]),
        (MIXED.format("b") + "--b\r\n\r\n1\r\n--bb\r\n2\r\n--b--", ["1\r\n--bb\r\n2"]),
        (MIXED.format("a b") + "--a b\r\n\r\n1\r\n--a b--", ["1"]),
        (MIXED.format("a\r\n b") + "--a b\r\n\r\n1\r\n--a b--", ["1"]),
        # the inner one is not closed
        (
            MIXED.format("o") + "--o\r\n" + MIXED.format("i") + "--i\r\n\r\n1\r\n--o\r\n\r\n2\r\n"
            "--o--\r\n",
            ["1", "2"],
        ),
        # the inner one has the boundary of the outer one
        (
            MIXED.format("b") + "--b\r\n" + MIXED.format("b") + "--b\r\n\r\n1\r\n--b--\r\n--b\r\n"
            "\r\n2\r\n--b--\r\n",
            ["1", "2"],
        ),
        # no boundary, a wrong one, one that never comes
        (
            "Content-Type: multipart/mixed\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n1\r\n",
            ["1\r\n"],
        ),
        (MIXED.format("x") + "--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--", ["1"]),
        (MIXED.format("x") + "--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--\r\n", ["1", "2"]),
        (MIXED.format("x") + "words\r\n-- \r\nAnn\r\n", ["words\r\n-- \r\nAnn\r\n"]),
        (
            "Content-Transfer-Encoding: base64\r\n" + MIXED.format("b") + "LS1iDQoNCjENCi0tYi0t",
            ["1"],
        ),
        (MIXED.format("b").replace("\r\n", "\r") + "--b\r\r1\r--b--\r", ["1"]),
    ],
)
def test_the_parts_of_a_multipart_are_found(mail: str, wanted: list[str]) -> None:
    assert contents(mail) == wanted


def test_the_parts_of_a_digest_are_mails() -> None:
    mail = (
        "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\ny\r\n--b--"
    )
    [part] = parse(mail.encode()).leaves()
    assert (part.type, part.content()) == ("message/rfc822", b"Subject: x\r\n\r\ny")


words = st.text("abc -\n=é", max_size=30)


@given(st.recursive(words, lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=8))
def test_well_formed_mails_are_read_as_the_standard_library_reads_them(tree: object) -> None:
    def built(node: object, part: MIMEPart) -> MIMEPart:
        if isinstance(node, str):
            part.set_content(node, cte="8bit")
        else:
            assert isinstance(node, list)
            part.make_mixed()
            for inner in node:
                part.attach(built(inner, MIMEPart()))
        return part

    raw = built(tree, EmailMessage()).as_bytes(policy=email.policy.SMTP)
    known = [part for part in email.message_from_bytes(raw).walk() if not part.is_multipart()]
    found = list(parse(raw).leaves())
    assert [part.decoded() for part in found] == [part.get_payload(decode=True) for part in known]
    assert [part.type for part in found] == [part.get_content_type() for part in known]


@given(st.lists(st.sampled_from(["--b", "--c", "--", "\r\n", "x: ", 'boundary="c"', "\r\n\r\n"])))
def test_any_bytes_have_a_structure(pieces: list[str]) -> None:
    raw = (MIXED.format("b") + "".join(pieces)).encode()
    defects: list[str] = []
    for part in parse(raw, defects).leaves():
        assert 0 <= part.begin <= part.end <= len(part.raw)


NESTED = b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n"


def nested(size: int) -> bytes:
    return b"".join(NESTED % (number, number) for number in range(size // 60))


WORST: dict[str, Callable[[int], bytes]] = {
    "nested": nested,
    "parts": lambda size: MIXED.format("b").encode() + b"--b\r\n\r\n" * (size // 7),
    "lines": lambda size: MIXED.format("b").encode() + b"--b" + b"\r\n--c" * (size // 5),
    "quotes": lambda size: b"Content-Type: x/y; " + b'\\";' * (size // 3),
    "parameters": lambda size: b"Content-Type: x/y; " + b"a*1=b;" * (size // 6),
    "fields": lambda size: b"a:\n" * (size // 3) + b"\n",
    "junk": lambda size: b"Subject: x\n" + b"junk\nSubject: x\n" * (size // 16) + b"\n",
    "empty boundaries": lambda size: b"--b\n" * (size // 4),
    "guessed": lambda size: b"Content-Type: multipart/mixed\n\n" + b"--b\nx\n" * (size // 6),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_eight_times_the_input_takes_at_most_sixteen_times_as_long(name: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        raw = WORST[name](size)
        return lambda: [part.name() for part in parse(raw).leaves()]

    assert factor(prepared, 25_000) <= FACTOR_MOST


MANY = b"Content-Type: multipart/mixed; boundary=x\n\n"


def test_after_the_last_part_that_is_read_everything_belongs_to_it() -> None:
    defects: list[str] = []
    root = parse(MANY + b"--x\n\na\n" * 10_002 + b"--x--\n", defects)
    assert len(root.children) == PARTS
    assert root.children[-1].content() == b"a\n--x\n\na\n--x\n\na\n--x--\n"
    assert defects[0] == TOO_MANY


def test_the_headers_of_all_parts_have_one_limit() -> None:
    part = b"--x\nContent-Type: text/html\nX: " + b"x" * 200_000 + b"\n\nbody\n"
    defects: list[str] = []
    root = parse(MANY + part * 8 + b"--x--\n", defects)
    assert defects == [LONG_HEADERS]
    assert [child.type for child in root.children] == ["text/html"] * 5 + ["text/html"] + [
        "text/plain"
    ] * 2
    assert [child.content() for child in root.children] == [b"body"] * 8

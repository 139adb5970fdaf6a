"""SEARCH: reading programs, and what matches them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.grammar import BadCommand
from fakes.imap.search import Key, Search, find, read_search, write_result
from fakes.imap.subjects import Subject
from tests.imap_messages import Numbered, mailbox, message
from tests.imap_values import arguments

DAY = 86400
MESSAGES = [
    message(
        b"Subject: plain\r\nFrom: Ann <ann@x.test>\r\nDate: 2 Feb 2026 23:30 -0500\r\n\r\n"
        b"Hello World",
        1,
        "\\Seen",
        "\\Answered",
        at=20486 * DAY,
        modseq=5,
    ),
    message(
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nS8O2bG4=\r\n",
        2,
        "\\Recent",
        "$Junk",
        at=20486 * DAY - 1,
        modseq=9,
    ),
    message(b"X-Empty:\r\nTo: bob\r\nDate: ?\r\n\r\nsplit\r\nlines", 3, "\\Recent", "\\Seen"),
    message("Subject: raw ä\r\n\r\nbody ä".encode(), 4, "\\Deleted", "\\Draft", "\\Flagged"),
]


def search(text: str | bytes, messages: list[Numbered] = MESSAGES) -> list[int]:
    line = arguments(b" " + (text.encode() if isinstance(text, str) else text))
    return [found.number for found in find(read_search(line), messages)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ALL", [1, 2, 3, 4]),
        ("SEEN", [1, 3]),
        ("UNSEEN", [2, 4]),
        ("ANSWERED", [1]),
        ("UNANSWERED UNDELETED UNDRAFT UNFLAGGED", [2, 3]),
        ("DELETED DRAFT FLAGGED", [4]),
        ("NEW", [2]),
        ("OLD", [1, 4]),
        ("RECENT", [2, 3]),
        ("KEYWORD $junk", [2]),
        ("UNKEYWORD $JUNK", [1, 3, 4]),
        ("2:3", [2, 3]),
        ("*,1", [1, 4]),
        ("9:*", [4]),
        ("9", []),
        ("9:12", []),
        ("UID 10:29", [1, 2]),
        ("UID 99:*", [4]),
        ("LARGER 80", [1, 2]),
        ("SMALLER 24", []),
        ("MODSEQ 5", [1, 2]),
        ('MODSEQ "/flags/\\\\Seen" all 9', [2]),
        ("SUBJECT PLA", [1]),
        ('subject "grüße"', [2]),
        ("CHARSET utf-8 SUBJECT {7+}\r\nGRÜßE", [2]),
        ('BODY "köLN"', [2]),
        ('BODY "ä"', [4]),
        ("BODY plain", []),
        ("TEXT plain", [1, 2]),
        ('TEXT "subject: PLAIN"', [1]),
        ("FROM ann@X", [1]),
        ("TO bob", [3]),
        ("CC bob", []),
        ("BCC bob", []),
        ('HEADER x-empty ""', [3]),
        ('HEADER x-none ""', []),
        ("HEADER to bob", [3]),
        ('BODY ""', [1, 2, 3, 4]),
        ("BODY {6+}\r\nt\r\nlin", [3]),
        ("ON 2-Feb-2026", [1]),
        ("BEFORE 2-Feb-2026", [2, 3, 4]),
        ("SINCE 1-Feb-2026", [1, 2]),
        ("SENTON 2-Feb-2026", [1]),
        ("SENTSINCE 3-Feb-2026", []),
        ('SENTBEFORE "3-Feb-2026"', [1, 2, 3, 4]),
        ("SENTBEFORE 1-Jan-1990", [2, 3, 4]),
        ("NOT 1", [2, 3, 4]),
        ("NOT NOT 1", [1]),
        ("OR 1 2", [1, 2]),
        ("OR OR 1 2 OR 3 4", [1, 2, 3, 4]),
        ("OR NOT SEEN 1 NOT (2)", [1, 4]),
        ("(1:3 SEEN)", [1, 3]),
        ("((1) (OR 1 2)) SEEN", [1]),
        ("RETURN (COUNT) CHARSET US-ASCII ALL", [1, 2, 3, 4]),
    ],
)
def test_a_program_finds_messages(text: str, found: list[int]) -> None:
    assert search(text) == found


PIECES = [b"a", b"A", b"s", b" ", b"\r\n ", b"\r\n\t", b"=?utf-8?q?a_s?=", b"\xe4", b"\x0b", b"="]
PIECES += [letter.encode() for letter in "\u017f\u212a\u00df"]  # ASCII without case: s, k, ss


@given(
    st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join),
    st.lists(st.sampled_from(["a", "s", " ", "ss", "k", "ä", "\x0b", "="]), max_size=4).map(
        "".join
    ),
)
def test_no_field_is_passed_over_that_has_the_text(value: bytes, text: str) -> None:
    subject = message(b"Subject: " + value + b"\r\nTo: x\r\n\r\n", 1)
    matches = any(text in one for one in Subject(subject).header(b"subject"))
    found = find(Search(Key("HEADER", (b"subject", text))), [subject])
    assert bool(found) == matches


def test_an_empty_mailbox_has_nothing_to_find() -> None:
    assert search("OR * UID 1:*", []) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *("", "()", "OR 1", "NOT", "FOO", "0", "4294967296", "ALL ", "ALL  ALL", "(ALL", "ALL)"),
        *("SUBJECT", "SUBJECT ä", "HEADER a", "KEYWORD \\Seen", "UNRECENT", "LARGER -1", "ON x"),
        *("RETURN (FOO) ALL", "RETURN ALL", "CHARSET UTF-8 RETURN () ALL", "MODSEQ x", "UID"),
        *("(" * 33 + "ALL" + ")" * 33, 'MODSEQ "a" b 1', "$", "YOUNGER 1", "CHARSET"),
    ],
)
def test_other_programs_are_refused(text: str) -> None:
    with pytest.raises(BadCommand) as error:
        search(text)
    assert error.value.status == "BAD"


def test_other_charsets_are_not_known() -> None:
    with pytest.raises(BadCommand) as error:
        search("CHARSET latin-1 ALL")
    known = "BADCHARSET (US-ASCII UTF-8)"
    assert (error.value.status, error.value.code) == ("NO", known)  # RFC 3501 §6.4.4
    line = arguments(" CHARSET UTF-8 ALL")
    line.utf8 = True
    with pytest.raises(BadCommand, match="UTF8=ACCEPT"):
        read_search(line)  # RFC 6855 §3


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["OR ALL ", "NOT ", "OR OR ALL ALL ", "NOT NOT "])
def test_chains_may_be_long(unit: str) -> None:
    assert search(unit * 4000 + "SEEN") in ([1, 3], [1, 2, 3, 4])


def test_keys_are_not_nested_for_ever() -> None:
    with pytest.raises(BadCommand, match="nested too deeply"):
        search("OR NOT " * 400 + "1" + " 2" * 400)
    chain = read_search(arguments(" " + "OR 1 " * 50 + "2")).key
    assert (chain.name, len(chain.arguments), chain.depth) == ("OR", 51, 2)
    assert read_search(arguments(" NOT NOT ALL")).key == Key("ALL")


@pytest.mark.parametrize(
    ("text", "uid", "result"),
    [
        ("SEEN", False, "* SEARCH 1 3"),
        ("SEEN", True, "* SEARCH 10 30"),
        ("9", False, "* SEARCH"),
        ("MODSEQ 1 SEEN", False, "* SEARCH 1 3 (MODSEQ 5)"),
        ("MODSEQ 99", False, "* SEARCH"),
        ("RETURN () 2:4", False, '* ESEARCH (TAG "t") ALL 2:4'),
        (
            "RETURN (COUNT MIN MAX ALL) 1,3:4",
            True,
            '* ESEARCH (TAG "t") UID MIN 10 MAX 40 ALL 10,30,40 COUNT 3',
        ),
        ("RETURN (MIN COUNT ALL) 9", False, '* ESEARCH (TAG "t") COUNT 0'),
        ("RETURN (MIN) MODSEQ 1", False, '* ESEARCH (TAG "t") MIN 1 MODSEQ 5'),
        ("RETURN (COUNT) MODSEQ 1", False, '* ESEARCH (TAG "t") COUNT 4 MODSEQ 9'),
    ],
)
def test_a_result_is_written(text: str, uid: bool, result: str) -> None:
    program = read_search(arguments(" " + text))
    found = find(program, MESSAGES)
    assert write_result(program, found, b"t", uid=uid).decode() == result + "\r\n"


WORDS = "ALL OR NOT ( ) 1:* UID SEEN SUBJECT a BODY HEADER to ON 1-Feb-2026 KEYWORD".split()
OTHERS = ('"ä"', "RETURN (MIN)", "CHARSET UTF-8", "LARGER 1", "MODSEQ 1", "{1+}\r\nb")
KEYS = st.lists(st.sampled_from([*WORDS, *OTHERS]))


@pytest.mark.slow
@given(KEYS, st.lists(st.binary(), max_size=2))
def test_any_keys_find_something_or_are_refused(keys: list[str], raws: list[bytes]) -> None:
    text = " " + " ".join(keys).replace("( ", "(").replace(" )", ")")
    messages = mailbox(raws)
    try:
        program = read_search(arguments(text))
    except BadCommand as error:
        assert error.text.isprintable()
    else:
        assert {found.number for found in find(program, messages)} <= {1, 2}

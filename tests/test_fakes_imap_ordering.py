"""SORT and THREAD. Where no section is named, the values are those of Dovecot 2.3.19."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.ordering import base_subject, is_reply, sort, thread
from tests.imap_messages import mailbox, message


@pytest.mark.parametrize(
    ("subject", "base", "reply"),
    [
        ("one", "one", False),
        ("Re: One", "one", True),
        ("re [5] : FW: fwd: one", "one", True),
        ("[list] one", "one", False),
        ("[list] Re: [other] one (fwd) ", "one", True),
        ("[a][b] one", "one", False),
        ("[list]", "[list]", False),
        ("Re: [list]", "[list]", True),
        ("[Fwd: [Fwd: one]]", "one", True),
        ("=?utf-8?q?Re:_one?=", "one", True),
        ("Re:", "", True),
        ("regarding: one", "regarding: one", False),
        ("one (fwd) (fwd)", "one", True),
        ("", "", False),
    ],
)
def test_a_base_subject(subject: str, base: str, reply: bool) -> None:
    assert (base_subject(subject.encode()), is_reply(subject.encode())) == (base, reply)


MESSAGES = [
    message(b"Subject: b\r\nFrom: x@z\r\nDate: 3 Feb 2026 10:00 +0000\r\n\r\n", 1, at=5),
    message(b'Subject: Re: a\r\nFrom: "A" <Y@z>\r\nDate: 3 Feb 2026 10:30 +0100\r\n\r\n1', 2, at=4),
    message(b"Subject: [x]\r\nTo: x:;\r\nCc: a@b\r\n\r\n", 3, at=1770112000.0),
    message(b"Subject: A\r\nFrom: y@z\r\nDate: 2 Feb 2026 10:00 +0000\r\n\r\n", 4, at=3),
]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ([("SUBJECT", False)], [2, 4, 1, 3]),
        ([("SUBJECT", False), ("DATE", False)], [4, 2, 1, 3]),
        ([("SUBJECT", True)], [3, 1, 2, 4]),  # RFC 5256 §3: ties are not reversed
        ([("DATE", False)], [4, 2, 3, 1]),
        ([("ARRIVAL", False)], [4, 2, 1, 3]),
        ([("FROM", False)], [3, 1, 2, 4]),
        ([("TO", False)], [1, 2, 4, 3]),
        ([("CC", True)], [3, 1, 2, 4]),
        ([("SIZE", False)], [3, 1, 4, 2]),
    ],
)
def test_messages_are_sorted(keys: list[tuple[str, bool]], found: list[int]) -> None:
    assert [each.number for each in sort(MESSAGES, keys)] == found


def test_a_letter_is_sorted_before_its_accent() -> None:
    # RFC 5051 §2: compared decomposed, so that é is before f, however it is written.
    subjects = ["f", "\xe9b", "ea", "e\u0301a", "z"]
    found = sort(
        mailbox([f"Subject: {each}\r\n\r\n".encode() for each in subjects]), [("SUBJECT", False)]
    )
    assert [each.number for each in found] == [3, 4, 2, 1, 5]
    assert threads(["1 a - \xe9", "2 b - Re: e\u0301"]) == "(1 2)"


def threads(mails: list[str], algorithm: str = "REFERENCES") -> str:
    """Each mail is `day id references subject`; references are letters, or `-` for none."""
    raws = []
    for mail in mails:
        day, name, references, subject = mail.split(" ", 3)
        ids = " ".join(f"<{each}@x>" for each in references if each != "-")
        raws.append(
            f"Message-ID: <{name}@x>\r\nReferences: {ids}\r\nSubject: {subject}\r\n"
            f"Date: {day} Feb 2026 10:00 +0000\r\n\r\n".encode()
        )
    return thread(mailbox(raws), algorithm, uid=False).decode()


@pytest.mark.parametrize(
    ("mails", "found"),
    [
        (["1 a - one", "2 b a Re: one", "3 c ab Re: one"], "(1 2 3)"),
        (["1 a - one", "3 b a Re: one", "2 c a Re: one"], "(1 (3)(2))"),
        (["1 a - one", "2 b - two"], "(1)(2)"),
        (["2 a - one", "1 b - two"], "(2)(1)"),
        # the mail that both answer is not there
        (["1 a z Re: one", "2 b z Re: one"], "((1)(2))"),
        (["1 a z one"], "(1)"),
        # the same subject, and nothing else in common
        (["1 a - one", "2 b - Re: one"], "(1 2)"),
        (["1 a - one", "2 b - one"], "((1)(2))"),
        (["1 a - Re: one", "2 b - one"], "(2 1)"),
        (["1 a - ", "2 b - "], "(1)(2)"),
        # loops, an ID twice, an ID of its own
        (["1 a b one", "2 b a two"], "(2 1)"),
        (["1 a - one", "2 a a two"], "(1 2)"),
        (["1 a a one"], "(1)"),
        ([], ""),
    ],
)
def test_threads_by_references(mails: list[str], found: str) -> None:
    assert threads(mails) == found


def test_threads_by_subject() -> None:
    mails = ["3 a - two", "1 b a one", "2 c - Re: one", "4 d - ONE"]
    assert threads(mails, "ORDEREDSUBJECT") == "(2 (3)(4))(1)"
    assert thread(MESSAGES, "ORDEREDSUBJECT", uid=True) == b"(40 20)(30)(10)"


@pytest.mark.slow
def test_threads_may_be_deep() -> None:
    mails = [f"1 a{n} - s" for n in range(3)]
    assert threads(mails) == "((1)(2)(3))"
    raws = [b"Message-ID: <%d@x>\r\nIn-Reply-To: <%d@x>\r\n\r\n" % (n, n - 1) for n in range(3000)]
    written = thread(mailbox(raws), "REFERENCES", uid=False)
    assert written == b"(" + b" ".join(b"%d" % (n + 1) for n in range(3000)) + b")"


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from("123"),
            st.sampled_from("abcd"),
            st.text("abcdz", max_size=3),
            st.sampled_from(["one", "Re: one", "two", ""]),
        ).map(lambda mail: f"{mail[0]} {mail[1]} {mail[2] or '-'} {mail[3]}"),
        max_size=7,
    )
)
def test_each_message_is_in_one_thread(mails: list[str]) -> None:
    for algorithm in ("REFERENCES", "ORDEREDSUBJECT"):
        written = threads(mails, algorithm)
        numbers = written.replace("(", " ").replace(")", " ").split()
        assert sorted(map(int, numbers)) == list(range(1, len(mails) + 1))


@pytest.mark.slow
@given(st.text("[]() :reRE:fwd\t\r\nä=?utf-8?q?x?="))
def test_any_subject_has_a_base(subject: str) -> None:
    assert not base_subject(subject.encode()).startswith(("re:", " "))

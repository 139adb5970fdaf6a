"""A maildrop: unique ids, sizes, and the bytes that POP3 sends."""

from __future__ import annotations

import gc
from collections.abc import Collection

import pytest

from fakes.flags import SPARE
from fakes.mail import Envelope, Mail
from fakes.maildrop import Maildrop, Row

MAIL = Mail(b"", Envelope("", ()))


def row(raw: bytes) -> Row:
    return Row(1, b"", raw, MAIL)


@pytest.mark.parametrize(
    ("raw", "size", "stuffed"),
    [
        (b"", 0, b""),
        (b"ended\r\n", 7, b"ended\r\n"),
        (b"not ended", 11, b"not ended\r\n"),
        (b".dot\r\n", 6, b"..dot\r\n"),
        # A bare LF before a dot, or at the end, becomes CRLF, and only there.
        (b"one\n.\ntwo\r\n", 12, b"one\r\n..\ntwo\r\n"),
        (b"one\n.", 8, b"one\r\n..\r\n"),
        (b"\n.\n", 5, b"\r\n..\r\n"),
        (b"a\n\n..b\n.c\nd\r\n", 15, b"a\n\r\n...b\r\n..c\nd\r\n"),
        (b"a\r\n.\nb\n", 8, b"a\r\n..\nb\r\n"),
        (b"a\r.\rb\r\n", 7, b"a\r.\rb\r\n"),
        (b"bare\nline\nends\r\n", 16, b"bare\nline\nends\r\n"),
    ],
)
def test_the_size_counts_the_last_line_end_but_no_added_dots(
    raw: bytes, size: int, stuffed: bytes
) -> None:
    assert (row(raw).size, b"".join(row(raw).stuffed())) == (size, stuffed)


@pytest.mark.parametrize(
    ("raw", "international"),
    [
        (b"Subject: a\r\n\r\n\xc3\xa9", False),
        (b"Subject: a\n\n\xc3\xa9", False),
        ("Subject: é\r\n\r\n".encode(), True),
        (b"Subject: \xe9\r\n\r\n", False),
    ],
)
def test_only_a_header_in_utf_8_is_international(raw: bytes, international: bool) -> None:
    assert row(raw).international() is international


def test_unique_ids_go_on_after_a_removal() -> None:
    maildrop = Maildrop("alice@example.test")
    maildrop.append(b"", b"a\r\n", MAIL)
    maildrop.append(b"T: x\r\n", b"bc\r\n", MAIL)
    assert [row.unique_id for row in maildrop.rows] == ["00000001", "00000002"]
    assert maildrop.size == 13
    maildrop.clear()
    assert maildrop.size == 0
    maildrop.append(b"", b"d", MAIL)
    assert [row.unique_id for row in maildrop.rows] == ["00000003"]


@pytest.mark.parametrize("holder", [None, "a session"])
@pytest.mark.parametrize("gone", [{1}, {2, 3}, {3, 99}, set(range(1, 80)), set(range(1, 101))])
def test_removal_keeps_the_other_rows_and_the_sum(holder: object, gone: set[int]) -> None:
    maildrop = Maildrop("alice@example.test", holder=holder)
    for number in range(100):
        maildrop.append(b"", b"x" * number + b"\r\n", MAIL)
    seen, snapshot = maildrop.rows, list(maildrop.rows)
    maildrop.remove(gone)
    assert [row.uid for row in maildrop.rows] == [uid for uid in range(1, 101) if uid not in gone]
    assert maildrop.size == sum(row.size for row in maildrop.rows)
    if holder is not None:
        assert seen == snapshot, "what a session reads stays as it is"


@pytest.mark.parametrize("at", [0, 3, -1])
def test_mails_that_are_removed_one_by_one_are_not_kept_in_memory(at: int) -> None:
    maildrop = Maildrop("alice@example.test")
    mails = [Mail(b"%d" % number, Envelope("", ())) for number in range(150)]
    for mail in mails:
        maildrop.append(b"", mail.raw, mail)
    left = list(range(1, 151))
    while len(left) > 3:
        maildrop.remove({left.pop(at)})
        assert [row.uid for row in maildrop.rows] == left
    assert maildrop.size == sum(row.size for row in maildrop.rows)
    rows = [one for one in gc.get_referrers(*mails) if isinstance(one, Row)]
    assert sorted(row.uid for row in rows) == left


def test_repr_says_how_many_mails_there_are() -> None:
    maildrop = Maildrop("alice@example.test")
    assert repr(maildrop) == "<Maildrop alice@example.test 0 mails>"
    maildrop.append(b"", b"a", MAIL)
    assert repr(maildrop) == "<Maildrop alice@example.test 1 mail>"
    assert repr(maildrop.rows) == "[<Row 00000001 <Mail <> → : ''>>]"


class Listener:
    """A follower that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_arrival(self) -> None:
        self.told.append("arrival")

    def on_removal(self, uids: Collection[int]) -> None:
        self.told.append(("removal", sorted(uids)))

    def on_flags(self, uids: Collection[int], by: object) -> None:
        self.told.append(("flags", list(uids), by))

    def on_keywords(self) -> None:
        self.told.append("keywords")

    def on_end(self) -> None:
        self.told.append("end")


def with_mails(count: int) -> Maildrop:
    maildrop = Maildrop("alice@example.test")
    for number in range(count):
        maildrop.append(b"", b"%d\r\n" % number, MAIL)
    return maildrop


def test_followers_are_told_of_each_change_once() -> None:
    maildrop, listener = with_mails(3), Listener()
    maildrop.follow(listener)
    maildrop.append(b"", b"x\r\n", MAIL)
    maildrop.add([(b"", b"x", MAIL, ["\\Seen"]), (b"", b"y", MAIL, ["Work"])])
    maildrop.change([1, 2, 99], ["\\Seen"], "+", "a session")
    maildrop.change([1], ["\\Seen"], "+", "a session")
    maildrop.remove([2, 99])
    maildrop.remove([2])
    maildrop.clear()
    maildrop.end()
    maildrop.append(b"", b"x\r\n", MAIL)
    assert listener.told == [
        "arrival",
        "keywords",
        "arrival",
        ("flags", [1, 2], "a session"),
        ("removal", [2]),
        ("removal", [1, 3, 4, 5, 6]),
        "end",
    ]


@pytest.mark.parametrize("gone", [{1}, {2}, set(range(1, 90))])
def test_a_follower_keeps_the_mails_that_it_has_seen(gone: set[int]) -> None:
    maildrop, listener = with_mails(100), Listener()
    maildrop.follow(listener)
    seen, snapshot = maildrop.rows, list(maildrop.rows)
    maildrop.remove(gone)
    maildrop.append(b"", b"x\r\n", MAIL)
    assert seen == snapshot
    maildrop.unfollow(listener)
    assert [row.uid for row in maildrop.rows] == [uid for uid in range(1, 102) if uid not in gone]


def test_flags_belong_to_unique_ids_and_end_with_their_mails() -> None:
    maildrop = with_mails(3)
    assert (maildrop.unseen, maildrop.first_unseen()) == (3, 0)
    assert maildrop.change([2], ["\\Seen"], "-") == []
    maildrop.change([1, 3], ["\\SEEN"], "+")
    assert [maildrop.flags(uid) for uid in (1, 2, 3)] == [["\\Seen"], [], ["\\Seen"]]
    assert (maildrop.unseen, maildrop.first_unseen()) == (1, 1)
    maildrop.remove([1])
    assert (maildrop.unseen, set(maildrop.with_flag("\\Seen"))) == (1, {3})
    maildrop.clear()
    assert (maildrop.unseen, maildrop.first_unseen()) == (0, -1)


def test_modification_numbers_rise_with_arrivals_and_changes() -> None:
    maildrop = with_mails(2)
    assert [maildrop.modseq_of(1), maildrop.modseq_of(2), maildrop.modseq] == [2, 3, 3]
    maildrop.change([1], ["\\Seen"], "+")
    maildrop.append(b"", b"x\r\n", MAIL)
    assert [maildrop.modseq_of(uid) for uid in (1, 2, 3)] == [4, 3, 5]
    assert maildrop.copy().modseq == 5


@pytest.mark.parametrize("stays", [0, 1, 30])
def test_numbers_that_no_mail_needs_any_more_are_forgotten(stays: int) -> None:
    """A bot flags and removes each mail but the first ones."""
    maildrop = with_mails(stays)
    for number in range(500):
        maildrop.append(b"", b"x\r\n", MAIL)
        uid, before = maildrop.rows[-1].uid, maildrop.modseq
        assert maildrop.modseq_of(uid) == before
        maildrop.change([uid], ["\\Seen"], "+")
        assert maildrop.modseq_of(uid) == maildrop.modseq == before + 1
        if number % 50 != 25:
            maildrop.remove([uid])
    numbers = [maildrop.modseq_of(row.uid) for row in maildrop.rows]
    assert numbers[:stays] == list(range(2, stays + 2)) and numbers == sorted(set(numbers))
    flags = maildrop._flags
    assert flags is not None
    assert len(flags._offsets) <= 2 * len(maildrop.rows) + SPARE
    maildrop.clear()
    assert len(flags._offsets) <= SPARE


def test_the_first_mail_of_an_empty_folder_is_a_change() -> None:
    for flags in ([], ["Work"]):
        maildrop = Maildrop("a@b.c")
        maildrop.learn(flags)
        empty = maildrop.modseq
        maildrop.append(b"", b"x\r\n", MAIL)
        assert maildrop.modseq_of(1) == maildrop.modseq > empty > 0


def test_a_copy_has_the_flags_and_the_numbers() -> None:
    maildrop = with_mails(2)
    maildrop.uidvalidity, maildrop.recent_from = 5, 2
    maildrop.change([1], ["Work"], "+")
    copy = maildrop.copy()
    maildrop.change([1], ["Work"], "-")
    assert (copy.flags(1), copy.keywords, copy.uidvalidity) == (["Work"], ["Work"], 5)
    assert (copy.recent_from, copy.next_uid) == (2, 3)

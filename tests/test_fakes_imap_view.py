"""What a session knows of the mailbox that it has selected."""

from __future__ import annotations

from fakes.imap.view import View
from fakes.mail import Envelope, Mail
from fakes.maildrop import Maildrop

MAIL = Mail(b"x\r\n", Envelope("", ()))


def folder(count: int) -> Maildrop:
    maildrop = Maildrop("alice@example.test")
    for _ in range(count):
        maildrop.append(b"", MAIL.raw, MAIL)
    return maildrop


def view_of(maildrop: Maildrop, told: list[str] | None = None, read_only: bool = False) -> View:
    heard = told if told is not None else []
    return View(maildrop, read_only, lambda: heard.append("news"))


def news(view: View, removals: bool = True) -> list[bytes]:
    return list(view.news(removals=removals))


def test_a_mail_is_recent_in_the_first_view_that_is_told() -> None:
    maildrop = folder(2)
    first, second = view_of(maildrop), view_of(maildrop)
    assert (first.recent, second.recent) == (2, 0)
    maildrop.append(b"", MAIL.raw, MAIL)
    assert news(second) == [b"3 EXISTS", b"1 RECENT"]
    assert news(first) == [b"3 EXISTS", b"2 RECENT"]
    assert first.flags(1) == ["\\Recent"] and second.flags(1) == []
    maildrop.append(b"", MAIL.raw, MAIL)
    news(first)
    maildrop.append(b"", MAIL.raw, MAIL)
    news(first)
    assert (first.recent, second.is_recent(3), first.is_recent(3)) == (4, True, False)


def test_a_read_only_view_leaves_recent_mails() -> None:
    maildrop = folder(1)
    looking = view_of(maildrop, read_only=True)
    assert looking.recent == 1 and maildrop.recent == 1
    assert view_of(maildrop).recent == 1
    assert looking.recent == 0


def test_removals_wait_and_arrivals_wait_with_them() -> None:
    maildrop = folder(3)
    view = view_of(maildrop)
    maildrop.remove([2])
    maildrop.append(b"", MAIL.raw, MAIL)
    assert news(view, removals=False) == []
    assert [row.uid for row in view.rows] == [1, 2, 3]
    assert news(view) == [b"2 EXPUNGE", b"3 EXISTS", b"3 RECENT"]
    assert [view.number(uid) for uid in (1, 2, 3, 4)] == [1, 0, 2, 3]


def test_its_own_changes_are_no_news() -> None:
    maildrop = folder(1)
    told: list[str] = []
    view = view_of(maildrop, told)
    maildrop.change([1], ["\\Seen"], "+", view)
    assert told == [] and news(view) == []
    maildrop.change([1], ["\\Seen"], "-", "another session")
    view.told(1)
    assert told == ["news"] and news(view) == []


def test_a_view_that_left_is_told_nothing() -> None:
    maildrop = folder(1)
    told: list[str] = []
    view = view_of(maildrop, told)
    view.leave()
    maildrop.remove([1])
    assert told == [] and repr(view) == (
        "<View <Maildrop alice@example.test 0 mails> 1 told, 0 removed>"
    )


def test_a_folder_that_ends_ends_the_view() -> None:
    maildrop = folder(1)
    view = view_of(maildrop)
    maildrop.end()
    assert view.ended

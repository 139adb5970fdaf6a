"""The folders of an account: names, hierarchy, subscriptions, special uses."""

from __future__ import annotations

import itertools

import pytest

from fakes.folders import USES, FolderError, Folders
from fakes.mail import Envelope, Mail
from fakes.maildrop import Maildrop

MAIL = Mail(b"Subject: x\r\n\r\n", Envelope("", ()))


@pytest.fixture
def folders() -> Folders:
    numbers = itertools.count(1)
    return Folders(Maildrop("alice@example.test"), (), lambda: next(numbers))


def code_of(error: pytest.ExceptionInfo[FolderError]) -> str:
    return error.value.code


def test_an_account_has_the_usual_folders_and_is_subscribed_to_them() -> None:
    folders = Folders(Maildrop("alice@example.test"))
    assert list(folders) == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]
    assert list(folders.subscribed) == list(USES)
    assert folders.find("Trash").use == "\\Trash"


def test_inbox_is_one_folder_in_any_case(folders: Folders) -> None:
    assert folders.find("inBox") is folders.inbox
    folders.create("Inbox/Sub")
    assert list(folders) == ["INBOX", "INBOX/Sub"]
    assert folders.find("INBOX/Sub") is folders.find("inbox/Sub")


def test_superiors_are_names_only_until_they_are_created(folders: Folders) -> None:
    folders.create("a/b/c/")
    assert list(folders) == ["INBOX", "a", "a/b", "a/b/c"]
    assert folders.get("a/b") is None and folders.get("a/b/c") is not None
    assert folders.parents() == {"a", "a/b"}
    with pytest.raises(FolderError) as error:
        folders.find("a")
    assert code_of(error) == "CANNOT"
    folders.create("a")
    assert folders.get("a") is not None
    with pytest.raises(FolderError) as error:
        folders.create("a")
    assert code_of(error) == "ALREADYEXISTS"


@pytest.mark.parametrize("name", ["", "/", "/a", "a//b", "a/b//", "a" * 256, "a\nb", "a\x7f"])
def test_impossible_names_are_refused(folders: Folders, name: str) -> None:
    with pytest.raises(FolderError) as error:
        folders.create(name)
    assert code_of(error) == "CANNOT"
    assert list(folders) == ["INBOX"]


def test_a_special_use_is_that_of_one_folder(folders: Folders) -> None:
    folders.create("Bin", "\\Trash")
    with pytest.raises(FolderError) as error:
        folders.create("Other", "\\Trash")
    assert code_of(error) == "USEATTR"
    assert "Other" not in folders


def test_a_folder_with_others_below_it_stays_as_a_name(folders: Folders) -> None:
    folders.create("a")
    folders.create("a/b")
    folders.delete("a")
    assert list(folders) == ["INBOX", "a", "a/b"] and folders.get("a") is None
    with pytest.raises(FolderError) as error:
        folders.delete("a")
    assert code_of(error) == "HASCHILDREN"
    folders.delete("a/b")
    folders.delete("a")
    assert list(folders) == ["INBOX"]


def test_what_is_made_again_has_another_uidvalidity(folders: Folders) -> None:
    before = folders.create("a").uidvalidity
    folders.delete("a")
    assert folders.create("a").uidvalidity > before


@pytest.mark.parametrize(("name", "code"), [("inbox", "CANNOT"), ("none", "NONEXISTENT")])
def test_what_cannot_be_deleted(folders: Folders, name: str, code: str) -> None:
    with pytest.raises(FolderError) as error:
        folders.delete(name)
    assert code_of(error) == code


def test_renaming_takes_what_is_below_along_and_makes_superiors(folders: Folders) -> None:
    folder = folders.create("a")
    folders.create("a/b")
    folders.create("ab")
    folders.subscribe("a")
    folders.rename("a", "x/y")
    assert list(folders) == ["INBOX", "ab", "x", "x/y", "x/y/b"]
    assert folders.find("x/y") is folder
    assert list(folders.subscribed) == ["a"], "a subscription keeps the old name"


@pytest.mark.parametrize(
    ("name", "to", "code"),
    [
        ("a", "b", "ALREADYEXISTS"),
        ("a", "inbox", "ALREADYEXISTS"),
        ("a", "a/b", "CANNOT"),
        ("none", "c", "NONEXISTENT"),
        ("a", "c//d", "CANNOT"),
        ("a", "c" * 254, "CANNOT"),
    ],
)
def test_what_cannot_be_renamed_stays(folders: Folders, name: str, to: str, code: str) -> None:
    folders.create("a/child")
    folders.create("a")
    folders.create("b")
    with pytest.raises(FolderError) as error:
        folders.rename(name, to)
    assert code_of(error) == code
    assert list(folders) == ["INBOX", "a", "a/child", "b"]


def test_renaming_inbox_moves_its_mail_under_new_unique_ids(folders: Folders) -> None:
    inbox = folders.inbox
    for _ in range(3):
        inbox.append(b"", MAIL.raw, MAIL)
    inbox.remove([1])
    inbox.change([3], ["\\Seen", "Work"], "+")
    folders.create("INBOX/Sub")
    folders.rename("INBOX", "old")
    old = folders.find("old")
    assert [row.uid for row in old.rows] == [1, 2] and not inbox.rows
    assert (old.flags(1), old.flags(2)) == ([], ["\\Seen", "Work"])
    assert list(folders) == ["INBOX", "INBOX/Sub", "old"]
    assert inbox.next_uid == 4


def test_a_subscription_outlives_its_folder(folders: Folders) -> None:
    folders.create("a")
    folders.subscribe("a")
    folders.delete("a")
    assert list(folders.subscribed) == ["a"]
    folders.unsubscribe("a")
    folders.unsubscribe("a")
    with pytest.raises(FolderError):
        folders.subscribe("a")


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Folders:
    """Folders of an account that may make three besides those of the start."""
    monkeypatch.setattr("fakes.folders.FOLDERS", 3)
    return Folders(Maildrop("alice@example.test"), ["one", "two"])


def test_an_account_has_a_limit_of_folders(limited: Folders) -> None:
    limited.create("a/b")
    for change in (
        lambda: limited.create("c/d"),
        lambda: limited.rename("one", "c/d/one"),
        lambda: limited.rename("INBOX", "c/d"),
    ):
        with pytest.raises(FolderError) as error:
            change()
        assert (
            code_of(error) == "LIMIT" and str(error.value) == "An account has at most 5 mailboxes"
        )
    assert list(limited) == ["INBOX", "a", "a/b", "one", "two"]
    limited.rename("one", "c/one")
    limited.create("a")  # it is a name already
    with pytest.raises(FolderError) as error:
        limited.copy(limited.inbox.copy(), lambda: 1).create("d")
    limited.delete("two")
    limited.create("d")


def test_an_account_has_a_limit_of_subscriptions_which_outlive_their_folders(
    limited: Folders,
) -> None:
    for number in range(3):
        limited.create(f"{number}")
        limited.subscribe(f"{number}")
        limited.delete(f"{number}")
    limited.create("more")
    limited.subscribe("one")
    with pytest.raises(FolderError) as error:
        limited.subscribe("more")
    assert code_of(error) == "LIMIT" and list(limited.subscribed) == ["one", "two", "0", "1", "2"]
    limited.unsubscribe("0")
    limited.subscribe("more")


def test_a_copy_does_not_change_with_the_original(folders: Folders) -> None:
    folders.create("a/b").append(b"", MAIL.raw, MAIL)
    other = folders.copy(folders.inbox.copy(), lambda: 99)
    folders.delete("a/b")
    assert list(other) == ["INBOX", "a", "a/b"]
    assert (len(other.find("a/b").rows), other.size, folders.size) == (1, len(MAIL.raw), 0)
    assert repr(other) == "<Folders INBOX, a, a/b>"

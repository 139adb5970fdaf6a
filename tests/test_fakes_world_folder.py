"""Folders as a test sees and changes them, and what it may not do."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from fakes.world import World

ALICE = "alice@example.test"
MAIL = b"Subject: hi\r\n\r\nhello\r\n"


@pytest.fixture
def world() -> World:
    return World({"servers": []}, rehearsal=True)


def test_an_inbox_is_a_folder_with_flags(world: World) -> None:
    world.mail.deliver(ALICE, MAIL)
    inbox = world.mail.folder(ALICE)
    (mail,) = inbox.mails
    assert (mail.uid, mail.flags, mail.mail.subject) == (1, [], "hi")
    assert mail.raw == world.mail.inbox(ALICE)[0].raw
    inbox.flag(1, "\\Seen", "Work")
    inbox.unflag(1, "\\Seen")
    assert inbox.flags == {1: ["Work"]}
    assert repr(inbox) == "<WorldFolder INBOX 1 mail>"
    assert repr(next(iter(inbox))).startswith("<StoredMail 1 Work <Mail")


def test_what_is_put_into_a_folder_was_not_sent(world: World) -> None:
    work = world.mail.make_folder(ALICE, "Work")
    message = EmailMessage()
    message["Subject"] = "two"
    assert work.deliver(MAIL, flags=["\\Seen"], at=1_000_000_000.0) == 1
    assert work.deliver(message) == 2
    assert [(one.raw[:10], one.flags) for one in work] == [
        (b"Subject: h", ["\\Seen"]),
        (b"Subject: t", []),
    ]
    assert work.mails[0].at == 1_000_000_000.0
    assert not world.mail.messages
    work.remove(1)
    assert [one.uid for one in work] == [2]


def test_folders_are_made_renamed_deleted_and_subscribed_to(world: World) -> None:
    assert world.mail.folders(ALICE) == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]
    world.mail.make_folder(ALICE, "Work/Bills", "\\Flagged")
    world.mail.rename_folder(ALICE, "Work/Bills", "Bills")
    world.mail.delete_folder(ALICE, "Junk")
    assert world.mail.folders(ALICE)[-4:] == ["Drafts", "Sent", "Trash", "Work"]
    world.mail.subscribe(ALICE, "Bills")
    world.mail.unsubscribe(ALICE, "Sent")
    assert world.mail.subscribed(ALICE) == ["Archive", "Bills", "Drafts", "Junk", "Trash"]
    assert world.mail.idling(ALICE) == 0


def test_the_uidvalidity_of_a_folder_can_change(world: World) -> None:
    trash = world.mail.folder(ALICE, "Trash")
    trash.uidvalidity += 100
    assert world.mail.folder(ALICE, "Trash").uidvalidity == trash.uidvalidity > 100


def test_what_is_not_there_is_an_error_that_says_what_is(world: World) -> None:
    with pytest.raises(LookupError, match="has no folder 'trash'; it has INBOX, Archive"):
        world.mail.folder(ALICE, "trash")
    with pytest.raises(LookupError, match="unknown address nobody@example"):
        world.mail.folder("nobody@example.test")
    inbox = world.mail.folder(ALICE)
    with pytest.raises(LookupError, match="INBOX has no mail with the uid 7; it has: -"):
        inbox.flag(7, "\\Seen")
    with pytest.raises(LookupError, match="INBOX exists already"):
        world.mail.make_folder(ALICE, "inbox")


@pytest.mark.parametrize("flags", ["\\Seen", ["\\Recent"], ["\\Foo"], ["a b"], ["ö"], [""]])
def test_what_is_not_a_flag_is_not_sent_to_clients(world: World, flags: list[str]) -> None:
    inbox = world.mail.folder(ALICE)
    with pytest.raises(ValueError, match=r'is not possible; write \["\\\\Seen", "Work"\]'):
        inbox.deliver(MAIL, flags)
    inbox.deliver(MAIL)
    with pytest.raises(ValueError, match="flags: "):
        inbox.flag(1, "Work", flags[0])
    assert inbox.flags == {1: []}


def test_folders_and_flags_are_stored_and_restored(world: World) -> None:
    world.mail.make_folder(ALICE, "Work").deliver(MAIL, flags=["Todo"])
    other = World({"servers": []}, rehearsal=True)
    other.restore(world.stored)
    assert other.mail.folder(ALICE, "Work").flags == {1: ["Todo"]}


def test_what_the_mail_has_is_not_looked_for_beside_it(world: World) -> None:
    world.mail.deliver(ALICE, MAIL)
    (stored,) = world.mail.folder(ALICE).mails
    for name in ("subject", "envelope", "codes"):
        with pytest.raises(AttributeError, match=f"no '{name}'; write stored.mail.{name}"):
            getattr(stored, name)
    with pytest.raises(AttributeError, match="has no attribute 'flag'"):
        getattr(stored, "flag")  # noqa: B009

"""imaplib, IMAPClient, imap-tools and aioimaplib do real work on our IMAP server.

Nobody here wrote them.
"""

from __future__ import annotations

import asyncio
import imaplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage

import aioimaplib
import imap_tools
import imapclient
import pytest

from fakes.world import World

ALICE = "alice@example.test"
in_clear = pytest.mark.world(servers=["imap"], tls="off")
in_tls = pytest.mark.world(servers=["imap"])


def with_attachment() -> EmailMessage:
    """A message with an umlaut in the subject and an attachment."""
    message = EmailMessage()
    message["From"], message["To"] = "Bob <bob@example.org>", ALICE
    message["Subject"] = "Bestellung ä"
    message.set_content("Grüße\n.\n")
    message.add_attachment(b"%PDF\0", maintype="application", subtype="pdf", filename="a.pdf")
    return message


def fill(world: World, count: int = 3) -> None:
    for _ in range(count):
        world.mail.deliver(ALICE, with_attachment())


# ── imaplib ──────────────────────────────────────────────────────────────────


@pytest.fixture
def lib(world: World) -> Iterator[imaplib.IMAP4]:
    with imaplib.IMAP4(*world.address("imap"), timeout=5) as client:
        yield client


@in_clear
def test_imaplib_reads_flags_and_removes(world: World, lib: imaplib.IMAP4) -> None:
    fill(world)
    lib.login("alice", "secret")
    assert lib.select() == ("OK", [b"3"])
    assert lib.search(None, "UNSEEN", "SUBJECT", "Bestellung") == ("OK", [b"1 2 3"])
    status, found = lib.uid("FETCH", "2", "(UID RFC822.SIZE BODY.PEEK[])")
    assert status == "OK" and isinstance(found[0], tuple)
    assert found[0][1] == world.mail.inbox(ALICE)[1].raw
    assert lib.store("2", "+FLAGS", "\\Deleted")[1] == [b"2 (FLAGS (\\Deleted \\Recent))"]
    assert lib.expunge() == ("OK", [b"2"])
    assert lib.response("EXISTS")[1] == [b"3"], "from SELECT"
    assert lib.close()[0] == "OK"
    assert list(world.mail.folder(ALICE).flags) == [1, 3]


@in_clear
def test_imaplib_uses_mailboxes_and_appends(world: World, lib: imaplib.IMAP4) -> None:
    lib.login("alice", "secret")
    assert lib.create("Work")[0] == lib.subscribe("Work")[0] == "OK"
    assert lib.append("Work", "(\\Seen)", "", b"Subject: draft\r\n\r\nhi\r\n")[0] == "OK"
    assert lib.status("Work", "(MESSAGES UNSEEN)") == ("OK", [b'"Work" (MESSAGES 1 UNSEEN 0)'])
    assert lib.list('""', "W*")[1] == [b'(\\HasNoChildren) "/" "Work"']
    assert lib.lsub('""', "W*")[1] == [b'() "/" "Work"']
    assert lib.select("Work")[1] == [b"1"]
    assert lib.copy("1", "Trash")[0] == lib.unselect()[0] == "OK"
    assert lib.rename("Work", "Play")[0] == lib.delete("Play")[0] == "OK"
    assert lib.namespace()[1] == [b'(("" "/")) NIL NIL']
    assert lib.enable("UTF8=ACCEPT")[0] == "OK"
    assert len(world.mail.folder(ALICE, "Trash")) == 1
    with pytest.raises(imaplib.IMAP4.error, match="BAD"):
        lib.status("INBOX", "(BANANA)")


@in_clear
def test_imaplib_logs_in_with_a_challenge(world: World, lib: imaplib.IMAP4) -> None:
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        lib.login("alice", "wrong")
    assert lib.login_cram_md5("alice", "secret")[0] == "OK"


@in_tls
def test_imaplib_uses_both_kinds_of_tls(world: World) -> None:
    context = ssl.create_default_context(cafile=str(world.ca_file))
    with imaplib.IMAP4("localhost", world.address("imap")[1], timeout=5) as client:
        assert client.starttls(context)[0] == "OK"
        assert client.login("alice", "secret")[0] == "OK"
    port = world.address("imaps")[1]
    with imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=5) as client:
        assert "STARTTLS" not in client.capabilities
        assert client.login("alice", "secret")[0] == "OK"


# ── IMAPClient ───────────────────────────────────────────────────────────────


@in_clear
def test_imapclient_reads_moves_and_idles(world: World) -> None:
    fill(world)
    host, port = world.address("imap")
    with imapclient.IMAPClient(host, port=port, ssl=False, timeout=5) as client:
        client.login("alice", "secret")
        assert client.id_({"name": "test"}) == ((b"name", b"fakes"),)
        assert client.find_special_folder(b"\\Trash") == "Trash"
        selected = client.select_folder("INBOX")
        assert (selected[b"EXISTS"], selected[b"UIDNEXT"]) == (3, 4)
        assert client.search(["SUBJECT", "Bestellung ä"], charset="UTF-8") == [1, 2, 3]
        found = client.fetch([1], ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "INTERNALDATE"])[1]
        assert found[b"ENVELOPE"].from_[0].mailbox == b"bob"
        assert found[b"BODYSTRUCTURE"].is_multipart
        client.create_folder("Entwürfe/Alt")
        assert "Entwürfe/Alt" in {name for _, _, name in client.list_folders()}
        client.move([1], "Entwürfe/Alt")
        client.delete_messages([2])
        client.uid_expunge([2])
        assert client.search() == [3]
        client.idle()
        world.mail.deliver(ALICE, b"Subject: new\r\n\r\n")
        assert (2, b"EXISTS") in client.idle_check(timeout=5)
        client.idle_done()
        assert client.folder_status("INBOX", ["MESSAGES", "HIGHESTMODSEQ"])[b"MESSAGES"] == 2
    assert len(world.mail.folder(ALICE, "Entwürfe/Alt")) == 1


def idling(world: World) -> imapclient.IMAPClient:
    """Returns a client that waits for news of the INBOX."""
    host, port = world.address("imap")
    client = imapclient.IMAPClient(host, port=port, ssl=False, timeout=5)
    client.login("alice", "secret")
    client.select_folder("INBOX")
    client.idle()
    return client


@in_clear
def test_imapclient_is_told_when_the_server_ends_its_idle(world: World) -> None:
    client = idling(world)
    assert world.mail.end_idling(ALICE) == 1
    assert client.idle_check(timeout=5)[0][0] == b"BYE"
    assert world.mail.idling(ALICE) == 0
    client.shutdown()


@in_clear
def test_imapclient_is_told_at_once_when_its_unique_ids_become_invalid(world: World) -> None:
    client = idling(world)
    world.mail.folder(ALICE).uidvalidity += 1
    # RFC 3501 §2.3.1.1: they may not change during a session, so it has to end.
    assert client.idle_check(timeout=1)[0][0] == b"BYE"
    client.shutdown()


# ── imap-tools ───────────────────────────────────────────────────────────────


@in_clear
def test_imap_tools_reads_a_mail_with_its_attachment(world: World) -> None:
    fill(world)
    with imap_tools.MailBoxUnencrypted(*world.address("imap"), timeout=5).login(
        "alice", "secret"
    ) as box:
        mails = list(box.fetch(imap_tools.AND(seen=False, from_="bob@example.org")))
        assert [mail.subject for mail in mails] == ["Bestellung ä"] * 3
        assert [one.payload for one in mails[0].attachments] == [b"%PDF\0"]
        assert world.mail.folder(ALICE).flags[1] == ["\\Seen"]
        box.flag(["1"], [imap_tools.MailMessageFlags.FLAGGED], True)
        box.move(["1"], "Archive")
        box.copy(["2"], "Sent")
        box.delete(["2"])
        assert {folder.name for folder in box.folder.list()} == set(world.mail.folders(ALICE))
        assert box.folder.status("INBOX")["MESSAGES"] == 1
        box.append(mails[0], "Drafts", dt=None, flag_set=["\\Draft"])
    assert world.mail.folder(ALICE, "Archive").flags == {1: ["\\Flagged", "\\Seen"]}
    assert world.mail.folder(ALICE, "Drafts").flags == {1: ["\\Draft"]}


# ── aioimaplib ───────────────────────────────────────────────────────────────


async def test_aioimaplib_idles_while_mail_arrives() -> None:
    async with World({"servers": ["imap"], "tls": "off"}) as world:
        host, port = world.address("imap")
        client = aioimaplib.IMAP4(host, port, timeout=5)
        await client.wait_hello_from_server()
        assert (await client.login("alice", "secret")).result == "OK"
        assert (await client.select()).result == "OK"
        idle = await client.idle_start(timeout=5)
        world.mail.deliver(ALICE, with_attachment())
        assert b"1 EXISTS" in await client.wait_server_push(timeout=5)
        client.idle_done()
        await asyncio.wait_for(idle, 5)
        assert (await client.uid_search("ALL")).lines[0] == b"1"
        found = await client.uid("fetch", "1", "(BODY.PEEK[])")
        assert bytes(found.lines[1]) == world.mail.inbox(ALICE)[0].raw
        assert (await client.uid("store", "1", "+FLAGS", "(\\Deleted)")).result == "OK"
        assert (await client.expunge()).result == "OK"
        await client.logout()
        assert len(world.mail.folder(ALICE)) == 0

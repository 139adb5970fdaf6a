# apt-get install: curl getmail6 isync libsasl2-modules mutt nodejs tmux
# npm install --global: imapflow@2.10.2
"""IMAP clients written by others, with our server: curl, getmail, imapflow, mbsync and mutt.

Each of them fetches a mail with an attachment. What else it can do, it does, too: list and make
folders, append, search, set flags, copy, move, delete, and wait for mail (IDLE). imapflow needs
Node.js 20 or newer.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from fakes import World
from fakes.transcripts.recorder import render
from tests.real import (
    PATIENCE,
    Screen,
    folder,
    getmail_destination,
    need,
    need_npm,
    wait_until,
)

pytestmark = pytest.mark.real

ALICE = "alice@example.test"
PDF = b"%PDF-1.4\n\0\xff\r\n.\r\n" * 5
FOLDERS = ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]


@pytest.fixture
def fake() -> Iterator[World]:
    ports = {"imap": 0, "imaps": 0}
    with World({"servers": ["imap"], "tls": "optional"}, ports=ports) as world:
        for number in (1, 2, 3):
            world.mail.deliver(ALICE, with_attachment(f"Rechnung {number}: fällig"))
        yield world


def with_attachment(subject: str) -> EmailMessage:
    """A mail with an umlaut in its subject and in the name of its attachment."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Bob <bob@example.org>", ALICE, subject
    mail.set_content("Grüße\n.\n..\nFrom Bob\n")
    mail.add_attachment(PDF, maintype="application", subtype="pdf", filename="Größe.pdf")
    return mail


def attached(raw: bytes) -> bytes:
    """Returns the content of the one attachment of a mail."""
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    (part,) = mail.iter_attachments()
    assert part.get_filename() == "Größe.pdf"
    content = part.get_content()
    assert isinstance(content, bytes)
    return content


def environment(world: World, **more: str) -> dict[str, str]:
    """Returns the environment of a client whose home is the folder of the world."""
    home = {"HOME": str(world.folder), "TERM": "screen", "LC_ALL": "C.UTF-8"}
    return {**os.environ, **home, **more}


def run(world: World, *command: str, **account: Any) -> bytes:
    """Runs a command that must succeed, and returns its output."""
    env = environment(world)
    done: subprocess.CompletedProcess[bytes]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, env=env, **account)
    assert done.returncode == 0, f"{command}: {done}\n{render(world.recording)}"
    return done.stdout


@contextmanager
def started(
    world: World, *command: str, env: dict[str, str], **account: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a command that waits for mail, until the end of the block."""
    with (
        open(world.folder / "output", "wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=env, **account) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def output_of(world: World) -> str:
    """Returns what the command that `started` runs has written so far."""
    return (world.folder / "output").read_text()


def refusals(world: World) -> list[bytes]:
    """Returns the answers NO and BAD of the server in all sessions."""
    answers = [record.raw for record in world.records if record.direction == "S"]
    return [answer for answer in answers if re.match(rb"\S+ (NO|BAD)\b", answer)]


# ── curl ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mechanism", ["LOGIN", "PLAIN", "CRAM-MD5"])
@pytest.mark.parametrize("listener", ["imap", "imaps"])
def test_curl_logs_in_and_fetches(fake: World, listener: str, mechanism: str) -> None:
    curl = [*curl_of(fake), "--login-options", f"AUTH={mechanism}"]
    url = f"{listener}://localhost:{fake.address(listener)[1]}/INBOX"
    raw = fake.mail.inbox(ALICE)[1].raw
    fetched = run(fake, *curl, f"{url};UID=2")
    assert fetched == raw and attached(fetched) == PDF


def test_curl_lists_appends_searches_flags_moves_and_deletes(fake: World) -> None:
    url = f"imap://localhost:{fake.address('imap')[1]}/"
    curl = curl_of(fake)
    listed = run(fake, *curl, url)
    assert re.findall(r'"/" "?(\w+)"?', listed.decode()) == FOLDERS
    (fake.folder / "mail").write_bytes(b"Subject: draft\r\n\r\nhi\r\n")
    run(fake, *curl, f"{url}Drafts", "--upload-file", str(fake.folder / "mail"))
    assert [mail.raw for mail in fake.mail.folder(ALICE, "Drafts")] == [
        b"Subject: draft\r\n\r\nhi\r\n"
    ]
    assert b"STATUS" in run(fake, *curl, url, "--request", "STATUS Drafts (MESSAGES UNSEEN)")
    assert run(fake, *curl, f"{url}INBOX?SUBJECT%20Rechnung%20UNSEEN").split()[2:] == [
        b"1",
        b"2",
        b"3",
    ]
    part = run(fake, *curl, f"{url}INBOX;UID=1;SECTION=2.MIME")
    assert b"application/pdf" in part
    run(fake, *curl, f"{url}INBOX", "--request", "STORE 1 +FLAGS (\\Flagged)")
    run(fake, *curl, f"{url}INBOX", "--request", "UID COPY 1 Sent")
    run(fake, *curl, f"{url}INBOX", "--request", "UID MOVE 1 Archive")
    run(fake, *curl, f"{url}INBOX", "--request", "STORE 1 +FLAGS \\Deleted")
    run(fake, *curl, f"{url}INBOX", "--request", "EXPUNGE")
    assert list(fake.mail.folder(ALICE).flags) == [3]
    assert "\\Flagged" in fake.mail.folder(ALICE, "Archive").flags[1]
    assert refusals(fake) == []


def curl_of(world: World) -> list[str]:
    words = [need("curl", "curl"), "--silent", "--show-error", "--ssl-reqd", "--disable"]
    return [*words, "--cacert", str(world.ca_file), "--user", "alice:secret"]


# ── getmail ──────────────────────────────────────────────────────────────────

NOBODY: dict[str, Any] = {
    "user": "nobody",
    "group": "nogroup",
}  # getmail refuses to deliver mail as root


def test_getmail_lists_fetches_moves_waits_and_deletes(fake: World) -> None:
    fake.folder.chmod(0o755)
    with folder("nobody") as place:
        retriever = (
            "[retriever]\ntype = SimpleIMAPSSLRetriever\nserver = localhost\n"
            f"port = {fake.address('imaps')[1]}\nusername = alice\npassword = secret\n"
            f"ca_certs = {fake.ca_file}\n"
        )
        box = f"{getmail_destination(place)}[options]\ndelete = true\n"
        (place / "moves").write_text(f"{retriever}move_on_delete = Archive\n{box}")
        (place / "deletes").write_text(f"{retriever}mailboxes = ALL\n{box}")
        for path in place.iterdir():
            shutil.chown(path, **NOBODY)
        getmail = [need("getmail", "getmail6"), "--getmaildir", str(place), "--rcfile"]
        inbox, archive = fake.mail.folder(ALICE), fake.mail.folder(ALICE, "Archive")

        # News must not come before getmail waits, although the server has answered IDLE by then.
        # What arrives together with that answer is in the buffer of Python's imaplib, and getmail
        # only looks at the socket: it would do so for five minutes. It says when it waits.
        def has_waited(times: int) -> bool:
            return output_of(fake).count("Entering IDLE mode") == times

        command = [*getmail, str(place / "moves"), "--trace", "--idle", "INBOX"]
        with started(fake, *command, env=environment(fake), **NOBODY) as process:
            wait_until(lambda: has_waited(1), "getmail waits")
            assert (len(inbox), len(archive)) == (0, 3)
            fake.mail.deliver(ALICE, with_attachment("Rechnung 4"))
            wait_until(lambda: len(archive) == 4 and has_waited(2), "getmail waits again")
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0

        run(fake, *getmail, str(place / "deletes"), **NOBODY)
        assert (len(inbox), len(archive)) == (0, 0)
        mails = [path.read_bytes() for path in (place / "box").iterdir()]
        assert [attached(mail) for mail in mails] == [PDF] * 8
    assert refusals(fake) == []


# ── mbsync ───────────────────────────────────────────────────────────────────


def test_mbsync_keeps_folders_flags_and_deletions_the_same_on_both_sides(fake: World) -> None:
    config = fake.folder / "mbsyncrc"
    config.write_text(
        f"""
IMAPAccount fake
Host localhost
Port {fake.address("imap")[1]}
User alice
Pass secret
SSLType STARTTLS
CertificateFile {fake.ca_file}

IMAPStore far
Account fake

MaildirStore near
Path {fake.folder}/near/
Inbox {fake.folder}/near/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""
    )
    mbsync = [need("mbsync", "isync"), "--config", str(config), "--all"]
    near = fake.folder / "near"
    near.mkdir()
    inbox = fake.mail.folder(ALICE)

    def stored(name: str = "INBOX") -> list[Path]:
        return sorted([*(near / name / "cur").iterdir(), *(near / name / "new").iterdir()])

    run(fake, *mbsync)
    assert [attached(path.read_bytes()) for path in stored()] == [PDF] * 3
    assert sorted(path.name for path in near.iterdir()) == sorted(FOLDERS)

    # One mail is read and one removed here, one is flagged there; each side gets a new one.
    first, second, third = stored()
    first.rename(near / "INBOX" / "cur" / f"{first.name.partition(':')[0]}:2,S")
    second.unlink()
    uids = list(inbox.flags)
    inbox.flag(uids[2], "\\Flagged")
    inbox.deliver(with_attachment("from the server"))
    (near / "INBOX" / "new" / "draft").write_bytes(b"Subject: from here\n\nGr\xc3\xbc\xc3\x9fe\n")
    (near / "L&APY-cher").mkdir()
    for name in ("cur", "new", "tmp"):
        (near / "L&APY-cher" / name).mkdir()
    run(fake, *mbsync)
    assert [mail.flags for mail in inbox.mails][:2] == [["\\Seen"], ["\\Flagged"]]
    subjects = [mail.mail.subject for mail in inbox.mails]
    assert subjects[2:] == ["from the server", "from here"]
    assert len(stored()) == 4 and third not in stored()
    assert "Löcher" in fake.mail.folders(ALICE)

    inbox.remove(uids[0])
    run(fake, *mbsync)
    assert len(stored()) == 3
    assert refusals(fake) == []


# ── mutt ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def mutt(fake: World) -> Iterator[Screen]:
    port = fake.address("imap")[1]
    settings = {
        "folder": f"imap://alice@localhost:{port}/",
        "spoolfile": "+INBOX",
        "imap_pass": "secret",
        "ssl_ca_certificates_file": fake.ca_file,
        "ssl_force_tls": "yes",
        "imap_idle": "yes",
        "timeout": 1,
        "mail_check": 0,
        "move": "no",
        "resolve": "no",
        "delete": "yes",
        "confirmappend": "no",
        "wait_key": "no",
        "mark_old": "yes",
    }
    config = fake.folder / "muttrc"
    config.write_text("".join(f'set {key}="{value}"\n' for key, value in settings.items()))
    command = [need("mutt", "mutt"), "-n", "-F", str(config)]
    screen = Screen(fake.folder, command, environment(fake))
    yield screen
    screen.close()


def test_mutt_reads_saves_flags_moves_deletes_and_waits(fake: World, mutt: Screen) -> None:
    inbox = fake.mail.folder(ALICE)
    mutt.shows("Rechnung 3: fällig")
    mutt.presses("v", "j")  # the list of the parts, and the second of them
    mutt.shows("Größe.pdf")
    mutt.presses("s", "C-u")
    mutt.types(f"{fake.folder}/saved.pdf")
    mutt.shows("Attachment saved")
    assert (fake.folder / "saved.pdf").read_bytes() == PDF
    mutt.presses("q", "1")
    mutt.types("")
    mutt.presses("F", "s", "C-u")  # flag the first one, and move it
    mutt.types("=Archive")
    mutt.shows("1 +ND!")
    mutt.presses("2")
    mutt.types("")
    mutt.presses("d", "$")
    wait_until(lambda: len(inbox) == 1, "mutt has moved one mail, and deleted one")
    (moved,) = fake.mail.folder(ALICE, "Archive").mails
    assert attached(moved.raw) == PDF and "\\Flagged" in moved.flags

    mutt.presses("c", "?")
    mutt.shows("(?s)Archive.*Drafts.*Trash")
    mutt.presses("C")
    mutt.types("Löcher")
    mutt.shows("Mailbox created")
    assert "Löcher" in fake.mail.folders(ALICE)
    mutt.presses("q")

    wait_until(lambda: fake.mail.idling(ALICE), "mutt waits")
    fake.mail.deliver(ALICE, with_attachment("Rechnung 4"))
    mutt.shows("Rechnung 4")
    mutt.presses("q")
    assert refusals(fake) == []


# ── imapflow ─────────────────────────────────────────────────────────────────

IMAPFLOW = """
const { ImapFlow } = require("imapflow");
const fs = require("fs");
const [port, ca] = process.argv.slice(1);

async function main() {
    const client = new ImapFlow({
        host: "localhost",
        port: Number(port),
        secure: false,
        doSTARTTLS: true,
        tls: { ca: fs.readFileSync(ca) },
        auth: { user: "alice", pass: "secret" },
        logger: false,
    });
    const found = {};
    await client.connect();
    found.folders = (await client.list()).map((folder) => [folder.path, folder.specialUse]);
    found.status = await client.status("INBOX", { messages: true, unseen: true, uidNext: true });
    await client.mailboxCreate(["Löcher", "Käse"]);
    await client.mailboxRename("Löcher/Käse", "Brot");
    await client.mailboxSubscribe("Brot");

    const lock = await client.getMailboxLock("INBOX");
    const mail = await client.fetchOne("3", { source: true, envelope: true, bodyStructure: true });
    found.source = mail.source.toString("base64");
    found.subject = mail.envelope.subject;
    const part = mail.bodyStructure.childNodes[1];
    found.name = part.dispositionParameters.filename;
    const { content } = await client.download("3", part.part);
    const pieces = [];
    for await (const piece of content) pieces.push(piece);
    found.content = Buffer.concat(pieces).toString("base64");
    await client.append("Drafts", "Subject: Gr\\u00fc\\u00dfe\\r\\n\\r\\nhi\\r\\n", ["\\\\Draft"]);
    found.search = await client.search({ subject: "fällig", unseen: true }, { uid: true });
    await client.messageFlagsAdd("2", ["\\\\Flagged", "todo"]);
    const changed = { changedSince: mail.modseq };
    found.changed = (await client.fetchAll("1:*", { flags: true }, changed)).map((one) => one.uid);
    await client.messageCopy("2", "Brot");
    await client.messageMove("2", "Archive");
    await client.messageDelete("2");

    // imapflow waits for news when nothing else is asked of it.
    const news = new Promise((resolve) => client.once("exists", resolve));
    client.idle();
    found.count = (await news).count;
    await client.messageFlagsAdd({ subject: "new" }, ["\\\\Seen"]);
    lock.release();
    found.quota = await client.getQuota("INBOX");
    await client.mailboxDelete("Löcher");
    await client.logout();
    console.log(JSON.stringify(found));
}

main().catch((error) => { console.error(error); process.exit(1); });
"""


def test_imapflow_lists_reads_appends_searches_flags_moves_deletes_and_waits(fake: World) -> None:
    options = [str(fake.address("imap")[1]), str(fake.ca_file)]
    inbox = fake.mail.folder(ALICE)
    first, _, third = inbox.mails
    command = [need("node", "nodejs"), "-e", IMAPFLOW, *options]
    with started(fake, *command, env=environment(fake, NODE_PATH=need_npm("imapflow"))) as process:
        wait_until(lambda: fake.mail.idling(ALICE), "imapflow waits")
        fake.mail.deliver(ALICE, b"Subject: new\r\n\r\nhi\r\n")
        assert process.wait(PATIENCE) == 0, output_of(fake)
    found = json.loads(output_of(fake).splitlines()[-1])
    assert [name for name, _ in found["folders"]][1:] == [
        "Sent",
        "Drafts",
        "Archive",
        "Junk",
        "Trash",
    ]
    assert all(use == f"\\{name}" for name, use in found["folders"][1:])
    assert (found["status"]["messages"], found["status"]["unseen"]) == (3, 3)
    assert base64.b64decode(found["source"]) == third.raw
    assert (found["subject"], found["name"]) == ("Rechnung 3: fällig", "Größe.pdf")
    assert base64.b64decode(found["content"]) == PDF
    assert (found["search"], found["changed"], found["count"]) == ([1, 2, 3], [2], 2)
    assert list(inbox.flags.items()) == [(first.uid, []), (4, ["\\Seen"])]
    (moved,) = fake.mail.folder(ALICE, "Archive").mails
    (copied,) = fake.mail.folder(ALICE, "Brot").mails
    assert sorted(moved.flags) == sorted(copied.flags) == ["\\Flagged", "todo"]
    assert fake.mail.folder(ALICE, "Drafts").mails[0].mail.subject == "Grüße"
    assert set(fake.mail.folders(ALICE)) == {*FOLDERS, "Brot"}
    assert refusals(fake) == []

# apt-get install: postfix dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd
# apt-get install: mariadb-server mariadb-client swaks curl fetchmail mpop getmail6
"""Receiving mail: our programs with real servers, and clients written by others with our fake.

Postfix, Dovecot and MariaDB need root.
"""

from __future__ import annotations

import contextlib
import email
import imaplib
import os
import pwd
import re
import signal
import smtplib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from comms.clock import Clock, RealClock
from comms.errors import Refused
from comms.host import RealHost
from comms.imap import Mailbox as ImapMailbox
from comms.mailbox import Mailbox, open_mailbox
from comms.settings import Server
from fakes.transcripts.recorder import render
from fakes.world import World
from tests.real import (
    Authority,
    Mailboxes,
    MariaDb,
    dovecot_mail,
    folder,
    getmail_destination,
    mariadb,
    need,
    postfix,
    wait_until,
)

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
INBOX = "cly6ruct1yit2d@yourco.test"
MYSQL, TICKETS = "mysql@yourco.test", "tickets@yourco.test"
JEREMY, GONE = "jeremy@yourco.test", "gone@yourco.test"
USERS = {MYSQL: "my secret", TICKETS: "tickets' secret", JEREMY: "jeremy's secret"}


@dataclass
class Town:
    """A Postfix that delivers its mail to a Dovecot."""

    protocol: str  # over which maildrops are read
    smtp: int
    boxes: Mailboxes
    authority: Authority

    def submit(self, sender: str, to: str, raw: bytes) -> None:
        """Sends a mail to Postfix, by smtplib."""
        with smtplib.SMTP("localhost", self.smtp, "phone.test") as client:
            client.sendmail(sender, [to], raw)

    def inbox(self, user: str) -> list[bytes]:
        """Returns the mails in a maildrop, oldest first."""
        clock = RealClock()
        try:
            with self.opened(user, clock) as mailbox:
                return [mailbox.fetch(entry) for entry in mailbox.entries()]
        finally:
            clock.close()

    def opened(self, user: str, clock: Clock, **other: object) -> Mailbox:
        """Opens a maildrop."""
        keys: dict[str, Any] = {
            "port": self.port,
            "tls": "starttls",
            "ca_file": self.authority.ca_file,
            "user": user,
            "password": USERS[user],
        }
        return open_mailbox(Server(self.protocol, "localhost", **(keys | other)), clock, RealHost())

    @property
    def port(self) -> int:
        """Where maildrops are read, with STARTTLS."""
        return self.boxes.imap if self.protocol == "imap" else self.boxes.pop3

    def site(self, place: Path, user: str, table: str) -> Path:
        """Writes the settings of a program with this account and this table."""
        (place / "password").write_text(USERS[user])
        (place / "password").chmod(0o600)
        common = f'host = "localhost"\nca_file = "{self.authority.ca_file}"\ntimeout = 20\n'
        servers = (
            f"[smtp]\n{common}port = {self.smtp}\n"
            f"[{self.protocol}]\n{common}port = {self.port}\n"
            f'user = "{user}"\npassword_file = "password"\n'
        )
        path = place / "site.toml"
        path.write_text(servers + table)
        return path


@pytest.fixture(params=["pop3", "imap"])
def town(request: pytest.FixtureRequest) -> Iterator[Town]:
    with folder() as place:
        authority = Authority(place)
        with dovecot_mail(USERS, authority, {INBOX: MYSQL}) as boxes:
            # Postfix accepts mail for GONE, but Dovecot does not know it, so that mail bounces.
            known = [*USERS, INBOX, GONE]
            by = "lmtp:inet:127.0.0.1:"
            with postfix(known, boxes.lmtp, by=by) as (server, postfix_authority, _):
                both = authority.ca_file.read_text() + postfix_authority.ca_file.read_text()
                authority.ca_file.write_text(both)
                yield Town(request.param, server.port, boxes, authority)


PATIENCE = 60.0  # seconds until a program that does not say what is expected is killed


class Program:
    """A scenario that runs live, in a process. Its log is read line by line."""

    def __init__(self, name: str, site: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scenarios", "run", name, "--live", str(site)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = ""

    def until(self, words: str) -> str:
        """Reads the log up to the line that contains these words, and returns what it read."""
        assert self.process.stderr is not None
        read = ""
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        try:
            for line in self.process.stderr:
                read += line
                if words in line:
                    self.log += read
                    return read
        finally:
            timer.cancel()
        raise AssertionError(f"the program ended without saying {words!r}: {self.log}{read}")

    def end(self) -> int:
        """Sends SIGTERM, and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        _, rest = self.process.communicate(timeout=60)
        self.log += rest
        return self.process.returncode


@contextlib.contextmanager
def live(name: str, site: Path) -> Iterator[Program]:
    program = Program(name, site)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate()


# ── MySQL by mail: a mail restarts a real mariadbd ───────────────────────────


def request(number: int, sender: str = JEREMY, body: str = "now, please") -> bytes:
    """Returns a mail that asks for a restart."""
    header = (
        f"From: Jeremy <{sender}>\r\nTo: <{INBOX}>\r\nSubject: Restart MySQL\r\n"
        f"Message-ID: <{number}@phone.test>\r\n"
    )
    return f"{header}\r\n{body}\r\n".encode()


def mysql_site(town: Town, place: Path, db: MariaDb, admins: list[str]) -> Path:
    table = (
        f'[scenario.mysql-by-mail]\ninbox = "{INBOX}"\nadmins = {admins}\n'
        # Over IMAP, Dovecot tells when mail arrives.
        f'sender = "MySQL <{MYSQL}>"\npoll = {600 if town.protocol == "imap" else 0.2}\n'
        f'restart = ["{db.restart[0]}"]\nstate = "ops.sqlite3"\nagain = 0\n'
        f'returns = "mysql+*@yourco.test"\nowner = "{JEREMY}"\n'
    )
    return town.site(place, MYSQL, table)


def test_mails_sent_by_curl_and_swaks_restart_mariadb_once_each(town: Town, tmp_path: Path) -> None:
    with (
        mariadb() as db,
        live("mysql-by-mail", mysql_site(town, tmp_path, db, [JEREMY])) as program,
    ):
        before = db.pid
        (tmp_path / "mail").write_bytes(request(1))
        run(
            need("curl", "curl"),
            "--silent",
            "--show-error",
            "--ssl-reqd",
            "--cacert",
            str(town.authority.ca_file),
            f"smtp://localhost:{town.smtp}/phone.test",
            "--mail-from",
            JEREMY,
            "--mail-rcpt",
            INBOX,
            "--upload-file",
            str(tmp_path / "mail"),
        )
        log = program.until("mail-sent")
        assert "status=done" in log
        assert db.pid != before
        assert (db.restarts, db.ask("SELECT 1")) == (1, "1")
        before = db.pid
        server = [
            "--server",
            "127.0.0.1",
            "--port",
            str(town.smtp),
            "--tls",
            "--ehlo",
            "phone.test",
        ]
        envelope = ["--from", JEREMY, "--to", INBOX]
        header = ["--h-From", f"Jeremy <{JEREMY}>", "--h-Subject", "restart mysql"]
        run(need("swaks", "swaks"), *server, *envelope, *header, "--body", "again")
        program.until("mail-sent")
        assert db.pid != before
        assert (db.restarts, db.ask("SELECT 1")) == (2, "1")
        assert program.end() == 0
        receipts = [email.message_from_bytes(raw) for raw in wait_for_mails(town, JEREMY, 2)]
        assert receipts[0]["In-Reply-To"] == "<1@phone.test>"
        assert receipts[0]["Subject"] == "Re: Restart MySQL"
        assert "mysqld is alive" in receipts[0].get_payload()
        for receipt in receipts:
            assert receipt["Auto-Submitted"] == "auto-replied"
            assert INBOX not in str(receipt)
        assert town.inbox(MYSQL) == []


def test_mails_that_are_not_commands_do_nothing_and_are_logged(town: Town, tmp_path: Path) -> None:
    eve = "eve@evil.example"
    quoted = f"> From: Jeremy <{JEREMY}>\r\n> Subject: Restart MySQL"
    forged_trace = f"X-Original-To: {INBOX}\r\nDelivered-To: {INBOX}\r\n".encode()
    second_sender = f"From: {JEREMY}\r\n".encode()
    rows = (
        ("a stranger", eve, INBOX, request(1, "jeremy@evil.example")),
        ("wrong inbox", JEREMY, MYSQL, request(2)),
        ("wrong inbox", JEREMY, MYSQL, forged_trace + request(3)),
        ("a stranger", eve, INBOX, request(4, eve, body=quoted)),
        ("not one sender", eve, INBOX, second_sender + request(5, eve)),
        ("automatic", "", INBOX, request(6)),
    )
    with (
        mariadb() as db,
        live("mysql-by-mail", mysql_site(town, tmp_path, db, [JEREMY, GONE])) as program,
    ):
        before = db.pid
        for reason, sender, to, raw in rows:
            town.submit(sender, to, raw)
            assert reason in program.until("refused")
        assert (db.pid, db.restarts) == (before, 0)

        # The receipt for this administrator bounces, because the mailbox is gone. The bounce comes
        # back to the program and must not be taken for a command.
        town.submit(GONE, INBOX, request(7, GONE))
        program.until("mail-sent")
        assert db.restarts == 1
        log = program.until("refused")
        # Dovecot says 550 5.1.1, and Postfix reports it to the return path of this receipt.
        assert f"unreachable who={GONE} kind=hard" in log
        assert "automatic" in log
        assert (db.restarts, db.ask("SELECT 1")) == (1, "1")
        assert program.end() == 0
        assert len(list((tmp_path / "ops.refused").glob("*.eml"))) == len(rows) + 1
        warnings = [email.message_from_bytes(raw) for raw in wait_for_mails(town, JEREMY, 2)]
        assert [str(mail["Subject"]).partition(" on ")[0] for mail in warnings] == [
            "Commands were refused",
            f"Receipts do not reach {GONE}",
        ]
        assert town.inbox(MYSQL) == []
        assert INBOX not in program.log


def wait_for_mails(town: Town, user: str, count: int) -> list[bytes]:
    """Waits until a maildrop holds this many mails, and returns them. Postfix takes its time."""
    wait_until(lambda: len(town.inbox(user)) >= count, f"{count} mails for {user}")
    return town.inbox(user)


# ── tickets ──────────────────────────────────────────────────────────────────


def test_mail_becomes_one_ticket_with_one_answer_and_a_reply_becomes_a_response(
    town: Town, tmp_path: Path
) -> None:
    table = f'[scenario.tickets]\npoll = 0.2\nsender = "Tickets <{TICKETS}>"\n'
    with live("tickets", town.site(tmp_path, TICKETS, table)) as program:
        head = f"From: Jeremy <{JEREMY}>\r\nTo: {TICKETS}\r\n"
        opening = (
            # With a Date: Postfix would add a new one each time, and then it is another mail.
            f"{head}Date: Mon, 5 Jan 2026 12:00:00 +0000\r\nSubject: Caf\u00e9 closed?\r\n"
            "Message-ID: <1@phone.test>\r\n\r\nIs it?\r\n"
        ).encode()
        town.submit(JEREMY, TICKETS, opening)
        program.until("answer-sent")
        (answer,) = (email.message_from_bytes(raw) for raw in wait_for_mails(town, JEREMY, 1))
        assert answer["In-Reply-To"] == "<1@phone.test>"
        assert answer["Return-Path"] == "<>"
        reply = (
            f"{head}Subject: Re: {answer['Subject']}\r\nIn-Reply-To: {answer['Message-ID']}\r\n"
            "Message-ID: <2@phone.test>\r\n\r\n"
            "It is.\r\n\r\nTickets wrote:\r\n> A new ticket\r\n"
        )
        unfolded = re.sub(r"\r\n[ \t]+", " ", reply)
        town.submit(JEREMY, TICKETS, unfolded.encode())
        program.until("response")
        town.submit(JEREMY, TICKETS, opening)  # the same mail again
        program.until("known")
        assert program.end() == 0
        with contextlib.closing(sqlite3.connect(tmp_path / "tickets.sqlite3")) as db:
            tickets = db.execute("SELECT owner, subject, text FROM ticket").fetchall()
            responses = db.execute("SELECT ticket_id, said FROM response").fetchall()
        assert tickets == [(JEREMY, "Café closed?", "Is it?\n")]
        assert responses == [(1, "It is.\n")]
        assert len(town.inbox(JEREMY)) == 1
        assert town.inbox(TICKETS) == []


# ── the autoresponder ────────────────────────────────────────────────────────


@pytest.mark.parametrize("town", ["imap"], indirect=True)
def test_two_autoresponders_answer_a_mail_of_each_other_once_and_fall_silent(
    town: Town, tmp_path: Path
) -> None:
    """A service and a person who is away; each writes to the address of the other one."""
    (tmp_path / "text").write_text("Thank you.\n")
    tables = {
        TICKETS: f'[scenario.autoresponder]\nanswers = {{ "{TICKETS}" = "../text" }}\n',
        JEREMY: f'[scenario.autoresponder]\naway = {{ "{JEREMY}" = "../text" }}\n',
    }
    with contextlib.ExitStack() as stack:
        programs = {}
        for user, table in tables.items():
            place = tmp_path / user
            place.mkdir()
            site = town.site(place, user, f"{table}poll = 0.2\n")
            programs[user] = stack.enter_context(live("autoresponder", site))
        for sender, to in ((JEREMY, TICKETS), (TICKETS, JEREMY)):
            head = f"From: {sender}\r\nTo: {to}\r\nSubject: Hello\r\nMessage-ID: <{to}>\r\n"
            town.submit(sender, to, f"{head}\r\nHello.\r\n".encode())
            programs[to].until(f"answer-sent to={sender}")
            log = programs[sender].until("silent")
            assert f"silent who={to} address={sender}" in log and "sender is null" in log
        assert [program.end() for program in programs.values()] == [0, 0]
        logs = [program.log for program in programs.values()]
        assert [log.count("answer-sent") for log in logs] == [1, 1]
        assert town.inbox(TICKETS) == town.inbox(JEREMY) == []


# ── our client with Dovecot ──────────────────────────────────────────────────


WAYS = [("pop3", auth) for auth in ("auto", "user", "plain", "apop")]
WAYS += [("imap", auth) for auth in ("auto", "plain", "login", "cram-md5")]


@pytest.mark.parametrize(("town", "auth"), WAYS, indirect=["town"])
def test_client_fetches_mail_from_dovecot_by_each_mechanism(town: Town, auth: str) -> None:
    body = b"\r\n.dot\r\n..two\r\n" + b"x" * 5000 + b"\r\n"
    with smtplib.LMTP("127.0.0.1", town.boxes.lmtp) as lmtp:
        lmtp.sendmail(JEREMY, [INBOX], b"Subject: one\r\n" + body)
        lmtp.sendmail(JEREMY, [INBOX], b"Subject: two\r\n" + body)
    clock = RealClock()
    implicit = town.boxes.imaps if town.protocol == "imap" else town.boxes.pop3s
    for other in ({}, {"tls": "implicit", "port": implicit}, {"tls": "none"}):
        with town.opened(MYSQL, clock, auth=auth, **other) as mailbox:
            first, second = mailbox.entries()
            assert first.id != second.id
            assert mailbox.count()[0] == 2
            for entry in (first, second):
                raw = mailbox.fetch(entry)
                assert len(raw) == entry.size
                assert raw.startswith(mailbox.header(entry))
                assert raw.endswith(body)
    with town.opened(MYSQL, clock, auth=auth) as mailbox:
        assert mailbox.unseen() == 2, "fetched mails are as unread as before"
        mailbox.delete(mailbox.entries()[0])
    with town.opened(MYSQL, clock, auth=auth) as mailbox:
        assert [entry.id for entry in mailbox.entries()] == [second.id]
    with pytest.raises(Refused, match="Authentication failed"):
        town.opened(MYSQL, clock, auth=auth, password="wrong")
    clock.close()


def test_inbox_count_ends_with_the_exit_code_that_tells_what_dovecot_answered(
    town: Town, tmp_path: Path
) -> None:
    site = town.site(tmp_path, JEREMY, "")

    def count() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scenarios", "run", "inbox-count", "--live", str(site)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    done = count()
    assert (done.returncode, done.stdout) == (0, "You don't have any email!\n"), done.stderr
    (tmp_path / "password").write_text("wrong")
    done = count()
    assert done.returncode == 4
    assert "Authentication failed" in done.stderr
    assert "wrong" not in done.stderr
    site.write_text(site.read_text().replace(f"port = {town.port}", "port = 1"))
    done = count()
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr


@pytest.mark.parametrize("town", ["imap"], indirect=True)
def test_only_our_own_mails_are_removed_and_only_when_nothing_is_in_doubt(town: Town) -> None:
    with smtplib.LMTP("127.0.0.1", town.boxes.lmtp) as lmtp:
        for number in range(5):
            lmtp.sendmail(JEREMY, [INBOX], f"Subject: {number}\r\n\r\nhello\r\n".encode())
    clock = RealClock()
    person = imaplib.IMAP4("localhost", town.boxes.imap)
    person.login(MYSQL, USERS[MYSQL])
    person.select()
    person.store("2", "+FLAGS", r"(\Deleted)")  # by a mail program, which has not removed it
    with town.opened(MYSQL, clock) as mailbox:
        first, third, fourth, _ = mailbox.entries()
        mailbox.delete(first)
        person.store("4", "+FLAGS", r"(\Deleted)")
        person.expunge()  # the second and the fourth
        with pytest.raises(Refused, match="is gone"):
            mailbox.fetch(fourth)
        mailbox.delete(fourth)
        assert mailbox.fetch(third).endswith(b"\r\n\r\nhello\r\n")
    with town.opened(MYSQL, clock) as mailbox:
        assert isinstance(mailbox, ImapMailbox)
        third, fifth = mailbox.entries()
        # The session is cut between the mark and the removal.
        mailbox._on_sets({third.number}, "STORE", "+FLAGS.SILENT", r"(\Deleted comms-handled)")
        mailbox._link.abort()
        mailbox._in_step = False
    with town.opened(MYSQL, clock) as mailbox:
        assert mailbox.entries() == [third, fifth], "it comes again, as over POP3"
        mailbox.delete(third)
    with town.opened(MYSQL, clock) as mailbox:
        assert mailbox.entries() == [fifth]
        person.create("Archive")
    with town.opened(MYSQL, clock, trash="Archive") as mailbox:
        mailbox.delete(fifth)
    with town.opened(MYSQL, clock, folder="Archive") as mailbox:
        assert mailbox.count() == (1, fifth.size)
    with pytest.raises(Refused, match="refused the folder Wörk"):
        town.opened(MYSQL, clock, folder="Wörk")
    person.logout()
    clock.close()


# ── clients written by others, with our fake ─────────────────────────────────

ALICE = "alice@example.test"
MAIL = (
    "From: carol@example.org\r\nSubject: {0}\r\nMessage-ID: <{0}@example.org>\r\n\r\n"
    ".dot\r\n..two\r\nend\r\n"
)


@pytest.fixture
def fake() -> Iterator[World]:
    with World({"servers": ["pop3"], "tls": "optional"}, ports={"pop3": 0, "pop3s": 0}) as world:
        for subject in ("one", "two"):
            world.mail.deliver(ALICE, MAIL.format(subject).encode())
        yield world


def run(*command: str, user: str | None = None, group: str | None = None) -> str:
    """Runs a command that must succeed, and returns its output."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, user=user, group=group
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def commands(world: World) -> list[str]:
    """Returns the commands that the fake received."""
    return [record.verb for record in world.records if record.direction == "C"]


@pytest.mark.parametrize(
    ("mechanism", "verb"),
    [("+APOP", "APOP"), ("PLAIN", "AUTH"), ("LOGIN", "AUTH"), ("CRAM-MD5", "AUTH")],
)
def test_curl_lists_and_fetches(fake: World, mechanism: str, verb: str) -> None:
    for listener in ("pop3", "pop3s"):  # curl's names for the schemes are the same
        url = f"{listener}://localhost:{fake.address(listener)[1]}/"
        curl = [need("curl", "curl"), "--silent", "--show-error", "--ssl-reqd"]
        curl += ["--cacert", str(fake.ca_file), "--user", "alice:secret"]
        curl += ["--login-options", f"AUTH={mechanism}"]
        sizes = [row.size for row in fake.mail.maildrop(ALICE).rows]
        assert run(*curl, url).split() == ["1", str(sizes[0]), "2", str(sizes[1])]
        second = run(*curl, url + "2").replace("\r\n", "\n")
        assert second.endswith("\n\n.dot\n..two\nend\n")
    assert {verb, "STLS"} <= set(commands(fake)), render(fake.recording)


@pytest.mark.parametrize("auth", ["user", "apop", "plain", "login", "cram-md5"])
def test_mpop_fetches_each_mail_once(fake: World, tmp_path: Path, auth: str) -> None:
    mpop = [
        need("mpop", "mpop"),
        "--file=/dev/null",
        "--host=localhost",
        f"--port={fake.address('pop3')[1]}",
        "--tls=on",
        "--tls-starttls=on",
        f"--tls-trust-file={fake.ca_file}",
        f"--auth={auth}",
        "--user=alice",
        "--passwordeval=printf secret",
        f"--delivery=mbox,{tmp_path}/mbox",
        f"--uidls-file={tmp_path}/uidls",
        "--only-new=on",
        "--pipelining=on",
    ]
    assert "new: 2 messages" in run(*mpop, "--keep=on")
    assert "new: no messages" in run(*mpop, "--keep=on"), "it recognises them by unique id"
    mbox = (tmp_path / "mbox").read_text()
    assert mbox.count("\n.dot\n..two\nend\n") == 2
    run(*mpop, "--keep=off")
    assert fake.mail.inbox(ALICE) == []


@pytest.mark.parametrize("mechanism", ["password", "apop", "cram-md5"])
def test_fetchmail_fetches_and_deletes(fake: World, tmp_path: Path, mechanism: str) -> None:
    port = fake.address("pop3")[1]
    if mechanism == "apop":
        login, tls = "protocol APOP", 'sslproto ""'
    else:
        login, tls = f"protocol POP3 auth {mechanism}", 'sslproto "TLS1.2+" no sslcertck'
    config = tmp_path / "fetchmailrc"
    config.write_text(
        f'poll localhost service {port} {login} user "alice" password "secret" {tls} '
        f'mda "{need("tee", "coreutils")} -a {tmp_path}/fetched"\n'
    )
    config.chmod(0o600)
    run(
        need("fetchmail", "fetchmail"),
        "--fetchmailrc",
        str(config),
        "--nosyslog",
        "--nodetach",
        "--pidfile",
        str(tmp_path / "pid"),
        "--idfile",
        str(tmp_path / "ids"),
        "--all",
    )
    fetched = (tmp_path / "fetched").read_text()
    assert fetched.count("\n.dot\n..two\nend\n") == 2
    assert fake.mail.inbox(ALICE) == []
    expected = "APOP" if mechanism == "apop" else "STLS"
    assert expected in commands(fake), render(fake.recording)


@pytest.mark.parametrize("apop", ["True", "False"])
def test_getmail_fetches_and_deletes(fake: World, apop: str) -> None:
    with folder("nobody") as place:
        nobody = pwd.getpwnam("nobody")
        (place / "getmailrc").write_text(
            f"[retriever]\ntype = SimplePOP3Retriever\n"
            f"server = localhost\nport = {fake.address('pop3')[1]}\n"
            f"username = alice\npassword = secret\nuse_apop = {apop}\n"
            f"{getmail_destination(place)}[options]\ndelete = true\n"
        )
        for path in place.iterdir():
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        getmail = need("getmail", "getmail6")
        run(getmail, "--getmaildir", str(place), user="nobody", group="nogroup")
        mails = [path.read_text() for path in (place / "box").iterdir()]
        assert [mail.endswith("\n.dot\n..two\nend\n") for mail in mails] == [True] * 2
    assert fake.mail.inbox(ALICE) == []
    assert ("APOP" in commands(fake)) == (apop == "True")

# apt-get install: postfix dovecot-core dovecot-pop3d dovecot-lmtpd mariadb-server mariadb-client swaks curl fetchmail mpop getmail6
"""Receiving, on servers and by clients that nobody here wrote. Root is needed for Postfix, Dovecot and MariaDB."""

from __future__ import annotations

import contextlib
import email
import os
import pwd
import re
import signal
import smtplib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from comms.clock import RealClock
from comms.errors import Refused
from comms.pop3 import Mailbox
from comms.settings import Server
from fakes.transcripts.recorder import render
from fakes.world import World
from tests.real import Authority, Mailboxes, MariaDb, dovecot_mail, folder, mariadb, need, postfix

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
INBOX = "cly6ruct1yit2d@yourco.test"
MYSQL, TICKETS = "mysql@yourco.test", "tickets@yourco.test"
JEREMY, GONE = "jeremy@yourco.test", "gone@yourco.test"
USERS = {MYSQL: "my secret", TICKETS: "tickets' secret", JEREMY: "jeremy's secret"}


@dataclass
class Town:
    """A Postfix that hands its mail to a Dovecot."""

    smtp: int
    boxes: Mailboxes
    authority: Authority

    def submit(self, sender: str, to: str, raw: bytes) -> None:
        """By smtplib, to Postfix."""
        with smtplib.SMTP("localhost", self.smtp, "phone.test") as client:
            client.sendmail(sender, [to], raw)

    def inbox(self, user: str) -> list[bytes]:
        """What lies in a maildrop, oldest first."""
        clock = RealClock()
        try:
            with Mailbox(self.pop3(user), clock) as mailbox:
                return [mailbox.fetch(entry) for entry in mailbox.entries()]
        finally:
            clock.close()

    def pop3(self, user: str, **other: object) -> Server:
        """How to get at a maildrop."""
        keys = {"tls": "starttls", "ca_file": self.authority.ca_file, "user": user, "password": USERS[user], **other}
        return Server("pop3", "localhost", int(str(keys.pop("port", self.boxes.pop3))), **keys)  # type: ignore[arg-type]

    def site(self, place: Path, user: str, table: str) -> Path:
        """A settings file for a program with this account."""
        (place / "password").write_text(USERS[user])
        (place / "password").chmod(0o600)
        servers = (
            f'[smtp]\nhost = "localhost"\nport = {self.smtp}\nca_file = "{self.authority.ca_file}"\ntimeout = 20\n'
            f'[pop3]\nhost = "localhost"\nport = {self.boxes.pop3}\nca_file = "{self.authority.ca_file}"\ntimeout = 20\n'
            f'user = "{user}"\npassword_file = "password"\n'
        )
        path = place / "site.toml"
        path.write_text(servers + table)
        return path


@pytest.fixture
def town() -> Iterator[Town]:
    with folder() as place:
        authority = Authority(place)
        with dovecot_mail(USERS, authority, {INBOX: MYSQL}) as boxes:
            known = [*USERS, INBOX, GONE]  # Postfix believes in this one, Dovecot does not: so mail for it bounces
            with postfix(known, boxes.lmtp, by="lmtp:inet:127.0.0.1:") as (server, postfix_authority, _):
                both = authority.ca_file.read_text() + postfix_authority.ca_file.read_text()
                authority.ca_file.write_text(both)
                yield Town(server.port, boxes, authority)


class Program:
    """A scenario, live, in a process of its own; its log is read line by line."""

    def __init__(self, name: str, site: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scenarios", "run", name, "--live", str(site)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.log = ""

    def until(self, words: str) -> str:
        """Reads the log up to the line with these words; gives what came since the last time."""
        assert self.process.stderr is not None
        read = ""
        for line in self.process.stderr:
            read += line
            if words in line:
                self.log += read
                return read
        raise AssertionError(f"the program ended without saying {words!r}: {self.log}{read}")

    def end(self) -> int:
        """SIGTERM, and its exit code."""
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


# ── MySQL by mail: a mail restarts the real mariadbd ─────────────────────────────────────────────────────────────

ASKS = (
    "From: Jeremy <{sender}>\r\nTo: <{to}>\r\nSubject: Restart MySQL\r\nMessage-ID: <{number}@phone.test>\r\n\r\n{body}\r\n"
)


def asks(number: int, sender: str = JEREMY, to: str = INBOX, body: str = "now, please") -> bytes:
    return ASKS.format(sender=sender, to=to, number=number, body=body).encode()


def mysql_site(town: Town, place: Path, db: MariaDb, admins: list[str]) -> Path:
    table = (
        f'[scenario.mysql-by-mail]\ninbox = "{INBOX}"\nadmins = {admins}\nsender = "MySQL <{MYSQL}>"\npoll = 0.2\n'
        f'restart = ["{db.restart[0]}"]\nstate = "ops.sqlite3"\n'
    )
    return town.site(place, MYSQL, table)


def test_a_mail_by_curl_and_one_by_swaks_restart_the_real_mariadbd_once_each(town: Town, tmp_path: Path) -> None:
    with mariadb() as db, live("mysql-by-mail", mysql_site(town, tmp_path, db, [JEREMY])) as program:
        before = db.pid
        (tmp_path / "mail").write_bytes(asks(1))
        run(
            need("curl", "curl"), "--silent", "--show-error", "--ssl-reqd", "--cacert", str(town.authority.ca_file),
            f"smtp://localhost:{town.smtp}/phone.test", "--mail-from", JEREMY, "--mail-rcpt", INBOX,
            "--upload-file", str(tmp_path / "mail"),
        )  # fmt: skip
        log = program.until("mail-sent")
        assert "status=done" in log and db.pid != before and db.restarts == 1 and db.ask("SELECT 1") == "1"
        between = db.pid
        run(
            need("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(town.smtp), "--tls", "--ehlo", "phone.test",
            "--from", JEREMY, "--to", INBOX, "--h-From", f"Jeremy <{JEREMY}>", "--h-Subject", "restart mysql", "--body", "again",
        )  # fmt: skip
        program.until("mail-sent")
        assert db.pid != between and db.restarts == 2 and db.ask("SELECT 1") == "1"
        assert program.end() == 0
        first, second = (email.message_from_bytes(raw) for raw in arrived(town, JEREMY, 2))
        assert first["In-Reply-To"] == "<1@phone.test>" and first["Subject"] == "Re: Restart MySQL"
        assert first["Auto-Submitted"] == second["Auto-Submitted"] == "auto-replied"
        assert "mysqld is alive" in first.get_payload() and INBOX not in str(first) + str(second)
        assert town.inbox(MYSQL) == []


def test_what_is_no_command_does_nothing_and_leaves_a_trace(town: Town, tmp_path: Path) -> None:
    quoted = f"> From: Jeremy <{JEREMY}>\r\n> Subject: Restart MySQL"
    with mariadb() as db, live("mysql-by-mail", mysql_site(town, tmp_path, db, [JEREMY, GONE])) as program:
        pid = db.pid
        for what, sender, to, raw in (
            ("a stranger", "eve@evil.example", INBOX, asks(1, "jeremy@evil.example")),
            ("wrong inbox", JEREMY, MYSQL, asks(2)),
            ("wrong inbox", JEREMY, MYSQL, f"X-Original-To: {INBOX}\r\nDelivered-To: {INBOX}\r\n".encode() + asks(3)),
            ("a stranger", "eve@evil.example", INBOX, asks(4, "eve@evil.example", body=quoted)),
            ("not one sender", "eve@evil.example", INBOX, f"From: {JEREMY}\r\n".encode() + asks(5, "eve@evil.example")),
            ("automatic", "", INBOX, asks(6)),
        ):
            town.submit(sender, to, raw)
            assert what in program.until("refused")
        assert db.pid == pid and db.restarts == 0

        # a real bounce of a real receipt: its administrator's mailbox is gone
        town.submit(GONE, INBOX, asks(7, GONE))
        program.until("mail-sent")
        assert db.restarts == 1
        log = program.until("refused")
        assert f"unreachable who={GONE}" in log and "automatic" in log
        assert db.restarts == 1 and db.ask("SELECT 1") == "1"
        assert program.end() == 0
        assert len(list((tmp_path / "ops.refused").glob("*.eml"))) == 7
        assert town.inbox(MYSQL) == [] and town.inbox(JEREMY) == []
        assert INBOX not in program.log


def arrived(town: Town, user: str, count: int) -> list[bytes]:
    """The maildrop's mails, once there are so many: Postfix hands them on in its own time."""
    import select

    for _ in range(200):
        found = town.inbox(user)
        if len(found) >= count:
            return found
        select.select([], [], [], 0.1)
    raise AssertionError(f"{len(found)} mails came for {user}, {count} were expected")


# ── tickets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mail_becomes_one_ticket_and_one_answer_and_a_reply_to_it_a_response(town: Town, tmp_path: Path) -> None:
    table = f'[scenario.tickets]\npoll = 0.2\nsender = "Tickets <{TICKETS}>"\n'
    with live("tickets", town.site(tmp_path, TICKETS, table)) as program:
        head = f"From: Jeremy <{JEREMY}>\r\nTo: {TICKETS}\r\n"
        opening = f"{head}Subject: Caf\u00e9 closed?\r\nMessage-ID: <1@phone.test>\r\n\r\nIs it?\r\n".encode()
        town.submit(JEREMY, TICKETS, opening)
        program.until("answer-sent")
        (answer,) = (email.message_from_bytes(raw) for raw in arrived(town, JEREMY, 1))
        assert answer["In-Reply-To"] == "<1@phone.test>" and answer["Return-Path"] == "<>"
        reply = (
            f"{head}Subject: Re: {answer['Subject']}\r\nIn-Reply-To: {answer['Message-ID']}\r\nMessage-ID: <2@phone.test>\r\n\r\n"
            "It is.\r\n\r\nTickets wrote:\r\n> A new ticket\r\n"
        )
        town.submit(JEREMY, TICKETS, re.sub(r"\r\n[ \t]+", " ", reply).encode())
        program.until("response")
        town.submit(JEREMY, TICKETS, opening)  # the same mail once more
        program.until("known")
        assert program.end() == 0
        with contextlib.closing(sqlite3.connect(tmp_path / "tickets.sqlite3")) as db:
            assert db.execute("SELECT owner, subject, text FROM ticket").fetchall() == [
                (JEREMY, "Café closed?", "Is it?\n")
            ]
            assert db.execute("SELECT ticket_id, said FROM response").fetchall() == [(1, "It is.\n")]
        assert len(town.inbox(JEREMY)) == 1 and town.inbox(TICKETS) == []


# ── our client on Dovecot ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("auth", ["auto", "user", "plain", "apop"])
def test_our_client_gets_its_mail_from_dovecot_by_each_way_in(town: Town, auth: str) -> None:
    body = b"\r\n.dot\r\n..two\r\n" + b"x" * 5000 + b"\r\n"
    with smtplib.LMTP("127.0.0.1", town.boxes.lmtp) as lmtp:
        lmtp.sendmail(JEREMY, [INBOX], b"Subject: one\r\n" + body)
        lmtp.sendmail(JEREMY, [INBOX], b"Subject: two\r\n" + body)
    clock = RealClock()
    for other in ({}, {"tls": "implicit", "port": town.boxes.pop3s}, {"tls": "none"}):
        with Mailbox(town.pop3(MYSQL, auth=auth, **other), clock) as mailbox:
            first, second = mailbox.entries()
            assert first.id != second.id and mailbox.count()[0] == 2
            for entry in (first, second):
                raw = mailbox.fetch(entry)
                assert len(raw) == entry.size and raw.endswith(body) and raw.startswith(mailbox.header(entry))
    with Mailbox(town.pop3(MYSQL, auth=auth), clock) as mailbox:
        mailbox.delete(mailbox.entries()[0])
    with Mailbox(town.pop3(MYSQL, auth=auth), clock) as mailbox:
        assert [entry.id for entry in mailbox.entries()] == [second.id]
    with pytest.raises(Refused, match="Authentication failed"):
        Mailbox(town.pop3(MYSQL, auth=auth, password="wrong"), clock)
    clock.close()


def test_inbox_count_runs_on_dovecot_with_exit_codes(town: Town, tmp_path: Path) -> None:
    site = town.site(tmp_path, JEREMY, "")
    command = [sys.executable, "-m", "scenarios", "run", "inbox-count", "--live", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "You don't have any email!\n"), done.stderr
    (tmp_path / "password").write_text("wrong")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4 and "Authentication failed" in done.stderr and "wrong" not in done.stderr
    site.write_text(site.read_text().replace(f"port = {town.boxes.pop3}", "port = 1"))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and "cannot be reached" in done.stderr


# ── clients that nobody here wrote, on our fake ──────────────────────────────────────────────────────────────────

ALICE = "alice@example.test"
MAIL = "From: carol@example.org\r\nSubject: {0}\r\nMessage-ID: <{0}@example.org>\r\n\r\n.dot\r\n..two\r\nend\r\n"


@pytest.fixture
def fake() -> Iterator[World]:
    with World({"servers": ["pop3"], "tls": "optional"}, ports={"pop3": 0, "pop3s": 0}) as world:
        for subject in ("one", "two"):
            world.mail.deliver(ALICE, MAIL.format(subject).encode())
        yield world


def run(*command: str, user: str | None = None, group: str | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, user=user, group=group)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def verbs(world: World) -> list[str]:
    return [one.verb for one in world.records if one.direction == "C"]


@pytest.mark.parametrize(
    ("mechanism", "verb"), [("+APOP", "APOP"), ("PLAIN", "AUTH"), ("LOGIN", "AUTH"), ("CRAM-MD5", "AUTH")]
)
def test_curl_lists_and_fetches(fake: World, mechanism: str, verb: str) -> None:
    for listener, scheme in (("pop3", "pop3"), ("pop3s", "pop3s")):
        base = [
            need("curl", "curl"), "--silent", "--show-error", "--ssl-reqd", "--cacert", str(fake.ca_file), "--user", "alice:secret",
            "--login-options", f"AUTH={mechanism}", f"{scheme}://localhost:{fake.address(listener)[1]}/",
        ]  # fmt: skip
        sizes = [row.size for row in fake.mail.maildrop(ALICE).rows]
        assert run(*base).split() == ["1", str(sizes[0]), "2", str(sizes[1])]
        assert run(*base[:-1], base[-1] + "2").replace("\r\n", "\n").endswith("\n\n.dot\n..two\nend\n")
    assert verb in verbs(fake) and "STLS" in verbs(fake), render(fake.recording)


@pytest.mark.parametrize("auth", ["user", "apop", "plain", "login", "cram-md5"])
def test_mpop_fetches_each_mail_once(fake: World, tmp_path: Path, auth: str) -> None:
    command = [
        need("mpop", "mpop"), "--file=/dev/null", "--host=localhost", f"--port={fake.address('pop3')[1]}", "--tls=on",
        "--tls-starttls=on", f"--tls-trust-file={fake.ca_file}", f"--auth={auth}", "--user=alice", "--passwordeval=printf secret",
        f"--delivery=mbox,{tmp_path}/mbox", f"--uidls-file={tmp_path}/uidls", "--keep=on", "--only-new=on", "--pipelining=on",
    ]  # fmt: skip
    assert "new: 2 messages" in run(*command)
    assert "new: no messages" in run(*command), "it knows them again by their unique ids"
    mbox = (tmp_path / "mbox").read_text()
    assert mbox.count("\n.dot\n..two\nend\n") == 2
    command[-3] = "--keep=off"
    run(*command)
    assert fake.mail.inbox(ALICE) == []


@pytest.mark.parametrize("way", ["password", "apop", "cram-md5"])
def test_fetchmail_fetches_and_deletes(fake: World, tmp_path: Path, way: str) -> None:
    protocol = "protocol APOP" if way == "apop" else "protocol POP3"
    auth = f"auth {way}" if way != "apop" else ""
    tls = 'sslproto ""' if way == "apop" else 'sslproto "TLS1.2+" no sslcertck'
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f'poll localhost service {fake.address("pop3")[1]} {protocol} {auth} user "alice" password "secret" {tls} '
        f'mda "{need("tee", "coreutils")} -a {tmp_path}/fetched"\n'
    )
    rc.chmod(0o600)
    run(
        need("fetchmail", "fetchmail"), "--fetchmailrc", str(rc), "--nosyslog", "--nodetach", "--pidfile", str(tmp_path / "pid"),
        "--idfile", str(tmp_path / "ids"), "--all",
    )  # fmt: skip
    fetched = (tmp_path / "fetched").read_text()
    assert fetched.count("\n.dot\n..two\nend\n") == 2 and fake.mail.inbox(ALICE) == []
    assert ("APOP" if way == "apop" else "STLS") in verbs(fake), render(fake.recording)


@pytest.mark.parametrize("apop", ["True", "False"])
def test_getmail_fetches_and_deletes(fake: World, apop: str) -> None:
    need("getmail", "getmail6")
    with folder("nobody") as place:
        nobody = pwd.getpwnam("nobody")
        (place / "box").touch()
        (place / "getmailrc").write_text(
            f"[retriever]\ntype = SimplePOP3Retriever\nserver = localhost\nport = {fake.address('pop3')[1]}\n"
            f"username = alice\npassword = secret\nuse_apop = {apop}\n"
            f"[destination]\ntype = Mboxrd\npath = {place}/box\n[options]\ndelete = true\n"
        )
        for path in place.iterdir():
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        run(need("getmail", "getmail6"), "--getmaildir", str(place), user="nobody", group="nogroup")
        assert (place / "box").read_text().count("\n.dot\n..two\nend\n") == 2
    assert fake.mail.inbox(ALICE) == []
    assert ("APOP" in verbs(fake)) == (apop == "True")

# apt-get install: postfix dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd
# apt-get install: mariadb-server mariadb-client
"""Commands by mail on a real Postfix, Dovecot and MariaDB, which need root."""

from __future__ import annotations

import contextlib
import dataclasses
import email
import imaplib
import re
import smtplib
import subprocess
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import unquote

import pytest

from comms.commands import IN_DOUBT
from scenarios.receiving import phone_command_samples as phones
from tests import test_real_receiving as receiving
from tests.real import (
    Authority,
    MariaDb,
    dovecot_mail,
    folder,
    mariadb,
    need,
    postfix,
    wait_until,
)
from tests.test_real_receiving import Town, live, wait_for_mails

pytestmark = pytest.mark.real

INBOX, OPS = "cly6ruct1yit2d@yourco.test", "ops@yourco.test"
JEREMY, MICHAEL, ANN = (f"{name}@yourco.test" for name in ("jeremy", "michael", "ann"))
LATER = "later@phone.test"  # what comes from here waits in Postfix's queue
PASSWORD = "canary-p4ssw0rd"
USERS = dict.fromkeys((OPS, JEREMY, MICHAEL, ANN, phones.ANN), "the secret")


class Post(Town):
    """A Town that is started once, and whose Postfix can keep a mail in its queue."""

    config: Path

    def over(self, protocol: str) -> Post:
        """Returns the same servers, with maildrops read over this protocol."""
        found = dataclasses.replace(self, protocol=protocol)
        found.config = self.config
        return found

    def mails(self, to: str, sender: str, subject: str, text: str = "", by: str = "") -> None:
        """Sends a mail to Postfix; `by` is the sender of its envelope."""
        head = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n"
        body = text.replace("\n", "\r\n")
        with smtplib.SMTP("localhost", self.smtp, "phone.test") as client:
            client.sendmail(by or sender, [to], f"{head}\r\n{body}\r\n".encode())

    def release(self) -> None:
        """Lets Postfix deliver what it holds."""
        for command in (["postsuper", "-H", "ALL"], ["postqueue", "-f"]):
            name, *options = command
            line = [need(name, "postfix"), "-c", str(self.config), *options]
            subprocess.run(line, check=True, capture_output=True, timeout=60)

    def got(self, user: str, count: int) -> list[Message]:
        """Waits until a maildrop holds this many mails, and returns them."""
        return [email.message_from_bytes(raw) for raw in wait_for_mails(self, user, count)]


@pytest.fixture(scope="module")
def servers() -> Iterator[Post]:
    with folder() as place:
        authority = Authority(place)
        with dovecot_mail(USERS, authority, {INBOX: OPS}) as boxes:
            known = [*USERS, INBOX]
            with postfix(known, boxes.lmtp, by="lmtp:inet:127.0.0.1:") as (server, other, where):
                held = f"inline:{{ {{{LATER} = HOLD}} }}"
                with (where / "etc" / "main.cf").open("a") as config:
                    config.write(f"smtpd_sender_restrictions = check_sender_access {held}\n")
                reload = [need("postfix", "postfix"), "-c", str(where / "etc"), "reload"]
                subprocess.run(reload, check=True, capture_output=True, timeout=60)
                both = authority.ca_file.read_text() + other.ca_file.read_text()
                authority.ca_file.write_text(both)
                post = Post("pop3", server.port, boxes, authority)
                post.config = where / "etc"
                yield post


@pytest.fixture
def post(servers: Post, monkeypatch: pytest.MonkeyPatch) -> Post:
    """The servers, with maildrops that are empty."""
    monkeypatch.setattr(receiving, "USERS", USERS)
    for user, password in USERS.items():
        with imaplib.IMAP4("localhost", servers.boxes.imap) as client:
            client.login(user, password)
            if client.select()[1] != [b"0"]:
                client.store("1:*", "+FLAGS", r"(\Deleted)")
                client.expunge()
    return servers


def text_of(mail: Message) -> str:
    """The text of a receipt."""
    return mail.get_payload(decode=True).decode().replace("\r\n", "\n")  # type: ignore[union-attr]


def word(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return unquote(found[1])


def test_an_inbox_is_changed_while_mail_to_it_waits_in_postfix(post: Post, tmp_path: Path) -> None:
    post = post.over("imap")
    (tmp_path / "ran").mkdir()
    table = (
        f'[scenario.secret-inbox]\ninbox = "ops+*@yourco.test"\nadmins = ["{JEREMY}"]\n'
        f'sender = "Ops <{OPS}>"\npoll = 600\nagain = 0\nstate = "ops.sqlite3"\n'
        f'commands = {{ "make it" = ["mktemp", "-p", "{tmp_path}/ran"] }}\n'
    )
    inbox, link = r"(ops\+[a-z0-9]+@yourco\.test)", r"mailto:\S+subject=({}\S+)"
    with live("secret-inbox", post.site(tmp_path, OPS, table)) as program:
        notice = text_of(post.got(JEREMY, 1)[0])
        post.mails(word(notice, inbox), JEREMY, "Make it", by=LATER)
        post.mails(OPS, JEREMY, word(notice, link.format("rotate")))
        program.until("inbox who=jeremy@yourco.test number=2")
        program.until("mail-sent")
        assert not list((tmp_path / "ran").iterdir()), "it waits in the queue"
        post.release()
        assert "status=done" in program.until('what="make it"'), "for mail under way"
        program.until("mail-sent")

        newest = [text_of(mail) for mail in post.got(JEREMY, 4) if "Your inbox" in mail["Subject"]]
        post.mails(word(newest[-1], inbox), JEREMY, "Make it", by=LATER)
        post.mails(OPS, JEREMY, word(newest[-1], link.format("lost")))
        program.until("inbox who=jeremy@yourco.test number=3")
        post.release()
        assert "a revoked inbox" in program.until("refused"), "at once"
        assert program.end() == 0
        assert len(list((tmp_path / "ran").iterdir())) == 1
        log = "".join(program.log)
        assert not [text for text in newest if word(text, inbox) in log]
        receipts = [mail for mail in post.got(JEREMY, 5) if "ake it" in mail["Subject"]]
        assert len(receipts) == 1 and post.inbox(OPS) == []


def test_services_by_mail_runs_a_job_and_writes_to_a_list(post: Post, tmp_path: Path) -> None:
    (tmp_path / "ran").mkdir()
    table = (
        f'[scenario.services-by-mail]\ninbox = "{INBOX}"\nadmins = ["{JEREMY}", "{MICHAEL}"]\n'
        f'sender = "Ops <{OPS}>"\npoll = 0.2\nservices = {{ web = "nginx" }}\n'
        f'jobs = {{ backup = ["mktemp", "-p", "{tmp_path}/ran"] }}\n'
        f'lists = {{ staff = ["{ANN}"] }}\nmoderators = ["{MICHAEL}"]\n'
        f'rights = {{ "{MICHAEL}" = ["status web"] }}\n'
    )
    with live("services-by-mail", post.site(tmp_path, OPS, table)) as program:
        post.mails(INBOX, JEREMY, "commands", "# now\nrun backup\nreboot\n-- \nrun backup\n")
        program.until("mail-sent")
        post.mails(INBOX, JEREMY, "mail staff", "Sunday\nThe web is down.\n")
        question = text_of(post.got(MICHAEL, 1)[0])
        post.mails(INBOX, MICHAEL, word(question, r"(approve \S+)"))
        [mail] = post.got(ANN, 1)
        assert program.end() == 0
        assert len(list((tmp_path / "ran").iterdir())) == 1
        assert (mail["Subject"], mail["From"]) == ("Sunday", f"Ops <{OPS}>")
        assert text_of(mail).strip() == "The web is down."
        receipt = text_of(post.got(JEREMY, 2)[0])
        assert f"| {tmp_path}/ran/" in receipt and "unknown command" in receipt
        assert INBOX not in program.log + receipt and post.inbox(OPS) == []


def test_a_text_message_is_obeyed_and_answered_with_one(post: Post, tmp_path: Path) -> None:
    post = post.over("imap")
    (tmp_path / "ran").mkdir()
    table = (
        f'[scenario.phone-command]\ninbox = "{INBOX}"\nphones = ["{phones.ANN}"]\n'
        f'sender = "{OPS}"\npoll = 600\nshort = {{ r = "restart web" }}\nagain = 0\n'
        f'commands = {{ "restart web" = ["mktemp", "-p", "{tmp_path}/ran"] }}\n'
    )
    with live("phone-command", post.site(tmp_path, OPS, table)) as program:
        for raw in [*phones.TEXTS.values()][:2]:
            post.submit(phones.ANN, INBOX, raw)
            program.until("mail-sent")
        assert program.end() == 0
        assert len(list((tmp_path / "ran").iterdir())) == 2
        for answer in post.got(phones.ANN, 2):
            assert "restart web: done." in text_of(answer) and len(text_of(answer).strip()) <= 160
            assert not answer["Subject"] and INBOX not in str(answer)


# A database that is there, and matches the settings' pattern.
HOSTILE = "test_` ; DROP DATABASE shop; --"
PREPARED = f"""
CREATE DATABASE shop; CREATE DATABASE payroll;
CREATE DATABASE `{HOSTILE.replace("`", "``")}`;
CREATE TABLE shop.`order` (id INT PRIMARY KEY, `group` VARCHAR(20), Total INT);
CREATE TABLE shop.`Items` (id INT PRIMARY KEY);
CREATE USER robot@localhost IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO robot@localhost;
"""


@contextlib.contextmanager
def locked(db: MariaDb, table: str) -> Iterator[None]:
    """Locks a table for the block."""
    sleep = f"LOCK TABLES {table} WRITE; SELECT SLEEP(60)"
    client = [need("mariadb", "mariadb-client"), "--no-defaults", "--user=root"]
    with subprocess.Popen([*client, f"--socket={db.place}/socket", "-e", sleep]):
        asleep = "SELECT id FROM information_schema.processlist WHERE state = 'User sleep'"
        wait_until(lambda: bool(db.ask(asleep)), "the table is locked")
        try:
            yield
        finally:
            db.ask(f"KILL {db.ask(asleep)}")


def test_databases_and_indexes_of_mariadb_by_mail(post: Post, tmp_path: Path) -> None:
    with mariadb() as db:
        assert db.ask(PREPARED) == ""
        account = tmp_path / "robot.cnf"
        account.write_text(
            f"[client]\nuser = robot\npassword = {PASSWORD}\nsocket = {db.place}/socket\n"
        )
        table = (
            f'[scenario.mysql-admin-by-mail]\ninbox = "{INBOX}"\nadmins = ["{JEREMY}"]\n'
            f'sender = "MySQL <{OPS}>"\npoll = 0.2\ndatabases = ["shop", "test_*"]\n'
            f'database = "mysql+pymysql://localhost/?read_default_file={account}"\n'
            "timeout = 3\n"
        )
        with live("mysql-admin-by-mail", post.site(tmp_path, OPS, table)) as program:
            sent = (
                "create database test_1\nshow databases\nshow tables in shop\n"
                "create index by_group on shop.order (group, total)\n"
                "show index in shop.order\nshow index in shop.items\nshow processlist\n"
                "create index by_group on shop.order (group)\ndrop database test_1\n",
                f"show tables in {HOSTILE}\nshow tables in payroll\n",
                "show tables in payroll\ndrop database shop",
                "drop database test_1\n",
            )
            for number, text in enumerate(sent, 1):
                post.mails(INBOX, JEREMY, "commands", text)
                program.until("mail-sent")
                answer = text_of(post.got(JEREMY, number)[-1])
                if number == 1:
                    transcript = answer
            post.mails(INBOX, JEREMY, "commands", word(answer, r"900 s: (.*)"))
            program.until("mail-sent")
            with locked(db, "shop.Items"):  # for longer than a statement may take
                for number in (6, 7):
                    post.mails(INBOX, JEREMY, "commands", "create index by_id on shop.items (id)\n")
                    program.until("mail-sent")
                    post.got(JEREMY, number)
            assert program.end() == 0
            answers = [text_of(mail) for mail in post.got(JEREMY, 7)]
        found = db.ask("SHOW DATABASES").splitlines()
        assert {HOSTILE, "shop", "payroll"} < {*found} and "test_1" not in found
        statistics = "SELECT index_name, column_name FROM information_schema.statistics "
        rows = db.ask(f"{statistics}WHERE table_schema = 'shop' AND index_name = 'by_group'")
        assert rows.splitlines() == ["by_group\tgroup", "by_group\tTotal"]
        assert f"| shop\n| test_1\n| {HOSTILE}\n" in transcript
        assert "| Items\n| order\n" in transcript and "| primary key (id)\n" in transcript
        assert "| by_group (group, Total)\n" in transcript and " · robot · " in transcript
        assert "there is an index by_group already" in transcript
        assert "not run, because this was not done: create index by_group" in transcript
        assert "unknown command" in answers[1] and "there is no database payroll" in answers[2]
        assert "done in" in answers[4]
        assert "the connection was lost" in answers[5] and IN_DOUBT in answers[5]
        assert "(it is unknown); to create index by_id" in answers[6]
        assert not [text for text in (program.log, *answers) if PASSWORD in text or INBOX in text]

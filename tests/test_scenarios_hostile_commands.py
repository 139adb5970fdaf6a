"""Hostile mail to the pages with commands by mail: one table, and nothing in it may take effect.

Each row comes from an administrator, whose account is in other hands.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.header import Header
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from comms import settings
from comms.commands import normalized
from comms.state import State
from fakes.mail import Mail
from fakes.world import World
from scenarios.receiving import (
    mysql_admin_by_mail,
    mysql_by_mail,
    phone_command,
    secret_inbox,
    services_by_mail,
)
from scenarios.receiving import mysql_admin_by_mail_samples as admin
from scenarios.receiving import phone_command_samples as phones
from scenarios.receiving import secret_inbox_samples as secrets
from scenarios.receiving import services_by_mail_samples as services

PASSWORD = "canary-p4ssw0rd"
SQL = (
    "drop database shop; --",
    "drop database `shop`",
    "drop database 'shop'",
    'drop database "shop"',
    "drop database shop.orders",
    "drop database if exists shop",
    "drop database sho\u200bp",
    "drop database ѕhop",  # with a Cyrillic letter
    "drop table shop.orders",
    "drop database information_schema",
    "drop database main",
    "drop database payroll",
    "show tables in payroll",
    "show tables in shop where 1=1",
    "show databases like '%'",
    "show index in shop.orders union select 1",
    "show index in shop.orders;",
    "show processlist; kill 1",
    "create database test_1 character set utf8",
    "create database payroll2",
    f"create database test_{'x' * 80}",
    "create index i on shop.orders (customer) comment 'x'",
    "create index i on shop.orders (customer); drop table orders",
    "create index i on shop.orders (customer, nosuch)",
    "create index i on shop.orders (lower(customer))",
    "create index i on shop.orders ()",
    "create index i on shop.sqlite_master (sql)",
    "create index i on main.sqlite_master (sql)",
    "create unique index i on shop.orders (id)",
    "drop index i on shop.orders /* x */",
    "drop index nosuch on shop.orders",
    "drop index 1=1 on shop.orders",
    "grant all on *.* to eve",
    "attach '/etc/passwd' as test_1",
    "select load_extension('x')",
)
SHELL = (
    "{}; reboot",
    "{} && reboot",
    "{} | sh",
    "{} `reboot`",
    "{} $(reboot)",
    "{} > /etc/passwd",
    "{} --now",
    "-{}",
    "{}\x00reboot",
    "sudo {}",
    "{} {}",
)
PATHS = (
    "show tables in ../shop",
    "create database ../../x",
    "create database /etc/x",
    "create database test_1.sqlite3",
    "create database test_%2e%2e",
    "create database ..",
)
HEADERS = (
    "{}\r\nBcc: victim@evil.example",
    "{}\nX-Evil: 1",
    "{}\r\n\r\nFrom: bank@evil.example",
    "{}\x0bBcc: victim@evil.example",
    "{}\u2028Bcc: victim@evil.example",
)
HTML = ("<script>{}</script>", "{}<img src=x onerror=alert(1)>", "&lt;{}&gt;")


@dataclass(frozen=True)
class Target:
    """A page, a command that it knows, and the mails of the table to it."""

    page: ModuleType
    known: str
    who: str
    inbox: Callable[[World], str]
    rows: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.page.__name__.rpartition(".")[2].replace("_", "-")

    @property
    def texts(self) -> list[str]:
        """What is sent: the rows of this page, and those for every page."""
        common = (*SHELL, *HEADERS, *HTML)
        return [*self.rows, *(text.replace("{}", self.known) for text in common)]


TARGETS = [
    Target(
        mysql_admin_by_mail,
        "drop database shop",
        admin.JEREMY,
        lambda world: admin.INBOX,
        (*SQL, *PATHS),
    ),
    Target(services_by_mail, "restart web", services.JEREMY, lambda world: services.INBOX),
    Target(phone_command, "restart web", phones.ANN, lambda world: phones.INBOX),
    Target(
        secret_inbox,
        "restart web",
        secrets.JEREMY,
        lambda world: secrets.secret(world, secrets.JEREMY),
    ),
    Target(mysql_by_mail, "restart mysql", admin.JEREMY, lambda world: admin.INBOX),
]


def as_mail(sender: str, text: str, number: int) -> bytes:
    """A mail with a hostile text: encoded in the subject, and as it is in the body.

    Not in the body if it has several lines: the first would be a command.
    """
    subject = Header(text, "utf-8", maxlinelen=10**6).encode(linesep="")
    head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{number}@phone.test>\r\n"
    head += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    return f"{head}\r\n{text if len(text.splitlines()) == 1 else ''}\r\n".encode()


def files(folder: Path) -> dict[str, str]:
    """The files that no command may change: all but those in which the program remembers."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    own = (".refused", ".sqlite3-", "-by-mail.sqlite3", "-command.sqlite3", "-inbox.sqlite3")
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if not any(word in str(path) for word in own)
    }


def attacked(target: Target) -> Iterator[tuple[World, list[Mail], dict[str, str]]]:
    """The world after all mails of the table arrived, what was answered, and the files before."""
    people = [{**one, "password": PASSWORD} for one in target.page.WORLD["person"]]
    with World({**target.page.WORLD, "person": people}, rehearsal=True) as world:
        admin.prepare(world.folder)
        loaded = settings.load(world.settings, world.folder)
        world.clock.until(40)
        target.page.run(world.clock, loaded, world.host)
        before, began = files(world.folder), len(world.mail.messages)
        inbox = target.inbox(world)
        for number, text in enumerate(target.texts):
            world.mail.deliver(inbox, as_mail(target.who, text, number))
        world.clock.until(world.clock.elapsed + 400)
        target.page.run(world.clock, loaded, world.host)
        account = str(target.page.WORLD["program"])
        sent = [mail for mail in world.mail.messages[began:] if mail.envelope.sender == account]
        yield world, sent, before


FIELDS = frozenset(
    "from to subject date message-id mime-version content-type content-transfer-encoding "
    "in-reply-to references auto-submitted return-path delivered-to received x-original-to".split()
)


def test_the_table_has_sixty_hostile_texts_and_more() -> None:
    assert len({*SQL, *SHELL, *PATHS, *HEADERS, *HTML}) >= 60
    assert not [text for target in TARGETS for text in target.texts if text == target.known]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_of_the_table_runs_or_leaves_the_program(target: Target) -> None:
    for world, sent, before in attacked(target):
        assert world.host.ran == [] and files(world.folder) == before
        assert world.mail.maildrop(str(target.page.WORLD["program"])).rows == []
        assert len(sent) > len(target.texts) // 2, "most are answered"
        for mail in sent:
            # Nothing that was written has become an address, a field or HTML.
            assert {*mail.envelope.to} <= {target.who, "owner@yourco.test"}, mail.raw
            assert {name.lower() for name, _ in mail.message.items()} <= FIELDS, mail.raw
            assert mail.message.get_content_type() == "text/plain"
        texts = [mail.raw.decode() for mail in sent]
        texts += [*world.said, *(event.text for event in world.events if event.who == "program")]
        local = target.inbox(world).partition("@")[0]
        assert not [text for text in texts if PASSWORD in text or local in text]
        assert not [text for text in texts if "done in" in text or ": done" in text]


# ── the secret inbox cannot be found by trying ───────────────────────────────


def test_a_wrong_inbox_is_compared_in_constant_time_and_answers_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[Any, Any]] = []
    compare = hmac.compare_digest

    def spy(a: Any, b: Any) -> bool:
        compared.append((a, b))
        return compare(a, b)

    with World(secret_inbox.WORLD, rehearsal=True) as world:
        loaded = settings.load(world.settings, world.folder)
        world.clock.until(40)
        secret_inbox.run(world.clock, loaded, world.host)
        own = secrets.secret(world, secrets.JEREMY)
        with State(world.folder / "secret-inbox.sqlite3") as state:
            digests = [row[0] for row in state.rows("SELECT digest FROM inbox")]
        monkeypatch.setattr(hmac, "compare_digest", spy)
        counts, answers = [], len(world.mail.messages)
        tries = ("ops+@yourco.test", own[:-20] + "@yourco.test", f"{own[:5]}{'0' * 20}@yourco.test")
        for number, to in enumerate(tries):
            compared.clear()
            raw = as_mail(secrets.JEREMY, "Restart web", number)
            world.mail.deliver(to, raw)
            world.clock.until(world.clock.elapsed + 60)
            secret_inbox.run(world.clock, loaded, world.host)
            counts.append(sum(stored in digests for stored, _ in compared))
        # As often for each guess, however alike it is, and with every inbox.
        assert len({*counts}) == 1 and counts[0] % len(digests) == 0 < counts[0]
        assert world.host.ran == []
        assert len(world.mail.messages) == answers + len(counts) + 1, "the mails, and an alarm"
        reasons = {event.text.partition("reason=")[2] for event in world.events
                   if event.text.startswith("refused")}  # fmt: skip
        assert reasons == {"wrong inbox"}, "no guess is answered otherwise than another"
        assert normalized(own) not in " ".join(event.text for event in world.events)

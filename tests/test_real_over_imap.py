# apt-get install: dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd
"""Programs that receive mail read it from a real Dovecot over IMAP, and empty its mailbox.

Each program gets the mails of its drills, as our own server has delivered them. What it sends goes
to our servers. The larger programs have tests with Postfix and Dovecot of their own.
"""

from __future__ import annotations

import imaplib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.world import World
from scenarios.processing import autoresponder, mail_to_jabber, mail_to_webhook
from scenarios.processing.mail_to_jabber_samples import OPS
from scenarios.processing.mail_to_webhook_samples import HOOK, mail
from scenarios.receiving import secret_inbox
from scenarios.sending import ship_notices
from scenarios.sending.ship_notices_samples import customers, orders, shop
from tests import drills
from tests import test_scenarios_autoresponder as answering
from tests import test_scenarios_commands_by_mail as by_command
from tests import test_scenarios_mail_to_jabber as to_jabber
from tests import test_scenarios_mail_to_webhook as to_webhook
from tests import test_scenarios_secret_inbox as secret
from tests import test_scenarios_ship_notices as shipping
from tests.real import Authority, Mailboxes, dovecot_mail, folder
from tests.test_scenarios_over_imap import over_imap

pytestmark = pytest.mark.real

PASSWORD = "secret"
PAGES = (autoresponder, secret_inbox, mail_to_jabber, mail_to_webhook, ship_notices)
ACCOUNTS = [
    *(case.account for case in by_command.CASES),
    *(page.WORLD["program"] for page in PAGES),
]


@dataclass
class Dovecot:
    """A real server of mailboxes, which belong to the programs."""

    boxes: Mailboxes
    authority: Authority

    def client(self, account: str) -> imaplib.IMAP4:
        """Returns a session in which INBOX is selected."""
        client = imaplib.IMAP4("127.0.0.1", self.boxes.imap)
        client.login(account, PASSWORD)
        client.select()
        return client

    def instead(self, world: World, account: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Moves the mails of an account here. Returns settings with this server of IMAP."""
        with self.client(account) as client:
            for row in world.mail.maildrop(account).rows:
                assert client.append("INBOX", "", "", row.raw)[0] == "OK"
        world.mail.maildrop(account).clear()
        server = {"host": "localhost", "port": self.boxes.imap, "tls": "starttls"}
        login = {"user": account, "password": PASSWORD, "ca_file": str(self.authority.ca_file)}
        return {**settings, "imap": {**server, **login}}

    def is_empty(self, account: str) -> bool:
        """Returns whether an account has no mail."""
        with self.client(account) as client:
            return client.search(None, "ALL")[1] == [b""]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with folder() as place:
        authority = Authority(place)
        with dovecot_mail(dict.fromkeys(ACCOUNTS, PASSWORD), authority) as boxes:
            yield Dovecot(boxes, authority)


@pytest.mark.parametrize("case", by_command.CASES, ids=lambda case: case.name)
def test_each_command_runs_once(dovecot: Dovecot, case: by_command.Case, tmp_path: Path) -> None:
    with World({**over_imap(case.page.WORLD), "tls": "off"}) as world:
        table = by_command.live(case, world, tmp_path / "live")
        case.arrive(world)
        table = dovecot.instead(world, case.account, table)
        drills.start_again(case.page.__name__, table, tmp_path / "live")
        assert by_command.settled(case, world, tmp_path / "live") == "done"
    assert dovecot.is_empty(case.account)


def test_autoresponder_answers_each_mail_once(dovecot: Dovecot, tmp_path: Path) -> None:
    account = autoresponder.WORLD["program"]
    for world, table in answering.prepare(tmp_path / "live", over_imap(autoresponder.WORLD)):
        table = dovecot.instead(world, account, table)
        drills.start_again(answering.MODULE, table, tmp_path / "live")
        assert answering.settled(world, tmp_path / "live") == 2
    assert dovecot.is_empty(account)


def test_secret_inbox_changes_an_inbox_once(dovecot: Dovecot, tmp_path: Path) -> None:
    account = secret_inbox.WORLD["program"]
    for world, table, place in secret.prepare(tmp_path / "live", over_imap(secret_inbox.WORLD)):
        drills.start_again(secret.MODULE, dovecot.instead(world, account, table), place)
        assert secret.settled(world, place) == "done done"
    assert dovecot.is_empty(account)


def test_mail_to_jabber_tells_each_user_of_each_mail(dovecot: Dovecot, tmp_path: Path) -> None:
    account = mail_to_jabber.WORLD["program"]
    with World({**over_imap(mail_to_jabber.WORLD), "tls": "off"}) as world:
        to_jabber.online(world)
        for one in to_jabber.BOTH:
            world.mail.deliver(OPS, one)
        table = dovecot.instead(world, account, world.settings)
        drills.start_again(to_jabber.MODULE, table, tmp_path)
        to_jabber.check(world)
    assert dovecot.is_empty(account)


def test_mail_to_webhook_posts_each_mail(dovecot: Dovecot, tmp_path: Path) -> None:
    account = mail_to_webhook.WORLD["program"]
    with World({**over_imap(mail_to_webhook.WORLD), "tls": "off"}) as world:
        for number in (1, 2):
            world.mail.deliver(HOOK, mail(number))
        table = dovecot.instead(world, account, to_webhook.here(world))
        drills.start_again(to_webhook.MODULE, table, tmp_path, 1)
        to_webhook.both_were_posted(world, tmp_path)
    assert dovecot.is_empty(account)


def test_ship_notices_collects_what_has_come_back(dovecot: Dovecot, tmp_path: Path) -> None:
    account = ship_notices.WORLD["program"]
    shop(tmp_path, customers(2))
    with World({**over_imap(ship_notices.WORLD), "tls": "off"}) as world:
        world.mail.deliver(account, b"Subject: for a person\r\n\r\nhello\r\n")
        table = dovecot.instead(world, account, world.settings)
        drills.start_again(shipping.MODULE, table, tmp_path, 1)
        assert Counter(orders(world)) == {"1": 1, "2": 1}
    assert not dovecot.is_empty(account), "other mail stays for a person"

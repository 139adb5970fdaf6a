# apt-get install: dovecot-core dovecot-pop3d dovecot-lmtpd prosody ejabberd
"""mail-to-jabber from a real Dovecot to users of a real Prosody, and of a real ejabberd."""

from __future__ import annotations

import contextlib
import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comms.clock import RealClock
from comms.pop3 import Mailbox
from comms.settings import Server
from scenarios.processing.mail_to_jabber_samples import OPS, rich, written
from tests.real import Authority, Mailboxes, dovecot_mail, folder, wait_until
from tests.test_real_jabber import (
    BOT,
    JEREMY,
    PASSWORD,
    ROOT,
    Jabber,
    Person,
    ejabberd,
    prosody,
)

pytestmark = pytest.mark.real

SECRET = "ops' secret"


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with folder() as place:
        yield Authority(place)


@pytest.fixture(scope="module")
def boxes(authority: Authority) -> Iterator[Mailboxes]:
    with dovecot_mail({OPS: SECRET}, authority) as running:
        yield running


def mails_left(boxes: Mailboxes, authority: Authority) -> int:
    server = Server(
        "pop3", "localhost", boxes.pop3, "starttls", authority.ca_file, OPS, SECRET, "auto", 10.0
    )
    with contextlib.closing(RealClock()) as clock, Mailbox(server, clock) as mailbox:
        return mailbox.count()[0]


def once(site: Path) -> None:
    """Runs one round of the program, as cron would."""
    command = [sys.executable, "-m", "scenarios", "run", "mail-to-jabber", "--once", "--live"]
    done = subprocess.run(
        [*command, str(site)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("start", [prosody, ejabberd], ids=lambda start: start.__name__)
def test_mail_waits_until_the_user_agrees_and_is_stored_until_they_come_online(
    start: Callable[[Path], contextlib.AbstractContextManager[Jabber]],
    boxes: Mailboxes,
    authority: Authority,
    tmp_path: Path,
) -> None:
    with start(tmp_path) as jabber:
        site = tmp_path / "site.toml"
        site.write_text(
            f"""
            [pop3]
            host = "localhost"
            port = {boxes.pop3}
            ca_file = "{authority.ca_file}"
            user = "{OPS}"
            password = "{SECRET}"
            [xmpp]
            jid = "{BOT}"
            host = "127.0.0.1"
            port = {jabber.port}
            ca_file = "{jabber.ca_file}"
            password = "{PASSWORD}"
            [scenario.mail-to-jabber]
            users = ["{JEREMY}"]
            """,
            encoding="utf-8",
        )
        site.chmod(0o600)
        with smtplib.LMTP("127.0.0.1", boxes.lmtp) as client:
            for mail in (written("The printer is on fire"), rich()):
                client.sendmail("ann@customer.test", [OPS], mail)
        with Person(jabber.server(JEREMY), accept_subscriptions=[str(BOT)]) as jeremy:
            once(site)
            assert mails_left(boxes, authority) == 2, "he had not agreed yet"
            assert jeremy.messages.empty()
            roster = jeremy.client.roster
            wait_until(lambda: BOT in roster and roster[BOT].sees_us, "he agrees")
        once(site)
        assert mails_left(boxes, authority) == 0
        once(site)
        with Person(jabber.server(JEREMY), delayed=True) as jeremy:
            texts = [jeremy.messages.get(timeout=10).text for _ in range(2)]
        assert jeremy.messages.empty()
    assert "Subject: The printer is on fire\n\nPlease help." in texts[0]
    assert "Subject: Café\n\nThe menu, in Größe XL\n[attached: menu.pdf (1,23" in texts[1]

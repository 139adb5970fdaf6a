# apt-get install: postfix dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd
# apt-get install: prosody mariadb-server mariadb-client
"""mysql-by-jabber with both doors on real servers: Prosody, and a mailbox of Dovecot (IMAP)."""

from __future__ import annotations

import email
import json
from pathlib import Path

import pytest

from comms.xmpp import stanzas
from tests.real import mariadb
from tests.test_real_jabber import BOT, PASSWORD, Person, available, prosody
from tests.test_real_jabber import JEREMY as JEREMY_ONLINE
from tests.test_real_receiving import (
    INBOX,
    JEREMY,
    MYSQL,
    Town,
    live,
    request,
    town,
    wait_for_mails,
)

pytestmark = pytest.mark.real

__all__ = ["town"]  # a fixture


@pytest.mark.parametrize("town", ["imap"], indirect=True)
def test_each_door_restarts_mariadb_once_and_answers(town: Town, tmp_path: Path) -> None:
    with prosody(tmp_path) as jabber, mariadb() as db:
        (tmp_path / "jabber-password").write_text(PASSWORD)
        (tmp_path / "jabber-password").chmod(0o600)
        table = f"""
            [xmpp]
            jid = "{BOT}"
            host = "127.0.0.1"
            port = {jabber.port}
            ca_file = "{jabber.ca_file}"
            password_file = "jabber-password"
            [scenario.mysql-by-jabber]
            admins = ["{JEREMY_ONLINE}", "{JEREMY}"]
            poll = 0.2
            restart = {json.dumps(db.restart)}
            inbox = "{INBOX}"
            mail_poll = 0.2
            """
        with (
            live("mysql-by-jabber", town.site(tmp_path, MYSQL, table)) as program,
            Person(jabber.server(JEREMY_ONLINE)) as jeremy,
        ):
            assert available(jeremy, BOT).wait(30), program.log
            before = db.pid
            town.submit(JEREMY, INBOX, request(1))
            assert "status=done" in program.until("mail-sent")
            assert db.restarts == 1 and db.pid != before

            jeremy.client.send(stanzas.message(BOT, "restart"))
            assert jeremy.next_message().text == "MySQL told to restart."
            assert db.restarts == 2 and db.ask("SELECT 1") == "1"

            town.submit("eve@evil.example", INBOX, request(2, "eve@evil.example"))
            assert "a stranger" in program.until("refused")
            assert program.end() == 0
        assert db.restarts == 2 and jeremy.messages.empty()
        assert town.inbox(MYSQL) == []
        (receipt,) = map(email.message_from_bytes, wait_for_mails(town, JEREMY, 1))
        assert receipt["In-Reply-To"] == "<1@phone.test>"
        assert INBOX not in program.log

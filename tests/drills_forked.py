"""Imported by the process that forks the programs of the drills, before it forks.

What takes long only the first time is done here, once: imports, and each program's first round. It
meets no server, but opens its state and looks for what was left undone. That is nine tenths of a
short life, above all in SQLAlchemy.

Garbage is not looked for in the programs. To look through all that is imported writes to all of its
pages, so that each process gets a copy of them: that took most of the time of a drill.
"""

from __future__ import annotations

import gc
import json
import tempfile
from pathlib import Path

from scenarios.processing import mail_to_jabber, mail_to_webhook, tickets
from scenarios.receiving import mysql_admin_by_mail, mysql_by_mail
from scenarios.sending import account_activation, order_receipt, ship_notices
from scenarios.sending.order_receipt_samples import append, order
from scenarios.sending.ship_notices_samples import shop
from tests import visited
from tests.drills import one_round

NOBODY = {"host": "127.0.0.1", "port": 1, "tls": "none", "user": "a@b.test", "password": "secret"}

for page in (mail_to_webhook, mysql_admin_by_mail, mysql_by_mail, tickets):
    with tempfile.TemporaryDirectory() as folder:
        settings = {"smtp": NOBODY, "pop3": NOBODY, "scenario": page.WORLD["scenario"]}
        assert one_round(page.__name__, settings, Path(folder)) != 0, "nobody answers"

with tempfile.TemporaryDirectory() as folder:
    settings = {"xmpp": NOBODY, "pop3": NOBODY, "scenario": mail_to_jabber.WORLD["scenario"]}
    assert one_round(mail_to_jabber.__name__, settings, Path(folder)) != 0, "nobody answers"

with tempfile.TemporaryDirectory() as folder:
    append(Path(folder), json.dumps(order("1", "ann")) + "\n")
    settings = {"smtp": NOBODY, "scenario": order_receipt.WORLD["scenario"]}
    assert one_round(order_receipt.__name__, settings, Path(folder)) == 1, "it waits"

with tempfile.TemporaryDirectory() as folder:
    shop(Path(folder), [])
    settings = {"smtp": NOBODY, "pop3": NOBODY, "scenario": ship_notices.WORLD["scenario"]}
    assert one_round(ship_notices.__name__, settings, Path(folder)) == 0, "nobody is on the list"

with tempfile.TemporaryDirectory() as folder:
    settings = {"smtp": NOBODY, "scenario": account_activation.WORLD["scenario"]}
    assert one_round(visited.__name__, settings, Path(folder)) == 0, "the pages are there anyway"

gc.disable()

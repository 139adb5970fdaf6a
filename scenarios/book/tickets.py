"""Listing 6.5 as it was printed: make a ticket of each mail, answer the sender, delete the mail.

Mistakes

8. Everything is answered, programs too. The answer repeats the text, has an ordinary sender and no
   mark, so that two such programs answer each other without end.
9. The mail is deleted last: if the answer cannot be sent, or the connection is lost, every poll
   makes another ticket; and a mail that breaks the program keeps all later ones waiting.
10. The raw body is taken as the text, whatever its parts and charset (in tmail.py); a reply makes a
    new ticket.
11. An exception in the block still sends QUIT, so what was marked is deleted (in net_pop3.py).
"""

from __future__ import annotations

import contextlib
import sqlite3

from comms.clock import Clock
from comms.host import Host
from comms.settings import Settings
from scenarios.book.net_pop3 import NetPOP3
from scenarios.book.net_smtp import NetSMTP
from scenarios.book.tmail import Mail

BREAKS = {
    "ticket-by-mail": {
        "Dave's ticket is readable": 10,
        "it has the null sender and is marked as automatic": 8,
        "it does not repeat her text": 8,
        "no program is answered": 8,
        "a vacation notice opens no ticket": 8,
    },
    "ticket-answer-fails": {
        "Carol's mail makes one ticket": 9,
        "Dave's mail, which came later, makes one, too": 9,
    },
    "ticket-session-broken": {
        "a session that is out of step ends without QUIT": 11,
    },
    ("ticket-session-broken", 11): {
        "Carol's mail makes one ticket": 11,
        "a mail with a long line makes one, too": 11,
    },
    "ticket-reply-thread": {
        "Carol's replies are responses to her ticket": 10,
        "a reply is kept with what it quotes": 10,
        "her reply opens the ticket again": 10,
        "a reply is not acknowledged": 10,
    },
}
MENDS = {11: "Python's poplib, and `close` after an exception"}

RULE = "-" * 50


def store(db: sqlite3.Connection, mail: Mail) -> None:
    """Creates a ticket, without any check."""
    row = (mail.sender, mail.subject, mail.body)  # mistake 10: the raw body
    db.execute("INSERT INTO ticket (owner, subject, text) VALUES (?, ?, ?)", row)
    db.commit()


def run(clock: Clock, settings: Settings, host: Host, mended: int = 0) -> int:
    """Polls every thirty seconds, without end."""
    rules = settings.tables["scenario"]["tickets"]
    database = rules.get("database", "sqlite:///tickets.sqlite3")
    path = settings.path(database.removeprefix("sqlite:///"))
    smtp = settings.server("smtp")
    with contextlib.closing(sqlite3.connect(path)) as db:
        columns = "id INTEGER PRIMARY KEY, owner, subject, text, closed DEFAULT 0"
        db.execute(f"CREATE TABLE IF NOT EXISTS ticket ({columns})")
        for _ in clock.every(rules.get("poll", 30)):
            pop3 = settings.server("pop3")
            with NetPOP3.start(pop3, clock, poplib=mended == 11) as pop:  # mistake 11
                for each in pop.mails():
                    mail = Mail.parse(each.pop())
                    store(db, mail)  # mistake 9: at every poll, until the mail is deleted
                    subject = f"Ticket Created! :: {mail.subject}"
                    # mistake 8: repeats the text, and nothing marks it as automatic
                    text = "A new ticket has been created for you.\n"
                    text += f"{RULE}\n{mail.body}\n{RULE}\nThanks!\n"
                    head = f"From: {smtp.user}\nTo: {mail.sender}\nSubject: {subject}\n\n"
                    with NetSMTP(smtp, clock, host.name) as session:
                        session.send_message(head + text, smtp.user, str(mail.sender))
                    each.delete()  # mistake 9: last
    return 0

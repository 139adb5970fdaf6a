"""Listing 6.5, step for step: log in; for each mail: parse it, store a ticket, answer the sender, delete the mail.

Its faults: (8) it answers everything, with the text of the mail in it, from an ordinary sender and without a mark, so that
two robots keep each other busy; (9) the mail is deleted last, so when the answer cannot be sent, or the link is lost, each
look makes another ticket, and a mail that breaks it keeps all later ones waiting; (10) the body is taken raw, and a reply
makes a new ticket.
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
    "ticket-by-mail": [
        "Dave's is readable",
        "it comes from the null sender, marked as automatic",
        "it does not repeat her text",
        "no robot is answered",
        "an absence notice opens no ticket",
    ],
    "ticket-reply-thread": [
        "Carol's replies are responses of her ticket",
        "the whole of a reply is kept",
        "her reply has opened it again",
        "a reply is not acknowledged",
    ],
}

RULE = "-" * 50


def store(db: sqlite3.Connection, mail: Mail) -> None:
    """Ticket.create: validates nothing."""
    db.execute(
        "INSERT INTO ticket (owner, subject, text) VALUES (?, ?, ?)",
        (mail.sender, mail.subject, mail.body),
    )
    db.commit()


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Looks every thirty seconds, for ever."""
    rules = settings.tables["scenario"]["tickets"]
    path = settings.path(
        rules.get("database", "sqlite:///tickets.sqlite3").removeprefix("sqlite:///")
    )
    smtp = settings.server("smtp")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS ticket (id INTEGER PRIMARY KEY, owner, subject, text, closed DEFAULT 0)"
        )
        for _ in clock.every(rules.get("poll", 30)):
            with NetPOP3.start(settings.server("pop3"), clock) as pop:
                for each in pop.mails():
                    mail = Mail.parse(each.pop())
                    store(db, mail)
                    subject = f"Ticket Created! :: {mail.subject}"
                    text = f"A new ticket has been created for you.\n{RULE}\n{mail.body}\n{RULE}\nThanks!\n"
                    head = f"From: {smtp.user}\nTo: {mail.sender}\nSubject: {subject}\n\n"
                    with NetSMTP(smtp, clock, host.name) as session:
                        session.send_message(head + text, smtp.user, str(mail.sender))
                    each.delete()
    return 0

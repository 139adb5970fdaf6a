"""The people of mail-to-jabber, mail as they write it, and what users were told."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakes.xmpp.jabber import Actor

BOT, OPS = "bot@yourco.test", "ops@yourco.test"
USERS = JEREMY, MICHAEL = "jeremy@yourco.test", "michael@yourco.test"
CUSTOMERS = "customer.test"
ANN = f"ann@{CUSTOMERS}"


def written(
    subject: str, text: str = "Please help.", to: str = OPS, more: str = "", sender: str = ""
) -> bytes:
    """Returns a mail of Ann's; `more` are further header lines. Equal parts make an equal mail."""
    digest = hashlib.sha256(f"{subject}{text}{to}{more}".encode()).hexdigest()
    head = f"From: {sender or f'Ann <{ANN}>'}\r\nTo: {to}\r\nSubject: {subject}\r\n"
    head += f"Message-ID: <{digest[:16]}@customer.test>\r\n{more}"
    return f"{head}\r\n{text}\r\n".encode()


def told(person: Actor) -> list[str]:
    """What a user was told of customers' mails. What came again, with the same id, counts once."""
    texts = {message.id: message.body or "" for message in person.messages}.values()
    return [text for text in texts if f"@{CUSTOMERS}" in text.partition("\n")[0]]


def rich() -> bytes:
    """Returns a mail with HTML only, in another charset, and a file."""
    head = (
        f"From: =?iso-8859-1?q?J=F6rg?= <joerg@customer.test>\r\nTo: {OPS}\r\n"
        "Subject: =?utf-8?q?Caf=C3=A9?=\r\nMessage-ID: <rich@customer.test>\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n"
    )
    page = "<p>The <b>menu</b>, in Gr\xf6\xdfe XL</p>\r\n"
    file = (
        '--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="menu.'
        f'pdf"\r\n\r\n{"p" * 1234}\r\n--b--\r\n'
    )
    return (head + page + file).encode("iso-8859-1")


def bounce() -> bytes:
    """Returns a report that a mail could not be delivered."""
    more = "Return-Path: <>\r\nAuto-Submitted: auto-replied\r\n"
    sender = "MAILER-DAEMON@customer.test"
    return written("Undelivered", "No such user.", more=more, sender=sender)

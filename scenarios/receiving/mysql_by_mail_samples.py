"""The people of mysql-by-mail, and mail as their phones send it."""

from __future__ import annotations

import hashlib

INBOX = "cly6ruct1yit2d@yourco.test"
ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
SENDER = "mysql@yourco.test"
RESTART = ("systemctl", "restart", "mariadb")


def request(
    subject: str = "Restart MySQL",
    sender: str = ADMINS[0],
    more: str = "",
    body: str = "",
    message_id: str = "",
) -> bytes:
    """Returns a mail with these parts; `more` are further header lines.

    Without `message_id`, equal parts make an equal mail.
    """
    digest = hashlib.sha256(f"{subject}{sender}{more}{body}".encode()).hexdigest()
    head = f"From: {sender}\r\nSubject: {subject}\r\n"
    head += f"Message-ID: <{message_id or digest[:12] + '@phone.test'}>\r\n"
    return f"{head}{more}\r\n{body}\r\n".encode()

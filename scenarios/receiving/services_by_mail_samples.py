"""The people of services-by-mail, and what they send."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakes import World

INBOX, SENDER = "cly6ruct1yit2d@yourco.test", "services@yourco.test"
JEREMY, MICHAEL, ANN, BOB = (f"{name}@yourco.test" for name in ("jeremy", "michael", "ann", "bob"))
PEOPLE = (JEREMY, MICHAEL, ANN, BOB)
ACTIVE = ("systemctl", "is-active", "nginx")
STOP = ("systemctl", "stop", "nginx")
BACKUP = ("/usr/local/bin/backup",)
SETTINGS = {
    "inbox": INBOX,
    "admins": [JEREMY, MICHAEL],
    "sender": f"Services <{SENDER}>",
    "services": {"web": "nginx"},
    "jobs": {"backup": list(BACKUP)},
    "lists": {"staff": [ANN, BOB]},
    "moderators": [MICHAEL],
    "rights": {MICHAEL: ["status web"]},
}


def mails(
    world: World, sender: str, subject: str = "commands", text: str = "", more: str = ""
) -> None:
    """Sends a mail to the secret inbox; `more` are further header lines."""
    number = len(world.mail.messages)
    head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{number}@phone.test>\r\n{more}"
    body = text.replace("\n", "\r\n")
    world.mail.deliver(INBOX, f"{head}\r\n{body}\r\n".encode())

"""The phones of phone-command, and text messages as carriers turn them into mail."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fakes import World

INBOX, SENDER = "cly6ruct1yit2d@yourco.test", "services@yourco.test"
ANN, BOB = "5550100123@sms.acme.test", "5550100456@sms.acme.test"
RESTART = ("systemctl", "restart", "nginx")
STATUS = ("systemctl", "status", "nginx")
SETTINGS = {
    "inbox": INBOX,
    "phones": [ANN, BOB],
    "commands": {"restart web": list(RESTART), "status web": list(STATUS)},
    "short": {"r": "restart web", "s": "status web"},
    "sender": SENDER,
}


def text(body: str, more: str = "", sender: str = ANN) -> bytes:
    """Returns a text message as a mail; `more` are further header lines, as of its type.

    Without a Message-ID in `more`, equal parts make an equal mail.
    """
    digest = hashlib.sha256(f"{body}{more}{sender}".encode()).hexdigest()
    if "Message-ID:" not in more:
        more += f"Message-ID: <{digest[:12]}@sms.acme.test>\r\n"
    head = f"From: {sender}\r\n{more}\r\n"
    return head.encode() + body.replace("\n", "\r\n").encode() + b"\r\n"


def _type(name: str, encoding: str = "8bit") -> str:
    return f"MIME-Version: 1.0\r\nContent-Type: {name}\r\nContent-Transfer-Encoding: {encoding}\r\n"


_HTML = (
    "<html><head><style>p{color:red}</style></head><body><p>Restart web</p>"
    "<hr><p>Sent with Acme Mobile</p></body></html>"
)
_MMS = (
    "--b\nContent-Type: text/plain; charset=utf-8\n\nrestart web\n"
    "--b\nContent-Type: image/gif\nContent-Transfer-Encoding: base64\n\nR0lGODdh\n--b--\n"
)
# Each of them is `restart web`.
TEXTS = {
    "without a subject": text("restart web"),
    "with a subject that the carrier wrote": text(
        "restart web", "Subject: SMS from 5550100123\r\n"
    ),
    "in the subject, without a text": text("", "Subject: Restart web\r\n"),
    "as a sentence": text("Restart  Web."),
    "as a short form": text("R"),
    "with a footer": text("restart web\n\n--\nThis mobile text message is brought to you by Acme"),
    "with a signature": text("restart web\nSent from my phone"),
    "with a quoted answer": text("restart web\n> restart web\n> status web"),
    "as HTML only": text(_HTML, _type("text/html; charset=utf-8")),
    "in base64": text(
        base64.b64encode(b"restart web\r\n").decode(),
        _type("text/plain; charset=utf-8", "base64"),
    ),
    "in UTF-16": text(
        base64.b64encode("restart web".encode("utf-16")).decode(),
        _type("text/plain; charset=utf-16", "base64"),
    ),
    "as a picture message": text(_MMS, _type('multipart/mixed; boundary="b"')),
}


def texts(world: World, phone: str) -> list[str]:
    """The text messages that a phone got."""
    return [mail.text.strip() for mail in world.mail.inbox(phone)]

"""The people of tickets, mail as they write it, and what acts read back from the database."""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from scenarios.play import told

if TYPE_CHECKING:
    from fakes import World
    from fakes.browser import Page
    from fakes.host import Event

TICKETS = "tickets@yourco.test"
SITE = "http://127.0.0.1:8026"
CAROL, DAVE = "carol@customer.test", "dave@customer.test"

# Dave's program names a charset that does not exist, and sends HTML only.
HTML = (
    f"From: {DAVE}\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\n =?utf-8?q?_closed=3F?=\r\n"
    "Message-ID: <h@dave.test>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/html; charset=uft-8\r\n\r\n"
    "<p>Is the <b>Caf\u00e9</b> closed?</p>\r\n"
).encode()


def customer_mail(
    subject: str = "The printer is on fire",
    sender: str = f"Carol <{CAROL}>",
    text: str = "Please help.",
    more: str = "",
) -> bytes:
    """Returns a mail to the tickets' address; `more` are further header lines.

    Equal parts make an equal mail.
    """
    digest = hashlib.sha256(f"{subject}{sender}{text}{more}".encode()).hexdigest()
    head = f"From: {sender}\r\nTo: {TICKETS}\r\nSubject: {subject}\r\n"
    head += f"Message-ID: <{digest[:12]}@customer.test>\r\n{more}"
    return f"{head}\r\n{text}\r\n".encode()


def message_id(mail: bytes) -> str:
    """Returns the Message-ID of a mail."""
    return mail.split(b"Message-ID: ")[1].split(b"\r\n")[0].decode()


# ── agents ───────────────────────────────────────────────────────────────────


class Agent:
    """A person who works on tickets in a browser. Each method is a cue.

    Times are in seconds after the beginning. In paths and fields, @1 is the number of Carol's first
    ticket.
    """

    def __init__(self, world: World, name: str) -> None:
        self.browser = world.browser(name)
        self._world = world

    def opens(self, at: float, path: str) -> list[Page]:
        """Opens a page; returns a list that will have it."""
        return self._does(at, lambda: self.browser.open(self._numbered(f"{SITE}{path}")))

    def posts(self, at: float, path: str, fields: dict[str, str]) -> list[Page]:
        """Sends a form that is on no page of the program."""
        return self._does(
            at, lambda: self.browser.open(self._numbered(f"{SITE}{path}"), "POST", fields)
        )

    def fills_in(self, at: float, path: str, act: str, **fields: str) -> list[Page]:
        """Opens a page, fills in its last form for something, and sends it."""

        def submit() -> Page:
            page = self.browser.open(self._numbered(f"{SITE}{path}"))
            actions = [form.action.rpartition("/")[2] for form in page.forms]
            places = [place for place, action in enumerate(actions) if action == act]
            numbered = {name: self._numbered(value) for name, value in fields.items()}
            return self.browser.submit(page, places[-1], **numbered) if places else page

        return self._does(at, submit)

    def _numbered(self, text: str) -> str:
        return numbered(self._world, text)

    def _does(self, at: float, act: Callable[[], Page]) -> list[Page]:
        answers: list[Page] = []
        self._world.clock.at(at, lambda: answers.append(act()))
        return answers


# ── make tickets ─────────────────────────────────────────────────────────────

PAUSE = 4.0  # seconds between two mails
PICTURE = "https://tracker.example/pixel.gif"  # which must not be loaded
PHOTO = """\
iVBORw0KGgoAAAANSUhEUgAAADAAAAAQCAIAAADfzGvmAAAAMklEQVR42mM4oGAwqBADEP9/cWCQ
oFEHUeIg5Hilhfiog0YdNOqgUQeNltRD2UGDCgEAw/hktwrO03cAAAAASUVORK5CYII="""  # a sign of 48 by 16 pixels
LETTER = f"""From: Dave <{DAVE}>
To: {TICKETS}
Cc: Carol <{CAROL}>
Subject: =?utf-8?q?Is_the_Caf=C3=A9_closed=3F?=
Message-ID: <cafe@dave.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/related; boundary=r

--r
Content-Type: text/html; charset=utf-8

<h2 style="color: #0b6">Is the Caf\u00e9 closed?</h2>
<iframe src="{PICTURE}"></iframe><p>There is a <b>sign</b>:
<img src="cid:sign@dave.test" alt="(a sign)"><script>alert(1)</script>
<img src="{PICTURE}" alt="(a picture)"></p>
--r
Content-Type: image/png; name="photo.png"
Content-ID: <sign@dave.test>
Content-Disposition: inline; filename="photo.png"
Content-Transfer-Encoding: base64

{PHOTO}
--r--
--b
Content-Type: text/plain
Content-Disposition: attachment; filename="sign.txt"

Back soon
--b--
""".replace("\n", "\r\n").encode()


def samples() -> list[bytes]:
    """Returns mails as customers write them. The last one answers the first."""
    first = customer_mail(text="It is the one on the second floor.\r\nPlease help!")
    reply = customer_mail(
        "Re: The printer is on fire",
        text="Water did not help.\r\n\r\nOn Monday, Tickets wrote:\r\n> A new ticket",
        more=f"In-Reply-To: {message_id(first)}\r\n",
    )
    script = customer_mail(
        "<script>alert(1)</script>", "Eve <eve@evil.example>", "<b>Let me in</b>"
    )
    return [first, LETTER, script, reply]


def trial(world: World) -> dict[str, Any]:
    """Lets sample mails arrive in `make tickets`, one by one, and returns settings for it."""
    for number, mail in enumerate(samples()):
        timer = threading.Timer(number * PAUSE, world.mail.deliver, (TICKETS, mail))
        timer.daemon = True
        timer.start()
    table = {"listen": "127.0.0.1:8026", "reply_to": "tickets+*@yourco.test", "poll": 1}
    return {"scenario": {"tickets": table}}


# ── the database ─────────────────────────────────────────────────────────────
# Read without the model: the printed listing has fewer tables and columns.


class StoredTicket(NamedTuple):
    """A row of the table `ticket`."""

    id: int
    owner: str
    subject: str
    text: str
    closed: int


class StoredResponse(NamedTuple):
    """A row of the table `response`."""

    ticket: int
    text: str
    new_text: str


def made_for(world: World, owner: str) -> list[Event]:
    """The log lines about tickets that were opened for a customer, as evidence."""
    return [event for event in told(world, "ticket ") if event.text.endswith(f"sender={owner}")]


def stored_tickets(folder: Path) -> list[StoredTicket]:
    """Returns every ticket, oldest first."""
    rows = _rows(folder, "SELECT id, owner, subject, text, closed FROM ticket ORDER BY id")
    return [StoredTicket(*row) for row in rows]


def stored_responses(folder: Path) -> list[StoredResponse]:
    """Returns every response, oldest first; none if the table does not exist."""
    if not _rows(folder, "SELECT name FROM sqlite_master WHERE name = 'response'"):
        return []
    rows = _rows(folder, "SELECT ticket_id, text, said FROM response ORDER BY id")
    return [StoredResponse(*row) for row in rows]


def numbered(world: World, text: str) -> str:
    """Returns a text with the numbers of Carol's tickets in the places of @1, @2 and so on."""
    ids = [ticket.id for ticket in stored_tickets(world.folder) if ticket.owner == CAROL]
    return re.sub(r"@([0-9])", lambda found: str([0, *ids, 0, 0, 0][int(found[1])]), text)


def close_tickets(folder: Path) -> None:
    """Closes every ticket, as an agent would."""
    with contextlib.closing(sqlite3.connect(folder / "tickets.sqlite3")) as db, db:
        db.execute("UPDATE ticket SET closed = 1")


def _rows(folder: Path, sql: str) -> list[tuple]:  # type: ignore[type-arg]
    with contextlib.closing(sqlite3.connect(folder / "tickets.sqlite3")) as db:
        return db.execute(sql).fetchall()

"""Workers of tickets that are killed, on one Dovecot mailbox and one PostgreSQL, behind a Postfix.

    with postgresql() as database, street(database) as town:
        Kills(town, seed=7, workers=2, folder=folder).play(points=4)

At each point mails arrive, and so many workers begin a round at the same time. Most of them are
killed, each at a step that the seed chooses: before or after bytes are written, or a commit. In
the end, each mail is one ticket with at most one answer, and an answer whose outcome is unknown is
listed as such.
"""

from __future__ import annotations

import contextlib
import email
import random
import signal
import smtplib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comms.clock import RealClock
from comms.host import RealHost
from comms.mailbox import open_mailbox
from comms.settings import Server
from scenarios.processing import tickets
from tests import drills
from tests.databases import rows
from tests.real import Authority, dovecot_mail, folder, postfix, wait_until

DESK, CUSTOMER = "tickets@yourco.test", "customer@customer.test"
PASSWORDS = {DESK: "desk secret", CUSTOMER: "customer's secret"}
STEPS = 90  # of a round with two mails; one with none has 30
SPARED = 0.25  # of the workers, which are not killed


@dataclass
class Town:
    """A Postfix that delivers to a Dovecot, and a database."""

    smtp: int
    imap: int
    database: str

    def settings(self) -> dict[str, Any]:
        """The settings of a worker."""
        common = {"host": "127.0.0.1", "tls": "none"}
        login = {"user": DESK, "password": PASSWORDS[DESK]}
        return {
            "smtp": {**common, "port": self.smtp},
            "imap": {**common, "port": self.imap, **login},
            "scenario": {"tickets": {"database": self.database, "sender": f"Tickets <{DESK}>"}},
        }

    def submit(self, numbers: list[int]) -> None:
        """Sends a mail of each of these customers to Postfix."""
        with smtplib.SMTP("127.0.0.1", self.smtp, "customer.test") as client:
            for number in numbers:
                sender = customer(number)
                head = f"From: {sender}\r\nTo: {DESK}\r\nSubject: number {number}\r\n"
                head += f"Message-ID: <{number}@customer.test>\r\n"
                # With a Date, because Postfix would add one, and a mail without is known by it.
                head += "Date: Mon, 5 Jan 2026 12:00:00 +0000\r\n"
                client.sendmail(sender, [DESK], f"{head}\r\nPlease help.\r\n".encode())

    def inbox(self, user: str) -> list[bytes]:
        """Returns the headers of the mails in a mailbox."""
        server = Server("imap", "127.0.0.1", self.imap, "none", user=user, password=PASSWORDS[user])
        with contextlib.closing(RealClock()) as clock:
            with open_mailbox(server, clock, RealHost()) as mailbox:
                return [mailbox.header(entry) for entry in mailbox.entries()]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Asks the database."""
        return rows(self.database, sql)


def customer(number: int) -> str:
    """The address of a customer; all have one mailbox."""
    return CUSTOMER.replace("@", f"+{number}@")


@contextlib.contextmanager
def street(database: str) -> Iterator[Town]:
    """Runs Postfix and Dovecot."""
    with folder() as place:
        with dovecot_mail(PASSWORDS, Authority(place)) as boxes:
            with postfix([*PASSWORDS], boxes.lmtp, by="lmtp:inet:127.0.0.1:") as (server, _, _):
                yield Town(server.port, boxes.imap, database)


@dataclass
class Kills:
    """A play: who was killed where, and what was left."""

    town: Town
    seed: int
    workers: int
    folder: Path
    killed: int = 0
    sent: int = 0  # mails
    unknown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def play(self, points: int) -> None:
        """Plays that many points, lets two workers do the rest, and looks. Raises AssertionError.

        What is wrong is named together with the seed.
        """
        for point in range(points):
            self._point(point)
        self._settle()
        problems = self.problems()
        assert not problems, f"SEED={self.seed}: {problems}"

    def _point(self, point: int) -> None:
        """Lets two mails arrive; with the first one, workers begin, most of whom do not end."""
        numbers = list(range(self.sent, self.sent + 2))
        self.sent += 2
        arriving = threading.Thread(target=self.town.submit, args=(numbers,))
        arriving.start()
        wait_until(lambda: self.town.inbox(DESK), f"SEED={self.seed}: a mail arrives")
        processes = []
        for worker in range(self.workers):
            spared = self._random.random() < SPARED
            # Early steps more often: a worker that finds others at the mailbox has few.
            at = 0 if spared else self._random.randint(1, self._random.randint(10, STEPS))
            place = self.folder / f"{worker}"
            place.mkdir(exist_ok=True)
            given = (at, tickets.__name__, self.town.settings(), place, place / "steps")
            processes.append(drills.forked(drills.perish, given))
        for process in processes:
            process.join(60)
        arriving.join()
        self.killed += sum(process.exitcode == -signal.SIGKILL for process in processes)

    def _settle(self) -> None:
        """Lets workers do the rest, undisturbed."""

        def done() -> bool:
            drills.together(2, tickets.__name__, self.town.settings(), self.folder)
            made = self.town.rows("SELECT count(DISTINCT owner) FROM ticket")[0][0]
            waits = self.town.rows("SELECT 1 FROM answer WHERE status NOT IN ('sent', 'unknown')")
            return made == self.sent and not waits and not self.town.inbox(DESK)

        wait_until(done, f"SEED={self.seed}: all mails are tickets", 60)
        sent = self.town.rows("SELECT count(*) FROM answer WHERE status = 'sent'")[0][0]
        wait_until(
            lambda: len(self.town.inbox(CUSTOMER)) >= sent, f"SEED={self.seed}: answers arrive", 60
        )

    def problems(self) -> list[str]:
        """Compares what the database says with what has come."""
        made = Counter(row[0] for row in self.town.rows("SELECT owner FROM ticket"))
        answers = dict(self.town.rows("SELECT address, status FROM answer"))
        got = Counter(str(email.message_from_bytes(raw)["To"]) for raw in self.town.inbox(CUSTOMER))
        self.unknown = sorted(who for who, status in answers.items() if status == "unknown")
        people = [customer(number) for number in range(self.sent)]
        found = {
            "not one ticket": [who for who in people if made[who] != 1],
            "two answers": [who for who in people if got[who] > 1],
            "sent, and not there": [
                who for who, status in answers.items() if status == "sent" and got[who] != 1
            ],
            "there, and not on record": [who for who in got if who not in answers],
            "of nobody": sorted({*made, *got} - {*people}),
        }
        return [f"{what}: {who}" for what, who in found.items() if who]

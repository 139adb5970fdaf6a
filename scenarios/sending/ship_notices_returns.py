"""What comes back to ship-notices: bounces, and mails of customers who want no more notices.

The envelope sender of each notice is another address, `returns+TOKEN@…`, so that even a bounce
that quotes nothing says whom it is about (variable envelope return paths). The same address is in
List-Unsubscribe (RFC 2369 §3.2). Nobody can guess a token: what is sent to it is about its notice.
"""

from __future__ import annotations

import contextlib
import re

from sqlalchemy import select

from comms import bounces, replies
from comms.clock import Clock, Interrupted
from comms.errors import Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.mailbox import Incoming, incoming, open_mailbox
from comms.read import Mail, read, with_any_sender
from comms.settings import Server
from scenarios.models import Tries, Worker
from scenarios.sending.ship_notices_model import Notice, suppress, unwanted

LARGEST = 1_000_000  # bytes; of a larger mail only the header is read
READING = 5.0  # seconds of computing that a mail may cost


class Returns:
    """The mailbox to which notices come back."""

    def __init__(
        self, server: Server, clock: Clock, host: Host, worker: Worker, tries: Tries
    ) -> None:
        self._server = server
        self._clock, self._host, self._worker, self._tries = clock, host, worker, tries

    def collect(self) -> None:
        """Takes what has come. A mailbox that cannot be read is logged: notices go out anyway."""
        place, stopping = self._server.account, self._clock.stopping
        try:
            with open_mailbox(self._server, self._clock, self._host) as mailbox:
                mails = incoming(mailbox, self._tries, place, LARGEST, self._host, stopping)
                with contextlib.closing(mails):
                    for item in mails:
                        self._take(item)
        except (Unreachable, TryLater, Refused, Unknown) as error:
            self._host.log("mailbox", "warning", trouble=error)
        suppress(self._worker)

    def _take(self, item: Incoming) -> None:
        """Takes one mail. What is about no notice stays in the mailbox, for a person."""
        item.leave_on_server = True
        if item.killed_us:
            return
        try:
            with self._clock.limit(READING):
                mail = with_any_sender(read(item.raw))
                token, (status, reason, for_good) = _token(mail), _meaning(mail)
        except Interrupted:
            return
        if not token or not status:
            return
        with self._worker.session() as db, db.begin():
            notice = db.scalar(select(Notice).where(Notice.token == token))
            if notice is None:
                return
            if status == "bounced":
                notice.status, notice.error = status, reason
            if for_good:
                unwanted(db, notice, reason, self._clock.time())
            self._host.log(f"notice-{status}", "warning", line=notice.line, trouble=reason)
        item.leave_on_server = False


def _token(mail: Mail) -> str:
    """Returns the token in the address that a mail was sent to, "" if there is none."""
    for address in (*replies.delivered_to(mail), *(to.address for to in mail.to)):
        if found := re.fullmatch(r"<?[^+@]*\+([A-Za-z0-9]+)@[^@]*", address):
            return found[1]
    return ""


def _meaning(mail: Mail) -> tuple[str, str, bool]:
    """Returns what a mail makes of its notice, why, and whether its address gets no other one.

    ("", "", False) if it is neither a bounce nor an unsubscription. A mailbox that is full today
    may have room for the next notice.
    """
    if found := bounces.verdict(mail):
        kind, reason = found
        return ("bounced", reason, kind == "hard") if kind in ("hard", "soft") else ("", "", False)
    if "unsubscribe" in mail.subject.casefold() and not replies.automatic_reply(mail):
        return "unsubscribed", "the customer has unsubscribed", True
    return "", "", False

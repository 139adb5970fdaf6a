"""The desk of secret-inbox: it hands out inboxes, changes them, and says which mail is for one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from comms import addresses, replies
from comms.commands import Order, Verb, normalized
from comms.compose import Message
from comms.host import Outcome
from comms.inboxes import ACTIONS, Inboxes, Issued
from comms.mail_program import MailProgram
from comms.read import Mail

NOTICE = """\
Send your commands to this address, and tell it to nobody:

  {address}

Only mail from {who} to it is obeyed; a command is the subject.

To change the address as planned (this one works for another {overlap}), open

  {rotate}

If it may be known to others, end it at once with

  {lost}

and send the mail that opens as it is. Each link works once.
"""


class Desk:
    """The inboxes of one run of a program. `admins` are their owners, as the settings write them.

    What a person is known by is case folded, which may be the address of another person.
    """

    def __init__(
        self, pattern: str, overlap: float, admins: Iterable[str], program: MailProgram
    ) -> None:
        self._program, self._overlap = program, overlap
        self._written = {admin.casefold(): admin for admin in admins}
        self._state, self._clock, self._host = program.state, program.clock, program.host
        self._inboxes = Inboxes(program.state, pattern, program.clock, program.host)

    def verbs(self) -> dict[str, Verb]:
        """Returns what the links order, which may also be sent to a secret inbox."""
        overlaps = {"rotate": self._overlap, "lost": 0.0}
        return {
            f"{verb} inbox": Verb(partial(self._change, overlaps[word]), "inbox", repeatable=True)
            for word, verb in ACTIONS.items()
        }

    def hand_out(self, admins: Iterable[str]) -> None:
        """Makes an inbox for each administrator who has none, and mails it. Raises StateError.

        Who has not got the last mail may not have got the address either, so that there is a new
        one: at the next start, when the owner has been told, and has mended what was wrong.

        So administrators who shared one inbox (as in mysql-by-mail) get theirs at the first start;
        the program for the shared one can run beside this one until all of them use it.
        """
        owners = self._inboxes.owners()
        for who in admins:
            if who not in owners:
                self._issue(who, 0.0)
            elif self._program.door.reachability.failed(who):
                self._issue(who, self._overlap)

    def _change(self, overlap: float, order: Order) -> Outcome:
        self._issue(order.who, overlap)
        until = f"works for another {_days(overlap)}" if overlap else "has ended"
        return Outcome(0, f"The new inbox comes in a mail of its own. The old one {until}.\n")

    def _issue(self, who: str, overlap: float) -> None:
        """Makes an inbox and queues the mail with it, in one transaction."""
        now = self._clock.time()
        with self._state.transaction() as db:
            issued = self._inboxes.issue(db, who, overlap)
            self._program.door.outbox.put(self._notice(issued), now, at_least_once=True, db=db)
            self._program.door.reachability.sent(db, who)
        self._host.log("inbox", who=who, number=issued.id, overlap=overlap)

    def _notice(self, issued: Issued) -> Message:
        to = addresses.parse_one(self._program.door.sender).address
        text = NOTICE.format(
            address=issued.address,
            who=issued.who,
            overlap=_days(self._overlap),
            rotate=self._inboxes.link("rotate", issued, to),
            lost=self._inboxes.link("lost", issued, to),
        )
        marks = [("Auto-Submitted", "auto-generated")]
        sender, owner = self._program.door.sender, self._written[issued.who]
        notice = Message(sender, [owner], "Your inbox for commands", text, headers=marks)
        return notice.stamped(self._clock, self._host)

    # ── mail ─────────────────────────────────────────────────────────────────

    def objection(self, mail: Mail) -> str:
        """Returns why a mail is neither for the inbox of its sender nor a link of his, or ""."""
        inbox = self._inboxes.find(replies.delivered_to(mail))
        if inbox is None:
            if normalized(mail.subject).split(" ")[0] not in ACTIONS:
                return "wrong inbox"
            return "" if self._linked(mail) else "a link that is not ours"
        if not inbox.open:
            count = self._inboxes.count_refused(inbox)
            self._host.log("inbox-revoked", "warning", number=inbox.id, who=inbox.who, mails=count)
            return "a revoked inbox"
        return "" if self._sender(mail) == inbox.who else "the inbox of another administrator"

    def commands_in(self, mail: Mail) -> list[str]:
        """Returns the command in a mail: its subject, or what a link orders."""
        action = self._linked(mail)
        return [f"{ACTIONS[action]} inbox" if action else mail.subject]

    def _linked(self, mail: Mail) -> str:
        return self._inboxes.signed(normalized(mail.subject), self._sender(mail))

    def _sender(self, mail: Mail) -> str:
        """Returns by what the sender of a mail is known."""
        key = mail.sender.key if mail.sender is not None else ""
        return next((who for who in self._written if addresses.comparable(who) == key), key)


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds >= 2 * 86400 else f"{seconds / 3600:.1f} hours"

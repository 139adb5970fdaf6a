"""The desk of services-by-mail: what its commands do, and the mails that wait for a moderator.

Orders run one at a time, and later ones wait, for at most `job_timeout`. An order is answered when
it has ended, and not before: one mail says all. No attachment is the input of a job, which takes
what it needs from where the administrators have put it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from comms.commands import Order, Verb
from comms.compose import Message
from comms.host import Outcome, OutcomeLike
from comms.mail_door import masked
from comms.mail_program import MailProgram
from comms.read import Mail
from comms.words import one_line

if TYPE_CHECKING:
    from scenarios.receiving.services_by_mail import Rules

TEXT = 20_000  # characters of a mail for a list
DRAFTS = 50  # that wait for a moderator; the oldest one makes room


class Desk:
    """The commands of one run of a program."""

    def __init__(self, rules: Rules, program: MailProgram) -> None:
        self._rules, self._program = rules, program
        self._state, self._clock, self._host = program.state, program.clock, program.host

    def verbs(self) -> dict[str, Verb]:
        """Returns what may be ordered. Commands about the same service or job never overlap."""
        rules = self._rules
        verbs = {
            f"{action} {name}": Verb(
                partial(self._control, action, unit),
                name,
                rules.timeout,
                confirm=action == "stop",
                repeatable=action == "status",
            )
            for name, unit in rules.services.items()
            for action in ("start", "stop", "restart", "status")
        }
        for name, line in rules.jobs.items():
            verbs[f"run {name}"] = Verb(line, name, rules.job_timeout)
        for name in rules.lists:
            verbs[f"mail {name}"] = Verb(partial(self._draft, name), "", repeatable=True)
        if rules.lists:
            verbs["approve NAME"] = Verb(self._approve, "")
        return verbs

    def rights(self) -> dict[str, list[str]]:
        """Returns who may use which commands; only moderators may approve."""
        verbs = [verb for verb in self.verbs() if verb != "approve NAME"]
        moderators = {*map(str.casefold, self._rules.moderators)}
        return {
            who: [*allowed, *(["approve NAME"] if who in moderators else [])]
            for who, allowed in self._rules.granted(verbs).items()
        }

    def facts(self, mail: Mail) -> Mapping[str, Any]:
        """Returns the text of a mail for a list, without what may not be seen."""
        if mail.subject.casefold().split()[:1] != ["mail"]:
            return {}
        subject, _, text = mail.text.strip().partition("\n")
        subject = one_line(masked(mail, subject))
        return {"_subject": subject[:200], "_text": masked(mail, text)[:TEXT]}

    # ── services ─────────────────────────────────────────────────────────────

    def _control(self, action: str, unit: str, order: Order) -> OutcomeLike:
        """Does something to a service, or says that it is already done."""
        if action in ("start", "stop"):
            found = self._host.run(("systemctl", "is-active", unit), self._rules.timeout)
            if found.code is None:
                why = f"nothing was done, because its state cannot be found out: {found.error}"
                return Outcome(None, "", found.seconds, why)
            # Exit status 3 also means that it is about to start, or to stop (systemctl(1)).
            moving = found.output.strip() in ("activating", "deactivating")
            state = {0: "running", 3: "moving" if moving else "stopped"}.get(found.code)
            wanted = "running" if action == "start" else "stopped"
            if state == wanted:
                return Outcome(0, f"{unit} is already {wanted}; nothing was done\n")
        return self._host.run(("systemctl", action, unit), self._rules.timeout)

    # ── mails to a list ──────────────────────────────────────────────────────

    def _draft(self, name: str, order: Order) -> Outcome:
        """Stores a mail, and asks the moderators."""
        subject, text = order.facts.get("_subject", ""), order.facts.get("_text", "")
        if not subject.strip() or not text.strip():
            what = "the first line of the text is the subject, the lines after it are the mail"
            return Outcome(None, "", 0.0, f"not sent: {what}")
        word, now = self._host.token(12), self._clock.time()
        draft = {"list": name, "who": order.who, "subject": subject, "text": text}
        drafts = {**(self._state.recall("drafts", {}) or {}), word: draft}
        with self._state.transaction() as db:
            self._state.remember(db, "drafts", dict([*drafts.items()][-DRAFTS:]))
            for moderator in self._rules.moderators:
                question = (
                    f"{order.who} has written to the list {name}. To send this, write to your "
                    f"inbox for commands with the subject: approve {word}\n\n"
                    f"Subject: {subject}\n\n{text}\n"
                )
                self._put(db, moderator, f"To be approved: {subject}", question, now)
        return Outcome(0, "It waits for a moderator.\n")

    def _approve(self, order: Order) -> Outcome:
        """Sends a mail that waits, once, to each address of its list."""
        word = order.verb.split()[1]
        drafts = dict(self._state.recall("drafts", {}) or {})
        draft = drafts.pop(word, None)
        if draft is None or draft["list"] not in self._rules.lists:
            return Outcome(None, "", 0.0, "no mail with this word waits")
        people, now = self._rules.lists[draft["list"]], self._clock.time()
        with self._state.transaction() as db:
            self._state.remember(db, "drafts", drafts)
            for address in people:
                self._put(db, address, draft["subject"], draft["text"], now)
        return Outcome(0, f"It goes to {len(people)} addresses.\n")

    def _put(self, db: Any, to: str, subject: str, text: str, now: float) -> None:
        # From the program, in plain text: nothing of the header of a request is in it.
        marks = [("Auto-Submitted", "auto-generated")]
        message = Message(self._program.door.sender, [to], subject, text, headers=marks)
        self._program.door.outbox.put(message.stamped(self._clock, self._host), now, db=db)

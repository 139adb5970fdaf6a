"""The desk of mail-to-webhook: takes mail out of the maildrop, posts it until it is accepted."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, select, true, update
from sqlalchemy.orm import Session

from comms.clock import Clock, Interrupted
from comms.errors import CommsError, Refused, RefusedNow, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.http import Answer, Client
from comms.ledger import keys
from comms.mailbox import Incoming, incoming, open_mailbox
from comms.numbers import number
from comms.read import Mail, read
from comms.settings import Settings
from comms.webhook import form, signed
from scenarios.models import Tries, Worker
from scenarios.processing.mail_to_webhook_model import Letter, Post, settle

if TYPE_CHECKING:
    from scenarios.processing.mail_to_webhook import Request, Rules

READING = 5.0  # seconds of computing that any mail may cost,
READING_SPEED = 1_000_000  # and bytes for which it may cost one second more
LONGEST = 86400.0  # seconds that a server may ask us to wait
KEPT = 30 * 86400.0  # seconds for which a mail that was posted is recognised if it comes again

Requests = Callable[["Rules", Mail], list["Request"]]


class Desk:
    """The work of one run.

    `requests` decides what a mail leads to, and `verdict` what the status of an answer means.
    """

    def __init__(
        self,
        rules: Rules,
        settings: Settings,
        clock: Clock,
        host: Host,
        worker: Worker,
        requests: Requests,
        verdict: Callable[[int], str],
    ) -> None:
        self._rules, self._clock, self._host, self._worker = rules, clock, host, worker
        self._requests, self._verdict = requests, verdict
        self._server = settings.mailbox("mail-to-webhook", rules.mailbox)
        self._client = client(rules, clock, host)
        self.died = 0  # posts that became dead letters

    # ── mail in ──────────────────────────────────────────────────────────────

    def collect(self, tries: Tries) -> int:
        """Stores the mail of the maildrop, then deletes it there. Raises Refused, StateError.

        Returns 0, or the exit code of the error that kept the mail from being collected.
        """
        try:
            with open_mailbox(self._server, self._clock, self._host) as mailbox:
                place, largest = self._server.account, self._rules.largest
                stopping = self._clock.stopping
                mails = incoming(mailbox, tries, place, largest, self._host, stopping)
                # Closed at once after an error, while the attempts can still be stored.
                with contextlib.closing(mails):
                    for item in mails:
                        self._take(item)
        except (Unreachable, TryLater, Refused, Unknown) as error:
            self._host.log("mailbox", "warning", trouble=error)
            if isinstance(error, Refused) and not isinstance(error, RefusedNow):
                raise  # a wrong password does not become right by waiting
            return error.exit_code
        return 0

    def _take(self, item: Incoming) -> None:
        """Stores a mail with a post for each recipient that fits a mapping, or as a dead letter."""
        reason, wanted = item.problem, []
        identity = hashlib.sha256(item.raw).hexdigest()
        try:
            if not item.problem:
                with reading(self._clock, item.raw):
                    mail = read(item.raw)
                    identity = keys(mail)[-1]
                    wanted = self._requests(self._rules, mail)
                    reason = "" if wanted else "no recipient fits a mapping"
        except Interrupted as error:
            if self._clock.stopping():
                item.leave_on_server = True  # it is read after the restart
                return
            reason = f"it cannot be read: {error}"
        # Of a mail that is too large we only have the header.
        item.leave_on_server = bool(item.problem) and not item.killed_us
        try:
            self._store(item, identity, wanted, reason)
        except CommsError:
            raise
        except Exception:
            item.blameless = True  # a failure of ours: the mail stays in the maildrop
            raise

    def _store(self, item: Incoming, identity: str, wanted: list[Request], reason: str) -> None:
        with self._worker.session() as db, db.begin():
            letter = None if item.leave_on_server else Letter(raw=item.raw)
            self._add(db, letter, identity, wanted, reason)
            now = self._clock.time()
            done = Post.status.in_(("posted", "dropped"))
            db.execute(delete(Post).where(done, Post.due < now - KEPT))

    def _add(
        self,
        db: Session,
        letter: Letter | None,
        identity: str,
        wanted: list[Request],
        reason: str = "",
    ) -> None:
        """Adds a post for each request that is not known, or a dead one without a recipient."""
        places = [(to, str(url), url.origin) for to, url in wanted]
        for recipient, url, origin in places or [("", "", "")]:
            # Computed, so that it is the same even if the database is lost.
            event = hashlib.sha256(f"{identity} {recipient}".encode()).hexdigest()[:32]
            if db.scalar(select(Post.id).where(Post.event == event)) is not None:
                continue
            post = Post(event=event, recipient=recipient, url=url, origin=origin)
            post.made = post.due = self._clock.time()
            if letter is not None:
                db.add(letter)
                db.flush()
                post.letter = letter.id
            if reason:
                post.status, post.error = "dead", reason
                self._run_after(post, reason)
                self._note(post, reason)
            db.add(post)

    # ── posts out ────────────────────────────────────────────────────────────

    def deliver(self) -> None:
        """Posts what is due. A server that does not answer is left alone until the next round."""
        away: set[str] = set()
        # No pause is longer than the longest: what is due later was put by a wrong clock.
        now, longest = self._clock.time(), max((*self._rules.retry, LONGEST))
        late = update(Post).where(Post.status == "waiting", Post.due > now + longest)
        with self._worker.session() as db, db.begin():
            db.execute(late.values(due=now))
        while not self._clock.stopping():
            now = self._clock.time()
            post = self._worker.claim(Post, now, Post.origin.not_in(away))
            if post is None:
                break
            try:
                self._settle(post, *self._posted(post))
            except (Unreachable, Unknown) as error:
                away.add(post.origin)
                if self._clock.stopping():
                    post.status, post.tries = "waiting", post.tries - 1
                    self._worker.store(post)
                else:
                    self._try_later(post, str(error))

    def _posted(self, post: Post) -> tuple[str, str, float]:
        """Posts a mail. Returns the verdict, the reason, and how long to wait at least.

        Raises Unreachable, Unknown.
        """
        rules, now = self._rules, self._clock.time()
        with self._worker.session() as db:
            letter = db.get(Letter, post.letter)
        if letter is None:
            return "dead", "the mail is not here", 0.0
        if post.tries > len(rules.retry) + 1:  # a failure would have ended the attempts before
            return "dead", f"the program has died on it {post.tries - 1} times", 0.0
        if rules.before:
            outcome = self._host.run(rules.before, rules.timeout, letter.raw)
            if outcome.code == 1:
                return "dropped", "before: exit status 1", 0.0
            if outcome.code != 0:  # it has failed, which says nothing about the mail
                return "waiting", f"before: {outcome.error or f'exit status {outcome.code}'}", 0.0
        try:
            with reading(self._clock, letter.raw):
                type, body = self._form(post, read(letter.raw))
        except Interrupted as error:
            if self._clock.stopping():
                raise Unreachable(str(error)) from None
            return "dead", f"it cannot be read: {error}", 0.0
        headers = {"Content-Type": type, **signed(rules.secret, post.event, now, body)}
        try:
            answer = self._client.post(post.url, body, headers)
        except Refused as error:
            return "dead", str(error), 0.0
        return self._verdict(answer.status), str(answer), _pause(answer, now)

    def _form(self, post: Post, mail: Mail) -> tuple[str, bytes]:
        """Returns the Content-Type and the body of a request: the same bytes each time."""
        found: dict[str, list[str]] = {}
        for name, value in mail.headers:
            found.setdefault(name.lower(), []).append(value)
        fields = [
            ("subject", mail.subject),
            ("to", post.recipient),
            ("from", str(mail.sender) if mail.sender else mail.get("from")),
            ("body", mail.text),
            ("html", mail.html or ""),
            *(("emails", address.address) for address in (*mail.to, *mail.cc)),
            ("headers", json.dumps(found)),
        ]
        files = [("attachments", attachment) for attachment in mail.attachments]
        return form(fields, files, post.event)

    def _settle(self, post: Post, status: str, reason: str, pause: float = 0.0) -> None:
        if status == "waiting":
            self._try_later(post, reason, pause)
            return
        post.status, post.error = status, "" if status == "posted" else reason
        self._run_after(post, reason)
        with self._worker.session() as db, db.begin():
            settle(db, post)
        self._note(post, reason)

    def _run_after(self, post: Post, reason: str) -> None:
        """Runs the command that reads what became of a mail.

        Called before that is stored: a program that is killed in between runs it again.
        """
        if self._rules.after:
            facts = {"event": post.event, "to": post.recipient, "status": post.status}
            input = json.dumps({**facts, "reason": reason}).encode()
            self._host.run(self._rules.after, self._rules.timeout, input)

    def _try_later(self, post: Post, reason: str, pause: float = 0.0) -> None:
        """Schedules the next attempt, in `pause` seconds at least; after the last it is dead."""
        retry = self._rules.retry
        if post.tries > len(retry):
            self._settle(post, "dead", f"given up after {post.tries} attempts: {reason}")
            return
        post.status, post.error = "waiting", reason
        post.due = self._clock.time() + max(retry[post.tries - 1], pause)
        self._worker.store(post)
        self._note(post, reason)

    def _note(self, post: Post, reason: str) -> None:
        self.died += post.status == "dead"
        level = "info" if post.status in ("posted", "dropped") else "warning"
        facts = {"to": post.recipient, "answer": reason, "id": post.event}
        self._host.log(f"mail-{post.status}", level, **facts)

    # ── dead letters ─────────────────────────────────────────────────────────

    def replay(self) -> None:
        """Lets dead letters be tried again, as the settings say, with the mappings of today."""
        events = self._rules.replay
        chosen = true() if "all" in events else Post.event.in_(events)
        dead = select(Post).where(Post.status == "dead", Post.letter.is_not(None), chosen)
        with self._worker.session() as db, db.begin():
            for post in list(db.scalars(dead)):
                letter = db.get(Letter, post.letter)
                assert letter is not None
                with contextlib.suppress(Interrupted), reading(self._clock, letter.raw):
                    mail = read(letter.raw)
                    wanted = self._requests(self._rules, mail)
                    self._host.log("mail-replayed", to=post.recipient, id=post.event)
                    if wanted and not post.recipient:
                        # It was never posted: now that its recipients are known, each is an event.
                        db.delete(post)
                        self._add(db, letter, keys(mail)[-1], wanted)
                    elif url := dict(wanted).get(post.recipient):
                        post.url, post.origin = str(url), url.origin
                        post.status, post.tries, post.due = "waiting", 0, self._clock.time()


def client(rules: Rules, clock: Clock, host: Host) -> Client:
    """Returns the HTTP client that the settings describe."""
    return Client(
        clock,
        host,
        timeout=rules.timeout,
        allow=rules.allow,
        redirects=rules.redirects,
        ca_file=rules.ca_file,
    )


def reading(clock: Clock, raw: bytes) -> contextlib.AbstractContextManager[None]:
    """Limits how long the block may compute about a mail; it raises Interrupted after that."""
    return clock.limit(READING + len(raw) / READING_SPEED)


def _pause(answer: Answer, now: float) -> float:
    """Returns how many seconds a server wants us to wait (the field Retry-After)."""
    text = answer.headers.get("retry-after", "").strip()
    if (seconds := number(text)) is None:
        try:
            seconds = int(parsedate_to_datetime(text).timestamp() - now)
        except (ValueError, TypeError, OverflowError, IndexError):
            return 0.0
    return min(max(float(seconds), 0.0), LONGEST)


def rehearse(rules: Rules, settings: Settings, clock: Clock, host: Host, requests: Requests) -> int:
    """Says what would be posted where. Posts, stores and deletes nothing. Raises CommsError."""
    server = settings.mailbox("mail-to-webhook", rules.mailbox)
    with open_mailbox(server, clock, host) as mailbox:
        for entry in mailbox.entries():
            try:
                raw = mailbox.fetch(entry, rules.largest)
                with reading(clock, raw):
                    mail = read(raw)
                    wanted = requests(rules, mail)
            except (Refused, TryLater, Interrupted) as error:
                host.say(f"mail {entry.number}: cannot be read: {error}")
                continue
            for recipient, url in wanted:
                host.say(f"mail {entry.number}, to {recipient}: would be posted to {url}")
            if not wanted:
                host.say(f"mail {entry.number}: no recipient fits a mapping")
    return 0

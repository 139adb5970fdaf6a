"""The mail store under SMTP, POP3 and IMAP: who owns an address, the mail, reports to senders.

This is the servers' side. A test uses `world.mail` (fakes/world_mail.py), which builds on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from itertools import islice
from sys import intern
from typing import NamedTuple

from fakes.arrivals import counted
from fakes.dsn import DeliveryStatus, build_report, requested
from fakes.folders import USES, Folders
from fakes.greylist import Greylist
from fakes.keep import EVERYTHING, PER_MAIL, Keep
from fakes.mail import Envelope, Mail, Recipient
from fakes.mail_header import find_empty_line
from fakes.maildrop import Maildrop, Row
from fakes.people import People, Person

_RETURN_PATH = re.compile(rb"Return-Path:", re.I)


def _nothing(*_: object) -> None:
    pass


class StoreFaults(NamedTuple):
    """Failures inside the store: one of the four ways to make a server misbehave.

    1. A fault (fakes/faults) breaks one exchange on the wire.
    2. A policy (`Policy` in smtp.py, pop3.py …) chooses a behaviour where the RFC allows several.
    3. A drill is a failure with a name, which is played in a rehearsal. Most are made of faults.
    4. A store fault, described here, corrupts what is stored, which no fault on the wire can do.
       The drills `duplicate-delivery` and `pop-uidl-reused` set `faults` of the store.

    The callbacks are called on the loop's thread each time the failure happens.
    """

    duplicate_for: str = ""  # the address of the maildrop that gets each mail twice
    on_duplicate: Callable[[], None] = _nothing
    reuse_uids: bool = False  # a maildrop that becomes empty counts its unique ids from 1 again
    on_reuse: Callable[[], None] = _nothing


_NO_FAULTS = StoreFaults()


class Plan(NamedTuple):
    """What becomes of a message, before it is stored."""

    statuses: list[DeliveryStatus]  # for each recipient, in order
    copies: dict[str, str]  # the address of each maildrop → the recipient that reached it first

    @property
    def fails(self) -> bool:
        """Whether no recipient can get the message."""
        return not self.copies and all(status.action == "failed" for status in self.statuses)


class Mailstore:
    """All mail of a world. Everything here is called on the loop's thread.

    `domains` are those whose mail ends here; the first one completes addresses without a domain.
    In `catch_all` domains ("*": in all) every address exists, each with its own maildrop. With
    `trap`, every address of any domain reaches the first account. `keep` limits what is stored;
    `on_drop` is called with a sentence when something is dropped.
    """

    __slots__ = (
        "_first_uid",
        "_folders",
        "_greylist",
        "_keep",
        "_maildrops",
        "_number",
        "_on_drop",
        "_pending",
        "_trap",
        "_uidvalidity",
        "_unowned",
        "catch_all",
        "domains",
        "faults",
        "host",
        "now",
        "on_acknowledged",
        "on_received",
        "people",
    )

    def __init__(
        self,
        people: People,
        *,
        domains: Iterable[str] = ("example.test",),
        catch_all: Iterable[str] = (),
        trap: bool = False,
        now: Callable[[], float] = lambda: 0.0,
        keep: Keep = EVERYTHING,
        on_drop: Callable[[str], None] = _nothing,
    ) -> None:
        self.people = people
        # Interned, like the addresses of people.
        self.domains = tuple(dict.fromkeys(intern(domain.casefold()) for domain in domains))
        self.catch_all = tuple(domain.casefold() for domain in catch_all)
        self._trap = trap
        self.host = intern(f"mail.{self.domains[0]}")
        self.now = now
        self.faults = _NO_FAULTS
        # Called with each message that a client has sent, before it is stored: OSError refuses it.
        self.on_received: Callable[[Mail], None] = _nothing
        # Set by the test's side: called with a message, and with the reports that it caused.
        self.on_acknowledged: Callable[..., None] = _nothing
        self._keep, self._on_drop = keep, on_drop
        self._greylist: Greylist | None = None
        self._maildrops: dict[str, Maildrop] = {}  # the INBOX of each account
        self._folders: dict[str, Folders] = {}  # of the accounts that needed more than that
        self._uidvalidity = 0  # the last one that was given to a folder
        # Those that nobody owns, if there is a limit of them: the one that got no mail for the
        # longest time first.
        self._unowned: dict[str, None] = {}
        self._first_uid = 1  # of a new maildrop: no unique id of a dropped one may be used again
        self._pending: dict[Mail, list[DeliveryStatus]] = {}  # to be reported after the 250
        self._number = 0  # the last one of a report, or of a delivery that no client made

    def __repr__(self) -> str:
        maildrops = self.maildrops
        mails = sum(len(maildrop.rows) for maildrop in maildrops)
        return f"<Mailstore {counted(len(maildrops), 'maildrop')}, {counted(mails, 'mail')}>"

    # ── addresses ────────────────────────────────────────────────────────────

    def is_local(self, domain: str) -> bool:
        """Whether mail for this domain ends here."""
        return domain.casefold() in self.domains or self._catches_all(domain)

    def _catches_all(self, domain: str) -> bool:
        return "*" in self.catch_all or domain.casefold() in self.catch_all

    def owners(self, address: str) -> list[Person] | None:
        """The people whose maildrops an address reaches.

        Returns [] for an unknown address, and None for an address of another domain.
        """
        if self._trap:
            return [next(iter(self.people))]
        address = address if "@" in address else f"{address}@{self.domains[0]}"
        domain = address.rpartition("@")[2]
        if not self.is_local(domain):
            return None
        owners = self.people.reached_by(address)
        if not owners and self._catches_all(domain):
            return [Person(address.casefold())]
        return owners

    @property
    def greylist(self) -> Greylist:
        """Which triples have been seen. It is made when it is first used."""
        if self._greylist is None:
            self._greylist = Greylist(self._keep.greylist, self._on_drop)
        return self._greylist

    # ── maildrops ────────────────────────────────────────────────────────────

    @property
    def maildrops(self) -> list[Maildrop]:
        """Every maildrop that has been needed so far."""
        return list(self._maildrops.values())

    def maildrop(self, address: str) -> Maildrop:
        """The maildrop of an account. It is created when it is first needed."""
        key = address.casefold()
        if key not in self._maildrops:
            if self._keep.maildrops is not None and self.people.find(address) is None:
                if len(self._unowned) >= self._keep.maildrops:
                    self._drop_unowned(self._keep.maildrops)
                self._unowned[key] = None
            self._maildrops[key] = Maildrop(
                address,
                next_uid=self._first_uid,
                uidvalidity=self._next_uidvalidity(),
                recent_from=self._first_uid,
            )
        return self._maildrops[key]

    def folders(self, address: str) -> Folders:
        """The folders of an account. They are created when they are first needed."""
        key, inbox = address.casefold(), self.maildrop(address)
        found = self._folders.get(key)
        if found is None or found.inbox is not inbox:
            person = self.people.find(address)
            names = person.folders if person is not None and person.folders is not None else USES
            found = self._folders[key] = Folders(inbox, names, self._next_uidvalidity)
        return found

    def _next_uidvalidity(self) -> int:
        # One counter for all, so that a folder that is made again differs (RFC 3501 §6.3.4).
        self._uidvalidity += 1
        return self._uidvalidity

    def stored(self) -> tuple[Maildrop | Folders, ...]:
        """Returns a copy of the maildrops and folders. No session uses one of the copies."""
        return tuple(
            self._copied(self._folders[key]) if key in self._folders else maildrop.copy()
            for key, maildrop in self._maildrops.items()
        )

    def restore(self, stored: Iterable[Maildrop | Folders]) -> None:
        """Puts mail of another world in the place of that of the same addresses."""
        for one in stored:
            if isinstance(one, Folders):
                found = self._copied(one)
                self._folders[found.inbox.address.casefold()], inbox = found, found.inbox
                maildrops = [*found.maildrops]
            else:
                inbox = one.copy()
                maildrops = [inbox]
            self._maildrops[inbox.address.casefold()] = inbox
            highest = max(maildrop.uidvalidity for maildrop in maildrops)
            self._uidvalidity = max(self._uidvalidity, highest)

    def _copied(self, folders: Folders) -> Folders:
        return folders.copy(folders.inbox.copy(), self._next_uidvalidity)

    def full(self, owner: Person, size: int) -> bool:
        """Whether `size` more bytes would exceed the quota of an account."""
        quota = owner.quota
        return quota is not None and self.size(owner.address) + size > quota

    def size(self, address: str) -> int:
        """Bytes of mail in all folders of an account."""
        folders = self._folders.get(address.casefold())
        return folders.size if folders is not None else self.maildrop(address).size

    def with_room(self, owners: Iterable[Person], size: int) -> list[Person]:
        """Those of these people whose quota has room for `size` more bytes."""
        return [owner for owner in owners if owner.quota is None or not self.full(owner, size)]

    def remove(self, address: str, rows: Iterable[Row]) -> None:
        """Removes rows from a maildrop for good. Rows that it no longer holds are ignored."""
        maildrop, uids = self.maildrop(address), {row.uid for row in rows}
        maildrop.remove(uids)
        if self.faults.reuse_uids and uids and not maildrop.rows:
            maildrop.next_uid = maildrop.recent_from = 1
            self.faults.on_reuse()

    def purge(self) -> None:
        """Empties all maildrops. Their unique ids go on counting."""
        for maildrop in self._maildrops.values():
            maildrop.clear()
        for folders in self._folders.values():
            for maildrop in folders.maildrops:
                maildrop.clear()

    # ── delivery ─────────────────────────────────────────────────────────────

    def plan(self, mail: Mail) -> Plan:
        """Finds what becomes of a message for each of its recipients, and who gets a copy.

        It fails for a local recipient if the address is unknown, or if every maildrop that it
        reaches is full. A maildrop that several recipients reach gets one copy. Recipients of other
        domains count as relayed.
        """
        statuses: list[DeliveryStatus] = []
        copies: dict[str, str] = {}
        size = len(mail.raw)
        for recipient in mail.envelope.recipients:
            address = recipient.address
            owners = self.owners(address)
            reached = self.with_room(owners or (), size)
            action, status, reply = "delivered", "2.1.5", "250 2.1.5 Recipient OK"
            if owners is None:
                action = "relayed"
            elif not owners and not is_postmaster(address):
                reply = f"550 5.1.1 No such mailbox here: <{address}>"
                action, status = "failed", "5.1.1"
            elif owners and not reached:
                action, status, reply = "failed", "5.2.2", "552 5.2.2 Mailbox full"
            else:
                for owner in reached:
                    copies.setdefault(owner.address, address)
            statuses.append(DeliveryStatus(recipient, action, status, reply))
        return Plan(statuses, copies)

    def accept(self, mail: Mail, plan: Plan | None = None) -> None:
        """Puts a message into the maildrops that its recipients reach.

        `plan` is that of the message, if the caller has it already. Reports to the sender wait
        until the message has been acknowledged.
        """
        plan = plan or self.plan(mail)
        for address, recipient in plan.copies.items():
            self._put(address, recipient, mail)
        self._pending[mail] = requested(plan.statuses)

    def acknowledged(self, mail: Mail) -> None:
        """Called when the 250 has been written: now the test may see the message.

        Earlier would be wrong, because only the 250 means that the message is stored (RFC 5321
        §6.1). The sender gets its reports now, too: one for each kind of outcome.
        """
        statuses = self._pending.pop(mail, [])
        reports = []
        for action in ("failed", "relayed", "delivered") if statuses else ():
            alike = [status for status in statuses if status.action == action]
            report = self.report(mail, alike) if alike else None
            if report is not None:
                reports.append(report)
        self.on_acknowledged(mail, *reports)

    def report(self, mail: Mail, statuses: list[DeliveryStatus]) -> Mail | None:
        """Delivers a report about a message to its sender and returns it.

        Returns None if the sender did not request one (NOTIFY), or is `<>` (RFC 5321 §6.1).
        """
        statuses = requested(statuses)
        sender = mail.envelope.sender
        if not statuses or not sender:
            return None
        number = f"{self._next_number()}.{mail.queue_id or 'direct'}"
        params = mail.envelope.params
        raw = build_report(
            mail.raw, sender, params, statuses, self.host, mail.at, self.now(), number
        )
        international = {"SMTPUTF8": None} if "SMTPUTF8" in params else {}
        envelope = Envelope("", (Recipient(sender),), international, self.host)
        report = Mail(raw, envelope, self.now(), number)
        self.accept(report)
        del self._pending[report]  # a report, whose sender is <>, causes no further report
        return report

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _put(self, address: str, recipient: str, mail: Mail) -> None:
        maildrop, body = self.maildrop(address), _without_return_path(mail.raw)
        maildrop.append(self._trace(mail, recipient), body, mail)
        if address == self.faults.duplicate_for:
            maildrop.append(self._trace(mail, recipient), body, mail)
            self.faults.on_duplicate()
        self.limit(maildrop)
        key = address.casefold()
        if key in self._unowned:
            del self._unowned[key]
            self._unowned[key] = None

    def limit(self, folder: Maildrop, new: int = 1) -> None:
        """Drops the oldest mails of a folder that has more than may be kept.

        It has just got `new` mails, which stay. What then remains is nine tenths of the limit.
        """
        limit = self._keep.mail
        if limit is None:
            return
        rows = folder.rows
        used = folder.size + len(rows) * PER_MAIL
        if used <= limit:
            return
        excess, uids = used - limit * 9 // 10, set()
        for row in islice(rows, len(rows) - new):
            if excess <= 0:
                break
            excess -= row.size + PER_MAIL
            uids.add(row.uid)
        if uids:
            folder.remove(uids)
            self._on_drop(
                f"{folder.address}: dropped {counted(len(uids), 'mail')}, the oldest ones, "
                f"because keep.mail is {limit:,} bytes"
            )

    def _drop_unowned(self, limit: int) -> None:
        """Drops a tenth of the maildrops that nobody owns, and that no session uses now.

        Those without mail are the first.
        """
        unused = [
            key for key in self._unowned if self.people.find(key) is None and not self._in_use(key)
        ]
        unused.sort(key=lambda key: self.size(key) > 0)  # stable: otherwise as they are
        dropped = unused[: limit // 10 + 1]
        for key in dropped:
            del self._unowned[key]
            self._folders.pop(key, None)
            self._first_uid = max(self._first_uid, self._maildrops.pop(key).next_uid)
        if dropped:
            self._on_drop(
                f"dropped {counted(len(dropped), 'maildrop')} that nobody owns, the empty ones "
                f"and those without new mail first, because keep.maildrops is {limit:,}"
            )

    def _in_use(self, key: str) -> bool:
        inbox, folders = self._maildrops[key], self._folders.get(key)
        maildrops = [inbox] if folders is None else folders.maildrops
        return inbox.holder is not None or any(maildrop.followers for maildrop in maildrops)

    def _trace(self, mail: Mail, recipient: str) -> bytes:
        """The trace lines of the final delivery (RFC 5321 §4.4)."""
        envelope = mail.envelope
        # With several recipients there is no FOR: it would show a blind-copy recipient to the
        # others (RFC 5321 §7.2).
        for_path = f"\r\n\tfor <{recipient}>" if len(envelope.recipients) == 1 else ""
        number = mail.queue_id or self._next_number()
        peer = f"IPv6:{envelope.peer}" if ":" in envelope.peer else envelope.peer
        return (
            f"Return-Path: <{envelope.sender}>\r\n"
            f"Delivered-To: {recipient}\r\n"
            f"Received: from {envelope.helo or 'unknown'} ([{peer}])\r\n"
            f"\tby {self.host} with {envelope.protocol} id {number}{for_path};\r\n"
            f"\t{_date(int(mail.at))}\r\n"
        ).encode()


def is_postmaster(address: str) -> bool:
    """Whether mail to an address of ours is always accepted, without an account (RFC 5321 §4.5.1).

    Without an account, nobody gets it.
    """
    return address.casefold().partition("@")[0] == "postmaster"


@lru_cache(2)  # mails come in quick succession, and formatting a date costs as much as a reply
def _date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def _without_return_path(raw: bytes) -> bytes:
    """The message without Return-Path: the final delivery adds the only one (RFC 5321 §4.4)."""
    head = raw[: find_empty_line(raw)[0]]
    # Nearly no message has the line, and splitting each header into lines would be slow.
    if b"return-path" not in head.lower():
        return raw
    lines = re.split(rb"(?<=\n)(?![ \t])", head)
    kept = b"".join(line for line in lines if not _RETURN_PATH.match(line))
    return kept + raw[len(head) :]

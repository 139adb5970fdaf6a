"""The mail of a world, as a test sees it. `world.mail` is this.

world.mail.wait_for(subject="hello", to="bob@example.test")  # see fakes/arrivals.py
world.mail.inbox("alice@example.test")                      # the maildrop, as mails
world.mail.deliver("alice@example.test", b"Subject: hi\\r\\n\\r\\n")
world.mail.bounce(mail)                                     # a report to its sender
world.mail.folder("alice@example.test", "Trash")            # as IMAP has it, with flags
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from email.message import EmailMessage
from typing import TYPE_CHECKING

from fakes.arrivals import Arrivals, Search, counted, is_like
from fakes.bridge import Bridge
from fakes.dsn import ACTIONS, DeliveryStatus
from fakes.folders import Folders
from fakes.history import Snapshot
from fakes.mail import Envelope, Mail, Recipient, message_bytes
from fakes.maildrop import Follower, Maildrop
from fakes.mailstore import Mailstore
from fakes.people import Person
from fakes.suggest import nearest
from fakes.world_folder import WorldFolder

if TYPE_CHECKING:
    from pathlib import Path


def _subject(mail: Mail, wanted: str) -> str:
    return "" if is_like(mail.subject, wanted) else f"subject is {mail.subject!r}"


def _to(mail: Mail, wanted: str) -> str:
    addresses = mail.envelope.to
    if any(is_like(address, wanted) for address in addresses):
        return ""
    return f"to is {', '.join(addresses)}"


def _sender(mail: Mail, wanted: str) -> str:
    senders = [mail.envelope.sender, mail.sender, *mail.headers.addresses("from")]
    if any(is_like(sender, wanted) for sender in senders):
        return ""
    return f"sender is {mail.sender or mail.envelope.sender or '<>'}"


def _text(mail: Mail, wanted: str) -> str:
    # Line breaks are where a mailer puts them, so they count as spaces here.
    text = " ".join(mail.text.split())
    if " ".join(wanted.split()) in text:
        return ""
    return f"text is {text if len(text) <= 60 else text[:60] + '…'!r}"


def _short(address: str) -> str:
    """Returns an address without the middle of a long local part, which may be a secret."""
    local, at, domain = address.rpartition("@")
    return f"{local[:4]}…{at}{domain}" if len(local) > 12 else address


def _summary(mail: Mail) -> str:
    """Returns the subject, and who the mail says it is from if that is another."""
    # An encoded word may contain a line break, and an event is one line.
    subject = " ".join(mail.subject.splitlines())
    summary = f'"{subject or "(no subject)"}"'
    if mail.headers.addresses("from") not in ([mail.envelope.sender], []):
        summary += f" (From: {mail.sender})"
    return summary


# The keywords of `wait_for` and the other waits.
CRITERIA = {"subject": _subject, "to": _to, "sender": _sender, "text": _text}


class WorldMail(Arrivals[Mail]):
    """The messages that were accepted, in order, and ways to look at and change what is stored.

    Waits take keywords besides a predicate. `subject`, `to` (a recipient of the envelope) and
    `sender` (in the From header or the envelope) are the whole, or a glob such as "Order *"; `text`
    is a part of the text. A message counts as accepted once its client has been sent the 250. All
    methods may be called from any thread.
    """

    __slots__ = ("_relayed", "_tell", "on_arrival", "store")

    def __init__(
        self,
        store: Mailstore,
        bridge: Bridge | None = None,
        tell: Callable[[str, str], None] = lambda who, text: None,
    ) -> None:
        """`tell` records what a person does."""
        super().__init__(bridge or Bridge(), "mail", criteria=CRITERIA)
        self.store = store
        self.on_arrival: Callable[[int | None, Mail], None] | None = None
        self._tell = tell
        self._relayed: Search[Mail] | None = None  # made when they are first asked for
        store.on_acknowledged = self.add_arrival

    def __repr__(self) -> str:
        mails, maildrops = len(self.all), len(self.store.maildrops)
        return f"<WorldMail {counted(mails, 'mail')}, {counted(maildrops, 'maildrop')}>"

    def add_arrival(self, *arrivals: Mail) -> None:
        super().add_arrival(*arrivals)
        if self.on_arrival is not None:
            first = self._arrivals.end - len(arrivals) if self._arrivals.limit != 0 else None
            for at, mail in enumerate(arrivals):
                self.on_arrival(None if first is None else first + at, mail)

    # ── looking ──────────────────────────────────────────────────────────────

    @property
    def messages(self) -> Sequence[Mail]:
        """Every message accepted so far, in order."""
        return self.all

    @property
    def relayed(self) -> Sequence[Mail]:
        """The messages accepted for at least one recipient of another domain."""

        def look() -> Sequence[Mail]:
            # Of a limited record, the search would go on keeping what was dropped.
            if self._relayed is None or self._arrivals.limit is not None:
                self._relayed = Search(self, 0, self._query(self._leaves, {}, 0, "relayed"))
            return Snapshot(self._relayed() or [])

        return self._bridge.call(look)

    def _leaves(self, mail: Mail) -> bool:
        return any(self.store.owners(address) is None for address in mail.envelope.to)

    def inbox(self, address: str) -> list[Mail]:
        """The mails in a maildrop now, oldest first, with the server's trace lines on top.

        An alias of one person names that person's maildrop. Raises LookupError if no account has
        the address, or several have it.
        """

        def read() -> list[Mail]:
            found = [(row.raw, row.mail) for row in self._owned(address).rows]
            return [Mail(raw, mail.envelope, mail.at, mail.queue_id) for raw, mail in found]

        return self._bridge.call(read)

    def maildrop(self, address: str) -> Maildrop:
        """The maildrop itself, for its unique ids, its size and the session that holds it.

        Raises LookupError like `inbox`.
        """
        return self._bridge.call(lambda: self._owned(address))

    def folders(self, address: str) -> list[str]:
        """The names of the folders of an account: INBOX first, then in order.

        Raises LookupError like `inbox`.
        """
        return self._bridge.call(lambda: list(self._folders(address)))

    def folder(self, address: str, name: str = "INBOX") -> WorldFolder:
        """A folder, to look at and change what is in it.

        Raises LookupError like `inbox`, or if the account has no such folder.
        """

        def find() -> Maildrop:
            folders = self._folders(address)
            found = folders.get(name)
            if found is None:
                raise LookupError(f"{address} has no folder {name!r}; it has {', '.join(folders)}")
            return found

        self._bridge.call(find)
        return WorldFolder(name, find, self._bridge, self.store.now)

    def subscribed(self, address: str) -> list[str]:
        """The names of the folders to which an account is subscribed, in order."""
        return self._bridge.call(lambda: sorted(self._folders(address).subscribed))

    def idling(self, address: str, name: str = "INBOX") -> int:
        """How many sessions of IMAP wait for news of a folder (IDLE). Raises LookupError."""

        return self._bridge.call(lambda: len(self._idlers(address, name)))

    def end_idling(self, address: str, name: str = "INBOX") -> int:
        """Ends the sessions that `idling` counts, as a server that restarts, and counts them."""

        def end() -> int:
            idlers = self._idlers(address, name)
            for follower in idlers:
                follower.on_end()
            return len(idlers)

        return self._bridge.call(end)

    def _idlers(self, address: str, name: str) -> list[Follower]:
        followers = self._folders(address).find(name).followers
        return [one for one in followers if getattr(one, "is_idle", False)]

    def _folders(self, address: str) -> Folders:
        return self.store.folders(self._owned(address).address)

    def _owned(self, address: str) -> Maildrop:
        """The one maildrop that an address reaches. Raises LookupError."""
        owners = self._owners(address)
        if len(owners) > 1:
            names = ", ".join(owner.address for owner in owners)
            raise LookupError(f"{address} reaches several maildrops; choose from {names}")
        return self.store.maildrop(owners[0].address)

    def _owners(self, address: str) -> list[Person]:
        """The people that an address reaches, at least one. Raises LookupError."""
        owners = self.store.owners(address)
        if owners:
            return owners
        known = f"this world has {', '.join(person.address for person in self.store.people)}"
        if self.store.catch_all:
            known += f", and every address of {', '.join(sorted(self.store.catch_all))}"
        if owners is None:
            known += "; mail for other domains is in world.mail.relayed"
        raise LookupError(f"unknown address {address}; {known}")

    # ── changing ─────────────────────────────────────────────────────────────

    def deliver(self, to: str, message: bytes | EmailMessage, sender: str | None = None) -> Mail:
        """Puts a message into the maildrops of `to` without SMTP.

        `sender` is the envelope's sender: "" for a bounce, the address in From by default. Raises
        LookupError if no account has the address.
        """
        raw = message_bytes(message)

        def put() -> Mail:
            self._owners(to)
            envelope = Envelope(sender or "", (Recipient(to),), helo="localhost", protocol="LMTP")
            mail = Mail(raw, envelope, self.store.now())
            if sender is None:
                found = mail.headers.addresses("from")
                mail.envelope = replace(envelope, sender=found[-1] if found else "")
            self._tell(
                mail.envelope.sender or "a mail server", f"mails {_short(to)}: {_summary(mail)}"
            )
            self.store.accept(mail)
            self.store.acknowledged(mail)
            return mail

        return self._bridge.call(put)

    def bounce(
        self,
        mail: Mail,
        *addresses: str,
        action: str = "failed",
        status: str = "5.0.0",
        text: str = "",
    ) -> Mail | None:
        """Sends a report about a message to its sender and returns it.

        It reports the same about each of `addresses`, by default about every recipient. `action` is
        failed, delayed, delivered, relayed or expanded. Returns None if the sender is `<>` or did
        not request such a report (NOTIFY). Raises LookupError if an address is not a recipient, and
        ValueError for another action.
        """
        if action not in ACTIONS:
            hint = nearest(action, ACTIONS)
            raise ValueError(f"action: {action!r}{hint}; choose from {', '.join(ACTIONS)}")
        recipients = {recipient.address: recipient for recipient in mail.envelope.recipients}
        for address in addresses:
            if address not in recipients:
                raise LookupError(f"{address} is not a recipient of {mail!r}")
        statuses = [
            DeliveryStatus(recipients[address], action, status, text)
            for address in addresses or recipients
        ]

        def send() -> Mail | None:
            report = self.store.report(mail, statuses)
            if report is not None:
                self.add_arrival(report)
            return report

        return self._bridge.call(send)

    def make_folder(self, address: str, name: str, use: str = "") -> WorldFolder:
        """Makes a folder, and those that it is in. `use` is such as \\Trash (RFC 6154 §2).

        Raises LookupError if that is not possible.
        """
        self._bridge.call(lambda: self._folders(address).create(name, use))
        return self.folder(address, name)

    def rename_folder(self, address: str, name: str, to: str) -> None:
        """Renames a folder and all in it. Raises LookupError if that is not possible."""
        self._bridge.call(lambda: self._folders(address).rename(name, to))

    def delete_folder(self, address: str, name: str) -> None:
        """Deletes a folder. Raises LookupError if that is not possible."""
        self._bridge.call(lambda: self._folders(address).delete(name))

    def subscribe(self, address: str, name: str) -> None:
        """Subscribes to a folder. Raises LookupError if it does not exist."""
        self._bridge.call(lambda: self._folders(address).subscribe(name))

    def unsubscribe(self, address: str, name: str) -> None:
        """Ends a subscription, if there is one."""
        self._bridge.call(lambda: self._folders(address).unsubscribe(name))

    def append_to(self, path: Path | str) -> None:
        """Appends each message that SMTP accepts from now on to a text file (fakes/trap.py).

        Raises OSError if the file cannot be written. While it cannot be written later, SMTP
        answers 452.
        """
        from fakes.trap import TrapFile

        file = TrapFile(path)

        def attach() -> None:
            self.store.on_received = file.append

        self._bridge.call(attach)

    def purge(self) -> None:
        """Forgets what has arrived and empties all maildrops. Their unique ids go on counting."""

        def forget() -> None:
            self.clear()
            self.store.purge()

        self._bridge.call(forget)

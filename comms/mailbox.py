"""Taking mail out of a mailbox without losing or repeating any, whatever the protocol.

    with Mailbox(server, clock) as mailbox:                              # comms.pop3
        for mail in incoming(mailbox, attempts, "ops@mail.test", limit=1_000_000, host=host):
            ...                                                          # store it

A mail is deleted when the loop asks for the next one. By then, whatever the program wants to
remember of it must be on disk.

One mail cannot block the others. If the server refuses to return it, it is left where it is and
logged. If it is too large, only its header is fetched. If the program has crashed on it before, it
comes last, and after several crashes it comes marked as a problem.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol

from comms.errors import OddReply, Refused, TryLater
from comms.host import Host

MAX_ATTEMPTS = 3  # after this many crashes on a mail, it should be kept without being read


@dataclass(frozen=True)
class Entry:
    """A mail in a mailbox, before it is fetched.

    `id` is the same in every session, "" if the server does not support ids. `size` is in bytes,
    as the server states it. `number` is only valid in this session.
    """

    id: str
    size: int
    number: int = field(default=0, compare=False)


class Mailbox(Protocol):
    """What `incoming` needs: sizes before contents, and deletions that can be committed."""

    def entries(self) -> list[Entry]:
        """Returns all mails, oldest first."""

    def count(self) -> tuple[int, int]:
        """Returns the number of mails and their size in bytes."""

    def header(self, entry: Entry) -> bytes:
        """Returns the header of a mail and the empty line after it."""

    def fetch(self, entry: Entry, limit: int = ...) -> bytes:
        """Returns a mail as it is stored. Raises Refused if it is larger than `limit` bytes."""

    def delete(self, entry: Entry) -> None:
        """Marks a mail as deleted. It is removed when the session ends in order."""

    def commit(self) -> None:
        """Removes the marked mails now. Entries that were read before are then invalid."""


class Attempts(Protocol):
    """Counts how many times each mail was begun and not finished, even if the program dies."""

    def attempts(self, key: str) -> int:
        """Returns the number of attempts so far."""

    def begin_attempt(self, key: str) -> None:
        """Counts one more attempt, durably."""

    def end_attempt(self, key: str) -> None:
        """Forgets the attempts: the mail was handled, or left alone on purpose."""


@dataclass
class Incoming:
    """A mail that has been fetched.

    `problem` is not empty if the mail should only be kept: it is too large (then `raw` is its
    header only), or the program has crashed on it. A program sets `leave_on_server` if the mail
    should not be deleted.
    """

    raw: bytes = field(repr=False)
    entry: Entry
    problem: str = ""
    leave_on_server: bool = False


def incoming(
    mailbox: Mailbox, attempts: Attempts, account: str, limit: int, host: Host
) -> Iterator[Incoming]:
    """Yields each mail, and deletes it after the loop's body. Raises CommsError.

    `account` distinguishes mailboxes in the keys of `attempts`. Mails larger than `limit` bytes
    come as their header only.
    """
    new, begun = _sorted(mailbox, attempts, account)
    for _, key, entry in new:
        yield from _fetched(mailbox, attempts, key, entry, 0, limit, host)
    if new and begun:
        # A mail that has ended a session before may end this one, too, and with it the pending
        # deletions would be lost. So commit them first. That changes the numbers of the entries.
        mailbox.commit()
        _, begun = _sorted(mailbox, attempts, account)
    for earlier, key, entry in begun:
        yield from _fetched(mailbox, attempts, key, entry, earlier, limit, host)


_Listed = list[tuple[int, str, Entry]]


def _sorted(mailbox: Mailbox, attempts: Attempts, account: str) -> tuple[_Listed, _Listed]:
    """Returns (attempts, key, entry) of the new mails, and of those that were begun before.

    New mails are sorted by age, the others by their number of attempts.
    """
    listed = []
    for entry in mailbox.entries():
        key = f"{account}/{entry.id or entry.number}"
        listed.append((attempts.attempts(key), key, entry))
    new = [item for item in listed if item[0] == 0]
    begun = [item for item in listed if item[0] > 0]
    return new, sorted(begun, key=itemgetter(0))


def _fetched(
    mailbox: Mailbox,
    attempts: Attempts,
    key: str,
    entry: Entry,
    earlier: int,
    limit: int,
    host: Host,
) -> Iterator[Incoming]:
    # Count first: if this mail kills the program, the attempt must already be on disk.
    attempts.begin_attempt(key)
    try:
        if entry.size > limit:
            mail = Incoming(mailbox.header(entry), entry, f"too large: {entry.size} bytes")
        else:
            problem = ""
            if earlier >= MAX_ATTEMPTS:
                problem = f"the program has crashed on it {earlier} times"
            mail = Incoming(mailbox.fetch(entry, limit), entry, problem)
        yield mail
        if not mail.leave_on_server:
            mailbox.delete(entry)
    except OddReply:
        raise  # the session is over
    except (Refused, TryLater) as error:
        # Only this mail is affected, and only for now.
        host.log("mail-left", "warning", mail=key, trouble=error)
    attempts.end_attempt(key)

"""What a mailbox is, by whatever protocol, and how to take mail out of one without losing or repeating any.

    with Mailbox(server, clock) as mailbox:                     # comms.pop3, comms.imap
        for letter in incoming(mailbox, attempts, "ops@mail.example.test", limit=1_000_000, host=host):
            ...                                                 # remember it durably; then it is deleted

A letter is deleted when the loop comes back for the next one: what was to be remembered of it must be on disk by then.
Nothing breaks the loop for the others: a letter that the server refuses to give is left and logged, one that is too large
comes as its header, one that the program has died of comes last, and marked as that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from comms.errors import Refused, TryLater
from comms.host import Host

MAX_ATTEMPTS = 3  # a mail at which the program has died so often is not to be read again, only kept


@dataclass(frozen=True)
class Entry:
    """A message in a mailbox. `id` stays the same from session to session ("" where the server gives none).

    `size` is in octets as the server says it, `number` the server's own name of it in this session.
    """

    id: str
    size: int
    number: int = field(default=0, compare=False)


class Mailbox(Protocol):
    """Sizes before bodies; `delete` marks, and leaving the mailbox in step removes what is marked."""

    def entries(self) -> list[Entry]:
        """Every message, oldest first."""

    def count(self) -> tuple[int, int]:
        """How many messages, and how many octets."""

    def header(self, entry: Entry) -> bytes:
        """The header and the empty line behind it."""

    def fetch(self, entry: Entry, limit: int = ...) -> bytes:
        """The message, as it lies there."""

    def delete(self, entry: Entry) -> None:
        """Marks a message."""

    def commit(self) -> None:
        """Removes what is marked, now; numbers count anew behind it."""


class Attempts(Protocol):
    """How often something was tried and neither done nor given up, remembered across the program's death."""

    def attempts(self, key: str) -> int:
        """How often so far."""

    def begin_attempt(self, key: str) -> None:
        """One more try begins."""

    def end_attempt(self, key: str) -> None:
        """It is over."""


@dataclass
class Incoming:
    """A message on its way. `problem` says why it should only be kept: too large (then `raw` is its header), or deadly.

    Setting `stays` leaves it in the mailbox.
    """

    raw: bytes = field(repr=False)
    entry: Entry
    problem: str = ""
    leave_on_server: bool = False


def incoming(
    mailbox: Mailbox, attempts: Attempts, place: str, limit: int, host: Host
) -> Iterator[Incoming]:
    """Each message, to be remembered in the loop's body and deleted behind it. Raises CommsError.

    `place` names the mailbox in keys; of a message over `limit` octets only the header comes. What was begun with before
    and never finished comes last, when the deletion of the others is committed: it may well end the session again.
    """
    fresh, again = _sorted(mailbox, attempts, place)
    for _, key, entry in fresh:
        yield from _incoming(mailbox, attempts, key, entry, 0, limit, host)
    if fresh and again:
        mailbox.commit()
        _, again = _sorted(mailbox, attempts, place)
    for before, key, entry in again:
        yield from _incoming(mailbox, attempts, key, entry, before, limit, host)


_Listed = list[tuple[int, str, Entry]]


def _sorted(mailbox: Mailbox, attempts: Attempts, place: str) -> tuple[_Listed, _Listed]:
    """(tries, key, entry) of what is new, oldest first, and of what was tried before, the least tried first."""
    found = []
    for entry in mailbox.entries():
        key = f"{place}/{entry.id or entry.number}"
        found.append((attempts.attempts(key), key, entry))
    return [one for one in found if not one[0]], sorted(
        (one for one in found if one[0]), key=lambda one: one[0]
    )


def _incoming(
    mailbox: Mailbox,
    attempts: Attempts,
    key: str,
    entry: Entry,
    before: int,
    limit: int,
    host: Host,
) -> Iterator[Incoming]:
    attempts.begin_attempt(key)
    try:
        if entry.size > limit:
            letter = Incoming(mailbox.header(entry), entry, f"too large: {entry.size} octets")
        else:
            problem = f"the program has died of it {before} times" if before >= MAX_ATTEMPTS else ""
            letter = Incoming(mailbox.fetch(entry, limit), entry, problem)
        yield letter
        if not letter.leave_on_server:
            mailbox.delete(entry)
    except (Refused, TryLater) as error:  # this one, for now; the next may fare better
        host.log("mail-left", "warning", mail=key, trouble=error)
    attempts.end_attempt(key)

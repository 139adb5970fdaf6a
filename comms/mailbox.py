"""Taking mail out of a mailbox without losing or repeating any, whatever the protocol.

    with open_mailbox(server, clock, host) as mailbox:      # of comms.pop3 or comms.imap
        for mail in incoming(mailbox, attempts, "ops@mail.test", limit=1_000_000, host=host):
            ...                                                          # store it

A mail is deleted when the loop asks for the next one. By then, whatever the program wants to
remember of it must be on disk.

One mail cannot block the others. If the server refuses to return it, it is left where it is and
logged. If it is too large, only its header is fetched. If the connection was lost while it was
fetched, it comes last in the next session. If the program itself has died on it, it comes last,
too, and after several deaths it comes marked as a problem. A lost connection, or a full disk, is
not the fault of a mail, and does not count as one.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Container, Generator, Iterator
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, Self

from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host

if TYPE_CHECKING:
    from comms.settings import Server

_CRASHED = "the program has crashed on it"
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
    """What a program can do with its mailbox, whatever the protocol: it cannot tell which it is.

    It is a context manager. The marked mails are removed when the block ends, even with an
    exception, unless the session is out of step. The clients inherit what is written here.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
            return
        # The first error is the interesting one, so a second one must not replace it.
        try:
            self.close()
        except CommsError as second:
            error.add_note(f"and closing the mailbox: {second}")

    def entries(self) -> list[Entry]:
        """Returns all mails, oldest first."""

    def count(self) -> tuple[int, int]:
        """Returns the number of mails and their size in bytes."""

    def unseen(self) -> int:
        """Returns how many mails nobody has read: all of them, if the server does not know."""

    def header(self, entry: Entry) -> bytes:
        """Returns the header of a mail and the empty line after it."""

    def fetch(self, entry: Entry, limit: int = ...) -> bytes:
        """Returns a mail as it is stored. Raises Refused if it is larger than `limit` bytes."""

    def delete(self, entry: Entry) -> None:
        """Marks a mail as deleted. It is removed when the session ends in order."""

    def commit(self) -> None:
        """Removes the marked mails now. Entries that were read before are then invalid."""

    def close(self) -> None:
        """Ends the session, as the end of a block does."""


def open_mailbox(server: Server, clock: Clock, host: Host) -> Mailbox:
    """Opens the mailbox of a [pop3] or [imap] server. Raises Unreachable, Refused, TryLater.

    What an IMAP server wants its user to read is logged.
    """
    from comms import imap, pop3  # both need this module

    if server.protocol == "imap":

        def alert(text: str) -> None:
            host.log("mailbox-alert", "warning", text=text)

        return imap.Mailbox(server, clock, alert, host.token)
    return pop3.Mailbox(server, clock)


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

    A program sets `blameless` before it raises an error that is not the mail's fault.

    `problem` is not empty if the mail should only be kept: it is too large (then `raw` is its
    header only), or the program has crashed on it. A program sets `leave_on_server` if the mail
    should not be deleted.
    """

    raw: bytes = field(repr=False)
    entry: Entry
    problem: str = ""
    leave_on_server: bool = False
    blameless: bool = False
    attempts: int = 0  # how many times the program has died on it

    @property
    def killed_us(self) -> bool:
        """Whether the program has died on this mail before, so that it should not be read."""
        return self.problem.startswith(_CRASHED)


def incoming(
    mailbox: Mailbox,
    attempts: Attempts,
    account: str,
    limit: int,
    host: Host,
    stopping: Callable[[], bool] = lambda: False,
    skip: Container[str] = (),
) -> Generator[Incoming, None, None]:
    """Yields each mail, and deletes it after the loop's body. Raises CommsError.

    `account` distinguishes mailboxes in the keys of `attempts`. Mails larger than `limit` bytes
    come as their header only. As soon as `stopping()`, no further mail is taken. The mails whose
    ids are in `skip` are left where they are, and not fetched.
    """
    new, begun = _sorted(mailbox, attempts, account, skip)
    for _, key, entry in new:
        if stopping():
            return
        yield from _fetched(mailbox, attempts, key, entry, 0, limit, host)
    if new and begun:
        # A mail that has ended a session before may end this one, too, and with it the pending
        # deletions would be lost. So commit them first. That changes the numbers of the entries.
        mailbox.commit()
        _, begun = _sorted(mailbox, attempts, account, skip)
    for _, key, entry in begun:
        if stopping():
            return
        earlier = attempts.attempts(key)
        yield from _fetched(mailbox, attempts, key, entry, earlier, limit, host)


_Listed = list[tuple[int, str, Entry]]


def _sorted(
    mailbox: Mailbox, attempts: Attempts, account: str, skip: Container[str]
) -> tuple[_Listed, _Listed]:
    """Returns (attempts, key, entry) of the new mails, and of those that were begun before.

    New mails are sorted by age, the others by their number of attempts, lost ones included.
    """
    listed = []
    for entry in mailbox.entries():
        if entry.id and entry.id in skip:
            continue
        key = f"{account}/{entry.id or entry.number}"
        earlier = attempts.attempts(key) + attempts.attempts(_lost(key))
        listed.append((earlier, key, entry))
    new = [item for item in listed if item[0] == 0]
    begun = [item for item in listed if item[0] > 0]
    return new, sorted(begun, key=itemgetter(0))


def _lost(key: str) -> str:
    """The key under which lost connections are counted, apart from deaths of the program."""
    return f"lost {key}"


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
    mail: Incoming | None = None
    try:
        if entry.size > limit:
            mail = Incoming(mailbox.header(entry), entry, f"too large: {entry.size} bytes")
        else:
            problem = ""
            if earlier >= MAX_ATTEMPTS:
                problem = f"{_CRASHED} {earlier} times"
            mail = Incoming(mailbox.fetch(entry, limit), entry, problem, attempts=earlier)
        yield mail
        if not mail.leave_on_server:
            mailbox.delete(entry)
    except GeneratorExit:  # the loop's body has raised
        if mail is not None and mail.blameless:
            # What went wrong may be the very place where attempts are counted.
            with contextlib.suppress(Exception):
                attempts.end_attempt(key)
        raise
    except (Unreachable, Unknown):
        # The program is alive: the network has failed, or the server.
        attempts.end_attempt(key)
        attempts.begin_attempt(_lost(key))
        raise
    except (Refused, TryLater) as error:
        # Only this mail is affected, and only for now.
        host.log("mail-left", "warning", mail=key, trouble=error)
    attempts.end_attempt(key)
    if attempts.attempts(_lost(key)):
        attempts.end_attempt(_lost(key))

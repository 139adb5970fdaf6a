r"""One folder of an account, as a test sees it. `world.mail.folder(address, "Work")` is this.

    work = world.mail.make_folder("alice@example.test", "Work")
    uid = work.deliver(b"Subject: hi\r\n\r\n", flags=["\\Seen"])
    work.flag(uid, "\\Flagged")
    assert work.mails[0].flags == ["\\Flagged", "\\Seen"]
    work.remove(uid)

Sessions of IMAP that have the folder selected are told of each change, as they are of those that
other sessions make.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from typing import TYPE_CHECKING

from fakes.arrivals import counted
from fakes.bridge import Bridge
from fakes.flags import is_flag
from fakes.mail import Envelope, Mail, message_bytes
from fakes.maildrop import Maildrop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


@dataclass(frozen=True)
class StoredMail:
    """A mail in a folder: its unique id, its bytes, its flags without \\Recent, its date.

    `at` is in seconds since the epoch: the internal date of RFC 3501 §2.3.3. `mail` has the subject
    and the text.
    """

    uid: int
    raw: bytes
    flags: list[str]
    at: float
    mail: Mail

    if not TYPE_CHECKING:  # else a misspelt attribute would be one for type checkers, too

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_") and name in dir(Mail):
                raise AttributeError(f"a StoredMail has no {name!r}; write stored.mail.{name}")
            return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"<StoredMail {self.uid} {' '.join(self.flags)} {self.mail!r}>"


class WorldFolder:
    """A folder. All methods may be called from any thread; what is no flag is a ValueError."""

    def __init__(
        self, name: str, find: Callable[[], Maildrop], bridge: Bridge, now: Callable[[], float]
    ) -> None:
        """`find` returns the folder of that name, or raises LookupError."""
        self.name = name
        self._find, self._bridge, self._now = find, bridge, now

    def __repr__(self) -> str:
        return f"<WorldFolder {self.name} {counted(len(self), 'mail')}>"

    # ── looking ──────────────────────────────────────────────────────────────

    def __len__(self) -> int:
        return self._bridge.call(lambda: len(self._find().rows))

    def __iter__(self) -> Iterator[StoredMail]:
        return iter(self.mails)

    @property
    def mails(self) -> list[StoredMail]:
        """The mails that there are now, oldest first; the `mail` of each has the subject."""

        def read() -> list[StoredMail]:
            folder = self._find()
            return [
                StoredMail(row.uid, row.raw, folder.flags(row.uid), row.mail.at, row.mail)
                for row in folder.rows
            ]

        return self._bridge.call(read)

    @property
    def flags(self) -> dict[int, list[str]]:
        """The flags of each mail, by its unique id."""
        return {one.uid: one.flags for one in self.mails}

    @property
    def uidvalidity(self) -> int:
        """The number that says whether the unique ids are still the same.

        To set it, as after a restore, ends the sessions that have selected the folder (RFC 3501
        §2.3.1.1).
        """
        return self._bridge.call(lambda: self._find().uidvalidity)

    @uidvalidity.setter
    def uidvalidity(self, number: int) -> None:
        def restore() -> None:
            folder = self._find()
            folder.uidvalidity = number
            folder.end()

        self._bridge.call(restore)

    # ── changing ─────────────────────────────────────────────────────────────

    def deliver(
        self,
        message: bytes | EmailMessage,
        flags: Collection[str] = (),
        at: float | None = None,
    ) -> int:
        """Puts a message into the folder and returns its unique id.

        It gets no trace lines, and is not among `world.mail.messages`. `at` is in seconds since the
        epoch, now by default.
        """
        raw = message_bytes(message)
        _check_flags(flags)

        def put() -> int:
            mail = Mail(raw, Envelope("", ()), self._now() if at is None else at)
            (uid,) = self._find().add([(b"", raw, mail, flags)])
            return uid

        return self._bridge.call(put)

    def flag(self, uid: int, *flags: str) -> None:
        """Adds flags to a mail. Raises LookupError if it is not there."""
        self._change(uid, flags, "+")

    def unflag(self, uid: int, *flags: str) -> None:
        """Removes flags of a mail. Raises LookupError if it is not there."""
        self._change(uid, flags, "-")

    def _change(self, uid: int, flags: Collection[str], mode: str) -> None:
        _check_flags(flags)

        def change() -> None:
            folder = self._find()
            self._check(folder, uid)
            folder.change([uid], flags, mode)

        self._bridge.call(change)

    def remove(self, uid: int) -> None:
        """Removes a mail, as another session might. Raises LookupError if it is not there."""

        def remove() -> None:
            folder = self._find()
            self._check(folder, uid)
            folder.remove([uid])

        self._bridge.call(remove)

    def _check(self, folder: Maildrop, uid: int) -> None:
        if folder.find(uid) is None:
            uids = ", ".join(str(row.uid) for row in folder.rows)
            raise LookupError(f"{self.name} has no mail with the uid {uid}; it has: {uids or '-'}")


def _check_flags(flags: Collection[str]) -> None:
    for flag in [flags] if isinstance(flags, str) else flags:
        if isinstance(flags, str) or not is_flag(flag):
            raise ValueError(f'flags: {flag!r} is not possible; write ["\\\\Seen", "Work"]')

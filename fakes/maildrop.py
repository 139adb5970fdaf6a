"""A mailbox: mails in order, each with a unique id that is never used again.

POP3 serves the one that is INBOX; the other folders of IMAP are maildrops, too. What a session does
costs the same however many mails there are: sums are kept while mails come and go, and a session
reads a view of the rows instead of a copy. What only IMAP needs is made when it is first used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from fakes.arrivals import counted
from fakes.flags import SEEN, Flags
from fakes.mail import Mail
from fakes.mail_header import find_empty_line
from fakes.rows import Rows, Seen
from fakes.wire.dots import dot_stuff, find_dotted

_BARE_LF_BEFORE_DOT = re.compile(rb"(?<!\r)\n(?=\.)")


@dataclass(repr=False, slots=True)
class Row:
    """One mail in a maildrop: the trace lines of the server, and the message below them.

    The two are kept apart, because the message is also what the test sees (`mail.raw`). It would
    otherwise be in memory twice.
    """

    uid: int
    trace: bytes
    body: bytes
    mail: Mail
    size: int = field(init=False)  # in bytes as sent, before dot-stuffing (RFC 1939 §11)

    def __post_init__(self) -> None:
        self.size = len(self.trace) + len(self.served())

    def __repr__(self) -> str:
        return f"<Row {self.unique_id} {self.mail!r}>"

    @property
    def raw(self) -> bytes:
        """The message with the trace lines on top."""
        return self.trace + self.body

    @property
    def unique_id(self) -> str:
        """The unique id of RFC 1939 §7: the same in every session, and never used again."""
        return f"{self.uid:08x}"

    @property
    def length(self) -> int:
        """The size for IMAP: that of `raw`, to which no line end is added."""
        return len(self.trace) + len(self.body)

    def served(self) -> bytes:
        """Returns the message below the trace as POP3 sends it, before dot-stuffing.

        Its last line is ended. A bare LF before a dot, or at the end, becomes CRLF. Many clients
        end a line at LF, and a lone dot between bare LFs would end the message for them; CRLF makes
        the dot one that every client unstuffs. At the end, they would see an empty line more.
        """
        body = self.body
        if find_dotted(body) >= 0 and body.count(b"\n.") != body.count(b"\r\n."):
            body = _BARE_LF_BEFORE_DOT.sub(b"\r\n", body)
        ended = body.endswith(b"\r\n") or not body
        return body if ended else body.removesuffix(b"\n") + b"\r\n"

    def stuffed(self) -> tuple[bytes, bytes]:
        """Returns what POP3 sends before the final dot: the trace, and the dot-stuffed message."""
        # The trace ends with a line end, and none of its lines begins with a dot. Nearly all
        # messages are sent as they are.
        body = self.body
        if body.endswith(b"\r\n") and find_dotted(body) < 0:
            return self.trace, body
        return self.trace, dot_stuff(self.served())

    def international(self) -> bool:
        """Returns whether the header holds non-ASCII UTF-8 (RFC 6532).

        A header that is not valid UTF-8 does not count. It is served as it is.
        """
        if self.trace.isascii() and self.body.isascii():
            return False
        head = self.trace + self.body[: find_empty_line(self.body)[0]]
        try:
            return not head.isascii() and bool(head.decode())
        except UnicodeDecodeError:
            return False


class Follower(Protocol):
    """A session that has a maildrop selected. It is told of every change when it happens."""

    def on_arrival(self) -> None:
        """There are new mails."""

    def on_removal(self, uids: Collection[int]) -> None:
        """Mails were removed for good."""

    def on_flags(self, uids: Collection[int], by: object) -> None:
        """The flags of mails were changed by a session, or by another part of the program."""

    def on_keywords(self) -> None:
        """The maildrop has flags that it has never had before."""

    def on_end(self) -> None:
        """The folder was deleted or renamed."""


@dataclass(repr=False, slots=True)
class Maildrop:
    """The mails of one mailbox, oldest first. `size` is the sum of their sizes in bytes.

    The rows that a session has read stay as they are, whatever arrives or is removed.

    \\Recent (RFC 3501 §2.3.2) is not a flag of a mail here: no session has been told of the mails
    from `recent_from` on.
    """

    address: str
    size: int = 0
    next_uid: int = 1
    holder: object = None  # the session that has locked the maildrop (RFC 1939 §4)
    last_login: float = -math.inf  # seconds since the epoch
    uidvalidity: int = 1  # RFC 3501 §2.3.1.1
    use: str = ""  # such as \\Trash (RFC 6154 §2)
    recent_from: int = 1  # a unique id
    _rows: Rows[Row] = field(default_factory=Rows)
    _flags: Flags | None = None
    _followers: tuple[Follower, ...] = ()

    def __repr__(self) -> str:
        return f"<Maildrop {self.address} {counted(len(self.rows), 'mail')}>"

    @property
    def rows(self) -> Seen[Row]:
        """The mails that there are now. What is returned does not change."""
        return self._rows.seen()

    def copy(self) -> Maildrop:
        """Returns a maildrop with the same mails, which no session holds or follows."""
        return Maildrop(
            self.address,
            self.size,
            self.next_uid,
            uidvalidity=self.uidvalidity,
            use=self.use,
            recent_from=self.recent_from,
            _rows=Rows(self.rows),
            _flags=self._flags.copy() if self._flags is not None else None,
        )

    def lacks(self, row: Row, rows: Seen[Row]) -> bool:
        """Whether a row of an earlier `rows` was removed since."""
        return not rows.is_of(self._rows) and self.find(row.uid) is None

    def find(self, uid: int) -> Row | None:
        """Returns the mail with a unique id, None if it is not there."""
        return self.rows.find(uid)

    # ── mails that come and go ───────────────────────────────────────────────

    def append(self, trace: bytes, body: bytes, mail: Mail) -> None:
        """Adds a mail under the next unique id."""
        row = Row(self.next_uid, trace, body, mail)
        self._rows.append(row)
        self.size += row.size
        self.next_uid += 1
        if self._flags is not None:
            self._flags.arrived(row.uid)
        for follower in self._followers:
            follower.on_arrival()

    def add(self, mails: Iterable[tuple[bytes, bytes, Mail, Collection[str]]]) -> list[int]:
        """Adds mails with flags, as one change, and returns their unique ids.

        Each is the trace, the body, the mail, and the flags. Raises TooManyKeywords.
        """
        mails = list(mails)
        self.learn(flag for *_, flags in mails for flag in flags)
        followers, self._followers = self._followers, ()  # they are told once
        uids = []
        for trace, body, mail, flags in mails:
            uids.append(self.next_uid)
            self.append(trace, body, mail)
            if flags:
                self.change([uids[-1]], flags, "+")
        self._followers = followers
        for follower in followers if uids else ():
            follower.on_arrival()
        return uids

    def remove(self, uids: Collection[int]) -> list[int]:
        """Removes the mails with these unique ids, if they are there, and returns which were."""
        rows = self._rows.remove(uids)
        removed = [row.uid for row in rows]
        self.size -= sum(row.size for row in rows)
        self._removed(removed)
        return removed

    def clear(self) -> None:
        """Removes all mails. Unique ids go on counting."""
        removed = [row.uid for row in self.rows]
        self._rows, self.size = Rows(), 0
        self._removed(removed)

    def _removed(self, uids: list[int]) -> None:
        # The sessions come first, because they know the flags until they have told their clients.
        for follower in self._followers if uids else ():
            follower.on_removal(uids)
        if self._flags is not None:
            self._flags.forget(uids, self.rows)

    # ── flags ────────────────────────────────────────────────────────────────

    def flags(self, uid: int) -> list[str]:
        """Returns the flags of a mail, without \\Recent."""
        return self._flags.of(uid) if self._flags is not None else []

    @property
    def keywords(self) -> list[str]:
        """The flags in use that are not of the system, oldest first."""
        return self._flags.keywords if self._flags is not None else []

    @property
    def modseq(self) -> int:
        """The modification number of the last change (RFC 7162 §3.1)."""
        return self._flags.highest if self._flags is not None else self.next_uid

    def modseq_of(self, uid: int) -> int:
        """Returns the modification number of a mail."""
        return self._flags.modseq(uid) if self._flags is not None else uid + 1

    def with_flag(self, flag: str) -> Collection[int]:
        """Returns the unique ids of the mails with a flag. They change when the flags do."""
        return self._flags.with_flag(flag.casefold()) if self._flags is not None else ()

    @property
    def recent(self) -> int:
        """The number of mails of which no session has been told."""
        rows = self.rows
        return len(rows) - rows.at(self.recent_from)

    @property
    def unseen(self) -> int:
        """The number of mails without \\Seen."""
        return len(self.rows) - len(self.with_flag(SEEN))

    def first_unseen(self) -> int:
        """Returns the index of the first mail without \\Seen, -1 if there is none."""
        if self._flags is None:
            return 0 if self.rows else -1
        return self._flags.first_unseen(self.rows)

    def learn(self, flags: Iterable[str]) -> None:
        """Makes flags known here, and tells those who follow. Raises TooManyKeywords."""
        flags = list(flags)
        if not flags:
            return
        if self._flags is None:
            self._flags = Flags(self.next_uid - 1)
        if self._flags.learn(flags):
            for follower in self._followers:
                follower.on_keywords()

    def change(
        self, uids: Iterable[int], flags: Collection[str], mode: str, by: object = None
    ) -> list[int]:
        """Sets (""), adds ("+") or removes ("-") flags of mails, for `by`.

        Returns the unique ids of the mails whose flags have changed. Mails that are not there are
        ignored. Raises TooManyKeywords.
        """
        if mode != "-":
            self.learn(flags)
        if self._flags is None:
            return []
        keys = {flag.casefold() for flag in flags}
        present = (uid for uid in uids if self.find(uid) is not None)
        changed = [uid for uid in present if self._flags.change(uid, keys, mode)]
        for follower in self._followers if changed else ():
            follower.on_flags(changed, by)
        return changed

    # ── sessions ─────────────────────────────────────────────────────────────

    @property
    def followers(self) -> tuple[Follower, ...]:
        """The sessions that are told of changes."""
        return self._followers

    def follow(self, follower: Follower) -> None:
        """Tells a session of each change from now on."""
        self._followers = (*self._followers, follower)

    def unfollow(self, follower: Follower) -> None:
        """Ends that."""
        self._followers = tuple(one for one in self._followers if one is not follower)

    def end(self) -> None:
        """The folder was deleted, renamed or restored: tells those who follow."""
        followers, self._followers = self._followers, ()
        for follower in followers:
            follower.on_end()

"""A mailbox as POP3 serves it: mails in order, each with a unique id that is never used again.

What a session does costs the same however many mails there are: sums are kept while mails come and
go, and a session reads a view of the list instead of a copy.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field

from fakes.arrivals import counted
from fakes.history import Snapshot
from fakes.mail import Envelope, Mail
from fakes.wire.dots import dot_stuff, find_dotted

FEW = 64  # rows; removing more than that at once builds a new list instead
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

    def served(self) -> bytes:
        """Returns the message below the trace as POP3 sends it, before dot-stuffing.

        Its last line is ended. A bare LF before a dot becomes CRLF. Many clients end a line at LF,
        and a lone dot between bare LFs would end the message for them; CRLF makes the dot one that
        every client unstuffs.
        """
        body = self.body
        if find_dotted(body) >= 0 and body.count(b"\n.") != body.count(b"\r\n."):
            body = _BARE_LF_BEFORE_DOT.sub(b"\r\n", body)
        ended = body.endswith(b"\r\n") or not body
        return body if ended else body + b"\r\n"

    def stuffed(self) -> tuple[bytes, bytes]:
        """Returns what POP3 sends before the final dot: the trace, and the dot-stuffed message."""
        # The trace ends with a line end, and none of its lines begins with a dot.
        return self.trace, dot_stuff(self.served())

    def international(self) -> bool:
        """Returns whether the header holds non-ASCII UTF-8 (RFC 6532).

        A header that is not valid UTF-8 does not count. It is served as it is.
        """
        if self.trace.isascii() and self.body.isascii():
            return False
        end = self.body.find(b"\r\n\r\n")
        head = self.trace + (self.body if end < 0 else self.body[:end])
        try:
            return not head.isascii() and bool(head.decode())
        except UnicodeDecodeError:
            return False


# Takes the place of a row that was removed, so that its mail is not kept in memory.
_REMOVED = Row(0, b"", b"", Mail(b"", Envelope("", ())))


@dataclass(repr=False, slots=True)
class Maildrop:
    """The mails of one mailbox, oldest first. `size` is the sum of their sizes in bytes.

    While a session holds the maildrop, the rows that it has read stay as they are: a mail that
    arrives is appended, and a removal builds a new list.
    """

    address: str
    size: int = 0
    next_uid: int = 1
    holder: object = None  # the session that has locked the maildrop (RFC 1939 §4)
    last_login: float = -math.inf  # seconds since the epoch
    _rows: list[Row] = field(default_factory=list)
    _first: int = 0  # rows at the front of the list that were removed

    def __repr__(self) -> str:
        return f"<Maildrop {self.address} {counted(len(self.rows), 'mail')}>"

    @property
    def rows(self) -> Snapshot[Row]:
        """The mails that there are now. While a session holds the maildrop, they do not change."""
        return Snapshot(self._rows, self._first)

    def copy(self) -> Maildrop:
        """Returns a maildrop with the same mails, which no session holds."""
        return Maildrop(self.address, self.size, self.next_uid, _rows=list(self.rows))

    def append(self, trace: bytes, body: bytes, mail: Mail) -> None:
        """Adds a mail under the next unique id."""
        row = Row(self.next_uid, trace, body, mail)
        self._rows.append(row)
        self.size += row.size
        self.next_uid += 1

    def remove(self, uids: Collection[int]) -> None:
        """Removes the mails with these unique ids, if they are there."""
        if self.holder is not None or len(uids) > FEW:
            self._rows, self._first = [row for row in self.rows if row.uid not in uids], 0
            self.size = sum(row.size for row in self._rows)
            return
        for uid in uids:
            at = bisect_left(self._rows, uid, self._first, key=lambda row: row.uid)
            if at < len(self._rows) and self._rows[at].uid == uid:
                self.size -= self._rows[at].size
                self._remove_at(at)

    def _remove_at(self, at: int) -> None:
        if at != self._first:
            del self._rows[at]
            return
        # The oldest mail goes first in most programs. If the list closed the gap each time, moving
        # 100,000 rows would take a third of the time of DELE and QUIT.
        self._rows[at] = _REMOVED
        self._first += 1
        if self._first > FEW:
            del self._rows[: self._first]
            self._first = 0

    def clear(self) -> None:
        """Removes all mails. Unique ids go on counting."""
        self._rows, self._first, self.size = [], 0, 0

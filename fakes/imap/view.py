"""What a session knows of the mailbox that it has selected, and what it has yet to be told.

The numbers of messages are those of the moment at which the session was last told (RFC 3501 §7.4.1,
§5.5). Until then, it can also still read a mail that was removed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator

from fakes.flags import SYSTEM
from fakes.imap.writing import write_flags
from fakes.maildrop import Maildrop, Row
from fakes.rows import Seen

RECENT = "\\Recent"


class View:
    """A selected mailbox. `on_news` is called when there is something to tell.

    `read_only` is EXAMINE. It is a `Follower` of the folder.
    """

    __slots__ = (
        "_arrived",
        "_flagged",
        "_keywords",
        "_on_news",
        "_recent",
        "ended",
        "folder",
        "is_idle",
        "read_only",
        "removed",
        "rows",
        "with_modseq",
    )

    def __init__(self, folder: Maildrop, read_only: bool, on_news: Callable[[], None]) -> None:
        self.folder = folder
        self.read_only = read_only
        self._on_news = on_news
        self.with_modseq = False  # what is told about flags has modification numbers (RFC 7162)
        self.is_idle = False  # the client waits for news
        self.ended = False  # the folder was deleted, renamed or restored
        self.rows: Seen[Row] = folder.rows
        # Of each mail that is gone and still in `rows`, its last flags and modification number.
        self.removed: dict[int, tuple[list[str], int]] = {}
        self._flagged: dict[int, None] = {}  # unique ids of mails whose flags have changed
        self._keywords = self._arrived = False
        # The mails that were first announced to this session: ranges, with the last unique id of
        # each; both are ascending.
        self._recent: tuple[list[int], list[int]] = ([], [])
        self._refresh()
        folder.follow(self)

    def __repr__(self) -> str:
        return f"<View {self.folder!r} {len(self.rows)} told, {len(self.removed)} removed>"

    def leave(self) -> None:
        """The session has selected another mailbox, or ends."""
        self.folder.unfollow(self)

    # ── what the folder tells ────────────────────────────────────────────────

    def on_arrival(self) -> None:
        self._arrived = True
        self._on_news()

    def on_removal(self, uids: Collection[int]) -> None:
        flags, modseq = self.folder.flags, self.folder.modseq_of
        known = {uid: (flags(uid), modseq(uid)) for uid in uids if self.number(uid)}
        self.removed.update(known)
        if known:
            self._on_news()

    def on_flags(self, uids: Collection[int], by: object) -> None:
        if by is not self:
            self._flagged.update((uid, None) for uid in uids if self.number(uid))
            self._on_news()

    def on_keywords(self) -> None:
        self._keywords = True
        self._on_news()

    def on_end(self) -> None:
        self.ended = True
        self._on_news()

    # ── what the session asks ────────────────────────────────────────────────

    def number(self, uid: int) -> int:
        """Returns the message number of a unique id, 0 if the session knows none."""
        return self.rows.at(uid) + 1 if self.rows.find(uid) is not None else 0

    def flags(self, uid: int) -> list[str]:
        """Returns the flags of a mail, with \\Recent."""
        flags = self.removed[uid][0] if uid in self.removed else self.folder.flags(uid)
        return [*flags, RECENT] if self.is_recent(uid) else flags

    def modseq(self, uid: int) -> int:
        """Returns the modification number of a mail."""
        return self.removed[uid][1] if uid in self.removed else self.folder.modseq_of(uid)

    def is_recent(self, uid: int) -> bool:
        """Whether this session is the first one that was told of a mail (RFC 3501 §2.3.2)."""
        if self.read_only:
            return uid >= self.folder.recent_from
        first, last = self._recent
        at = bisect_right(first, uid) - 1
        return at >= 0 and uid <= last[at]

    @property
    def recent(self) -> int:
        """The number of recent mails."""
        if self.read_only:
            return len(self.rows) - self.rows.at(self.folder.recent_from)
        ranges = zip(*self._recent, strict=True)
        return sum(self.rows.at(high + 1) - self.rows.at(low) for low, high in ranges)

    @property
    def flag_names(self) -> list[str]:
        """The flags that mails here may have."""
        return [*SYSTEM, *self.folder.keywords]

    def told(self, uid: int) -> None:
        """The session is being told of the flags of a mail, so that they are no news any more."""
        self._flagged.pop(uid, None)

    # ── news ─────────────────────────────────────────────────────────────────

    def news(self, *, removals: bool, with_uid: bool = False) -> Iterator[bytes]:
        """Yields untagged responses, without `* `, that tell the session what has changed.

        Without `removals` it keeps its numbers. Then it is not told of arrivals either while there
        are removals to tell. With `with_uid`, each FETCH has the unique id.
        """
        yield from self.keyword_news()
        flagged, self._flagged = self._flagged, {}
        for uid in flagged:
            number = self.number(uid)
            if number and uid not in self.removed:
                shown = b"UID %d " % uid if with_uid else b""
                yield b"%d FETCH (%b%b)" % (number, shown, self.flags_item(uid))
        if self.removed and not removals:
            return
        for lower, uid in enumerate(sorted(self.removed)):
            yield b"%d EXPUNGE" % (self.number(uid) - lower)
        if self.removed or self._arrived:
            left, recent = len(self.rows) - len(self.removed), self.recent
            self._refresh()
            if len(self.rows) != left:
                yield b"%d EXISTS" % len(self.rows)
                yield b"%d RECENT" % self.recent
            elif self.recent != recent:
                yield b"%d RECENT" % self.recent

    def keyword_news(self) -> Iterator[bytes]:
        """Yields what is to be told before a new keyword is used in a response."""
        if self._keywords:
            self._keywords = False
            yield b"FLAGS " + write_flags(self.flag_names)
            if not self.read_only:
                yield self.permanent_flags()

    def permanent_flags(self) -> bytes:
        """Returns the response that says which flags can be set; others can be made (`\\*`)."""
        flags = () if self.read_only else (*self.flag_names, "\\*")
        return b"OK [PERMANENTFLAGS %b] Flags that can be set" % write_flags(flags)

    def flags_item(self, uid: int) -> bytes:
        """Returns the flags of a mail as an item of a FETCH response."""
        flags = b"FLAGS " + write_flags(self.flags(uid))
        if self.with_modseq:
            return flags + b" MODSEQ (%d)" % self.modseq(uid)
        return flags

    def _refresh(self) -> None:
        folder = self.folder
        self.rows = folder.rows
        self.removed, self._arrived = {}, False
        if not self.read_only and folder.recent_from < folder.next_uid:
            first, last = self._recent
            if last and last[-1] == folder.recent_from - 1:
                last[-1] = folder.next_uid - 1
            else:
                first.append(folder.recent_from)
                last.append(folder.next_uid - 1)
            folder.recent_from = folder.next_uid

"""Commands about messages: FETCH, STORE, SEARCH, COPY, MOVE, EXPUNGE, APPEND (RFC 3501 §6.4)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fakes.flags import TooManyKeywords
from fakes.imap.base import ANNOUNCED, BAD, BATCH, NO, TOO_BIG, Reply
from fakes.imap.commands import Append, Copy, Expunge, Fetch, Sort, Store, Thread
from fakes.imap.grammar import Arguments, BadCommand, SequenceSet, write_numbers
from fakes.imap.mailboxes import ImapMailboxes
from fakes.imap.ordering import sort, thread
from fakes.imap.search import Search, find, write_result
from fakes.imap.sections import STRUCTURES, Item, write_item
from fakes.imap.source import Source
from fakes.imap.view import View
from fakes.imap.writing import in_writes, write_date_time
from fakes.mail import Envelope, Mail
from fakes.mail_header import find_empty_line
from fakes.maildrop import Maildrop, Row
from fakes.wire import Refuse, Unit

READ_ONLY = Reply("NO", "", "The mailbox was selected read-only")
LIMIT = Reply("NO", "LIMIT", "Too many keywords")
EMPTY = Reply("NO", "", "The message is empty")
OVER_QUOTA = Reply("NO", "OVERQUOTA", "Not enough room")
PIECE = 1 << 20  # bytes of a write: more of a large answer is made when the client has read that
GONE = "EXPUNGEISSUED"
SEEN = ("\\Seen",)


@dataclass(slots=True)
class Found:
    """A message of the selected mailbox, as SEARCH sees it."""

    view: View
    number: int
    row: Row
    _source: Source | None = None

    @property
    def uid(self) -> int:
        """The unique id."""
        return self.row.uid

    @property
    def flags(self) -> Collection[str]:
        """The flags, with \\Recent."""
        return self.view.flags(self.row.uid)

    @property
    def at(self) -> float:
        """The internal date, in seconds since 1970."""
        return self.row.mail.at

    @property
    def modseq(self) -> int:
        """The modification number."""
        return self.view.modseq(self.row.uid)

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.row.length

    @property
    def source(self) -> Source:
        """What the mail consists of."""
        if self._source is None:
            self._source = Source(self.row.raw)
        return self._source


class ImapMessages(ImapMailboxes):
    """The part of an IMAP connection that is about messages."""

    def _chosen(self, numbers: SequenceSet, *, by_uid: bool) -> list[int]:
        """Returns the indices of the messages in a set. Raises Refuse for a number too large."""
        view = self._selected()
        if by_uid:
            return list(numbers.select(view.rows))
        count = len(view.rows)
        # RFC 3501 §9: a number is that of a message that exists.
        if numbers.largest(count or 1) > count:
            text = f"There are {count} messages"
            raise Refuse(BAD._replace(text=text), "RFC 3501 §9")
        return [at - 1 for low, high in numbers.resolve(count) for at in range(low, high + 1)]

    def _writable(self) -> View:
        view = self._selected()
        if view.read_only and not self.policy.examine_permits:
            raise Refuse(READ_ONLY, "RFC 3501 §6.3.2")
        return view

    # ── FETCH ────────────────────────────────────────────────────────────────

    def do_FETCH(self, unit: Unit) -> None:
        self._fetch(unit, by_uid=False)

    def do_UID_FETCH(self, unit: Unit) -> None:
        self._fetch(unit, by_uid=True)

    def _fetch(self, unit: Unit, *, by_uid: bool) -> None:
        found: Fetch = self._read(unit)
        view, items = self._selected(), list(found.items)
        self._use_modseq(found.changed_since, any(item.name == "MODSEQ" for item in items))
        chosen = self._chosen(found.numbers, by_uid=by_uid)
        if by_uid and not any(item.name == "UID" for item in items):
            items.insert(0, Item("UID"))
        if found.changed_since is not None:
            since = found.changed_since
            if not any(item.name == "MODSEQ" for item in items):
                items.append(Item("MODSEQ"))
            chosen = [at for at in chosen if view.modseq(view.rows[at].uid) > since]
        self._tell_keywords(view)
        self.go_on(self._fetched_all(chosen, items))

    def _fetched_all(self, chosen: list[int], items: list[Item]) -> Iterator[None]:
        view = self._selected()
        batch: list[bytes] = []
        size = 0
        for at in chosen:
            pieces = self._fetched(at + 1, view.rows[at], items)
            batch += pieces
            size += sum(map(len, pieces))
            if size > BATCH:
                for write in in_writes(batch, PIECE):
                    self.send(write, "RFC 3501 §7.4.2")
                    yield
                batch, size = [], 0
        if batch:
            self.send(b"".join(batch), "RFC 3501 §7.4.2")
        gone = any(view.rows[at].uid in view.removed for at in chosen)
        text = "Some of them were removed" if gone else "Done"
        self._ok(text, "RFC 3501 §6.4.5", GONE if gone else "")
        yield

    def _use_modseq(self, since: int | None, asked: bool = False) -> None:
        if since is None and not asked:
            return
        if "CONDSTORE" in self._off:
            raise Refuse(BAD._replace(text="CONDSTORE is off"), "RFC 7162 §3.1")
        self.enable_modseq()

    def _fetched(self, number: int, row: Row, items: list[Item]) -> list[bytes]:
        """Returns the pieces of a FETCH response. Reading a message sets \\Seen (RFC 3501 §6.4.5).

        A message is a piece of its own, so that it is not copied.
        """
        view = self._selected()
        shows_flags = False
        if not view.read_only and any(item.sets_seen for item in items):
            shows_flags = bool(view.folder.change([row.uid], SEEN, "+", view))
        source: Source | None = None
        parts: list[bytes] = []
        for item in items:
            parts.append(b" " if parts else b"* %d FETCH (" % number)
            if item.name == "UID":
                parts.append(b"UID %d" % row.uid)
            elif item.name == "FLAGS":
                parts.append(self._flags_item(row.uid))
                shows_flags = False
            elif item.name == "INTERNALDATE":
                parts.append(b"INTERNALDATE " + write_date_time(row.mail.at))
            elif item.name == "RFC822.SIZE":
                parts.append(b"RFC822.SIZE %d" % row.length)
            elif item.name == "MODSEQ":
                parts.append(b"MODSEQ (%d)" % view.modseq(row.uid))
            elif (
                self.policy.removed_mails == "nil"
                and row.uid in view.removed
                and item.name not in STRUCTURES
            ):
                parts.append(item.label + b" NIL")
            else:
                source = source or Source(row.raw, self.policy.broken_types)
                parts += write_item(source, item)
        if shows_flags:
            parts.append(b" " + view.flags_item(row.uid))
        parts.append(b")\r\n")
        return parts

    def _flags_item(self, uid: int) -> bytes:
        view = self._selected()
        view.told(uid)
        with_modseq, view.with_modseq = view.with_modseq, False
        item = view.flags_item(uid)
        view.with_modseq = with_modseq
        return item

    # ── STORE ────────────────────────────────────────────────────────────────

    def do_STORE(self, unit: Unit) -> None:
        self._store(unit, by_uid=False)

    def do_UID_STORE(self, unit: Unit) -> None:
        self._store(unit, by_uid=True)

    def _store(self, unit: Unit, *, by_uid: bool) -> None:
        found: Store = self._read(unit)
        view = self._writable()
        self._use_modseq(found.unchanged_since)
        chosen = self._chosen(found.numbers, by_uid=by_uid)
        if view.read_only:
            self._ok("Ignored: the mailbox is read-only", "RFC 3501 §6.3.2")
            return
        uids = [view.rows[at].uid for at in chosen]
        failed: list[int] = []
        if found.unchanged_since is not None:
            least = found.unchanged_since
            failed = [at for at in chosen if view.modseq(view.rows[at].uid) > least]
            missed = set(failed)
            chosen = [at for at in chosen if at not in missed]
            uids = [view.rows[at].uid for at in chosen]
        try:
            changed = set(view.folder.change(uids, found.flags, found.mode, view))
        except TooManyKeywords:
            raise Refuse(LIMIT, "RFC 5530 §3") from None
        self._tell_keywords(view)
        if self.policy.store_answers == "changed":
            chosen = [at for at in chosen if view.rows[at].uid in changed]
        self._send_all(self._stored(chosen, found, changed, by_uid=by_uid), "RFC 3501 §6.4.6")
        if failed:
            numbers = [view.rows[at].uid if by_uid else at + 1 for at in failed]
            code = f"MODIFIED {write_numbers(numbers).decode()}"
            self._ok("The others are done", "RFC 7162 §3.1.3", code)
            return
        self._ok("Done", "RFC 3501 §6.4.6")

    def _stored(
        self, chosen: Iterable[int], found: Store, changed: set[int], *, by_uid: bool
    ) -> Iterator[bytes]:
        view = self._selected()
        for at in chosen:
            uid = view.rows[at].uid
            if uid in view.removed:
                continue
            parts = [b"UID %d" % uid] if by_uid else []
            if not found.silent:
                view.told(uid)
                parts.append(view.flags_item(uid))
            elif self._modseq and uid in changed:
                # RFC 7162 §3.1.3: the client has to learn the number of its own change.
                parts.append(b"MODSEQ (%d)" % view.modseq(uid))
            else:
                continue
            yield b"%d FETCH (%b)" % (at + 1, b" ".join(parts))

    def _tell_keywords(self, view: View) -> None:
        """Tells of keywords that are new before they occur in other responses."""
        self._send_all(view.keyword_news(), "RFC 3501 §7.2.6")

    # ── SEARCH ───────────────────────────────────────────────────────────────

    def do_SEARCH(self, unit: Unit) -> None:
        self._search(unit, by_uid=False)

    def do_UID_SEARCH(self, unit: Unit) -> None:
        self._search(unit, by_uid=True)

    def _search(self, unit: Unit, *, by_uid: bool) -> None:
        search: Search = self._read(unit)
        if search.returns is not None and "ESEARCH" in self._off:
            raise Refuse(BAD._replace(text="RETURN is not offered"), "RFC 4731 §3.1")
        self._use_modseq(0 if search.uses_modseq else None)
        result = find(search, self._all())
        line = write_result(search, result, self._tag.encode(), uid=by_uid)
        self.send(line, "RFC 3501 §7.2.5")
        self._ok("That is all", "RFC 3501 §6.4.4")

    # ── SORT and THREAD ──────────────────────────────────────────────────────

    def do_SORT(self, unit: Unit) -> None:
        self._sort(unit, by_uid=False)

    def do_UID_SORT(self, unit: Unit) -> None:
        self._sort(unit, by_uid=True)

    def _sort(self, unit: Unit, *, by_uid: bool) -> None:
        found: Sort = self._read(unit)
        self._use_modseq(0 if found.search.uses_modseq else None)
        ordered = sort(find(found.search, self._all()), found.keys)
        words = ["SORT", *(str(one.uid if by_uid else one.number) for one in ordered)]
        if found.search.uses_modseq and ordered:  # RFC 7162 §3.1.9
            words.append(f"(MODSEQ {max(one.modseq for one in ordered)})")
        self._untagged(" ".join(words).encode(), section="RFC 5256 §4")
        self._ok("That is all", "RFC 5256 §3")

    def do_THREAD(self, unit: Unit) -> None:
        self._thread(unit, by_uid=False)

    def do_UID_THREAD(self, unit: Unit) -> None:
        self._thread(unit, by_uid=True)

    def _thread(self, unit: Unit, *, by_uid: bool) -> None:
        found: Thread = self._read(unit)
        if f"THREAD={found.algorithm}" in self._off:
            raise Refuse(BAD._replace(text="Unknown algorithm"), "RFC 5256 §3")
        self._use_modseq(0 if found.search.uses_modseq else None)
        threads = thread(find(found.search, self._all()), found.algorithm, uid=by_uid)
        self._untagged(b"THREAD " + threads if threads else b"THREAD", section="RFC 5256 §4")
        self._ok("That is all", "RFC 5256 §3")

    def _all(self) -> Sequence[Found]:
        view = self._selected()
        return [Found(view, number, row) for number, row in enumerate(view.rows, 1)]

    # ── COPY and MOVE ────────────────────────────────────────────────────────

    def do_COPY(self, unit: Unit) -> None:
        self._copy(unit, by_uid=False)

    def do_UID_COPY(self, unit: Unit) -> None:
        self._copy(unit, by_uid=True)

    def do_MOVE(self, unit: Unit) -> None:
        self._copy(unit, by_uid=False, move=True)

    def do_UID_MOVE(self, unit: Unit) -> None:
        self._copy(unit, by_uid=True, move=True)

    def _copy(self, unit: Unit, *, by_uid: bool, move: bool = False) -> None:
        section = "RFC 6851 §3" if move else "RFC 3501 §6.4.7"
        found: Copy = self._read(unit)
        view = self._writable() if move else self._selected()
        rows = [view.rows[at] for at in self._chosen(found.numbers, by_uid=by_uid)]
        target = self._folder(found.name, section, "TRYCREATE")
        present = [row for row in rows if row.uid not in view.removed]
        if len(present) < len(rows) and not by_uid:
            # RFC 3501 §6.4.7: all or nothing.
            raise Refuse(NO._replace(code=GONE, text="Some of them were removed"), section)
        if not move:
            self._check_room(sum(row.size for row in present))
        copies = [(row.trace, row.body, row.mail, view.folder.flags(row.uid)) for row in present]
        new = self._add(target, copies)
        old = [row.uid for row in present]
        code = ""
        if old and "UIDPLUS" not in self._off:
            before, after = write_numbers(old).decode(), write_numbers(new).decode()
            code = f"COPYUID {target.uidvalidity} {before} {after}"
        if move:
            if code:
                self._untagged(b"OK [%b] Moved" % code.encode(), section="RFC 6851 §4.3")
            view.folder.remove(set(old))
            code = ""
        self.store.limit(target, len(new))
        self._ok("Done", section, code)

    def _add(
        self, folder: Maildrop, mails: Iterable[tuple[bytes, bytes, Mail, Collection[str]]]
    ) -> list[int]:
        try:
            return folder.add(mails)
        except TooManyKeywords:
            raise Refuse(LIMIT, "RFC 5530 §3") from None

    def _check_room(self, size: int) -> None:
        """Raises Refuse if the account has no room for that many bytes."""
        person = self.store.people.find(self.user)
        if person is not None and self.store.full(person, size):
            raise Refuse(OVER_QUOTA, "RFC 9208 §4.3.1")

    # ── EXPUNGE ──────────────────────────────────────────────────────────────

    def do_EXPUNGE(self, unit: Unit) -> None:
        self._read(unit)
        folder = self._writable().folder
        folder.remove(set(folder.with_flag("\\Deleted")))
        self._ok("Done", "RFC 3501 §6.4.3")

    def do_UID_EXPUNGE(self, unit: Unit) -> None:
        found: Expunge = self._read(unit)
        view = self._writable()
        deleted = view.folder.with_flag("\\Deleted")
        uids = (view.rows[at].uid for at in found.numbers.select(view.rows))
        view.folder.remove({uid for uid in uids if uid in deleted})
        self._ok("Done", "RFC 4315 §2.1")

    # ── APPEND ───────────────────────────────────────────────────────────────

    def do_APPEND(self, unit: Unit) -> None:
        section = "RFC 3501 §6.3.11"
        found: Append = self._read(unit)
        folder = self._folder(found.name, section, "TRYCREATE")
        start, end = found.message
        raw = unit.content.arguments.raw[start:end]
        if not raw:
            raise Refuse(EMPTY, section)
        if found.is_utf8 and not self.utf8:
            raise Refuse(BAD._replace(text="Enable UTF8=ACCEPT first"), "RFC 6855 §4")
        strict = not (self.policy.lenient_utf8 or self.utf8)
        if strict and not raw[: find_empty_line(raw)[0]].isascii():
            text = "UTF-8 in a header needs UTF8=ACCEPT"
            raise Refuse(NO._replace(code="CANNOT", text=text), "RFC 6855 §4")
        self._check_room(len(raw))
        at = self.runtime.now() if found.at is None else found.at
        (uid,) = self._add(folder, [(b"", raw, Mail(raw, Envelope("", ()), at), found.flags)])
        self.store.limit(folder)
        self.note(uid=uid)
        code = "" if "UIDPLUS" in self._off else f"APPENDUID {folder.uidvalidity} {uid}"
        self._ok("Stored", section, code)

    def message_announced(self, arguments: Arguments, size: int) -> Refuse | Literal[False] | None:
        """Reads APPEND up to its message, so that what is refused anyway is not sent."""
        section = "RFC 3501 §6.3.11"
        if ANNOUNCED.match(arguments.raw, arguments.at + 1):
            return False  # it is the name of the mailbox
        try:
            arguments.space()
            name = arguments.astring()
            arguments.space()
            if arguments.next_is(b"("):
                arguments.flags()
                arguments.space()
            if arguments.next_is(b'"'):
                arguments.date_time()
                arguments.space()
        except BadCommand as error:
            return Refuse(Reply(error.status, error.code, error.text), section)
        try:
            self._folder(name, section, "TRYCREATE")
            if not size:
                raise Refuse(EMPTY, section)
            if size > self.policy.size:
                raise Refuse(TOO_BIG, "RFC 7888 §4")
            self._check_room(size)
        except Refuse as refusal:
            return refusal
        return None

"""Commands about mailboxes: selecting, listing, making, renaming, status, quota (RFC 3501 §6.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NoReturn

from fakes.folders import DELIMITER, INBOX, USES, FolderError, Folders, superiors
from fakes.imap.base import BAD, NO, Reply
from fakes.imap.commands import Create, List, Mailbox, Quota, Rename, Select, Status
from fakes.imap.login import ImapLogin
from fakes.imap.names import encode_name, matches
from fakes.imap.view import View
from fakes.imap.writing import write_flags, write_name
from fakes.maildrop import Maildrop
from fakes.wire import Refuse, Unit

_USES = frozenset(USES.values())
_SELECT_OPTIONS = frozenset({"SUBSCRIBED", "SPECIAL-USE", "REMOTE", "RECURSIVEMATCH"})
_RETURN_OPTIONS = frozenset({"SUBSCRIBED", "SPECIAL-USE", "CHILDREN"})
_STATUS: dict[str, Callable[[Maildrop], int]] = {
    "MESSAGES": lambda folder: len(folder.rows),
    "RECENT": lambda folder: folder.recent,
    "UIDNEXT": lambda folder: folder.next_uid,
    "UIDVALIDITY": lambda folder: folder.uidvalidity,
    "UNSEEN": lambda folder: folder.unseen,
    "SIZE": lambda folder: folder.size,
    "HIGHESTMODSEQ": lambda folder: folder.modseq,
}
# What has no code with `fewer_codes`: SELECT, EXAMINE, DELETE of INBOX, SUBSCRIBE, STATUS.
_UNCODED = {
    "RFC 3501 §6.3.1": "NONEXISTENT",
    "RFC 3501 §6.3.2": "NONEXISTENT",
    "RFC 3501 §6.3.4": "CANNOT",
    "RFC 3501 §6.3.6": "NONEXISTENT",
    "RFC 3501 §6.3.10": "NONEXISTENT",
}
_NEEDS = {"SIZE": "STATUS=SIZE", "HIGHESTMODSEQ": "CONDSTORE"}


class ImapMailboxes(ImapLogin):
    """The part of an IMAP connection that is about mailboxes."""

    _modseq = False  # the client wants modification numbers (RFC 7162 §3.1)

    def _refuse_folder(self, error: FolderError, section: str) -> NoReturn:
        code = error.code
        if self.policy.fewer_codes and _UNCODED.get(section) == code:
            code = ""
        raise Refuse(Reply("NO", code, self._readable(error.text)), section) from None

    def _readable(self, text: str) -> str:
        """RFC 3501 §9: a text is in ASCII."""
        return "".join(one if " " <= one <= "~" else "?" for one in text)

    def _folder(self, raw: bytes, section: str, code: str = "NONEXISTENT") -> Maildrop:
        """Returns a folder that a client names. Raises Refuse."""
        try:
            return self.folders.find(self._name(raw), code)
        except FolderError as error:
            self._refuse_folder(error, section)

    # ── selecting ────────────────────────────────────────────────────────────

    def do_SELECT(self, unit: Unit) -> None:
        self._select(unit, read_only=False)

    def do_EXAMINE(self, unit: Unit) -> None:
        self._select(unit, read_only=True)

    def _select(self, unit: Unit, *, read_only: bool) -> None:
        section = f"RFC 3501 §6.3.{2 if read_only else 1}"
        found: Select = self._read(unit)
        if found.condstore and "CONDSTORE" in self._off:
            raise Refuse(BAD._replace(text="Unknown parameter"), "RFC 7162 §3.1.8")
        if self.view is not None:
            self._leave()
            self._untagged(b"OK [CLOSED] The mailbox before is closed", section="RFC 7162 §3.2.11")
        self.state = "AUTHENTICATED"  # a failed SELECT leaves nothing selected (RFC 3501 §6.3.1)
        if found.condstore:
            self.enable_modseq()
        folder = self._folder(found.name, section)
        self.view = view = View(folder, read_only, self._on_news)
        view.with_modseq = self._modseq
        self.state = "SELECTED"
        self._untagged(*self._description(view), section=section)
        code = "READ-ONLY" if read_only else "READ-WRITE"
        self._ok("Selected", section, code)

    def _description(self, view: View) -> Iterator[bytes]:
        folder, unseen = view.folder, view.folder.first_unseen()
        yield b"FLAGS " + write_flags(view.flag_names)
        yield view.permanent_flags()
        yield b"%d EXISTS" % len(view.rows)
        yield b"%d RECENT" % view.recent
        if unseen >= 0:
            yield b"OK [UNSEEN %d] The first one" % (unseen + 1)
        yield b"OK [UIDVALIDITY %d] Unique ids are valid" % folder.uidvalidity
        yield b"OK [UIDNEXT %d] The next unique id" % folder.next_uid
        if "CONDSTORE" not in self._off:
            yield _highest(folder)

    def enable_modseq(self) -> None:
        if self.view is not None and not self._modseq:
            self._untagged(_highest(self.view.folder), section="RFC 7162 §3.1")
            self.view.with_modseq = True
        self._modseq = True

    def do_CHECK(self, unit: Unit) -> None:
        self._read(unit)
        self._ok("Done", "RFC 3501 §6.4.1")

    def do_CLOSE(self, unit: Unit) -> None:
        self._read(unit)
        view = self._selected()
        self._leave()  # what is removed now is not told here (RFC 3501 §6.4.2)
        if not view.read_only:
            view.folder.remove(set(view.folder.with_flag("\\Deleted")))
        self._ok("Closed", "RFC 3501 §6.4.2")

    def do_UNSELECT(self, unit: Unit) -> None:
        self._read(unit)
        self._leave()
        self._ok("Unselected", "RFC 3691 §2")

    def _selected(self) -> View:
        assert self.view is not None, "the legality table says SELECTED"
        return self.view

    # ── making and naming ────────────────────────────────────────────────────

    def do_CREATE(self, unit: Unit) -> None:
        found: Create = self._read(unit)
        uses = [
            next((use for use in _USES if use.lower() == one.lower()), "") for one in found.uses
        ]
        if found.uses and "CREATE-SPECIAL-USE" in self._off:
            raise Refuse(BAD._replace(text="Unknown parameter"), "RFC 6154 §3")
        if len(uses) > 1 or "" in uses:
            raise Refuse(Reply("NO", "USEATTR", "That use is not possible"), "RFC 6154 §3")
        name = self._name(found.name)
        self._change(lambda folders: folders.create(name, "".join(uses)), "3")

    def do_DELETE(self, unit: Unit) -> None:
        found: Mailbox = self._read(unit)
        name = self._name(found.name)
        self._change(lambda folders: folders.delete(name), "4")

    def do_RENAME(self, unit: Unit) -> None:
        found: Rename = self._read(unit)
        name, to = self._name(found.name), self._name(found.to)
        if name.casefold() == "inbox" and not self.policy.rename_inbox:
            reply = Reply("NO", "CANNOT", "INBOX cannot be renamed")
            raise Refuse(reply, "RFC 3501 §6.3.5")
        self._change(lambda folders: folders.rename(name, to), "5")

    def do_SUBSCRIBE(self, unit: Unit) -> None:
        found: Mailbox = self._read(unit)
        name = self._name(found.name)
        self._change(lambda folders: folders.subscribe(name), "6")

    def do_UNSUBSCRIBE(self, unit: Unit) -> None:
        found: Mailbox = self._read(unit)
        name = self._name(found.name)
        self._change(lambda folders: folders.unsubscribe(name), "7")

    def _change(self, change: Callable[[Folders], object], subsection: str) -> None:
        section = f"RFC 3501 §6.3.{subsection}"
        try:
            change(self.folders)
        except FolderError as error:
            self._refuse_folder(error, section)
        self._ok("Done", section)

    # ── listing ──────────────────────────────────────────────────────────────

    def do_LIST(self, unit: Unit) -> None:
        found: List = self._read(unit)
        if found.is_extended and "LIST-EXTENDED" in self._off:
            raise Refuse(BAD._replace(text="Only a reference and a pattern"), "RFC 3501 §6.3.8")
        unknown = (found.select - _SELECT_OPTIONS) | (found.returns - _RETURN_OPTIONS)
        if unknown or found.select == {"RECURSIVEMATCH"}:
            raise Refuse(BAD._replace(text="Unknown or useless option"), "RFC 5258 §3")
        patterns = self._patterns(found)
        if patterns == [""] and not found.is_extended:
            # RFC 3501 §6.3.8: this asks for the delimiter.
            self._untagged(b'LIST (\\Noselect) "/" ""', section="RFC 3501 §6.3.8")
        else:
            self._send_all(self._list(found, patterns), "RFC 3501 §7.2.2")
        self._ok("That is all", "RFC 3501 §6.3.8")

    def _patterns(self, found: List) -> list[str]:
        reference = self._name(found.reference)
        names = [pattern and reference + self._pattern(pattern) for pattern in found.patterns]
        return [name if isinstance(name, str) else "" for name in names]

    def _pattern(self, raw: bytes) -> str:
        """Decodes a pattern. What cannot be decoded matches nothing, as it names no mailbox."""
        try:
            return self._name(raw)
        except Refuse:
            return "\0"

    def _list(self, found: List, patterns: list[str]) -> Iterator[bytes]:
        folders, parents = self.folders, self.folders.parents()
        names = list(folders)
        wants_subscribed = "SUBSCRIBED" in found.select
        if wants_subscribed:
            names = _ordered({*names, *folders.subscribed})
        chosen = {name for name in names if self._is_selected(name, found.select)}
        fitting = [name for name in names if any(matches(pattern, name) for pattern in patterns)]
        above: set[str] = set()  # names with others below them that are chosen
        hidden: set[str] = set()  # the same, if at least one of these is not listed itself
        if wants_subscribed and "RECURSIVEMATCH" in found.select:
            above, hidden = superiors(chosen), superiors(chosen.difference(fitting))
        for name in fitting:
            if name not in chosen and name not in hidden:
                continue
            folder = folders.get(name)
            attributes = [] if name in folders else ["\\NonExistent"]
            if name in folders and folder is None:
                attributes.append("\\Noselect")
            if wants_subscribed or "SUBSCRIBED" in found.returns:
                attributes += ["\\Subscribed"] if name in folders.subscribed else []
            attributes += self._attributes(name, folder, parents)
            line = self._listed("LIST", attributes, name)
            yield line + b' ("CHILDINFO" ("SUBSCRIBED"))' if name in above else line

    def _is_selected(self, name: str, options: Collection[str]) -> bool:
        """Whether a mailbox meets the selection options of LIST (RFC 5258 §3.1)."""
        folder = self.folders.get(name)
        if "SPECIAL-USE" in options and not (folder is not None and folder.use):
            return False
        return "SUBSCRIBED" not in options or name in self.folders.subscribed

    def _attributes(self, name: str, folder: Maildrop | None, parents: set[str]) -> list[str]:
        found = []
        if "CHILDREN" not in self._off:
            found.append("\\HasChildren" if name in parents else "\\HasNoChildren")
        if folder is not None and folder.use and "SPECIAL-USE" not in self._off:
            found.append(folder.use)
        return found

    def _listed(self, verb: str, attributes: list[str], name: str) -> bytes:
        shown = write_name(encode_name(name, utf8=self.utf8), utf8=self.utf8)
        return b'%b %b "/" %b' % (verb.encode(), write_flags(attributes), shown)

    def do_LSUB(self, unit: Unit) -> None:
        found: List = self._read(unit)
        self._send_all(self._lsub(self._patterns(found)), "RFC 3501 §7.2.3")
        self._ok("That is all", "RFC 3501 §6.3.9")

    def _lsub(self, patterns: list[str]) -> Iterator[bytes]:
        folders = self.folders
        found: dict[str, bool] = {}
        for name in folders.subscribed:
            parts = name.split(DELIMITER)
            # RFC 3501 §6.3.9: with %, a name is listed for what is subscribed to below it.
            above = [DELIMITER.join(parts[:end]) for end in range(1, len(parts))]
            for one in [name] if any(matches(pattern, name) for pattern in patterns) else above:
                if any(matches(pattern, one) for pattern in patterns):
                    found[one] = found.get(one, False) or one in folders.subscribed
        for name in _ordered(found):
            exists = folders.get(name) is not None or name not in folders
            yield self._listed("LSUB", [] if found[name] and exists else ["\\Noselect"], name)

    # ── status, quota, namespace ─────────────────────────────────────────────

    def do_STATUS(self, unit: Unit) -> None:
        found: Status = self._read(unit)
        for item in found.items:
            if item not in _STATUS or _NEEDS.get(item) in self._off:
                raise Refuse(BAD._replace(text=f"Unknown item {item}"), "RFC 3501 §6.3.10")
        folder = self._folder(found.name, "RFC 3501 §6.3.10")
        if "HIGHESTMODSEQ" in found.items:
            self.enable_modseq()
        values = [f"{item} {self._status(item, folder)}" for item in dict.fromkeys(found.items)]
        name = self._name(found.name)
        shown = write_name(encode_name(name, utf8=self.utf8), utf8=self.utf8)
        line = b"STATUS %b (%b)" % (shown, " ".join(values).encode())
        self._untagged(line, section="RFC 3501 §7.2.4")
        self._ok("Done", "RFC 3501 §6.3.10")

    def _status(self, item: str, folder: Maildrop) -> int:
        if item == "RECENT" and self.view is not None and self.view.folder is folder:
            return self.view.recent
        return _STATUS[item](folder)

    def do_NAMESPACE(self, unit: Unit) -> None:
        self._read(unit)
        self._untagged(b'NAMESPACE (("" "/")) NIL NIL', section="RFC 2342 §5")
        self._ok("That is all", "RFC 2342 §5")

    def do_GETQUOTA(self, unit: Unit) -> None:
        found: Quota = self._read(unit)
        quota = self._quota()
        if found.root or quota is None:
            raise Refuse(NO._replace(code="NONEXISTENT", text="No such quota root"), "RFC 9208 §4")
        self._untagged(quota, section="RFC 9208 §4.2.1")
        self._ok("Done", "RFC 9208 §4.1.2")

    def do_GETQUOTAROOT(self, unit: Unit) -> None:
        found: Mailbox = self._read(unit)
        name = self._name(found.name)
        shown = write_name(encode_name(name, utf8=self.utf8), utf8=self.utf8)
        quota = self._quota()
        lines = [b"QUOTAROOT " + shown] if quota is None else [b'QUOTAROOT %b ""' % shown, quota]
        self._untagged(*lines, section="RFC 9208 §4.2.2")
        self._ok("Done", "RFC 9208 §4.1.3")

    def do_SETQUOTA(self, unit: Unit) -> None:
        self._read(unit)
        raise Refuse(NO._replace(code="NOPERM", text="Only an administrator may"), "RFC 9208 §4")

    def _quota(self) -> bytes | None:
        person = self.store.people.find(self.user)
        if person is None or person.quota is None:
            return None
        used = -(-self.store.size(self.user) // 1024)
        return b'QUOTA "" (STORAGE %d %d)' % (used, person.quota // 1024)


def _highest(folder: Maildrop) -> bytes:
    return b"OK [HIGHESTMODSEQ %d] The highest modification number" % folder.modseq


def _ordered(names: set[str] | dict[str, bool]) -> list[str]:
    """Returns names in the order of LIST: INBOX first."""
    return sorted(names, key=lambda name: (name != INBOX, name))

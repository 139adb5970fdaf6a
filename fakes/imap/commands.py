"""The arguments of each command (RFC 3501 §6), read into values.

    ARGUMENTS["UID FETCH"](arguments) -> Fetch(…)

`arguments` is at the space after the verb, or at the end. Each function raises BadCommand.
Commands that take no arguments return None. Mailbox names are the bytes that the client sent; see
`names.decode_name`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fakes.imap.grammar import LARGEST_MODSEQ, Arguments, BadCommand, SequenceSet
from fakes.imap.search import Search, read_search
from fakes.imap.sections import Item, read_items

SORT_KEYS = frozenset({"ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO"})


@dataclass(frozen=True)
class Login:
    """Of LOGIN."""

    user: bytes
    password: bytes
    secret: tuple[int, int]  # the span of the password in the command, quotes included


@dataclass(frozen=True)
class Authenticate:
    """Of AUTHENTICATE."""

    mechanism: str
    initial: bytes | None  # still in base64; b"=" if it is empty
    secret: tuple[int, int]


@dataclass(frozen=True)
class Mailbox:
    """Of DELETE, SUBSCRIBE, UNSUBSCRIBE, GETQUOTAROOT."""

    name: bytes


@dataclass(frozen=True)
class Select:
    """Of SELECT and EXAMINE."""

    name: bytes
    condstore: bool


@dataclass(frozen=True)
class Create:
    """Of CREATE."""

    name: bytes
    uses: tuple[str, ...]  # (USE (\\Trash)): RFC 6154 §3


@dataclass(frozen=True)
class Rename:
    """Of RENAME."""

    name: bytes
    to: bytes


@dataclass(frozen=True)
class List:
    """Of LIST and LSUB. Options are in capitals (RFC 5258)."""

    reference: bytes
    patterns: tuple[bytes, ...]
    select: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset()
    is_extended: bool = False


@dataclass(frozen=True)
class Status:
    """Of STATUS: the items, each once."""

    name: bytes
    items: tuple[str, ...]


@dataclass(frozen=True)
class Append:
    """`message` is a span of the command, so that a large mail is not copied once more."""

    name: bytes
    flags: tuple[str, ...]
    at: float | None
    message: tuple[int, int]
    is_utf8: bool  # UTF8 (~{n} …): RFC 6855 §4


@dataclass(frozen=True)
class Fetch:
    """Of FETCH and UID FETCH."""

    numbers: SequenceSet
    items: tuple[Item, ...]  # in the order asked, each once; macros are replaced
    changed_since: int | None


@dataclass(frozen=True)
class Store:
    """Of STORE and UID STORE."""

    numbers: SequenceSet
    mode: str  # "", "+" or "-"
    silent: bool
    flags: tuple[str, ...]
    unchanged_since: int | None


@dataclass(frozen=True)
class Copy:
    """Of COPY and MOVE."""

    numbers: SequenceSet
    name: bytes


@dataclass(frozen=True)
class Expunge:
    """Of UID EXPUNGE; None of EXPUNGE."""

    numbers: SequenceSet


@dataclass(frozen=True)
class Enable:
    """Of ENABLE: the words in capitals."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Id:
    """Of ID: the names and values; none if the client sent NIL."""

    fields: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True)
class Quota:
    """Of GETQUOTA and SETQUOTA."""

    root: bytes
    limits: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Sort:
    """Of SORT and UID SORT."""

    keys: tuple[tuple[str, bool], ...]  # (SUBJECT, whether REVERSE)
    search: Search


@dataclass(frozen=True)
class Thread:
    """Of THREAD and UID THREAD."""

    algorithm: str
    search: Search


def _login(arguments: Arguments) -> Login:
    arguments.space()
    user = arguments.astring(eight_bit=True)  # RFC 6855 §5 forbids them, clients send them
    arguments.space()
    start = arguments.at
    password = arguments.astring(eight_bit=True)
    secret = (start, arguments.at)
    arguments.end()
    return Login(user, password, secret)


def _authenticate(arguments: Arguments) -> Authenticate:
    arguments.space()
    mechanism = arguments.keyword()
    initial, start = None, arguments.at
    # RFC 4959 §3. A space with nothing after it, as mutt sends it, is no response for Dovecot, too.
    if arguments.skip(b" ") and not arguments.at_end():
        start = arguments.at
        initial = arguments.base64()
    secret = (start, arguments.at)
    arguments.end()
    return Authenticate(mechanism, initial, secret)


def _mailbox(arguments: Arguments) -> Mailbox:
    name = _name(arguments)
    arguments.end()
    return Mailbox(name)


def _name(arguments: Arguments) -> bytes:
    arguments.space()
    return arguments.astring()


def _select(arguments: Arguments) -> Select:
    name = _name(arguments)
    parameters: tuple[str, ...] = ()
    if arguments.skip(b" "):  # RFC 4466 §2.1
        parameters = arguments.items(arguments.keyword)
    arguments.end()
    if any(word != "CONDSTORE" for word in parameters):
        raise BadCommand("Unknown parameter")
    return Select(name, bool(parameters))


def _create(arguments: Arguments) -> Create:
    name = _name(arguments)
    uses: tuple[str, ...] = ()
    if arguments.skip(b" "):
        uses = arguments.nested(lambda: _uses(arguments))
    arguments.end()
    return Create(name, uses)


def _uses(arguments: Arguments) -> tuple[str, ...]:
    """Reads `USE (\\Trash)` (RFC 6154 §3)."""
    if arguments.keyword() != "USE":
        raise BadCommand("Unknown parameter")
    arguments.space()
    return arguments.items(arguments.attribute, empty=True)


def _rename(arguments: Arguments) -> Rename:
    name = _name(arguments)
    to = _name(arguments)
    arguments.end()
    return Rename(name, to)


# ── LIST (RFC 5258 §6) ───────────────────────────────────────────────────────

_SELECTIONS = frozenset({"SUBSCRIBED", "SPECIAL-USE", "REMOTE", "RECURSIVEMATCH"})
_RETURNS = frozenset({"CHILDREN", "SUBSCRIBED", "SPECIAL-USE"})


def _list(arguments: Arguments) -> List:
    arguments.space()
    select = returns = frozenset[str]()
    is_extended = arguments.next_is(b"(")
    if is_extended:
        select = _options(arguments, _SELECTIONS)
        if select and select <= {"RECURSIVEMATCH", "REMOTE"} and "RECURSIVEMATCH" in select:
            raise BadCommand("RECURSIVEMATCH needs another option")  # RFC 5258 §3.1
        arguments.space()
    reference = arguments.astring()
    arguments.space()
    if arguments.next_is(b"("):
        is_extended = True
        patterns = arguments.items(arguments.list_pattern)
    else:
        patterns = (arguments.list_pattern(),)
    if arguments.skip(b" "):
        is_extended = True
        if arguments.keyword() != "RETURN":
            raise BadCommand("Expected RETURN")
        arguments.space()
        returns = _options(arguments, _RETURNS)
    arguments.end()
    return List(reference, patterns, select, returns, is_extended)


def _options(arguments: Arguments, known: frozenset[str]) -> frozenset[str]:
    found = frozenset(arguments.items(arguments.keyword, empty=True))
    if found - known:
        raise BadCommand(f"Unknown option {min(found - known)}"[:80])
    return found


def _lsub(arguments: Arguments) -> List:
    reference = _name(arguments)
    arguments.space()
    pattern = arguments.list_pattern()
    arguments.end()
    return List(reference, (pattern,))


_STATUS = frozenset(
    {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "SIZE", "HIGHESTMODSEQ"}
)


def _status(arguments: Arguments) -> Status:
    name = _name(arguments)
    arguments.space()
    items = tuple(dict.fromkeys(arguments.items(arguments.keyword)))
    arguments.end()
    unknown = set(items) - _STATUS
    if unknown:
        raise BadCommand(f"Unknown item {min(unknown)}"[:80])
    return Status(name, items)


# ── messages ─────────────────────────────────────────────────────────────────


def _append(arguments: Arguments) -> Append:
    name = _name(arguments)
    flags: tuple[str, ...] = ()
    at = None
    arguments.space()
    if arguments.next_is(b"("):
        flags = arguments.flags()
        arguments.space()
    if arguments.next_is(b'"'):
        at = arguments.date_time()
        arguments.space()
    is_utf8 = arguments.raw[arguments.at : arguments.at + 7].upper() == b"UTF8 (~"
    if is_utf8:
        arguments.at += 7
    message = arguments.literal()
    if is_utf8:
        arguments.expect(b")")
    arguments.end()
    return Append(name, flags, at, message, is_utf8)


def _fetch(arguments: Arguments) -> Fetch:
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    items = read_items(arguments)
    changed_since = None
    if arguments.skip(b" "):  # RFC 7162 §3.1.4
        changed_since = arguments.nested(lambda: _since(arguments, "CHANGEDSINCE", least=1))
    arguments.end()
    return Fetch(numbers, items, changed_since)


def _since(arguments: Arguments, word: str, least: int) -> int:
    if arguments.keyword() != word:
        raise BadCommand("Unknown modifier")
    arguments.space()
    return arguments.number(least, LARGEST_MODSEQ)


_MODES = {
    f"{sign}FLAGS{silent}": (sign, bool(silent))
    for sign in ("", "+", "-")
    for silent in ("", ".SILENT")
}


def _store(arguments: Arguments) -> Store:
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.space()
    unchanged_since = None
    if arguments.next_is(b"("):  # RFC 7162 §3.1.3
        unchanged_since = arguments.nested(lambda: _since(arguments, "UNCHANGEDSINCE", least=0))
        arguments.space()
    mode = _MODES.get(arguments.keyword())
    if mode is None:
        raise BadCommand("Expected FLAGS, +FLAGS or -FLAGS")
    arguments.space()
    if arguments.next_is(b"("):
        flags = arguments.flags()
    else:
        flags = arguments.words(arguments.flag)
    arguments.end()
    return Store(numbers, *mode, flags, unchanged_since)


def _copy(arguments: Arguments) -> Copy:
    arguments.space()
    numbers = arguments.sequence_set()
    name = _name(arguments)
    arguments.end()
    return Copy(numbers, name)


def _uid_expunge(arguments: Arguments) -> Expunge:
    arguments.space()
    numbers = arguments.sequence_set()
    arguments.end()
    return Expunge(numbers)


def _sort(arguments: Arguments) -> Sort:
    """RFC 5256 §3."""
    arguments.space()
    words = arguments.items(arguments.keyword)
    keys: list[tuple[str, bool]] = []
    reverse = False
    for word in words:
        if word == "REVERSE" and not reverse:
            reverse = True
        elif word in SORT_KEYS:
            keys.append((word, reverse))
            reverse = False
        else:
            raise BadCommand(f"Unknown sort key {word}"[:80])
    if reverse:
        raise BadCommand("REVERSE needs a key")
    return Sort(tuple(keys), read_search(arguments, charset_required=True))


def _thread(arguments: Arguments) -> Thread:
    arguments.space()
    algorithm = arguments.keyword()
    if algorithm not in ("ORDEREDSUBJECT", "REFERENCES"):
        raise BadCommand(f"Unknown algorithm {algorithm}"[:80])
    return Thread(algorithm, read_search(arguments, charset_required=True))


# ── the others ───────────────────────────────────────────────────────────────


def _enable(arguments: Arguments) -> Enable:
    arguments.space()
    words = arguments.words(arguments.keyword)
    arguments.end()
    return Enable(words)


def _id(arguments: Arguments) -> Id:
    arguments.space()
    fields: tuple[tuple[bytes, bytes | None], ...] = ()
    if arguments.next_is(b"("):
        fields = arguments.items(lambda: _pair(arguments), empty=True)
    elif arguments.keyword() != "NIL":
        raise BadCommand("Expected a list or NIL")
    arguments.end()
    if len(fields) > 30:  # RFC 2971 §3.3
        raise BadCommand("Too many fields")
    return Id(fields)


def _pair(arguments: Arguments) -> tuple[bytes, bytes | None]:
    name = arguments.string(eight_bit=True)
    arguments.space()
    return name, arguments.nstring(eight_bit=True)


def _getquota(arguments: Arguments) -> Quota:
    root = _name(arguments)
    arguments.end()
    return Quota(root)


def _setquota(arguments: Arguments) -> Quota:
    root = _name(arguments)
    arguments.space()
    limits = arguments.items(lambda: _limit(arguments), empty=True)
    arguments.end()
    return Quota(root, limits)


def _limit(arguments: Arguments) -> tuple[str, int]:
    name = arguments.keyword()
    arguments.space()
    return name, arguments.number(0, LARGEST_MODSEQ)


def _search(arguments: Arguments) -> Search:
    return read_search(arguments)


ARGUMENTS: Mapping[str, Callable[[Arguments], Any]] = {
    **dict.fromkeys(
        "CAPABILITY NOOP LOGOUT STARTTLS NAMESPACE IDLE CHECK CLOSE EXPUNGE UNSELECT".split(),
        Arguments.end,
    ),
    **dict.fromkeys("DELETE SUBSCRIBE UNSUBSCRIBE GETQUOTAROOT".split(), _mailbox),
    **dict.fromkeys(("SELECT", "EXAMINE"), _select),
    **dict.fromkeys(("COPY", "UID COPY", "MOVE", "UID MOVE"), _copy),
    **dict.fromkeys(("FETCH", "UID FETCH"), _fetch),
    **dict.fromkeys(("STORE", "UID STORE"), _store),
    **dict.fromkeys(("SEARCH", "UID SEARCH"), _search),
    **dict.fromkeys(("SORT", "UID SORT"), _sort),
    **dict.fromkeys(("THREAD", "UID THREAD"), _thread),
    "LOGIN": _login,
    "AUTHENTICATE": _authenticate,
    "CREATE": _create,
    "RENAME": _rename,
    "LIST": _list,
    "LSUB": _lsub,
    "STATUS": _status,
    "APPEND": _append,
    "UID EXPUNGE": _uid_expunge,
    "ENABLE": _enable,
    "ID": _id,
    "GETQUOTA": _getquota,
    "SETQUOTA": _setquota,
}

"""SEARCH (RFC 3501 §6.4.4, RFC 9051 §6.4.4): reading a program, and finding what matches it.

    search = read_search(arguments)
    found = find(search, messages)
    write_result(search, found, tag, uid=False)

Text is compared decoded and without case: encoded words, charsets and transfer encodings do not
matter. `subjects` says how a mail is read for that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fakes.imap.grammar import (
    DAY,
    EPOCH,
    LARGEST_MODSEQ,
    NESTED_MOST,
    Arguments,
    BadCommand,
    SequenceSet,
    write_numbers,
)
from fakes.imap.subjects import M, Message, Subject
from fakes.mail_header import decode_bytes

CHARSETS = ("US-ASCII", "UTF-8")
RETURNS = frozenset({"MIN", "MAX", "ALL", "COUNT"})
_FLAGS = {
    "ANSWERED": "\\Answered",
    "DELETED": "\\Deleted",
    "DRAFT": "\\Draft",
    "FLAGGED": "\\Flagged",
    "RECENT": "\\Recent",
    "SEEN": "\\Seen",
}
_HEADERS = frozenset({"BCC", "CC", "FROM", "SUBJECT", "TO"})
_TEXTS = frozenset({"BODY", "TEXT"})
_DATES = frozenset({"BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"})


@dataclass(frozen=True, slots=True)
class Key:
    """A criterion: its name in capitals, and its arguments. Those of AND, OR and NOT are keys.

    The criterion that a set of message numbers is has the name NUMBERS.
    """

    name: str
    arguments: Sequence[object] = ()
    depth: int = field(default=1, compare=False)  # 1 without keys in it


@dataclass(frozen=True, slots=True)
class Search:
    """A search program."""

    key: Key
    returns: frozenset[str] | None = None  # MIN MAX ALL COUNT; None: an untagged SEARCH
    uses_modseq: bool = False


# ── reading ──────────────────────────────────────────────────────────────────


def read_search(arguments: Arguments, *, charset_required: bool = False) -> Search:
    """Reads the arguments of SEARCH, from the space on. Raises BadCommand.

    With `charset_required`, those of SORT and THREAD: a charset and the keys.
    """
    arguments.space()
    returns = None
    if charset_required:
        _read_charset(arguments)
    else:
        if _skip_word(arguments, b"RETURN "):
            returns = frozenset(arguments.items(arguments.keyword, empty=True))
            if returns - RETURNS:
                raise BadCommand(f"Unknown return option {min(returns - RETURNS)}"[:80])
            returns = returns or frozenset({"ALL"})  # RFC 9051 §6.4.4
            arguments.space()
        if _skip_word(arguments, b"CHARSET "):
            if arguments.utf8:
                raise BadCommand("CHARSET is not allowed after UTF8=ACCEPT")  # RFC 6855 §3
            _read_charset(arguments)
    reader = _KeyReader(arguments)
    return Search(reader.read(), returns, reader.uses_modseq)


def _skip_word(arguments: Arguments, word: bytes) -> bool:
    found = arguments.raw[arguments.at : arguments.at + len(word)].upper() == word
    if found:
        arguments.at += len(word)
    return found


def _read_charset(arguments: Arguments) -> None:
    charset = arguments.astring()
    arguments.space()
    if charset.upper().decode("latin-1") not in CHARSETS:
        raise BadCommand("Unknown charset", f"BADCHARSET ({' '.join(CHARSETS)})", "NO")


_TAKES = {"NOT": 1, "OR": 2}  # how many keys


class _KeyReader:
    """Reads search keys without recursion: clients send OR a OR b OR c …, of any length."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments
        self.uses_modseq = False
        self._open: list[tuple[str, list[Key]]] = [("", [])]  # what still lacks keys
        self._depth = 0  # of parentheses

    def read(self) -> Key:
        arguments = self.arguments
        while True:
            key = self._read_or_open()
            while key is not None:
                name, keys = self._open[-1]
                keys.append(key)
                key = None
                is_complete = len(keys) == _TAKES.get(name)
                if name == "(" and arguments.skip(b")"):
                    self._depth -= 1
                    is_complete = True
                if is_complete:
                    key = _combined(*self._open.pop())
                elif not name and arguments.at_end():
                    return _combined("", keys)
                else:
                    arguments.space()

    def _read_or_open(self) -> Key | None:
        """Reads a key; None if it consists of the keys that follow."""
        arguments = self.arguments
        if arguments.next_is_set():
            return Key("NUMBERS", (arguments.sequence_set(),))
        if arguments.skip(b"("):
            self._open.append(("(", []))
            self._depth += 1
            if self._depth > NESTED_MOST:
                raise BadCommand("Too many parentheses")
            return None
        name = arguments.keyword()
        if name in _TAKES:
            arguments.space()
            self._open.append((name, []))
            return None
        self.uses_modseq |= name == "MODSEQ"
        return _read_key(name, arguments)


def _combined(name: str, keys: list[Key]) -> Key:
    """Combines keys. OR in OR becomes one, and so does NOT in NOT, so that depth is limited."""
    if name == "NOT":
        if keys[0].name == "NOT":
            inner = keys[0].arguments[0]
            assert isinstance(inner, Key)
            return inner
    elif name == "OR":
        # The longer list is extended: a chain of OR costs time in proportion to its length.
        keys.sort(key=lambda key: key.name == "OR" and len(key.arguments), reverse=True)
        first, second = keys
        if first.name == "OR":
            alternatives = first.arguments
            assert isinstance(alternatives, list)
            alternatives += second.arguments if second.name == "OR" else [second]
            return Key("OR", alternatives, max(first.depth, second.depth + 1))
    elif len(keys) == 1:
        return keys[0]
    else:
        name = "AND"
    depth = 1 + max(key.depth for key in keys)
    if depth > 2 * NESTED_MOST:
        raise BadCommand("Search keys are nested too deeply")
    return Key(name, keys, depth)


def _read_key(name: str, arguments: Arguments) -> Key:
    """Reads the arguments of a key."""
    base = name.removeprefix("UN")
    if name in ("ALL", "NEW", "OLD") or name in _FLAGS:
        return Key(name)
    if base in _FLAGS and base != "RECENT":
        return Key("NOT", [Key(base)], 2)
    known = _HEADERS | _TEXTS | _DATES | {"HEADER", "KEYWORD", "LARGER", "SMALLER", "UID", "MODSEQ"}
    if name not in known and base != "KEYWORD":
        raise BadCommand(f"Unknown search key {name}"[:80])
    arguments.space()
    if base == "KEYWORD":
        key = Key("KEYWORD", (arguments.atom().lower(),))
        return key if name == base else Key("NOT", [key], 2)
    if name in _DATES:
        return Key(name, (arguments.date(),))
    if name == "UID":
        return Key(name, (arguments.sequence_set(),))
    if name in ("LARGER", "SMALLER"):
        return Key(name, (arguments.number(0, LARGEST_MODSEQ),))
    if name == "MODSEQ":
        if arguments.next_is(b'"'):  # RFC 7162 §3.1.5: flags have no numbers of their own here
            arguments.string()
            arguments.space()
            if arguments.keyword() not in ("ALL", "PRIV", "SHARED"):
                raise BadCommand("Expected all, priv or shared")
            arguments.space()
        return Key(name, (arguments.number(0, LARGEST_MODSEQ),))
    if name == "HEADER":
        field_name = arguments.astring(eight_bit=True)
        arguments.space()
        return Key(name, (field_name.lower(), _read_text(arguments)))
    if name in _HEADERS:
        return Key("HEADER", (name.lower().encode(), _read_text(arguments)))
    return Key(name, (_read_text(arguments),))


def _read_text(arguments: Arguments) -> str:
    """Reads a text to search for. Without CHARSET, 8-bit data is UTF-8."""
    return decode_bytes(arguments.astring(eight_bit=True)).casefold()


# ── matching ─────────────────────────────────────────────────────────────────

Matches = Callable[[Subject], bool]
# What has to be read of a mail: nothing, its header, its parts.
_COSTS = {"HEADER": 1, "SENTBEFORE": 1, "SENTON": 1, "SENTSINCE": 1, "BODY": 2, "TEXT": 2}


def find(search: Search, messages: Sequence[M]) -> list[M]:
    """Returns the messages that match, in order. `messages` are all of the mailbox, ascending."""
    if not messages:
        return []
    matches = _compile(search.key, messages[-1].number, messages[-1].uid)[1]
    return [message for message in messages if matches(Subject(message))]


def _compile(key: Key, last_number: int, last_uid: int) -> tuple[int, Matches]:
    """Returns a function that matches, and what it costs."""
    if key.name in ("AND", "OR", "NOT"):
        keys = [_compile(each, last_number, last_uid) for each in _keys(key)]
        keys.sort(key=lambda each: each[0])  # the cheap ones first: they may decide alone
        cost, functions = keys[-1][0], [function for _, function in keys]
        if key.name == "NOT":
            return cost, lambda subject: not functions[0](subject)
        if key.name == "OR":
            return cost, lambda subject: any(matches(subject) for matches in functions)
        return cost, lambda subject: all(matches(subject) for matches in functions)
    return _COSTS.get(key.name, 0), _compile_simple(key, last_number, last_uid)


def _keys(key: Key) -> list[Key]:
    return [each for each in key.arguments if isinstance(each, Key)]


def _compile_simple(key: Key, last_number: int, last_uid: int) -> Matches:
    name, arguments = key.name, key.arguments
    if name in _FLAGS:
        flag = _FLAGS[name]
        return lambda subject: flag in subject.message.flags
    if name in ("NUMBERS", "UID"):
        (numbers,) = arguments
        assert isinstance(numbers, SequenceSet)
        return _compile_set(numbers, last_number, last_uid, name == "UID")
    if name == "HEADER":
        field_name, text = arguments
        assert isinstance(field_name, bytes) and isinstance(text, str)
        # Words, because the space between them may be a line end in the raw header.
        words = [word.encode() for word in text.split() if word.isascii()]
        longest = max(words, key=len, default=b"")
        return lambda subject: (
            subject.may_have(longest) and any(text in value for value in subject.header(field_name))
        )
    (argument,) = arguments or (None,)
    if isinstance(argument, int):
        return _compile_number(name, argument)
    if isinstance(argument, str):
        return _compile_text(name, argument)
    return {
        "ALL": lambda subject: True,
        "NEW": lambda subject: (
            "\\Recent" in subject.message.flags and "\\Seen" not in subject.message.flags
        ),
        "OLD": lambda subject: "\\Recent" not in subject.message.flags,
    }[name]


def _compile_text(name: str, text: str) -> Matches:
    functions: dict[str, Matches] = {
        "KEYWORD": lambda subject: any(flag.lower() == text for flag in subject.message.flags),
        "BODY": lambda subject: not text or any(text in body for body in subject.bodies),
        "TEXT": lambda subject: (
            not text
            or any(text in header for header in subject.headers)
            or any(text in body for body in subject.bodies)
        ),
    }
    return functions[name]


def _compile_number(name: str, number: int) -> Matches:
    # A mail without a date that can be read was sent before any day, as in Dovecot.
    functions: dict[str, Matches] = {
        "LARGER": lambda subject: subject.message.size > number,
        "SMALLER": lambda subject: subject.message.size < number,
        "MODSEQ": lambda subject: subject.message.modseq >= number,
        "BEFORE": lambda subject: _day(subject) < number,
        "ON": lambda subject: _day(subject) == number,
        "SINCE": lambda subject: _day(subject) >= number,
        "SENTBEFORE": lambda subject: subject.sent_day < number,
        "SENTON": lambda subject: subject.sent_day == number,
        "SENTSINCE": lambda subject: subject.sent_day >= number,
    }
    return functions[name]


def _day(subject: Subject) -> int:
    """The day of the internal date, in UTC."""
    return EPOCH + int(subject.message.at // DAY)


def _compile_set(numbers: SequenceSet, last_number: int, last_uid: int, uid: bool) -> Matches:
    ranges = numbers.resolve(last_uid if uid else last_number)
    begins, ends = [low for low, _ in ranges], [high for _, high in ranges]

    def is_in(number: int) -> bool:
        at = bisect_right(begins, number) - 1
        return at >= 0 and number <= ends[at]

    if uid:
        return lambda subject: is_in(subject.message.uid)
    return lambda subject: is_in(subject.message.number)


# ── answering ────────────────────────────────────────────────────────────────


def write_result(search: Search, found: Iterable[Message], tag: bytes, *, uid: bool) -> bytes:
    """Returns the untagged response, with CRLF: `* SEARCH …` or `* ESEARCH (TAG "a") …`.

    With MODSEQ in the program, the highest of those found is added (RFC 7162 §3.1.5).
    """
    messages = list(found)
    numbers = [message.uid if uid else message.number for message in messages]
    if search.returns is None:
        words = [b"* SEARCH", *(b"%d" % number for number in numbers)]
        if search.uses_modseq and messages:
            words.append(b"(MODSEQ %d)" % max(message.modseq for message in messages))
        return b" ".join(words) + b"\r\n"
    words = [b'* ESEARCH (TAG "' + tag + b'")']
    if uid:
        words.append(b"UID")
    if numbers:
        if "MIN" in search.returns:
            words.append(b"MIN %d" % numbers[0])
        if "MAX" in search.returns:
            words.append(b"MAX %d" % numbers[-1])
        if "ALL" in search.returns:
            words.append(b"ALL " + write_numbers(numbers))
    if "COUNT" in search.returns:
        words.append(b"COUNT %d" % len(numbers))
    if search.uses_modseq and messages:
        # RFC 7162 §3.1.10: of the messages that are in the response
        if search.returns <= {"MIN", "MAX"}:
            ends = {"MIN": messages[0], "MAX": messages[-1]}
            messages = [ends[name] for name in search.returns]
        words.append(b"MODSEQ %d" % max(message.modseq for message in messages))
    return b" ".join(words) + b"\r\n"

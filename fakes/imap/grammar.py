"""The arguments of a command as values (RFC 3501 §9). All that is not in the grammar is BadCommand.

    arguments = Arguments(command.raw, command.literals)
    tag, verb = arguments.tag(), arguments.verb()
    arguments.space()
    name = arguments.astring()
    arguments.end()

Positions are those in the bytes of the command, so that spans of passwords can be kept secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from fakes.rows import HasUid, Seen

NESTED_MOST = 32  # parentheses
LARGEST = 2**32 - 1  # of a number
LARGEST_MODSEQ = 2**63 - 1  # RFC 7162 §7
STAR = 0  # in a SequenceSet: the largest number in use
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
EPOCH = date(1970, 1, 1).toordinal()
DAY = 86_400  # seconds
SYSTEM_FLAGS = {
    flag.lower(): flag for flag in ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
}

T = TypeVar("T")
R = TypeVar("R", bound=HasUid)

_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_TAG = re.compile(rb'[^\x00-\x20(){%*"\\+\x7f-\xff]+')
_ASTRING = re.compile(rb'[^\x00-\x20(){%*"\\\x7f-\xff]+')
_PATTERN = re.compile(rb'[^\x00-\x20(){"\\\x7f-\xff]+')
_QUOTED = re.compile(rb'"([^"\\\r\n\x00]*+(?:\\["\\][^"\\\r\n\x00]*+)*+)"')
_QUOTED_LENIENT = re.compile(rb'"([^"\\\r\n\x00]*+(?:\\[^\r\n\x00][^"\\\r\n\x00]*+)*+)"')
_BASE64 = re.compile(rb"[^ \r\n]+")
_NUMBER = re.compile(rb"[0-9]{1,20}")
_SET = re.compile(rb"[0-9*:,]+")
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_DATE_TIME = re.compile(
    rb'"([ 0-9][0-9])-([A-Za-z]{3})-([0-9]{4}) '
    rb'([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_ESCAPED = re.compile(rb"\\(.)")


class BadCommand(ValueError):
    """The arguments cannot be read.

    `text` is for people. `code` is a response code such as `BADCHARSET (US-ASCII UTF-8)`, or "".
    `status` is BAD, or NO where the RFC demands that.
    """

    def __init__(self, text: str, code: str = "", status: str = "BAD") -> None:
        super().__init__(text)
        self.text, self.code, self.status = text, code, status


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Message numbers or UIDs as the client wrote them: ranges, which are never expanded.

    `ranges` are pairs in the order written; STAR stands for `*`.
    """

    ranges: tuple[tuple[int, int], ...]

    def resolve(self, largest: int) -> list[tuple[int, int]]:
        """Returns ascending ranges that do not overlap, with `*` replaced.

        If `largest` is 0, because there are no messages, ranges with `*` are left out.
        """
        found: list[tuple[int, int]] = []
        both = ((first or largest, last or largest) for first, last in self.ranges)
        for low, high in sorted((min(pair), max(pair)) for pair in both if 0 not in pair):
            if found and low <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(high, found[-1][1]))
            else:
                found.append((low, high))
        return found

    def largest(self, star: int) -> int:
        """Returns the largest number in the set, `star` for `*`."""
        return max(number or star for pair in self.ranges for number in pair)

    def select(self, rows: Seen[R]) -> Iterator[int]:
        """Yields the indices of the rows whose unique ids are in the set, ascending.

        `*` is the last of them. It costs time for what is found and for the ranges, not for the
        rows. What does not exist is left out (RFC 3501 §6.4.8).
        """
        for low, high in self.resolve(rows[-1].uid if rows else 0):
            yield from range(rows.at(low), rows.at(high + 1))

    def write(self) -> bytes:
        """Returns the set as the client may have written it."""
        both = ((str(first or "*"), str(last or "*")) for first, last in self.ranges)
        return ",".join(one if one == two else f"{one}:{two}" for one, two in both).encode()


@dataclass(slots=True)
class Arguments:
    """A cursor over the bytes of a command. Each method reads at `at`, and moves it on."""

    raw: bytes
    literals: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    utf8: bool = False  # UTF8=ACCEPT is enabled: quoted strings may contain UTF-8 (RFC 6855 §3)
    at: int = 0
    depth: int = 0  # of parentheses that `nested` is in

    # ── marks ────────────────────────────────────────────────────────────────

    def at_end(self) -> bool:
        """Whether only CRLF follows."""
        return len(self.raw) - self.at <= 2 and self.raw[self.at :] in (b"\r\n", b"")

    def end(self) -> None:
        """Nothing may follow."""
        if not self.at_end():
            raise BadCommand(f"Unexpected {self._shown()}")

    def next_is(self, mark: bytes) -> bool:
        """Whether a mark follows; it is not read."""
        return self.raw.startswith(mark, self.at)

    def skip(self, mark: bytes) -> bool:
        """Reads a mark if it follows, and says so."""
        found = self.raw.startswith(mark, self.at)
        if found:
            self.at += len(mark)
        return found

    def expect(self, mark: bytes) -> None:
        """Reads a mark."""
        if not self.skip(mark):
            raise BadCommand(f"Expected {mark.decode()} before {self._shown()}")

    def space(self) -> None:
        """Reads the one space between two arguments."""
        if not self.skip(b" "):
            raise BadCommand("Missing arguments" if self.at_end() else f"Bad {self._shown()}")

    def nested(self, read: Callable[[], T]) -> T:
        """Reads an opening parenthesis, what `read` reads, and the closing one."""
        self.expect(b"(")
        self.depth += 1
        if self.depth > NESTED_MOST:
            raise BadCommand("Too many parentheses")
        found = read()
        self.depth -= 1
        self.expect(b")")
        return found

    def items(self, read: Callable[[], T], *, empty: bool = False) -> tuple[T, ...]:
        """Reads a list in parentheses, of which `read` reads an item."""
        return self.nested(lambda: () if empty and self.next_is(b")") else self.words(read))

    def words(self, read: Callable[[], T]) -> tuple[T, ...]:
        """Reads one or more of what `read` reads, with a space between two."""
        found = [read()]
        while self.skip(b" "):
            found.append(read())
        return tuple(found)

    # ── strings ──────────────────────────────────────────────────────────────

    def tag(self) -> str:
        """Reads the tag."""
        return self._match(_TAG, "tag")[0].decode()

    def verb(self) -> str:
        """Reads the space and the command, in capitals, with its UID: `UID FETCH`."""
        self.space()
        verb = self.keyword()
        if verb == "UID":
            self.space()
            verb += " " + self.keyword()
        return verb

    def atom(self) -> str:
        """Reads an atom."""
        return self._match(_ATOM, "atom")[0].decode()

    def keyword(self) -> str:
        """Reads an atom, in capitals."""
        return self.atom().upper()

    def astring(self, *, eight_bit: bool = False) -> bytes:
        """Reads an atom or a string; `eight_bit` says whether quotes may hold any bytes."""
        return self._string_or(_ASTRING, eight_bit)

    def list_pattern(self) -> bytes:
        """Reads a mailbox name with wildcards."""
        return self._string_or(_PATTERN, False)

    def string(self, *, eight_bit: bool = False) -> bytes:
        """Reads a quoted string or a literal."""
        return self._string_or(None, eight_bit)

    def nstring(self, *, eight_bit: bool = False) -> bytes | None:
        """Reads a string or NIL."""
        if self.raw[self.at : self.at + 3].upper() == b"NIL":
            self.at += 3
            return None
        return self.string(eight_bit=eight_bit)

    def base64(self) -> bytes:
        """Reads what may be base64, up to the next space; it is not decoded."""
        return self._match(_BASE64, "base64")[0]

    def literal(self) -> tuple[int, int]:
        """Reads a literal of any bytes. Returns the span of its content."""
        if self.at not in self.literals:
            raise BadCommand(f"Expected a literal before {self._shown()}")
        start, self.at = self.literals[self.at]
        return start, self.at

    def _string_or(self, plain: re.Pattern[bytes] | None, eight_bit: bool) -> bytes:
        if self.at in self.literals:
            start, end = self.literal()
            if self.raw.find(b"\0", start, end) >= 0:
                raise BadCommand("NUL in a literal")  # RFC 3501 §4.3.1
            return self.raw[start:end]
        if plain is None or self.next_is(b'"'):
            match = self.match_quoted()
            if match is None:
                raise BadCommand(f"Expected string before {self._shown()}")
            self.at, value = match.end(), match[1]
            if not (eight_bit or value.isascii()):
                self._check_utf8(value)
            return _ESCAPED.sub(rb"\1", value) if b"\\" in value else value
        return self._match(plain, "string")[0]

    def match_quoted(self) -> re.Match[bytes] | None:
        """Matches the quoted string that begins here."""
        return _QUOTED.match(self.raw, self.at)

    def _check_utf8(self, value: bytes) -> None:
        """RFC 3501 §4.3: a quoted string has 7 bits, and RFC 6855 §3: or it is UTF-8."""
        try:
            if not self.utf8:
                raise BadCommand("8-bit data in a quoted string; send a literal")
            value.decode()
        except UnicodeDecodeError:
            raise BadCommand("Invalid UTF-8 in a quoted string") from None

    # ── numbers and flags ────────────────────────────────────────────────────

    def number(self, least: int = 0, most: int = LARGEST) -> int:
        """Reads a number."""
        found = int(self._match(_NUMBER, "number")[0])
        if not least <= found <= most:
            raise BadCommand(f"Number {found} out of range")
        return found

    def sequence_set(self) -> SequenceSet:
        """Reads a set of message numbers or UIDs."""
        text = self._match(_SET, "sequence set")[0]
        ranges = []
        for one in text.split(b","):
            first, colon, last = one.partition(b":")
            low = _set_number(first)
            ranges.append((low, _set_number(last) if colon else low))
        return SequenceSet(tuple(ranges))

    def next_is_set(self) -> bool:
        """Whether a sequence set follows."""
        return self.raw[self.at : self.at + 1] in _SET_BEGINS

    def flag(self) -> str:
        """Reads a flag that a client may set: a system flag, as RFC 3501 writes it, or a keyword.

        \\Recent may not be set (RFC 3501 §2.3.2), and no other flags with a backslash are known.
        """
        if not self.skip(b"\\"):
            return self.atom()
        name = "\\" + self.atom()
        if name.lower() not in SYSTEM_FLAGS:
            raise BadCommand(f"Invalid system flag {name}")
        return SYSTEM_FLAGS[name.lower()]

    def attribute(self) -> str:
        """Reads a mailbox attribute, such as the special use \\Trash, as it is written."""
        self.expect(b"\\")
        return "\\" + self.atom()

    def flags(self) -> tuple[str, ...]:
        """Reads flags in parentheses; there may be none."""
        return self.items(self.flag, empty=True)

    # ── dates ────────────────────────────────────────────────────────────────

    def date(self) -> int:
        """Reads a date. Returns the ordinal of its day (`datetime.date.toordinal`)."""
        quoted = self.skip(b'"')
        match = self._match(_DATE, "date")
        if quoted:
            self.expect(b'"')
        return _ordinal(*match.groups())

    def date_time(self) -> float:
        """Reads a date-time. Returns the seconds since 1970, UTC."""
        match = self._match(_DATE_TIME, "date-time")
        hour, minute, second, zone_hours, zone_minutes = (int(match[at]) for at in (4, 5, 6, 8, 9))
        if hour > 23 or minute > 59 or second > 60 or zone_minutes > 59:
            raise BadCommand(f"Invalid date-time {match[0].decode()}")
        zone = 3600 * zone_hours + 60 * zone_minutes
        seconds = 3600 * hour + 60 * minute + min(second, 59)
        days = _ordinal(match[1].strip(), match[2], match[3]) - EPOCH
        return float(days * DAY + seconds + (zone if match[7] == b"-" else -zone))

    # ── errors ───────────────────────────────────────────────────────────────

    def _match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        match = pattern.match(self.raw, self.at)
        if match is None:
            raise BadCommand(f"Expected {what} before {self._shown()}")
        self.at = match.end()
        return match

    def _shown(self) -> str:
        """What is at the cursor, as text in an answer."""
        text = self.raw[self.at : self.at + 20].partition(b"\r\n")[0]
        shown = "".join(chr(byte) if 32 < byte < 127 else "?" for byte in text.partition(b" ")[0])
        return shown or ("space" if text else "end of line")


class LenientArguments(Arguments):
    """Those of a server that takes any escape, and any number of spaces between and at the end."""

    __slots__ = ()

    def match_quoted(self) -> re.Match[bytes] | None:
        return _QUOTED_LENIENT.match(self.raw, self.at)

    def space(self) -> None:
        super().space()
        self._skip_spaces()

    def end(self) -> None:
        self._skip_spaces()
        super().end()

    def _skip_spaces(self) -> None:
        while self.skip(b" "):
            pass


_SET_BEGINS = tuple(bytes([byte]) for byte in b"0123456789*")


def _set_number(text: bytes) -> int:
    if text == b"*":
        return STAR
    if not (text.isdigit() and len(text) <= 20 and 0 < int(text) <= LARGEST):
        raise BadCommand("Invalid sequence set")
    return int(text)


def _ordinal(day: bytes, month: bytes, year: bytes) -> int:
    try:
        number = MONTHS.index(month.decode().title()) + 1
        return date(int(year), number, int(day)).toordinal()
    except ValueError:
        raise BadCommand(f"Invalid date {b'-'.join((day, month, year)).decode()}") from None


def write_numbers(numbers: Iterable[int]) -> bytes:
    """Writes ascending numbers as a set: `1:3,7`."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return SequenceSet(tuple((first, last) for first, last in ranges)).write()

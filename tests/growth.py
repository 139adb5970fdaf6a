"""Finds every pattern and every parser of the packages, and inputs that may cost too much.

    for pattern in patterns(modules()):
        if slow := slow_attack(pattern): ...
    for parser in parsers(modules()):
        if slow := slow_attack(parser): ...

No list has to be kept: the modules are imported, their objects are looked at, their source is
parsed. An attack is a prefix, a unit that is repeated, and an end. Attacks on a pattern are made
from its own parts: everything that contains a repeat is repeated, after what must come before it,
and followed by what cannot match. Attacks on a parser are made from the characters and the words
that its module mentions.

The cost is processor time. First each attack is run once in a small and in a large size
(`_seems_linear`), and in those between if that does not settle it (`_suspicious`). Only what looks
suspicious is measured well (`growth`): the best of five, at a size and at eight times it. The
smaller size is chosen so large that what does not depend on the size hardly counts. A run that
takes far too long is interrupted, and counts as infinite.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib
import inspect
import itertools
import math
import operator
import pkgutil
import re
import signal
import time
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.thorough import THOROUGH

PACKAGES = ("comms", "scenarios", "fakes")
FAULTY = "scenarios.book"  # the printed listings, which are kept with their mistakes
FACTOR, MOST = 8, 24  # eight times the input may cost at most that many times as much
CLEARLY_LINEAR = 10
FACTOR_MOST = 16  # the same for inputs that are known, of a size that suits them
LEAST = 0.000375  # seconds; what takes less counts as this
WORTH = 0.002  # seconds; what takes less is not measured, but repeated with more input
LONGEST = 0.3  # seconds; if a run takes longer, no larger input is tried
FIRST, LARGEST = 250, 16_000  # characters: the sizes with which an attack is tried
# Units of a few characters are repeated about a thousand times at most, unless the search is to be
# thorough: in a pattern, or in a loop of Python, that is enough to see quadratic time.
ENOUGH, FEW = LARGEST if THOROUGH else 4_000, 3  # characters: of an attack, of a unit
TINY = 4  # characters: where to begin if the first size takes far too long
LIMIT = 250_000  # characters: a larger input is not tried
PIECE = 250  # bytes: what a reader of a stream is given at once


# ── measuring ────────────────────────────────────────────────────────────────


class _TooSlow(BaseException):
    """A run was interrupted."""


_interrupted_at = math.inf  # of the processor time


def _interrupt(*_: object) -> None:
    if time.process_time() > _interrupted_at:
        raise _TooSlow


@contextlib.contextmanager
def _measuring() -> Iterator[None]:
    """Lets runs be interrupted. Collects no garbage: its cost depends on all that is alive."""
    before = signal.signal(signal.SIGALRM, _interrupt)  # takes as long as most runs
    gc.collect(0)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, before)


def _seconds(run: Callable[[], object], limit: float) -> float:
    """Returns the processor time of a run; infinity if it is interrupted at the limit."""
    global _interrupted_at
    began = time.process_time()
    _interrupted_at = began + limit
    # A timer of processor time would be simpler, but while one is set, Linux counts processor time
    # in whole ticks. It repeats because the time may not be over, or the exception be ignored.
    try:
        signal.setitimer(signal.ITIMER_REAL, limit, limit / 8)
        try:
            with contextlib.suppress(Exception):  # a refusal costs time, too
                run()
            return time.process_time() - began
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _TooSlow:
        return math.inf


def _best(run: Callable[[], object], limit: float, times: int = 5, good: float = 0.0) -> float:
    """Returns the time of the fastest of some runs. Two runs that are interrupted are enough.

    One that takes at most `good` seconds is enough, too: further runs could only be faster.
    """
    found: list[float] = []
    while len(found) < times and found.count(math.inf) < 2 and min(found, default=math.inf) > good:
        found.append(_seconds(run, limit))
    return min(found)


# Returns what is run for an input of that many characters. Making the input is not measured.
Prepared = Callable[[int], Callable[[], object]]


def growth(prepared: Prepared, size: int = FIRST) -> float:
    """Returns how many times as much FACTOR times the input costs.

    What does not depend on the size, and what grows in proportion to it, may hide the rest. So the
    input grows until it is clear.
    """
    while True:
        small = _best(prepared(size), LONGEST)
        if math.isinf(small):
            return math.inf
        limit = max(0.05, 1.5 * MOST * small)
        last = FACTOR * size >= LIMIT
        # Where the size is doubled anyway, one run is enough, unless it is interrupted.
        good = CLEARLY_LINEAR * small if small >= WORTH or last else limit
        large = _best(prepared(FACTOR * size), limit, good=good)
        clear = small >= WORTH and not CLEARLY_LINEAR < large / small <= MOST
        if clear or last or large > LONGEST:
            return large / small
        size *= 2


def factor(prepared: Prepared, size: int, most: float = FACTOR_MOST) -> float:
    """Returns how many times as much FACTOR times an input of that size costs.

    For inputs that are known. The test of one has to choose the size, and compare with `most`.
    The best of five runs counts. The larger input, which takes most of the time, is not run again
    as soon as a run is fast enough, because further runs could not change the verdict.
    """
    with _measuring():
        for _ in range(3):  # on a busy machine, readings vary
            small = max(_best(prepared(size), 10.0), LEAST)
            limit = max(0.1, 2 * MOST * small)
            large = _best(prepared(FACTOR * size), limit, good=most * small)
            if large <= most * small or math.isinf(large):
                break
    return large / small


def _seems_linear(prepared: Prepared, enough: float, largest: int) -> bool:
    """Whether an attack is harmless in a large size already, so that smaller ones need no run.

    What costs more than its size does so most clearly there. A reading can only be too high, so a
    low one needs no second. For a smaller size the best of three is taken: too high a reading there
    would make the large size look cheap. The limit is stricter than that of `_suspicious`, because
    the size may be half of the largest that is tried there.
    """
    first = _seconds(prepared(FIRST), 0.1)
    if math.isinf(first):
        return False
    size = 4 * FIRST
    while size < largest and first * (size / FIRST) < enough:
        size *= 2
    last = _seconds(prepared(size), 0.05)
    while last < enough and size < largest:  # the first run is slower than others
        size *= 2
        last = _seconds(prepared(size), 0.05)
    if last < 4 * first and size > 4 * FIRST:  # it may be refused for its length
        between = (_seconds(prepared(shorter), 0.05) for shorter in {4 * FIRST, size // 4})
        last, size = max(last, *between), 4 * FIRST  # then none may cost more than the smallest
    return last <= WORTH / 4 or last <= 4.5 * _best(prepared(size // 4), 0.05, 3) < math.inf


def _suspicious(prepared: Prepared, enough: float, largest: int = LARGEST) -> int:
    """Returns the size from which on an attack seems to cost too much; 0 if it seems harmless.

    Each attack is run in growing sizes, at least in two, until a run takes `enough` seconds.
    """
    if _seems_linear(prepared, enough, largest):
        return 0
    size, before = FIRST, _best(prepared(FIRST), 0.1, 3)  # the first run is slower than others
    if math.isinf(before):
        return TINY
    while size == FIRST or (size < largest and before < enough):
        most = max(6 * before, WORTH / 4)
        # After the last size, it only matters whether this is little enough.
        good = most if 4 * size >= largest else 0.0
        after = _best(prepared(4 * size), max(0.05, 30 * before), 3, good)
        if after > most:
            return size
        size, before = 4 * size, after
    return 0


# ── attacks ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Attack:
    """A text that is a prefix, a unit as often as there is room, and an end."""

    prefix: str
    unit: str
    end: str = ""
    enough: float = 0.003  # seconds after which no larger input is tried
    largest: int = LARGEST  # characters beyond which none is tried

    def text(self, size: int) -> str:
        """Returns an attack with that many repeated characters."""
        return self.prefix + self.unit * max(1, size // len(self.unit)) + self.end


@dataclass(frozen=True)
class Slow:
    """An attack that costs more than its size."""

    attack: Attack
    factor: float

    def __str__(self) -> str:
        return f"{self.attack}: {FACTOR} times the input costs {self.factor:.0f} times as much"


class Target(typing.Protocol):
    """What can be attacked."""

    def attacks(self) -> Iterable[Attack]:
        """Returns the attacks."""

    def runs(self, attack: Attack) -> Iterator[Prepared]:
        """Yields each way in which the attack can be used."""


def slow_attack(target: Target) -> Slow | None:
    """Returns the first attack that costs too much, None if there is none."""
    with _measuring():
        for attack in target.attacks():
            for prepared in target.runs(attack):
                gc.collect(0)
                size = _suspicious(prepared, attack.enough, attack.largest)
                factor = growth(prepared, size) if size else 0.0
                for _ in range(2):  # on a busy machine, readings vary
                    if factor <= MOST or size == TINY:
                        break
                    factor = min(factor, growth(prepared, size))
                if factor > MOST:
                    return Slow(attack, factor)
    return None


# ── modules ──────────────────────────────────────────────────────────────────


def modules(packages: Iterable[str] = PACKAGES) -> list[types.ModuleType]:
    """Returns every module of the packages, except those that run something."""
    found = []
    for name in packages:
        package = importlib.import_module(name)
        found.append(package)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__") and not module.name.startswith(FAULTY):
                found.append(importlib.import_module(module.name))
    return found


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


@functools.cache
def _calls_and_words(module: types.ModuleType) -> tuple[list[ast.Call], list[str]]:
    """Returns what may be calls of patterns, and the short texts that a module mentions.

    The rest of the tree is not kept: all trees would make the collection of garbage take seconds.
    """
    assert module.__file__ is not None
    calls, words = [], dict[str, None]()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(text := node.value, str | bytes):
            word = text.decode("latin-1") if isinstance(text, bytes) else text
            if word and len(word) <= 60 and not word.isalnum():
                words[word] = None
        elif isinstance(node, ast.Call) and node.args and _method(node) in ("compile", *METHODS):
            calls.append(node)
    return calls, [*words]


# ── patterns ─────────────────────────────────────────────────────────────────

METHODS = ("search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split")
_FLAGS_AT = {"compile": 1, "split": 3, "sub": 4, "subn": 4}  # position of the argument; else 2


@dataclass(eq=False)
class Pattern:
    """A regular expression, where it is, and the methods by which it is used."""

    pattern: re.Pattern[Any]
    places: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)  # "": it is used on short texts, too

    @property
    def name(self) -> str:
        """The first place where it is."""
        return min(self.places, key=lambda place: (":" in place, place))

    def attacks(self) -> list[Attack]:
        """Returns attacks made from the pattern's own parts."""
        source = self.pattern.pattern
        shown = source.decode("latin-1") if isinstance(source, bytes) else source
        parsed = list(_parse(shown, self.pattern.flags & ~re.UNICODE))
        literals = (chr(value) for op, value in _flat(parsed) if str(op) == "LITERAL")
        found: dict[tuple[str, str, str], None] = {}
        for preferred in dict.fromkeys([*"a 0", *itertools.islice(literals, 4)]):
            for prefix, unit in _units(parsed, "", preferred):
                for start, end in ((prefix, "\0"), (prefix, ""), ("", "")):
                    found[start, unit, end] = None
        return [
            Attack(start, unit, end, largest=ENOUGH if len(unit) <= FEW else LARGEST)
            for start, unit, end in found
        ]

    def runs(self, attack: Attack) -> Iterator[Prepared]:
        """Yields each way in which the pattern is used."""
        for use in self._uses():
            yield partial(self._prepared, use, attack)

    def _uses(self) -> list[Callable[[Any], object]]:
        once = [name for name in ("match", "fullmatch", "search") if name in self.methods]
        found: list[Callable[[Any], object]] = [getattr(self.pattern, name) for name in once]
        if self.methods - {*once, ""} or not self.methods:
            found.append(lambda given: [None for _ in self.pattern.finditer(given)])
        return found

    def _prepared(
        self, use: Callable[[Any], object], attack: Attack, size: int
    ) -> Callable[[], object]:
        text = attack.text(size)
        return partial(use, text.encode() if isinstance(self.pattern.pattern, bytes) else text)


def patterns(found: Iterable[types.ModuleType]) -> list[Pattern]:
    """Returns every pattern of the modules."""
    collection = _Collection()
    for module in found:
        collection.add_module(module)
    return list(collection.patterns.values())


def unreadable(found: Iterable[types.ModuleType]) -> list[str]:
    """Returns the calls of `re` whose pattern cannot be read from the source."""
    collection = _Collection()
    for module in found:
        collection.add_module(module)
    return sorted(collection.unreadable)


class _Collection:
    """Collects the patterns of modules."""

    def __init__(self) -> None:
        self.patterns: dict[tuple[Any, int], Pattern] = {}
        self.unreadable: set[str] = set()

    def _add(self, pattern: re.Pattern[Any], place: str, methods: Iterable[str] = ()) -> None:
        item = self.patterns.setdefault((pattern.pattern, pattern.flags), Pattern(pattern))
        item.places.add(place)
        item.methods.update(methods)

    def add_module(self, module: types.ModuleType) -> None:
        """Adds the patterns that the module has or makes, and how it uses those of others."""
        owners = {f"{module.__name__}.{kind.__name__}": kind for kind in _classes(module)}
        for place, owner in {module.__name__: module, **owners}.items():
            for name, value in list(vars(owner).items()):
                for pattern in _patterns_in(value):
                    self._add(pattern, f"{place}.{name}")
        for call in _calls_and_words(module)[0]:
            self._add_call(call, typing.cast("ast.Attribute", call.func), module)

    def _add_call(self, node: ast.Call, function: ast.Attribute, module: types.ModuleType) -> None:
        place, names, method = f"{module.__name__}:{node.lineno}", vars(module), function.attr
        if ast.unparse(function.value) == "re":
            try:
                pattern = _compiled(node, method, names)
            except Exception:
                self.unreadable.add(place)
                return
            self._add(pattern, place, {method} - {"compile"})
        else:
            with contextlib.suppress(Exception):  # most are methods of other objects
                for pattern in _patterns_in(_value(function.value, names)):
                    short = _is_short(node.args, names)
                    self._add(pattern, place, ["" if short else method])


def _classes(module: types.ModuleType) -> list[type]:
    return [value for _, value in _own(module) if isinstance(value, type)]


def _patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        for item in itertools.chain(value.keys(), value.values()):
            yield from _patterns_in(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _patterns_in(item)


def _is_short(arguments: list[ast.expr], names: dict[str, Any]) -> bool:
    """Whether a pattern is applied to a slice of a fixed length only."""
    for argument in arguments:
        for node in ast.walk(argument):
            if isinstance(node, ast.Slice):
                bound = node.upper if node.lower is None else node.lower
                with contextlib.suppress(Exception):
                    if bound and isinstance(_value(bound, names), int):
                        return True
    return False


def _compiled(node: ast.Call, method: str, names: dict[str, Any]) -> re.Pattern[Any]:
    """Returns the pattern of a call of `re`."""
    position = _FLAGS_AT.get(method, 2)
    given = [word.value for word in node.keywords if word.arg == "flags"]
    flags = 0
    for item in given or node.args[position : position + 1]:
        flags = int(_value(item, names))
    value = _value(_Readable(names).visit(node.args[0]), names)
    return value if isinstance(value, re.Pattern) else re.compile(value, flags)


class _Readable(ast.NodeTransformer):
    """Writes a letter where a part of a pattern is known only when the program runs."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        """Keeps what can be evaluated."""
        try:
            _value(ast.JoinedStr([node]), self._names)
        except Exception:
            return ast.Constant("x")
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """What is escaped has no repeats."""
        if ast.unparse(node.func) == "re.escape":
            try:
                _value(node, self._names)
            except Exception:
                return ast.Constant("x")
        return node


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    expression = ast.fix_missing_locations(ast.Expression(node))
    return eval(compile(expression, "pattern", "eval"), {**names, "re": re})


def goes_back_within_possessive(pattern: re.Pattern[Any]) -> bool:
    """Whether Python before 3.11.5, which Debian 12 has, may match a pattern wrongly.

    After `(?:ab?c)++` has matched as often as possible, it goes on behind the `a` of the attempt
    that failed (CPython issue 106052). It needs a part that can match in more than one way, between
    others, within a group that is repeated possessively.
    """
    source = pattern.pattern
    shown = source.decode("latin-1") if isinstance(source, bytes) else source
    return any(
        str(op) == "POSSESSIVE_REPEAT" and _goes_back([*value[2]])
        for op, value in _flat(_parse(shown, pattern.flags & ~re.UNICODE))
    )


def _goes_back(items: list[Any]) -> bool:
    if any(_has_a_choice(item) for item in items[1:-1]):
        return True
    return any(_goes_back([*inner]) for op, value in items for inner in _inner(op, value))


def _has_a_choice(item: Any) -> bool:
    for op, value in _flat([item]):
        repeats = str(op) in ("MAX_REPEAT", "MIN_REPEAT") and value[0] != value[1]
        if repeats or str(op) == "BRANCH":
            return True
    return False


# ── the parts of a pattern ───────────────────────────────────────────────────

_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_ALPHABET = [*"a0 <>@.\"'=\n", *map(chr, range(0x21, 0x250)), "\u0660", "\ud800", "\uffff"]


def _parse(source: str, flags: int) -> Any:
    return importlib.import_module("re._parser").parse(source, flags)


def _flat(items: Any) -> Iterator[tuple[Any, Any]]:
    for op, value in items:
        yield op, value
        for inner in _inner(op, value):
            yield from _flat(inner)


def _inner(op: Any, value: Any) -> list[Any]:
    """Returns the sequences inside of a part."""
    name = str(op)
    if name in _REPEATS:
        return [value[2]]
    if name == "SUBPATTERN":
        return [value[3]]
    if name == "BRANCH":
        return list(value[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return [value[1]]
    if name == "ATOMIC_GROUP":
        return [value]
    if name == "IN":
        return [[item for item in value if str(item[0]) == "LITERAL"]]
    return []


def _units(items: list[Any], prefix: str, preferred: str) -> Iterator[tuple[str, str]]:
    """Yields what must come first and what to repeat, for a sequence and all that it contains."""
    for first in range(len(items)):
        before = prefix + _sample(items[:first], preferred)
        for last in range(first + 1, min(first + 3, len(items)) + 1):
            window = items[first:last]
            repeats = any(str(op) in _REPEATS for op, _ in _flat(window))
            if repeats and (unit := _sample(window, preferred)):
                yield before, unit
        for inner in _inner(*items[first]):
            if str(items[first][0]) != "IN":
                yield from _units(list(inner), before, preferred)
    if unit := _sample(items, preferred):
        yield "", unit


def _sample(items: Any, preferred: str) -> str:
    """Returns a text that matches a sequence, of the preferred character where that is possible."""
    pieces = []
    for op, value in items:
        name = str(op)
        if name == "LITERAL":
            pieces.append(chr(value))
        elif name == "ANY":
            pieces.append(preferred if preferred != "\n" else "a")
        elif name == "NOT_LITERAL":
            pieces.append(preferred if ord(preferred) != value else "a" if value != 97 else "b")
        elif name == "IN":
            pieces.append(_member(tuple(value), preferred))
        elif name in _REPEATS:
            pieces.append(_sample(value[2], preferred) * max(value[0], 1))
        elif name == "BRANCH":
            choices = [_sample(branch, preferred) for branch in value[1]]
            liked = [choice for choice in choices if preferred in choice]
            pieces.append((liked or choices)[0])
        elif name in ("SUBPATTERN", "ATOMIC_GROUP"):
            pieces.append(_sample(_inner(op, value)[0], preferred))
    return "".join(pieces)


@functools.cache
def _member(items: Any, preferred: str) -> str:
    """Returns a character of a set."""
    return next((c for c in (preferred, *_ALPHABET) if _is_member(items, c)), "a")


def _is_member(items: Any, character: str) -> bool:
    negated, found = False, False
    for op, value in items:
        name = str(op)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            found |= ord(character) == value
        elif name == "RANGE":
            found |= value[0] <= ord(character) <= value[1]
        elif name == "CATEGORY":
            kind = str(value).removeprefix("CATEGORY_")
            inside = {
                "DIGIT": character.isdigit(),
                "SPACE": character.isspace(),
                "WORD": character.isalnum() or character == "_",
            }[kind.removeprefix("NOT_")]
            found |= inside != kind.startswith("NOT_")
    return found != negated


# ── parsers ──────────────────────────────────────────────────────────────────

# Who runs the programs and who writes the tests has written what these modules read.
_TRUSTED = re.compile(
    r"comms\.(?:settings|setting_types|conversion|host|suggest)|scenarios\.(?:docstring|play)"
    r"|fakes\.(?:transcripts|faults|config|descriptor|servers|suggest|wiring|world_mail)\b"
    r"|fakes\.(?:xmpp|toc)\.codec"
)
_MACHINE = re.compile(r"\.(?:show|complain|catalogue\.named|load|main)$")
_FILL = {"str": "a", "bytes": b"a", "bool": False, "int": 1, "str | None": None}
_TEXT = ("str", "bytes", "str | bytes", "bytes | str")
_TEXTS = ("Iterable[str]", "Sequence[str]", "list[str]", "list[bytes]")

CHARACTERS = "<>&\"'()[]{}\\;,:@.=%-!?#/*$_|~+"
PLAIN = ("a", "0", " ", "\t", "\n", "\r\n", "\0", "é", "\n\n")
MARKS = "\u0316\u0301"  # combining marks that are not in order
STREAM = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
FIELDS = (
    *("From", "To", "Subject", "Message-ID", "Date", "Received", "Content-Type"),
    *("Content-Disposition", "Return-Path", "X-Failed-Recipients", "Content-Transfer-Encoding"),
)
# What comes before the unit in a mail: the unit is in a field, or in a body of some kind.
REPORT = "Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: "


@dataclass(eq=False)
class Parser:
    """A function that reads what others have written."""

    name: str
    module: types.ModuleType
    calls: Sequence[Callable[[str], Callable[[], object]]]  # text → what is run
    kind: str = ""

    def attacks(self) -> list[Attack]:
        """Returns attacks made from what the module mentions."""
        _, mentioned_words = _calls_and_words(self.module)
        words = [word for word in mentioned_words if len(word) <= 12]
        mentioned = {character for word in mentioned_words for character in word}
        marks = [c for c in CHARACTERS if c in mentioned or self.kind]
        forms: tuple[str, ...] = ("{}", "{}a ", "a{}")
        if self.kind in ("Mail", "Source"):  # it has many prefixes, and each attack takes long
            forms = ("{}", "{}a ") if THOROUGH else ("{}",)
        shapes = (form.format(mark) for mark in marks for form in forms)
        units = list(dict.fromkeys([*PLAIN, *shapes, *words]))
        prefixes: tuple[str, ...] = ("",)
        if self.kind == "feed":
            prefixes = ("", STREAM, f"{STREAM}<a>", f"{STREAM}<a b='", f"{STREAM}<!--")
        if self.kind == "Arguments":
            prefixes = ("", " ", " (", ' ""', " a ", " 1 ", " 1 (", " BODY[HEADER.FIELDS (")
        if self.kind in ("Mail", "Source"):
            prefixes = (
                *("", "\r\n", *(f"{name}: " for name in FIELDS)),
                "Content-Type: text/html\r\n\r\n",
                f"{REPORT}message/delivery-status\r\n\r\nFinal-Recipient: ",
                f"{REPORT}text/rfc822-headers\r\n\r\nMessage-ID: ",
                f"{REPORT}message/rfc822\r\n\r\n",
                "Content-Type: multipart/mixed; boundary=x\r\n\r\n",
                "X-Failed-Recipients: a@b.c\r\nReturn-Path: <>\r\n\r\nmessage-id:<a@",
            )
        enough = 0.003 if self.kind else 0.001 if "._" in self.name else 0.0015
        thorough = [Attack("", unit, enough=0.02) for unit in ("a", " ", MARKS)]
        others = []
        for prefix, unit in itertools.product(prefixes, units):
            # A single character as often as in the largest: what copies the rest of the text for
            # each of them is quick, so it is seen there only.
            largest = ENOUGH if 1 < len(unit) <= FEW else LARGEST
            others.append(Attack(prefix, unit, enough=enough, largest=largest))
        return [*thorough, *others]

    def runs(self, attack: Attack) -> Iterator[Prepared]:
        """Yields each way in which the attack can be used."""
        for call in self.calls:
            yield lambda size, call=call: call(attack.text(size))  # type: ignore[misc]


def parsers(found: Iterable[types.ModuleType]) -> list[Parser]:
    """Returns every parser of the modules."""
    others = [module for module in found if not _TRUSTED.match(module.__name__)]
    single = [parser for module in others for parser in _parsers_of(module)]
    return [*single, *_readers_of_values(found)]


def _own(module: types.ModuleType) -> list[tuple[str, Any]]:
    """Returns the functions and the classes that the module defines."""
    own = vars(module).items()
    return [item for item in own if getattr(item[1], "__module__", "") == module.__name__]


def _parsers_of(module: types.ModuleType) -> Iterator[Parser]:
    for name, value in _own(module):
        place = f"{module.__name__}.{name}"
        if not inspect.isclass(value):
            if callable(value):
                yield from _parser(place, value, module)
            continue
        if hasattr(value, "feed") and not _required(value):
            yield Parser(place, module, [partial(_fed, value)], "feed")
        if _reads_when_made(value, module):
            yield from _parser(place, value, module)
        for member in vars(value):
            if isinstance(vars(value)[member], classmethod | staticmethod):
                yield from _parser(f"{place}.{member}", getattr(value, member), module)


def _reads_when_made(value: type, module: types.ModuleType) -> bool:
    """Whether a class has an `__init__` that somebody wrote: those of dataclasses only store."""
    code = getattr(value.__init__, "__code__", None)  # type: ignore[misc]
    return code is not None and code.co_filename == module.__file__


def _readers_of_values(found: Iterable[types.ModuleType]) -> Iterator[Parser]:
    """Yields what reads a mail or a stanza that was parsed already."""
    makes = (("Mail", _mail), ("Element", _element), ("Source", _source), ("Arguments", _arguments))
    for kind, make in makes:
        for package in PACKAGES:
            own = [item for module in found for item in _own(module)]
            own = [item for item in own if item[1].__module__.partition(".")[0] == package]
            calls = [call for _, call in own if _takes(call, kind)]
            if calls or kind in dict(own):
                name = f"{package}: what reads a {kind}"
                home = importlib.import_module(package)
                yield Parser(name, home, [partial(_read, make, package, calls)], kind)


def _takes(call: Any, kind: str) -> bool:
    return inspect.isfunction(call) and [_kind(p) for p in _required(call)] == [kind]


def _read(
    make: Callable[[str, str], Any], package: str, calls: list[Any], text: str
) -> Callable[[], object]:
    def run() -> None:
        value = make(package, text)
        kind: Any = type(value)
        for call in (*_views(kind, package), *calls):
            with contextlib.suppress(Exception):
                _explored(call(value))

    return run


@functools.cache
def _views(kind: type, package: str) -> list[Callable[[Any], object]]:
    """Returns the properties of one of our classes, and its methods without arguments."""
    found: list[Callable[[Any], object]] = []
    for name, member in inspect.getmembers_static(kind):
        if not kind.__module__.startswith(package) or name.startswith("_"):
            continue
        if isinstance(member, property | functools.cached_property):
            found.append(operator.attrgetter(name))
        elif inspect.isfunction(member) and len(_required(member)) == 1:
            found.append(member)
    return found


def _mail(package: str, text: str) -> Any:
    raw = text.encode("utf-8", "replace")
    if package == "fakes":
        module = importlib.import_module("fakes.mail")
        module._policy.cache_clear()  # it keeps fields that an earlier run has read
        return module.Mail(raw, module.Envelope("a@b.c", ()))
    return importlib.import_module("comms.read").read(raw)


def _source(package: str, text: str) -> Any:
    return importlib.import_module("fakes.imap.source").Source(text.encode("utf-8", "replace"))


def _arguments(package: str, text: str) -> Any:
    return importlib.import_module("fakes.imap.grammar").Arguments(text.encode() + b"\r\n")


def _element(package: str, text: str) -> Any:
    space = "{jabber:client}"
    element = ElementTree.Element(f"{space}message", {"from": text, "to": text, "id": text})
    for name in (f"{space}body", f"{space}subject", "{urn:x}x", "{urn:x}" + text):
        ElementTree.SubElement(element, name, {"stamp": text, "type": text}).text = text
    return element


def _parser(place: str, call: Any, module: types.ModuleType) -> Iterator[Parser]:
    required = _required(call)
    kinds = [_kind(parameter) for parameter in required]
    if _MACHINE.search(place) or not 1 <= len(kinds) <= 2:
        return
    calls = []
    for at, kind in enumerate(kinds):
        others = [other for index, other in enumerate(kinds) if index != at]
        if kind in (*_TEXT, *_TEXTS) and all(other in _FILL for other in others):
            calls.append(partial(_called, call, required, at))
    if calls:
        yield Parser(place, module, calls)


def _called(
    call: Any, required: list[inspect.Parameter], position: int, text: str
) -> Callable[[], object]:
    kind = _kind(required[position])
    given: Any = text.encode("utf-8", "replace") if kind.startswith(("bytes", "list[b")) else text
    if kind in _TEXTS:
        given = [given]
    values = [
        given if at == position else _FILL[_kind(parameter)]
        for at, parameter in enumerate(required)
    ]
    return lambda: _explored(call(*values))


def _kind(parameter: inspect.Parameter) -> str:
    """Returns the annotation of a parameter as it is written."""
    kind = parameter.annotation
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _required(function: Any) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in parameters if p.default is p.empty and p.kind not in kinds]


def _fed(kind: Any, text: str) -> Callable[[], object]:
    """Feeds a reader in small pieces, and takes what it finds after each of them.

    A peer may send such pieces. The more there are, the clearer is what a reader does again for
    each: in 11 pieces of 1,460 bytes, a quick machine hid it.
    """
    data = text.encode("utf-8", "replace")

    def run() -> None:
        reader = kind()
        take = getattr(reader, "next", None) or reader.read
        for at in range(0, len(data), PIECE):
            reader.feed(data[at : at + PIECE])
            while take() is not None:
                pass

    return run


def _explored(result: object) -> object:
    """Takes everything that a generator yields."""
    return list(result) if isinstance(result, Iterator) else result

"""Finds every pattern and parser of the packages, and inputs that could cost more than their size.

    for pattern in patterns():            # each regular expression, with how it is used
        for attack in pattern.attacks():  # (prefix, unit, tail): prefix + unit * n + tail
            ...
    for door in doors():                  # each function that reads text or bytes from others
        ...

Nothing here is a list that has to be kept: modules are imported, their objects looked at, and
their source is parsed. Attacks on a pattern are made from its own parts: each run of parts that
contains a repeat is repeated, after what must precede it, and followed by what cannot match.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import inspect
import pkgutil
import re
import signal
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

PACKAGES = ("comms", "scenarios", "fakes")
METHODS = ("search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split")
SMALL = 4_000  # characters of the first measurement
PATIENCE = 4.0  # seconds after which a single call is a failure anyway
WORTH = 0.004  # seconds below which nothing is measured again
FACTOR, MOST = 8, 24  # eight times the input may cost up to that many times as much


class TooSlow(BaseException):
    """A call was interrupted."""


# ── measuring ────────────────────────────────────────────────────────────────


def seconds(call: Callable[[], object], times: int = 1) -> float:
    """Returns the processor time of the fastest of several calls, at most PATIENCE."""

    def interrupt(*_: object) -> None:
        raise TooSlow

    signal.signal(signal.SIGPROF, interrupt)
    best = PATIENCE
    gc.disable()
    try:
        for _ in range(times):
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            try:
                call()
            except Exception:
                pass  # a refusal may be slow, too
            except TooSlow:
                return PATIENCE
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            best = min(best, time.process_time() - began)
    finally:
        gc.enable()
    return best


def growth(run: Callable[[int], object]) -> float:
    """Returns how many times as much `run` costs for FACTOR times the size; 1 if it is quick.

    First once, at four times the size. What looks suspicious is measured five times.
    """
    larger = seconds(partial(run, 4 * SMALL))
    if larger < WORTH or larger < 7 * seconds(partial(run, SMALL)):
        return 1.0
    small = seconds(partial(run, SMALL), 5)
    return seconds(partial(run, FACTOR * SMALL), 5) / max(small, 1e-5)


Attack = tuple[str, str, str]  # what comes first, what is repeated, what comes last


def text(attack: Attack, size: int) -> str:
    """Returns an attack of about that many characters."""
    prefix, unit, tail = attack
    return prefix + unit * (size // max(len(unit), 1)) + tail


# ── modules ──────────────────────────────────────────────────────────────────


def modules() -> Iterator[types.ModuleType]:
    """Yields every module of the packages, except those that run something."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def tree(module: types.ModuleType) -> ast.Module:
    """Returns the syntax tree of a module."""
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text("utf-8"))


# ── patterns ─────────────────────────────────────────────────────────────────


@dataclass
class Pattern:
    """A regular expression, where it is, and the methods by which it is used."""

    pattern: re.Pattern[Any]
    places: set[str] = field(default_factory=set)
    methods: set[str] = field(default_factory=set)

    def attacks(self) -> list[Attack]:
        """Returns inputs made from the pattern's own parts."""
        source = self.pattern.pattern
        shown = source.decode("latin-1") if isinstance(source, bytes) else source
        parsed = re._parser.parse(shown, self.pattern.flags & ~re.UNICODE)  # type: ignore[attr-defined]
        literals = [chr(value) for op, value in _flat(parsed) if str(op) == "LITERAL"]
        found: dict[Attack, None] = {}
        for preferred in dict.fromkeys([*literals[:10], "a", " ", "0", "<", "\n"]):
            for prefix, unit in _units(list(parsed), "", preferred):
                for tail in ("", "\0", "\n", "!\n"):
                    found[prefix, unit, tail] = None
                    found["", unit, tail] = None
        return list(found)

    def runs(self) -> Iterator[Callable[[Any], object]]:
        """Yields the ways in which it is used."""
        for method in sorted(self.methods or {"search"}):
            if method in ("match", "fullmatch", "search"):
                yield getattr(self.pattern, method)
            else:
                yield lambda given: [None for _ in self.pattern.finditer(given)]


def patterns() -> tuple[list[Pattern], list[str]]:
    """Returns every pattern, and the places of those that cannot be evaluated here."""
    found: dict[tuple[Any, int], Pattern] = {}
    unknown: list[str] = []
    uses: dict[str, set[str]] = {}
    everything = [(module, tree(module)) for module in modules()]

    def add(pattern: re.Pattern[Any], place: str, methods: set[str]) -> None:
        item = found.setdefault((pattern.pattern, pattern.flags), Pattern(pattern))
        item.places.add(place)
        item.methods |= methods

    for _, syntax in everything:
        for node in ast.walk(syntax):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                name = getattr(node.value, "attr", getattr(node.value, "id", ""))
                uses.setdefault(name, set()).add(node.attr)
    for module, syntax in everything:
        for owner in (module, *_classes(module)):
            for name, value in vars(owner).items():
                for pattern in _patterns_in(value):
                    add(pattern, f"{module.__name__}.{name}", uses.get(name, set()))
        for scope in ast.walk(syntax):
            if not isinstance(scope, ast.FunctionDef | ast.Module):
                continue
            for node in ast.walk(scope):
                method = _re_method(node)
                if not method or not isinstance(node, ast.Call):
                    continue
                place = f"{module.__name__}:{node.lineno}"
                try:
                    made = _compiled(node, method, scope, module)
                except NameError:
                    if isinstance(scope, ast.FunctionDef):
                        unknown.append(place)
                    continue
                if made is not None:
                    add(made, place, set() if method == "compile" else {method})
    return list(found.values()), sorted(set(unknown))


def _classes(module: types.ModuleType) -> list[type]:
    return [value for value in vars(module).values() if isinstance(value, type)]


def _patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        for item in [*value.keys(), *value.values()]:
            yield from _patterns_in(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _patterns_in(item)


def _re_method(node: ast.AST) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = node.func.value
        if isinstance(owner, ast.Name) and owner.id == "re" and node.args:
            return node.func.attr if node.func.attr in ("compile", *METHODS) else ""
    return ""


def _compiled(
    node: ast.Call, method: str, scope: ast.AST, module: types.ModuleType
) -> re.Pattern[Any] | None:
    """Returns the pattern of a call of `re`; None if it consists of escaped texts only."""
    source = ast.unparse(node.args[0])
    names: dict[str, Any] = dict(vars(module))
    for statement in ast.walk(scope):  # a pattern may have a local name
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            continue
        name = statement.targets[0].id
        if name in source and name not in names:
            source += f" {ast.unparse(statement.value)}"
            with contextlib.suppress(Exception):
                names[name] = _value(statement.value, names)
    if "re.escape(" in source:
        return None
    flags = 0
    places = {"compile": 1, "sub": 4, "subn": 4, "split": 3}
    position = places.get(method, 2)
    given = [word.value for word in node.keywords if word.arg == "flags"]
    for item in given or node.args[position : position + 1]:
        flags = int(_value(item, names))
    value = _value(node.args[0], names)
    return value if isinstance(value, re.Pattern) else re.compile(value, flags)


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(node), "pattern", "eval"), {**names, "re": re})


# ── attacks from the parts of a pattern ──────────────────────────────────────

REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")


def _flat(items: Any) -> Iterator[tuple[Any, Any]]:
    for op, value in items:
        yield op, value
        for inner in _inner(op, value):
            yield from _flat(inner)


def _inner(op: Any, value: Any) -> list[Any]:
    """The parts inside of a part."""
    name = str(op)
    if name in REPEATS:
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
    """Yields (what must come first, what to repeat) of a sequence and of those inside of it."""
    for first in range(len(items)):
        before = prefix + _sample(items[:first], preferred)
        for last in range(first + 1, min(first + 4, len(items)) + 1):
            window = items[first:last]
            repeats = any(str(op) in REPEATS for op, _ in _flat(window))
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
            pieces.append(_member(value, preferred))
        elif name in REPEATS:
            pieces.append(_sample(value[2], preferred) * max(value[0], 1))
        elif name == "BRANCH":
            choices = [_sample(branch, preferred) for branch in value[1]]
            liked = [choice for choice in choices if preferred in choice]
            pieces.append((liked or choices)[0])
        elif name in ("SUBPATTERN", "ATOMIC_GROUP"):
            pieces.append(_sample(_inner(op, value)[0], preferred))
    return "".join(pieces)


def _member(items: Any, preferred: str) -> str:
    """Returns a character of a set."""
    candidates = [preferred, *"a0 <>@.\"'=\n", *map(chr, range(0x21, 0x250))]
    return next((c for c in candidates if _is_member(items, c)), "a")


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
            }[kind.removeprefix("NOT_").removeprefix("UNI_").removeprefix("UNI_NOT_")]
            found |= inside != ("NOT_" in kind)
    return found != negated


# ── doors ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Door:
    """A function that reads what others have written. `kind` is str, bytes, Mail or feed."""

    name: str
    kind: str
    call: Callable[[Any], object]


# These use the machine, or load what their argument names, so that they are no parsers.
MACHINE = re.compile(
    r"\.(load|named|run|connect|candidates|lookup|look_up|resolve|main|imported|certificate\w*"
    r"|keep|connects|processes|read_file|by_\w+|find|play|world)$|\.stage\.|catalogue|\.live\b"
)


def doors() -> list[Door]:
    """Returns the functions with one required parameter of a kind that comes from others."""
    found: dict[str, Door] = {}
    for module in modules():
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") != module.__name__:
                continue
            place = f"{module.__name__}.{name}"
            if inspect.isfunction(value) and not MACHINE.search(place):
                kind = _kind(value)
                if kind:
                    found[place] = Door(place, kind, value)
            elif inspect.isclass(value) and hasattr(value, "feed") and not _required(value):
                found[place] = Door(place, "feed", partial(_fed, value))
    return list(found.values())


def _required(function: Any) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [inspect.Parameter("unknown", inspect.Parameter.POSITIONAL_ONLY)]
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in parameters if p.default is p.empty and p.kind not in kinds]


def _kind(function: Any) -> str:
    wanted = _required(function)
    if len(wanted) != 1:
        return ""
    kind = str(wanted[0].annotation)
    return kind if kind in ("str", "bytes", "Mail") else ""


def _fed(kind: Any, data: bytes) -> None:
    """Feeds a reader in the pieces in which a socket returns data, and takes what it finds."""
    reader = kind()
    take = getattr(reader, "next", None) or reader.read
    for at in range(0, len(data), 1 << 16):
        reader.feed(data[at : at + (1 << 16)])
        while take() is not None:
            pass


STREAM = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
PREFIXES = ("", "<", '"', "(", "=?utf-8?q?", "<!--", '<a b="', f"{STREAM}<a b='", f"{STREAM}<a>")
UNITS = (
    *"<>&\"'()[]{}\\;,:@.=%-!?#/ \t\n\ra1\0é*_$",
    "<a ",
    '<a "',
    "<a b='",
    "<a@",
    "a@",
    "<a@b>",
    "<a>",
    "</a>",
    "</a ",
    "<b><i>",
    "<!--",
    "<!",
    "<?",
    "<![CDATA[",
    "]]>",
    "&#",
    "&amp",
    "&a;",
    "=?",
    "?=",
    "=?utf-8?q?a?=",
    "=?utf-8?q?a?= ",
    "=?u?b?",
    "=",
    "==",
    "=41",
    "\r\n",
    "\r\n ",
    "\n\n",
    "\n>",
    "> ",
    "a:\n",
    ": ",
    "a, ",
    "a;",
    'a="',
    "*0*=",
    "; a*0=b",
    '"a" ',
    "(a)",
    "\\(",
    "[#",
    " [#",
    "[#1]",
    "re: ",
    "--",
    "\n--",
    "\n--x",
    "a.",
    "a b ",
    "+ADw-",
    "\x1b$B",
    "http://a ",
    "a\n:",
    "<pre>\n",
    "<table><td>",
    "<style>",
    "<script>",
    "On a wrote:\n",
    ">\n",
)
FIELDS = (
    *("From", "To", "Reply-To", "Subject", "Message-ID", "References", "In-Reply-To", "Date"),
    *(
        "Content-Type",
        "Content-Disposition",
        "Content-Transfer-Encoding",
        "Received",
        "Return-Path",
    ),
    *("Delivered-To", "X-Failed-Recipients", "Auto-Submitted", "Precedence", "List-Id", "X-Any"),
)
DSN = "Content-Type: multipart/report; boundary=x\r\n\r\n--x\r\nContent-Type: "
MAILS = (
    *(f"{field}: " for field in FIELDS),
    'Content-Type: text/plain; a="',
    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n",
    "Content-Disposition: attachment; filename*0=",
    "\r\n",
    "Content-Type: text/html\r\n\r\n",
    "Content-Type: text/html\r\n\r\n<a ",
    "Content-Type: text/plain; format=flowed\r\n\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    "Content-Transfer-Encoding: base64\r\n\r\n",
    "X-Failed-Recipients: a@b.c\r\nReturn-Path: <>\r\n\r\nmessage-id:",
    "X-Failed-Recipients: a@b.c\r\nReturn-Path: <>\r\n\r\nmessage-id:<a@",
    "Return-Path: <>\r\nReceived: x\r\n\r\nHi. This is the <",
    f"{DSN}message/delivery-status\r\n\r\nFinal-Recipient: ",
    f"{DSN}text/rfc822-headers\r\n\r\nMessage-ID: ",
    f"{DSN}message/rfc822\r\n\r\n",
)


def door_attacks(door: Door) -> list[Attack]:
    """Returns inputs for a door."""
    prefixes = MAILS if door.kind == "Mail" or door.name.endswith("read.read") else PREFIXES
    return [(prefix, unit, tail) for prefix in prefixes for unit in UNITS for tail in ("", "!")]


def knocked(door: Door, attack: Attack, size: int) -> object:
    """Calls a door with an attack of that size."""
    given = text(attack, size)
    if door.kind == "str":
        return _all(door.call(given))
    raw = given.encode("utf-8", "replace")
    return _all(door.call(_mail(raw) if door.kind == "Mail" else raw))


def _all(result: object) -> object:
    return list(result) if isinstance(result, Iterator) else result


def _mail(raw: bytes) -> Any:
    try:
        reading = importlib.import_module("comms.read")
    except ImportError:
        reading = importlib.import_module("comms.message")
    return reading.read(raw)

"""The text form of faults, for tests, transcripts, world files and `FAULT=`.

    [PROTOCOL] WHERE [arg PATTERN] [user NAME] [nth N] WHAT [times N] [optional]

    RCPT arg assaf* reply "451 4.3.0 try later" times 2
    smtp . lost stored
    smtp connect delay 30
    RETR probability 0.01 seed 7 reset
    MAIL above 10 per 60 reply "450 4.7.1 too much mail"

A semicolon separates faults, unless it is inside quotes. Double and single quotes are the same.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fakes.faults.value import KINDS, Drill, Fault, FaultError
from fakes.suggest import nearest

FORM = "[PROTOCOL] WHERE [arg PATTERN] [user NAME] [nth N] WHAT [times N] [optional]"
# In place of `nth`, `probability P [seed N]` or `above N per SECONDS` says which units it strikes.
_CONDITIONS: dict[str, type | tuple[str, ...]] = {
    "arg": str,
    "user": str,
    "nth": int,
    "probability": float,
    "seed": int,
    "above": int,
    "per": float,
    "times": int,
    "optional": (),
}
_HANG_UP = ("before", "within", "after")


def parse(
    text: str, protocols: Collection[str] = (), drills: Mapping[str, str | Drill] | None = None
) -> list[Fault | Drill]:
    """Returns the faults of a text.

    A first word that is among `protocols` names the protocol; the name of a drill may stand for a
    fault. Raises FaultError.
    """
    faults: list[Fault | Drill] = []
    if not text.strip():
        raise FaultError(f"a fault is empty; write {FORM}")
    for words in _statements(text):
        drill = (drills or {}).get(words[0]) if len(words) == 1 else None
        if isinstance(drill, str):
            faults += parse(drill, protocols)
        elif drill is not None:
            faults.append(drill)
        else:
            faults.append(_fault(words, protocols, drills or {}))
    return faults


_WORD = re.compile(
    r"""\s* (?: "((?:[^"\\]|\\.)*+)" | '((?:[^'\\]|\\.)*+)' | (;) | ([^\s;"'][^\s;"]*) )""",
    re.S | re.X,
)


def _statements(text: str) -> Iterator[list[str]]:
    """Yields the words of each fault."""
    words: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _WORD.match(text, at)
        if match is None:
            rest = text[at:].strip()[:20]
            raise FaultError(f"{text!r}: the quote at {rest!r} is never closed; add a quote")
        double, single, semicolon, bare = match.groups()
        quoted = double if double is not None else single
        if semicolon:
            yield words
            words = []
        elif quoted is not None:
            words.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            words.append(bare)
        at = match.end()
    if words:
        yield words


def _fault(
    words: list[str], protocols: Collection[str], drills: Mapping[str, str | Drill]
) -> Fault:
    text = " ".join(words)
    if not words:
        raise FaultError(f"a fault is empty; write {FORM}")
    rest = deque(words)  # taking the first word of a list would copy all the others
    keywords = {*_CONDITIONS, "hang", *KINDS}
    values: dict[str, Any] = {}
    if rest[0].casefold() in protocols and len(rest) > 1:
        values["protocol"] = rest.popleft().casefold()
    # The first word is always a place, even if it looks like a keyword (RSET, `reset`). Places of
    # several words are joined by underscores: `toc send im`.
    place = [rest.popleft()]
    while rest and rest[0] not in keywords:
        place.append(rest.popleft())
    while rest:
        word = rest.popleft()
        if word == "hang" and rest and rest[0] == "up":
            word = "hang_up"
            rest.popleft()
        if word not in keywords or word == "hang":
            if list(values)[-1:] == ["reply"]:
                # Whatever follows belongs to the reply, except for `times N` and `optional`.
                after = list(rest)
                end = len(after) - (after[-1:] == ["optional"])
                end -= 2 if after[:end][-2:-1] == ["times"] else 0
                reply = " ".join([values["reply"], word, *after[:end]])
                raise FaultError(f'{text!r}: the reply is not in quotes; write reply "{reply}"')
            hint = nearest(word, [*keywords - {"hang", "hang_up"}, "hang up"])
            raise FaultError(f"{text!r}: unknown word {word!r}{hint}; write {FORM}")
        if word in values:
            raise FaultError(f"{text!r}: {word} is given twice; write it once")
        values[word] = _value(text, word, rest)
    if len(words) == 1 and drills:
        hint = nearest(words[0], drills)
        raise FaultError(
            f"{text!r}: neither a fault nor a drill{hint}; write {FORM}, or choose a drill from: "
            f"{', '.join(drills)}"
        )
    if not set(values) & set(KINDS):
        for word in place[1:]:
            hint = nearest(word, [kind.replace("_", " ") for kind in KINDS])
            if hint:
                raise FaultError(f"{text!r}: unknown word {word!r}{hint}; write {FORM}")
    try:
        return Fault(where="_".join(place), **values)
    except FaultError as error:
        raise FaultError(f"{text!r}: {error}") from None


def _value(text: str, word: str, rest: deque[str]) -> object:
    """Takes the value of a keyword from the words after it."""
    kind = KINDS.get(word) or _CONDITIONS.get(word, ())
    if kind == ():
        return True
    if word == "hang_up" and (not rest or rest[0] not in _HANG_UP):
        return "before"
    if not rest:
        wanted = "a text"
        if isinstance(kind, tuple):
            wanted = " or ".join(kind)
        elif kind in (int, float):
            wanted = "a number"
        raise FaultError(f"{text!r}: {word} has no value; write {wanted} after it")
    value = rest.popleft()
    if kind not in (int, float):
        return value
    try:
        return int(value) if kind is int else float(value)
    except ValueError:
        raise FaultError(
            f"{text!r}: {word} expects a number, found {value!r}; "
            f"write {word} {0.1 if word == 'probability' else 2}"
        ) from None

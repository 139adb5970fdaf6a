"""A fault as a value: what goes wrong, where, and how often."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Literal

EVERYWHERE = frozenset({"connect", "tls"})  # the two places that every server has

# What may go wrong → the words that may follow it, or the type of the value that must.
KINDS: dict[str, tuple[str, ...] | type] = {
    "refuse": (),
    "reply": str,
    "hang_up": ("before", "within", "after"),
    "reset": (),
    "after": int,
    "stall": (),
    "delay": float,
    "split": int,
    "bandwidth": int,
    "lost": ("stored", "unstored"),
    "off": (),
    "certificate": ("expired", "other-name", "self-signed"),
}

# What the value of a field may be → how an error calls it. Words in an annotation are texts, too.
_FORMS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text in quotes"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "True or False"),
}

# The least value of each number.
_LEAST = {
    **dict.fromkeys(("nth", "times", "above", "split", "bandwidth"), 1),
    **dict.fromkeys(("per", "after", "delay"), 0),
}


class FaultError(ValueError):
    """A fault that cannot be read or armed; the text names the wrong word and what to write."""


@dataclass(frozen=True)
class Places:
    """Where a fault may strike in one protocol: at its units, and at its capabilities (with `off`).

    Names are in lower case. Some, such as `starttls`, are both.
    """

    units: frozenset[str]
    capabilities: frozenset[str] = frozenset()

    def __contains__(self, where: object) -> bool:
        return where in self.units or where in self.capabilities

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.units | self.capabilities))


@dataclass(frozen=True)
class Fault:
    """One failure: `Fault("RCPT", arg="assaf*", reply="451 4.3.0 try later", times=2)`.

    `where` names the place: a command, a capability (with `off`), `connect`, `tls`, or `.` for the
    end of the message data. `arg` is a glob that the command's argument, or the address in it, must
    match. `nth` counts matching units from 1, `times` how often it strikes. With a `probability`
    from 0 to 1 it strikes that part of the units: the same ones for the same `seed`. With `above`
    and `per` it strikes what comes after that many units within `per` seconds, as a rate limit
    does; what it strikes does not count. `after` is in bytes of the answer before encryption,
    `delay` in seconds of the world's clock, `split` in bytes per write, `bandwidth` in bytes per
    second; at `connect`, it is that of all answers of the connection. An `optional` fault need not
    be met. Each fault describes exactly one failure. Raises FaultError.
    """

    where: str
    protocol: str = ""
    arg: str = ""
    user: str = ""
    nth: int | None = None
    times: int | None = None
    refuse: bool = False
    reply: str | None = None
    hang_up: Literal["", "before", "within", "after"] = ""
    reset: bool = False
    after: int | None = None
    stall: bool = False
    delay: float | None = None
    split: int | None = None
    bandwidth: int | None = None
    lost: Literal["", "stored", "unstored"] = ""
    off: bool = False
    certificate: Literal["", "expired", "other-name", "self-signed"] = ""
    probability: float | None = None
    seed: int | None = None
    above: int | None = None
    per: float | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        self._check_types()
        object.__setattr__(self, "where", self.where.replace(" ", "_").casefold())
        kinds = [kind for kind in KINDS if _is_given(getattr(self, kind))]
        if self.reply == "":
            raise FaultError("reply: the text is empty; write the line that the server sends")
        if len(kinds) != 1:
            raise FaultError(
                f"the fault at {self.where!r} has {' and '.join(kinds) or 'no failure'}; "
                f"give exactly one of {', '.join(KINDS).replace('_', ' ')}"
            )
        self._check_numbers()
        self._check_kind(kinds[0])

    def _check_types(self) -> None:
        for one in fields(self):
            value, kind = getattr(self, one.name), str(one.type).removesuffix(" | None")
            types, wanted = _FORMS.get(kind, _FORMS["str"])
            # bool is a subclass of int, but `times=True` is a mistake.
            if isinstance(value, types) and (kind == "bool" or not isinstance(value, bool)):
                continue
            if value is not None or not str(one.type).endswith(" | None"):
                words = KINDS.get(one.name)
                if isinstance(words, tuple) and words:
                    wanted = " or ".join(words)
                raise FaultError(f"{one.name}: {value!r} is not possible; write {wanted}")

    def _check_numbers(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:  # nan is in no range
                raise FaultError(f"{name}: {value} is not possible; write a number from {least} up")
        if self.probability is None:
            if self.seed is not None:
                raise FaultError("seed: it needs a probability; write probability 0.1 seed 2")
        elif not 0 < self.probability <= 1:
            raise FaultError(
                f"probability: {self.probability} is not possible; write a number from 0 to 1"
            )
        elif self.nth is not None:
            raise FaultError("nth and probability exclude each other; write one of them")
        if (self.above is None) != (self.per is None):
            raise FaultError("above and per belong together; write above 10 per 60")
        if self.per == 0:
            raise FaultError("per: 0 is not possible; write a number of seconds")
        if self.above is not None and (self.nth or self.probability is not None):
            raise FaultError("above excludes nth and probability; write one of them")

    def _check_kind(self, kind: str) -> None:
        """Raises FaultError if a value, or the place, does not belong to this kind of failure."""
        allowed = KINDS[kind]
        value = getattr(self, kind)
        if isinstance(allowed, tuple) and allowed and value not in allowed:
            raise FaultError(f"{kind}: unknown value {value!r}; write {' or '.join(allowed)}")
        for name, place in (("refuse", "connect"), ("certificate", "tls")):
            if kind == name and self.where != place:
                raise FaultError(f"{kind} does not apply to {self.where!r}; write {place} {kind}")
        if self.where == "tls" and kind not in ("hang_up", "reset", "stall", "certificate"):
            raise FaultError(
                f"{kind} does not apply to tls; write hang up, reset, stall or certificate"
            )
        for name in ("probability", "above"):
            if getattr(self, name) is not None and kind in ("off", "refuse"):
                raise FaultError(f"{name} does not apply to {kind}; write reply, reset or another")
        if self.where == "connect" and kind in ("off", "lost"):
            raise FaultError(f"{kind} does not apply to connect; name a command or a capability")

    @property
    def kind(self) -> str:
        """What goes wrong: a key of KINDS."""
        return next(kind for kind in KINDS if _is_given(getattr(self, kind)))

    def __str__(self) -> str:
        """The fault in the text form that `parse` reads."""
        place = self.where if self.where in (*EVERYWHERE, ".") else self.where.upper()
        words = [self.protocol, place]
        words += ["arg", _quoted(self.arg)] if self.arg else []
        words += ["user", _quoted(self.user)] if self.user else []
        words += ["nth", str(self.nth)] if self.nth else []
        words += ["probability", repr(self.probability)] if self.probability is not None else []
        words += ["seed", str(self.seed)] if self.seed is not None else []
        if self.above is not None and self.per is not None:
            words += ["above", str(self.above), "per", _number(self.per)]
        value = getattr(self, self.kind)
        words.append(self.kind.replace("_", " "))
        if self.kind == "reply":
            words.append('"' + re.sub(r'(["\\])', r"\\\1", value) + '"')
        elif value is not True:
            words.append(_number(value) if isinstance(value, float) else str(value))
        words += ["times", str(self.times)] if self.times else []
        words += ["optional"] if self.optional else []
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Drill:
    """A failure that the wire cannot express: a function of the world (see drills.py).

    `play(world, met)` arranges it, and calls `met` when it has happened. `protocols` are those
    through which a program can notice it; empty if it does not depend on a protocol.
    """

    name: str
    play: Callable[..., None] = field(compare=False)
    protocols: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def _number(value: float) -> str:
    # repr of a float is exact, so that the text is read as the same fault.
    return repr(float(value)).removesuffix(".0")


def _is_given(value: object) -> bool:
    # `after 0` is given: 0 is a number here, not an absent value.
    return value is not None and value is not False and value != ""


def _quoted(text: str) -> str:
    if not re.search(r"""[\s;"'\\]""", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'

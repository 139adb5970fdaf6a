"""The armed faults of one world, and which of them a unit meets."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from fakes import globs
from fakes.empty import EMPTY
from fakes.faults.text import parse
from fakes.faults.value import Drill, Fault, FaultError, Places
from fakes.suggest import nearest


class UnmetFault(AssertionError):
    """A fault was armed, and nothing ever met it: the test did not test what it meant to."""


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0  # matching units so far
    met: int = 0  # how often it struck
    passed: deque[float] = field(default_factory=deque)  # when the last units came that it let pass

    def strikes(self, now: float) -> bool:
        """Whether the fault strikes the unit that was seen last, which came now."""
        if self.fault.above is not None and self.fault.per is not None:
            return self._too_many(self.fault.above, self.fault.per, now)
        if self.fault.probability is None:
            return self.seen in _window(self.fault)
        # Drawn from the fault and the number of the unit, so that nothing else changes it.
        drawn = hashlib.sha256(f"{self.fault} {self.seen}".encode()).digest()
        struck = int.from_bytes(drawn[:8], "big") < self.fault.probability * 2**64
        return struck and self.met < (self.fault.times or math.inf)

    def _too_many(self, above: int, per: float, now: float) -> bool:
        while self.passed and self.passed[0] <= now - per:
            self.passed.popleft()
        if len(self.passed) >= above and self.met < (self.fault.times or math.inf):
            return True
        self.passed.append(now)
        return False


class Faults:
    """The faults of one world, counted. If none is armed, a check is one truth test.

    `arm` and `disarm` take faults, drills, and texts of both, while a test runs.
    """

    __slots__ = ("_protocols", "_vocabulary", "armed", "catalogue", "drills", "now")

    def __init__(
        self,
        vocabulary: Mapping[str, Places] = EMPTY,
        protocols: Collection[str] = (),
        catalogue: Mapping[str, str | Drill] = EMPTY,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`catalogue` has drills by name; `now` returns seconds since the epoch."""
        self._vocabulary, self._protocols = vocabulary, protocols
        self.catalogue = catalogue
        self.now = now
        self.armed: tuple[_Armed, ...] = ()
        self.drills: Mapping[Drill, bool] = EMPTY  # → whether it has happened

    def __bool__(self) -> bool:
        return bool(self.armed)

    def __repr__(self) -> str:
        everything = [*(armed.fault for armed in self.armed), *self.drills]
        return f"<Faults {'; '.join(map(str, everything)) or 'none'}>"

    def arm(self, *faults: Fault | Drill | str) -> None:
        """Arms faults. Raises FaultError if no server, or more than one, has the place."""
        read = [fault for given in faults for fault in self._read(given)]
        # All of them are looked at before the first is armed.
        for fault in [one if isinstance(one, Drill) else self._placed(one) for one in read]:
            if isinstance(fault, Drill):
                self._stage(fault)
                continue
            self.armed += (_Armed(fault),)
            try:
                self.on_armed(fault)
            except FaultError:
                self.armed = self.armed[:-1]
                raise

    # ── what a world adds ────────────────────────────────────────────────────

    @property
    def vocabulary(self) -> Mapping[str, Places]:
        """Where faults may strike, for each protocol."""
        return self._vocabulary

    @property
    def protocols(self) -> Collection[str]:
        """The protocols that a text may name, in this world or not."""
        return self._protocols

    def stage(self, drill: Drill, met: Callable[[], None]) -> None:
        """Begins to play a drill; `met` is to be called when it has happened."""

    def on_armed(self, fault: Fault) -> None:
        """Called with each fault that is armed. May raise FaultError."""

    def on_disarmed(self, fault: Fault) -> None:
        """Called with each fault that was removed."""

    # ── arming ───────────────────────────────────────────────────────────────

    def _stage(self, drill: Drill) -> None:
        def met() -> None:
            if drill in self.drills:  # else it was disarmed
                self.drills = {**self.drills, drill: True}

        self.drills = {**self.drills, drill: False}
        try:
            self.stage(drill, met)
        except ValueError as error:  # a world in real time has no cues
            raise FaultError(f"{drill}: {error}") from None

    def _read(self, given: Fault | Drill | str) -> list[Fault | Drill]:
        if isinstance(given, Fault | Drill):
            return [given]
        if not isinstance(given, str):
            raise FaultError(
                f'{given!r} is not a fault; write a text such as "RCPT reset", or a Fault'
            )
        return parse(given, {*self.protocols, *self.vocabulary}, self.catalogue)

    def disarm(self, *faults: Fault | Drill | str) -> None:
        """Removes these faults, or all, also those that nothing has met. Raises FaultError."""
        everything = [*(armed.fault for armed in self.armed), *self.drills]
        unwanted = everything
        if faults:
            read = [fault for given in faults for fault in self._read(given)]
            unwanted = [one if isinstance(one, Drill) else self._placed(one) for one in read]
        for one in unwanted:
            if one not in everything:
                known = "; ".join(map(str, everything)) or "none"
                raise FaultError(f"{one}: this is not armed; armed: {known}")
        self.armed = tuple(armed for armed in self.armed if armed.fault not in unwanted)
        self.drills = {drill: met for drill, met in self.drills.items() if drill not in unwanted}
        for one in unwanted:
            if isinstance(one, Fault):
                self.on_disarmed(one)

    def meet(self, protocol: str, where: str, arg: str = "", user: str = "") -> Fault | None:
        """Returns the fault that strikes this unit, and counts it; None for most units."""
        where = where.casefold()
        hit: _Armed | None = None
        for armed in self.armed:
            fault = armed.fault
            if fault.where != where or fault.protocol != protocol or fault.off or fault.refuse:
                continue
            if fault.arg and not _matches(fault.arg.casefold(), arg.casefold()):
                continue
            if fault.user and not _same_login(fault.user, user):
                continue
            # Every matching unit counts, also one that an earlier fault takes: `nth 2` means the
            # second RCPT, whatever happened to the first.
            armed.seen += 1
            if armed.strikes(self.now()) and hit is None:
                hit = armed
        if hit is None:
            return None
        hit.met += 1
        return hit.fault

    def lacks(self, protocol: str, capability: str) -> bool:
        """Whether a fault switches this capability off; asking counts as meeting it."""
        name = capability.casefold()
        for armed in self.armed:
            fault = armed.fault
            if fault.off and fault.protocol == protocol and fault.where == name:
                armed.met += 1
                return True
        return False

    def may_refuse(self, protocol: str) -> bool:
        """Whether a `refuse` fault is armed for this protocol's ports."""
        return any(one.fault.refuse and one.fault.protocol == protocol for one in self.armed)

    def refuses(self, protocol: str) -> bool:
        """Whether the port is closed for the next connection attempt; counts the attempt."""
        hit = False
        for armed in self.armed:
            if armed.fault.refuse and armed.fault.protocol == protocol:
                armed.seen += 1
                if not hit and armed.seen in _window(armed.fault):
                    armed.met += 1
                    hit = True
        return hit

    def unmet(self) -> list[Fault | Drill]:
        """Returns what never struck. A test that arms a fault and never meets it tests nothing."""
        faults: list[Fault | Drill] = [
            armed.fault for armed in self.armed if not armed.met and not armed.fault.optional
        ]
        return faults + [drill for drill, met in self.drills.items() if not met]

    def _placed(self, fault: Fault) -> Fault:
        """Returns the fault with its protocol filled in. Raises FaultError."""
        if fault.protocol:
            known = self.vocabulary.get(fault.protocol)
            if known is None:
                servers = ", ".join(self.vocabulary)
                raise FaultError(
                    f"{fault}: this world has no {fault.protocol} server; it has: {servers}"
                )
            if fault.where not in known:
                hint = nearest(fault.where, known)
                raise FaultError(
                    f"{fault}: {fault.protocol} has no place {fault.where!r}{hint}; "
                    f"it has: {', '.join(known)}"
                )
            _check_place(fault, known)
            return fault
        having = [name for name, known in self.vocabulary.items() if fault.where in known]
        if not having:
            raise self._unknown_place(fault)
        if len(having) > 1:
            names = f"{', '.join(having[:-1])} and {having[-1]}"
            raise FaultError(
                f"{fault}: {names} have a place {fault.where!r}; "
                f"name the protocol: {having[0]} {fault}"
            )
        _check_place(fault, self.vocabulary[having[0]])
        return dataclasses.replace(fault, protocol=having[0])

    def _unknown_place(self, fault: Fault) -> FaultError:
        places = {place for known in self.vocabulary.values() for place in known}
        # `imap RCPT reset` was read as the place `imap_rcpt`.
        protocol, _, rest = fault.where.partition("_")
        if rest in places:
            return FaultError(
                f"{fault}: unknown protocol {protocol!r}{nearest(protocol, self.vocabulary)}; "
                f"this world has: {', '.join(self.vocabulary)}"
            )
        return FaultError(
            f"{fault}: no server of this world has a place {fault.where!r}"
            f"{nearest(fault.where, sorted(places))}; "
            f"name a command, a capability, connect or tls"
        )


def _check_place(fault: Fault, places: Places) -> None:
    """Raises FaultError for `off` at a command, or anything else at a capability."""
    if fault.off and fault.where not in places.capabilities:
        capabilities = ", ".join(sorted(places.capabilities)) or "none"
        raise FaultError(
            f"{fault}: {fault.where!r} is not a capability; off applies to: {capabilities}"
        )
    if not fault.off and fault.where not in places.units:
        raise FaultError(
            f"{fault}: {fault.where!r} is a capability, which is never met by itself; "
            f"write {fault.protocol} {fault.where.upper()} off"
        )


def _window(fault: Fault) -> range:
    """The occurrence numbers at which a fault strikes."""
    first = fault.nth or 1
    times = fault.times or (1 if fault.nth else 10**9)
    return range(first, first + times)


def _matches(pattern: str, arg: str) -> bool:
    """Whether the argument, or the address in angle brackets in it, matches a glob."""
    _, bracket, rest = arg.partition("<")
    if globs.fits(arg, pattern):
        return True
    return bool(bracket) and globs.fits(rest.partition(">")[0], pattern)


def _same_login(wanted: str, user: str) -> bool:
    """Whether a user has the wanted name. It may have several, a line each."""
    names = user.casefold().split("\n")
    return any(wanted.casefold() in (name, name.partition("@")[0]) for name in names)

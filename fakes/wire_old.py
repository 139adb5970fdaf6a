"""A fake's core: one connection as a pure thing, without sockets, clock or chance.

    buffer → next unit (line, literal, stanza, frame) → fault? → handle → record → out

A protocol is a subclass of `Session`. It says how octets part into units, and what each unit does; this module does the
rest, once for all protocols: it meets faults, keeps records, and hands output to the shell. The shell (`server.py` with
sockets, `transcript.py` without) calls `opened`, `receive`, `secured`, `eof`, `tick`, and takes what `take` gives.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fakes.faults import EVERYWHERE, Fault, Faults

PENDING = 1 << 20  # octets of output, above which nothing more is handled until some is taken
BACKLOG = 1 << 18  # unhandled input, in octets, above which the shell stops reading for a while


_NAMES = {".": "end_of_data"}  # verbs that cannot be part of a method's name


class Want(enum.Enum):
    """What a core asks of its shell, once its output is out."""

    START_TLS = "start TLS"
    CLOSE = "close"  # FIN; what the client still sends is read and dropped
    RESET = "reset"  # RST
    BECOME = "become"  # another protocol goes on, with what has come and was not taken yet


class Refuse(Exception):
    """Raised by a handler where a refusal is noticed; `Session.refused` alone turns it into an answer."""

    def __init__(self, reply: Any, section: str = "") -> None:
        super().__init__(reply)
        self.reply = reply
        self.section = section


@dataclass(frozen=True)
class Rule:
    """A row of a legality table: the states in which a verb is legal, and the section that says so."""

    states: frozenset[str]
    section: str


def rule(states: str, section: str) -> Rule:
    """`rule("READY MAIL", "RFC 5321 §4.1.1.3")`."""
    return Rule(frozenset(states.split()), section)


@dataclass(frozen=True)
class Secret:
    """A span of a unit that people must not see, and what stands there instead (`plain alice@example.test`)."""

    start: int
    end: int
    label: str


@dataclass(slots=True)
class Unit:
    """One whole thing that the client said. `arg` is what a fault's `arg` is matched against."""

    raw: bytes
    verb: str
    arg: str = ""
    secrets: tuple[Secret, ...] = ()
    value: Any = None  # decoded already, where taking it from the buffer meant decoding it
    spoken: tuple[int, int] | None = None  # the span that people read; None: all of it
    fields: dict[str, Any] = field(default_factory=dict)  # what its record is to say beside the octets


@dataclass(slots=True)
class Record:
    """One thing that crossed the wire, kept raw; every transcript, picture and report is drawn from these.

    `direction` is C (client), S (server) or `-`: an event of the connection, its words in `verb` (`connects`, `tls`,
    `closes`, `resets`). `at` is seconds since the epoch.
    """

    at: float
    protocol: str
    session: int
    direction: str
    raw: bytes
    verb: str = ""
    section: str = ""
    person: str = ""
    fault: str = ""
    secrets: tuple[Secret, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    spoken: tuple[int, int] | None = None  # the span that people read (a frame has a header before it); None: all of it

    def shown(self) -> bytes:
        """What people read of the raw octets, with each secret replaced by its label in braces."""
        last, end = self.spoken or (0, len(self.raw))
        shown = b""
        for secret in sorted(self.secrets, key=lambda secret: secret.start):
            shown += self.raw[last : secret.start] + b"{" + secret.label.encode() + b"}"
            last = secret.end
        return shown + self.raw[last:end]


@dataclass
class Kit:
    """What a core is handed instead of reaching for it: the time, chance, faults, and where records go."""

    now: Callable[[], float]
    token: Callable[[int], str]  # n characters [a-z0-9], never the same twice
    faults: Faults = field(default_factory=Faults)
    record: Callable[[Record], None] = lambda record: None


@dataclass(frozen=True)
class Facts:
    """What the shell knows of a fresh connection."""

    number: int  # sessions are numbered through a world, in order of arrival
    peer: str = "127.0.0.1"
    crowded: bool = False  # there are more sessions than the server takes


@dataclass(frozen=True)
class TlsFacts:
    """What the shell knows of a connection once TLS stands."""

    version: str = ""
    cipher: str = ""
    server_name: str = ""
    bindings: Mapping[str, bytes] = field(default_factory=dict)  # channel binding type → its data (RFC 5929)


class Session:
    """One connection's protocol. A subclass has `protocol`, `verbs`, `next_unit` and its handlers `do_VERB`."""

    protocol: ClassVar[str] = ""
    verbs: ClassVar[Mapping[str, Rule]] = {}  # the legality table
    places: ClassVar[frozenset[str]] = frozenset()  # units that are no verbs, where a fault may strike all the same
    capabilities: ClassVar[frozenset[str]] = frozenset()  # what a fault may switch off
    joins_writes: bool = True  # answers to one read leave as one write (TOC wants one frame a write)
    heirs: ClassVar[tuple[type[Session], ...]] = ()  # what a connection may become (TOC's port speaks HTTP too)

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.facts = Facts(0)
        self.tls: TlsFacts | None = None
        self.state = ""
        self.user = ""  # who has logged in
        self.wants: Want | None = None
        self.heir: Session | None = None  # with BECOME: who goes on
        self.closed = False  # nothing more is handled; the protocol is over
        self.stir: Callable[[Session], None] = lambda session: None  # the shell's: "I have output"
        self._in = bytearray()
        self._writes: deque[bytearray] = deque()
        self._waiting = 0  # octets in them
        self._joinable = False
        self._timers: dict[str, tuple[float, Callable[[], None]]] = {}
        self._after_write: list[Callable[[], None]] = []
        self._captured: list[tuple[bytes, str, dict[str, Any]]] | None = None
        self._captured_end: Want | None = None  # the handler wants to close behind captured answers
        self._held: tuple[Unit, Fault] | None = None
        self._split = 0
        self._stalled = False
        self._said: Record | None = None  # the record of the unit that is being handled

    # ── what the shell calls ─────────────────────────────────────────────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        """A connection stands. With implicit TLS, the shell calls `secured` first."""
        self.facts = facts
        self._event("connects")
        self._meet(Unit(b"", "connect"), self.greet, recorded=False)

    def secured(self, tls: TlsFacts) -> None:
        """TLS stands. Whatever was learnt in clear is forgotten, octets that came too early included."""
        self.tls = tls
        self._in.clear()
        self._event("tls")
        self.upgraded()

    def receive(self, data: bytes) -> None:
        """Octets from the client; any chopping of them gives the same records and the same output."""
        if self.closed or self._stalled:
            return
        self._in += data
        self._pump()

    def eof(self) -> None:
        """The client will send nothing more, or the link is lost: what is unfinished is abandoned, then we close."""
        if self._in and not self.closed and not self._stalled:
            self._event("unfinished", bytes(self._in), secrets=self.hidden(bytes(self._in)))
        if not self.closed:
            self._event("leaves")
            self.close()

    def tick(self) -> None:
        """Runs the timers that are due on the world's clock."""
        now = self.kit.now()
        for name, (due, run) in sorted(self._timers.items(), key=lambda item: item[1][0]):
            if due <= now and name in self._timers:
                del self._timers[name]
                run()

    def take(self) -> bytes:
        """The next write, or b"" when there is none. What was held back because too much output waited is handled now."""
        self._joinable = False
        if not self._writes and self._in:
            self._pump()
            self._joinable = False
        if not self._writes:
            self._split = 0
            return b""
        write = bytes(self._writes.popleft())
        self._waiting -= len(write)
        return write

    def written(self) -> None:
        """The shell has written all that `take` gave: promises that were waiting for that may be told."""
        waiting, self._after_write = self._after_write, []
        for tell in waiting:
            tell()

    @property
    def due(self) -> float | None:
        """When `tick` wants to be called, in seconds since the epoch; None when nothing is planned."""
        return min(self._timers.values(), key=lambda timer: timer[0])[0] if self._timers else None

    @property
    def talking(self) -> bool:
        """Whether there is output that the shell has not taken yet."""
        return bool(self._writes) or self.wants is not None

    @property
    def in_flight(self) -> bool:
        """Whether something is under way that a play should wait for: unsent output, or a unit held by a delay."""
        return self.talking or self._held is not None

    @property
    def paced(self) -> bool:
        """Whether the loop must pass between writes (a `split` fault)."""
        return bool(self._split) and bool(self._writes)

    @property
    def full(self) -> bool:
        """Whether the shell should stop reading until what has come is handled."""
        return len(self._in) > BACKLOG and self._held is not None

    # ── what a protocol writes ───────────────────────────────────────────────────────────────────────────────────

    def greet(self) -> None:
        """The connection stands and no fault took the greeting."""

    def upgraded(self) -> None:
        """TLS stands after STARTTLS: forget the login and the dialogue so far."""

    def next_unit(self) -> Unit | None:
        """The next whole unit, taken from `self._in`; None when there is none yet."""
        raise NotImplementedError(type(self).__name__)

    def handle(self, unit: Unit) -> None:
        """Looks the verb up in the legality table and calls its handler."""
        row = self.verbs.get(unit.verb)
        try:
            if row is None or not self.offers(unit.verb):
                raise self.unknown(unit)
            if self.state not in row.states:
                raise self.misplaced(unit)
            getattr(self, "do_" + _NAMES.get(unit.verb, unit.verb))(unit)
        except Refuse as refusal:
            self.refused(refusal)

    def offers(self, verb: str) -> bool:
        """Whether this verb exists here and now; a capability switched off takes its verb with it."""
        return True

    def unknown(self, unit: Unit) -> Refuse:
        """The refusal of a verb that does not exist."""
        raise NotImplementedError(type(self).__name__)

    def misplaced(self, unit: Unit) -> Refuse:
        """The refusal of a verb in a state where it is not legal."""
        raise NotImplementedError(type(self).__name__)

    def refused(self, refusal: Refuse) -> None:
        """Writes a refusal."""
        raise NotImplementedError(type(self).__name__)

    def said_instead(self, text: str) -> None:
        """Writes the text of a `reply` fault in the protocol's form."""
        raise NotImplementedError(type(self).__name__)

    def hidden(self, raw: bytes) -> tuple[Secret, ...]:
        """The spans of a unit that was never finished which people must not see."""
        return ()

    def abandoned(self) -> None:
        """The protocol is over, in whatever way: release locks, drop what was not committed."""

    # ── what handlers use ────────────────────────────────────────────────────────────────────────────────────────

    def send(self, raw: bytes, section: str = "", spoken: tuple[int, int] | None = None, **fields: Any) -> None:
        """Says something to the client, and records it; `spoken`: see Record."""
        if self._captured is not None:
            self._captured.append((raw, section, {"spoken": spoken, **fields}))
            return
        self.kit.record(
            Record(
                self.kit.now(), self.protocol, self.facts.number, "S", raw,
                section=section, person=self.user, fields=fields, spoken=spoken,
            )
        )  # fmt: skip
        self._write(raw)

    def close(self, want: Want = Want.CLOSE) -> None:
        """Ends the connection once the output is out."""
        if self.closed:
            return
        if self._captured is not None:
            self._captured_end = want
            return
        self.closed = True
        self.wants = want
        self._in.clear()
        self._timers.clear()
        self._held = None
        self.abandoned()
        self._event("closes" if want is Want.CLOSE else "resets")
        self.stir(self)

    def start_tls(self) -> None:
        """Asks for TLS; octets that came behind the command in clear are dropped, never executed."""
        self.wants = Want.START_TLS
        self._in.clear()

    def become(self, heir: Session) -> None:
        """Asks the shell to let another core go on with this connection, from the octets that are not taken yet."""
        self.heir, self.wants = heir, Want.BECOME

    def succeeded(self) -> Session:
        """The shell agrees: gives the core that goes on, as the same session."""
        heir = self.heir
        assert heir is not None
        heir.facts, heir.tls, heir.user, heir.stir = self.facts, self.tls, self.user, self.stir
        self.wants, self.closed = None, True
        self._timers.clear()
        waiting, self._in = bytes(self._in), bytearray()
        heir.receive(waiting)
        return heir

    def when_written(self, tell: Callable[[], None]) -> None:
        """Runs `tell` once everything said so far has been written."""
        self._after_write.append(tell)

    def at(self, name: str, due: float, run: Callable[[], None]) -> None:
        """Plans a timer; one of the same name is replaced."""
        self._timers[name] = (due, run)

    def cancel(self, name: str) -> None:
        """Forgets a timer, if there is one of this name."""
        self._timers.pop(name, None)

    def note(self, **fields: Any) -> None:
        """Adds decoded fields to the record of the unit that is being handled."""
        if self._said is not None:
            self._said.fields.update(fields)

    def lacks(self, capability: str) -> bool:
        """Whether a fault of this world has switched the capability off."""
        return bool(self.kit.faults) and self.kit.faults.lacks(self.protocol, capability)

    @classmethod
    def vocabulary(cls) -> frozenset[str]:
        """The places that a fault may name here."""
        return frozenset(word.casefold() for word in (*cls.verbs, *cls.places, *cls.capabilities, *EVERYWHERE))

    # ── the one place where units, faults and records meet ───────────────────────────────────────────────────────

    def _pump(self) -> None:
        # unread answers are not piled up: what was pipelined behind a megabyte of them waits for `take`
        while (
            not self.closed and not self._stalled and self._held is None and self.wants is None and self._waiting < PENDING
        ):
            unit = self.next_unit()
            if unit is None:
                return
            self._meet(unit, None)

    def _meet(self, unit: Unit, handle: Callable[[], None] | None, recorded: bool = True) -> None:
        faults = self.kit.faults
        fault = faults.meet(self.protocol, unit.verb, unit.arg, self.user) if faults else None
        self._said = None
        if recorded:
            row = self.verbs.get(unit.verb)
            self._said = Record(
                self.kit.now(), self.protocol, self.facts.number, "C", unit.raw, unit.verb,
                row.section if row else "", self.user, str(fault) if fault else "", unit.secrets, unit.fields, unit.spoken,
            )  # fmt: skip
            self.kit.record(self._said)
        elif fault:
            self._event("fault", fault=str(fault))
        run = handle or (lambda: self.handle(unit))
        if fault is None:
            run()
        elif fault.delay is not None:
            self._held = (unit, fault)
            self.at("delay", self.kit.now() + fault.delay, lambda: self._resume(run))
        else:
            self._suffer(fault, run)

    def _resume(self, run: Callable[[], None]) -> None:
        self._held = None
        run()
        self._pump()

    def _suffer(self, fault: Fault, run: Callable[[], None]) -> None:
        if fault.reply is not None:
            self.said_instead(fault.reply)
        elif fault.stall:
            self._stalled = True
            self._in.clear()
            self._timers.clear()
        elif fault.reset:
            self.close(Want.RESET)
        elif fault.hang_up == "before" or fault.lost == "unstored":
            self.close()
        else:
            self._suffer_in_answering(fault, run)

    def _suffer_in_answering(self, fault: Fault, run: Callable[[], None]) -> None:
        """The unit is handled, and something befalls its answer."""
        self._captured = []
        run()
        answers, self._captured = self._captured, None
        end, self._captured_end = self._captured_end, None
        self._split = fault.split or 0
        whole = sum(len(raw) for raw, _, _ in answers)
        left = whole
        if fault.lost:
            left = 0
        elif fault.hang_up == "within":
            left = whole // 2
        elif fault.after is not None:
            left = min(fault.after, whole)
        for raw, section, fields in answers:
            if raw[:left]:
                self.send(raw[:left], section, **fields)
            left -= min(left, len(raw))
        if not fault.split:
            self.wants = None
            self.close()
        elif end is not None:
            self.close(end)

    def _write(self, raw: bytes) -> None:
        self._waiting += len(raw)
        if self._split:
            for at in range(0, len(raw), self._split):
                self._writes.append(bytearray(raw[at : at + self._split]))
        elif self._joinable and self._writes and self.joins_writes:
            self._writes[-1] += raw
        else:
            self._writes.append(bytearray(raw))
            self._joinable = True
        self.stir(self)

    def _event(self, verb: str, raw: bytes = b"", fault: str = "", secrets: tuple[Secret, ...] = ()) -> None:
        self.kit.record(
            Record(
                self.kit.now(), self.protocol, self.facts.number, "-", raw, verb,
                person=self.user, fault=fault, secrets=secrets,
            )
        )  # fmt: skip


def in_states(verbs: Mapping[str, Rule], states: Iterable[str]) -> Iterable[tuple[str, str, bool]]:
    """Every verb in every state, and whether the table allows it: what an exhaustive test walks through."""
    for state in states:
        for verb, row in verbs.items():
            yield verb, state, state in row.states

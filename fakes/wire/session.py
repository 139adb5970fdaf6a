"""One connection of any protocol: the state, the dispatcher, and the one place that meets faults.

The shell (`shell.py` with sockets, `transcripts/` without) calls `opened`, `receive`, `secured`,
`eof` and `tick`, and sends what `take` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, ClassVar, NamedTuple

from fakes.empty import EMPTY
from fakes.faults import EVERYWHERE, Fault, Faults, Places
from fakes.wire import effects, table
from fakes.wire.effects import Answer, Message
from fakes.wire.output import Output
from fakes.wire.table import Rule
from fakes.wire.timers import Timers
from fakes.wire.unit import NO_FIELDS, DottedRecord, Record, Refuse, Secret, Unit
from fakes.wire.want import Want

PENDING = 1 << 20  # bytes of unsent output above which no more input is handled
BACKLOG = 1 << 18  # bytes of unhandled input above which the shell stops reading
WRITES = 10  # per second, of an answer that a `bandwidth` fault slows down

# What an unfinished unit is if it begins as TLS does (RFC 8446 §5.1).
TLS_IN_CLEAR = "a TLS handshake, but this port begins in clear text; direct TLS has its own port"

Handler = Callable[[Unit], None]
_NOTHING: frozenset[str] = frozenset()

_METHODS = {".": "end_of_data"}  # verbs that cannot be part of a method name


def _method(verb: str) -> str:
    return "do_" + _METHODS.get(verb, verb)


@dataclass(slots=True)
class Runtime:
    """What is passed to a core so that it needs no imports: time, randomness, faults, the log."""

    now: Callable[[], float]  # seconds since the epoch
    token: Callable[[int], str]  # n characters [a-z0-9], never the same twice
    faults: Faults = field(default_factory=Faults)
    record: Callable[[Record], None] | None = None  # None: nobody looks, and no record is made
    # Runs the rest of long work in another turn of the event loop. None: there is no loop that
    # others wait for, as in a rehearsal, and the work is done at once.
    later: Callable[[Callable[[], None]], None] | None = None
    # Connects a core to another server. None: there are no sockets.
    connect: Callable[[Session, Destination], bool] | None = None
    timers: Timers = field(init=False)  # the services' timers, which outlive connections

    def __post_init__(self) -> None:
        self.timers = Timers(self.now)


class Destination(NamedTuple):
    """Another server that a core wants to speak to.

    `domain` is whom the certificate of that server must name, and `names` are those that our own
    must have.
    """

    address: tuple[str, int]
    domain: str
    names: tuple[str, ...]


class Facts(NamedTuple):
    """What the shell knows about a new connection."""

    number: int  # sessions are numbered across a world, in order of arrival
    peer: str = "127.0.0.1"
    crowded: bool = False  # the server has more sessions than it accepts


class TlsFacts(NamedTuple):
    """What the shell knows about a connection once TLS is established."""

    version: str = ""
    cipher: str = ""
    bindings: Mapping[str, bytes] = EMPTY  # channel binding type → data (RFC 5929)
    names: tuple[str, ...] = ()  # of the other side, by a certificate that was verified


class Session:
    """One connection's protocol.

    A subclass defines `protocol`, `states` (separated by spaces, the initial one first), `verbs`
    (the legality table), `next_unit`, and a handler `do_VERB` for each verb.
    """

    # Subclasses need none. With more than 30 attributes in its __dict__, a session would lose the
    # quick ways in which Python finds attributes and methods, and each would have keys of its own.
    __slots__ = (
        "_captured",
        "_delayed",
        "_no_more_input",
        "_stalled",
        "_trickling",
        "after_write",
        "answering",
        "bandwidth",
        "blocked",
        "buffer",
        "closed",
        "current",
        "facts",
        "heard",
        "on_output",
        "output",
        "runtime",
        "state",
        "successor",
        "timers",
        "tls",
        "user",
        "waits",
        "wants",
    )

    protocol: ClassVar[str] = ""
    states: ClassVar[str] = ""
    verbs: ClassVar[Mapping[str, Rule]] = {}
    # Units that are not verbs, at which faults may strike.
    places: ClassVar[frozenset[str]] = frozenset()
    capabilities: ClassVar[frozenset[str]] = frozenset()  # what a fault may switch off
    framed: ClassVar[bool] = False  # whether `encoded` puts a frame around what is sent
    # Whether there is never a unit while `buffer` is empty. If so, none is looked for.
    needs_input: ClassVar[bool] = False
    upgrades_to: ClassVar[tuple[type[Session], ...]] = ()  # cores that may take over the connection

    _methods: ClassVar[dict[str, str]] = {}  # the name of the handler of each verb

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        table.check(cls.__name__, cls.states.split(), cls.verbs)
        cls._methods = {verb: _method(verb) for verb in cls.verbs}
        if cls.handler is Session.handler:  # else the subclass finds its handlers in its own way
            for verb in cls.verbs:
                if not hasattr(cls, _method(verb)):
                    raise TypeError(
                        f"{cls.__name__}: the verb {verb!r} has no handler; define {_method(verb)}"
                    )

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.facts = Facts(0)
        self.tls: TlsFacts | None = None
        self.state = self.states.partition(" ")[0]
        self.user = ""  # who has logged in
        self.buffer = bytearray()  # input that was not consumed yet
        self.output = Output()
        self.timers = Timers(runtime.now)
        self.wants: Want | None = None
        self.successor: Session | None = None  # with HAND_OVER: the core that takes over
        self.closed = False  # the protocol is over; nothing more is handled
        # The unit that is being handled: its record, or the unit itself if no record is made.
        self.current: Record | Unit | None = None
        self.heard = 0.0  # when a unit was last handled or answered, in seconds since the epoch
        self.on_output: Callable[[], None] = lambda: None  # set by the shell
        self.answering: Iterator[object] | None = None  # the rest of a long answer: see `go_on`
        self.after_write: list[Callable[[], None]] = []  # see `when_written`
        self._captured: Answer | None = None
        self.bandwidth = 0  # bytes per second of all answers; 0: no limit
        self._trickling: bytearray | None = None  # what is held back of a slow answer
        self._delayed = False  # a fault delays a unit: input waits
        self.waits = False  # the rest of the input, or of an answer, until output is written
        self.blocked = False  # the client has to read before more is handled; set by the shell
        self._stalled = False
        self._no_more_input = False  # the client sends nothing more, and still reads

    def __repr__(self) -> str:
        words = [type(self).__name__, str(self.facts.number), self.state, self.user]
        return f"<{' '.join(word for word in words if word)}>"

    # ── what the shell calls ─────────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        """The connection is established. With implicit TLS, the shell calls `secured` first."""
        self.facts = facts
        self.heard = self.runtime.now()
        self._event("connects")
        fault = self._fault_at("connect")
        if fault is None:
            self.greet()
            return
        self._event("fault", fault=str(fault))
        self.bandwidth = fault.bandwidth or 0
        effects.apply(fault, self, self.greet)

    def secured(self, tls: TlsFacts) -> None:
        """TLS is established."""
        self.tls = tls
        # Bytes that arrived before the handshake were sent in clear, perhaps by an attacker. They
        # must never be handled as if they had been protected (RFC 3207 §6).
        self.buffer.clear()
        self._event("tls")
        self.upgraded()

    def receive(self, data: bytes) -> None:
        """Handles bytes from the client, which may be split anywhere."""
        if self.closed or self._stalled:
            return
        self.buffer += data
        self._pump()

    def tls_failed(self, remark: str) -> None:
        """TLS cannot be established. The record says why, and the session is over."""
        self._event("tls-fails", fields={"remark": remark})
        self.close()

    def eof(self) -> None:
        """The client will send nothing more, or the connection is lost."""
        if self.answering is not None or (self.blocked and self.waits):
            self._no_more_input = True
            return
        self._no_more_input = False
        if self.buffer and not self.closed and not self._stalled:
            left = bytes(self.buffer)
            fields = {"remark": TLS_IN_CLEAR} if left.startswith(b"\x16\x03") else {}
            self._event("unfinished", left, secrets=self.secrets_in_fragment(left), fields=fields)
        if not self.closed:
            self._event("leaves")
            self.close()

    def tick(self) -> None:
        """Runs the timers that are due."""
        self.timers.run()

    def take(self) -> bytes:
        """Returns the next write, b"" if there is none."""
        if self.waits and not self.output.pending:
            self.waits = False
            self._pump()
        return self.output.take()

    @property
    def exhausted(self) -> bool:
        """Whether another `take` would find nothing to return, to handle or to end."""
        return not (self.waits or self.output.pending or self.output.chunk)

    def written(self) -> None:
        """The shell has written all output. Runs the callbacks registered with `when_written`."""
        if self.after_write and self._trickling is None:
            waiting, self.after_write = self.after_write, []
            for callback in waiting:
                callback()

    def hand_over(self) -> Session:
        """Passes the connection and the unconsumed input to the successor, and returns it."""
        successor = self.successor
        assert successor is not None
        successor.facts, successor.tls, successor.user = self.facts, self.tls, self.user
        successor.on_output, successor.bandwidth = self.on_output, self.bandwidth
        successor.blocked = self.blocked
        self.wants, self.closed = None, True
        self.timers.clear()
        waiting, self.buffer = bytes(self.buffer), bytearray()
        successor.receive(waiting)
        return successor

    @property
    def due(self) -> float | None:
        """When `tick` should be called, in seconds since the epoch; None if no timer is set."""
        return self.timers.due

    @property
    def ending(self) -> bool:
        """Whether the connection ends after what was sent so far."""
        return self.closed or (self._captured is not None and self._captured.end is not None)

    @property
    def has_output(self) -> bool:
        """Whether the shell has something to write or to do."""
        return bool(self.output) or self.wants is not None or self.answering is not None

    @property
    def in_flight(self) -> bool:
        """Whether something is under way: unsent output, or a unit that a fault delays."""
        return self.has_output or self._delayed

    @property
    def paced(self) -> bool:
        """Whether the event loop must run between two writes (a `split` fault)."""
        return bool(self.output.chunk) and bool(self.output)

    @property
    def backlogged(self) -> bool:
        """Whether the shell should stop reading until the input so far is handled."""
        waits = self._delayed or self.answering is not None or self.blocked
        return waits and len(self.buffer) > BACKLOG

    # ── what a protocol defines ──────────────────────────────────────────────

    def greet(self) -> None:
        """The connection is established and no fault replaced the greeting."""

    def upgraded(self) -> None:
        """TLS was established after STARTTLS: forgets the login and the transaction."""

    def next_unit(self) -> Unit | None:
        """Takes the next complete unit from `buffer`; None if there is none yet."""
        raise NotImplementedError(type(self).__name__)

    def handler(self, verb: str) -> Handler:
        """Returns the handler of a verb of the table."""
        handler: Handler = getattr(self, self._methods[verb])
        return handler

    def permits(self, unit: Unit) -> None:
        """Raises Refuse if the server's policy forbids a known verb now, in whatever state."""

    def offers(self, verb: str) -> bool:
        """Whether this server has the verb; a capability that is switched off removes its verb."""
        return True

    def unknown(self, unit: Unit) -> Refuse:
        """Returns the refusal of a verb that does not exist."""
        raise NotImplementedError(type(self).__name__)

    def wrong_state(self, unit: Unit) -> Refuse:
        """Returns the refusal of a verb in a state where it is not legal."""
        raise NotImplementedError(type(self).__name__)

    def refused(self, refusal: Refuse) -> None:
        """Sends a refusal."""
        raise NotImplementedError(type(self).__name__)

    def scripted_reply(self, text: str) -> None:
        """Sends the text of a `reply` fault in the protocol's form."""
        raise NotImplementedError(type(self).__name__)

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        """Returns the secret spans of a unit that was never completed."""
        return ()

    def encoded(self, raw: bytes) -> bytes:
        """Returns what crosses the connection for bytes that are sent, if it is `framed`."""
        raise NotImplementedError(type(self).__name__)

    def abandoned(self) -> None:
        """The session is over, for any reason: releases locks and drops uncommitted changes."""

    # ── what handlers use ────────────────────────────────────────────────────

    def send(
        self,
        raw: bytes,
        section: str = "",
        visible: tuple[int, int] | None = None,
        secrets: tuple[Secret, ...] = (),
        **fields: Any,
    ) -> None:
        """Sends bytes to the client and records them; for the other parameters, see Record.

        While a handler's answer is captured, they are kept for the fault that captures it.
        """
        if self._captured is not None:
            message = Message(raw, section, visible, secrets, fields or NO_FIELDS)
            self._captured.messages.append(message)
            return
        runtime = self.runtime
        if runtime.record is not None:
            runtime.record(
                Record(
                    runtime.now(),
                    self.protocol,
                    self.facts.number,
                    "S",
                    raw,
                    section=section,
                    person=self.user,
                    secrets=secrets,
                    fields=fields or NO_FIELDS,
                    visible=visible,
                )
            )
        if self.framed:
            raw = self.encoded(raw)
        if self._trickling is not None:  # this, too, waits for its turn
            self._trickling += raw
            return
        self.output.append(raw)
        self.on_output()

    def close(self, want: Want = Want.CLOSE) -> None:
        """Ends the connection once the output is written."""
        if self.closed:
            return
        if self._captured is not None:
            self._captured.end = want
            return
        self.closed = True
        self.wants = want
        self.buffer.clear()
        self.timers.clear()
        self._delayed, self.answering, self._trickling = False, None, None
        self.abandoned()
        self._event("closes" if want is Want.CLOSE else "resets")
        self.on_output()

    def go_on(self, rest: Iterator[object]) -> None:
        """Sends the rest of a long answer: each step of `rest` sends a piece of it.

        The next step is taken when the client has read most of what came before it. Until the end,
        no other unit is handled.
        """
        if self._captured is None:
            self.answering = rest
            return
        for _ in rest:  # a fault has to know the whole answer
            pass

    def look_again(self) -> None:
        """There may be a next unit after all. It is looked for once the output is written."""
        self.waits = True

    def start_tls(self) -> None:
        """Asks for TLS. Bytes pipelined after the command in clear are dropped, never handled."""
        self.wants = Want.START_TLS
        self.buffer.clear()

    def hand_over_to(self, successor: Session) -> None:
        """Asks the shell to let another core take over, from the first byte not consumed yet."""
        self.successor, self.wants = successor, Want.HAND_OVER

    def when_written(self, callback: Callable[[], None]) -> None:
        """Runs a callback once everything sent so far has been written."""
        self.after_write.append(callback)

    def note(self, **fields: Any) -> None:
        """Adds decoded facts to the record of the unit that is being handled."""
        if self.current is not None and self.runtime.record is not None:
            self.current.fields = {**self.current.fields, **fields}

    def lacks(self, capability: str) -> bool:
        """Whether a fault of this world has switched a capability off."""
        faults = self.runtime.faults
        return bool(faults.armed) and faults.lacks(self.protocol, capability)

    def lacking(self) -> frozenset[str]:
        """The capabilities that faults of this world have switched off."""
        if not self.runtime.faults.armed:  # this runs for every connection
            return _NOTHING
        return frozenset(name for name in self.capabilities if self.lacks(name))

    @classmethod
    @cache
    def vocabulary(cls) -> Places:
        """Returns where a fault may strike in this protocol."""
        return Places(
            frozenset(word.casefold() for word in (*cls.verbs, *cls.places, *EVERYWHERE)),
            frozenset(word.casefold() for word in cls.capabilities),
        )

    # ── dispatch ─────────────────────────────────────────────────────────────

    def handle(self, unit: Unit) -> None:
        """Looks a unit up in the legality table and calls its handler."""
        self.heard = self.runtime.now()
        verb, refusal = unit.verb, unit.refusal
        row = self.verbs.get(verb)
        try:
            if refusal is not None and not verb:
                raise refusal
            if row is None:
                raise self.unknown(unit)
            self.permits(unit)
            if not self.offers(verb):
                raise self.unknown(unit)
            before = self.state
            if before not in row.states:
                raise self.wrong_state(unit)
            if refusal is not None:
                raise refusal
            self.handler(verb)(unit)
            if row.enters and not self.closed:
                self.state = row.enters
            elif self.state != before:
                self._check_state(row, before, verb)
        except Refuse as raised:
            self.refused(raised)

    def _check_state(self, row: Rule, before: str, verb: str) -> None:
        """Raises AssertionError if a handler entered a state that the table does not name."""
        if self.state not in row.then and not self.closed:
            raise AssertionError(
                f"{self!r}: the handler of {verb} went from {before} to {self.state}; its rule "
                f"allows {', '.join(row.then) or 'no other state'}: correct the rule's `then`"
            )

    # ── the one place where units, faults and records meet ───────────────────

    def _pump(self) -> None:
        while not self.closed and not self._stalled and not self._delayed and self.wants is None:
            # Unread output must not pile up: a client that pipelines ten thousand RETRs and reads
            # nothing gets the rest of its answers when `take` has drained some.
            if self.output.pending >= PENDING or self.blocked:
                self.waits = True
                return
            if self.answering is not None:
                if next(self.answering, self) is self:
                    self.answering = None
                continue
            unit = self.next_unit()
            if unit is None:
                if self._no_more_input:
                    self.eof()
                return
            fault = self._fault_at(unit.verb, unit.arg) if self.runtime.faults.armed else None
            self.current = unit if self.runtime.record is None else self._recorded(unit, fault)
            if fault is None and self.bandwidth:
                self.trickle(self.capture(partial(self.handle, unit)), self.bandwidth)
            elif fault is None:
                self.handle(unit)
            else:
                effects.apply(fault, self, partial(self.handle, unit))
            idle = self.answering is None and not self._no_more_input
            if self.needs_input and idle and not self.buffer:
                return

    def _fault_at(self, verb: str, arg: str = "") -> Fault | None:
        faults = self.runtime.faults
        return faults.meet(self.protocol, verb, arg, self.user) if faults.armed else None

    def _recorded(self, unit: Unit, fault: Fault | None) -> Record:
        row = self.verbs.get(unit.verb)
        kind = DottedRecord if unit.final_dot else Record
        record = kind(
            self.runtime.now(),
            self.protocol,
            self.facts.number,
            "C",
            unit.raw,
            unit.verb,
            row.section if row else "",
            self.user,
            str(fault) if fault else "",
            unit.secrets,
            unit.fields,
            unit.visible,
        )
        assert self.runtime.record is not None
        self.runtime.record(record)
        return record

    def _event(self, verb: str, raw: bytes = b"", **details: Any) -> None:
        if self.runtime.record is not None:
            now, number = self.runtime.now(), self.facts.number
            self.runtime.record(
                Record(now, self.protocol, number, "-", raw, verb, person=self.user, **details)
            )

    # ── what a fault uses (see effects.Target) ───────────────────────────────

    def transmit(self, message: Message) -> None:
        """Sends a message that was captured."""
        self.send(message.raw, message.section, message.visible, message.secrets, **message.fields)

    def capture(self, run: Callable[[], None]) -> Answer:
        """Runs a handler and returns what it sends, instead of sending it."""
        self._captured = answer = Answer()
        try:
            run()
        finally:
            self._captured = None
        return answer

    def stall(self) -> None:
        """Goes on reading and never reacts again. No timer ends this."""
        self._stalled, self.waits, self.answering, self._trickling = True, False, None, None
        self.buffer.clear()
        self.timers.clear()

    def delay(self, seconds: float, run: Callable[[], None]) -> None:
        """Handles a unit later. Input that arrives meanwhile waits, so that order is kept."""

        def resume() -> None:
            self._delayed = False
            self.heard = self.runtime.now()  # an idle time begins with the answer
            run()
            self._pump()

        self._delayed = True
        self.timers.at("delay", self.runtime.now() + seconds, resume)

    def trickle(self, answer: Answer, rate: int) -> None:
        """Sends an answer, and all else for this client, at `rate` bytes a second.

        Input that arrives meanwhile waits.
        """
        wants, self.wants = self.wants, None  # such as TLS, which begins after the answer
        waiting = self._trickling = bytearray()
        for message in answer.messages:
            self.transmit(message)
        size = max(1, rate // WRITES)

        def go_on() -> None:
            piece = bytes(waiting[:size])
            del waiting[:size]
            self.output.append(piece)
            self.on_output()
            self._delayed = True
            due = self.runtime.now() + len(piece) / rate
            self.timers.at("trickle", due, go_on if waiting else resume)
            if not waiting:
                end()

        def end() -> None:
            self._trickling = None
            if answer.end is not None:
                self.close(answer.end)
            elif wants is not None:
                self.wants = wants

        def resume() -> None:
            self._delayed = False
            self.heard = self.runtime.now()
            self._pump()

        if waiting:
            go_on()
        else:
            end()

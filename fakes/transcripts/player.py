"""Plays a transcript: sends what the clients send, and compares what the server sends."""

from __future__ import annotations

import contextlib
import ssl
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from fakes.descriptor import Server
from fakes.faults import FaultError
from fakes.servers import SERVERS, protocols
from fakes.suggest import nearest
from fakes.transcripts.codec import Codec, escaped
from fakes.transcripts.connections import Connection, OnCore, OnSocket
from fakes.transcripts.recorder import codec_of
from fakes.transcripts.secrets import challenge_in, response
from fakes.transcripts.text import Step, Transcript, TranscriptError
from fakes.world import World, WorldError

Connect = Callable[[str, int], Connection]  # (listener, number) → a new connection


def play_on_core(transcript: Transcript, servers: Iterable[Server] = SERVERS) -> World:
    """Plays a transcript on bare cores; returns the world at the end. Raises TranscriptError."""
    world = _world(transcript, servers)
    connections: list[OnCore] = []

    def connect(listener: str, number: int) -> Connection:
        connections.append(OnCore(world.core(listener), number))
        return connections[-1]

    def tick(seconds: float) -> None:
        world.clock.skip(seconds)
        world.run_timers()
        for connection in connections:
            connection.tick()

    play(transcript, connect, world, tick)
    world.check()
    return world


def play_on_socket(transcript: Transcript, servers: Iterable[Server] = SERVERS) -> World:
    """Plays it on real sockets, and returns the world, closed by then. Raises TranscriptError."""
    with _world(transcript, servers) as world:
        context = None
        if world.tls != "off":
            context = ssl.create_default_context(cafile=str(world.ca_file))

        def tick(seconds: float) -> None:
            world.clock.wait(None, world.clock.time() + seconds)

        def connect(listener: str, number: int) -> Connection:
            return OnSocket(world.address(listener), context, world.clock)

        play(transcript, connect, world, tick)
    return world


def _world(transcript: Transcript, servers: Iterable[Server]) -> World:
    try:
        world = World(transcript.config(), rehearsal=True, servers=servers)
    except (WorldError, FaultError) as error:
        problem = str(error).removeprefix("world: ")
        key = problem.partition(":")[0]
        raise transcript.error(transcript.line_of(key), f"given: {problem}") from None
    for fault in transcript.faults:
        try:
            world.faults.arm(fault)
        except FaultError as error:
            raise transcript.error(transcript.lines[fault], f"fault: {error}") from None
    return world


def play(
    transcript: Transcript, connect: Connect, world: World, tick: Callable[[float], None]
) -> None:
    """Plays a transcript; `tick` lets simulated seconds pass. Raises TranscriptError."""
    player = Player(transcript, connect, world, tick)
    try:
        player.play()
    finally:
        for connection in player.connections.values():
            connection.close()


class Player:
    """The state of one performance."""

    def __init__(
        self, transcript: Transcript, connect: Connect, world: World, tick: Callable[[float], None]
    ) -> None:
        self.transcript = transcript
        self.world = world
        self.connections: dict[str, Connection] = {}  # name → its connection
        self._connect = connect
        self._tick = tick
        self._codecs: dict[str, Codec] = {}
        self._challenges: dict[str, bytes] = defaultdict(bytes)  # the last one of each client
        self._pending = b""  # lines of one client without an answer between them are one write
        self._speaker = ""

    def play(self) -> None:
        """Plays every step; then nothing may have come that no step expected."""
        for step in self.transcript.steps:
            if step.kind != "C" or step.who != self._speaker or step.event:
                self._flush()
            getattr(self, f"_step_{step.kind}")(step)
        self._flush()
        several = len(self.connections) > 1
        if several:
            # When one client leaves, the server may notify the others: what they received before
            # that must have been expected.
            for who, connection in self.connections.items():
                self._nothing_more(who, connection.read(lambda _: True))
        for who, connection in self.connections.items():
            connection.leave()
            if not several:
                self._nothing_more(who, connection.read(lambda _: False))

    def _nothing_more(self, who: str, left: bytes) -> None:
        if left:
            raise TranscriptError(
                f"{self.transcript.source}: at the end, {who or 'the client'} had received more "
                f"than the transcript expects: {escaped(left)}"
            )

    def _connection(self, who: str) -> Connection:
        if who not in self.connections:
            listener = self.transcript.listener_of(who)
            try:
                self.connections[who] = self._connect(listener, len(self.connections) + 1)
            except WorldError as error:
                raise TranscriptError(f"{self.transcript.source}: talks: {error}") from None
            protocol, known = (
                self.transcript.protocol_of(who),
                protocols(self.world.servers.values()),
            )
            if protocol not in known:
                raise TranscriptError(
                    f"{self.transcript.source}: talks: unknown protocol {protocol!r}"
                    f"{nearest(protocol, known)}; choose from {', '.join(sorted(known))}"
                )
            self._codecs[who] = codec_of(protocol, self.world.servers.values())
        return self.connections[who]

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, b""
            self._connection(self._speaker).send(pending)

    # ── what each kind of step does ──────────────────────────────────────────

    def _step_C(self, step: Step) -> None:
        self._speaker = step.who
        connection = self._connection(step.who)
        if step.event == "tls":
            with self._errors_of(step, "C"):
                connection.start_tls()
        elif step.event == "leaves":
            connection.leave()
        elif not step.event:
            with self._errors_of(step, "C"):
                sent = self._codecs[step.who].to_bytes(step, partial(self._secret, step))
            self._pending += sent

    def _step_S(self, step: Step) -> None:
        connection = self._connection(step.who)
        if step.event:
            ended = connection.ended()
            if ended != step.event:
                raise self._error(
                    step, f"expected that the server {step.event}; it {ended or 'stays'}"
                )
            return
        codec = self._codecs[step.who]
        with self._errors_of(step, "S"):
            received = connection.read(
                lambda so_far: (
                    codec.match(step, so_far) is not None or (step.whole and codec.complete(so_far))
                )
            )
            end = codec.match(step, received)
        if end is None:
            line, _, _ = received.partition(b"\r\n")
            came = escaped(line) or "(nothing)"
            raise self._error(step, f"expected  S: {step.text}\n  came      S: {came}")
        connection.put_back(received[end:])
        codec.consumed(received[:end])
        self._challenges[step.who] = challenge_in(received[:end]) or self._challenges[step.who]

    def _step_clock(self, step: Step) -> None:
        self._tick(float(step.text))

    def _step_cue(self, step: Step) -> None:
        word, _, rest = step.text.partition(" ")
        known = {
            name: (server, act)
            for server in self.world.servers.values()
            for name, act in server.cues.items()
        }
        if word not in known:
            raise self._unknown(step, "cue", word, known)
        server, act = known[word]
        with self._errors_of(step, f"cue: {word}"):
            act(self.world.store(server), rest)

    def _step_then(self, step: Step) -> None:
        word, _, rest = step.text.partition(" ")
        known = {
            name: (server, look)
            for server in self.world.servers.values()
            for name, look in server.words.items()
        }
        if word not in known:
            raise self._unknown(step, "then", word, known)
        server, look = known[word]
        with self._errors_of(step, f"then: {word}"):
            found = look(self.world.store(server), rest)
        if found != rest:
            raise self._error(step, f"then: {word}\n  expected  {rest}\n  found     {found}")

    def _step_aiosmtpd(self, step: Step) -> None:
        """A note for the referee (tests/referee.py); nothing to do here."""

    def _secret(self, step: Step, label: str) -> bytes:
        kind, _, _ = label.partition(" ")
        for server in self.world.servers.values():
            if kind in server.secrets:
                return server.secrets[kind](self.world.store(server), label)
        try:
            return response(label, self.world.people, self._challenges[step.who])
        except KeyError:
            raise self._error(
                step, f"unknown secret {{{label}}}; write for example {{plain alice}}"
            ) from None

    @contextlib.contextmanager
    def _errors_of(self, step: Step, where: str) -> Iterator[None]:
        """Adds the file and line to an error in what a line says."""
        try:
            yield
        except (ValueError, LookupError) as error:
            # KeyError quotes its text; the text is an argument of all of them.
            reason = error.args[0] if error.args else error
            raise self._error(step, f"{where}: {reason}") from error

    def _unknown(self, step: Step, kind: str, word: str, known: Iterable[str]) -> TranscriptError:
        names = list(known)
        hint = nearest(word, names)
        return self._error(step, f"{kind}: unknown word {word!r}{hint}; known: {', '.join(names)}")

    def _error(self, step: Step, text: str) -> TranscriptError:
        return self.transcript.error(step.number, text)

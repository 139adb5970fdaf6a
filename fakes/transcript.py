r"""Dialogues as files: read by people, played as tests, written by the recorder in the same form.

    SMTP: the first dot of a line is taken away (RFC 5321 §4.5.2)
    given: person = [{ address = "alice@example.test" }]
    fault: RCPT nth 2 reply "451 4.3.0 try later"

    S: 220 mail.example.test ESMTP
    C: EHLO client.example
    S: 250-mail.example.test greets client.example
    …
    C: AUTH PLAIN {plain alice@example.test}
    S: (closes)
    then: inbox alice@example.test 1

The first line is the title; its first word names the protocol. `given:` lines together are a world file. Then, in order:

- `C:` a line that the client sends, CRLF added; `C|` octets as they stand. Lines without an answer between them are one
  write; `C: (pause)` parts them. `C: (tls)` shakes hands, `C: (leaves)` closes.
- `S:` a line that the server sends, `S|` octets without CRLF. `S: (closes)`, `S: (resets)`: it ends the connection.
  `*` stands for one field that clock or ids do not fix; a line of `*` alone says nothing, and is an error.
- Several people: a name before the letter (`romeo C:`), each on a connection of its own. `talks: web http at toc` says that
  one of them talks another protocol than the title says, and (`at`) that it connects to a listener of another name.
- `clock: 300`: so many seconds pass. `then: …`: what must hold (see `THEN`). `cue: …`: what the world does of itself (see
  `CUES`). `#` begins a comment.
- `\xNN \r \n \t \\ \* \{ \(` are octets that would be mistaken or not be seen. `{plain alice}` is a secret, said by
  whom it belongs to: plain, login, password, cram-md5, pass, apop; ` wrong` behind makes it a wrong one.
- `aiosmtpd: 250 (ours 501: RFC 5321 §4.1.2)` under an answer: what the referee says instead; `aiosmtpd: stops here`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
import select
import socket
import ssl
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fakes.clock import Rehearsal
from fakes.host import Event
from fakes.people import People
from fakes.wire import Facts, Record, Session, TlsFacts, Want
from fakes.world import World

PATIENCE = 5.0  # real seconds that a player on a socket waits for an answer


class TranscriptError(AssertionError):
    """A transcript that cannot be read, or that the server did not keep to: which line, what was expected, what came."""


@dataclass(frozen=True)
class Step:
    """One line of the dialogue. `kind`: C, S, clock, then, cue, or aiosmtpd."""

    number: int
    kind: str
    text: str
    who: str = ""
    whole: bool = True  # CRLF is added


@dataclass
class Transcript:
    """A dialogue, parsed."""

    title: str
    given: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    talks: dict[str, str] = field(default_factory=dict)  # who talks another protocol than the title says
    steps: list[Step] = field(default_factory=list)
    source: str = "transcript"

    @property
    def protocol(self) -> str:
        """The title's first word."""
        return self.title.split(":")[0].split()[0].lower()

    def protocol_of(self, who: str) -> str:
        """What somebody talks."""
        return self.talks.get(who, self.protocol).partition(" ")[0]

    def listener_of(self, who: str) -> str:
        """Where somebody connects."""
        protocol, _, listener = self.talks.get(who, self.protocol).partition(" at ")
        return listener or protocol

    def config(self) -> dict[str, Any]:
        """The world that it plays in."""
        servers = list(dict.fromkeys([self.protocol, *map(self.listener_of, self.talks)]))
        return {"servers": servers, **self.given}

    def error(self, step: Step, text: str) -> TranscriptError:
        """An error at a line of the file."""
        return TranscriptError(f"{self.source}:{step.number}: {text}")


_LINE = re.compile(r"(?:(?P<who>[\w@.+-]+) )?(?P<kind>[CS])(?P<mark>[:|])(?: (?P<text>.*))?")
_WORDS = ("given", "fault", "clock", "then", "cue", "talks", "aiosmtpd")


def load(path: Path) -> Transcript:
    """The transcript in a file. Raises TranscriptError."""
    return parse(path.read_text("utf-8"), path.name)


def parse(text: str, source: str = "transcript") -> Transcript:
    """The transcript in a text. Raises TranscriptError."""
    title, _, rest = text.partition("\n")
    found = Transcript(title.strip(), source=source)
    given: list[str] = []
    for number, line in enumerate(rest.split("\n"), 2):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        word, colon, value = line.partition(":")
        if match:
            step = Step(number, match["kind"], match["text"] or "", match["who"] or "", match["mark"] == ":")
            if step.kind == "S" and step.text.strip() and not step.text.strip("* "):
                raise found.error(step, "a line of `*` alone says nothing; write what the server must say")
            found.steps.append(step)
        elif colon and word in _WORDS:
            value = value.strip()
            if word == "given":
                given.append(value)
            elif word == "fault":
                found.faults.append(value)
            elif word == "talks":
                name, _, protocol = value.partition(" ")
                found.talks[name] = protocol
            else:
                found.steps.append(Step(number, word, value))
        else:
            known = ", ".join(f"`{word}:`" for word in _WORDS)
            raise found.error(Step(number, "", ""), f"{line!r} is neither `C: …` nor `S: …` nor one of {known}")
    try:
        found.given = tomllib.loads("\n".join(given))
    except tomllib.TOMLDecodeError as error:
        raise TranscriptError(f"{source}: the given: lines are not TOML: {error}") from None
    return found


# ── octets and text ──────────────────────────────────────────────────────────────────────────────────────────────


class Codec(Protocol):
    """How a protocol's units are written in transcripts, one connection's at a time. `Lines` serves those made of lines;
    frames and XML have theirs."""

    def octets(self, step: Step, secret: Callable[[str], bytes]) -> bytes:
        """What a `C` line sends."""

    def whole(self, said: bytes) -> bool:
        """Whether at least one whole unit has come."""

    def match(self, step: Step, said: bytes) -> int | None:
        """How many octets of what has come are the unit that an `S` line wants; None when they are another."""

    def heard(self, said: bytes) -> None:
        """These octets were what an `S` line wanted; a codec that counts goes on counting."""

    def rendered(self, record: Record, masked: bool) -> Iterator[str]:
        """The lines of a record, without a name before them."""


ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\", "*": b"*", "{": b"{", "(": b"("}
_PIECE = re.compile(r"\\x([0-9a-fA-F]{2})|\\(.)|\{([a-z0-9-]+ [^{}]*)\}|([^\\{]+|.)", re.S)


class Lines:
    """SMTP, POP3, IMAP: units that end in CRLF."""

    def octets(self, step: Step, secret: Callable[[str], bytes]) -> bytes:
        """See Codec."""
        said = b""
        for hexadecimal, escaped, label, plain in _PIECE.findall(step.text):
            if hexadecimal:
                said += bytes([int(hexadecimal, 16)])
            elif escaped:
                said += ESCAPES.get(escaped, b"\\" + escaped.encode())
            else:
                said += secret(label) if label else plain.encode()
        return said + (b"\r\n" if step.whole else b"")

    def whole(self, said: bytes) -> bool:
        """See Codec."""
        return b"\r\n" in said

    def match(self, step: Step, said: bytes) -> int | None:
        """See Codec."""
        pattern = b""
        for hexadecimal, escaped, label, plain in _PIECE.findall(step.text):
            if hexadecimal or escaped:
                raw = bytes([int(hexadecimal, 16)]) if hexadecimal else ESCAPES.get(escaped, b"\\" + escaped.encode())
                pattern += re.escape(raw)
            else:
                text = "{" + label + "}" if label else plain
                pattern += b"[^ \\r\\n<>]+".join(re.escape(part.encode()) for part in text.split("*"))
        match = re.match(pattern + (b"\r\n" if step.whole else b""), said, re.S)
        return match.end() if match else None

    def heard(self, said: bytes) -> None:
        """See Codec."""

    def rendered(self, record: Record, masked: bool) -> Iterator[str]:
        """See Codec."""
        at = 0
        while at < len(record.raw):
            end = record.raw.find(b"\r\n", at)
            whole = end >= 0
            end = end if whole else len(record.raw)
            text, last = "", at
            for one in record.secrets if masked else ():
                if at <= one.start < end:
                    text += shown(record.raw[last : one.start], "{") + "{" + one.label + "}"
                    last = one.end
            text = line_of(text + shown(record.raw[last:end], "{" if record.direction == "C" else "*"))
            yield f"{record.direction}{':' if whole else '|'} {text}".rstrip()
            at = end + 2


LINES = Lines()
CODECS: dict[str, Callable[[], Codec]] = {}  # protocols whose units are no lines; their packages put themselves here


def codec_of(protocol: str) -> Codec:
    """How this protocol is written: a codec for one connection."""
    return CODECS.get(protocol, Lines)()


def shown(raw: bytes, escape: str = "") -> str:
    """Octets as a transcript writes them; `escape`: further characters that would be mistaken here."""
    text = raw.decode("utf-8", "surrogateescape")
    written = ""
    for character in text:
        if 0xDC80 <= ord(character) <= 0xDCFF:
            written += f"\\x{ord(character) - 0xDC00:02x}"
        elif character == "\\" or character in escape:
            written += "\\" + character
        elif not character.isprintable():
            named = {"\r": "\\r", "\n": "\\n", "\t": "\\t"}
            written += named.get(character) or "".join(f"\\x{octet:02x}" for octet in character.encode())
        else:
            written += character
    return written


def line_of(written: str) -> str:
    """What would be mistaken at the beginning of a line, or not be seen at its end, escaped."""
    written = re.sub(r" $", r"\\x20", written)
    return "\\" + written if written.startswith("(") else written


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────


SECRETS: dict[str, Callable[[str, World], bytes]] = {}  # kinds of secrets that other packages know


def secret_in(label: str, world: World, challenge: bytes) -> bytes:
    """What a label stands for in a world. Raises KeyError for a label that is none."""
    kind = label.partition(" ")[0]
    return SECRETS[kind](label, world) if kind in SECRETS else secret(label, world.people, challenge)


def secret(label: str, people: People, challenge: bytes) -> bytes:
    """The response that a label stands for. Raises KeyError for a label that is none."""
    kind, _, rest = label.partition(" ")
    who, _, wrong = rest.partition(" ")
    account = people.find(who)
    password = "wrong" if wrong or account is None else account.password
    if kind == "not" and rest == "base64":
        return b"!"
    if kind == "cram-md5":
        digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
        return base64.b64encode(f"{who} {digest}".encode())
    if kind == "apop":
        return hashlib.md5(challenge + password.encode()).hexdigest().encode()
    if kind == "pass":
        return password.encode()
    response = {"plain": f"\0{who}\0{password}", "login": who, "password": password}[kind]
    return base64.b64encode(response.encode())


# ── the recorder ─────────────────────────────────────────────────────────────────────────────────────────────────


def render(recording: Iterable[Record | Event], title: str = "", given: str = "", *, masked: bool = True) -> str:
    """A recording as a transcript: `mv` it into tests/transcripts, and it is a test."""
    records = [one for one in recording if isinstance(one, Record)]
    names, talks = _names(records)
    faults = list(dict.fromkeys(one.fault for one in records if one.fault))
    first = records[0].protocol if records else "nothing"
    lines = [title or f"{first.upper()}: a recording"]
    lines += [f"given: {line}" for line in given.splitlines() if line.strip()]
    lines += [f"talks: {name} {talk}" for name, talk in talks.items() if talk != first]
    lines += [f"fault: {fault}" for fault in faults]
    lines.append("")
    clock = records[0].at if records else 0.0
    for record in records:
        who = names[record.session] + " " if names[record.session] else ""
        if record.at - clock >= 1 and not (record.direction == "-" and record.verb in ("connects", "fault")):
            lines.append(f"clock: {record.at - clock:g}")
            clock = record.at
        lines += [who + line for line in lines_of(record, masked)]
    return "\n".join(lines) + "\n"


def _names(records: list[Record]) -> tuple[dict[int, str], dict[str, str]]:
    """session → name ("" when there is only one), and name → what it talks, and where if that has another name."""
    protocols = {one.session: one.protocol for one in records}
    began = {one.session: one.protocol for one in reversed(records)}
    if len(protocols) < 2 and began == protocols:
        return dict.fromkeys(protocols, ""), {}
    people = {one.session: one.person.partition("@")[0] for one in records if one.person}
    once = {name for name in people.values() if list(people.values()).count(name) == 1 and re.fullmatch(r"[\w.+-]+", name)}
    names = {
        number: people[number] if people.get(number) in once else f"{protocol}-{number}"  # romeo, or xmpp-1
        for number, protocol in protocols.items()
    }
    talks = {n: protocol if began[n] == protocol else f"{protocol} at {began[n]}" for n, protocol in protocols.items()}
    return names, {names[number]: talk for number, talk in talks.items()}


_EVENTS = {"tls": "C: (tls)", "closes": "S: (closes)", "resets": "S: (resets)", "leaves": "C: (leaves)"}


def lines_of(record: Record, masked: bool = True) -> Iterator[str]:
    """The lines of one record, without a name before them."""
    if record.direction != "-":
        yield from codec_of(record.protocol).rendered(record, masked)
    elif record.verb == "unfinished":
        yield f"C| {line_of(shown(record.shown() if masked else record.raw, '{'))}"
    elif record.verb in _EVENTS:
        yield _EVENTS[record.verb]


# ── the player ───────────────────────────────────────────────────────────────────────────────────────────────────


class Wire(Protocol):
    """A person's connection, as the player drives it."""

    def send(self, raw: bytes) -> None:
        """Octets to the server."""

    def read(self, enough: Callable[[bytes], bool]) -> bytes:
        """All that has come and was not read yet, waiting until it is enough or the connection has ended."""

    def put_back(self, raw: bytes) -> None:
        """What was read and not used."""

    def ended(self) -> str:
        """Waits for the end of the connection: `closes` or `resets`; "" if it does not come."""

    def start_tls(self) -> None:
        """The client's handshake."""

    def leave(self) -> None:
        """The client will say nothing more."""

    def close(self) -> None:
        """Frees what the connection holds."""


class OnCore:
    """A connection without sockets: the player is a second shell around the bare core."""

    def __init__(self, session: Session, number: int) -> None:
        self._session = session
        self._buffer = b""
        session.opened(Facts(number))

    def send(self, raw: bytes) -> None:
        """See Wire."""
        self._session.receive(raw)
        if self._session.wants is Want.BECOME:
            self._session = self._session.succeeded()

    def tick(self) -> None:
        """Time has passed."""
        self._session.tick()

    def read(self, enough: Callable[[bytes], bool]) -> bytes:
        """See Wire."""
        while said := self._session.take():
            self._buffer += said
        self._session.written()
        read, self._buffer = self._buffer, b""
        return read

    def put_back(self, raw: bytes) -> None:
        """See Wire."""
        self._buffer = raw + self._buffer

    def ended(self) -> str:
        """See Wire."""
        return {Want.CLOSE: "closes", Want.RESET: "resets"}.get(self._session.wants, "")  # type: ignore[arg-type]

    def start_tls(self) -> None:
        """See Wire."""
        if self._session.wants is not Want.START_TLS:
            raise AssertionError("the core did not ask for TLS")
        self._session.wants = None
        self._session.secured(TlsFacts("TLSv1.3", bindings={"tls-server-end-point": bytes(32)}))

    def leave(self) -> None:
        """See Wire."""
        self._session.eof()

    def close(self) -> None:
        """See Wire."""


@dataclass
class Traffic:
    """What a rehearsal's clock must know of a connection, to tell when nothing moves (clock.Link)."""

    local: tuple[str, int]
    take: Callable[[], None]
    bytes_in: int = 0
    bytes_out: int = 0
    ended: bool = False
    finished: bool = False
    closed: bool = False

    def pump(self, most: int = 0) -> None:
        """Takes in what has come."""
        self.take()

    def readable(self) -> bool:
        """Nobody waits for this one."""
        return False


class OnSocket:
    """A connection to a server, ours or another.

    With the clock of a rehearsal, what one person says has been handled, and all have been told, before the next speaks:
    over TLS, where the octets that cross are not ours to count, only the answers say so.
    """

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext | None = None, clock: Rehearsal | None = None
    ) -> None:
        self._socket = socket.create_connection(address, PATIENCE)
        self._context = context
        self._buffer = b""
        self._end = ""
        self._clock = clock
        self._traffic = Traffic(self._socket.getsockname()[:2], self._take)
        if clock is not None:
            clock.connected(self._traffic)

    def send(self, raw: bytes) -> None:
        """See Wire."""
        try:
            self._socket.sendall(raw)
        except OSError:
            self._end = "resets"
        self._traffic.bytes_out += len(raw)
        if self._clock is not None:
            self._clock.settle()

    def read(self, enough: Callable[[bytes], bool]) -> bytes:
        """See Wire."""
        while not enough(self._buffer) and not self._end:
            self._receive()
        read, self._buffer = self._buffer, b""
        return read

    def _take(self) -> None:
        while not self._end and select.select([self._socket], [], [], 0)[0]:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
            self._end = "" if data else "closes"
            self._buffer += data
            self._traffic.bytes_in += len(data)
        except ssl.SSLError:
            self._end = "closes"
        except TimeoutError:
            self._end = "says nothing more"
        except OSError:
            self._end = "resets"
        self._traffic.ended = bool(self._end)

    def put_back(self, raw: bytes) -> None:
        """See Wire."""
        self._buffer = raw + self._buffer

    def ended(self) -> str:
        """See Wire."""
        while not self._end and not self._buffer:
            self._receive()
        return self._end

    def start_tls(self) -> None:
        """See Wire."""
        assert self._context is not None
        if self._clock is not None:
            self._clock.forget(self._traffic)
            self._clock = None
        self._socket = self._context.wrap_socket(self._socket, server_hostname="localhost")

    def leave(self) -> None:
        """See Wire."""
        self._traffic.finished = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._end = self._end or "resets"

    def close(self) -> None:
        """Frees the socket."""
        self._traffic.finished = self._traffic.closed = True
        self._socket.close()


def play(transcript: Transcript, connect: Callable[[str, int], Wire], world: World, tick: Callable[[float], None]) -> None:
    """Plays a transcript against connections that `connect(listener, number)` opens. Raises TranscriptError."""
    wires: dict[str, Wire] = {}
    try:
        _play(transcript, connect, world, tick, wires)
        if len(wires) > 1:  # when one leaves, others may be told: what they were told before must have been expected
            for who, wire in wires.items():
                _nothing_more(transcript, who, wire.read(lambda _: True))
        for who, wire in wires.items():
            wire.leave()
            if len(wires) == 1:
                _nothing_more(transcript, who, wire.read(lambda _: False))
    finally:
        for wire in wires.values():
            wire.close()


def _nothing_more(transcript: Transcript, who: str, left: bytes) -> None:
    if left:
        raise TranscriptError(f"{transcript.source}: at the end {who or 'the client'} was also told: {shown(left)}")


def _play(
    transcript: Transcript,
    connect: Callable[[str, int], Wire],
    world: World,
    tick: Callable[[float], None],
    wires: dict[str, Wire],
) -> None:
    challenge = b""

    codecs: dict[str, Codec] = {}

    def wire_of(who: str) -> Wire:
        if who not in wires:
            wires[who] = connect(transcript.listener_of(who), len(wires) + 1)
            codecs[who] = codec_of(transcript.protocol_of(who))
        return wires[who]

    def flush(who: str, pending: bytes) -> bytes:
        if pending:
            wire_of(who).send(pending)
        return b""

    pending, speaker = b"", ""
    for step in transcript.steps:
        if step.kind != "C" or step.who != speaker or step.text in ("(pause)", "(tls)", "(leaves)"):
            pending = flush(speaker, pending)
        if step.kind == "C":
            speaker = step.who
            wire = wire_of(step.who)
            if step.text == "(tls)":
                wire.start_tls()
            elif step.text == "(leaves)":
                wire.leave()
            elif step.text != "(pause)":
                pending += codecs[step.who].octets(step, lambda label: secret_in(label, world, challenge))
        elif step.kind == "S" and step.text in ("(closes)", "(resets)"):
            ended = wire_of(step.who).ended()
            if ended != step.text.strip("()"):
                raise transcript.error(step, f"expected that the server {step.text.strip('()')}; it {ended or 'stays'}")
        elif step.kind == "S":
            wire = wire_of(step.who)
            said = _expect(transcript, step, wire, codecs[step.who])
            challenge = _challenge(said) or challenge
        elif step.kind == "clock":
            tick(float(step.text))
        elif step.kind == "cue":
            word, _, rest = step.text.partition(" ")
            if word not in CUES:
                raise transcript.error(step, f"`cue: {word}` is not known; known: {', '.join(CUES)}")
            CUES[word](world, rest)
        elif step.kind == "then":
            _then(transcript, step, world)
    flush(speaker, pending)


def _expect(transcript: Transcript, step: Step, wire: Wire, codec: Codec) -> bytes:
    said = wire.read(lambda said: codec.match(step, said) is not None or (step.whole and codec.whole(said)))
    end = codec.match(step, said)
    if end is None:
        line, _, _ = said.partition(b"\r\n")
        raise transcript.error(step, f"expected  S: {step.text}\n  came      S: {shown(line) or '(nothing)'}")
    wire.put_back(said[end:])
    codec.heard(said[:end])
    return said[:end]


def _challenge(said: bytes) -> bytes:
    stamp = re.fullmatch(rb"\+OK [^<>]*(<[^<>]+@[^<>]+>)[^<>]*\r\n", said)  # APOP's stands in the greeting
    if stamp:
        return stamp[1]
    match = re.fullmatch(rb"(?:334|\+) (\S+)\r\n", said)
    try:
        return base64.b64decode(match[1]) if match else b""
    except ValueError:
        return b""


def _then(transcript: Transcript, step: Step, world: World) -> None:
    word, _, rest = step.text.partition(" ")
    if word not in THEN:
        raise transcript.error(step, f"`then: {word}` is not known; known: {', '.join(THEN)}")
    found = THEN[word](world, rest)
    wanted = rest.rpartition(" ")[2] if word == "inbox" else rest
    if found != wanted:
        raise transcript.error(step, f"then {step.text!r}: found {found!r}")


def _last_raw(world: World, _: str) -> str:
    return shown(world.mail.messages[-1].raw) if world.mail.messages else "(no mail)"


def _last_envelope(world: World, _: str) -> str:
    if not world.mail.messages:
        return "(no mail)"
    envelope = world.mail.messages[-1].envelope
    return f"<{envelope.sender}> -> {', '.join(f'<{address}>' for address in envelope.to)}"


# What `then:` can say: `mail N` accepted so far, `inbox ADDRESS N`; `envelope <FROM> -> <TO>` and `content` of the last.
THEN: dict[str, Callable[[World, str], str]] = {
    "mail": lambda world, rest: str(len(world.mail.messages)),
    "inbox": lambda world, rest: str(len(world.mail.inbox(rest.split()[0]))),
    "envelope": _last_envelope,
    "content": _last_raw,
}


# What `cue:` can say; packages put what their part of the world does here.
CUES: dict[str, Callable[[World, str], object]] = {}


def play_on_core(transcript: Transcript) -> World:
    """Plays it on bare cores; gives the world as it stands at the end. Raises TranscriptError."""
    world = World(transcript.config(), rehearsal=True, faults=transcript.faults)
    wires: list[OnCore] = []

    def connect(listener: str, number: int) -> Wire:
        wires.append(OnCore(world.core(listener), number))
        return wires[-1]

    def tick(seconds: float) -> None:
        world.clock.skip(seconds)
        for wire in wires:
            wire.tick()

    play(transcript, connect, world, tick)
    world.complain()
    return world


def play_on_socket(transcript: Transcript) -> World:
    """Plays it on real sockets; gives the world, closed by then. Raises TranscriptError."""
    with World(transcript.config(), rehearsal=True, faults=transcript.faults) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file)) if world.tls != "off" else None

        def tick(seconds: float) -> None:
            world.clock.wait(None, world.clock.time() + seconds)

        def connect(listener: str, number: int) -> Wire:
            return OnSocket(world.address(listener), context, world.clock)

        play(transcript, connect, world, tick)
    return world


def play_at_referee(transcript: Transcript, address: tuple[str, int]) -> list[str]:
    """Plays an SMTP transcript at another server, comparing reply codes only; gives the differences noted in it.

    Raises TranscriptError for a difference that is not noted, and for a note that no longer holds.
    """
    people = World(transcript.config(), rehearsal=True).people
    wires: dict[str, Wire] = {}
    differences: list[str] = []
    challenge = b""
    steps = [*transcript.steps, Step(0, "end", "")]
    for step, following in itertools.pairwise(steps):
        if step.kind == "aiosmtpd":
            if step.text == "stops here":
                break
            continue
        if step.kind not in "CS" or step.text in ("(pause)", "(leaves)", "(closes)"):
            continue
        wire = wires.setdefault(step.who, wires.get(step.who) or OnSocket(address))
        if step.kind == "C":
            wire.send(LINES.octets(step, lambda label: secret(label, people, challenge)))
        elif step.text[3:4] != "-":
            said = _reply(wire)
            challenge = _challenge(said) or challenge
            noted = following.text if following.kind == "aiosmtpd" and following.text != "stops here" else ""
            differences += [noted] if noted else []
            if said[:3].decode("latin-1") != (noted or step.text)[:3]:
                heard = shown(said.strip()) or "(nothing)"
                raise transcript.error(
                    step, f"the referee says {heard}\n  ours: {step.text}\n  noted: {noted or 'nothing'}"
                )
    for wire in wires.values():
        wire.close()
    return differences


def _reply(wire: Wire) -> bytes:
    """One whole reply, of however many lines."""
    end = re.compile(rb"(?:[^\r\n]{3}-[^\r\n]*\r\n)*[^\r\n]{3}(?: [^\r\n]*)?\r\n")
    said = wire.read(lambda said: bool(end.match(said)))
    match = end.match(said)
    if match is None:
        return said
    wire.put_back(said[match.end() :])
    return match[0]

"""The machine that a rehearsed program runs on: its name, processes, console and log.

It implements the protocol comms.host.Host, so that a program can use it as its machine. A play
changes it by cues:

    world.clock.at(60, world.host.kills("apache2"))
    world.host.commands["df", "-k"] = Command(output="98% /var", takes=0.2)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from fakes.suggest import nearest

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import WSGIApplication

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [low + high for high in _DIGITS for low in _DIGITS]
_FIRST_PID = 100


@dataclass(frozen=True)
class Event:
    """Something that happened in the world, but not on the wire.

    A recording shows it between the records of the wire. `level` is "say" for a line of the
    program's own output, "end" for its end by an exception, else the level of its log. `target` is
    whom it was sent to, if it was.
    """

    at: float
    who: str
    text: str
    level: str = "info"
    target: str = ""


class Process(NamedTuple):
    """A row of the process table. `state` is a letter as in /proc: R, S, D, T, Z …"""

    pid: int
    ppid: int
    name: str
    args: tuple[str, ...] = ()
    state: str = "S"


class Outcome(NamedTuple):
    """How a command ended.

    `code` is its exit status. It is None if the command could not be started or had to be killed;
    `error` says why then. `output` is the end of what it wrote, `seconds` how long it ran. It is
    `in_doubt` if it was killed: it may have done what it should.
    """

    code: int | None
    output: str = ""
    seconds: float = 0.0
    error: str = ""
    in_doubt: bool = False


def _nothing() -> None:
    pass


@dataclass
class Command:
    """What a command does on this machine.

    It `takes` that many seconds on the world's clock, writes `output`, and exits with `code`. The
    callbacks change the machine when the command starts and when it has ended.
    """

    takes: float = 0.0
    output: str = ""
    code: int = 0
    on_start: Callable[[], None] = _nothing
    on_end: Callable[[], None] = _nothing


class Tokens:
    """Tokens that look random but repeat: the same seed makes the same tokens in the same order."""

    __slots__ = ("_number", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._number = 0  # of the last token

    def __call__(self, length: int) -> str:
        """Returns the next token of this length, made of [a-z0-9]."""
        # 256 bits are enough for 49 characters; more would be zeros.
        self._number += 1
        seed = f"{self._seed} {self._number}"
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest(), "big")
        token = ""
        # Two digits at a time: a division of so large a number is what takes the time.
        for _ in range((length + 1) // 2):
            number, pair = divmod(number, 36 * 36)
            token += _PAIRS[pair]
        return token[:length]


class Host:
    """A machine of the world.

    Its commands, files and open ports are plain attributes, which a test sets. `ran` lists every
    command that was started, in order, and `inputs` what each of them read. `notified` has what the
    program has reported to its supervisor, such as READY=1. `silent_ports` never
    answer, because a firewall drops what arrives. `names` are the addresses of names in DNS, and
    `looked_up` lists every name that was asked for. `site` is the web application that the program
    serves, if it does; a `Browser` of the play visits it.
    """

    terminal = False  # a play is the same each time, also on a terminal

    def __init__(
        self,
        name: str,
        now: Callable[[], float],
        record: Callable[[Event], None],
        spend: Callable[[float], None] = lambda seconds: None,
        leads_here: Callable[[str, int], tuple[str, int] | None] = lambda name, port: None,
    ) -> None:
        """`record` keeps an event; `spend` lets that many seconds pass on the world's clock.

        `leads_here` returns where a name of the world's own servers leads.
        """
        self.name = name
        self.token = Tokens("host")
        self.commands: dict[tuple[str, ...], Command] = {}
        self.ran: list[tuple[str, ...]] = []
        self.inputs: list[bytes] = []
        self.notified: list[str] = []
        self.files: dict[Path, str] = {}
        self.open_ports: set[int] = set()
        self.silent_ports: set[int] = set()
        self.names: dict[str, list[str]] = {}
        self.looked_up: list[str] = []
        self._leads_here = leads_here
        self.site: WSGIApplication | None = None
        self._now = now
        self._record = record
        self._spend = spend
        self._pids = count(_FIRST_PID)
        self._own = Process(next(self._pids), 1, "python3", ("python3", "-m", "scenarios"))
        self._table = [Process(1, 0, "init", ("/sbin/init",)), self._own]
        self._names = {"init"}  # of all processes so far, running or not
        self._hides_processes = False
        self._hung_up = False

    def __repr__(self) -> str:
        return f"<Host {self.name} {', '.join(process.name for process in self._table)}>"

    # ── the program's side: comms.host.Host ──────────────────────────────────

    def processes(self) -> list[Process]:
        """The process table without the program itself.

        Raises PermissionError while the play hides it.
        """
        if self._hides_processes:
            raise PermissionError("the process table may not be read")
        return [process for process in self._table if process is not self._own]

    def read(self, path: Path) -> str:
        """The text of one of the machine's files. Raises FileNotFoundError."""
        if path not in self.files:
            raise FileNotFoundError(f"{path}: no such file on {self.name}")
        return self.files[path]

    def connects(self, address: str, port: int, timeout: float) -> bool:
        """Whether the machine listens on a port. Raises TimeoutError for a silent port."""
        if port in self.silent_ports:
            raise TimeoutError(f"{address}:{port} did not answer within {timeout:g} s")
        return port in self.open_ports

    def addresses(self, name: str, port: int) -> list[tuple[str, int]]:
        """Where a name leads. Raises OSError for an unknown one."""
        self.looked_up.append(name)
        if name in self.names:
            return [(address, port) for address in self.names[name]]
        if found := self._leads_here(name, port):
            return [found]
        import ipaddress  # most plays look up nothing

        try:
            return [(str(ipaddress.ip_address(name)), port)]
        except ValueError:
            raise OSError("Name or service not known") from None

    def run(self, command: Sequence[str], timeout: float, input: bytes = b"") -> Outcome:
        """Runs a command of the machine, for at most `timeout` seconds on the world's clock."""
        words = tuple(command)
        if words not in self.commands:
            reason = f"{words[0]} could not be started: No such file or directory"
            return Outcome(None, error=reason)
        known = self.commands[words]
        self.ran.append(words)
        self.inputs.append(input)
        self._happens(f"runs: {' '.join(words)}")
        known.on_start()
        if known.takes > timeout:
            self._spend(timeout)
            reason = f"still running after {timeout:g} s, and ended"
            return Outcome(None, known.output, timeout, reason, in_doubt=True)
        self._spend(known.takes)
        known.on_end()
        return Outcome(known.code, known.output, known.takes, in_doubt=known.code < 0)

    def say(self, text: str) -> None:
        """Writes a line of the program's own output."""
        self._record(Event(self._now(), "program", text, "say"))

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """Writes a line of the program's log. Empty fields are left out."""
        words = [event, *(f"{key}={value}" for key, value in fields.items() if value != "")]
        self._record(Event(self._now(), "program", " ".join(words), level))

    def notify(self, state: str) -> None:
        """Reports a state to the supervisor."""
        self.notified.append(state)
        self._happens(f"the program reports {state}")

    def reload_asked(self) -> bool:
        """Whether the program got SIGHUP since the last call."""
        found, self._hung_up = self._hung_up, False
        return found

    @contextlib.contextmanager
    def serve(self, app: WSGIApplication, address: str, port: int) -> Iterator[int]:
        """Serves a web application within the block, to the browsers of the play.

        Raises OSError if the program serves one already: a machine of a play has one site.
        """
        if self.site is not None:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.site = app
        try:
            yield port
        finally:
            self.site = None

    # ── for tests ────────────────────────────────────────────────────────────

    def add(self, name: str, args: tuple[str, ...] = (), state: str = "S") -> Process:
        """Adds a process to the table and returns it. No event is recorded."""
        self._names.add(name)
        process = Process(next(self._pids), 1, name, args or (name,), state)
        self._table.append(process)
        return process

    def service(self, name: str, takes: float = 2.0) -> None:
        """Adds a service: a process of this name, and the `systemctl` commands for it.

        `systemctl start NAME` and stop, restart and status take that many seconds each.
        """
        self.add(name)

        def start_unless_running() -> None:
            if not any(process.name == name for process in self._table):
                self.starts(name)()

        for action, on_start, on_end in (
            ("restart", self.kills(name), self.starts(name)),
            ("stop", _nothing, self.kills(name)),
            ("start", _nothing, start_unless_running),
            ("status", _nothing, _nothing),
        ):
            output = f"{name}: {action}\n"
            self.commands["systemctl", action, name] = Command(takes, output, 0, on_start, on_end)

    def starts(self, name: str) -> Callable[[], None]:
        """Returns the cue at which a process of this name starts."""
        self._names.add(name)

        def cue() -> None:
            self.add(name)
            self._happens(f"{name} starts")

        return cue

    def kills(self, name: str) -> Callable[[], None]:
        """Returns the cue at which all processes of this name die.

        Raises ValueError for a name that no process has or had.
        """
        if name not in self._names:
            raise ValueError(
                f"no process {name!r} is known{nearest(name, self._names)}; "
                f"known: {', '.join(self._names) or 'none'}"
            )

        def cue() -> None:
            self._table = [process for process in self._table if process.name != name]
            self._happens(f"{name} dies")

        return cue

    def hangs_up(self) -> None:
        """The program gets SIGHUP, which asks it to reload. It is a cue itself."""
        self._hung_up = True
        self._happens("the program gets SIGHUP")

    def hides_processes(self, hidden: bool = True) -> Callable[[], None]:
        """Returns the cue that hides the process table, or shows it again."""

        def cue() -> None:
            self._hides_processes = hidden
            state = "can no longer be read" if hidden else "can be read again"
            self._happens(f"the process table {state}")

        return cue

    def _happens(self, text: str) -> None:
        """Records an event of the machine itself."""
        self._record(Event(self._now(), self.name, text))

"""The machine that a rehearsed program runs on: its name, its processes, its console and log. It fits comms.host.Host."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Event:
    """Something that happened in the world, off the wire: told in a recording between the records."""

    at: float
    who: str
    text: str
    level: str = "info"  # say: a line of the program's own output; else its log's level


@dataclass(frozen=True)
class Process:
    """A row of the process table."""

    pid: int
    ppid: int
    name: str
    args: tuple[str, ...] = ()
    state: str = "S"  # as /proc says it: R S D T Z …


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status (None: not started, or killed; `error` says why), the end of its output."""

    code: int | None
    output: str = ""
    seconds: float = 0.0
    error: str = ""


@dataclass
class Command:
    """What a command line does on this machine: how long it takes, what it says, how it ends, what it changes."""

    takes: float = 0.0
    output: str = ""
    code: int = 0
    begins: Callable[[], None] = lambda: None
    ends: Callable[[], None] = lambda: None


class Tokens:
    """Chance that repeats: a counter, stirred; the same seed gives the same tokens."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._numbers = count(1)

    def __call__(self, length: int) -> str:
        """A token [a-z0-9] of this length."""
        number = int.from_bytes(hashlib.sha256(f"{self._seed} {next(self._numbers)}".encode()).digest(), "big")
        token = ""
        for _ in range(length):
            number, digit = divmod(number, 36)
            token += _DIGITS[digit]
        return token


class Host:
    """A machine of the world. Its process table is changed by cues: `clock.at(60, host.kills("apache2"))`."""

    def __init__(
        self,
        name: str,
        now: Callable[[], float],
        tell: Callable[[Event], None],
        spend: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.name = name
        self.commands: dict[tuple[str, ...], Command] = {}
        self.ran: list[tuple[str, ...]] = []  # every command that was started, in order
        self._spend = spend
        self.token = Tokens("host")
        self._now = now
        self._tell = tell
        self._pids = count(100)
        self._table: list[Process] = [Process(1, 0, "init", ("/sbin/init",))]
        self._blind = False
        self.files: dict[Path, str] = {}
        self.open_ports: set[int] = set()
        self.silent_ports: set[int] = set()  # a firewall drops what comes
        self.own = Process(next(self._pids), 1, "python3", ("python3", "-m", "scenarios"))
        self._table.append(self.own)

    # ── the program's side: comms.host.Host ──────────────────────────────────────────────────────────────────────

    def processes(self) -> list[Process]:
        """The process table, without the caller itself. Raises PermissionError while the table may not be read."""
        if self._blind:
            raise PermissionError("the process table may not be read")
        return [process for process in self._table if process is not self.own]

    def read(self, path: Path) -> str:
        """The text of one of this machine's files. Raises FileNotFoundError."""
        if path not in self.files:
            raise FileNotFoundError(f"{path}: no such file on {self.name}")
        return self.files[path]

    def connects(self, address: str, port: int, timeout: float) -> bool:
        """Whether something listens on this machine's port. Raises TimeoutError for a port that swallows everything."""
        if port in self.silent_ports:
            raise TimeoutError(f"{address}:{port} did not answer within {timeout:g} s")
        return port in self.open_ports

    def run(self, command: Sequence[str], timeout: float) -> Outcome:
        """Runs one of this machine's commands; it takes its time on the world's clock."""
        line = tuple(command)
        if line not in self.commands:
            return Outcome(None, "", 0.0, f"{line[0]} could not be started: No such file or directory")
        known = self.commands[line]
        self.ran.append(line)
        self._tell(Event(self._now(), self.name, f"runs: {' '.join(line)}"))
        known.begins()
        if known.takes > timeout:
            self._spend(timeout)
            return Outcome(None, known.output, timeout, f"still running after {timeout:g} s, and ended")
        self._spend(known.takes)
        known.ends()
        return Outcome(known.code, known.output, known.takes)

    def say(self, text: str) -> None:
        """A line on the program's console."""
        self._tell(Event(self._now(), "program", text, "say"))

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """A line in the program's log."""
        self._tell(
            Event(
                self._now(),
                "program",
                " ".join([event, *(f"{key}={value}" for key, value in fields.items() if value != "")]),
                level,
            )
        )

    # ── the play's side ──────────────────────────────────────────────────────────────────────────────────────────

    def add(self, name: str, args: tuple[str, ...] = (), state: str = "S") -> Process:
        """A process that is there from now on."""
        process = Process(next(self._pids), 1, name, args or (name,), state)
        self._table.append(process)
        return process

    def service(self, name: str, takes: float = 2.0) -> None:
        """A service that runs as a process of its name, and `systemctl` start, stop, restart and status for it."""
        self.add(name)

        def alive() -> bool:
            return any(process.name == name for process in self._table)

        def nothing() -> None:
            pass

        def start() -> None:
            if not alive():
                self.starts(name)()

        for verb, begins, ends in (
            ("restart", self.kills(name), self.starts(name)),
            ("stop", nothing, self.kills(name)),
            ("start", nothing, start),
            ("status", nothing, nothing),
        ):
            self.commands["systemctl", verb, name] = Command(takes, f"{name}: {verb}\n", 0, begins, ends)

    def starts(self, name: str) -> Callable[[], None]:
        """The cue: a process starts."""

        def cue() -> None:
            self.add(name)
            self._tell(Event(self._now(), self.name, f"{name} starts"))

        return cue

    def kills(self, name: str) -> Callable[[], None]:
        """The cue: all processes of this name die."""

        def cue() -> None:
            self._table = [process for process in self._table if process.name != name]
            self._tell(Event(self._now(), self.name, f"{name} dies"))

        return cue

    def hides_processes(self, hidden: bool = True) -> Callable[[], None]:
        """The cue: from now on the process table may not be read (or may be again)."""

        def cue() -> None:
            self._blind = hidden
            text = "the process table can no longer be read" if hidden else "the process table can be read again"
            self._tell(Event(self._now(), self.name, text))

        return cue

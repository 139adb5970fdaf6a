"""The machine that a program runs on: its name, its processes, its console and log, its chance. Handed in, like time."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO


class ProcessLike(Protocol):
    """A row of the process table. `state` is as /proc says it: R S D T Z (zombie) …"""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def ppid(self) -> int:
        """Its parent's."""

    @property
    def name(self) -> str:
        """The executable's name, without folders (the kernel keeps 15 octets of it)."""

    @property
    def args(self) -> tuple[str, ...]:
        """Its command line; empty where it may not be read."""

    @property
    def state(self) -> str:
        """R S D T Z …"""


class OutcomeLike(Protocol):
    """How a command ended. `code` is its exit status, None when it was not started or had to be killed."""

    @property
    def code(self) -> int | None:
        """The exit status; below 0, the signal that ended it."""

    @property
    def output(self) -> str:
        """The end of what it wrote, to stdout and stderr alike."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def error(self) -> str:
        """Why there is no code."""


class Host(Protocol):
    """What a program may know of and do to its machine."""

    @property
    def name(self) -> str:
        """The host's name, for greetings and for people."""

    def token(self, length: int) -> str:
        """Chance: a token [a-z0-9] of this length."""

    def processes(self) -> Sequence[ProcessLike]:
        """The process table without the caller and its children. Raises OSError when it cannot be read."""

    def read(self, path: Path) -> str:
        """The text of a small file, a pidfile say. Raises OSError."""

    def connects(self, address: str, port: int, timeout: float) -> bool:
        """Whether a TCP connection is taken; False when it is refused. Raises OSError when neither can be told."""

    def run(self, command: Sequence[str], timeout: float) -> OutcomeLike:
        """Runs a command, without a shell, for at most so many seconds, and waits for its end. Never raises OSError."""

    def say(self, text: str) -> None:
        """A line of the program's own output."""

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """One line of the program's log: what happened, and its facts."""


@dataclass(frozen=True)
class Process:
    """See ProcessLike."""

    pid: int
    ppid: int
    name: str
    args: tuple[str, ...] = ()
    state: str = "S"


@dataclass(frozen=True)
class Outcome:
    """See OutcomeLike."""

    code: int | None
    output: str = ""
    seconds: float = 0.0
    error: str = ""


OUTPUT = 4096  # octets of a command's output that are kept: the last ones
GRACE = 5.0  # seconds between asking a command to end and killing it
# What a command may know of our environment: no secret of ours is among it.
ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR")

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class RealHost:
    """The machine at hand. Say and log go to stdout and stderr: `time level event key=value …`."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.name = socket.gethostname()
        self._out, self._err = out or sys.stdout, err or sys.stderr

    def token(self, length: int) -> str:
        """See Host; from the system's source of randomness."""
        return "".join(secrets.choice(_DIGITS) for _ in range(length))

    def processes(self) -> list[Process]:
        """See Host. From /proc, else psutil where it is installed, else `ps`."""
        table = _from_proc() if Path("/proc/self/stat").exists() else _from_psutil() or _from_ps()
        return _without_family(table, os.getpid())

    def read(self, path: Path) -> str:
        """See Host."""
        return path.read_text("utf-8", "replace")

    def connects(self, address: str, port: int, timeout: float) -> bool:
        """See Host."""
        try:
            with socket.create_connection((address, port), timeout):
                return True
        except ConnectionRefusedError:
            return False

    def run(self, command: Sequence[str], timeout: float) -> Outcome:
        """See Host. It gets no input, and a small environment; over its time, all that it started is ended with it."""
        began = time.monotonic()
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        try:
            child = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=environment, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return Outcome(
                None,
                "",
                0.0,
                f"{command[0]} could not be started: {getattr(error, 'strerror', '') or error}",
            )
        with child:
            output, ended = _followed(child, began + timeout)
            if not ended:
                _end(child)
            assert child.stdout is not None
            child.stdout.close()
        text = output[-OUTPUT:].decode("utf-8", "replace")
        seconds = time.monotonic() - began
        if not ended:
            return Outcome(None, text, seconds, f"still running after {timeout:g} s, and ended")
        return Outcome(child.returncode, text, seconds)

    def say(self, text: str) -> None:
        """See Host."""
        print(text, file=self._out, flush=True)

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """See Host."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        facts = "".join(f" {key}={_fact(value)}" for key, value in fields.items() if value != "")
        print(f"{stamp} {level} {event}{facts}", file=self._err, flush=True)


def _followed(child: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """The end of what a command writes while it runs, and whether it ended in time. What it left running is not awaited."""
    assert child.stdout is not None
    ear = child.stdout.fileno()
    os.set_blocking(ear, False)
    try:
        bell = os.pidfd_open(child.pid)
    except (AttributeError, OSError):  # not Linux, or an old one: look now and then
        bell = None
    output, open_ = b"", True
    try:
        while True:
            ended = child.poll() is not None
            while open_:
                try:
                    data = os.read(ear, 1 << 16)
                except BlockingIOError:
                    break
                open_ = bool(data)
                output = (output + data)[-OUTPUT:]
            left = deadline - time.monotonic()
            if ended or left <= 0:
                return output, ended
            ears = [one for one in (ear if open_ else None, bell) if one is not None]
            select.select(ears, [], [], left if bell is not None else min(left, 0.05))
    finally:
        if bell is not None:
            os.close(bell)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a command and all that it started: asked first, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        try:
            child.wait(GRACE)
            return
        except subprocess.TimeoutExpired:
            continue


def _fact(value: object) -> str:
    text = str(value)
    plain = text.isprintable() and text and not any(c in text for c in ' "=')
    return text if plain else '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'


def _without_family(table: list[Process], own: int) -> list[Process]:
    """Nobody watches themself: the caller and all that descend from it are left out."""
    family = {own}
    for process in sorted(table, key=lambda process: process.pid):
        if process.ppid in family:
            family.add(process.pid)
    return [process for process in table if process.pid not in family]


def _from_proc() -> list[Process]:
    """Linux. A process may vanish while it is being read; then it is not there."""
    table = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text(errors="replace")
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        name = stat[
            stat.index("(") + 1 : stat.rindex(")")
        ]  # a name may hold blanks and parentheses
        state, ppid = stat[stat.rindex(")") + 2 :].split()[:2]
        args = tuple(word.decode(errors="replace") for word in command if word)
        table.append(Process(int(folder.name), int(ppid), name, args, state))
    return table


def _from_psutil() -> list[Process]:
    """Where psutil is installed, Windows among others."""
    try:
        import psutil
    except ImportError:
        return []
    states = {psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_STOPPED: "T", psutil.STATUS_RUNNING: "R"}
    table = []
    for process in psutil.process_iter(["pid", "ppid", "name", "cmdline", "status"]):
        facts = process.info
        name = (facts["name"] or "").removesuffix(".exe")
        args = tuple(facts["cmdline"] or ())
        table.append(
            Process(facts["pid"], facts["ppid"] or 0, name, args, states.get(facts["status"], "S"))
        )
    return table


def _from_ps() -> list[Process]:
    """Other Unix systems (POSIX ps). Raises OSError when there is no ps, or it fails."""
    command = shutil.which("ps")
    if command is None:
        raise FileNotFoundError(
            "no /proc, no psutil and no ps: the process table cannot be read (install psutil)"
        )
    try:
        shown = subprocess.run(
            [command, "-A", "-o", "pid=,ppid=,state=,comm="],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"ps failed: {error}") from error
    table = []
    for line in shown.stdout.splitlines():
        pid, ppid, state, name = line.split(None, 3)
        table.append(Process(int(pid), int(ppid), name.rpartition("/")[2], (), state[0]))
    return table

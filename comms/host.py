"""The machine that a program runs on: its name, processes, console, log and randomness.

It is passed in, like time, so that a rehearsal can replace it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import string
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, TextIO

from comms.waiting import wait_until_ready

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import WSGIApplication


class ProcessLike(Protocol):
    """A row of the process table."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def ppid(self) -> int:
        """The process id of its parent."""

    @property
    def name(self) -> str:
        """The executable's name without directories. Linux keeps the first 15 bytes of it."""

    @property
    def args(self) -> tuple[str, ...]:
        """Its command line; empty if it may not be read."""

    @property
    def state(self) -> str:
        """Its state as in /proc: R, S, D, T, Z (zombie) and so on."""


class OutcomeLike(Protocol):
    """How a command ended."""

    @property
    def code(self) -> int | None:
        """Its exit status; negative for a signal. None if it did not start or was stopped."""

    @property
    def output(self) -> str:
        """The end of what it wrote to stdout and stderr, in the order of writing."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def error(self) -> str:
        """Why the exit status is missing; empty if it is not."""

    @property
    def in_doubt(self) -> bool:
        """Whether it may have done what it should: it was stopped, or killed, before it ended."""


class Host(Protocol):
    """What a program may know about its machine, and do to it."""

    @property
    def name(self) -> str:
        """The host name, for SMTP greetings and for people."""

    @property
    def terminal(self) -> bool:
        """Whether a person watches what `say` writes."""

    def token(self, length: int) -> str:
        """Returns that many random characters from a-z and 0-9."""

    def processes(self) -> Sequence[ProcessLike]:
        """Returns the process table without the caller and its descendants.

        Raises OSError if it cannot be read.
        """

    def read(self, path: Path) -> str:
        """Returns the text of a small file such as a pidfile. Raises OSError."""

    def connects(self, address: str, port: int, timeout: float) -> bool:
        """Returns whether a TCP connection is accepted; False if it is refused.

        Raises OSError if neither is known, for example after `timeout` seconds of silence.
        """

    def addresses(self, name: str, port: int) -> Sequence[tuple[str, int]]:
        """Returns the IP addresses of a host name, each with the port. Raises OSError."""

    def run(self, command: Sequence[str], timeout: float, input: bytes = b"") -> OutcomeLike:
        """Runs a command without a shell and waits until it ends, at most `timeout` seconds.

        The command reads `input` from its stdin. Never raises OSError: the outcome says what went
        wrong.
        """

    def say(self, text: str) -> None:
        """Writes a line of the program's own output. Never raises."""

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """Writes one line to the program's log: what happened, and its details as key=value.

        Never raises: an event that cannot be logged has happened anyway.
        """

    def notify(self, state: str) -> None:
        """Reports a state such as READY=1 to the supervisor, if one waits for it (sd_notify(3)).

        Never raises.
        """

    def reload_asked(self) -> bool:
        """Returns whether SIGHUP has arrived since the last call.

        Until the first call, SIGHUP ends the program.
        """

    def serve(
        self, app: WSGIApplication, address: str, port: int
    ) -> contextlib.AbstractContextManager[int]:
        """Serves a web application (PEP 3333) within a block, and returns the port.

        Raises OSError if nothing can listen there.
        """


class Process(NamedTuple):
    """A row of the process table, as `ProcessLike` describes it."""

    pid: int
    ppid: int
    name: str
    args: tuple[str, ...] = ()
    state: str = "S"


class Outcome(NamedTuple):
    """How a command ended, as `OutcomeLike` describes it."""

    code: int | None
    output: str = ""
    seconds: float = 0.0
    error: str = ""
    in_doubt: bool = False


SMALL = 1 << 16  # bytes of a file such as a pidfile
FACT = 1000  # characters of a log field that are written
OUTPUT = 4096  # bytes of a command's output that are kept: the last ones
GRACE = 5.0  # seconds between asking a command to end and killing it
POLL = 0.05  # seconds between two looks at a command where pidfd_open does not exist

# The only environment variables that a command inherits, so that it never sees our passwords.
ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR")

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_TOKEN_CHARACTERS = (string.digits + string.ascii_lowercase).encode()
# Which character each random byte stands for: each of the 36 has seven bytes, and the last four
# bytes are left out, so that all are equally likely.
_TOKEN_TABLE = (_TOKEN_CHARACTERS * 8)[:256]
_TOKEN_SURPLUS = bytes(range(252, 256))


class RealHost:
    """The machine that this process runs on.

    `say` writes to stdout and `log` to stderr, one line `time level event key=value …` per event.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.name = socket.gethostname()
        self._out, self._err = out or sys.stdout, err or sys.stderr
        self._hears_hangups = self._hung_up = False
        self._left: list[subprocess.Popen[bytes]] = []  # commands that could not be stopped

    @property
    def terminal(self) -> bool:
        """Whether stdout is a terminal. A closed stream is none."""
        try:
            return self._out.isatty()
        except (AttributeError, ValueError):
            return False

    def token(self, length: int) -> str:
        """Returns random characters from the operating system's secure source."""
        token = b""
        while len(token) < length:
            # One call of the system for all: one for each character takes ten times as long.
            token += os.urandom(length + 4).translate(_TOKEN_TABLE, _TOKEN_SURPLUS)
        return token[:length].decode()

    def processes(self) -> list[Process]:
        """Reads the process table from /proc, or with psutil if it is installed, or with ps."""
        table = _from_proc() if os.path.exists("/proc/self/stat") else _from_psutil() or _from_ps()
        return _without_family(table, os.getpid())

    def read(self, path: Path) -> str:
        """Returns the text of a file; bytes that are not UTF-8 become U+FFFD. Raises OSError.

        Of a long file, such as a device without end, it is the beginning. A pipe is not waited for.
        """
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            return os.read(file, SMALL).decode("utf-8", "replace")
        finally:
            os.close(file)

    def connects(self, address: str, port: int, timeout: float) -> bool:
        """Connects and closes again. Raises OSError if the port neither accepts nor refuses."""
        try:
            with socket.create_connection((address, port), timeout):
                return True
        except ConnectionRefusedError:
            return False
        except UnicodeError as error:  # a label of more than 63 characters
            raise OSError(str(error)) from None

    def addresses(self, name: str, port: int) -> list[tuple[str, int]]:
        """Asks the system's resolver, in whose order they are. It takes as long as it takes."""
        try:
            found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # a label of more than 63 characters
            raise OSError(str(error)) from None
        # An IPv6 address has a scope, too.
        return list(dict.fromkeys((str(place[0]), int(place[1])) for *_, place in found))

    def run(self, command: Sequence[str], timeout: float, input: bytes = b"") -> Outcome:
        """Runs a command with a minimal environment.

        After `timeout` seconds it is stopped, together with everything that it has started. One
        that cannot be stopped, because it runs as another user (by sudo, say), goes on.
        """
        self._left = [child for child in self._left if child.poll() is None]
        began = time.monotonic()
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        try:
            with _as_file(input) as stdin:
                child = subprocess.Popen(
                    list(command),
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # its own process group: `_stop` reaches it whole
                )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or error
            return Outcome(None, "", 0.0, f"{command[0]} could not be started: {reason}")
        assert child.stdout is not None
        with child.stdout:
            output, ended = _follow(child, began + timeout)
            stopped = ended or _stop(child)
        if not stopped:
            self._left.append(child)
        text = output[-OUTPUT:].decode("utf-8", "replace")
        seconds = time.monotonic() - began
        if not ended:
            how = "and ended" if stopped else "and could not be ended"
            hung = f"still running after {timeout:g} s, {how}"
            return Outcome(None, text, seconds, hung, in_doubt=True)
        return Outcome(child.returncode, text, seconds, in_doubt=child.returncode < 0)

    def say(self, text: str) -> None:
        """Writes a line to stdout, without what a terminal would obey. Never raises."""
        _write(self._out, printable(text))

    def log(self, event: str, level: str = "info", **fields: object) -> None:
        """Writes one line to stderr. Never raises.

        Fields with an empty string are left out, and long ones are cut.
        """
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        facts = "".join(f" {key}={_quoted(value)}" for key, value in fields.items() if value != "")
        _write(self._err, f"{stamp} {level} {event}{facts}")

    def notify(self, state: str) -> None:
        """Sends a state to the socket of the environment's NOTIFY_SOCKET. Never raises."""
        address = os.environ.get("NOTIFY_SOCKET", "")
        # Other addresses are those of virtual machines.
        if address[:1] not in ("/", "@") or not hasattr(socket, "AF_UNIX"):
            return
        if state == "RELOADING=1":  # systemd wants to know which of several reloads this is
            state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
        with (
            contextlib.suppress(OSError, ValueError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link,
        ):
            link.settimeout(GRACE)
            # A name that begins with @ is in no file system: it begins with NUL (unix(7)).
            link.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)

    def reload_asked(self) -> bool:
        """Returns whether SIGHUP has arrived since the last call; False on Windows."""
        if not self._hears_hangups and hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._hang_up)
            self._hears_hangups = True
        # Not in one statement: a signal between reading and writing would be lost.
        if not self._hung_up:
            return False
        self._hung_up = False
        return True

    def _hang_up(self, number: int, frame: object) -> None:
        self._hung_up = True

    @contextlib.contextmanager
    def serve(self, app: WSGIApplication, address: str, port: int) -> Iterator[int]:
        """Serves a web application by comms.serving, and logs where. Raises OSError."""
        from comms.serving import serving  # few programs serve anything

        def log(error: BaseException | None) -> None:
            self.log("web-error", "error", trouble=error)

        with serving(app, address, port, log) as number:
            name = f"[{address}]" if ":" in address else address
            self.log("serves", url=f"http://{name}:{number}/")
            yield number


def _write(stream: TextIO, line: str) -> None:
    """Writes a line. A console that is gone, or a full disk, must not end what the program does."""
    try:
        # With its end in one piece: the threads of a server may write at the same time.
        line += "\n"
        try:
            print(line, end="", file=stream, flush=True)
        except UnicodeError:  # a console that cannot show every character
            line = line.encode("ascii", "backslashreplace").decode()
            print(line, end="", file=stream, flush=True)
    except (OSError, ValueError):  # ValueError: it is closed
        pass


def printable(text: str) -> str:
    """Returns the text with escapes for what a terminal would obey, or would not show.

    These are control characters, the marks that change the direction of writing, and halves of
    characters. Line feeds and tabs remain.
    """
    from unicodedata import category

    text = text.replace("\r\n", "\n")
    return "".join(
        c.encode("unicode_escape").decode() if category(c) in _INVISIBLE and c not in "\n\t" else c
        for c in text
    )


@contextlib.contextmanager
def _as_file(input: bytes) -> Iterator[BinaryIO | int]:
    """Yields a file for a command to read, and not a pipe: nobody waits until it has been read."""
    if not input:
        yield subprocess.DEVNULL
        return
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(input)
        file.seek(0)
        yield file


def _follow(child: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """Returns the end of a command's output, and whether it ended before `deadline`.

    Waits for the command itself and not for the end of its output: a daemon that it leaves running
    may hold the pipe open for ever.
    """
    assert child.stdout is not None
    pipe = child.stdout.fileno()
    os.set_blocking(pipe, False)
    try:
        pidfd = os.pidfd_open(child.pid)  # readable when the command ends
    except (AttributeError, OSError):  # not Linux, or an old kernel: poll instead
        pidfd = None
    output, open_ = b"", True
    try:
        while True:
            # Look before reading: what the command wrote before it ended is then read below.
            ended = child.poll() is not None
            while open_:
                try:
                    data = os.read(pipe, 1 << 16)
                except BlockingIOError:
                    break
                open_ = bool(data)
                output = (output + data)[-OUTPUT:]
            left = deadline - time.monotonic()
            if ended or left <= 0:
                return output, ended
            sources = [source for source in (pipe if open_ else None, pidfd) if source is not None]
            wait_until_ready(sources, left if pidfd is not None else min(left, POLL))
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _stop(child: subprocess.Popen[bytes]) -> bool:
    """Stops a command and everything that it has started: SIGTERM first, SIGKILL after GRACE.

    Returns whether it has ended.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            pass
        except PermissionError:  # all of it runs as another user
            break
        deadline = time.monotonic() + GRACE
        # What it has started writes to the same pipe, whose end shows that all of it has ended.
        if _is_at_end(child, deadline):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, deadline - time.monotonic()))
                return True
    return child.poll() is not None


def _is_at_end(child: subprocess.Popen[bytes], deadline: float) -> bool:
    """Reads the output of a command until `deadline`, and returns whether it has ended."""
    assert child.stdout is not None
    pipe = child.stdout.fileno()
    while (left := deadline - time.monotonic()) > 0 and wait_until_ready([pipe], left):
        with contextlib.suppress(BlockingIOError):
            if not os.read(pipe, 1 << 16):
                return True
    return False


def _cut(value: object) -> str:
    """Returns a log field's value; a long one without its middle, and with its length."""
    try:
        text = str(value)
    except Exception as error:  # an object that cannot be shown
        text = f"({type(error).__name__} in {type(value).__name__})"
    if len(text) <= FACT:
        return text
    return f"{text[: FACT // 2]}…{text[-FACT // 2 :]} ({len(text)} characters)"


def _quoted(value: object) -> str:
    """Returns a log field's value: in quotes if necessary, and always on one line."""
    text = _cut(value)
    plain = text.isprintable() and text and not any(c in text for c in ' "=')
    if plain:
        return text
    return '"' + text.encode("unicode_escape").decode().replace('"', '\\"') + '"'


# ── the process table ────────────────────────────────────────────────────────


def _without_family(table: list[Process], own: int) -> list[Process]:
    """Removes the process `own` and its descendants.

    A program that looks for a service must not find itself, or a command that it has started.
    """
    family = {own}
    # By process id, because a parent usually has a lower one than its children.
    for process in sorted(table, key=lambda process: process.pid):
        if process.ppid in family:
            family.add(process.pid)
    return [process for process in table if process.pid not in family]


def _from_proc() -> list[Process]:
    """Reads /proc (Linux). A process that ends while it is being read is left out."""
    from pathlib import Path

    table = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text(errors="replace")
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        # A name may contain spaces and parentheses, so the last parenthesis ends it (proc(5)).
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        state, ppid = stat[stat.rindex(")") + 2 :].split()[:2]
        args = tuple(word.decode(errors="replace") for word in command if word)
        table.append(Process(int(folder.name), int(ppid), name, args, state))
    return table


def _from_psutil() -> list[Process]:
    """Reads the table with psutil, on Windows among others. Empty if psutil is not installed."""
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
        state = states.get(facts["status"], "S")
        table.append(Process(facts["pid"], facts["ppid"] or 0, name, args, state))
    return table


def _from_ps() -> list[Process]:
    """Reads the table with ps (POSIX). Raises OSError if ps does not exist or fails."""
    import shutil

    command = shutil.which("ps")
    if command is None:
        raise FileNotFoundError(
            "the process table cannot be read: there is no /proc, psutil or ps; install psutil"
        )
    try:
        listing = subprocess.run(
            [command, "-A", "-o", "pid=,ppid=,state=,comm="],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"ps failed: {error}") from error
    table = []
    for line in listing.stdout.splitlines():
        pid, ppid, state, name = line.split(None, 3)
        table.append(Process(int(pid), int(ppid), name.rpartition("/")[2], (), state[0]))
    return table

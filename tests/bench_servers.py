"""The servers that the benchmark compares. Each is a process on free ports of 127.0.0.1.

A server is a context manager that yields where it runs, and ends its process by id. It raises
Missing if it is not installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench_measure import Measure, Missing, process, worker
from tests.real import (
    Authority,
    dovecot_mail,
    end,
    folder,
    free_port,
    in_the_foreground,
    need,
    need_root,
    postfix,
    wait_for_port,
    wait_until,
)

USER, PASSWORD = "alice@example.test", "secret"


@dataclass(frozen=True)
class Running:
    """Where a server runs."""

    pid: int
    ports: dict[str, int]  # protocol → port
    maildir: Path | None = None  # where mail of alice's can be put, if the server reads files


Server = Callable[[], AbstractContextManager[Running]]

WORLD = """
[[person]]
address = "alice@example.test"
contacts = { "bob@example.test" = "both" }
[[person]]
address = "bob@example.test"
contacts = { "alice@example.test" = "both" }
[xmpp]
resources = 2000
[off]
xmpp = ["archive"]  # as Prosody and ejabberd are set up here
"""


# ── ours, and those of tests/bench_floor.py ──────────────────────────────────


def require(loop: str) -> None:
    """Raises Missing if the event loop is not installed."""
    if importlib.util.find_spec(loop) is None:
        raise Missing(f"{loop} is not installed: pip install {loop}")


def ours(
    loop: str = "asyncio", faults: Iterable[str] = (), settings: str = "", said: int | None = None
) -> Server:
    """`python -m fakes --quiet`, as it runs for months: it makes no records of the wire.

    `settings` are further ones of the world file, `said` is what its stderr goes to.
    """

    @contextlib.contextmanager
    def server() -> Iterator[Running]:
        require(loop)
        with folder() as place:
            (place / "world.toml").write_text(WORLD + settings)
            command = ["-m", "fakes", "--quiet", "--tls", "off", "--world", f"{place}/world.toml"]
            kinds = ("smtp", "pop3", "imap", "xmpp")
            command += [word for kind in kinds for word in (f"--{kind}", "0")]
            command += [word for fault in faults for word in ("--fault", fault)]
            with process(command, loop, said) as started:
                assert started.stdout is not None
                where = json.loads(started.stdout.readline())
                if loop == "uvloop":
                    _check_uvloop(started.pid)
                yield Running(started.pid, {kind: where[kind][1] for kind in kinds})

    return server


def _check_uvloop(pid: int) -> None:
    """Raises Missing unless the process has loaded uvloop: figures of asyncio would be wrong."""
    maps = Path(f"/proc/{pid}/maps")
    if maps.exists() and "uvloop" not in maps.read_text():
        raise Missing("python -m fakes does not use uvloop, although FAKES_LOOP=uvloop")


def recording() -> AbstractContextManager[Running]:
    """A world of a test's, which keeps all records, in a process by itself."""
    return _prints_its_port(["-m", "tests.bench_worker", "recording_server"], "asyncio", "xmpp")


def floor(kind: str, *numbers: int, loop: str = "asyncio") -> Server:
    """A server of tests/bench_floor.py, or aiosmtpd, which runs in the same way."""
    command = ["-m", "tests.bench_floor", "--loop", loop, kind, *map(str, numbers)]
    return lambda: _prints_its_port(
        command, loop, "smtp" if kind in ("aiosmtpd", "smtp-drops") else kind
    )


@contextlib.contextmanager
def _prints_its_port(command: list[str], loop: str, kind: str) -> Iterator[Running]:
    require(loop)
    with process(command, loop) as started:
        assert started.stdout is not None
        yield Running(started.pid, {kind: int(started.stdout.readline())})


# ── servers that others wrote ────────────────────────────────────────────────


@contextlib.contextmanager
def installed(name: str) -> Iterator[None]:
    """Raises Missing where tests/real.py fails a test: a package, or root, is missing."""
    try:
        yield
    except pytest.fail.Exception as error:
        reason = str(error)
        if "not installed" in reason:
            reason = f"{name} is not installed: make bench-peers"
        raise Missing(reason) from None


@contextlib.contextmanager
def dovecot() -> Iterator[Running]:
    """Dovecot with a maildrop of alice's. The files of its mails are written by the caller."""
    with contextlib.ExitStack() as stack:
        with installed("Dovecot"):
            authority = Authority(stack.enter_context(folder()))
            boxes = stack.enter_context(dovecot_mail({USER: PASSWORD}, authority))
        ports = {"pop3": boxes.pop3, "imap": boxes.imap, "lmtp": boxes.lmtp}
        yield Running(0, ports, boxes.place / USER)


@contextlib.contextmanager
def postfix_and_dovecot() -> Iterator[Running]:
    """A Postfix that delivers to a Dovecot, as on a small mail server."""
    with dovecot() as boxes, contextlib.ExitStack() as stack:
        with installed("Postfix"):
            by = "lmtp:inet:127.0.0.1:"
            server, *_ = stack.enter_context(postfix([USER], boxes.ports["lmtp"], by=by))
        yield Running(0, {"smtp": server.port, "pop3": boxes.ports["pop3"]}, boxes.maildir)


PROSODY = """
run_as_root = true
daemonize = false
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
modules_enabled = {{
  "roster", "saslauth", "disco", "ping", "offline", "private", "vcard", "presence", "message", "iq"
}}
modules_disabled = {{ "s2s", "tls", "limits", "posix" }}
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
authentication = "internal_plain"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
log = {{ error = "{folder}/log" }}
network_backend = "epoll"
VirtualHost "example.test"
"""


@contextlib.contextmanager
def prosody() -> Iterator[Running]:
    """Prosody with the accounts alice and bob, without TLS, logging errors only."""
    with installed("Prosody"):
        daemon, control = need("prosody", "prosody"), need("prosodyctl", "prosody")
        need_root("Prosody")
    with folder() as place:
        config, port = place / "prosody.cfg.lua", free_port()
        config.write_text(PROSODY.format(folder=place, port=port))
        (place / "data").mkdir()
        for name in ("alice", "bob"):
            register = ["register", name, "example.test", PASSWORD]
            command = [control, "--config", str(config), *register]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        started = in_the_foreground([daemon, "--config", str(config), "-F"])
        try:
            wait_for_port(port, started)
            yield Running(started.pid, {"xmpp": port})
        finally:
            end(started)


EJABBERD = """
hosts: ["example.test"]
loglevel: info
auth_method: internal
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, access: all, shaper: none}}
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_ping: {{}}
"""


@contextlib.contextmanager
def ejabberd() -> Iterator[Running]:
    """ejabberd with the accounts alice and bob. Its node is not distributed."""
    with installed("ejabberd"):
        erl = need("erl", "ejabberd")
        need("ejabberdctl", "ejabberd")
    with folder() as place:
        config, log, port = place / "ejabberd.yml", place / "ejabberd.log", free_port()
        log.touch()
        config.write_text(EJABBERD.format(port=port))
        accounts = ", ".join(
            f'ejabberd_auth:try_register(<<"{name}">>, <<"example.test">>, <<"{PASSWORD}">>)'
            for name in ("alice", "bob")
        )
        command = [erl, "-noinput", "-mnesia", "dir", f'"{place}/database"', "-s", "ejabberd"]
        started = subprocess.Popen(
            [*command, "-eval", accounts + "."],
            env=os.environ
            | {
                "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
                "EJABBERD_CONFIG_PATH": str(config),
                "EJABBERD_LOG_PATH": str(log),
                "HOME": str(place),
                "ERL_CRASH_DUMP_BYTES": "0",
            },
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            with installed("ejabberd"):
                wait_for_port(port, seconds=60)
                wait_until(lambda: "is started in the node" in log.read_text(), "started", 60)
            yield Running(started.pid, {"xmpp": port})
        finally:
            end(started)


@contextlib.contextmanager
def chain_on_real_servers() -> Iterator[Measure]:
    """Seconds from a mail to the answer of a program that fetches it, on Postfix and Dovecot."""
    with postfix_and_dovecot() as running:
        ports = running.ports["smtp"], running.ports["pop3"]
        with worker("chain", "real", *ports, 3) as client:
            yield client.ask


# ── mails ────────────────────────────────────────────────────────────────────


def mail(size: int) -> bytes:
    """Returns a mail of about this size."""
    lines = (b"y" * 76 + b"\r\n") * max(1, size // 78)
    return b"Subject: hi\r\nFrom: carol@example.org\r\n\r\n" + lines

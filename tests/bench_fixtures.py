"""What a test with a mail fixture costs: 200 tests that send one mail each, by whose plugin.

Each plugin is used as its documentation says. The others are in a virtual environment of their own
(`make bench-peers`), because nothing else here needs them. pytest loads no plugin but the one that
is measured: those of hypothesis, Django and others take more time than a mail does.
"""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench_measure import OURS, ROOT, Contestant, Goal, Measure, Missing, Row, environment

TESTS = 200
CPU = "CPU"
PEERS = ROOT / ".venv.peers" / "bin" / "python"

_SEND = f"""
import smtplib

import pytest

def send(host, port):
    with smtplib.SMTP(host, port, "shop.example") as client:
        client.sendmail("shop@example.org", ["bob@example.test"], "Subject: hi\\r\\n\\r\\nHi\\r\\n")

many = pytest.mark.parametrize("number", range({TESTS}))
"""
_ALONE = 'pytestmark = pytest.mark.world(servers=["smtp"])\n'
_OURS = """
@many
def test(number, world):
    send(*world.address("smtp"))
    assert world.mail.wait_for().subject == "hi"
"""
_SMTPDFIX = """
@many
def test(number, smtpd):
    send(smtpd.hostname, smtpd.port)
    assert [mail["subject"] for mail in smtpd.messages] == ["hi"]
"""
_LOCALSERVER = """
@many
def test(number, smtpserver):
    send(*smtpserver.addr)
    assert [mail["subject"] for mail in smtpserver.outbox] == ["hi"]
"""
# aiosmtpd has no plugin: the fixture that everybody writes. Its Controller does not take port 0.
_AIOSMTPD = """
import socket
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

class Kept(Message):
    def __init__(self):
        super().__init__()
        self.mails = []

    def handle_message(self, mail):
        self.mails.append(mail)

@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(Kept(), "127.0.0.1", port)
    controller.start()
    yield controller
    controller.stop()

@many
def test(number, server):
    send(server.hostname, server.port)
    assert [mail["subject"] for mail in server.handler.mails] == ["hi"]
"""


def passing(what: str, tests: str, *options: str, python: Path = PEERS) -> Contestant:
    """What a test takes: processor time, without that of pytest's start, or the seconds."""

    @contextlib.contextmanager
    def contestant() -> Iterator[Measure]:
        if not python.exists():
            raise Missing("pytest plugins of others are not installed: make bench-peers")
        with TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            (folder / "pytest.ini").write_text("[pytest]\n")
            (folder / "test_mails.py").write_text(_SEND + tests)
            command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
            alone = {**environment(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}

            def play(*more: str) -> tuple[float, str]:
                before = _processor_time()
                done = subprocess.run(
                    [*command, *more], cwd=folder, env=alone, capture_output=True, text=True
                )
                return _processor_time() - before, done.stdout + done.stderr

            def measure() -> float:
                (used, report), (start, _) = play(), play("--collect-only")
                found = re.search(rf"^{TESTS} passed.* in ([\d.]+)s", report, re.M)
                if found is None:
                    raise RuntimeError(report[-1000:])
                return (used - start if what == CPU else float(found[1])) / TESTS

            yield measure

    return contestant


def _processor_time() -> float:
    """Returns that of all processes that were waited for, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(what: str, *goals: Goal) -> Row:
    """What a test takes, by plugin: ours with SMTP alone, as the others, and with all servers."""
    options = ("-p", "fakes.pytest_plugin")
    python = Path(sys.executable)
    contestants = {
        OURS: passing(what, _ALONE + _OURS, *options, python=python),
        "ours, all": passing(what, _OURS, *options, python=python),
        "smtpdfix": passing(what, _SMTPDFIX, "-p", "smtpdfix.fixture"),
        "localserver": passing(what, _LOCALSERVER, "-p", "pytest_localserver.plugin"),
        "aiosmtpd": passing(what, _AIOSMTPD),
    }
    name = f"fixtures: a test that sends a mail, one of {TESTS}: {what}"
    return Row(name, contestants, goals, "ms", 1e3, rounds=3)


ROWS = [
    row(CPU, Goal("smtpdfix", 1), Goal("aiosmtpd", 1)),
    row("wall clock", Goal("smtpdfix", 1), Goal("aiosmtpd", 1)),
]

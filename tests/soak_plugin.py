"""`make soak`, a part of it: somebody's 500 tests with the pytest plugin, on four processes.

    python -m tests.soak_plugin         # ten runs
    RUNS=100 python -m tests.soak_plugin

Writes a folder with tests of ten kinds: worlds of their own and a shared one, sync and async, each
server, faults, an outage. They run by pytest-xdist, with pytest-asyncio. Each run must pass all of
them; one that does not is a flake, and its report is shown.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench_measure import ROOT

FILES = 50  # of ten tests each
WORKERS = 4
PATIENCE = 600.0  # seconds for one run

TESTS = """
import imaplib
import poplib
import smtplib

import aiosmtplib
import pytest

NUMBER = {number}
MAIL = f"Subject: Order {{NUMBER}}\\r\\n\\r\\nThanks!\\r\\n"


def send(server, to="bob@example.test"):
    with smtplib.SMTP(*server, local_hostname="shop.example") as client:
        client.sendmail("shop@example.org", [to], MAIL)


def test_a_mail(world, smtp_server):
    send(smtp_server)
    assert world.mail.wait_for(subject=f"Order {{NUMBER}}").text == "Thanks!\\n"


def test_no_mail(world):
    world.mail.assert_none()


def test_a_shared_server(session_world, smtp_server, inbox):
    send(smtp_server, inbox.address)
    assert inbox.wait_for().envelope.to == [inbox.address]


@pytest.mark.world(faults=['RCPT nth 1 reply "451 4.3.0 later"'])
def test_a_fault(world, smtp_server):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(smtp_server)
    send(smtp_server)
    world.mail.wait_for()


def test_an_outage(world):
    world.close_port("smtp")
    with pytest.raises(ConnectionRefusedError):
        send(world.address("smtp"))
    world.open_port("smtp")
    send(world.address("smtp"))


async def test_async(world):
    host, port = world.address("smtp")
    await aiosmtplib.send(
        MAIL, sender="shop@example.org", recipients=["bob@example.test"],
        hostname=host, port=port, start_tls=False,
    )
    assert (await world.mail.arrival()).subject == f"Order {{NUMBER}}"


def test_pop3(world, pop3_server):
    world.mail.deliver("alice@example.test", MAIL.encode())
    client = poplib.POP3(*pop3_server)
    client.user("alice@example.test")
    client.pass_("secret")
    assert client.stat()[0] == 1
    client.quit()


def test_imap(world, imap_server):
    world.mail.deliver("alice@example.test", MAIL.encode())
    with imaplib.IMAP4(*imap_server) as client:
        client.login("alice@example.test", "secret")
        assert client.select() == ("OK", [b"1"])


def test_jabber(world, xmpp_server):
    alice = world.jabber.actor("alice@example.test")
    alice.comes()
    world.jabber.actor("bob@example.test").says("alice@example.test", f"hello {{NUMBER}}")
    assert f"hello {{NUMBER}}" in str(alice.wait_for(lambda one: one.kind == "message").content)


def test_several_worlds(world, world_factory):
    other = world_factory({{"tls": "off"}})
    send(other.address("smtp"))
    other.mail.wait_for()
    world.mail.assert_none()
"""


def write(folder: Path, files: int) -> int:
    """Writes the tests and returns how many there are."""
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    for number in range(files):
        (folder / f"test_{number}.py").write_text(TESTS.format(number=number))
    return files * len(re.findall(r"^(?:async )?def test_", TESTS, re.M))


def run(folder: Path, workers: int) -> tuple[int, str]:
    """Runs the tests and returns how many have passed, and the report."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "fakes.pytest_plugin", "-n", str(workers), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    passed = re.search(r"^(\d+) passed in", done.stdout, re.M)
    return int(passed[1]) if passed and not done.returncode else 0, done.stdout + done.stderr


def main() -> None:
    """Prints a line for each run. A run that does not pass ends it with the report."""
    runs = int(os.environ.get("RUNS") or 10)
    with TemporaryDirectory(prefix="soak-") as place:
        count = write(Path(place), FILES)
        for number in range(1, runs + 1):
            began = time.monotonic()
            passed, report = run(Path(place), WORKERS)
            print(f"run {number}: {passed} of {count} passed, {time.monotonic() - began:.1f} s")
            sys.stdout.flush()
            if passed != count:
                raise SystemExit(report)


if __name__ == "__main__":
    main()

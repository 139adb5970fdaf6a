# apt-get install: postfix dovecot-core
# apt-get install: swaks libnet-ssleay-perl libdigest-hmac-perl msmtp curl procps
"""Sending mail: our programs with a real Postfix, and clients written by others with our fake.

Postfix needs root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from comms import smtp
from comms.clock import RealClock
from comms.errors import CommsError, Refused
from comms.host import RealHost
from comms.settings import Server
from fakes.mail import Mail
from fakes.world import World
from tests.real import dovecot_auth, need, postfix

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
AUTH = ("plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256")
TOWN = {"servers": ["smtp"], "person": [{"address": address} for address in ADMINS]}
DATA = b"From: ops@yourco.test\r\nSubject: hello\r\n\r\n.dot\r\n..two\r\nhi\r\n"


# ── the alert, with a real Postfix and a real process that is killed ─────────


class Monitor:
    """Runs apache-alert --live in a process. It watches another process, of a unique name."""

    def __init__(
        self, folder: Path, port: int, ca_file: Path, admins: tuple[str, ...] = ADMINS
    ) -> None:
        self.folder = folder
        self.name = f"apache-{os.getpid()}"
        shutil.copy(need("sleep", "coreutils"), folder / self.name)
        self.apache = subprocess.Popen([str(folder / self.name), "600"])
        (folder / "site.toml").write_text(
            f'[smtp]\nhost = "localhost"\nport = {port}\nca_file = "{ca_file}"\n'
            "timeout = 10\n"
            f"[scenario.apache-alert]\nadmins = {list(admins)}\n"
            f'processes = ["{self.name}"]\nevery = 0.1\n'
        )
        # The monitor ignores its own children, so the process that it watches is a child of ours.
        site = str(folder / "site.toml")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scenarios", "run", "apache-alert", "--live", site],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill_apache(self) -> None:
        """Kills the process that the monitor watches."""
        self.apache.kill()
        self.apache.wait()

    def log_until(self, words: str) -> str:
        """Reads the log up to the line that contains these words, and returns what it read."""
        assert self.process.stderr is not None
        read = ""
        for line in self.process.stderr:
            read += line
            if words in line:
                return read
        raise AssertionError(f"the monitor ended without saying {words!r}: {read}")

    def end(self) -> int:
        """Sends SIGTERM to the monitor, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=60)
        with contextlib.suppress(ProcessLookupError):
            self.apache.kill()
        self.apache.wait()
        return self.process.returncode


@contextlib.contextmanager
def monitoring(monitor: Monitor) -> Iterator[Monitor]:
    try:
        yield monitor
    finally:
        monitor.process.kill()
        monitor.process.communicate()
        monitor.apache.kill()
        monitor.apache.wait()


def is_down(mail: Mail) -> bool:
    return "Apache is down on" in mail.subject


def test_both_administrators_are_alerted_through_postfix(tmp_path: Path) -> None:
    with World(TOWN) as world, postfix(ADMINS, world.address("smtp")[1]) as (server, authority, _):
        with monitoring(Monitor(tmp_path, server.port, authority.ca_file)) as monitor:
            monitor.kill_apache()
            assert "alert-sent to=jeremy" in monitor.log_until("alert-sent to=michael")
            alert = world.mail.wait_for(is_down, timeout=30)
            assert set(alert.envelope.to) == set(ADMINS)
            assert monitor.end() == 1
        assert [len(world.mail.inbox(address)) for address in ADMINS] == [1, 1]


def test_recipient_that_postfix_refuses_is_reported_and_the_other_gets_the_alert(
    tmp_path: Path,
) -> None:
    known = ADMINS[:1]
    with World(TOWN) as world, postfix(known, world.address("smtp")[1]) as (server, authority, _):
        with monitoring(Monitor(tmp_path, server.port, authority.ca_file)) as monitor:
            monitor.kill_apache()
            log = monitor.log_until("alert-refused to=michael@yourco.test")
            assert "alert-sent to=jeremy@yourco.test" in log and "550 5.1.1" in log
            world.mail.wait_for(is_down, timeout=30)
            assert monitor.end() == 1


def test_alert_that_waits_for_postfix_keeps_the_time_at_which_it_arose(tmp_path: Path) -> None:
    with World(TOWN) as world, postfix(ADMINS, world.address("smtp")[1]) as (server, authority, _):
        with monitoring(Monitor(tmp_path, server.port, authority.ca_file)) as monitor:
            stop = [need("postfix", "postfix"), "-c", str(authority.folder / "etc"), "stop"]
            subprocess.run(stop, capture_output=True, check=True)
            server.stop()
            monitor.kill_apache()
            first_try = monitor.log_until("alert-waiting to=michael")
            server.start()
            second_try = monitor.log_until("alert-sent to=michael")  # after half a minute
            mail = world.mail.wait_for(is_down, timeout=30)
            assert "cannot be reached" in first_try
            date = parsedate_to_datetime(mail.message["date"])
            waiting, sent = (
                logged_at(first_try, "alert-waiting"),
                logged_at(second_try, "alert-sent"),
            )
            assert abs((date - waiting).total_seconds()) < 5 < (sent - date).total_seconds()
            assert monitor.end() == 1


def logged_at(log: str, event: str) -> datetime:
    """Returns the time of the last line about this event."""
    lines = [line for line in log.splitlines() if event in line]
    return datetime.fromisoformat(lines[-1].split()[0])


# ── our client with Postfix ──────────────────────────────────────────────────


def test_client_logs_in_to_postfix_by_each_mechanism() -> None:
    host = RealHost()
    user, password = "ops@yourco.test", "pass word"
    with (
        World(TOWN) as world,
        postfix(ADMINS, world.address("smtp")[1], sasl=True) as (server, authority, place),
    ):
        with dovecot_auth(place / "queue" / "private" / "auth", {user: password}):
            for auth in (*AUTH, "auto"):
                settings = Server(
                    "smtp",
                    "localhost",
                    server.port,
                    "starttls",
                    authority.ca_file,
                    user,
                    password,
                    auth,
                )
                clock = RealClock()
                with smtp.Session(settings, clock, host) as session:
                    assert session.send("ops@yourco.test", ADMINS, DATA) == dict.fromkeys(ADMINS)
                with pytest.raises(CommsError) as caught:
                    wrong = Server(**{**vars(settings), "password": "wrong"})
                    smtp.Session(wrong, clock, host)
                assert isinstance(caught.value, Refused) and "535" in str(caught.value)
                clock.close()
        mails = world.mail.wait_for_n(len(AUTH) + 1, timeout=30)
        for mail in mails:
            assert mail.raw.endswith(b"\r\n\r\n.dot\r\n..two\r\nhi\r\n"), "dots are kept"


def test_client_tells_a_refused_recipient_from_a_refused_message() -> None:
    with World(TOWN) as world, postfix(ADMINS, world.address("smtp")[1]) as (server, authority, _):
        clock = RealClock()
        settings = Server("smtp", "localhost", server.port, "starttls", authority.ca_file)
        with smtp.Session(settings, clock, RealHost()) as session:
            results = session.send("ops@yourco.test", [ADMINS[0], "nobody@yourco.test"], DATA)
            assert results[ADMINS[0]] is None
            assert isinstance(results["nobody@yourco.test"], Refused)
            results = session.send("ops@yourco.test", ADMINS, DATA)
            assert results == dict.fromkeys(ADMINS), "the session goes on"
        with pytest.raises(Refused, match="certificate is not trusted"):
            smtp.Session(Server("smtp", "localhost", server.port, "starttls"), clock, RealHost())
        clock.close()


# ── clients written by others, with our fake ─────────────────────────────────


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    mail = {"login": "required", "scram": True}
    config = {"servers": ["smtp"], "tls": "optional", "mail": mail}
    with World(config, ports={"smtp": 0, "smtps": 0}) as world:
        yield world


def run(*command: str, text: str = "") -> str:
    """Runs a command that must succeed, and returns its output."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_curl_sends_through_the_fake(town: World, tmp_path: Path, mechanism: str) -> None:
    (tmp_path / "mail").write_bytes(DATA)
    options = ["--silent", "--show-error", "--ssl-reqd", "--cacert", str(town.ca_file)]
    envelope = ["--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test"]
    for listener in ("smtp", "smtps"):  # curl's names for the schemes are the same
        port = town.address(listener)[1]
        run(
            need("curl", "curl"),
            *options,
            f"{listener}://localhost:{port}/client.example;AUTH={mechanism}",
            "--user",
            "alice:secret",
            *envelope,
            "--upload-file",
            str(tmp_path / "mail"),
        )
    mails = town.mail.wait_for_n(2)
    for mail in mails:
        assert mail.raw == DATA
        assert mail.envelope.tls
        assert mail.envelope.login == "alice@example.test"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("pipelined", [(), ("--pipeline",)], ids=["in turn", "pipelined"])
def test_swaks_sends_through_the_fake(
    town: World, mechanism: str, pipelined: tuple[str, ...]
) -> None:
    port = town.address("smtp")[1]
    server = ["--server", "127.0.0.1", "--port", str(port), "--tls", "--ehlo", "client.example"]
    login = ["--auth", mechanism, "--auth-user", "alice", "--auth-password", "secret"]
    envelope = ["--from", "alice@example.test", "--to", "bob@example.test,ops@example.test"]
    content = ["--header", "Subject: by swaks", "--body", ".one\n..two\n"]
    output = run(need("swaks", "swaks"), *server, *login, *envelope, *content, *pipelined)
    assert "=== TLS started" in output
    assert "250 2.0.0 Queued as" in output
    mail = town.mail.wait_for(lambda mail: mail.subject == "by swaks")
    assert mail.envelope.to == ["bob@example.test", "ops@example.test"]
    assert ".one\r\n..two\r\n" in mail.raw.decode()


@pytest.mark.parametrize("mechanism", AUTH)
def test_msmtp_sends_through_the_fake(town: World, mechanism: str) -> None:
    login = [f"--auth={mechanism}", "--user=alice", "--passwordeval=printf secret"]
    envelope = ["--from=alice@example.test", "--dsn-notify=failure", "--dsn-return=headers"]
    for listener, starttls in (("smtp", "on"), ("smtps", "off")):
        run(
            need("msmtp", "msmtp"),
            "--file=/dev/null",
            "--host=localhost",
            f"--port={town.address(listener)[1]}",
            "--tls=on",
            f"--tls-starttls={starttls}",
            f"--tls-trust-file={town.ca_file}",
            *login,
            *envelope,
            "bob@example.test",
            text="Subject: by msmtp\n\n.dot\n",
        )
    for mail in town.mail.wait_for_n(2):
        assert mail.subject == "by msmtp"
        assert mail.raw.endswith(b"\r\n\r\n.dot\r\n")
        assert mail.envelope.params.get("RET") == "HDRS"
        assert mail.envelope.recipients[0].params.get("NOTIFY") == "FAILURE"

# apt-get install: postfix dovecot-core swaks libnet-ssleay-perl libdigest-hmac-perl msmtp curl procps
"""Sending, on servers and by clients that nobody here wrote. Root is needed for Postfix."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
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
TOWN = {"servers": ["smtp"], "person": [{"address": one} for one in ADMINS]}
DATA = b"From: ops@yourco.test\r\nSubject: hello\r\n\r\n.dot\r\n..two\r\nhi\r\n"


# ── the alert on a real Postfix, with a real process that is really killed ───────────────────────────────────────


class Monitor:
    """apache-alert --live in a process of its own, watching a real process with a name that only it has."""

    def __init__(self, folder: Path, port: int, ca_file: Path, admins: tuple[str, ...] = ADMINS) -> None:
        self.folder = folder
        self.name = f"apache-{os.getpid()}"
        shutil.copy(need("sleep", "coreutils"), folder / self.name)
        self.apache = subprocess.Popen([str(folder / self.name), "600"])
        (folder / "site.toml").write_text(
            f'[smtp]\nhost = "localhost"\nport = {port}\nca_file = "{ca_file}"\ntimeout = 10\n'
            f'[scenario.apache-alert]\nadmins = {list(admins)}\nprocesses = ["{self.name}"]\nevery = 0.1\n'
        )
        # started from elsewhere in the family tree: a monitor does not see its own children, and this one is ours
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scenarios", "run", "apache-alert", "--live", str(folder / "site.toml")],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill_apache(self) -> None:
        self.apache.kill()
        self.apache.wait()

    def log_until(self, words: str) -> str:
        """Reads the log up to the line with these words."""
        assert self.process.stderr is not None
        read = ""
        for line in self.process.stderr:
            read += line
            if words in line:
                return read
        raise AssertionError(f"the monitor ended without saying {words!r}: {read}")

    def end(self) -> int:
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


def test_apache_is_killed_and_both_administrators_hear_by_postfix(tmp_path: Path) -> None:
    with World(TOWN) as world, postfix(ADMINS, world.address("smtp")[1]) as (server, authority, _):
        with monitoring(Monitor(tmp_path, server.port, authority.ca_file)) as monitor:
            monitor.kill_apache()
            assert "alert-sent to=jeremy" in monitor.log_until("alert-sent to=michael")
            world.mail.wait_for(lambda mail: is_down(mail) and set(mail.envelope.to) == set(ADMINS), timeout=30)
            assert monitor.end() == 1
        assert [len(world.mail.inbox(one)) for one in ADMINS] == [1, 1]


def test_one_recipient_that_postfix_refuses_is_reported_while_the_other_is_served(tmp_path: Path) -> None:
    with World(TOWN) as world, postfix(ADMINS[:1], world.address("smtp")[1]) as (server, authority, _):
        with monitoring(Monitor(tmp_path, server.port, authority.ca_file)) as monitor:
            monitor.kill_apache()
            log = monitor.log_until("alert-refused to=michael@yourco.test")
            assert "alert-sent to=jeremy@yourco.test" in log and "550 5.1.1" in log
            world.mail.wait_for(is_down, timeout=30)
            assert monitor.end() == 1


def test_postfix_stopped_in_the_middle_delays_the_alert_and_keeps_its_time(tmp_path: Path) -> None:
    with World(TOWN) as world, postfix(ADMINS, world.address("smtp")[1]) as (server, authority, _):
        with monitoring(Monitor(tmp_path, server.port, authority.ca_file)) as monitor:
            subprocess.run(
                [need("postfix", "postfix"), "-c", str(authority.folder / "etc"), "stop"], capture_output=True, check=True
            )
            server.stop()
            monitor.kill_apache()
            first = monitor.log_until("alert-waiting to=michael")
            server.start()
            later = monitor.log_until("alert-sent to=michael")  # the second try, half a minute on
            mail = world.mail.wait_for(is_down, timeout=30)
            assert "cannot be reached" in first
            stamp = parsedate_to_datetime(mail.message["date"])
            tried = [line.split()[0] for line in (first + later).splitlines() if "alert-" in line]
            assert abs(stamp.timestamp() - parsed(tried[0])) < 5 < parsed(tried[-1]) - stamp.timestamp()
            assert monitor.end() == 1


def parsed(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()


# ── our client on Postfix, by each mechanism that Dovecot offers it ──────────────────────────────────────────────


def test_our_client_logs_in_on_postfix_by_each_mechanism() -> None:
    host = RealHost()
    with World(TOWN) as world, postfix(ADMINS, world.address("smtp")[1], sasl=True) as (server, authority, place):
        users = {"ops@yourco.test": "pass word"}
        with dovecot_auth(place / "queue" / "private" / "auth", users):
            for auth in ("plain", "login", "cram-md5", "auto"):
                settings = Server(
                    "smtp", "localhost", server.port, "starttls", authority.ca_file, "ops@yourco.test", "pass word", auth
                )
                clock = RealClock()
                with smtp.Session(settings, clock, host) as session:
                    assert session.send("ops@yourco.test", ADMINS, DATA) == dict.fromkeys(ADMINS)
                with pytest.raises(CommsError) as caught:
                    wrong = Server(**{**vars(settings), "password": "wrong"})
                    smtp.Session(wrong, clock, host)
                assert isinstance(caught.value, Refused) and "535" in str(caught.value)
                clock.close()
        mails = world.mail.wait_for_n(4, timeout=30)
        for mail in mails:
            assert mail.raw.endswith(b"\r\n\r\n.dot\r\n..two\r\nhi\r\n"), "dots and all, through a server in between"


def test_what_postfix_refuses_is_told_apart() -> None:
    with World(TOWN) as world, postfix(ADMINS, world.address("smtp")[1]) as (server, authority, _):
        clock = RealClock()
        settings = Server("smtp", "localhost", server.port, "starttls", authority.ca_file)
        with smtp.Session(settings, clock, RealHost()) as session:
            results = session.send("ops@yourco.test", [ADMINS[0], "nobody@yourco.test"], DATA)
            assert results[ADMINS[0]] is None and isinstance(results["nobody@yourco.test"], Refused)
            assert session.send("ops@yourco.test", ADMINS, DATA) == dict.fromkeys(ADMINS), "and the session goes on"
        with pytest.raises(Refused, match="certificate is not trusted"):
            smtp.Session(Server("smtp", "localhost", server.port, "starttls"), clock, RealHost())
        clock.close()


# ── clients that nobody here wrote, on our fake ──────────────────────────────────────────────────────────────────


@pytest.fixture
def town(tmp_path: Path) -> Iterator[World]:
    with World(
        {"servers": ["smtp"], "tls": "optional", "mail": {"login": "required"}}, ports={"smtp": 0, "smtps": 0}
    ) as world:
        yield world


def run(*command: str, text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_curl_sends_through_our_fake(town: World, tmp_path: Path, mechanism: str) -> None:
    (tmp_path / "mail").write_bytes(DATA)
    for listener, scheme in (("smtp", "smtp"), ("smtps", "smtps")):
        run(
            need("curl", "curl"), "--silent", "--show-error", "--ssl-reqd", "--cacert", str(town.ca_file),
            f"{scheme}://localhost:{town.address(listener)[1]}/client.example;AUTH={mechanism}", "--user", "alice:secret",
            "--mail-from", "alice@example.test", "--mail-rcpt", "bob@example.test", "--upload-file", str(tmp_path / "mail"),
        )  # fmt: skip
    mails = town.mail.wait_for_n(2)
    for mail in mails:
        assert mail.raw == DATA and mail.envelope.tls and mail.envelope.login == "alice@example.test"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("pipelined", [(), ("--pipeline",)], ids=["in turn", "pipelined"])
def test_swaks_sends_through_our_fake(town: World, mechanism: str, pipelined: tuple[str, ...]) -> None:
    said = run(
        need("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(town.address("smtp")[1]), "--tls", "--ehlo", "client.example",
        "--auth", mechanism, "--auth-user", "alice", "--auth-password", "secret", "--from", "alice@example.test",
        "--to", "bob@example.test,ops@example.test", "--header", "Subject: by swaks", "--body", ".one\n..two\n", *pipelined,
    )  # fmt: skip
    assert "=== TLS started" in said and "250 2.0.0 Queued as" in said
    mail = town.mail.wait_for(lambda mail: mail.subject == "by swaks")
    assert mail.envelope.to == ["bob@example.test", "ops@example.test"] and ".one\r\n..two\r\n" in mail.raw.decode()


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5"])
def test_msmtp_sends_through_our_fake(town: World, tmp_path: Path, mechanism: str) -> None:
    for listener, starttls in (("smtp", "on"), ("smtps", "off")):
        run(
            need("msmtp", "msmtp"), "--file=/dev/null", "--host=localhost", f"--port={town.address(listener)[1]}", "--tls=on",
            f"--tls-starttls={starttls}", f"--tls-trust-file={town.ca_file}", f"--auth={mechanism}", "--user=alice",
            "--passwordeval=printf secret", "--from=alice@example.test", "--dsn-notify=failure", "--dsn-return=headers",
            "bob@example.test", text="Subject: by msmtp\n\n.dot\n",
        )  # fmt: skip
    for mail in town.mail.wait_for_n(2):
        assert mail.subject == "by msmtp" and mail.raw.endswith(b"\r\n\r\n.dot\r\n")
        assert mail.envelope.params.get("RET") == "HDRS" and mail.envelope.recipients[0].params.get("NOTIFY") == "FAILURE"

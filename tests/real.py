"""Real servers for `make test-real`: private instances on loopback, high ports, temporary folders, ended by pid.

A missing package fails the test by name, with the line that installs it. Nothing is skipped.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


def need(command: str, package: str) -> str:
    """The path of a program, /usr/sbin and friends included. Fails naming Debian's package."""
    found = shutil.which(
        command, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/lib/postfix/sbin"
    )
    if found is None:
        pytest.fail(f"{command} is not installed; run: apt-get install {package}", pytrace=False)
    return found


def need_root(why: str) -> None:
    """Fails when this does not run as root."""
    if os.geteuid() != 0:
        pytest.fail(f"{why} needs root; run: sudo make test-real", pytrace=False)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[str] | None = None, seconds: float = 20.0) -> None:
    """Returns when something listens there; fails when it does not come, with what the process said."""
    poller = select.poll()  # with nothing registered: waits, and wakes for nothing
    for _ in range(int(seconds / 0.05)):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process is not None and process.poll() is not None:
            out = process.communicate()[0]
            pytest.fail(f"{process.args!r} ended with {process.returncode} before it listened: {out}", pytrace=False)
        poller.poll(50)
    pytest.fail(f"nothing listens on port {port} after {seconds:g} s", pytrace=False)


@contextlib.contextmanager
def folder(owner: str = "root") -> Iterator[Path]:
    """A temporary folder whose path others may walk, owned by a user."""
    # On the disk: /dev/shm, where other temporary folders are, may forbid to execute what is in it.
    path = Path(tempfile.mkdtemp(prefix="real-", dir="/tmp"))
    path.chmod(0o755)
    if owner != "root":
        account = pwd.getpwnam(owner)
        os.chown(path, account.pw_uid, account.pw_gid)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@dataclass
class Authority:
    """Certificates for the real servers, by trustme."""

    folder: Path

    def __post_init__(self) -> None:
        import trustme

        ca = trustme.CA()
        server = ca.issue_cert("localhost", "127.0.0.1")
        ca.cert_pem.write_to_path(str(self.ca_file))
        server.private_key_pem.write_to_path(str(self.key_file))
        for blob in server.cert_chain_pems:
            blob.write_to_path(str(self.cert_file), append=True)
        for path in (self.ca_file, self.cert_file, self.key_file):
            path.chmod(0o644)

    @property
    def ca_file(self) -> Path:
        """What a client trusts."""
        return self.folder / "ca.pem"

    @property
    def cert_file(self) -> Path:
        """The server's chain."""
        return self.folder / "cert.pem"

    @property
    def key_file(self) -> Path:
        """The server's key."""
        return self.folder / "key.pem"


class Server:
    """A server process in the foreground; `start` and `stop` as often as a test likes."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.command = list(command)
        self.port = port
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        wait_for_port(self.port, self.process)

    def stop(self) -> None:
        """Ends it, and waits for its end."""
        if self.process is not None:
            end(self.process)
            self.process = None


def end(process: subprocess.Popen[str], seconds: float = 3.0) -> None:
    """Ends a process that leads a session of its own, and what it left in there."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}/log
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.yourco.test
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
mynetworks = 127.0.0.0/8
relay_domains = {domains}
relay_recipient_maps = inline:{{ {recipients} }}
transport_maps = inline:{{ {transports} }}
smtp_tls_security_level = none
smtp_bind_address = 127.0.0.1
smtp_host_lookup = native
disable_dns_lookups = yes
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = {sasl}
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = reject_unlisted_recipient, permit_mynetworks, reject
maximal_queue_lifetime = 1h
"""
POSTFIX_MASTER = """
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def postfix(
    recipients: Sequence[str], deliver_to: int, sasl: bool = False, by: str = "relay:[127.0.0.1]:"
) -> Iterator[tuple[Server, Authority, Path]]:
    """A Postfix that takes mail for these recipients only, and hands it on by SMTP (or `by` LMTP) to a port of loopback.

    Gives the server, its authority, and its folder (`queue/private` is where an authentication server's socket goes).
    """
    need("postfix", "postfix")
    need_root("Postfix")
    with folder() as place:
        for name in ("queue", "data", "log", "etc"):
            (place / name).mkdir()
        shutil.chown(place / "data", "postfix")
        authority = Authority(place)
        port = free_port()
        domains = sorted({one.rpartition("@")[2] for one in recipients})
        (place / "etc" / "main.cf").write_text(
            POSTFIX_MAIN.format(
                folder=place, cert=authority.cert_file, key=authority.key_file, domains=", ".join(domains),
                recipients=", ".join(f"{{{one} = x}}" for one in recipients), sasl="yes" if sasl else "no",
                transports=", ".join(f"{{{one} = {by}{deliver_to}}}" for one in domains),
            )
        )  # fmt: skip
        (place / "etc" / "master.cf").write_text(POSTFIX_MASTER.format(port=f"127.0.0.1:{port}"))
        server = Server([need("postfix", "postfix"), "-c", str(place / "etc"), "start-fg"], port)
        server.start()
        try:
            yield server, authority, place
        finally:
            subprocess.run([need("postfix", "postfix"), "-c", str(place / "etc"), "stop"], capture_output=True, check=False)
            server.stop()
            if os.environ.get("SHOW_LOGS"):
                print((place / "log" / "mail.log").read_text())


DOVECOT_AUTH = """
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols =
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
auth_mechanisms = plain login cram-md5
disable_plaintext_auth = no
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/passwd
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener {socket} {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


@contextlib.contextmanager
def dovecot_auth(socket_path: Path, users: dict[str, str]) -> Iterator[None]:
    """Dovecot as an authentication server for Postfix: users with their passwords, by PLAIN, LOGIN and CRAM-MD5."""
    dovecot = need("dovecot", "dovecot-core")
    with folder() as place:
        (place / "run").mkdir()
        (place / "passwd").write_text("".join(f"{user}:{{PLAIN}}{password}\n" for user, password in users.items()))
        (place / "dovecot.conf").write_text(DOVECOT_AUTH.format(folder=place, socket=socket_path))
        process = subprocess.Popen(
            [dovecot, "-F", "-c", str(place / "dovecot.conf")],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        poller = select.poll()
        try:
            for _ in range(400):
                if socket_path.exists():
                    break
                if process.poll() is not None:
                    pytest.fail(f"dovecot ended: {process.communicate()[0]}", pytrace=False)
                poller.poll(50)
            else:
                pytest.fail(f"dovecot made no socket: {(place / 'dovecot.log').read_text()}", pytrace=False)
            yield
        finally:
            end(process)


DOVECOT_MAIL = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 1
auth_mechanisms = plain login cram-md5 apop
disable_plaintext_auth = no
auth_failure_delay = 0
postmaster_address = postmaster@yourco.test
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""


@dataclass
class Mailboxes:
    """A Dovecot with maildrops: where it talks POP3 (STLS, and TLS from the first octet) and LMTP."""

    pop3: int
    pop3s: int
    lmtp: int
    place: Path


@contextlib.contextmanager
def dovecot_mail(users: dict[str, str], authority: Authority, aliases: dict[str, str] | None = None) -> Iterator[Mailboxes]:
    """Dovecot as a mailbox server: users with their passwords, and further names of theirs. The mail is nobody's."""
    dovecot = need("dovecot", "dovecot-core dovecot-pop3d dovecot-lmtpd")
    need_root("Dovecot")
    if not Path("/usr/lib/dovecot/lmtp").exists() or not Path("/usr/lib/dovecot/pop3").exists():
        pytest.fail(
            "Dovecot's POP3 and LMTP are not installed; run: apt-get install dovecot-pop3d dovecot-lmtpd", pytrace=False
        )
    with folder("nobody") as place:
        nobody = pwd.getpwnam("nobody")
        (place / "run").mkdir()
        boxes = {**{user: user for user in users}, **(aliases or {})}
        (place / "users").write_text("".join(
            f"{name}:{{PLAIN}}{users[user]}:{nobody.pw_uid}:{nobody.pw_gid}::{place}::userdb_mail=maildir:{place}/{user}\n"
            for name, user in boxes.items()
        ))  # fmt: skip
        found = Mailboxes(free_port(), free_port(), free_port(), place)
        (place / "dovecot.conf").write_text(DOVECOT_MAIL.format(
            folder=place, cert=authority.cert_file, key=authority.key_file, pop3=found.pop3, pop3s=found.pop3s, lmtp=found.lmtp
        ))  # fmt: skip
        server = Server([dovecot, "-F", "-c", str(place / "dovecot.conf")], found.pop3)
        server.start()
        try:
            wait_for_port(found.lmtp)
            yield found
        finally:
            server.stop()
            if os.environ.get("SHOW_LOGS"):
                print((place / "dovecot.log").read_text())


RESTART = """#!/bin/sh
# restarts the mariadbd of this folder: what a unit's `systemctl restart` would do
set -e
echo restarted >> {folder}/restarts
{admin} --no-defaults --socket={folder}/socket --user=root shutdown
exec {folder}/start
"""
START = """#!/bin/sh
setsid {daemon} --no-defaults --user=mysql --datadir={folder}/data --socket={folder}/socket --pid-file={folder}/pid \\
    --skip-networking --log-error={folder}/error.log >/dev/null 2>&1 </dev/null &
exec {admin} --no-defaults --socket={folder}/socket --user=root --wait=30 --connect-timeout=30 ping
"""


@dataclass
class MariaDb:
    """A real mariadbd, run by the user mysql. `restart` is the command that restarts it."""

    place: Path

    @property
    def restart(self) -> list[str]:
        """A command line."""
        return [str(self.place / "restart")]

    @property
    def restarts(self) -> int:
        """How often it was run."""
        path = self.place / "restarts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    @property
    def pid(self) -> int:
        """The server's."""
        return int((self.place / "pid").read_text())

    def ask(self, sql: str) -> str:
        """What it answers."""
        command = [
            need("mariadb", "mariadb-client"),
            "--no-defaults",
            f"--socket={self.place}/socket",
            "--user=root",
            "-N",
            "-e",
            sql,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@contextlib.contextmanager
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB of its own in a temporary folder, started and answering."""
    daemon, admin = need("mariadbd", "mariadb-server"), need("mariadb-admin", "mariadb-client")
    install = need("mariadb-install-db", "mariadb-server")
    need_root("MariaDB, to run as its own user")
    with folder("mysql") as place:
        subprocess.run(
            [install, "--no-defaults", "--user=mysql", f"--datadir={place}/data", "--auth-root-authentication-method=normal",
             "--skip-test-db"], check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        for name, text in (("start", START), ("restart", RESTART)):
            (place / name).write_text(text.format(folder=place, daemon=daemon, admin=admin))
            (place / name).chmod(0o755)
        found = MariaDb(place)
        try:
            subprocess.run([str(place / "start")], check=True, capture_output=True, timeout=60)
            yield found
        finally:
            if (place / "pid").exists():
                pid = found.pid
                os.kill(pid, signal.SIGTERM)
                poller = select.poll()
                for _ in range(400):
                    if not Path(f"/proc/{pid}").exists():
                        break
                    poller.poll(50)

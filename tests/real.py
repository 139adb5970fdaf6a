"""Real servers for `make test-real`: private instances on loopback, on free ports, in new folders.

Each server is stopped by its process id, so that other instances on the machine are left alone. If
a package is missing, the test fails with the command that installs it. Nothing is skipped.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 15.0  # seconds that a test waits for a client


def need(command: str, package: str) -> str:
    """Returns the path of a program. Fails the test, naming the package, if it is not installed."""
    # Servers are in folders that an ordinary user's PATH lacks.
    places = [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"]
    found = shutil.which(command, path=":".join(places))
    if found is None:
        pytest.fail(f"{command} is not installed; run: apt-get install {package}", pytrace=False)
    return found


def need_npm(package: str) -> str:
    """Returns the folder of npm's global packages. Fails the test if the package is not in it."""
    root = Path(
        subprocess.check_output([need("npm", "npm"), "root", "--global"], text=True).strip()
    )
    if not (root / package).is_dir():
        pytest.fail(
            f"{package} is not installed; run: npm install --global {package}", pytrace=False
        )
    return str(root)


def need_root(why: str) -> None:
    """Fails the test if it does not run as root."""
    if os.geteuid() != 0:
        pytest.fail(f"{why} needs root; run: sudo make test-real", pytrace=False)


def free_port() -> int:
    """Returns a port of loopback on which nothing listens."""
    return free_ports(1)[0]


def _ports() -> Iterator[int]:
    """Yields ports, each again as late as possible.

    Until a server listens on its port, another program may get it. So these are not from the range
    from which Linux takes those of outgoing connections, and each process of pytest-xdist has its
    own, beginning at one that other runs of the tests are unlikely to have begun at.
    """
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
    first = 12_000 + worker % 4 * 5_000
    for number in itertools.count(os.getpid()):
        yield first + number % 5_000


_PORTS = _ports()


def free_ports(count: int) -> list[int]:
    """Returns that many such ports; asked for one by one, two could be the same."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


def wait_for_port(
    port: int, process: subprocess.Popen[str] | None = None, seconds: float = 20.0
) -> None:
    """Waits until something listens on the port. Otherwise fails, with the process's output."""
    poller = select.poll()  # nothing is registered, so poll() waits as long as it is told to
    for _ in range(int(seconds / 0.05)):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process is not None and process.poll() is not None:
            out = process.communicate()[0]
            pytest.fail(f"{process.args!r} ended with {process.returncode}: {out}", pytrace=False)
        poller.poll(50)
    pytest.fail(f"nothing listens on port {port} after {seconds:g} s", pytrace=False)


def wait_until(done: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Waits until `done` returns something true. Fails the test if that takes too long."""
    poller = select.poll()
    for _ in range(int(seconds / 0.05)):
        if done():
            return
        poller.poll(50)
    pytest.fail(f"{what}: not so after {seconds:g} s", pytrace=False)


def is_running(pid: int) -> bool:
    """Returns whether a process exists and has not ended."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())  # it is empty after the end
    except OSError:
        return False


@contextlib.contextmanager
def folder(owner: str = "root") -> Iterator[Path]:
    """Makes a temporary folder that belongs to this user and that other users may enter."""
    # On a disk, because servers may want what a file system in memory lacks. The path is short,
    # because the path of a Unix socket in it may have 107 bytes at most.
    path = Path(tempfile.mkdtemp(prefix="real-", dir="/tmp"))
    path.chmod(0o755)
    if owner != "root":
        account = pwd.getpwnam(owner)
        os.chown(path, account.pw_uid, account.pw_gid)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def getmail_destination(place: Path) -> str:
    """Returns a destination for getmail: a new program that puts each mail into a file in `box`.

    getmail delivers in another process, and misses its end, for a minute, if that comes before it
    has begun to wait. On a busy machine its own destinations are sometimes that quick; the program
    begins when its parent waits, or is gone.
    """
    (place / "box").mkdir()
    program = place / "deliver"
    program.write_text(
        "#!/bin/sh\n"
        "while grep -qsE '^State:.*(running|disk)' /proc/$PPID/status; do :; done\n"
        f"exec cat > {place}/box/$$\n"
    )
    program.chmod(0o755)
    return f"[destination]\ntype = MDA_external\npath = {program}\n"


@dataclass
class Authority:
    """A certificate authority in a folder, and a certificate for localhost that it has issued."""

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
        """The authority's certificate, which clients trust."""
        return self.folder / "ca.pem"

    @property
    def cert_file(self) -> Path:
        """The server's certificate chain."""
        return self.folder / "cert.pem"

    @property
    def key_file(self) -> Path:
        """The server's private key."""
        return self.folder / "key.pem"


class Server:
    """A server that runs in the foreground. A test may stop and start it as often as it likes."""

    def __init__(self, command: Sequence[str], port: int) -> None:
        self.command = list(command)
        self.port = port
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts the server and waits until it listens."""
        self.process = in_the_foreground(self.command)
        wait_for_port(self.port, self.process)

    def stop(self) -> None:
        """Ends the server and waits until it has ended."""
        if self.process is not None:
            end(self.process)
            self.process = None


def in_the_foreground(command: Sequence[str]) -> subprocess.Popen[str]:
    """Starts a server as the leader of a new session, which `end` ends as a whole.

    Its output goes to a file: a pipe that is full and not read would stop the server.
    """
    with tempfile.NamedTemporaryFile("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        process.stdout = os.fdopen(os.open(output.name, os.O_RDONLY))  # for communicate()
    return process


def end(process: subprocess.Popen[str], seconds: float = 3.0) -> None:
    """Ends a server and all processes of its session that it has left running."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Screen:
    """A program in a terminal of tmux."""

    def __init__(self, folder: Path, command: list[str], env: dict[str, str]) -> None:
        self._tmux = [need("tmux", "tmux"), "-S", str(folder / "tmux"), "-f", "/dev/null"]
        words = ["env", *(f"{name}={value}" for name, value in env.items()), *command]
        self._run("new-session", "-d", "-x", "160", "-y", "40", *words)
        # tmux copies what the program writes into this pipe, so that a test can wait for a change
        # of the screen instead of looking again and again.
        os.mkfifo(folder / "screen")
        self._changes = os.open(folder / "screen", os.O_RDWR)
        self._run("pipe-pane", "-o", f"cat > {folder / 'screen'}")

    def _run(self, *words: str) -> str:
        command = [*self._tmux, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout

    def presses(self, *keys: str) -> None:
        """Presses keys, by tmux's names for them, such as C-u."""
        self._run("send-keys", *keys)

    def types(self, line: str) -> None:
        """Types a line, and the Enter key."""
        self._run("send-keys", "-l", line)
        self._run("send-keys", "Enter")

    def shows(self, pattern: str) -> None:
        """Waits until the screen shows text that matches the pattern."""
        while not re.search(pattern, screen := self._run("capture-pane", "-p")):
            if not select.select([self._changes], [], [], PATIENCE)[0]:
                pytest.fail(f"the screen never showed {pattern!r}:\n{screen}")
            os.read(self._changes, 65536)

    def close(self) -> None:
        """Ends the program, if it has not ended by itself."""
        pid = self._run("display-message", "-p", "#{pane_pid}").strip()
        self._run("kill-server")
        # poezio survives the loss of its terminal, and then keeps a processor busy for ever.
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.killpg(int(pid), signal.SIGKILL)
        os.close(self._changes)


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
recipient_delimiter = +
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
    """Runs a Postfix that accepts mail for these recipients only.

    It delivers by SMTP to the port `deliver_to` of loopback, or as `by` says. Yields the server,
    its authority, and its folder. With `sasl`, it asks the authentication server whose socket is
    `queue/private/auth` in that folder.
    """
    need("postfix", "postfix")
    need_root("Postfix")
    with folder() as place:
        for name in ("queue", "data", "log", "etc"):
            (place / name).mkdir()
        shutil.chown(place / "data", "postfix")
        authority = Authority(place)
        port = free_port()
        domains = sorted({address.rpartition("@")[2] for address in recipients})
        (place / "etc" / "main.cf").write_text(
            POSTFIX_MAIN.format(
                folder=place,
                cert=authority.cert_file,
                key=authority.key_file,
                domains=", ".join(domains),
                recipients=", ".join(f"{{{address} = x}}" for address in recipients),
                sasl="yes" if sasl else "no",
                transports=", ".join(f"{{{domain} = {by}{deliver_to}}}" for domain in domains),
            )
        )
        (place / "etc" / "master.cf").write_text(POSTFIX_MASTER.format(port=f"127.0.0.1:{port}"))
        server = Server([need("postfix", "postfix"), "-c", str(place / "etc"), "start-fg"], port)
        server.start()
        try:
            yield server, authority, place
        finally:
            stop = [need("postfix", "postfix"), "-c", str(place / "etc"), "stop"]
            subprocess.run(stop, capture_output=True, check=False)
            server.stop()
            if os.environ.get("SHOW_LOGS"):
                print((place / "log" / "mail.log").read_text())


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Runs a PostgreSQL, and yields the URL of a database in it for SQLAlchemy."""
    need("psql", "postgresql")
    need_root("PostgreSQL")
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    with folder("postgres") as place:
        port = free_port()
        # It refuses to run as root.
        as_postgres = ["runuser", "-u", "postgres", "--"]
        make = [f"{binaries[-1]}/initdb", "-D", f"{place}/data", "-U", "shop", "-A", "trust", "-N"]
        subprocess.run([*as_postgres, *make], check=True, capture_output=True, cwd="/")
        start = [f"{binaries[-1]}/postgres", "-D", f"{place}/data", "-p", str(port), "-F"]
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        process = in_the_foreground([*as_postgres, *start, *options])
        try:
            wait_for_port(port, process)
            # It listens before it is ready, and a busy machine notices.
            ready = [f"{binaries[-1]}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL is ready")
            yield f"postgresql+psycopg://shop@127.0.0.1:{port}/postgres"
        finally:
            end(process)


DOVECOT_AUTH = """
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols =
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
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
    """Runs Dovecot as an authentication server for Postfix, with PLAIN, LOGIN, CRAM-MD5 and SCRAM.

    `users` maps names to passwords.
    """
    dovecot = need("dovecot", "dovecot-core")
    with folder() as place:
        (place / "run").mkdir()
        passwords = [f"{user}:{{PLAIN}}{password}\n" for user, password in users.items()]
        (place / "passwd").write_text("".join(passwords))
        (place / "dovecot.conf").write_text(DOVECOT_AUTH.format(folder=place, socket=socket_path))
        process = in_the_foreground([dovecot, "-F", "-c", str(place / "dovecot.conf")])

        def has_made_its_socket() -> bool:
            if process.poll() is not None:
                pytest.fail(f"dovecot ended: {process.communicate()[0]}", pytrace=False)
            return socket_path.exists()

        try:
            wait_until(has_made_its_socket, "Dovecot has made its socket")
            yield
        finally:
            end(process)


DOVECOT_MAIL = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap pop3 lmtp
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
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
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
    """The ports of a Dovecot that holds maildrops."""

    pop3: int  # with STLS
    pop3s: int  # with TLS from the first byte
    imap: int  # with STARTTLS
    imaps: int  # with TLS from the first byte
    lmtp: int  # where mail is delivered
    place: Path


@contextlib.contextmanager
def dovecot_mail(
    users: dict[str, str], authority: Authority, aliases: dict[str, str] | None = None
) -> Iterator[Mailboxes]:
    """Runs Dovecot as a mailbox server. The files belong to the system user `nobody`.

    `users` maps names to passwords, `aliases` further addresses to names.
    """
    dovecot = need("dovecot", "dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd")
    need_root("Dovecot")
    for service in ("imap", "pop3", "lmtp"):
        if not Path(f"/usr/lib/dovecot/{service}").exists():
            pytest.fail(
                f"Dovecot's {service} is not installed; run: apt-get install dovecot-{service}d",
                pytrace=False,
            )
    with folder("nobody") as place:
        nobody = pwd.getpwnam("nobody")
        (place / "run").mkdir()
        boxes = {**{user: user for user in users}, **(aliases or {})}
        lines = [
            f"{name}:{{PLAIN}}{users[user]}:{nobody.pw_uid}:{nobody.pw_gid}"
            f"::{place}::userdb_mail=maildir:{place}/{user}\n"
            for name, user in boxes.items()
        ]
        (place / "users").write_text("".join(lines))
        pop3, pop3s, imap, imaps, lmtp = free_ports(5)
        found = Mailboxes(pop3, pop3s, imap, imaps, lmtp, place)
        (place / "dovecot.conf").write_text(
            DOVECOT_MAIL.format(
                folder=place,
                cert=authority.cert_file,
                key=authority.key_file,
                pop3=found.pop3,
                pop3s=found.pop3s,
                imap=found.imap,
                imaps=found.imaps,
                lmtp=found.lmtp,
            )
        )
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
# Restarts the mariadbd of this folder, as `systemctl restart mariadb` would on a server.
set -e
echo restarted >> {folder}/restarts
{admin} --no-defaults --socket={folder}/socket --user=root shutdown
exec {folder}/start
"""
START = """#!/bin/sh
echo $$ >{folder}/start.pid
setsid {daemon} --no-defaults --user=mysql --datadir={folder}/data --tmpdir={folder} \\
    --socket={folder}/socket --pid-file={folder}/pid --skip-networking \\
    --log-error={folder}/error.log >/dev/null 2>&1 </dev/null &
exec {admin} --no-defaults --socket={folder}/socket --user=root --wait=30 --connect-timeout=30 ping
"""


@dataclass
class MariaDb:
    """A running mariadbd, which belongs to the system user `mysql`."""

    place: Path

    @property
    def restart(self) -> list[str]:
        """The command that restarts it."""
        return [str(self.place / "restart")]

    @property
    def restarts(self) -> int:
        """The number of times that `restart` has been run."""
        path = self.place / "restarts"
        return len(path.read_text().splitlines()) if path.exists() else 0

    @property
    def pid(self) -> int:
        """The server's process id."""
        return int((self.place / "pid").read_text())

    @property
    def starter(self) -> int:
        """The process id of the program that starts it, and waits until it answers."""
        return int((self.place / "start.pid").read_text())

    def ask(self, sql: str) -> str:
        """Returns the server's answer, or "" if there is none, for example while it restarts."""
        client = [need("mariadb", "mariadb-client"), "--no-defaults", "--user=root"]
        command = [*client, f"--socket={self.place}/socket", "-N", "-e", sql]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.strip()


@contextlib.contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Yields a MariaDB without a network, whose `restarts` count from now on. It answers already.

    All tests share one: to start it takes longer than most of them. It ends with the process.
    """
    if not _kept:
        running = contextlib.ExitStack()
        atexit.register(running.close)
        _kept.append(running.enter_context(_mariadb()))
    [found] = _kept
    (found.place / "restarts").unlink(missing_ok=True)
    yield found
    # A test may end before it has seen the database run again.
    wait_until(lambda: not is_running(found.starter), "MariaDB has been started")


_kept: list[MariaDb] = []


@contextlib.contextmanager
def _mariadb() -> Iterator[MariaDb]:
    """Runs a MariaDB in a temporary folder."""
    daemon, admin = need("mariadbd", "mariadb-server"), need("mariadb-admin", "mariadb-client")
    install = need("mariadb-install-db", "mariadb-server")
    need_root("MariaDB, to run as its own user")
    with folder("mysql") as place:
        # With a folder for temporary files: at its start, a MariaDB removes those of all others.
        subprocess.run(
            [
                install,
                "--no-defaults",
                "--user=mysql",
                f"--datadir={place}/data",
                f"--tmpdir={place}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        for name, text in (("start", START), ("restart", RESTART)):
            (place / name).write_text(text.format(folder=place, daemon=daemon, admin=admin))
            (place / name).chmod(0o755)
        found = MariaDb(place)
        try:
            subprocess.run([str(place / "start")], check=True, capture_output=True, timeout=60)
            yield found
        finally:
            if is_running(found.starter):
                os.kill(found.starter, signal.SIGKILL)
            if (place / "pid").exists():
                pid = found.pid
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda: not is_running(pid), "MariaDB has ended")

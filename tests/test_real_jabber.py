# apt-get install: prosody ejabberd mariadb-server
"""Our Jabber client on servers that nobody here wrote: a private Prosody and a private ejabberd, on loopback high ports."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
import trustme

from comms.clock import RealClock
from comms.errors import CommsError, Refused, TryLater
from comms.host import RealHost
from comms.settings import Server
from comms.xmpp import Client, Jid, Message, keeper, stanzas
from comms.xmpp.session import Session
from scenarios.book.jabber_simple import JabberSimple

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
DOMAIN = "jabber.test"
PASSWORD = "inpractice, ünïcode"
START = 60.0  # seconds that a server may take to start
PEOPLE = ("bot", "jeremy", "michael", "mallory")


@dataclass
class Jabber:
    """A server that is running."""

    name: str
    port: int
    tls_port: int
    ca_file: Path
    log: Path
    scram: tuple[str, ...]  # the mechanisms that it offers beside PLAIN

    def server(self, user: str, tls: str = "starttls", auth: str = "auto", resource: str = "") -> Server:
        """The settings of an account on it."""
        jid = f"{user}@{DOMAIN}" + (resource and "/" + resource)
        port = self.tls_port if tls == "implicit" else self.port
        return Server("xmpp", "127.0.0.1", port, tls, self.ca_file, "", PASSWORD, auth, 10.0, jid=jid)


def needs(command: str, package: str) -> str:
    """Where a program is; the failure says how to get it."""
    path = shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path, f"{command} is missing; get it with: apt-get install {package}"
    return path


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """The authority's certificate, the server's chain, and its key."""
    authority = trustme.CA()
    # ejabberd plans a timer for the end of the certificate: it must not lie in the year 3000, trustme's choice
    server = authority.issue_cert(DOMAIN, not_after=datetime.now(UTC) + timedelta(days=30))
    paths = folder / "ca.pem", folder / "chain.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(str(paths[0]))
    for blob in server.cert_chain_pems:
        blob.write_to_path(str(paths[1]), append=True)
    server.private_key_pem.write_to_path(str(paths[2]))
    return paths


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when somebody listens on the port."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended by itself:\n{log.read_text()[-3000:]}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    raise AssertionError(f"nobody listens on {port} after {START:g} s:\n{log.read_text()[-3000:]}")


def await_word(word: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when the server's log says the word."""
    deadline = time.monotonic() + START
    while word not in log.read_text(errors="replace"):
        assert time.monotonic() < deadline, f"{word!r} is not in the log after {START:g} s:\n{log.read_text()[-3000:]}"
        assert process.poll() is None, f"the server ended by itself:\n{log.read_text()[-3000:]}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)


@contextlib.contextmanager
def prosody(folder: Path, again: Jabber | None = None) -> Iterator[Jabber]:
    """Prosody, with its own configuration and data; `again`: the one that ran there before."""
    daemon, control = needs("prosody", "prosody"), needs("prosodyctl", "prosody")
    config, log = folder / "prosody.cfg.lua", folder / "prosody.log"
    if again is None:
        ca_file, chain, key = certificates(folder)
        port, tls_port = free_port(), free_port()
        config.write_text(
            f"""
            run_as_root = true
            pidfile = "{folder}/prosody.pid"
            data_path = "{folder}/data"
            interfaces = {{ "127.0.0.1" }}
            c2s_ports = {{ {port} }}
            c2s_direct_tls_ports = {{ {tls_port} }}
            c2s_direct_tls_ssl = {{ certificate = "{chain}"; key = "{key}" }}
            s2s_ports = {{ }}
            allow_unencrypted_plain_auth = true
            c2s_require_encryption = false
            authentication = "internal_hashed"
            log = {{ debug = "{log}" }}
            modules_enabled = {{ "roster"; "saslauth"; "tls"; "disco"; "ping"; "version"; "offline"; "carbons"; "presence";
                "message"; "iq"; "c2s"; "posix"; "private"; "vcard" }}
            modules_disabled = {{ "s2s" }}
            VirtualHost "{DOMAIN}"
                ssl = {{ certificate = "{chain}"; key = "{key}" }}
            Component "rooms.{DOMAIN}" "muc"
            """
        )
        for person in PEOPLE:
            subprocess.run(
                [control, "--config", str(config), "register", person, DOMAIN, PASSWORD],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
    else:
        port, tls_port, ca_file = again.port, again.tls_port, again.ca_file
    process = subprocess.Popen(
        [daemon, "--config", str(config), "-F"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await_port(port, process, log)
        await_port(tls_port, process, log)
        yield Jabber("prosody", port, tls_port, ca_file, log, ("scram-sha-1",))
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def ejabberd(folder: Path) -> Iterator[Jabber]:
    """ejabberd, with its own configuration and database; a node without distribution, so nothing else is touched."""
    erl = needs("erl", "ejabberd")
    needs("ejabberdctl", "ejabberd")
    ca_file, chain, key = certificates(folder)
    port, tls_port = free_port(), free_port()
    config, log = folder / "ejabberd.yml", folder / "ejabberd.log"
    log.touch()
    config.write_text(
        f"""
hosts: ["{DOMAIN}"]
loglevel: debug
certfiles: ["{chain}", "{key}"]
auth_method: internal
auth_password_format: scram
auth_scram_hash: sha256
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, starttls: true, access: all, shaper: none}}
  - {{port: {tls_port}, ip: "127.0.0.1", module: ejabberd_c2s, tls: true, access: all, shaper: none}}
modules:
  mod_roster: {{versioning: true}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_version: {{}}
  mod_carboncopy: {{}}
  mod_muc: {{host: "rooms.{DOMAIN}"}}
"""
    )
    accounts = ", ".join(
        f'ejabberd_auth:try_register(<<"{person}">>, <<"{DOMAIN}">>, <<"{PASSWORD}"/utf8>>)' for person in PEOPLE
    )
    environment = os.environ | {
        "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "EJABBERD_CONFIG_PATH": str(config), "EJABBERD_LOG_PATH": str(log),
        "HOME": str(folder), "ERL_CRASH_DUMP_BYTES": "0",
    }  # fmt: skip
    process = subprocess.Popen(
        [erl, "-noinput", "-mnesia", "dir", f'"{folder}/database"', "-s", "ejabberd", "-eval", accounts + "."],
        env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await_port(port, process, log)
        await_port(tls_port, process, log)
        await_word("is started in the node", process, log)  # it listens before it has read its certificates
        yield Jabber("ejabberd", port, tls_port, ca_file, log, ("scram-sha-256",))
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module", params=[prosody, ejabberd], ids=lambda start: start.__name__)
def jabber(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jabber]:
    start: Callable[[Path], contextlib.AbstractContextManager[Jabber]] = request.param
    with start(tmp_path_factory.mktemp(start.__name__)) as running:
        yield running


@pytest.fixture
def clock() -> Iterator[RealClock]:
    one = RealClock()
    yield one
    one.close()


class Person:
    """Somebody at the other end, on line in a thread of their own."""

    def __init__(self, server: Server, **options: Any) -> None:
        self.clock = RealClock()
        self.client = Client(server, self.clock, RealHost(), **options)
        self.heard: queue.Queue[Message] = queue.Queue()
        self.client.on_message(self.heard.put)
        self._thread = threading.Thread(target=self.client.wait, daemon=True)

    def __enter__(self) -> Person:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock.stop()
        self._thread.join(30)
        self.client.disconnect()
        self.clock.close()

    def hears(self) -> Message:
        """The next message."""
        return self.heard.get(timeout=30)


def until(clock: RealClock, jabber: Client, done: Callable[[], object]) -> None:
    """Waits until something holds."""
    deadline = clock.time() + 20
    while not done():
        assert clock.time() < deadline, "it never came to hold"
        jabber.wait(clock.time() + 0.05)


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
def test_our_client_logs_in_in_every_way(jabber: Jabber, clock: RealClock, tls: str) -> None:
    for auth in ("auto", "plain", *jabber.scram):
        with Session(jabber.server("bot", tls, auth), clock, RealHost()) as session:
            assert str(session.jid.bare) == f"bot@{DOMAIN}"
            assert session.jid.resource
            assert isinstance(session.link.tls, ssl.SSLObject) == (tls != "none")


def test_a_wrong_password_or_an_unknown_authority_is_refused(jabber: Jabber, clock: RealClock) -> None:
    for change in ({"password": "wrong"}, {"ca_file": None}, {"jid": "nobody@" + DOMAIN}):
        with pytest.raises(Refused):
            Session(replace(jabber.server("bot"), **change), clock, RealHost())


def test_a_greeting_waits_for_authorisation_and_arrives(jabber: Jabber, clock: RealClock) -> None:
    with Person(jabber.server("jeremy"), accept_subscriptions=[f"bot@{DOMAIN}"]) as jeremy:
        with Client(jabber.server("bot"), clock, RealHost()) as bot:
            assert bot.deliver(f"jeremy@{DOMAIN}", "Hello <from> Python! \N{SNOWMAN} \U0001f40d", wait=20)
            message = jeremy.hears()
            assert (message.text, message.kind) == ("Hello <from> Python! \N{SNOWMAN} \U0001f40d", "chat")
            until(clock, bot, lambda: bot.roster.presence(f"jeremy@{DOMAIN}").show == "available")
            assert [str(one.sender) for one in bot.new_subscriptions()] == [f"jeremy@{DOMAIN}"]
            jeremy.client.status("dnd", "busy")
            until(clock, bot, lambda: bot.roster.presence(f"jeremy@{DOMAIN}").show == "dnd")
            assert [(one.show, one.text) for one in bot.presence_updates()] == [("dnd", "busy")]
            bot.remove(f"jeremy@{DOMAIN}")
            until(clock, bot, lambda: not bot.roster)


def test_who_refuses_or_does_not_exist_gets_nothing(jabber: Jabber, clock: RealClock) -> None:
    with Person(jabber.server("mallory")) as mallory, Client(jabber.server("bot"), clock, RealHost()) as bot:
        mallory.client.on_subscription_request(lambda request: mallory.client.deny(request.sender))
        with pytest.raises(Refused, match="has refused"):
            bot.deliver(f"mallory@{DOMAIN}", "Hello", wait=20)
        with pytest.raises(CommsError):
            bot.deliver("x@unknown.invalid", "Hello", wait=20)
        with pytest.raises(TryLater, match="nothing was sent"):
            bot.deliver(f"nobody@{DOMAIN}", "Hello", wait=0.5)
        for address in (f"mallory@{DOMAIN}", "x@unknown.invalid", f"nobody@{DOMAIN}"):
            bot.remove(address)
        # RFC 6121 §2.5.3 wants item-not-found; ejabberd is content
        with pytest.raises(Refused, match="item-not-found") if jabber.name == "prosody" else contextlib.nullcontext():
            bot.remove(f"stranger@{DOMAIN}")


def test_names_and_groups_are_kept_by_the_server_and_read_back(jabber: Jabber, clock: RealClock) -> None:
    with Client(jabber.server("bot"), clock, RealHost()) as bot:
        bot.add(f"michael@{DOMAIN}", "Michael & Co", ["Friends", "Admins"])
        until(clock, bot, lambda: f"michael@{DOMAIN}" in map(str, bot.roster))
        bot.reconnect()  # with versions, the list need not come again
        contact = bot.roster[f"michael@{DOMAIN}"]
        assert (contact.name, set(contact.groups), contact.pending) == ("Michael & Co", {"Friends", "Admins"}, True)
        bot.remove(f"michael@{DOMAIN}")


def test_two_hundred_messages_are_on_the_wire_before_the_close(jabber: Jabber, clock: RealClock) -> None:
    with Person(jabber.server("jeremy")) as jeremy:
        with Client(jabber.server("bot"), clock, RealHost()) as bot:
            for number in range(200):
                bot.send(stanzas.message(jeremy.client.jid, f"{number} " + "x" * 2000))
        assert [jeremy.hears().text.split()[0] for _ in range(200)] == [str(number) for number in range(200)]


def test_a_room_s_private_messages_and_what_was_stored_are_not_handed_out(jabber: Jabber, clock: RealClock) -> None:
    room = Jid.parse(f"ops@rooms.{DOMAIN}/bot")
    joining = stanzas.presence(room)
    joining.append(Element("{http://jabber.org/protocol/muc}x"))
    with Client(jabber.server("mallory"), clock, RealHost()) as mallory:
        mallory.send(stanzas.message(Jid.parse(f"bot@{DOMAIN}"), "stored"))
        with Client(jabber.server("bot"), clock, RealHost()) as bot:
            bot.send(joining)
            other = stanzas.presence(Jid.parse(f"ops@rooms.{DOMAIN}/jeremy"))
            other.append(Element("{http://jabber.org/protocol/muc}x"))
            until(clock, bot, lambda: bot._dispatcher.rooms)
            mallory.send(other)
            mallory.send(stanzas.message(room, "private"))
            mallory.send(stanzas.message(room.bare, "to all", "groupchat"))
            mallory.send(stanzas.message(bot.jid, "open"))
            seen: list[Message] = []

            def look() -> bool:
                seen.extend(bot.received_messages())
                return bool(seen)

            until(clock, bot, look)
            until(clock, mallory, lambda: True)
            assert [message.text for message in seen] == ["open"]


def test_a_second_login_as_the_same_resource_ends_the_first_for_good(jabber: Jabber, clock: RealClock) -> None:
    server = jabber.server("bot", resource="desk")
    with Client(server, clock, RealHost()) as first, Client(server, clock, RealHost()) as second:
        with pytest.raises(Refused, match="conflict"):
            until(clock, first, lambda: False)
        assert second.connected


def test_the_client_comes_back_when_the_server_does(
    tmp_path: Path, clock: RealClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(keeper, "LONGEST_PAUSE", 0.5)
    with prosody(tmp_path) as running:
        bot = Client(running.server("bot"), clock, RealHost())
    until(clock, bot, lambda: not bot.connected)
    with prosody(tmp_path, running):
        until(clock, bot, lambda: bot.connected)
        bot.send(stanzas.message(bot.jid.bare, "back"))
        bot.disconnect()


def test_the_book_s_client_logs_in_and_loses_its_greeting(jabber: Jabber, clock: RealClock, tmp_path: Path) -> None:
    """Listing 6.8 on a server of today."""
    with Person(jabber.server("michael"), accept_subscriptions=True) as michael:
        book = JabberSimple(replace(jabber.server("mallory"), user="mallory"), clock, RealHost())
        book.deliver(f"michael@{DOMAIN}", "Hello from Ruby!")
        book.disconnect()
        with pytest.raises(queue.Empty):
            michael.heard.get(timeout=0.5)


# ── MySQL by Jabber, on real servers ─────────────────────────────────────────────────────────────────────────────

RESTART = '''
"""Ends the database by its pid, and starts it anew: what an init script does."""
import os, pathlib, socket, subprocess, sys, threading, time

folder, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
pid = int((folder / "pid").read_text())
os.kill(pid, 15)
deadline = time.monotonic() + 50
while pathlib.Path(f"/proc/{pid}").exists() and " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text():
    assert time.monotonic() < deadline, "it does not end"
    threading.Event().wait(0.05)
log = open(folder / "log", "ab")
subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
while True:
    assert time.monotonic() < deadline, "it does not start"
    try:
        socket.socket(socket.AF_UNIX).connect(str(folder / "socket"))
        break
    except OSError:
        threading.Event().wait(0.05)
print("restarted")
'''


@dataclass
class Database:
    """A MariaDB that is running."""

    folder: Path
    restart: list[str]

    @property
    def pid(self) -> int:
        """Its process, as it says itself."""
        return int((self.folder / "pid").read_text())

    def answers(self) -> str:
        """What it says to SELECT 1."""
        command = [needs("mariadb", "mariadb-client"), f"--socket={self.folder}/socket", "--user=root", "-Nse", "SELECT 1"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()


@pytest.fixture
def database() -> Iterator[Database]:
    """MariaDB under the user of its package, with its own folder; no network."""
    daemon, install = needs("mariadbd", "mariadb-server"), needs("mariadb-install-db", "mariadb-server")
    folder = Path(tempfile.mkdtemp(prefix="mariadb-"))  # short, for the socket's sake
    shutil.chown(folder, "mysql", "mysql")
    data = [f"--datadir={folder}/data", f"--log-error={folder}/log"]
    subprocess.run(
        [install, "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", *data],
        user="mysql", group="mysql", check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    command = [
        daemon, "--no-defaults", *data, f"--socket={folder}/socket", f"--pid-file={folder}/pid", "--skip-networking",
    ]  # fmt: skip
    first = subprocess.Popen(command, user="mysql", group="mysql", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    script = folder / "restart.py"
    script.write_text(RESTART)
    # as an init script would: whoever may run it, the database runs as its own user
    as_mysql = [needs("setpriv", "util-linux"), "--reuid=mysql", "--regid=mysql", "--clear-groups"]
    running = Database(folder, [sys.executable, str(script), str(folder), *as_mysql, *command])
    try:
        deadline = time.monotonic() + START
        while running.answers() != "1":
            assert first.poll() is None, (folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
        yield running
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(running.pid, signal.SIGTERM)
        first.terminate()
        first.wait(60)
        deadline = time.monotonic() + 60
        while (folder / "pid").exists() and time.monotonic() < deadline:
            threading.Event().wait(0.1)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def program(site: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The bot as it would be deployed; what it logs is beside its settings."""
    with (site.parent / "log").open("ab") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", "scenarios", "run", "mysql-by-jabber", "--live", str(site)], cwd=ROOT, stderr=output
        )
    try:
        yield running
    finally:
        running.kill()
        running.wait(10)


def site(folder: Path, jabber: Jabber, database: Database) -> Path:
    """The bot's settings."""
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    path = folder / "site.toml"
    path.write_text(
        f"""
        [xmpp]
        jid = "bot@{DOMAIN}"
        host = "127.0.0.1"
        port = {jabber.port}
        ca_file = "{jabber.ca_file}"
        password_file = "password"
        [scenario.mysql-by-jabber]
        admins = ["jeremy@{DOMAIN}"]
        poll = 0.2
        restart = {json.dumps(database.restart)}
        """
    )
    return path


def sees(person: Person, whom: Jid) -> threading.Event:
    """Set while somebody is on line for this person."""
    here = threading.Event()
    person.client.on_presence(lambda one: here.set() if one.show == "available" else here.clear())
    person.client.request_subscription(whom)
    return here


def test_mysql_by_jabber_restarts_a_real_database(jabber: Jabber, database: Database, tmp_path: Path) -> None:
    settings, log = site(tmp_path, jabber, database), tmp_path / "log"
    bot = Jid.parse(f"bot@{DOMAIN}")
    with program(settings) as running:
        with Person(jabber.server("jeremy")) as jeremy, Person(jabber.server("mallory")) as mallory:
            assert sees(jeremy, bot).wait(30), log.read_text()
            before = database.pid
            for kind in ("headline", "error", "groupchat"):
                jeremy.client.send(stanzas.message(bot, "restart", kind))
            mallory.client.send(stanzas.message(bot, "restart"))
            jeremy.client.send(stanzas.message(bot, "Restrat"))
            assert jeremy.hears().text == "Invalid command! (did you mean 'restart'?); you may say: restart"
            assert database.pid == before
            jeremy.client.send(stanzas.message(bot, " Restart MySQL\n", thread="t1"))
            answer = jeremy.hears()
            assert (answer.text, answer.thread) == ("MySQL told to restart.", "t1")
            assert database.pid != before
            assert database.answers() == "1"
            assert mallory.heard.empty()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0, log.read_text()
    text = log.read_text()
    assert text.count("what=restart who=jeremy") == 1
    assert "refused who=mallory" in text
    assert PASSWORD not in text


def test_a_killed_program_tells_afterwards_that_it_does_not_know(
    jabber: Jabber, database: Database, tmp_path: Path
) -> None:
    settings = site(tmp_path, jabber, database)
    bot = Jid.parse(f"bot@{DOMAIN}")
    with Person(jabber.server("jeremy")) as jeremy:
        here = sees(jeremy, bot)
        with program(settings) as running:
            assert here.wait(30)
            before = database.pid
            jeremy.client.send(stanzas.message(bot, "restart"))
            deadline = time.monotonic() + 30
            while Path(f"/proc/{before}/cmdline").exists() and Path(f"/proc/{before}/cmdline").read_bytes():
                assert time.monotonic() < deadline
            running.kill()  # while the database is between two lives
            running.wait(10)
        with program(settings):
            answer = jeremy.hears().text
            assert "the program ended before it did: whether it was done is not known" in answer
            deadline = time.monotonic() + 30
            while database.answers() != "1":
                assert time.monotonic() < deadline
            after = database.pid
            assert after != before
            jeremy.client.send(stanzas.message(bot, "help"))
            assert jeremy.hears().text == "You may say: restart"
            assert database.pid == after, "it is not done again"

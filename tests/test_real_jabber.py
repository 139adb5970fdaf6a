# apt-get install: prosody ejabberd mariadb-server mariadb-client
"""Our Jabber client on servers written by others: a private Prosody and a private ejabberd."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest
import trustme

from comms.clock import RealClock
from comms.errors import CommsError, Refused, TryLater
from comms.host import RealHost
from comms.settings import Server
from comms.xmpp import Client, Jid, Message, keeper, stanzas
from comms.xmpp.component import Component
from comms.xmpp.rooms import MUC
from comms.xmpp.session import Session
from fakes import World
from scenarios.book.jabber_simple import JabberSimple
from tests import xmpp_manners
from tests.real import (
    MariaDb,
    end,
    free_port,
    in_the_foreground,
    is_running,
    mariadb,
    need,
    wait_for_port,
    wait_until,
)

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
DOMAIN = "jabber.test"
BOT, JEREMY, MICHAEL, MALLORY = (
    Jid.parse(f"{name}@{DOMAIN}") for name in ("bot", "jeremy", "michael", "mallory")
)
UNKNOWN = f"nobody@{DOMAIN}"
PASSWORD = "inpractice, ünïcode"
GATEWAY, SECRET = Jid.parse(f"gateway.{DOMAIN}"), "secret-of-the-gateway"
START = 60.0  # seconds that a server may take to start

PROSODY_CONFIG = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {tls_port} }}
c2s_direct_tls_ssl = {{ certificate = "{chain}"; key = "{key}" }}
s2s_ports = {{ }}
component_ports = {{ {component_port} }}
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
authentication = "internal_hashed"
log = {{ debug = "{log}" }}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "disco"; "ping"; "version"; "offline";
    "carbons"; "presence"; "message"; "iq"; "c2s"; "posix"; "private"; "vcard"; "smacks" }}
modules_disabled = {{ "s2s" }}
VirtualHost "{domain}"
    ssl = {{ certificate = "{chain}"; key = "{key}" }}
Component "rooms.{domain}" "muc"
Component "gateway.{domain}"
    component_secret = "{secret}"
"""
EJABBERD_CONFIG = """
hosts: ["{domain}"]
loglevel: debug
certfiles: ["{chain}", "{key}"]
auth_method: internal
auth_password_format: scram
auth_scram_hash: sha256
disable_sasl_mechanisms: ["digest-md5", "X-OAUTH2"]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls: true
    access: all
    shaper: none
  - port: {tls_port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    tls: true
    access: all
    shaper: none
  - port: {component_port}
    ip: "127.0.0.1"
    module: ejabberd_service
    hosts:
      "gateway.{domain}":
        password: "{secret}"
modules:
  mod_roster: {{versioning: true}}
  mod_disco: {{}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_version: {{}}
  mod_carboncopy: {{}}
  mod_stream_mgmt: {{}}
  mod_muc: {{host: "rooms.{domain}"}}
"""


@dataclass
class Jabber:
    """A running server."""

    name: str
    port: int
    tls_port: int
    ca_file: Path
    log: Path
    scram: tuple[str, ...]  # the mechanisms that it offers besides PLAIN
    component_port: int

    def component(self, password: str = SECRET) -> Server:
        """Returns the settings of a component on it."""
        place = ("component", "127.0.0.1", self.component_port, "none")
        return Server(*place, password=password, domain=str(GATEWAY))

    def server(
        self, account: Jid, tls: str = "starttls", auth: str = "auto", resource: str = ""
    ) -> Server:
        """Returns the settings of an account on it."""
        jid = str(account) + (resource and "/" + resource)
        port = self.tls_port if tls == "implicit" else self.port
        return Server(
            "xmpp", "127.0.0.1", port, tls, self.ca_file, "", PASSWORD, auth, 10.0, jid=jid
        )


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Makes the authority's certificate, the server's chain, and its key."""
    authority = trustme.CA()
    # ejabberd sets a timer for the end of the certificate. trustme's choice, the year 3000, is
    # further away than the timer can count.
    server = authority.issue_cert(DOMAIN, not_after=datetime.now(UTC) + timedelta(days=30))
    paths = folder / "ca.pem", folder / "chain.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(str(paths[0]))
    for blob in server.cert_chain_pems:
        blob.write_to_path(str(paths[1]), append=True)
    server.private_key_pem.write_to_path(str(paths[2]))
    return paths


@contextlib.contextmanager
def prosody(folder: Path, before: Jabber | None = None) -> Iterator[Jabber]:
    """Runs Prosody with configuration and data in this folder.

    `before` is the server that ran there before; then its ports, accounts and certificates stay.
    """
    daemon, control = need("prosody", "prosody"), need("prosodyctl", "prosody")
    config, log = folder / "prosody.cfg.lua", folder / "prosody.log"
    if before is None:
        ca_file, chain, key = certificates(folder)
        port, tls_port, component_port = free_port(), free_port(), free_port()
        config.write_text(
            PROSODY_CONFIG.format(
                component_port=component_port,
                secret=SECRET,
                folder=folder,
                port=port,
                tls_port=tls_port,
                chain=chain,
                key=key,
                log=log,
                domain=DOMAIN,
            )
        )
        for account in (BOT, JEREMY, MICHAEL, MALLORY):
            register = ["register", account.local, DOMAIN, PASSWORD]
            subprocess.run(
                [control, "--config", str(config), *register],
                check=True,
                capture_output=True,
                timeout=60,
            )
    else:
        port, tls_port, ca_file = before.port, before.tls_port, before.ca_file
        component_port = before.component_port
    process = in_the_foreground([daemon, "--config", str(config), "-F"])
    try:
        wait_for_port(port, process, START)
        wait_for_port(tls_port, process, START)
        scram = ("scram-sha-1",)
        yield Jabber("prosody", port, tls_port, ca_file, log, scram, component_port)
    finally:
        end(process, 20)


@contextlib.contextmanager
def ejabberd(folder: Path) -> Iterator[Jabber]:
    """Runs ejabberd with configuration and database in this folder.

    The Erlang node is not distributed, so that it does not meet other nodes of this machine.
    """
    erl = need("erl", "ejabberd")
    need("ejabberdctl", "ejabberd")
    ca_file, chain, key = certificates(folder)
    port, tls_port, component_port = free_port(), free_port(), free_port()
    config, log = folder / "ejabberd.yml", folder / "ejabberd.log"
    log.touch()
    config.write_text(
        EJABBERD_CONFIG.format(
            port=port,
            tls_port=tls_port,
            component_port=component_port,
            secret=SECRET,
            chain=chain,
            key=key,
            domain=DOMAIN,
        )
    )
    registrations = [
        f'ejabberd_auth:try_register(<<"{account.local}">>, <<"{DOMAIN}">>, <<"{PASSWORD}"/utf8>>)'
        for account in (BOT, JEREMY, MICHAEL, MALLORY)
    ]
    command = [erl, "-noinput", "-mnesia", "dir", f'"{folder}/database"', "-s", "ejabberd"]
    environment = {
        "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
        "EJABBERD_CONFIG_PATH": str(config),
        "EJABBERD_LOG_PATH": str(log),
        "HOME": str(folder),
        "ERL_CRASH_DUMP_BYTES": "0",
    }
    process = subprocess.Popen(
        [*command, "-eval", ", ".join(registrations) + "."],
        env=os.environ | environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,  # it is all in the log; a pipe that is never read would fill up
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for_port(port, process, START)
        wait_for_port(tls_port, process, START)
        # It listens before it has read its certificates; this line of the log is the last.
        started = "is started in the node"
        wait_until(lambda: started in log.read_text(errors="replace"), started, START)
        scram = ("scram-sha-256",)
        yield Jabber("ejabberd", port, tls_port, ca_file, log, scram, component_port)
    finally:
        end(process, 30)


@pytest.fixture(scope="module", params=[prosody, ejabberd], ids=lambda start: start.__name__)
def jabber(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Jabber]:
    start: Callable[[Path], contextlib.AbstractContextManager[Jabber]] = request.param
    with start(tmp_path_factory.mktemp(start.__name__)) as running:
        yield running


@pytest.fixture
def clock() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


class Person:
    """A user at the other end, online in a thread of its own while the block runs."""

    def __init__(self, server: Server, **options: Any) -> None:
        self.clock = RealClock()
        self.client = Client(server, self.clock, RealHost(), **options)
        self.messages: queue.Queue[Message] = queue.Queue()
        self.client.on_message(self.messages.put)
        self._thread = threading.Thread(target=self.client.wait, daemon=True)

    def __enter__(self) -> Person:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock.stop()
        self._thread.join(30)
        self.client.disconnect()
        self.clock.close()

    def next_message(self) -> Message:
        """Waits for the next message and returns it."""
        return self.messages.get(timeout=30)


def until(clock: RealClock, jabber: Client, done: Callable[[], object]) -> None:
    """Lets the client handle what arrives until `done` returns something true."""
    deadline = clock.time() + 20
    while not done():
        assert clock.time() < deadline, "not so after 20 s"
        jabber.wait(clock.time() + 0.05)


# ── what the standards leave open ────────────────────────────────────────────


def test_our_server_has_the_manners_of_this_one(jabber: Jabber) -> None:
    people = [
        {"address": str(one), "password": PASSWORD} for one in (BOT, JEREMY, MICHAEL, MALLORY)
    ]
    manners = {"xmpp": jabber.name}
    config = {"servers": ["xmpp"], "person": people, "tls": "off", "manners": manners}
    with World(config) as world:
        ours = xmpp_manners.Server(world.address("xmpp"), DOMAIN, PASSWORD)
        real = xmpp_manners.Server(("127.0.0.1", jabber.port), DOMAIN, PASSWORD)
        for question in xmpp_manners.QUESTIONS:
            # ejabberd's processes run side by side: under load, an answer may come too late once.
            found, wanted = [question(real)], question(ours)
            while found[-1] != wanted and len(found) < 3:
                found.append(question(real))
            assert found[-1] == wanted, (question.__name__, found)


# ── the client ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
def test_client_logs_in_by_each_mechanism(jabber: Jabber, clock: RealClock, tls: str) -> None:
    for auth in ("auto", "plain", *jabber.scram):
        with Session(jabber.server(BOT, tls, auth), clock, RealHost()) as session:
            assert session.jid.bare == BOT
            assert session.jid.resource
            assert isinstance(session.link.tls, ssl.SSLObject) == (tls != "none")


def test_wrong_password_unknown_authority_and_unknown_account_are_refused(
    jabber: Jabber, clock: RealClock
) -> None:
    for change in ({"password": "wrong"}, {"ca_file": None}, {"jid": UNKNOWN}):
        with pytest.raises(Refused):
            Session(replace(jabber.server(BOT), **change), clock, RealHost())


def test_greeting_waits_for_authorisation_and_arrives(jabber: Jabber, clock: RealClock) -> None:
    greeting = "Hello <from> Python! \N{SNOWMAN} \U0001f40d"
    with (
        Person(jabber.server(JEREMY), accept_subscriptions=[str(BOT)]) as jeremy,
        Client(jabber.server(BOT), clock, RealHost()) as bot,
    ):
        assert bot.deliver(str(JEREMY), greeting, wait=20)
        message = jeremy.next_message()
        assert (message.text, message.kind) == (greeting, "chat")
        until(clock, bot, lambda: bot.roster.presence(str(JEREMY)).show == "available")
        assert [subscription.sender for subscription in bot.new_subscriptions()] == [JEREMY]
        jeremy.client.status("dnd", "busy")
        until(clock, bot, lambda: bot.roster.presence(str(JEREMY)).show == "dnd")
        updates = [(update.show, update.text) for update in bot.presence_updates()]
        assert updates == [("dnd", "busy")]
        bot.remove(str(JEREMY))
        until(clock, bot, lambda: JEREMY not in bot.roster)  # others may have asked meanwhile


def test_nothing_is_sent_to_those_who_refuse_or_do_not_exist(
    jabber: Jabber, clock: RealClock
) -> None:
    with (
        Person(jabber.server(MALLORY)) as mallory,
        Client(jabber.server(BOT), clock, RealHost()) as bot,
    ):
        mallory.client.on_subscription_request(lambda request: mallory.client.deny(request.sender))
        with pytest.raises(Refused, match="has refused"):
            bot.deliver(str(MALLORY), "Hello", wait=20)
        with pytest.raises(CommsError):
            bot.deliver("x@unknown.invalid", "Hello", wait=20)
        with pytest.raises(TryLater, match="nothing was sent"):
            bot.deliver(UNKNOWN, "Hello", wait=0.5)
        for address in (str(MALLORY), "x@unknown.invalid", UNKNOWN):
            bot.remove(address)
        # RFC 6121 §2.5.3 wants item-not-found; ejabberd answers with success.
        refusal = pytest.raises(Refused, match="item-not-found")
        with refusal if jabber.name == "prosody" else contextlib.nullcontext():
            bot.remove(f"stranger@{DOMAIN}")


def test_names_and_groups_are_kept_by_the_server(jabber: Jabber, clock: RealClock) -> None:
    with Client(jabber.server(BOT), clock, RealHost()) as bot:
        bot.add(str(MICHAEL), "Michael & Co", ["Friends", "Admins"])
        until(clock, bot, lambda: str(MICHAEL) in map(str, bot.roster))
        bot.reconnect()  # with roster versions, the server need not send the list again
        contact = bot.roster[str(MICHAEL)]
        assert contact.name == "Michael & Co"
        assert set(contact.groups) == {"Friends", "Admins"}
        assert contact.pending
        bot.remove(str(MICHAEL))


def test_two_hundred_messages_are_sent_before_the_connection_closes(
    jabber: Jabber, clock: RealClock
) -> None:
    with Person(jabber.server(JEREMY)) as jeremy:
        with Client(jabber.server(BOT), clock, RealHost()) as bot:
            for number in range(200):
                bot.send(stanzas.message(jeremy.client.jid, f"{number} " + "x" * 2000))
        received = [jeremy.next_message().text.split()[0] for _ in range(200)]
        assert received == [str(number) for number in range(200)]


def test_private_messages_of_rooms_and_stored_messages_are_not_handed_out(
    jabber: Jabber, clock: RealClock
) -> None:
    room = Jid.parse(f"ops@rooms.{DOMAIN}/bot")

    def join(as_whom: Jid) -> Element:
        presence = stanzas.presence(as_whom)
        presence.append(Element("{http://jabber.org/protocol/muc}x"))
        return presence

    with Client(jabber.server(MALLORY), clock, RealHost()) as mallory:
        mallory.send(stanzas.message(BOT, "stored"))
        with Client(jabber.server(BOT), clock, RealHost()) as bot:
            bot.send(join(room))
            until(clock, bot, lambda: bot._dispatcher.rooms)
            mallory.send(join(Jid.parse(f"ops@rooms.{DOMAIN}/jeremy")))
            mallory.send(stanzas.message(room, "private"))
            mallory.send(stanzas.message(room.bare, "to all", "groupchat"))
            mallory.send(stanzas.message(bot.jid, "open"))
            received: list[Message] = []

            def has_received() -> bool:
                received.extend(bot.received_messages())
                return bool(received)

            until(clock, bot, has_received)
            assert [message.text for message in received] == ["open"]


def test_second_login_with_the_same_resource_ends_the_first_for_good(
    jabber: Jabber, clock: RealClock
) -> None:
    server = jabber.server(BOT, resource="desk")
    with (
        Client(server, clock, RealHost()) as first,
        Client(server, clock, RealHost()) as second,
    ):
        with pytest.raises(Refused, match="conflict"):
            until(clock, first, lambda: False)
        assert second.connected


def test_client_reconnects_when_the_server_is_back(
    tmp_path: Path, clock: RealClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE", 0.5)
    monkeypatch.setattr(keeper, "LONGEST_PAUSE", 0.5)
    with prosody(tmp_path) as running:
        bot = Client(running.server(BOT), clock, RealHost())
    until(clock, bot, lambda: not bot.connected)
    with prosody(tmp_path, running):
        until(clock, bot, lambda: bot.connected)
        bot.send(stanzas.message(bot.jid.bare, "back"))
        bot.disconnect()


def test_the_printed_listing_logs_in_and_loses_its_greeting(
    jabber: Jabber, clock: RealClock
) -> None:
    # Listing 6.8 as printed closes the connection before the subscription is authorised.
    with Person(jabber.server(MICHAEL), accept_subscriptions=True) as michael:
        book = JabberSimple(replace(jabber.server(MALLORY), user="mallory"), clock, RealHost())
        book.deliver(str(MICHAEL), "Hello from Ruby!")
        book.disconnect()
        with pytest.raises(queue.Empty):
            michael.messages.get(timeout=0.5)


# ── MySQL by Jabber, on real servers ─────────────────────────────────────────


@pytest.fixture
def database() -> Iterator[MariaDb]:
    with mariadb() as running:
        yield running


@contextlib.contextmanager
def program(site: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the bot as it would be deployed. Its log is beside its settings."""
    command = [sys.executable, "-m", "scenarios", "run", "mysql-by-jabber", "--live", str(site)]
    with (site.parent / "log").open("ab") as output:
        running = subprocess.Popen(command, cwd=ROOT, stderr=output)
    try:
        yield running
    finally:
        running.kill()
        running.wait(10)


def write_site(folder: Path, jabber: Jabber, database: MariaDb) -> Path:
    """Writes the bot's settings."""
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    path = folder / "site.toml"
    path.write_text(
        f"""
        [xmpp]
        jid = "{BOT}"
        host = "127.0.0.1"
        port = {jabber.port}
        ca_file = "{jabber.ca_file}"
        password_file = "password"
        [scenario.mysql-by-jabber]
        admins = ["{JEREMY}"]
        poll = 0.2
        restart = {json.dumps(database.restart)}
        """
    )
    return path


def available(person: Person, contact: Jid) -> threading.Event:
    """Returns an event that is set while the person sees this contact online."""
    here = threading.Event()
    person.client.on_presence(
        lambda presence: here.set() if presence.show == "available" else here.clear()
    )
    person.client.request_subscription(contact)
    return here


def test_mysql_by_jabber_restarts_a_real_database(
    jabber: Jabber, database: MariaDb, tmp_path: Path
) -> None:
    settings, log = write_site(tmp_path, jabber, database), tmp_path / "log"
    with program(settings) as running:
        with (
            Person(jabber.server(JEREMY)) as jeremy,
            Person(jabber.server(MALLORY)) as mallory,
        ):
            assert available(jeremy, BOT).wait(30), log.read_text()
            before = database.pid
            for kind in ("headline", "error", "groupchat"):
                jeremy.client.send(stanzas.message(BOT, "restart", kind))
            mallory.client.send(stanzas.message(BOT, "restart"))
            jeremy.client.send(stanzas.message(BOT, "Restrat"))
            answer = jeremy.next_message()
            assert answer.text == (
                "Invalid command! (did you mean 'restart'?); you may say: restart"
            )
            assert database.pid == before
            jeremy.client.send(stanzas.message(BOT, " Restart MySQL\n", thread="t1"))
            answer = jeremy.next_message()
            assert (answer.text, answer.thread) == ("MySQL told to restart.", "t1")
            assert database.pid != before
            assert database.ask("SELECT 1") == "1"
            assert mallory.messages.empty()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0, log.read_text()
    text = log.read_text()
    assert text.count("what=restart who=jeremy") == 1
    assert "refused who=mallory" in text
    assert PASSWORD not in text


def test_killed_program_reports_after_its_restart_that_the_outcome_is_unknown(
    jabber: Jabber, database: MariaDb, tmp_path: Path
) -> None:
    settings = write_site(tmp_path, jabber, database)
    with Person(jabber.server(JEREMY)) as jeremy:
        bot_is_online = available(jeremy, BOT)
        with program(settings) as running:
            assert bot_is_online.wait(30)
            before = database.pid
            jeremy.client.send(stanzas.message(BOT, "restart"))
            wait_until(lambda: not is_running(before), "the database has ended")
            running.kill()  # before the database runs again
            running.wait(10)
        with program(settings):
            answer = jeremy.next_message().text
            assert "the program ended before it did: whether it was done is not known" in answer
            wait_until(lambda: database.ask("SELECT 1") == "1", "the database answers")
            after = database.pid
            assert after != before
            jeremy.client.send(stanzas.message(BOT, "help"))
            assert jeremy.next_message().text == "You may say: restart"
            assert database.pid == after, "the command is not run again"


# ── rooms and resumption ─────────────────────────────────────────────────────


def test_in_a_room_the_bot_hears_who_may_speak_for_whom(jabber: Jabber, clock: RealClock) -> None:
    address = Jid.parse(f"ops@rooms.{DOMAIN}")
    with (
        Client(jabber.server(JEREMY), clock, RealHost()) as jeremy,
        Client(jabber.server(MALLORY), clock, RealHost()) as mallory,
        Client(jabber.server(BOT), clock, RealHost()) as bot,
    ):
        owner = jeremy.join(address, "jeremy")
        query = Element(f"{{{MUC}#owner}}query")
        SubElement(query, "{jabber:x:data}x", {"type": "submit"})
        jeremy.request(stanzas.iq("set", query, address))
        room = bot.join(address, "bot")
        guest = mallory.join(address, "boss")
        owner.say("restart")
        guest.say("restart now")
        heard = []

        def has_heard() -> bool:
            bot.received_messages()
            heard.extend(room.received_messages())
            return len(heard) == 2

        wait_until(has_heard, "two messages")
        assert {(said.nick, said.text, said.affiliation) for said in heard} == {
            ("jeremy", "restart", "owner"),
            ("boss", "restart now", "none"),
        }
        room.say("done")
        answers: list[str] = []

        def has_answer() -> bool:
            jeremy.received_messages()
            answers.extend(said.text for said in owner.received_messages())
            return "done" in answers

        wait_until(has_answer, "the answer")
        with pytest.raises(Refused, match="conflict"):
            mallory.join(f"ops@rooms.{DOMAIN}", "jeremy")


def test_a_session_goes_on_after_a_cut_and_nothing_is_lost_or_doubled(
    jabber: Jabber, clock: RealClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "FIRST_PAUSE", 0.1)
    with (
        Client(jabber.server(JEREMY), clock, RealHost()) as jeremy,
        Client(jabber.server(BOT), clock, RealHost(), resume=True) as bot,
    ):
        jid = bot.jid
        got: list[str] = []
        for number in range(4):
            session = bot._connection.session
            assert session is not None
            jeremy.send(stanzas.message(jid, str(number)))
            session.link.shutdown(socket.SHUT_RDWR)
            got.extend(message.text for message in bot.received_messages())

            def has_got(number: int = number) -> bool:
                got.extend(message.text for message in bot.received_messages())
                return len(got) > number and bot.connected

            wait_until(has_got, f"message {number}")
            assert bot.jid == jid
        assert got == ["0", "1", "2", "3"]


# ── a component ──────────────────────────────────────────────────────────────


def test_a_component_sends_receives_and_may_not_write_another_domain(
    jabber: Jabber, clock: RealClock
) -> None:
    got: list[Element] = []

    def handle(stanza: Element) -> bool:
        got.append(stanza)
        return False

    def wait_for(done: Callable[[], object]) -> None:
        deadline = clock.time() + 20
        while not done():
            assert clock.time() < deadline, "not so after 20 s"
            component.wait(clock.time() + 0.05)

    with Client(jabber.server(JEREMY), clock, RealHost()) as jeremy:
        jeremy.send(stanzas.message(Jid.parse(f"bob@{GATEWAY}"), "too early"))
        until(clock, jeremy, lambda: any(one.error for one in jeremy.returned_messages()))
        with Component(jabber.component(), clock, RealHost(), handle) as component:
            component.send(stanzas.message(JEREMY, "hello"), f"bob@{GATEWAY}/aim")
            seen: list[Message] = []

            def has_seen() -> bool:
                seen.extend(jeremy.received_messages())
                return bool(seen)

            until(clock, jeremy, has_seen)
            assert [(str(one.sender), one.text) for one in seen] == [
                (f"bob@{GATEWAY}/aim", "hello")
            ]
            jeremy.send(seen[0].reply("hello yourself"))
            wait_for(lambda: got)
            assert got[0].findtext("{jabber:client}body") == "hello yourself"
            disco = Element("{http://jabber.org/protocol/disco#info}query")
            query = stanzas.iq("get", disco, Jid.parse(DOMAIN))
            assert component.request(query).get("type") == "result"
            ping = stanzas.iq("get", Element(f"{{{stanzas.PING}}}ping"))
            assert component.request(ping).get("type") == "result", "it may ping itself"
            forged = stanzas.message(JEREMY, "I am the bot")
            forged.set("from", str(BOT))
            component._connection.send(forged)
            with pytest.raises(Refused, match="invalid-from"):
                wait_for(lambda: False)
        assert jeremy.received_messages() == []


def test_a_component_with_the_wrong_secret_is_refused(jabber: Jabber, clock: RealClock) -> None:
    with pytest.raises(Refused, match="not-authorized"):
        Component(jabber.component("guess"), clock, RealHost(), lambda stanza: False)


# ── is this server private? ──────────────────────────────────────────────────


def test_private_server_finds_what_a_real_server_keeps(jabber: Jabber, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    site = tmp_path / "site.toml"
    table = (
        f'jid = "{BOT}"\nhost = "127.0.0.1"\nport = {jabber.port}\nca_file = "{jabber.ca_file}"\n'
        'tls = "starttls"\npassword_file = "password"\n'
    )
    rules = f'team = ["{MICHAEL}"]\nreport = "always"\noutside = "probe@nowhere.invalid"\n'
    site.write_text(f"[xmpp]\n{table}[scenario.private-server]\n{rules}")
    command = [sys.executable, "-m", "scenarios", "run", "private-server", "--live", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.count("kept: ")) == (0, 5), done.stdout + done.stderr
    with Person(jabber.server(MICHAEL), delayed=True) as michael:
        message = michael.next_message()
        assert message.text == "Every promise is kept." and message.delayed

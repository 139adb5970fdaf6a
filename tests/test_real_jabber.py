# apt-get install: prosody ejabberd mariadb-server
"""Our Jabber client on servers that nobody here wrote: a private Prosody and a private ejabberd, on loopback high ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from comms.clock import RealClock
from comms.host import RealHost
from comms.settings import Server
from comms.xmpp.session import Session

pytestmark = pytest.mark.real

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
def prosody(folder: Path) -> Iterator[Jabber]:
    """Prosody, with its own configuration and data."""
    daemon, control = needs("prosody", "prosody"), needs("prosodyctl", "prosody")
    ca_file, chain, key = certificates(folder)
    port, tls_port = free_port(), free_port()
    config, log = folder / "prosody.cfg.lua", folder / "prosody.log"
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


@pytest.mark.parametrize("tls", ["starttls", "implicit", "none"])
def test_our_client_logs_in_in_every_way(jabber: Jabber, clock: RealClock, tls: str) -> None:
    for auth in ("auto", "plain", *jabber.scram):
        with Session(jabber.server("bot", tls, auth), clock, RealHost()) as session:
            assert str(session.jid.bare) == f"bot@{DOMAIN}"
            assert session.jid.resource
            assert isinstance(session.link.tls, ssl.SSLObject) == (tls != "none")

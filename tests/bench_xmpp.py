"""How fast our Jabber server is, beside a real Prosody: `python -m tests.bench xmpp`.

Each server runs in its own process on this machine, one after the other, and gets the same work:
chat messages from one client to another, first all sent at once, then in turn (each waits for the
last); and connections that are bound and idle, to measure their memory.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

MESSAGES = 30_000  # sent at once
TURNS = 3_000  # sent in turn
IDLE = 500  # connections
HEADER = (
    b"<?xml version='1.0'?><stream:stream to='example.test' version='1.0' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = b"urn:ietf:params:xml:ns:xmpp-sasl"
BIND = b"urn:ietf:params:xml:ns:xmpp-bind"
OURS = """
import sys
from fakes import World
people = [{"address": "alice@example.test"}, {"address": "bob@example.test"}]
config = {"servers": ["xmpp"], "tls": "off", "person": people, "xmpp": {"resources": 2000}}
# watch: keep no recording, as a server that runs for a long time
with World(config, ports={"xmpp": int(sys.argv[1])}, watch=lambda entry: None):
    print("ready", flush=True)
    sys.stdin.read()
"""
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


class Client:
    """A client that only sends bytes and counts what comes back."""

    def __init__(self, port: int, name: str, resource: str, online: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        response = base64.b64encode(b"\0" + name.encode() + b"\0secret")
        bind = b"<bind xmlns='%b'><resource>%b</resource></bind>" % (BIND, resource.encode())
        self.ask(HEADER, b"</stream:features>")
        auth = b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (SASL, response)
        self.ask(auth, b"<success")
        self.ask(HEADER, b"</stream:features>")
        self.ask(b"<iq type='set' id='b'>%b</iq>" % bind, b"</iq>")
        if online:
            self.ask(b"<presence/>", b"<presence")

    def ask(self, data: bytes, until: bytes) -> None:
        """Sends bytes, and reads until others have come."""
        self.socket.sendall(data)
        received = b""
        while until not in received:
            received += self.socket.recv(65536)

    def count(self, what: bytes, number: int) -> None:
        """Reads until something has come that many times."""
        found, rest = 0, b""
        while found < number:
            data = rest + self.socket.recv(1 << 18)
            found += data.count(what)
            rest = data[-len(what) + 1 :]


@contextlib.contextmanager
def ours(port: int) -> Iterator[int]:
    """Runs our server; yields its process id."""
    command = [sys.executable, "-c", OURS, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


@contextlib.contextmanager
def prosody(port: int) -> Iterator[int]:
    """Runs Debian's Prosody; yields its process id."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "prosody.cfg.lua"
        config.write_text(PROSODY.format(folder=folder, port=port))
        (Path(folder) / "data").mkdir()
        for name in ("alice", "bob"):
            command = ["prosodyctl", "--config", str(config), "adduser", f"{name}@example.test"]
            password = "secret\nsecret\n"
            subprocess.run(command, input=password, text=True, check=True, capture_output=True)
        run = ["prosody", "--config", str(config), "-F"]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(run, stdout=quiet, stderr=quiet) as process:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                threading.Event().wait(0.05)
            yield process.pid
            process.kill()


def rates(port: int) -> tuple[float, float]:
    """Messages per second: sent at once, and in turn."""
    alice = Client(port, "alice", "garden", online=True)
    bob = Client(port, "bob", "home", online=True)
    message = (
        b"<message to='bob@example.test/home' type='chat' id='m%d'>"
        b"<body>Wherefore art thou, Romeo?</body></message>"
    )
    data = b"".join(message % n for n in range(MESSAGES))
    began = time.perf_counter()
    sender = threading.Thread(target=alice.socket.sendall, args=(data,))
    sender.start()
    bob.count(b"</message>", MESSAGES)
    at_once = MESSAGES / (time.perf_counter() - began)
    sender.join()
    began = time.perf_counter()
    for n in range(TURNS):
        alice.socket.sendall(message % n)
        bob.count(b"</message>", 1)
    in_turn = TURNS / (time.perf_counter() - began)
    return at_once, in_turn


def memory(process: int) -> int:
    """The resident memory of a process, in bytes."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * 4096


def idle_cost(port: int, process: int) -> float:
    """The memory that an idle connection costs the server, in bytes."""
    warm = [Client(port, "alice", f"warm{n}") for n in range(50)]
    before = memory(process)
    clients = [Client(port, "bob" if n % 2 else "alice", f"idle{n}") for n in range(IDLE)]
    cost = (memory(process) - before) / IDLE
    for client in (*warm, *clients):
        client.socket.close()
    return cost


def measure(
    name: str, server: Callable[[int], AbstractContextManager[int]], port: int
) -> tuple[float, float, float]:
    """Messages per second at once and in turn, and bytes per idle connection; best of three."""
    runs = []
    for _ in range(3):
        with server(port) as process:
            at_once, in_turn = rates(port)
        with server(port) as process:
            runs.append((at_once, in_turn, idle_cost(port, process)))
    at_once, in_turn = max(run[0] for run in runs), max(run[1] for run in runs)
    cost = min(run[2] for run in runs)
    print(
        f"xmpp: {name:8} {at_once:9,.0f} stanzas/s at once {in_turn:8,.0f} in turn "
        f"{cost / 1024:6.1f} KiB an idle connection"
    )
    return at_once, in_turn, cost


def beside_prosody() -> None:
    """Prints the figures of both servers, and their ratios."""
    our_figures = measure("ours", ours, 15_400)
    if not shutil.which("prosody"):
        print("xmpp: no Prosody here to compare with (apt-get install prosody)")
        return
    theirs = measure("Prosody", prosody, 15_401)
    first, second, third = (our / their for our, their in zip(our_figures, theirs, strict=True))
    print(f"xmpp: ratio    {first:9.2f} (aim 8) {second:21.2f} {third:18.2f} (aim: 16 KiB)")


ROWS = [beside_prosody]

if __name__ == "__main__":
    beside_prosody()

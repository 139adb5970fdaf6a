# apt-get install: prosody
"""Our XMPP server and a private Prosody talk to each other, in both directions."""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from comms.clock import RealClock
from comms.host import RealHost
from comms.settings import Server
from comms.xmpp import Client, Jid, Message, stanzas
from fakes import World
from tests.real import end, free_port, in_the_foreground, need, wait_for_port
from tests.test_real_jabber_pages import deployed

pytestmark = pytest.mark.real

ALICE, JEREMY = "alice@example.test", "jeremy@jabber.test"
CONFIG = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
plugin_paths = {{ "{folder}" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {client_port} }}
s2s_ports = {{ {port} }}
s2s_require_encryption = true
s2s_secure_auth = {secure}
ssl = {{ certificate = "{chain}"; key = "{key}"; cafile = "{ca_file}" }}
authentication = "internal_hashed"
log = {{ debug = "{folder}/prosody.log" }}
modules_enabled = {{ "roster"; "saslauth"; "tls"; "presence"; "message"; "iq"; "c2s"; "s2s";
    "dialback"; "disco"; "offline"; "ping"; "fakes_address" }}
VirtualHost "jabber.test"
Component "rooms.jabber.test" "muc"
"""
# Names are not resolved: every other server is where ours is.
ADDRESS = """
module:set_global();
local basic = require "net.resolvers.basic";
require "net.resolvers.service".new = function () return basic.new("127.0.0.1", {port}, "tcp"); end
"""


@contextlib.contextmanager
def prosody(folder: Path, world: World, port: int, secure: bool) -> Iterator[Server]:
    """Runs Prosody, which trusts the authority of the world; yields the settings of an account."""
    daemon, control = need("prosody", "prosody"), need("prosodyctl", "prosody")
    config, client_port = folder / "prosody.cfg.lua", free_port()
    address = world.address("xmpp-server")[1]
    (folder / "mod_fakes_address.lua").write_text(ADDRESS.format(port=address))
    config.write_text(
        CONFIG.format(
            folder=folder,
            client_port=client_port,
            port=port,
            secure=str(secure).lower(),
            chain=folder / "chain.pem",
            key=folder / "key.pem",
            ca_file=world.ca_file,
        )
    )
    register = [control, "--config", str(config), "register", "jeremy", "jabber.test", "secret"]
    subprocess.run(register, check=True, capture_output=True, timeout=60)
    process = in_the_foreground([daemon, "--config", str(config), "-F"])
    try:
        wait_for_port(client_port, process)
        wait_for_port(port, process)
        yield Server(
            "xmpp", "127.0.0.1", client_port, "starttls", folder / "ca.pem", "", "secret", "auto",
            10.0, jid=JEREMY,
        )  # fmt: skip
    finally:
        end(process, 20)


@pytest.mark.parametrize("by", ["certificates", "dialback"])
def test_messages_and_presence_cross_both_ways(by: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("jabber.test", "rooms.jabber.test")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(tmp_path / "chain.pem"), append=True)
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certified = by == "certificates"
    xmpp: dict[str, Any] = {"peer_ca": str(tmp_path / "ca.pem") if certified else ""}
    config = {"servers": ["xmpp", "xmpp-server"], "tls": "required", "xmpp": xmpp}
    with contextlib.ExitStack() as stack:
        # Held until the world has its ports, one of which could be the same.
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
            xmpp["peers"] = {"jabber.test": f"127.0.0.1:{port}"}
            world = stack.enter_context(World(config))
        server = stack.enter_context(prosody(tmp_path, world, port, certified))
        alice = world.jabber.actor(ALICE)
        alice.comes("away", "lunch")
        clock = RealClock()
        jeremy = Client(server, clock, RealHost(), accept_subscriptions=[ALICE])
        messages: queue.Queue[Message] = queue.Queue()
        jeremy.on_message(messages.put)
        thread = threading.Thread(target=jeremy.wait, daemon=True)
        thread.start()
        try:
            alice.asks(JEREMY)
            full = f"{JEREMY}/"
            alice.wait_for(
                lambda one: one.kind == "presence" and (one.sender or "").startswith(full)
            )
            alice.says(JEREMY, "hello, \N{SNOWMAN}")
            assert messages.get(timeout=20).text == "hello, \N{SNOWMAN}"
            jeremy.send(stanzas.message(Jid.parse(ALICE), "and <you>", "chat"))
            assert alice.wait_for().body == "and <you>"
            alice.says("nobody@jabber.test", "hello")
            alice.wait_for(lambda one: one.condition == "service-unavailable")
        finally:
            clock.stop()
            thread.join(30)
            jeremy.disconnect()
            clock.close()
        alice.clear()
        place = {"host": "127.0.0.1", "port": server.port, "ca_file": str(server.ca_file)}
        tables = {
            "xmpp": {**place, "jid": JEREMY, "password": "secret"},
            "scenario": {
                "federation": {
                    "people": [ALICE],
                    "notify": [ALICE],
                    "status": ["echo", "up"],
                    "poll": 0.05,
                }
            },
        }
        with deployed("federation", tables, tmp_path):
            alice.wait_for(lambda one: one.body == "I am here.")
            alice.says(JEREMY, "STATUS")
            alice.wait_for(lambda one: one.body == "up")
        proofs = {record.verb for record in world.records if record.protocol == "xmpp-server"}
        assert ("result" in proofs, "auth" in proofs) == (not certified, certified)

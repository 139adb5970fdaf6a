# apt-get install: nodejs
# npm install --global: @xmpp/client@0.14.0
"""A client written by others logs in by SASL2, Bind 2 and FAST: xmpp.js, which needs Node.js 20."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from fakes import World
from fakes.xmpp.stanzas import Stanza
from tests.real import PATIENCE, need, need_npm

pytestmark = pytest.mark.real

ALICE, BOB = "alice@example.test", "bob@example.test"

XMPP_JS = """
const [folder, service] = process.argv.slice(1);

async function main() {
    const { client, xml } = await import(folder + "/@xmpp/client/index.js");
    const account = { domain: "example.test", username: "alice", password: "secret" };
    const xmpp = client({ service, resource: "node", ...account });
    const found = { heard: [], addresses: [] };
    xmpp.on("online", (address) => found.addresses.push(address.toString()));
    const resumed = new Promise((resolve) => {
        xmpp.streamManagement.on("resumed", () => setTimeout(resolve, 50, "resumed"));
    });
    const last = new Promise((resolve) => {
        xmpp.on("stanza", (stanza) => {
            if (!stanza.is("message")) return;
            found.heard.push(stanza.getChildText("body"));
            if (found.heard.length === 2) resolve();
        });
    });
    xmpp.reconnect.delay = 100;
    await xmpp.start();
    await xmpp.send(xml("presence"));
    await last;
    found.addresses.push(await resumed);
    await xmpp.stop();
    await xmpp.start();
    found.token = (await xmpp.fast.fetchToken()).mechanism;
    await xmpp.stop();
    console.log(JSON.stringify(found));
}

main().catch((error) => { console.error(error); process.exit(1); });
"""


def test_xmpp_js_logs_in_gets_a_token_and_comes_back_with_it() -> None:
    # xmpp.js misses the answer to its header if that comes before it has noticed its own write.
    late = [{"where": "stream", "delay": 0.1}]
    with World({"servers": ["xmpp"], "tls": "required", "fault": late}) as world:
        bob = world.jabber.actor(BOB)
        world.jabber.befriend(BOB, ALICE)
        bob.comes()
        service = f"xmpps://localhost:{world.address('xmpps')[1]}"
        with subprocess.Popen(
            [need("node", "nodejs"), "-e", XMPP_JS, need_npm("@xmpp/client"), service],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(world.ca_file)},
        ) as process:
            try:
                online = bob.wait_for(_is_online, PATIENCE, sender=ALICE)
                bob.says(ALICE, "one")
                world.jabber.cut(ALICE)
                bob.says(ALICE, "two")
                output, errors = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert process.returncode == 0, errors
        used = [one.fields["mechanism"] for one in world.records if "mechanism" in one.fields]
    found = json.loads(output)
    first, resumed, second = found["addresses"]
    assert (resumed, found["heard"], found["token"]) == (
        "resumed",
        ["one", "two"],
        "HT-SHA-256-NONE",
    )
    assert first != second
    assert {address.rpartition("/")[0] for address in (first, second)} == {f"{ALICE}/node"}
    assert online.sender == first
    assert used == ["SCRAM-SHA-1", "HT-SHA-256-NONE", "HT-SHA-256-NONE"]


def _is_online(stanza: Stanza) -> bool:
    return stanza.kind == "presence" and stanza.type is None

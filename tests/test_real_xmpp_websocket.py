# apt-get install: curl nodejs
# npm install --global: @xmpp/client@0.14.0
"""Clients written by others on our web server: xmpp.js over WebSocket, and curl for uploads.

xmpp.js needs Node.js 20, whose own WebSocket it uses.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fakes import World
from fakes.xmpp.extensions.upload import UPLOAD
from fakes.xmpp.extensions.websocket import PATH
from tests.real import PATIENCE, need, need_npm

pytestmark = pytest.mark.real

ALICE, BOB = "alice@example.test", "bob@example.test"

XMPP_JS = """
const [folder, service] = process.argv.slice(1);

async function main() {
    const { client, xml } = await import(folder + "/@xmpp/client/index.js");
    const account = { domain: "example.test", username: "alice", password: "secret" };
    const xmpp = client({ service, ...account });
    const found = {};
    xmpp.on("error", (error) => { console.error(error); process.exit(1); });
    const message = new Promise((resolve) => {
        xmpp.on("stanza", (stanza) => { if (stanza.is("message")) resolve(stanza); });
    });
    found.address = (await xmpp.start()).bare().toString();
    await xmpp.send(xml("presence"));
    const ping = xml("iq", { type: "get", to: "example.test" }, xml("ping", "urn:xmpp:ping"));
    found.ping = (await xmpp.iqCaller.request(ping)).attrs.type;
    const body = xml("body", {}, "h\u00e9llo <&> " + "x".repeat(100000));
    await xmpp.send(xml("message", { to: "bob@example.test", type: "chat" }, body));
    found.heard = (await message).getChildText("body");
    await xmpp.stop();
    console.log(JSON.stringify(found));
}

main().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.parametrize("tls", ["off", "required"])
def test_xmpp_js_logs_in_asks_sends_and_hears_over_websocket(tls: str) -> None:
    with World({"servers": ["xmpp"], "tls": tls}) as world:
        bob = world.jabber.actor(BOB)
        bob.comes()
        port = world.address("webhook" if tls == "off" else "webhook-tls")[1]
        address = f"{'ws' if tls == 'off' else 'wss'}://localhost:{port}{PATH}"
        options = ["--experimental-websocket", "-e", XMPP_JS, need_npm("@xmpp/client"), address]
        environment = dict(os.environ)
        if tls != "off":
            environment["NODE_EXTRA_CA_CERTS"] = str(world.ca_file)
        with subprocess.Popen(
            [need("node", "nodejs"), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            try:
                heard = bob.wait_for(timeout=PATIENCE)
                assert heard.body == "héllo <&> " + "x" * 100_000
                bob.says(heard.sender or "", "good <morrow>")
                output, errors = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert process.returncode == 0, errors
    assert json.loads(output) == {"address": ALICE, "ping": "result", "heard": "good <morrow>"}


def test_curl_puts_a_file_into_its_slot_and_gets_it(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)  # so large that curl waits for 100 Continue
    (tmp_path / "a b.bin").write_bytes(content)
    with World({"servers": ["xmpp"], "tls": "optional"}) as world:
        alice = world.jabber.actor(ALICE)
        slot = f"<request xmlns='{UPLOAD}' filename='a b.bin' size='{len(content)}'/>"
        alice.sends(f"<iq type='get' id='1' to='upload.example.test'>{slot}</iq>")
        url = alice.all[-1].element[0][0].get("url") or ""

        def curl(*options: str) -> bytes:
            command = [need("curl", "curl"), "-sS", "--cacert", str(world.ca_file), *options, url]
            return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

        status = ("-o", "/dev/null", "-w", "%{http_code}")
        assert curl("-T", str(tmp_path / "a b.bin"), *status) == b"201"
        assert curl("-T", str(tmp_path / "a b.bin"), *status) == b"409"
        assert curl() == content
        assert [file.content for file in world.jabber.uploads] == [content]
        assert b"\nContent-Length: 3000000\r\n" in curl("--head")

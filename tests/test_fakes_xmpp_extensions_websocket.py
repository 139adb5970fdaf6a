"""Where the web server of a world has streams over WebSocket, and how that is found (XEP-0156)."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from xml.etree import ElementTree

import pytest

from fakes import World
from fakes.http import Request, Response
from fakes.wire import Session, TlsFacts
from fakes.xmpp.extensions.websocket import HOST_META, PATH, RELATION, XRD
from tests.bare_core import drain
from tests.test_fakes_websocket import FIELDS
from tests.test_fakes_xmpp_framed import CLOSES, OPEN
from tests.websocket_raw import masked, texts
from tests.xmpp_raw import world

HEAD = "".join(f"{name}: {value}\r\n" for name, value in FIELDS.items())
UPGRADE = f"GET {PATH} HTTP/1.1\r\n{HEAD}\r\n".encode()


def got(place: World, raw: bytes) -> bytes:
    """What the web server answers."""
    core = place.core("webhook")
    core.receive(raw)
    return drain(core)


def test_a_stream_is_opened_on_the_port_of_the_web_server() -> None:
    with World({"servers": ["xmpp"], "tls": "off"}) as place:
        with socket.create_connection(place.address("webhook"), timeout=5) as connection:
            # The first message may come with the request.
            connection.sendall(UPGRADE + masked(OPEN) + masked(CLOSES))
            received = b""
            while piece := connection.recv(1000):
                received += piece
        head, _, rest = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Content-Length" not in head
        opened, features, *end = texts(rest)
        assert opened.startswith("<open ") and features.startswith("<stream:features ")
        assert end == [CLOSES, "close 1000"]
        assert [record.verb for record in place.records if record.protocol == "xmpp"][:2] == [
            "stream",
            "",
        ]


def test_the_core_that_takes_over_knows_the_tls_of_the_connection() -> None:
    core: Session = world(tls="required").core("webhook")
    core.secured(TlsFacts("TLSv1.3"))
    core.receive(UPGRADE)
    drain(core)
    stream = core.hand_over()
    stream.receive(masked(OPEN))
    assert "mechanism" in texts(drain(stream))[1]


def test_a_page_of_a_browser_and_an_extension_that_is_off() -> None:
    place = world()
    assert b"426 Upgrade Required" in got(place, f"GET {PATH} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert got(place, UPGRADE).startswith(b"HTTP/1.1 101 ")
    assert got(place, UPGRADE.replace(b"chat, xmpp", b"chat")).startswith(b"HTTP/1.1 400 ")
    assert place.webhook.all == []
    off = world(off={"xmpp": ["websocket"]})
    assert got(off, UPGRADE).startswith(b"HTTP/1.1 200 ")
    assert len(off.webhook.all) == 1


def answer(place: World, path: str, secure: bool = True) -> Response | None:
    request = Request("GET", path, "HTTP/1.1", {"host": "h"}, secure=secure)
    return place.jabber.service.serve(request)


def test_host_meta_names_the_address_inside_tls_only() -> None:
    place = world(tls="optional")
    found = answer(place, HOST_META)
    assert found is not None and found.type == "application/xrd+xml"
    link = {"rel": RELATION, "href": "wss://example.test/xmpp-websocket"}
    [element] = ElementTree.fromstring(found.text)
    assert (element.tag, element.attrib) == (f"{{{XRD}}}Link", link)
    assert found.headers == {"Access-Control-Allow-Origin": "*"}
    found = answer(place, f"{HOST_META}.json")
    assert found is not None and found.type == "application/jrd+json"
    assert json.loads(found.text) == {"links": [link]}
    found = answer(place, HOST_META, secure=False)
    assert found is not None and found.status == 404
    assert answer(place, f"{HOST_META}.yaml") is None
    elsewhere = world(tls="optional", xmpp={"web_url": "https://x.test/"})
    found = answer(elsewhere, f"{HOST_META}.json")
    assert found is not None and "wss://x.test/xmpp-websocket" in found.text


def test_host_meta_is_read_by_a_client_of_https() -> None:
    with World({"servers": ["xmpp"], "tls": "optional"}) as place:
        port = place.address("webhook-tls")[1]
        context = ssl.create_default_context(cafile=place.ca_file)
        url = f"https://localhost:{port}{HOST_META}.json"
        with urllib.request.urlopen(url, timeout=5, context=context) as response:
            [link] = json.loads(response.read())["links"]
        assert link["href"] == f"wss://localhost:{port}{PATH}"
        host, port = place.address("webhook")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{host}:{port}{HOST_META}", timeout=5)

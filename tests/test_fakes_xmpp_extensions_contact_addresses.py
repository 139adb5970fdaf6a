"""XEP-0157: where to reach those who run the server."""

from __future__ import annotations

import base64
import hashlib

import pytest

from fakes import World
from fakes.config import WorldError
from fakes.xmpp.extensions.disco import INFO
from fakes.xmpp.markup import serialize
from fakes.xmpp.stanzas import parse_stanza
from tests.xmpp_raw import Client, bound, login, world

ADDRESSES = {"admin": ["mailto:ops@example.test", "xmpp:ops@example.test"], "abuse": ["urn:x"]}
FORM = (
    "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>"
    "<value>http://jabber.org/network/serverinfo</value></field>"
    "<field var='abuse-addresses'><value>urn:x</value></field><field var='admin-addresses'>"
    "<value>mailto:ops@example.test</value><value>xmpp:ops@example.test</value></field></x>"
)


def forms(place: World) -> list[str]:
    query = f"<iq type='get' id='1' to='example.test'><query xmlns='{INFO}'/></iq>"
    [answer] = parse_stanza(bound(place).says(query.encode())).element
    return [serialize(one) for one in answer if one.tag == "{jabber:x:data}x"]


def test_disco_has_the_addresses_of_the_world_file() -> None:
    assert forms(world(xmpp={"contact_addresses": ADDRESSES})) == [FORM]


@pytest.mark.parametrize(
    "config",
    [{}, {"xmpp": {"contact_addresses": ADDRESSES}, "off": {"xmpp": ["contact-addresses"]}}],
)
def test_without_addresses_and_switched_off_there_is_no_form(config: dict[str, object]) -> None:
    assert forms(world(**config)) == []


def test_the_capabilities_of_the_server_are_hashed_with_the_form() -> None:
    place = world(xmpp={"contact_addresses": ADDRESSES})
    client = Client(place)
    offered = client.says(login("romeo"))
    query = f"<iq type='get' id='1' to='example.test'><query xmlns='{INFO}'/></iq>"
    [answer] = parse_stanza(client.says(query.encode())).element
    features = sorted(one.get("var", "") for one in answer.iter(f"{{{INFO}}}feature"))
    form = [
        "http://jabber.org/network/serverinfo", "abuse-addresses", "urn:x",
        "admin-addresses", "mailto:ops@example.test", "xmpp:ops@example.test",
    ]  # fmt: skip
    text = "".join(f"{one}<" for one in ("server/im//fakes", *features, *form))
    ver = base64.b64encode(hashlib.sha1(text.encode()).digest())
    assert b"ver='%b'" % ver in offered


def test_what_is_not_a_uri_is_refused() -> None:
    with pytest.raises(WorldError, match=r"contact_addresses: 'ops' is not a URI; write mailto:"):
        world(xmpp={"contact_addresses": {"status": ["ops"]}})
    with pytest.raises(WorldError, match=r"contact_addresses\.boss: unknown key; known keys: abu"):
        world(xmpp={"contact_addresses": {"boss": []}})

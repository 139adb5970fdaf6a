"""XEP-0215: which services clients learn about, and their logins to them."""

from __future__ import annotations

import base64
import hmac
from typing import Any, cast

import pytest

from fakes import World
from fakes.config import WorldError
from fakes.transcripts.recorder import render
from fakes.xmpp.extensions.external_services import EXTDISCO, ExternalServices
from fakes.xmpp.policy import ExternalService
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.xmpp_raw import Client, bound, world

STUN = {"host": "stun.example.test", "type": "stun", "port": 3478, "transport": "udp"}
TURN = {"host": "turn.example.test", "type": "turn", "secret": "hush", "lifetime": 60}
FTP = {"host": "ftp.example.test", "type": "ftp", "username": "u", "password": "p", "name": "Files"}
HIDDEN = {**FTP, "port": 21, "restricted": True}
SHOWN = "<service host='ftp.example.test' name='Files'{} type='ftp' username='u' password='p'/>"


def place(*services: dict[str, Any], **config: Any) -> World:
    return world(xmpp={"external_services": list(services)}, **config)


def ask(client: Client, payload: str, type: str = "get") -> Stanza:
    sent = f"<iq type='{type}' id='1' to='example.test'>{payload}</iq>"
    return parse_stanza(client.says(sent.encode()))


def listed(client: Client, of: str = "") -> str:
    """What is answered to a request for services."""
    wanted = f" type='{of}'" if of else ""
    return ask(client, f"<services xmlns='{EXTDISCO}'{wanted}/>").content.decode()


def credentials(client: Client, *services: str) -> Stanza:
    inner = "".join(f"<service {one}/>" for one in services)
    return ask(client, f"<credentials xmlns='{EXTDISCO}'>{inner}</credentials>")


def test_services_are_listed_and_filtered_by_type() -> None:
    client = bound(place(STUN, FTP))
    stun = "<service host='stun.example.test' port='3478' transport='udp' type='stun'/>"
    ftp = SHOWN.format(" restricted='true'")
    assert listed(client) == f"<services xmlns='{EXTDISCO}'>{stun}{ftp}</services>"
    assert listed(client, "stun") == f"<services xmlns='{EXTDISCO}' type='stun'>{stun}</services>"
    assert listed(client, "x") == f"<services xmlns='{EXTDISCO}' type='x'/>"
    assert listed(bound(world())) == f"<services xmlns='{EXTDISCO}'/>"


def test_a_restricted_service_shows_its_login_on_request() -> None:
    client = bound(place(HIDDEN, STUN))
    assert "password" not in listed(client)
    for more in ("", " port='21'"):
        found = credentials(client, f"host='ftp.example.test' type='ftp'{more}")
        shown = SHOWN.format(" port='21' restricted='true'")
        assert found.content.decode() == f"<credentials xmlns='{EXTDISCO}'>{shown}</credentials>"


def test_a_login_made_from_the_secret_is_for_one_user_and_expires() -> None:
    client = bound(place(TURN))
    [service] = credentials(client, "host='turn.example.test' type='turn'").element[0]
    until, _, user = (service.get("username") or "").partition(":")
    assert user == "romeo@example.test"
    assert service.get("expires") == "2026-01-05T00:01:00Z" and until.isdigit()
    digest = hmac.digest(b"hush", (service.get("username") or "").encode(), "sha1")
    assert service.get("password") == base64.b64encode(digest).decode()


def test_no_transcript_shows_a_login() -> None:
    server = place({**FTP, "password": "hush1"}, {**HIDDEN, "password": "hush2"})
    client = bound(server)
    assert "password='hush1'" in listed(client)
    found = credentials(client, "host='ftp.example.test' type='ftp' port='21'")
    assert "password='hush2'" in found.content.decode()
    shown = render(server.recording)
    assert "hush" not in shown and shown.count("username='u' password='*'") == 2


@pytest.mark.parametrize(
    ("services", "condition"),
    [
        ([], "bad-request"),
        (["type='ftp'"], "bad-request"),
        (["host='ftp.example.test'"], "bad-request"),
        (["host='ftp.example.test' type='ftp' port='22'"], "item-not-found"),
        (["host='stun.example.test' type='stun'"], "item-not-found"),
        (["host='x' type='turn'"], "item-not-found"),
        (["host='x' type='x'"] * 101, "bad-request"),
    ],
)
def test_a_login_that_there_is_not_is_an_error(services: list[str], condition: str) -> None:
    assert credentials(bound(place(HIDDEN, STUN)), *services).condition == condition


def test_only_users_of_this_server_ask_and_nobody_changes_anything() -> None:
    where = place(FTP)
    services = f"<services xmlns='{EXTDISCO}'/>"
    assert ask(bound(where), services, "set").condition == "bad-request"
    where.jabber.inject(
        f"<iq type='get' id='1' from='eve@far.test/x' to='example.test'>{services}</iq>"
    )
    off = bound(place(FTP, off={"xmpp": ["external-services"]}))
    assert ask(off, services).condition == "service-unavailable"


def test_changes_are_pushed_to_those_who_have_asked() -> None:
    where = place(STUN, FTP)
    romeo, juliet, silent = bound(where), bound(where, "juliet"), bound(where, "romeo", "silent")
    listed(romeo, "stun")
    listed(juliet)
    external = cast("ExternalServices", where.jabber.service.extensions.named("external-services"))
    external.offer(
        [ExternalService("new.example.test", "stun"), ExternalService("ftp.example.test", "ftp")]
    )
    pushed = parse_stanza(romeo.hears())
    assert (pushed.type, pushed.sender) == ("set", "example.test")
    assert pushed.content.decode() == (
        f"<services xmlns='{EXTDISCO}' type='stun'>"
        "<service action='delete' host='stun.example.test' port='3478' transport='udp'"
        " type='stun'/><service action='add' host='new.example.test' type='stun'/></services>"
    )
    actions = [
        (one.get("action"), one.get("host")) for one in parse_stanza(juliet.hears()).element[0]
    ]
    assert actions == [
        ("delete", "stun.example.test"),
        ("add", "new.example.test"),
        ("modify", "ftp.example.test"),
    ]
    assert silent.hears() == b""
    assert romeo.says(f"<iq type='result' id='{pushed.id}' to='example.test'/>".encode()) == b""


def test_a_service_has_a_host_and_a_type() -> None:
    with pytest.raises(
        WorldError, match=r"external_services\.type: missing; write type = \"turn\""
    ):
        place({"host": "x"})

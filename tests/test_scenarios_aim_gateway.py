"""aim-gateway: both links cut at every unit, and names that become addresses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from comms.xmpp import Jid
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.jabber.aim_gateway import GATE
from scenarios.jabber.aim_gateway_desk import contact_address, contact_name
from tests import drills

PAGE = catalogue.named("aim-gateway")
ACT = PAGE.acts()[0]


@pytest.mark.parametrize(
    ("name", "local"),
    [("Juliet", "juliet"), ("Romeo My Romeo", "romeomyromeo"), ("a@b.test", "a\\40b.test")],
)
def test_a_screen_name_is_an_address_and_back(name: str, local: str) -> None:
    component: Any = SimpleNamespace(domain=Jid.parse(GATE))
    address = contact_address(name, component)
    assert str(address) == f"{local}@{GATE}"
    assert contact_name(address) == name.replace(" ", "").lower()


RECORDS = [one for one in rehearsal.rehearse(PAGE, ACT).recording if isinstance(one, Record)]


@pytest.mark.parametrize("fault", drills.none_quick(drills.cuts(RECORDS), "component"))
def test_a_cut_link_carries_nothing_twice_and_ends_no_gateway(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert performance.tracebacks == []
    sent = [
        (one.protocol, one.verb, one.raw)
        for one in performance.recording
        if isinstance(one, Record) and one.direction == "C"
    ]
    assert sum(b"thou" in raw for _, _, raw in sent) <= 1
    assert sum(verb == "message" and b"Ay" in raw for _, verb, raw in sent) <= 1
    ends = [event["text"] for event in performance.events if event["level"] == "end"]
    first = "component" in fault and any(
        part in fault for part in ("connect nth 1", "stream nth 1", "handshake nth 1")
    )
    assert ends == [] or first, ends

"""Roster pushes: to whom they go, and with which version."""

from __future__ import annotations

import re

from fakes.xmpp.markup import ROSTER
from fakes.xmpp.stanzas import parse_stanza
from tests.xmpp_raw import bound, world

GET = f"<iq type='get' id='1'><query xmlns='{ROSTER}'/></iq>".encode()
ADD = f"<iq type='set' id='2'><query xmlns='{ROSTER}'><item jid='a@b.test'/></query></iq>".encode()
REMOVE = ADD.replace(b"/></query>", b" subscription='remove'/></query>")


def pushed(received: bytes) -> list[tuple[str | None, str | None]]:
    """The subscription in each roster push, and the version of the roster."""
    found = re.findall(rb"<iq [^>]*type='set'>.*?</iq>", received)
    queries = [parse_stanza(raw).element[0] for raw in found]
    return [(query[0].get("subscription"), query.get("ver")) for query in queries]


def test_only_resources_that_asked_for_the_roster_get_pushes() -> None:
    place = world()
    asking, silent = bound(place, resource="asking"), bound(place, resource="silent")
    asking.says(GET)
    assert pushed(silent.says(ADD)) == []
    assert [subscription for subscription, _ in pushed(asking.hears())] == ["none"]
    assert pushed(silent.says(REMOVE)) == []
    assert [subscription for subscription, _ in pushed(asking.hears())] == ["remove"]


def test_each_push_has_the_next_version() -> None:
    client = bound(world())
    client.says(GET)
    versions = [pushed(client.says(stanza))[0][1] for stanza in (ADD, ADD, REMOVE)]
    assert versions == ["1", "2", "3"]


def test_without_the_feature_no_push_has_a_version() -> None:
    client = bound(world(off={"xmpp": ["rosterver"]}))
    client.says(GET)
    assert pushed(client.says(ADD)) == [("none", None)]

"""What a client may ask of its roster, and set in it."""

from __future__ import annotations

import re

import pytest

from fakes.xmpp.markup import ROSTER
from fakes.xmpp.roster_requests import NAME
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.xmpp_raw import Client, bound, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


def query(
    client: Client, content: str, type: str = "set", to: str = "", attributes: str = ""
) -> Stanza:
    """Sends a roster query, and returns the answer to it; pushes are dropped."""
    address = f" to='{to}'" if to else ""
    payload = f"<query xmlns='{ROSTER}'{attributes}>{content}</query>"
    received = client.says(f"<iq type='{type}' id='q'{address}>{payload}</iq>".encode())
    found = map(parse_stanza, re.findall(rb"<iq [^>]*/>|<iq .*?</iq>", received))
    return next(stanza for stanza in found if stanza.id == "q")


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        ("", "bad-request"),
        ("<item jid='a@b.test'/><item jid='c@d.test'/>", "bad-request"),
        ("<item jid='a@b.test'/><other xmlns='urn:x'/>", "bad-request"),
        ("<item/>", "bad-request"),
        ("<item jid='@b.test'/>", "jid-malformed"),
        ("<item jid='unknown@b.test' subscription='remove'/>", "item-not-found"),
        (f"<item jid='{ROMEO}'/>", "not-allowed"),
        ("<item jid='a@b.test'><group>A</group><group>A</group></item>", "bad-request"),
        ("<item jid='a@b.test'><group/></item>", "not-acceptable"),
        (f"<item jid='a@b.test' name='{'x' * (NAME + 1)}'/>", "not-acceptable"),
        (f"<item jid='a@b.test'><group>{'x' * (NAME + 1)}</group></item>", "not-acceptable"),
    ],
)
def test_a_set_that_the_rfc_forbids_is_refused_and_changes_nothing(
    content: str, condition: str
) -> None:
    place = world()
    assert query(bound(place), content).condition == condition
    assert place.jabber.roster(ROMEO) == {}


def test_a_set_adds_changes_and_removes_a_contact() -> None:
    place = world()
    client = bound(place)
    longest = "x" * NAME
    for content in (
        f"<item jid='{JULIET}/balcony' name='{longest}'><group>{longest}</group></item>",
        f"<item jid='{JULIET}' name='J'/>",
    ):
        assert query(client, content).type == "result"
    assert {jid: item.name for jid, item in place.jabber.roster(ROMEO).items()} == {JULIET: "J"}
    assert query(client, f"<item jid='{JULIET}' subscription='remove'/>").type == "result"
    assert place.jabber.roster(ROMEO) == {}


@pytest.mark.parametrize("type", ["get", "set"])
def test_nobody_else_reads_or_changes_a_roster(type: str) -> None:
    place = world()
    content = "<item jid='a@b.test'/>" if type == "set" else ""
    assert query(bound(place, "juliet"), content, type, ROMEO).condition == "forbidden"
    assert place.jabber.roster(ROMEO) == {}


def test_a_get_holds_no_items() -> None:
    assert query(bound(world()), "<item jid='a@b.test'/>", "get").condition == "bad-request"


def test_a_client_that_knows_a_version_gets_only_the_changes_since() -> None:
    place = world()
    client = bound(place)
    query(client, "<item jid='a@b.test'/>")
    [whole] = query(client, "", "get").element
    version = whole.get("ver")
    query(client, "<item jid='c@d.test'/>")
    later = bound(place, resource="later")
    answer = later.says(
        f"<iq type='get' id='q'><query xmlns='{ROSTER}' ver='{version}'/></iq>".encode()
    )
    assert b"c@d.test" in answer and b"a@b.test" not in answer


@pytest.mark.parametrize("version", ["", "x", "0-1", "0-", "1-999999999999", "-1"])
def test_a_version_that_the_server_does_not_know_gets_the_whole_roster(version: str) -> None:
    client = bound(world())
    query(client, "<item jid='a@b.test'/>")
    [whole] = query(client, "", "get", attributes=f" ver='{version}'").element
    assert [item.get("jid") for item in whole] == ["a@b.test"]

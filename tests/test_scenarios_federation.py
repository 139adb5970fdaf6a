"""federation and private-server: links that are cut, settings, and who may ask."""

from __future__ import annotations

from typing import Any

import pytest

from comms.errors import SettingsError
from comms.settings import load
from comms.xmpp import Jid
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.jabber import federation, private_server

FEDERATION = catalogue.named("federation")
MAIN = FEDERATION.acts()[0]
PRIVATE = catalogue.named("private-server")
LINK = ("stream", "result", "verify", "message")
CUTS = ("hang up before", "hang up within", "hang up after", "reset", "after 5", "split 1")


@pytest.mark.parametrize(
    ("sender", "verdict"),
    [
        ("ann@partner.test/phone", ""),
        ("ANN@Partner.Test", ""),
        ("ann@partner.test.evil.test", "not on the list"),
        ("ann@partner", "not on the list"),
        ("partner.test", "not on the list"),
        ("ann@p\N{CYRILLIC SMALL LETTER A}rtner.test", "not on the list"),
        ("lobby@conference.evil.test/ann@partner.test", "not on the list"),
        ("carl@shop.test/x", ""),
        ("bob@shop.test", "denied"),
        ("carl@evil.test", "denied"),
    ],
)
def test_the_whole_prepared_address_decides(sender: str, verdict: str) -> None:
    rules = federation.Rules(
        people=("ann@partner.test", "carl@evil.test"),
        domains=("Shop.test",),
        deny=("bob@shop.test", "EVIL.test"),
    )
    assert rules.verdict(Jid.parse(sender)) == verdict


def performed(fault: str) -> tuple[int, list[str]]:
    """How often the command ran, and how the program ended, under a fault."""
    performance = rehearsal.rehearse(FEDERATION, MAIN, [fault])
    events = performance.events
    ran = sum(event["text"].startswith("runs: ") for event in events)
    return ran, [event["text"] for event in events if event["level"] == "end"]


def test_a_link_that_is_cut_answers_nothing_twice() -> None:
    units = [
        (record.verb, record.direction)
        for record in rehearsal.rehearse(FEDERATION, MAIN).recording
        if isinstance(record, Record) and record.protocol == "xmpp-server"
    ]
    assert {verb for verb, direction in units if direction == "C"} >= set(LINK)
    for verb in LINK:
        assert performed(f"xmpp-server {verb} reset times 1")[0] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("verb", LINK)
@pytest.mark.parametrize("cut", CUTS)
def test_each_cut_of_a_link_is_survived(verb: str, cut: str) -> None:
    for nth in (1, 2, 3):
        ran, ends = performed(f"xmpp-server {verb} nth {nth} {cut}")
        assert ran <= 1 and not any("Error" in text for text in ends)


@pytest.mark.parametrize(
    ("name", "rules", "changes", "problem"),
    [
        ("federation", federation.Rules, {"domains": ["ann@partner.test"]}, "too exact"),
        ("federation", federation.Rules, {"deny": ["ann@partner.test/x"]}, "too exact"),
        ("federation", federation.Rules, {"deny": ["@"]}, "deny"),
        ("federation", federation.Rules, {"people": ["@"]}, "people"),
        ("private-server", private_server.Rules, {}, "team"),
        ("private-server", private_server.Rules, {"team": []}, "team"),
        ("private-server", private_server.Rules, {"team": ["a@b"], "report": "no"}, "report"),
    ],
)
def test_settings_that_are_wrong_name_the_key(
    name: str, rules: type[Any], changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        load({"scenario": {name: changes}}).table(name, rules)

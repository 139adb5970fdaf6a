"""sms-alert: what is texted to whom, how often, and that no lost connection loses a text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from comms import settings
from comms.errors import SettingsError
from comms.host import RealHost
from fakes.host import Outcome
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.sending.sms_alert import Rules, texts, within_limit
from scenarios.sending.sms_alert_samples import ANN, BOB
from tests.drills import cuts, sampled, three_of

PAGE = catalogue.named("sms-alert")
ACT = PAGE.acts()[0]


def rules(**changes: object) -> Rules:
    table = {"check": ["true"], "phones": {"5550100123": "verizon"}, "sender": "a@x.test"}
    tables = {"scenario": {"sms-alert": {**table, **changes}}}
    return settings.load(tables, Path("/tmp")).table("sms-alert", Rules)


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        (Outcome(2, "\n disk full \n\n"), "FAILED: disk full"),
        (Outcome(2, ""), "FAILED: no output"),
        (Outcome(None, error="check could not be started"), "FAILED: check could not be started"),
        (Outcome(1, "bell \x07 and ✓"), "FAILED: bell ? and ?"),
        (Outcome(1, "Subject: x\r\n\r\nevil"), "FAILED: Subject: x\n\nevil"),
    ],
)
def test_a_text_is_the_output_of_the_check_or_why_there_is_none(
    outcome: Outcome, ending: str
) -> None:
    [text] = texts("down", outcome, rules(), RealHost())
    assert text.endswith(ending)


def test_a_flood_of_output_becomes_at_most_nine_texts() -> None:
    outcome = Outcome(2, "word " * 10_000)
    assert len(texts("down", outcome, rules(long="split"), RealHost())) == 9
    assert len(texts("down", outcome, rules(), RealHost())) == 1


@pytest.mark.parametrize(
    ("parts", "earlier", "allowed"),
    [(1, [], True), (3, [], True), (4, [], False), (1, [0, 1, 2], True), (1, [900] * 3, False)],
)
def test_all_parts_of_a_text_count_within_the_last_hour(
    parts: int, earlier: list[float], allowed: bool
) -> None:
    assert within_limit(["x"] * parts, earlier, 4000, 3) is allowed


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({"check": []}, r"check: is empty"),
        ({"phones": {}}, r"phones: is empty"),
        ({"long": "drop"}, r"sms-alert\.long"),
        ({"per_hour": 0}, r"sms-alert\.per_hour"),
        ({"carriers": {"x": "no domain"}}, r"carriers\.x"),
        ({"sender": "Ann"}, r"sms-alert\.sender"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, object], error: str) -> None:
    with pytest.raises(SettingsError, match=error):
        rules(**table)


def recorded() -> list[Record]:
    """What crosses the wire in the first act."""
    recording = rehearsal.rehearse(PAGE, ACT).recording
    return [item for item in recording if isinstance(item, Record)]


FOUND = list(cuts(recorded()))
CUTS = sampled(FOUND, three_of(FOUND))


@pytest.mark.parametrize("fault", CUTS)
def test_wherever_the_connection_is_lost_each_phone_gets_both_texts(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert (performance.unmet, performance.tracebacks) == ([], [])
    got = Counter(
        (mail.to[0], b"FAILED" in raw)
        for mail, raw in zip(performance.envelopes, performance.mails, strict=True)
    )
    assert set(got) == {(phone, failed) for phone in (ANN, BOB) for failed in (True, False)}
    # Only a text whose answer was lost may come twice.
    assert sum(got.values()) <= (5 if " . " in fault else 4)

"""urgent-notice: its settings and lines, and a program that is killed or cut off at every step."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.errors import SettingsError
from comms.settings import load
from comms.state import State
from fakes import World
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import urgent_notice
from scenarios.bots.urgent_notice_desk import LONGEST, Notice, parse
from scenarios.bots.urgent_notice_samples import ANN, PEOPLE, PHONES, arrived, is_urgent, reports
from scenarios.rehearsal import rehearse
from tests import drills
from tests.thorough import THOROUGH

PAGE = catalogue.named("urgent-notice")
MAIL = {"mail": "ann@yourco.test"}

# ── the report ───────────────────────────────────────────────────────────────


def test_a_report_says_why_and_not_at_which_port() -> None:
    (act,) = (act for act in PAGE.acts() if act.name == "urgent-channel-fails")
    played = [rehearse(PAGE, act) for _ in range(2)]
    assert played[0].transcript == played[1].transcript, "ports differ each time"
    for line in (
        "message: refused: aim: 901 bob is not available (2026-01-05 00:00:10 UTC)",
        "sms: refused: RCPT TO:<5550100456@sms.acme.test>: 550 5.1.1 no such phone (2026-01-05",
    ):
        assert f" C: {line}" in played[0].transcript


# ── settings ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"people": None}, "people: missing key"),
        ({"sender": None}, "sender: missing key"),
        ({"people": {"ann": {"jabber": ANN}}}, "people: ann needs a mail address"),
        ({"people": {"ann": {**MAIL, "icq": "1"}}}, "unknown network 'icq'"),
        ({"people": {"ann": {**MAIL, "jabber": "yourco.test"}}}, "not a bare Jabber address"),
        ({"people": {"ann": MAIL, "bob": MAIL}}, "is both ann and bob"),
        ({"quiet": ["22:00-07:00"]}, "quiet: '22:00-07:00' are no hours"),
        ({"zone": "Mars"}, "zone: unknown time zone 'Mars'"),
        ({"message": 0}, "message"),
        ({"report": "ops"}, "report"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, table: Mapping[str, Any], words: str) -> None:
    rules = {"people": {"ann": MAIL}, "sender": "a@x.test", **table}
    given = {key: value for key, value in rules.items() if value is not None}
    with pytest.raises(SettingsError, match=re.escape(words)):
        load({"scenario": {"urgent-notice": given}}, tmp_path).table(
            "urgent-notice", urgent_notice.Rules
        )


@pytest.mark.parametrize(
    ("phone", "words"),
    [
        ("verizn 5550100123", "unknown carrier 'verizn' (did you mean 'verizon'?)"),
        ("tmobile 5550100123", "closed on 2024-12-01"),
        ("verizon 555-0100", "have ten digits"),
        ("5550100123", "ann: phone: write it like"),
    ],
)
def test_a_phone_that_gets_no_sms_is_an_error_at_the_start(phone: str, words: str) -> None:
    changes = {"urgent-notice": {"people": {"ann": {**MAIL, "phone": phone}}, "sender": "a@x.test"}}
    with (
        World({**urgent_notice.WORLD, "servers": ["toc", "smtp"]}, rehearsal=True) as world,
        pytest.raises(SettingsError, match=re.escape(words)),
    ):
        tables = {**world.settings, "scenario": changes}
        urgent_notice.run(world.clock, load(tables, world.folder), world.host)


# ── lines ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "notice"),
    [
        ({}, Notice("disk-7", "ann", "full")),
        ({"id": "DISK_7.a"}, Notice("disk_7.a", "ann", "full")),
        ({"wakes": True}, Notice("disk-7", "ann", "full", True)),
        ({"text": " a\nb\x1b "}, Notice("disk-7", "ann", "a b")),
        ({"text": "x" * 10_000}, Notice("disk-7", "ann", "x" * LONGEST + "…")),
        ({"id": 7}, "id: expected"),
        ({"id": ""}, "id: expected"),
        ({"id": "x" * 21}, "id: expected"),
        ({"id": "\u0130"}, "id: expected"),
        ({"to": ["ann"]}, "to: unknown person"),
        ({"to": "an"}, "did you mean 'ann'"),
        ({"to": "x\n" * 999}, "to: unknown person"),
        ({"text": ""}, "text: expected"),
        ({"text": "\x00"}, "text: expected"),
        ({"wakes": "yes"}, "wakes: expected"),
    ],
)
def test_a_line_is_a_notice_or_says_why_not(table: Mapping[str, Any], notice: Notice | str) -> None:
    line = json.dumps({"id": "disk-7", "to": "ann", "text": "full", **table}).encode()
    if isinstance(notice, Notice):
        assert parse(line, {"ann": {}}) == notice
        return
    with pytest.raises(ValueError, match=notice) as caught:
        parse(line, {"ann": {}})
    assert len(str(caught.value)) < 120


values = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["id", "to", "text", "wakes"]), values) | values)
def test_any_json_is_a_notice_or_a_value_error(table: Any) -> None:
    try:
        notice = parse(json.dumps(table).encode(), {"ann": {}})
    except ValueError:
        return
    assert notice.person == "ann" and "\n" not in notice.text


@pytest.mark.parametrize("line", [b"", b"\n", b"\xff", b"{", b"[" * 100_000, b"null", b"3"])
def test_what_is_not_an_object_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        parse(line, {})


# ── drills ───────────────────────────────────────────────────────────────────


def uses(world: World) -> Counter[str]:
    """How often each channel has brought the notice to a person."""
    found = Counter(mail.envelope.to[0] for mail in world.mail.messages)
    found["message"] = sum("URGENT" in im.text for im in world.aim.actor("Bob").heard)
    ann = world.jabber.actor(ANN).messages
    found["message"] += sum("URGENT" in stanza.body for stanza in ann)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("server", "who", "whole"), [("toc", "bob", True), ("xmpp", "ann", False)])
def test_killed_at_any_step_each_channel_is_used_once_or_in_doubt(
    server: str, who: str, whole: bool
) -> None:
    def kill(step: int) -> int:
        times = {"message": 5, "sms": 5, "mail": 5}
        with World(urgent_notice.WORLD, rehearsal=True) as world:
            _, bob = arrived(world)
            bob.signs_on()
            rules = {**urgent_notice.WORLD["scenario"]["urgent-notice"], **times}
            tables = {**world.settings, "scenario": {"urgent-notice": rules}}
            del tables[{"toc": "xmpp", "xmpp": "toc"}[server]]
            site = load(tables, world.folder)
            world.clock.at(7, is_urgent(world, "disk-7", who, "full"))
            world.clock.until(30)
            with drills.dying(step) as death:
                urgent_notice.run(world.clock, site, world.host)
            world.clock.until(world.clock.elapsed + 60)
            code = urgent_notice.run(world.clock, site, world.host)
            found = uses(world)
            with State(world.folder / "urgent-notice.sqlite3") as state:
                rows = state.rows("SELECT channel, result FROM urgent_result")
            results = {str(channel): str(result) for channel, result in rows}
            places = {"message": "message", "sms": PHONES[who], "mail": PEOPLE[who]["mail"]}
            assert [*results] == [*places] and code == 0
            for channel, place in places.items():
                assert found[place] <= 1, (step, found)
                # Nothing is called sent that was not, and what was not sent is in doubt.
                doubt = results[channel].startswith("in doubt")
                assert found[place] or doubt, (step, results, found)
                assert doubt or results[channel].startswith("sent"), (step, results)
            assert len(reports(world)) == 1 or death.came, step
            assert len(reports(world)) <= 1, step
            return 0 if death.came else death.taken

    steps = kill(0)
    assert steps > 50
    every = range(1, steps + 1)
    some = every[:: steps // 9] if whole else drills.three_of(every)
    assert all(kill(step) == 0 for step in (every if whole and THOROUGH else some))


@pytest.mark.slow
def test_wherever_the_connection_is_cut_no_channel_is_used_twice() -> None:
    act = next(act for act in PAGE.acts() if act.name == "urgent-restart")
    records = [item for item in rehearse(PAGE, act).recording if isinstance(item, Record)]
    found = list(drills.cuts(records))
    smtp = [cut for cut in found if drills.protocol(cut) == "smtp"]
    others = [cut for cut in found if drills.protocol(cut) != "smtp"]
    for cut in smtp[:: 1 if THOROUGH else 25] + others[:: 5 if THOROUGH else 60]:
        performance = rehearse(PAGE, act, [cut])
        sent = Counter(
            record.raw.count(b"URGENT disk-7")
            for record in performance.recording
            if isinstance(record, Record)
            and (record.direction, record.verb) == ("C", "message")
            and b"URGENT" in record.raw
        )
        mails = Counter(
            (mail.to[0], raw[: raw.find(b"Date:")])
            for mail, raw in zip(performance.envelopes, performance.mails, strict=True)
        )
        assert sum(sent.values()) <= 1 and max(mails.values(), default=0) <= 1, cut
        assert performance.tracebacks == [], cut

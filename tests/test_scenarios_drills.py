"""The alert of apache-alert under every kind of fault, at every unit of its session."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fakes.faults import Fault
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.sending.apache_alert import ADMINS
from tests.drills import first_middle_last

ALERT = catalogue.named("apache-alert")
CRASH = ALERT.acts()[0]


def units() -> list[tuple[str, int]]:
    """(verb, its occurrence number) of each unit of the session, where a fault may happen."""
    seen: Counter[str] = Counter({"connect": 1})
    found = [("connect", 1)]
    for record in rehearsal.rehearse(ALERT, CRASH).recording:
        if isinstance(record, Record) and record.direction == "C":
            seen[record.verb] += 1
            found.append((record.verb, seen[record.verb]))
    return found


KINDS: list[dict[str, Any]] = [
    {"hang_up": "before"},
    {"hang_up": "within"},
    {"hang_up": "after"},
    {"reset": True},
    {"after": 0},
    {"after": 5},
    {"stall": True},
    {"delay": 7.0},
    {"split": 1},
    {"lost": "stored"},
    {"lost": "unstored"},
    {"reply": "421 4.3.2 closing"},
    {"reply": "451 4.3.0 later"},
    {"reply": "550 5.7.1 never"},
    {"reply": "what is this"},
    {"refuse": True},
]


def drills() -> list[Fault]:
    found = []
    for verb, nth in units():
        for kind in KINDS:
            if (verb == "connect" and "lost" in kind) or (verb != "connect" and "refuse" in kind):
                continue
            found.append(Fault(verb, "smtp", nth=nth, **kind))
    return found


def finally_refused(fault: Fault) -> set[str]:
    """Who never gets the alert: 5yz to the recipient, to the sender, or to the message."""
    if not (fault.reply or "").startswith("550"):
        return set()
    if fault.where == "rcpt":
        return {ADMINS[(fault.nth or 1) - 1]}
    return set(ADMINS) if fault.where in ("mail", "data", ".") else set()


def sent_twice(fault: Fault) -> bool:
    """Whether the server stored the message, but the program cannot know and sends it again."""
    # Half a reply is enough if it has the code: nothing is sent again for a lost CRLF.
    return fault.where == "." and (fault.after == 0 or fault.lost == "stored")


SAMPLED = first_middle_last(drills(), lambda fault: (fault.where, fault.nth))


@pytest.mark.slow
@pytest.mark.parametrize("fault", SAMPLED, ids=str)
def test_the_monitor_goes_on_and_both_administrators_are_notified(fault: Fault) -> None:
    performance = rehearsal.rehearse(ALERT, CRASH, [str(fault)])
    assert performance.unmet == []
    events = performance.events
    ends = [event["text"] for event in events if event["level"] == "end"]
    assert ends == [], "no fault of the mail server ends the monitor"
    printed = [event["text"] for event in events if event["level"] == "say"]
    assert printed == ["** Process is down"]
    got = Counter(address for mail in performance.envelopes for address in mail.to)
    for address in ADMINS:
        refused = address in finally_refused(fault)
        wanted = 0 if refused else 2 if sent_twice(fault) else 1
        assert got[address] == wanted, f"{address} got {got[address]} mails"
    for raw in performance.mails:
        assert b"Date: Mon, 05 Jan 2026 00:01:05 +0000" in raw, "the date of the alert"
    logged = {
        address
        for address in ADMINS
        if any(f"alert-refused to={address}" in event["text"] for event in events)
    }
    assert logged == finally_refused(fault), "a final refusal is logged"

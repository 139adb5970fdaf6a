"""The alert under every fault of the grammar, at every unit of its session."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fakes.faults import Fault
from fakes.wire import Record
from scenarios import __main__ as command
from scenarios import catalogue
from scenarios.sending.apache_alert import ADMINS
from tests.drills import first_middle_last

ALERT = catalogue.named("apache-alert")
CRASH = command.acts(ALERT)[0]


def units() -> list[tuple[str, int]]:
    """Each place of the alert's one session where a fault may strike: verb, and the how-manieth of it."""
    seen: Counter[str] = Counter({"connect": 1})
    found = [("connect", 1)]
    for one in command.rehearse(ALERT, CRASH).recording:
        if isinstance(one, Record) and one.direction == "C":
            seen[one.verb] += 1
            found.append((one.verb, seen[one.verb]))
    return found


WHATS: list[dict[str, Any]] = [
    {"hang_up": "before"}, {"hang_up": "within"}, {"hang_up": "after"}, {"reset": True}, {"after": 0}, {"after": 5}, {"stall": True},
    {"delay": 7.0}, {"split": 1}, {"lost": "stored"}, {"lost": "unstored"}, {"reply": "421 4.3.2 closing"},
    {"reply": "451 4.3.0 later"}, {"reply": "550 5.7.1 never"}, {"reply": "what is this"}, {"refuse": True},
]  # fmt: skip


def drills() -> list[Fault]:
    found = []
    for verb, nth in units():
        for what in WHATS:
            if (verb == "connect" and "lost" in what) or (verb != "connect" and "refuse" in what):
                continue
            found.append(Fault(verb, "smtp", nth=nth, **what))
    return found


def final_refusals(fault: Fault) -> set[str]:
    """Who is refused for good by this fault: 5yz to the recipient, to the sender, or to the message."""
    if not (fault.reply or "").startswith("550"):
        return set()
    if fault.where == "rcpt":
        return {ADMINS[fault.nth - 1]}
    return set(ADMINS) if fault.where in ("mail", "data", ".") else set()


def stored(fault: Fault) -> bool:
    """Whether the message was stored although the program could not hear so: then the alert comes a second time."""
    # half a reply that has its code is a reply: nobody is told twice for the sake of a lost CRLF
    return fault.where == "." and (fault.after == 0 or fault.lost == "stored")


SAMPLED = first_middle_last(drills(), lambda fault: (fault.where, fault.nth))


@pytest.mark.parametrize("fault", SAMPLED, ids=str)
def test_the_monitor_goes_on_and_both_are_told(fault: Fault) -> None:
    performance = command.rehearse(ALERT, CRASH, [str(fault)])
    assert performance.unmet == []
    ends = [one.text for one in performance.recording if not isinstance(one, Record) and "ends with" in one.text]
    assert ends == [], "a fault of the mail server never ends the monitor"
    said = [one.text for one in performance.recording if not isinstance(one, Record) and one.level == "say"]
    assert said == ["** Process is down"]
    got = Counter(address for mail in performance.envelopes for address in mail.to)
    for address in ADMINS:
        wanted = 0 if address in final_refusals(fault) else 2 if stored(fault) else 1
        assert got[address] == wanted, f"{address} got {got[address]} mails"
    for raw in performance.mails:
        assert b"Date: Mon, 05 Jan 2026 00:01:05 +0000" in raw, "the time at which the alert arose"
    refused = {
        address for address in ADMINS if any(f"alert-refused to={address}" in str(one) for one in performance.recording)
    }
    assert refused == final_refusals(fault), "who was refused for good is reported"

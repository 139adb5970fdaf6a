"""Claims point at what proves them: at a mail, a message, a line, a command, a record."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from fakes.host import Event
from fakes.mail import Envelope, Mail
from scenarios import catalogue, rehearsal
from scenarios.errors import PageError
from scenarios.play import Act, Claim, Program, Scenario, equal, holds, sent, told

if TYPE_CHECKING:
    from fakes import World

PAGE = catalogue.named("apache-alert")
CRASH = PAGE.acts()[0]
SUBJECT = b"Subject: Apache is down on web1.yourco.test"


def shown(shows: Any) -> list[Any]:
    """What a claim at the end of the crash points at, if its evidence is `shows(world)`."""

    def play(world: World, program: Program) -> Iterator[Claim]:
        list(CRASH.play(world, program))
        yield equal("it is shown", 1, 1, shows=shows(world))

    act = Act(1, "crash", play, True, CRASH.world, {})
    performance = rehearsal.rehearse(PAGE, act)
    (claim,) = performance.claims
    assert claim.until == len(performance.recording)
    return [performance.recording[position] for position in claim.items]


def test_a_line_that_was_printed_is_shown_by_its_event() -> None:
    (event,) = shown(lambda world: world.said)
    assert (event.level, event.text) == ("say", "** Process is down")


def test_a_mail_is_shown_by_the_message_on_the_wire() -> None:
    (record,) = shown(lambda world: world.mail.inbox("jeremy@yourco.test"))
    assert record.verb == "." and SUBJECT in record.raw


def test_records_and_events_are_shown_by_themselves() -> None:
    found = shown(lambda world: [*sent(world, "MAIL", "RCPT"), *told(world, "alert-sent")])
    assert [getattr(one, "verb", "event") for one in found] == [
        *("MAIL", "RCPT", "RCPT"),
        *("event", "event"),
    ]


@pytest.mark.parametrize(
    "evidence",
    [
        "never printed",
        ("never", "ran"),
        Event(0.0, "web1.yourco.test", "never happened"),
        Mail(b"Subject: never sent\r\n\r\n", Envelope("", ()), queue_id="q"),
    ],
    ids=["line", "command", "event", "mail"],
)
def test_evidence_that_is_not_in_the_recording_is_a_mistake_in_the_page(evidence: object) -> None:
    with pytest.raises(PageError, match=r"it is shown: not in the recording: .*never"):
        shown(lambda world: [evidence])


def test_a_claim_without_evidence_is_about_everything_until_it_is_made() -> None:
    scenario = Scenario({})

    @scenario.act("waits")
    def waits(world: World, program: Program) -> Iterator[Claim]:
        """Two claims, with an event between them."""
        yield holds("nothing yet", not world.events, None)
        world.tell("web1", "something happens")
        yield holds("something", world.events, None)

    claims = rehearsal.rehearse(PAGE, scenario.acts[0]).claims
    assert [(claim.items, claim.until) for claim in claims] == [((), 0), ((), 1)]


@pytest.mark.parametrize(
    ("scenario", "act", "text"),
    [
        ("aim-hello", "aim-send-im", b"toc_send_im"),
        ("jabber-hello", "jabber-hello", b"<message"),
    ],
)
def test_a_message_is_shown_by_what_the_program_sent(scenario: str, act: str, text: bytes) -> None:
    page = catalogue.named(scenario)
    (played,) = [one for one in page.acts() if one.name == act]
    performance = rehearsal.rehearse(page, played)
    (claim,) = [one for one in performance.claims if "greeted" in one.text]
    (position,) = claim.items
    assert text in getattr(performance.recording[position], "raw", b"")

"""The table of what each fault breaks."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fakes.drills import DRILLS
from fakes.faults import Drill
from scenarios import matrix, rehearsal
from scenarios.catalogue import Page
from scenarios.docstring import Docstring
from scenarios.errors import PageError
from scenarios.play import Act, Claim, Program, Scenario, equal, holds

if TYPE_CHECKING:
    from comms.clock import Clock
    from comms.host import Host
    from comms.settings import Settings
    from fakes import World


def run(clock: Clock, settings: Settings, host: Host) -> int:
    server = settings.server("smtp")
    with smtplib.SMTP(server.host, server.port, "client.example") as client:
        client.sendmail("alice@example.test", ["bob@example.test"], "Subject: hi\r\n\r\n")
    return 0


scenario = Scenario({"servers": ["smtp"]})


@scenario.act("sends")
def sends(world: World, program: Program) -> Iterator[Claim]:
    """A mail is sent."""
    world.clock.until(60)
    code = program()
    yield equal("bob gets it", len(world.mail.inbox("bob@example.test")), 1)
    yield equal("the program ends well", code, 0)


@scenario.act("rests", servers=["smtp", "pop3"])
def rests(world: World, program: Program) -> Iterator[Claim]:
    """Nothing is sent."""
    yield holds("nothing is sent", not world.mail.messages, world.mail.messages)


class Sending(Page):
    """A page without a file."""

    def run(self, book: bool = False, mended: int = 0) -> Any:
        return run


def page(*faults: tuple[str, str]) -> Page:
    doc = Docstring("Send", "Listing 0", ("SMTP",), (), None, {}, faults)
    return Sending("sends", Path(__file__), "tests", doc)


@pytest.fixture
def few_drills(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["smtp-421", "smtp-450-then-ok", "poison-mail", "clock-jump"]
    monkeypatch.setattr(rehearsal, "DRILLS", {name: DRILLS[name] for name in names})


BROKEN = "breaks bob gets it, the program ends well"
LONG = (
    'smtp RCPT arg bob* reply "550 5.1.1 the mailbox of Bob does not exist here any longer" times 2'
)


def test_faults_are_rows_acts_are_columns_and_what_breaks_is_a_note(few_drills: None) -> None:
    listed = (("smtp RCPT hang up", BROKEN), ("EHLO split 1", "all hold"), (LONG, BROKEN))
    played = matrix.play(page(*listed), scenario.acts)
    assert played.exit_code == 0
    found = list(matrix.lines(played))
    assert max(map(len, found)) <= 100
    # Neither act reads mail: poison-mail is left out.
    assert found[:2] == ["sends · Listing 0", "  acts: 1 sends  2 rests"]
    body = [" ".join(line.split()) for line in found[3:]]
    # Neither act reads mail: poison-mail is left out.
    assert body == [
        "fault 1 2",
        "none ✓ ✓",
        "listed by the docstring, which says what must happen",
        "smtp RCPT hang up ✗ 2 – as listed [1]",
        "EHLO split 1 ✓ – as listed",
        'smtp RCPT arg bob* reply "550 5.1.1 the mailbox of Bob does not exist ✗ 2 – as listed [1]',
        'here any longer" times 2',
        "for you to judge",
        "smtp-421 ✗ 2 – [1]",
        "smtp-450-then-ok ✗ 2 – [1]",
        "clock-jump – – never met",
        "",
        "[1] act 1: bob gets it; the program ends well",
        "",
    ]


@pytest.mark.parametrize(
    ("fault", "outcome", "said"),
    [
        ("smtp RCPT hang up", "all hold", "something else happened; the docstring says: all hold"),
        ("EHLO split 1", BROKEN, f"something else happened; the docstring says: {BROKEN}"),
        ("VRFY reset", "all hold", "it was never met; the docstring says: all hold"),
        ("pop-in-use", "all hold", "it was never met; the docstring says: all hold"),
        ("smtp-421", "breaks x", "something else happened; the docstring says: breaks x"),
    ],
)
def test_a_listed_fault_that_does_something_else_fails(
    few_drills: None, fault: str, outcome: str, said: str
) -> None:
    played = matrix.play(page((fault, outcome)), scenario.acts)
    assert played.exit_code == 1
    found = "\n".join(matrix.lines(played))
    assert "not as listed" in found and f"✗ {said}\n" in found


def test_played_alone_an_act_need_not_break_what_others_break(few_drills: None) -> None:
    listed = page(("smtp RCPT hang up", BROKEN))
    assert matrix.play(listed, scenario.acts[1:], whole=False).exit_code == 0
    assert matrix.play(listed, scenario.acts[:1], whole=False).exit_code == 0


def test_one_row_does_not_change_what_is_expected_of_the_next(few_drills: None) -> None:
    listed = page(("MAIL hang up", "breaks nothing is sent"), ("EHLO split 1", "all hold"))
    wrong = [bool(row.wrong) for row in matrix.play(listed, scenario.acts).rows if row.listed]
    assert wrong == [True, False]


def test_a_claim_that_breaks_without_a_fault_fails(few_drills: None) -> None:
    sad = Scenario({"servers": []})

    def play(world: World, program: Program) -> Iterator[Claim]:
        yield Claim("never true", False)

    sad.act("sad")(play)
    assert matrix.play(page(), sad.acts).exit_code == 1


def test_a_listed_fault_for_another_server_is_a_mistake_of_the_page(few_drills: None) -> None:
    with pytest.raises(PageError, match="Fault: RETR reset: "):
        matrix.play(page(("RETR reset", "all hold")), [only("smtp")])


def only(server: str) -> Act:
    alone = Scenario({"servers": [server]})
    alone.act("alone")(sends)
    return alone.acts[0]


@pytest.mark.parametrize("name", DRILLS)
def test_every_drill_knows_the_protocols_that_it_needs(name: str) -> None:
    drill, found = DRILLS[name], rehearsal.protocols_of(name)
    first = name.partition("-")[0].replace("pop", "pop3").replace("rcpt", "smtp")
    wanted = {
        "duplicate": {"pop3"},  # noticed by a program that reads its mail
        "poison": {"pop3"},
        "clock": set(),
        "http": {"webhook"},
    }.get(first, {first})
    assert found == wanted
    assert not isinstance(drill, Drill) or set(drill.protocols) == wanted

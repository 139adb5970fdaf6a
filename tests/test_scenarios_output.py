"""What a rehearsal prints, and the files that it keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fakes.mail import Envelope, Mail
from scenarios import output
from scenarios.catalogue import Page
from scenarios.docstring import Docstring
from scenarios.mistakes import Made
from scenarios.play import Claim, Program, Scenario
from scenarios.rehearsal import Performance, Played

if TYPE_CHECKING:
    from fakes import World

PAGE = Page(
    "greet", Path(__file__), "m", Docstring("Greet", "Listing 0", ("SMTP",), (), None, {}, ())
)
scenario = Scenario({})


@scenario.act("greets")
def greets(world: World, program: Program) -> Iterator[Claim]:
    """The user is greeted."""
    yield Claim("greeted", True)


HELD = Claim("it is heard", True)
SHAPE = ('wanted: "HELLO"', 'found:  "hello"')
BROKEN = Claim("it is loud", False, found="['hello']", expected="['HELLO']", shape=SHAPE)


def played(*claims: Claim, expected: tuple[str, ...] = (), unmet: tuple[str, ...] = ()) -> Played:
    performance = Performance(scenario.acts[0], claims=list(claims), expected=list(expected))
    return Played(PAGE, [performance], list(unmet))


def shown(capsys: pytest.CaptureFixture[str], outcome: Played, **how: Any) -> str:
    output.show(outcome, output.View(**how))
    return capsys.readouterr().out


def test_title_act_and_claims_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, played(HELD, BROKEN)) == (
        "greet: Greet\nListing 0 · SMTP\n\n"
        "act greets: The user is greeted.\n\n\n"
        "  ✗ 1 of 2 claims\n"
        "  ✗ it is loud\n"
        '      wanted: "HELLO"\n'
        '      found:  "hello"\n\n'
        "  act     claims\n"
        "  greets  1 of 2\n\n"
        "1 act · 1 of 2 claims hold · WIRE=all shows the wire · CLAIMS=1 lists the claims · "
        "OUT=dir keeps it\n"
    )
    assert shown(capsys, played(HELD), book=True).startswith("greet, as printed: Greet")


def test_claims_that_hold_are_listed_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "✓ it is heard" not in shown(capsys, played(HELD))
    assert "  ✓ 1 of 1 claim\n  ✓ it is heard\n" in shown(capsys, played(HELD), claims=True)
    assert "  ✓ it is heard\n  ✗ it is loud\n" in shown(capsys, played(HELD, BROKEN), claims=True)


def test_the_table_says_what_people_have(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = played(HELD)
    mail = Mail(b"", Envelope("", ()), 0.0)
    outcome.performances[0].maildrops = {"ann@x.test": [mail, mail], "bob@x.test": []}
    outcome.performances[0].commands = 3
    outcome.performances[0].counts = {"tickets": 4, "responses": 0}
    text = shown(capsys, outcome)
    assert (
        "  act     claims  mails  commands  tickets\n  greets  1 of 1  ann 2  3         4\n"
    ) in text


def test_quiet_prints_only_what_is_not_as_expected(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, played(HELD), quiet=True) == ""
    assert shown(capsys, played(HELD, BROKEN, expected=("it is loud",)), quiet=True) == ""
    assert "✗ it is loud" in shown(capsys, played(HELD, BROKEN), quiet=True)


def test_an_expectation_that_is_not_met_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, played(HELD, expected=("it is loud",), unmet=("RCPT reset",)))
    assert "  ✗ the fault was never met: RCPT reset\n" in text
    assert "  ✗ expected to break here, and holds: it is loud\n" in text


def test_the_mistakes_of_a_listing_are_printed_below_the_claims_that_they_break(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = played(HELD, BROKEN, expected=("it is loud",))
    made = Made(4, "too quiet", ["scenarios/book/greet.py:7"])
    outcome.performances[0].mistakes = {
        "it is loud": made,
        "it is heard": Made(None, "not printed", []),
    }
    text = shown(capsys, outcome)
    assert '"hello"\n      mistake 4: too quiet\n        made in scenarios/book' in text
    assert "not printed" not in text
    heard, loud = output.as_json(outcome)["acts"][0]["claims"]
    assert heard["mistake"] is None
    assert loud["mistake"] == {
        "number": 4,
        "text": "too quiet",
        "places": ["scenarios/book/greet.py:7"],
    }


def test_a_mistake_beyond_the_list_is_told_without_a_number() -> None:
    assert Made(None, "too shy", []).lines == ["beyond the chapter's list: too shy"]


def test_of_a_listing_that_meets_a_fault_nothing_is_expected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome = played(HELD, BROKEN)
    outcome.judged = False
    text = shown(capsys, outcome)
    assert "for you to judge" in text and "expected to break" not in text
    assert outcome.exit_code == 0


def test_json_has_every_claim_and_the_exit_code() -> None:
    values = output.as_json(played(HELD, BROKEN))
    assert (values["scenario"], values["exit"]) == ("greet", 1)
    (act,) = values["acts"]
    assert act["name"] == "greets" and [claim["holds"] for claim in act["claims"]] == [True, False]
    assert act["claims"][1]["found"] == "['hello']"


def test_transcript_mails_and_state_are_kept_for_each_act(tmp_path: Path) -> None:
    outcome = played(HELD)
    outcome.performances[0].transcript = "C: QUIT ✓\n"
    outcome.performances[0].mails = [b"Subject: x\r\n\r\n"]
    outcome.performances[0].envelopes = [Envelope("", ())]
    output.keep(outcome, tmp_path)
    folder = tmp_path / "greets"
    assert (folder / "transcript.txt").read_bytes() == "C: QUIT ✓\n".encode()
    assert (folder / "mail-1.eml").read_bytes() == b"Subject: x\r\n\r\n"
    state = json.loads((folder / "state.json").read_text())
    assert state == {"act": "greets", "claims": {"it is heard": True}, "events": []}

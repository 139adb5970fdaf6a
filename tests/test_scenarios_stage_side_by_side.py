"""Two ways to play an act, side by side, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from scenarios import catalogue, rehearsal
from scenarios.stage.parting import partings
from scenarios.stage.side_by_side import PARTING, side_by_side
from scenarios.stage.story import story
from scenarios.stage.text import plain
from tests.test_scenarios_stage_story import Happens, look, smtp, xmpp

PAGES = [catalogue.named(name) for name in ("apache-alert", "mysql-by-mail", "aim-uptime")]
ACTS = {act.name: (page, act) for page in PAGES for act in page.acts()}


def says(at: float, text: str) -> Happens:
    return Happens("program", text, "say", at)


def dies(at: float, name: str = "apache2") -> Happens:
    return Happens("web1.x.test", f"{name} dies", at=at)


def shown(ours: Sequence[Any], printed: Sequence[Any]) -> list[str]:
    return [plain(line) for line in side_by_side(ours, printed, width=60)]


def test_what_is_the_same_stands_side_by_side_and_the_first_difference_is_marked() -> None:
    ours = [says(0, "up"), dies(5), says(9, "mail")]
    printed = [says(0, "UP"), dies(5, "extra"), dies(5), says(9, "mail"), says(9, "and more text")]
    titles, words, parting, event, mail, more = shown(ours, printed)
    assert titles.split() == ["our", "program", "as", "printed"]
    assert words == "00:00:00  program: up             ~ program: UP"
    assert PARTING in parting
    assert event == "00:00:05  web1: apache2 dies      ≠ web1: extra dies; apac…"
    assert mail == "00:00:09  program: mail           │ program: mail"
    assert more == "                                  ~ program: and more text"


def test_without_a_difference_nothing_is_marked() -> None:
    assert not any(PARTING in line for line in shown([says(0, "up")], [says(0, "up")]))


def test_of_long_texts_the_place_is_shown_where_they_differ() -> None:
    text = "a long text that begins in the same way, "
    _, _, row = shown([says(0, f"{text}ours")], [says(0, f"{text}the printed one")])
    assert row == "00:00:00  program…e way, ours     ≠ program…e way, the pri…"


# ── where they part ──────────────────────────────────────────────────────────


def parted(ours: Sequence[Any], printed: Sequence[Any]) -> list[str]:
    """Returns what each side does where they part."""
    found = partings(ours, printed)
    if found is None:
        return []
    sides = zip((ours, printed), found, strict=True)
    told = [(story(recording), parting) for recording, parting in sides]
    return [
        beats[row].text if (row := part.row(beats)) < len(beats) else "" for beats, part in told
    ]


def test_words_looks_and_the_order_within_a_moment_are_no_difference_in_what_happens() -> None:
    ours = [says(0, "hello"), *look(1, 10), dies(20), dies(20, "mysqld"), *smtp(2, 30)]
    printed = [says(0, "Hello!"), dies(20, "mysqld"), dies(20), *smtp(1, 30), says(31, "sent")]
    later = [dies(40)]
    assert parted([*ours, *later], printed) == ["apache2 dies", ""]
    assert parted(ours, printed) == ["hello", "Hello!"], "only if nothing else differs"
    assert parted(ours, ours) == []


def test_a_mail_that_only_one_side_sends_parts_them() -> None:
    mail = 'mails b@x.test: "Hello"'
    assert parted([*smtp(1, 30), dies(60)], [dies(60)]) == [mail, "apache2 dies"]
    assert parted([*smtp(1, 30)], [*smtp(1, 30), *smtp(2, 90)]) == ["", mail]


def test_what_is_said_to_a_contact_and_what_is_asked_of_it_counts() -> None:
    message = xmpp(b"<message to='a@x.test' type='chat'><body>hi</body></message>", at=30)
    asks = xmpp(b"<presence to='a@x.test' type='subscribe'/>", at=30)
    heard = xmpp(b"<message from='a@x.test' type='chat'><body>hi</body></message>", "S", at=30)
    assert parted([message], [heard])[0] == 'message to a@x.test: "hi"'
    assert parted([asks], [heard])[0].startswith("asks to see")


@pytest.mark.parametrize(
    ("act", "ours", "printed"),
    [
        ("mysql-by-mail", 'mails jeremy@yourco.test: "Re: Restart MySQL"', ""),
        (
            "aim-uptime-bot",
            "message to sysadmin (auto-response): ",
            "message to sysadmin: ",
        ),
        (
            "apache-crash-alert",
            "mails jeremy@yourco.test, michael@yourco.test: ",
            "MAIL FROM:<Apache",
        ),
    ],
)
def test_our_program_and_the_printed_listing_part_at_what_happens(
    act: str, ours: str, printed: str
) -> None:
    page, found = ACTS[act]
    both = [rehearsal.rehearse(page, found, book=book) for book in (False, True)]
    assert both[0].tracebacks == []
    one, other = parted(*(performance.recording for performance in both))
    assert one.startswith(ours) and other.startswith(printed)

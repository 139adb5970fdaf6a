"""Two ways to play an act, side by side."""

from __future__ import annotations

from scenarios.stage.beats import Beat
from scenarios.stage.side_by_side import PARTING, side_by_side
from scenarios.stage.text import plain


def beat(at: float, text: str) -> Beat:
    return Beat(at=at, kind="says", source="program", text=text)


def shown(*pairs: tuple[list[Beat], list[Beat]]) -> list[str]:
    (both,) = pairs
    return [plain(line) for line in side_by_side(*both, width=60)]


def test_what_is_the_same_stands_side_by_side_and_the_first_difference_is_marked() -> None:
    ours = [beat(0, "up"), beat(5, "down"), beat(9, "mail")]
    printed = [
        beat(0, "up"),
        beat(5, "extra"),
        beat(5, "down"),
        beat(9, "mail, and much more text"),
    ]
    titles, same, parting, extra, down, mail = shown((ours, printed))
    assert titles.split() == ["our", "program", "as", "printed"]
    assert same == "00:00:00  program: up             │ program: up"
    assert PARTING in parting
    assert extra == "00:00:05                          ≠ program: extra"
    assert down == "          program: down           │ program: down"
    assert mail == "00:00:09  program: mail           ≠ program: mail, and muc…"


def test_without_a_difference_nothing_is_marked() -> None:
    assert not any(PARTING in line for line in shown(([beat(0, "up")], [beat(0, "up")])))

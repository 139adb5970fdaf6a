"""What is printed cannot command the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from comms.host import printable
from scenarios import screen

HOSTILE = [
    "\x1b[2J",
    "\x07",
    "\r",
    "\x9b1m",
    "\u202e",
    "\u2066",
    "\ud800",
    "\x7f",
    "\u2028",
    "\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_terminal_would_obey_is_escaped(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    screen.show(f"a{text}b")
    screen.complain(f"a{text}b")
    try:
        raise ValueError(f"a{text}b")
    except ValueError:
        screen.show_traceback()
    out, err = capsys.readouterr()
    assert text not in out and text not in err and out == f"a{printable(text)}b\n"


@pytest.mark.parametrize("text", ["Café", "a\tb", "two\nlines", "✓ 日本語 \u00a0", "e\u0301", ""])
def test_ordinary_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str], text: str) -> None:
    screen.show(text)
    assert capsys.readouterr().out == text + "\n"


def test_no_other_module_of_the_scenarios_prints() -> None:
    folder = Path(screen.__file__).parent
    printing = [
        path.name
        for path in folder.rglob("*.py")
        if path.parent.name != "book"
        and any(
            word in line
            for line in path.read_text("utf-8").splitlines()
            for word in (" print(", "traceback.print", "sys.stdout.write", "sys.stderr.write")
        )
    ]
    assert sorted(printing) == ["inbox_count_acts.py", "screen.py"], "the act divides by zero"

"""A recording as text: times, events, and the wire with its sections, without long middles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scenarios.stage.narration import CONTENT, LONGEST, narrate


@dataclass
class Wire:
    """A record of the wire, as far as the narration needs it."""

    raw: bytes
    direction: str = "C"
    at: float = 65.0
    section: str = ""
    fault: str = ""
    protocol: str = "smtp"
    session: int = 1
    verb: str = "connects"

    def shown(self) -> bytes:
        return self.raw


@dataclass
class Said:
    """An event."""

    text: str
    level: str = "say"
    at: float = 65.0
    who: str = "program"


def told(*items: Any) -> list[str]:
    return list(narrate(items))


def test_what_the_program_prints_has_its_time_and_its_other_lines_below() -> None:
    assert told(Said("one\ntwo\n"), Said("up", level="info", who="web1")) == [
        "00:01:05  program: says: one",
        "          | two",
        "          |",
        "00:01:05  web1: up",
    ]


def test_a_connection_is_named_by_protocol_and_number_with_its_fault() -> None:
    assert told(Wire(b"", "-"), Wire(b"", "-", fault="connect refuse")) == [
        "00:01:05  [smtp 1] connects",
        "00:01:05  [smtp 1] connects   (fault: connect refuse)",
    ]


def test_a_command_has_its_section_on_the_right_and_an_answer_has_none() -> None:
    command, answer = told(
        Wire(b"QUIT\r\n", section="RFC 5321 §4.1.1.10"), Wire(b"221 Bye\r\n", "S", section="x")
    )
    assert command.split() == ["C:", "QUIT", "RFC", "5321", "§4.1.1.10"]
    assert answer == "          S: 221 Bye"


def test_a_fault_is_shown_at_the_first_line_only() -> None:
    lines = told(Wire(b"250-a\r\n250 b\r\n", "S", fault="EHLO split 1"))
    assert lines == ["          S: 250-a   (fault: EHLO split 1)", "          S: 250 b"]


def test_the_middle_of_a_long_message_and_the_end_of_a_long_line_are_left_out() -> None:
    lines = told(Wire(b"".join(b"%d\r\n" % number for number in range(CONTENT + 5))))
    assert len(lines) == CONTENT + 1
    assert lines[-2:] == ["          C: … 5 more lines …", f"          C: {CONTENT + 4}"]
    (line,) = told(Wire(b"x" * (LONGEST + 1500)))
    assert line.endswith("x … 1,500 more characters")


def test_what_a_terminal_would_obey_is_escaped() -> None:
    assert told(Wire("a\x1b[2Jb\u202ec\n".encode(), "S")) == ["          S: a\\x1b[2Jb\\u202ec\\n"]

"""The wire on a terminal: two columns, sections at the edge, without long middles."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.stage.text import plain
from scenarios.stage.wire import CONTENT, WireChoice, decoded, wire
from tests.test_scenarios_stage_story import Happens, Wire

PROTOCOLS = ["smtp", "pop3", "toc", "xmpp"]


def shown(*items: Any, choice: str = "all", width: int = 100) -> list[str]:
    return [plain(line) for line in wire(items, WireChoice(choice, PROTOCOLS), width)]


def test_what_the_program_prints_has_its_time_and_its_other_lines_below() -> None:
    assert shown(Happens("program", "one\ntwo", "say"), Happens("web1", "up")) == [
        "00:01:00  program: says: one",
        "          | two",
        "00:01:00  web1: up",
    ]


def test_client_and_server_have_a_column_each_with_the_section_at_the_right_edge() -> None:
    command, answer = shown(
        Wire(b"QUIT\r\n", section="RFC 5321 §4.1.1.10"), Wire(b"221 Bye\r\n", "S")
    )
    assert command.startswith("          C: QUIT ") and command.endswith("RFC 5321 §4.1.1.10")
    assert len(command) == 100
    assert answer == "                        S: 221 Bye"


def test_a_section_without_room_is_dropped_and_a_long_line_wrapped() -> None:
    lines = shown(Wire(b"x" * 150 + b"\r\n", section="RFC 5321 §4.1.1"), width=80)
    assert [len(line) for line in lines] == [80, 80, 29]
    assert not any("RFC" in line for line in lines)


def test_a_fault_and_a_connection_are_named() -> None:
    assert shown(Wire(b"", "-", "connects", fault="connect refuse")) == [
        "00:01:00  [smtp:1] connects (fault: connect refuse)"
    ]
    assert shown(Wire(b"250 b\r\n", "S", fault="EHLO split 1"))[0].endswith("(fault: EHLO split 1)")


def test_the_middle_of_a_long_unit_is_left_out() -> None:
    lines = shown(Wire(b"".join(b"%d\r\n" % number for number in range(CONTENT + 5))))
    assert len(lines) == CONTENT + 1
    assert lines[-2].strip() == "… 5 more lines …"
    assert lines[-1].strip() == str(CONTENT + 4)
    assert shown(Wire(b"x" * 2000))[-1].strip() == "… 1,652 more characters"


def test_what_a_terminal_would_obey_is_escaped() -> None:
    (line,) = shown(Wire("a\x1b[2Jb\u202ec".encode(), "S"))
    assert line.strip() == "S: a\\x1b[2Jb\\u202ec"


def test_encoded_parts_frames_and_xml_are_shown_for_reading() -> None:
    encoded = b"Subject: x\r\n\r\n" + (b"QUJD" * 19 + b"\r\n") * 9
    assert decoded(Wire(encoded)) == ["Subject: x", "", "… 9 lines of base64 …"]
    frame = Wire(b"*\x02\x00\x07\x00\x04", protocol="toc")
    frame.shown = lambda: b"toc_init_done"  # type: ignore[method-assign]
    assert decoded(frame) == ["[data 7] toc_init_done"]
    stanza = b"<iq type='set'><query xmlns='a'><item jid='b'/></query></iq>"
    assert decoded(Wire(stanza, protocol="xmpp")) == [
        "<iq type='set'>",
        "  <query xmlns='a'>",
        "    <item jid='b'/></query></iq>",
    ]


def test_one_protocol_or_one_session_can_be_chosen() -> None:
    items = [Wire(b"A\r\n"), Wire(b"B\r\n", session=2), Wire(b"C\r\n", protocol="pop3", session=3)]
    assert [line.strip() for line in shown(*items, choice="smtp")] == ["C: A", "C: B"]
    assert [line.strip() for line in shown(*items, choice="smtp:2")] == ["C: B"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("smpt", "unknown 'smpt' (did you mean 'smtp'?); choose from: all, smtp"),
        ("", "unknown ''; choose from"),
        ("smtp:", "'' must be the number of a session"),
        ("smtp:x", "'x' must be the number of a session"),
        ("smtp:-1", "'-1' must be the number"),
        ("smtp:²", "'²' must be the number"),
        ("all:3", "unknown 'all:3'"),
    ],
)
def test_an_unknown_choice_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as refused:
        WireChoice(text, PROTOCOLS)
    assert problem in str(refused.value)

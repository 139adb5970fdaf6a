"""Files that grow: each line is read once, and whole."""

from __future__ import annotations

from pathlib import Path

from comms.state import State
from scenarios.growing import LONGEST_LINE, Place, lines, mark, resumed


def test_lines_are_read_from_where_the_last_look_ended(tmp_path: Path) -> None:
    file = tmp_path / "builds.jsonl"
    file.write_bytes(b"one\ntwo\nhal")
    assert list(lines(file, 0)) == [(b"one\n", 4), (b"two\n", 8)]
    assert list(lines(file, 8)) == []
    file.write_bytes(b"one\ntwo\nhalf\n")
    assert list(lines(file, 8)) == [(b"half\n", 13)]
    file.write_bytes(b"new\n")
    assert list(lines(file, 13)) == [(b"new\n", 4)], "a shorter file is a new one"


def test_a_line_that_is_too_long_is_cut_and_the_next_one_is_read(tmp_path: Path) -> None:
    file = tmp_path / "builds.jsonl"
    file.write_bytes(b"x" * (3 * LONGEST_LINE) + b"\nnext\n")
    found = list(lines(file, 0))
    assert [len(line) for line, _ in found] == [LONGEST_LINE, 5]


def test_a_file_that_was_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    file.write_bytes(b"one\ntwo\n")
    known = mark(file, 8)
    file.write_bytes(b"one\ntwo\nthree\n")
    assert resumed(file, 8, known) == 8, "it has grown"
    for other in (b"one\n2\n", b"ONE\ntwo\n" * 9, b""):
        file.write_bytes(other)
        assert resumed(file, 8, known) == 0
    assert resumed(file, 0, "") == 0, "it was never read"


def test_a_place_is_in_one_file_and_not_in_the_next_one_of_its_name(tmp_path: Path) -> None:
    file = tmp_path / "builds.jsonl"

    def read() -> None:
        for line, end in list(place.lines()):
            seen.append(line)
            with state.transaction() as db:
                place.move(db, end)

    with State(tmp_path / "s") as state:
        place, seen = Place(state, file), list[bytes]()
        file.write_bytes(b"one\ntwo\n")
        read()
        with file.open("ab") as stream:
            stream.write(b"three\n")
        read()
        assert seen == [b"one\n", b"two\n", b"three\n"]
        file.rename(tmp_path / "builds.jsonl.1")
        file.write_bytes(b"four\n" * 9)  # longer than what was read of the old one
        read()
        assert seen[3:] == [b"four\n"] * 9
        with state.transaction() as db:  # as an earlier version has left it
            state.remember(db, "mark", None)
        assert list(place.lines()) == []

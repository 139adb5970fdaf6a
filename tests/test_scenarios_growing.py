"""Files that grow: each line is read once, and whole."""

from __future__ import annotations

from pathlib import Path

from scenarios.growing import LONGEST_LINE, lines, mark, resumed


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

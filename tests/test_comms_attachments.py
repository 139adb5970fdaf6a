"""Names of attachments: whatever the sender wrote, they can be used to create files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.attachments import NAME, Attachment, safe_name, uniquely_named


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        (".hidden", "hidden"),
        ('x"y<z>.txt', "x_y_z_.txt"),
        ("=?utf-8?q?r=C3=A9sum=C3=A9.pdf?=", "résumé.pdf"),
        ("a\r\nb\0.txt", "a  b .txt"),
        ("..", ""),
        ("/", ""),
    ],
)
def test_a_name_cannot_leave_its_directory_or_hide(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


def test_a_long_name_is_cut_and_keeps_its_extension() -> None:
    assert safe_name("a" * 300 + ".pdf") == "a" * (NAME - 4) + ".pdf"
    assert safe_name("a" * 300) == "a" * NAME
    assert safe_name("a." + "b" * 300) == "a." + "b" * (NAME - 2)


@pytest.mark.parametrize("letter", ["я", "字", "😀", "я字😀x"])
def test_a_name_of_long_characters_is_cut_so_that_a_file_can_have_it(
    letter: str, tmp_path: Path
) -> None:
    files = [Attachment(safe_name(letter * 150 + ".pdf"), b"x")] * 2
    for file in uniquely_named(files):
        (tmp_path / file.name).write_bytes(file.content)
        assert file.name.startswith(letter) and file.name.endswith(".pdf")


@given(st.text(max_size=300))
def test_no_name_holds_a_separator_or_a_control_character(text: str) -> None:
    name = safe_name(text)
    assert not set(name) & set('/\\\r\n\0<>:"|?*') and not name.startswith(".")


def test_each_attachment_gets_a_unique_name_whatever_the_case() -> None:
    names = ["a.txt", "A.txt", "", "", "README", "readme"]
    attachments = [Attachment(name, b"x", "text/csv") for name in names]
    assert [attachment.name for attachment in uniquely_named(attachments)] == [
        "a.txt",
        "A (2).txt",
        "part-3.csv",
        "part-4.csv",
        "README",
        "readme (2)",
    ]


def test_attachments_without_a_usable_name_are_stored_in_their_directory(tmp_path: Path) -> None:
    attachments = [Attachment(safe_name(name), b"x") for name in ("..", "/")]
    for attachment in uniquely_named(attachments):
        (tmp_path / attachment.name).write_bytes(attachment.content)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part-1.bin", "part-2.bin"]


def test_twenty_thousand_files_of_one_name_take_no_longer_than_others() -> None:
    attachments = [Attachment("a.txt", b"x")] * 20_000
    names = [attachment.name for attachment in uniquely_named(attachments)]
    assert (names[0], names[-1]) == ("a.txt", "a (20000).txt") and len({*names}) == 20_000


def test_counting_goes_around_names_that_are_taken() -> None:
    attachments = [Attachment(name, b"x") for name in ("a (2).txt", "a.txt", "A.txt", "a.txt")]
    assert [attachment.name for attachment in uniquely_named(attachments)] == [
        "a (2).txt",
        "a.txt",
        "A (3).txt",
        "a (4).txt",
    ]

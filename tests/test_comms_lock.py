"""Lock: one instance at a time, whatever the file is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from comms.errors import StateError
from comms.lock import Lock


def test_a_second_lock_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite3"
    path.touch()
    with Lock(path):
        with pytest.raises(StateError, match=r"shop\.sqlite3: another instance is at work"):
            Lock(path)
    Lock(path).close()


def test_a_link_and_a_second_name_are_the_same_file(tmp_path: Path) -> None:
    path, link, name = (tmp_path / text for text in ("file", "link", "name"))
    path.touch()
    link.symlink_to(path)
    name.hardlink_to(path)
    with Lock(path):
        for other in (link, name):
            with pytest.raises(StateError, match="another instance"):
                Lock(other)


def test_a_lock_that_cannot_be_made_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"missing/file\.lock: .*write another path"):
        Lock(tmp_path / "missing" / "file")


def test_a_lock_that_is_no_lock_is_not_taken_for_another_instance(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file.lock").write_bytes(b"no database of SQLite's")
    with pytest.raises(StateError, match=r"file\.lock: file is not a database; remove this file"):
        Lock(tmp_path / "file")

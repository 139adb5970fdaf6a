"""The quarantine: mails are stored whole, once and privately, and within limits."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from comms.errors import StateError
from comms.quarantine import Quarantine

NOW = 1767571200.0  # 5 January 2026, 00:00:00 UTC


def stored(quarantine: Quarantine) -> list[bytes]:
    return [path.read_bytes() for path in sorted(quarantine.folder.iterdir())]


def test_a_mail_is_stored_whole_and_privately(tmp_path: Path) -> None:
    path = Quarantine(tmp_path / "kept").keep(b"mail\0\xff", NOW)
    assert path.read_bytes() == b"mail\0\xff"
    assert path.name.startswith("20260105-000000-") and path.suffix == ".eml"
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0


def test_the_same_mail_is_stored_once(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "kept")
    path = quarantine.keep(b"mail", NOW)
    assert quarantine.keep(b"mail", NOW + 60) == path
    assert stored(quarantine) == [b"mail"]


def test_the_oldest_mails_are_deleted_when_there_are_too_many(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "kept", max_files=3)
    for number in range(6):
        quarantine.keep(b"%d" % number, NOW + number)
    assert stored(quarantine) == [b"3", b"4", b"5"]


def test_the_oldest_mails_are_deleted_when_they_are_too_large(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "kept", max_bytes=1000)
    for number, size in enumerate((400, 400, 400, 2000)):
        quarantine.keep(b"x" * size + b"%d" % number, NOW + number)
    assert stored(quarantine) == [b"x" * 2000 + b"3"], "the newest is kept, whatever its size"


def test_a_directory_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file is in the way")
    with pytest.raises(StateError, match="kept: a mail cannot be kept"):
        Quarantine(tmp_path / "kept").keep(b"x", NOW)


def test_a_full_disk_leaves_no_part_of_a_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine = Quarantine(tmp_path / "kept")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="No space left"):
        quarantine.keep(b"mail", NOW)
    assert stored(quarantine) == []


def test_what_a_crash_has_left_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quarantine = Quarantine(tmp_path / "kept")

    def killed(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        for number in range(3):
            with pytest.raises(KeyboardInterrupt):
                quarantine.keep(b"%d" % number, NOW + number)
    assert len(stored(quarantine)) == 1
    quarantine.keep(b"mail", NOW + 3)
    assert stored(quarantine) == [b"mail"]


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="a folder cannot be opened")
def test_the_name_of_a_mail_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine = Quarantine(tmp_path / "kept")
    synced: list[list[str]] = []

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            synced.append([path.suffix for path in quarantine.folder.iterdir()])

    monkeypatch.setattr(os, "fsync", fsync)
    quarantine.keep(b"mail", NOW)
    assert synced == [[".eml"]]


def test_a_file_system_that_cannot_sync_a_folder_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    assert Quarantine(tmp_path / "kept").keep(b"mail", NOW).read_bytes() == b"mail"


# ── the share of those who are known ─────────────────────────────────────────


@pytest.mark.parametrize(("max_files", "junk"), [(10, 500), (2, 5), (3, 100), (10, 10), (100, 150)])
def test_junk_does_not_push_out_the_mail_of_people_who_are_known(
    tmp_path: Path, max_files: int, junk: int
) -> None:
    quarantine = Quarantine(tmp_path / "kept", max_files=max_files)
    path = quarantine.keep(b"from an administrator", NOW, known=True)
    for number in range(junk):
        quarantine.keep(b"junk %d" % number, NOW + 1 + number)
    assert path.exists() and len(stored(quarantine)) == max_files


def test_large_junk_does_not_push_it_out_either(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "kept", max_bytes=1000)
    path = quarantine.keep(b"x" * 400, NOW, known=True)
    for number in range(10):
        quarantine.keep(b"y" * 500 + b"%d" % number, NOW + 1 + number)
    assert path.exists()


def test_the_share_is_not_more_than_half_if_others_need_the_room(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "kept", max_files=10)
    for number in range(50):
        quarantine.keep(b"known %d" % number, NOW + number, known=True)
    assert len(stored(quarantine)) == 10, "what others leave free"
    for number in range(50):
        quarantine.keep(b"junk %d" % number, NOW + 100 + number)
    kept = stored(quarantine)
    assert sum(raw.startswith(b"known") for raw in kept) == 5 and len(kept) == 10


def test_a_mail_is_kept_once_whoever_sent_it(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "kept")
    assert quarantine.keep(b"x", NOW, known=True) == quarantine.keep(b"x", NOW + 9)

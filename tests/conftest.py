"""Settings of the whole suite: Hypothesis profiles, temporary folders in memory, and a clean working tree.

The plugin under test is loaded here in the way in which other projects get it by installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["fakes.pytest_plugin", "pytester"]

settings.register_profile("dev", max_examples=50, deadline=None, database=None)
settings.register_profile("ci", max_examples=400, deadline=None, database=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# ── temporary folders ────────────────────────────────────────────────────

MEMORY = Path("/dev/shm")
ENOUGH = 1 << 30  # bytes; the suite needs about 100 MB at a time


def _put_temporary_folders_into_memory() -> None:
    """Makes `tempfile` and `tmp_path` use a file system in memory, if there is one with enough room.

    The programs commit to SQLite up to a few hundred times in one rehearsal. On a disk, each commit waits until the disk
    has written, and that was most of the time that the suite took. No test is about a power failure, so nothing is lost.
    TMPDIR in the environment takes precedence.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    if shutil.disk_usage(MEMORY).free >= ENOUGH:
        tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)


_put_temporary_folders_into_memory()


def _tree() -> str:
    """What git sees changed; nothing where there is no git."""
    here = Path(__file__).parent.parent
    try:
        return subprocess.run(
            ["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return ""


@pytest.fixture(scope="session", autouse=True)
def a_clean_tree() -> Iterator[None]:
    """The tests leave the working tree as they found it."""
    before = _tree()
    yield
    assert _tree() == before, "a test left something behind in the working tree"

"""The plugin under test is loaded here as other projects get it by installation."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["fakes.pytest_plugin", "pytester"]

settings.register_profile("dev", max_examples=50, deadline=None, database=None)
settings.register_profile("ci", max_examples=400, deadline=None, database=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


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

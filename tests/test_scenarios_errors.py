"""How a mistake in a page names its file."""

from __future__ import annotations

from pathlib import Path

from scenarios.errors import ROOT, PageError, UsageError


def test_a_file_of_the_project_is_named_from_its_root() -> None:
    error = PageError(ROOT / "scenarios" / "aim" / "x.py", "no title; write one")
    assert str(error) == "scenarios/aim/x.py: no title; write one"
    assert isinstance(error, UsageError)


def test_a_file_elsewhere_is_named_as_it_is() -> None:
    assert str(PageError(Path("/tmp/x.py"), "no title")) == "/tmp/x.py: no title"

"""Optional packages: installed or not."""

from __future__ import annotations

import sys

import pytest

from fakes.extras import installed


def test_a_package_is_installed_if_it_is_in_a_folder_or_imported_already() -> None:
    assert installed("pytest") and installed("json")
    assert not installed("no_package_has_this_name")


def test_a_package_that_may_not_be_imported_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)  # then `import pytest` raises ImportError
    assert not installed("pytest")

"""The reference in fakes/README.md says what the code says."""

from __future__ import annotations

import inspect

from fakes import World
from tests.reference import README, keys, rewritten


def test_the_reference_is_that_of_the_code() -> None:
    text = README.read_text("utf-8")
    assert text == rewritten(text), "write it again: .venv/bin/python -m tests.reference"


def test_help_names_every_attribute_and_every_key() -> None:
    documentation = inspect.cleandoc(World.__doc__ or "")
    assert documentation.endswith(keys()), keys()
    for name in inspect.get_annotations(World):
        assert f"`{name}`" in documentation

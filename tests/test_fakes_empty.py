"""The empty mapping that is shared: it reads like {}, and cannot be changed."""

from __future__ import annotations

import copy

import pytest

from fakes.empty import EMPTY


def test_it_reads_like_an_empty_dict() -> None:
    assert EMPTY == {} and not EMPTY and {**EMPTY, "a": 1} == {"a": 1}
    assert (len(EMPTY), list(EMPTY), repr(EMPTY), "a" in EMPTY) == (0, [], "{}", False)
    with pytest.raises(KeyError, match="a"):
        EMPTY["a"]


def test_it_cannot_be_changed_and_its_copy_is_itself() -> None:
    with pytest.raises(TypeError, match="does not support item assignment"):
        EMPTY["a"] = 1  # type: ignore[index]
    assert copy.deepcopy(EMPTY) is EMPTY

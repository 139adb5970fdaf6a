"""An empty mapping for all: a process may have many worlds, and a test may keep many records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class _Empty(Mapping[Any, Any]):
    """An empty mapping. A mappingproxy of Python 3.11 cannot be a default of a dataclass."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __getitem__(self, name: object) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __deepcopy__(self, memo: object) -> Mapping[Any, Any]:
        return self


EMPTY: Mapping[Any, Any] = _Empty()

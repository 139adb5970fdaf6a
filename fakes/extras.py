"""Which optional packages are installed."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    if package in sys.modules:
        return sys.modules[package] is not None
    return _is_in_a_folder(package)


@cache  # looking in every folder took a quarter of the time in which a World was made
def _is_in_a_folder(package: str) -> bool:
    return importlib.util.find_spec(package) is not None

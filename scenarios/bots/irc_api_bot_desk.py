"""The reference of irc-api-bot: names, as Python itself documents them.

Nothing is run to find a name: no attribute is computed, no module is imported that is not on the
list, and from a module one gets only to names, never to another module.
"""

from __future__ import annotations

import builtins
import difflib
import importlib
import inspect
import re
import sys
import types
from collections.abc import Iterable
from typing import Any

DOCS = "https://docs.python.org/3/library"
NEAR = 3  # names that are suggested
LONGEST = 100  # characters of a name
_PLAIN = (bool, int, float, str)
_MISSING = object()


class Reference:
    """What is known about the public names of some modules, and about the built-in ones."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = {name: importlib.import_module(name) for name in modules}

    def describe(self, name: str, *, whole: bool) -> str:
        """Returns the signature, the first sentence and a link, or the `whole` text; "" if unknown.

        `str#split` and `str::split` are other ways to write `str.split`.
        """
        name = re.sub(r"#|::", ".", name)[:LONGEST]
        place, found = self._find(name)
        if found is _MISSING:
            return ""
        text = inspect.getdoc(found) if _is_documented(found) else None
        if whole:
            return f"{name}{_signature(found)}\n{text or 'is not documented'}"
        first = " ".join((text or _value(found)).partition("\n\n")[0].split())
        return f"{name}{_signature(found)} - {first} {_link(place, name)}".rstrip()

    def near(self, name: str) -> list[str]:
        """Returns names that an unknown one may mean."""
        name = re.sub(r"#|::", ".", name)[:LONGEST]
        owner, dot, last = name.rpartition(".")
        _, place = self._find(owner) if dot else (None, builtins)
        known = _public(place) if place is not _MISSING else []
        found = [f"{owner}{dot}{near}" for near in difflib.get_close_matches(last, known, NEAR)]
        return found or difflib.get_close_matches(name, self._modules, NEAR)

    def _find(self, name: str) -> tuple[str, Any]:
        """Returns the module of a name, and what it names: `_MISSING` if it is unknown."""
        words = name.split(".")
        for count in range(len(words), -1, -1):
            module = ".".join(words[:count])
            if count == 0 or module in self._modules:
                found: Any = self._modules[module] if count else builtins
                for word in words[count:]:
                    found = _attribute(found, word)
                return module or "builtins", found
        return "", _MISSING


def _attribute(owner: Any, name: str) -> Any:
    """Returns a public attribute of a module or a class, as it is stored, and no module."""
    if name.startswith("_") or not isinstance(owner, types.ModuleType | type):
        return _MISSING
    found = inspect.getattr_static(owner, name, _MISSING)
    return _MISSING if isinstance(found, types.ModuleType) else found


def _public(owner: Any) -> list[str]:
    if not isinstance(owner, types.ModuleType | type):
        return []
    return [name for name in dir(owner) if _attribute(owner, name) is not _MISSING]


def _is_documented(found: Any) -> bool:
    """Whether a text is about this, and not about the class of which it is a value."""
    return isinstance(found, types.ModuleType | type | property) or callable(_function(found))


def _function(found: Any) -> Any:
    return found.__func__ if isinstance(found, staticmethod | classmethod) else found


def _signature(found: Any) -> str:
    if not callable(_function(found)):
        return ""
    try:
        return str(inspect.signature(_function(found)))
    except (ValueError, TypeError):  # some functions written in C do not say
        return "(…)"


def _value(found: Any) -> str:
    kind = type(found).__name__
    return f"{kind} {found!r:.60}" if isinstance(found, _PLAIN) else f"a value of type {kind}"


def _link(module: str, name: str) -> str:
    """Returns where the documentation of a name is; "" for what is not Python's own."""
    if module.partition(".")[0] not in sys.stdlib_module_names:
        return ""
    if module == "builtins":
        found = getattr(builtins, name.partition(".")[0])
        page = "stdtypes" if "." in name else "functions"
        if isinstance(found, type) and issubclass(found, BaseException):
            page = "exceptions"
        return f"{DOCS}/{page}.html#{name}"
    anchor = f"module-{name}" if name == module else name
    return f"{DOCS}/{module}.html#{anchor}"

"""Calling a program's handlers: an exception in one is logged and does not stop the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comms.host import Host


def call(host: Host, handler: Callable[..., Any], *values: object) -> tuple[bool, Any]:
    """Calls a handler. Returns (True, its result), or (False, None) if it raised an Exception.

    The exception is logged as `handler-failed`. KeyboardInterrupt and the like pass through.
    """
    try:
        return True, handler(*values)
    except Exception as error:
        name = getattr(handler, "__name__", type(handler).__name__)
        host.log(
            "handler-failed", "error", handler=name, trouble=f"{type(error).__name__}: {error}"
        )
        return False, None

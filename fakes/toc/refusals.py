"""The two ways to refuse a command without an answer.

A refusal that is answered is a plain `Refuse` with the text of an ERROR message (messages.py).
"""

from __future__ import annotations

from fakes.wire import Refuse


class Drop(Refuse):
    """The server closes the connection and sends nothing. `reply` is the reason, for the record."""


class Ignored(Refuse):
    """The server does nothing. `reply` is the reason, for the record."""

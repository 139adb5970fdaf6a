"""The commands of a client who has signed on: one function per command, named like the command.

    messaging   instant messages, typing events, warnings
    profile     presence, profile, directory, name and password; questions about others
    lists       buddies, groups, permissions, the stored configuration
    chat        rooms

Each function takes the session and the unit; its docstring begins with the command's arguments. It
raises `Refuse` to answer with an error, and `Drop` to close the connection. To add a command, write
its function and add a row to session.VERBS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fakes.toc.commands import chat, lists, messaging, profile
from fakes.wire import Unit

if TYPE_CHECKING:
    from fakes.toc.session import Toc

COMMANDS: dict[str, Callable[[Toc, Unit], None]] = {
    name: function
    for module in (messaging, profile, lists, chat)
    for name, function in vars(module).items()
    if name.startswith(("toc_", "toc2_"))
}

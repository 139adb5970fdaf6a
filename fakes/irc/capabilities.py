"""Capabilities: what a client has asked for (IRCv3 capability-negotiation)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

MECHANISMS = ("PLAIN", "SCRAM-SHA-256")
CAPABILITIES = (
    "account-notify",
    "account-tag",
    "away-notify",
    "batch",
    "cap-notify",
    "chghost",
    "echo-message",
    "extended-join",
    "invite-notify",
    "labeled-response",
    "message-tags",
    "multi-prefix",
    "sasl",
    "server-time",
    "setname",
    "standard-replies",
    "userhost-in-names",
)
ROOM = 200  # bytes of capabilities in a line of the answer to `LS 302`


class Negotiation:
    """What one client has asked for.

    `offered` returns the names that the server offers at the moment, `mechanisms` those of SASL.
    """

    def __init__(
        self, offered: Callable[[], list[str]], mechanisms: Callable[[], list[str]]
    ) -> None:
        self.open = False  # the client has sent LS or REQ before the welcome, and no END yet
        self.version = 301
        self.active: dict[str, None] = {}  # a set, in order
        self._offered, self._mechanisms = offered, mechanisms

    def __contains__(self, name: str) -> bool:
        return name in self.active

    def ask_for_version(self, text: str) -> None:
        """The client understands this version: from 302 on, values and cap-notify."""
        if text.isascii() and text.isdigit() and int(text[:6]) >= 302:
            self.version = 302
            if "cap-notify" in self._offered():
                self.active["cap-notify"] = None

    def written(self, name: str) -> str:
        """Returns a capability as this client may see it: with its value from version 302 on."""
        if name == "sasl" and self.version >= 302:
            return f"sasl={','.join(self._mechanisms())}"
        return name

    def listing(self) -> Iterator[tuple[bool, str]]:
        """Yields the lines of the answer to LS: whether more follow, and the capabilities."""
        lines = [""]
        for name in map(self.written, self._offered()):
            if self.version >= 302 and len(lines[-1]) + len(name) >= ROOM:
                lines.append("")
            lines[-1] = f"{lines[-1]} {name}".lstrip()
        for line in lines[:-1]:
            yield True, line
        yield False, lines[-1]

    def request(self, text: str) -> bool:
        """Takes over what the client asks for, all or nothing; returns whether that is possible."""
        words = text.split()
        names = [word.removeprefix("-") for word in words]
        if not set(names) <= {*self._offered(), *self.active}:
            return False
        for word, name in zip(words, names, strict=True):
            # With version 302, cap-notify stays (IRCv3 capability-negotiation, cap-notify).
            keeps = name == "cap-notify" and self.version >= 302
            if word.startswith("-") and not keeps:
                self.active.pop(name, None)
            elif not word.startswith("-"):
                self.active[name] = None
        return True

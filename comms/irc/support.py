"""What a server announces about itself (005): how names compare, and how long they may be."""

from __future__ import annotations

from collections.abc import Iterable

from comms.numbers import number

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ASCII = str.maketrans(_UPPER, _UPPER.lower())
_STRICT = str.maketrans(_UPPER + "[]\\", _UPPER.lower() + "{}|")
_RFC1459 = str.maketrans(_UPPER + "[]\\~", _UPPER.lower() + "{}|^")
# Of an unknown mapping the one that most servers have: it joins more names than the others.
_MAPPINGS = {"ascii": _ASCII, "strict-rfc1459": _STRICT, "rfc1459": _RFC1459}
NICK_LENGTH = 9  # characters, where the server does not say (RFC 2812 §1.2.1)


class Support:
    """The tokens of a server. Before any came, those of RFC 2812."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def learn(self, tokens: Iterable[str]) -> None:
        """Takes over the tokens of one line; `-NAME` removes one."""
        for token in tokens:
            name, _, value = token.partition("=")
            if name.startswith("-"):
                self._tokens.pop(name[1:].upper(), None)
            else:
                self._tokens[name.upper()] = value

    def __contains__(self, name: str) -> bool:
        return name in self._tokens

    def value(self, name: str, default: str = "") -> str:
        """Returns the value of a token."""
        return self._tokens.get(name) or default

    def fold(self, name: str) -> str:
        """Returns the form of a nick or channel in which equal names are the same."""
        mapping = self.value("CASEMAPPING", "rfc1459").lower()
        return name.translate(_MAPPINGS.get(mapping, _RFC1459))

    def is_channel(self, name: str) -> bool:
        """Whether a target is a channel."""
        return name[:1] != "" and name[:1] in self.value("CHANTYPES", "#&")

    @property
    def prefixes(self) -> str:
        """The signs that NAMES writes before nicks."""
        return self.value("PREFIX", "(ov)@+").partition(")")[2]

    @property
    def nick_length(self) -> int:
        """How long a nick may be."""
        return number(self.value("NICKLEN")) or NICK_LENGTH

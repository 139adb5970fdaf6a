"""A network in memory: what a test puts in is heard, and what is said can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from comms.bots.network import Heard, Network
from comms.errors import CommsError
from comms.state import State


class LineNetwork(Network):
    """Everybody has the account that is given. `failures` are raised, one by one, by each call."""

    def __init__(self, name: str = "line", state: State | None = None) -> None:
        self.name = name
        super().__init__(state)
        self.said: list[tuple[str, str]] = []
        self.failures: dict[str, list[CommsError]] = {"connect": [], "heard": [], "say": []}
        self.is_open = False
        self._waiting: list[Heard] = []

    def hears(self, text: str, who: str = "ann", **more: Any) -> None:
        """Lets a user say something."""
        where = more.get("room") or who or "nobody"
        self._waiting.append(Heard(self, who, who or "nobody", text, {"to": where}, **more))

    def _fails(self, what: str) -> None:
        if self.failures[what]:
            raise self.failures[what].pop(0)

    def connect(self) -> None:
        self._fails("connect")
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def heard(self) -> Iterator[Heard]:
        self._fails("heard")
        found, self._waiting = self._waiting, []
        yield from found

    def say(self, to: Mapping[str, Any], text: str) -> str | None:
        self._fails("say")
        self.said.append((str(to["to"]), text))
        return None

    def own_name(self, room: str) -> str:
        return "bot"

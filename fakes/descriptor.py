"""What the rest of the house needs to know about a server, in one value.

Each protocol's module ends with `SERVER = Server(…)`, and `servers.py` lists them. The world, the
world file, `python -m fakes`, the fault grammar and the transcripts are all derived from that list.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.people import Person
from fakes.transcripts.codec import Codec, Lines
from fakes.wire import Runtime, Session


@dataclass(frozen=True)
class Port:
    """A port that a server listens on, with its default number in `python -m fakes`.

    `tls` is true for a port inside TLS from the first byte. `policy` overrides switches of the
    server's policy on this port.
    """

    name: str
    number: int
    tls: bool = False
    policy: Mapping[str, Any] = field(default_factory=dict)


def _mail_login(store: Any, person: Person, program: str) -> dict[str, str]:
    return {"user": person.address, "password": person.password}


@dataclass(frozen=True)
class Server:
    """One server: how its cores are made, where it listens, and its words in files.

    A core is made as `core(runtime, store, policy)`. `store` names the attribute of the world that
    all its cores share (`mail`, `aim`, `jabber`), "" if they share nothing. `policy` is a dataclass
    of switches; those of its fields that stand in `table` of the world file are read from there,
    except `tls` and `off`, which the world sets. `words` and `cues` are what a transcript may write
    after `then:` and `cue:`, `secrets` its kinds of secrets; each is called with the store and the
    rest of the line.
    """

    name: str
    core: Callable[[Runtime, Any, Any], Session]
    ports: tuple[Port, ...]
    store: str = ""
    policy: type | None = None
    table: str = ""
    codec: Callable[[], Codec] = Lines
    words: Mapping[str, Callable[[Any, str], str]] = field(default_factory=dict)
    cues: Mapping[str, Callable[[Any, str], object]] = field(default_factory=dict)
    secrets: Mapping[str, Callable[[Any, str], bytes]] = field(default_factory=dict)
    # (store, the program's person, the world's `program`) → the keys of a settings table.
    login: Callable[[Any, Person, str], dict[str, str]] = _mail_login

    @property
    def kind(self) -> type[Session]:
        """The class of the cores."""
        assert isinstance(self.core, type)
        return self.core

    @property
    def switches(self) -> dict[str, dataclasses.Field[Any]]:
        """The fields of the policy that the world file may set."""
        if self.policy is None:
            return {}
        fields = dataclasses.fields(self.policy)
        return {one.name: one for one in fields if one.name not in ("tls", "off")}

    def maker(
        self, runtime: Runtime, store: Any, port: Port, settings: Mapping[str, Any]
    ) -> Callable[[], Session]:
        """Returns a function that makes one core per connection to a port.

        `settings` are values for the policy; those that it does not have are ignored.
        """
        policy = None
        if self.policy is not None:
            names = {one.name for one in dataclasses.fields(self.policy)}
            known = {key: value for key, value in settings.items() if key in names}
            policy = self.policy(**{**known, **port.policy})
        return lambda: self.core(runtime, store, policy)

"""What the rest of the package needs to know about a server, in one value.

Each protocol's module ends with `SERVER = Server(…)`, and `servers.py` names the modules. The
world, the world file, `python -m fakes`, the fault grammar and the transcripts are all derived from
that list.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from fakes.empty import EMPTY

if TYPE_CHECKING:
    from fakes.people import Person
    from fakes.transcripts.codec import Codec
    from fakes.wire import Runtime, Session


class Port(NamedTuple):
    """A port that a server listens on, with its default number in `python -m fakes`.

    `tls` is true for a port inside TLS from the first byte. `policy` overrides switches of the
    server's policy on this port.
    """

    name: str
    number: int
    tls: bool = False
    policy: Mapping[str, Any] = EMPTY


def _lines() -> Codec:
    from fakes.transcripts.codec import Lines

    return Lines()


def _mail_login(store: Any, person: Person, program: str) -> dict[str, str]:
    return {"user": person.address, "password": person.password}


@dataclass(frozen=True)
class Server:
    """One server: how its cores are made, where it listens, and its words in files.

    A core is made as `session(runtime, store, policy)`, or by `make`, which gets the class, too.
    `store` names the attribute of the world that its cores share (`mail`, `aim`, `jabber`), "" if
    they share nothing. `policy` is a dataclass of switches; `table` is the table of the world file
    that sets them, except `tls` and `off`, which the world sets. `words` and `cues` are what a
    transcript may write after `then:` and `cue:`, `secrets` are its kinds of secrets; each is
    called with the store and the text after the word. `login` is None for a server that a program
    is not configured with, and then it has no table in `World.settings`. Only worlds that name a
    server which is `on_request`, or one of its ports, have it. A server that
    `verifies` speaks with other servers, which show each other certificates of their domains.
    `manners` are the switches with which it behaves as a real server does, by that server's name.
    `brings` are other servers, whose ports may open in a world that has this one.
    """

    name: str
    session: type[Session]
    ports: tuple[Port, ...]
    make: Callable[[Any, Runtime, Any, Any], Session] | None = None
    store: str = ""
    policy: type | None = None
    table: str = ""
    codec: Callable[[], Codec] = _lines
    words: Mapping[str, Callable[[Any, str], str]] = field(default_factory=dict)
    cues: Mapping[str, Callable[[Any, str], object]] = field(default_factory=dict)
    secrets: Mapping[str, Callable[[Any, str], bytes]] = field(default_factory=dict)
    # (store, the program's person, the world's `program`) → the login in a settings file.
    login: Callable[[Any, Person, str], dict[str, str]] | None = _mail_login
    on_request: bool = False
    verifies: bool = False
    manners: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    brings: tuple[str, ...] = ()

    @property
    def upgrades(self) -> tuple[str, ...]:
        """The protocols to which its cores may hand a connection over."""
        return tuple(core.protocol for core in self.session.upgrades_to)

    @property
    def switches(self) -> list[str]:
        """The fields of the policy that the world file may set."""
        if self.policy is None:
            return []
        names = [one.name for one in dataclasses.fields(self.policy)]
        return [name for name in names if name not in ("tls", "off")]

    @property
    def secure(self) -> bool:
        """Whether the protocol can use TLS: its policy has the switch."""
        fields = dataclasses.fields(self.policy) if self.policy is not None else ()
        return any(one.name == "tls" for one in fields)

    def configured(self, settings: Mapping[str, Any]) -> Any:
        """Returns the policy with these values; those that it does not have are ignored."""
        if self.policy is None:
            return None
        names = {one.name for one in dataclasses.fields(self.policy)}
        return self.policy(**{key: value for key, value in settings.items() if key in names})

    def factory(self, runtime: Runtime, store: Any, policy: Any) -> Callable[[], Session]:
        """Returns what makes a core for each connection."""
        if self.make is not None:
            return partial(self.make, self.session, runtime, store, policy)
        core: Callable[[Runtime, Any, Any], Session] = self.session
        return partial(core, runtime, store, policy)


class _Deferred:
    """A server of which only that is known so far which decides whether a world needs it."""

    def __init__(
        self, name: str, module: str, table: str, on_request: bool, upgrades: tuple[str, ...]
    ) -> None:
        self.name, self.table, self.on_request, self.upgrades = name, table, on_request, upgrades
        self._module = module

    def __repr__(self) -> str:
        return f"<Server {self.name}>"

    @cached_property
    def _server(self) -> Server:
        server: Server = importlib.import_module(self._module).SERVER
        known = (self.name, self.table, self.on_request, self.upgrades)
        found = (server.name, server.table, server.on_request, server.upgrades)
        assert found == known, self._module
        return server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


class _Table(Mapping[str, Any]):
    """A table of a module that is imported at the first look into it."""

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    @cached_property
    def _table(self) -> Mapping[str, Any]:
        table: Mapping[str, Any] = getattr(importlib.import_module(self._module), self._name)
        return table

    def __getitem__(self, key: str) -> Any:
        return self._table[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def deferred_table(module: str, name: str) -> Mapping[str, Any]:
    """Returns a table of a module, such as the `words` of a server.

    Only transcripts need it, and most worlds play none: the module is imported at the first look.
    """
    return _Table(module, name)


def deferred_codec(module: str, name: str) -> Callable[[], Codec]:
    """Returns what makes a codec, whose module is imported for the first transcript."""
    return lambda: cast("Codec", getattr(importlib.import_module(module), name)())


def deferred(
    name: str,
    module: str,
    *,
    table: str = "",
    on_request: bool = False,
    upgrades: tuple[str, ...] = (),
) -> Server:
    """Returns the server that is SERVER in a module, which is imported when it is first needed."""
    return cast(Server, _Deferred(name, module, table, on_request, upgrades))

"""Which servers a world has, where they listen, and how their cores are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fakes import certificates
from fakes.config import Config, WorldError
from fakes.descriptor import Port, Server
from fakes.faults import EVERYWHERE, Places
from fakes.suggest import nearest


class Wiring:
    """The servers that the configuration, or `ports`, chooses among all servers.

    `ports` maps the names of listeners to port numbers; if it is not empty, only those open. `tls`
    is off, optional or required. Raises WorldError for a listener that does not exist.
    """

    __slots__ = ("_config", "_every", "_ports", "_tls", "servers")

    def __init__(
        self, every: tuple[Server, ...], config: Config, ports: Mapping[str, int], tls: str
    ) -> None:
        self._every, self._config, self._ports, self._tls = every, config, ports, tls
        if ports:
            self._check_ports(every)
        names = config.servers
        if names is None:
            chosen = [server for server in every if ports or not server.on_request]
        else:
            chosen = [server for server in every if server.name in names]
        if ports:
            wanted = set(ports)
            chosen = [one for one in chosen if wanted & {port.name for port in one.ports}]
        if names is not None:  # in the order in which they are named
            chosen.sort(key=lambda server: names.index(server.name))
        self.servers = {server.name: server for server in chosen}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all servers that the world could have."""
        return tuple(server.name for server in self._every)

    @property
    def within_reach(self) -> dict[str, Server]:
        """The servers whose ports may open: those of the world, and those that they bring."""
        names = {name for one in self.servers.values() for name in one.brings}
        brought = () if self._ports else (one for one in self._every if one.name in names)
        return {**{one.name: one for one in brought}, **self.servers}

    def _check_ports(self, every: tuple[Server, ...]) -> None:
        known = {port.name: port for server in every for port in server.ports}
        for name, number in self._ports.items():
            if name not in known:
                raise WorldError(
                    f"ports: unknown listener {name!r}{nearest(name, known)}; "
                    f"choose from {', '.join(known)}"
                )
            if not isinstance(number, int) or not 0 <= number <= 65535:
                raise WorldError(
                    f"ports: {name}: {number!r} is not a port; write a number from 0 to 65535"
                )
            if known[name].tls:
                check_tls(f"ports: {name}", self._tls)

    def vocabulary(self) -> dict[str, Places]:
        """Returns where faults may strike, for each protocol of this world."""
        found = {}
        for server in self.servers.values():
            for core in server.session.upgrades_to:
                # A successor takes over a connection: it sees no connect, and no TLS handshake.
                places = core.vocabulary()
                found[core.protocol] = Places(places.units - EVERYWHERE, places.capabilities)
        return found | {name: one.session.vocabulary() for name, one in self.servers.items()}

    def policy(self, server: Server, port: Port | None = None) -> Any:
        """Returns the policy of a server, or of one of its ports."""
        overrides = port.policy if port is not None else {}
        return server.configured({**self._config.policy(server), "tls": self._tls, **overrides})

    def listeners(self) -> Iterator[tuple[Server, Port, int]]:
        """Yields what opens, with the port number: those in `ports`, else each server's first."""
        for server in self.servers.values():
            for port in server.ports:
                if port.tls and self._tls == "off":
                    continue
                if port.name in self._ports or (not self._ports and port is server.ports[0]):
                    yield server, port, self._ports.get(port.name, 0)

    def may_open(self, listener: str) -> tuple[Server, Port]:
        """Returns the server and the port of a listener that may open when it is first needed.

        Raises WorldError for an unknown one, for one that `ports` leaves out, and for one inside
        TLS where TLS is off.
        """
        server, port = self.find(listener)
        if self._ports and listener not in self._ports:
            raise no_listener(listener, self._ports)
        if port.tls:
            check_tls(listener, self._tls)
        return server, port

    def opens(self, listener: str) -> bool:
        """Whether a listener may open."""
        return listener in self._ports or not self._ports

    def find(self, listener: str) -> tuple[Server, Port]:
        """Returns the server and the port of a listener, open or not. Raises WorldError."""
        servers = self.servers.values()
        known = {port.name: (one, port) for one in servers for port in one.ports}
        if listener not in known:
            servers = self.within_reach.values()
            known = {port.name: (one, port) for one in servers for port in one.ports}
        if listener not in known:
            others = (one for one in self._every if one.name not in self.servers)
            ports = {port.name: server.name for server in others for port in server.ports}
            remedy = self._remedy(ports[listener]) if listener in ports else ""
            raise no_listener(listener, known, remedy)
        return known[listener]

    def no_server(self, name: str) -> WorldError:
        """Returns the error for a server that this world does not have."""
        return WorldError(f"this world has no {name} server; {self._remedy(name)}")

    def _remedy(self, server: str) -> str:
        """What to write so that a world has another server, too."""
        if self._ports:
            return f"add {server} to ports"
        names = ", ".join(f'"{one}"' for one in (*self.servers, server))
        return f"write servers = [{names}]"


def check_tls(listener: str, tls: str) -> None:
    """Raises WorldError if TLS is off: then a listener inside TLS cannot open."""
    if tls == "off":
        # In real time, TLS is off by default only where certificates cannot be made.
        remedy = 'write tls = "optional"' if certificates.available() else certificates.REMEDY
        raise WorldError(f"{listener} needs TLS, which is off; {remedy}")


def no_listener(name: str, known: Mapping[str, object], remedy: str = "") -> WorldError:
    """Returns the error for a listener that a world does not have."""
    return WorldError(
        f"this world has no listener {name!r}{'' if remedy else nearest(name, known)}; "
        f"it has: {', '.join(known) or 'none (it is not running)'}{remedy and f'; {remedy}'}"
    )

"""The servers of this package. A new protocol is one module and one line here."""

from __future__ import annotations

from collections.abc import Iterable

from fakes import pop3, smtp
from fakes.descriptor import Server
from fakes.drills import DRILLS
from fakes.faults import Drill, Fault, parse
from fakes.toc import server as toc
from fakes.xmpp import server as xmpp

SERVERS: tuple[Server, ...] = (
    smtp.SERVER,
    pop3.SERVER,
    toc.SERVER,
    xmpp.SERVER,
)


def protocols(servers: Iterable[Server] = SERVERS) -> frozenset[str]:
    """Returns the names of the servers' protocols, those included that they hand over to."""
    upgrades = (core.protocol for server in servers for core in server.session.upgrades_to)
    return frozenset({*(server.name for server in servers), *upgrades})


def read_faults(text: str) -> list[Fault | Drill]:
    """Returns the faults and drills of a text, outside of any world. Raises FaultError."""
    return parse(text, protocols(), DRILLS)

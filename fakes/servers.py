"""The servers of this package. A new protocol is one module and one line here.

A protocol costs nothing until a world serves it: its module is imported when more is asked of a
server than its name and its table of the world file.
"""

from __future__ import annotations

from collections.abc import Iterable

from fakes.descriptor import Server, deferred
from fakes.drills import DRILLS
from fakes.faults import Drill, Fault, parse

SERVERS: tuple[Server, ...] = (
    deferred("smtp", "fakes.smtp", table="mail"),
    deferred("pop3", "fakes.pop3", table="mail"),
    # Not in every world: most need one way to read mail, and POP3 costs less.
    deferred("imap", "fakes.imap.server", table="imap", on_request=True),
    deferred("toc", "fakes.toc.server", table="toc", upgrades=("http",)),
    deferred("xmpp", "fakes.xmpp.server", table="xmpp"),
    # Components connect to a port of the XMPP server.
    deferred("component", "fakes.xmpp.component", on_request=True),
    deferred("xmpp-server", "fakes.xmpp.incoming", table="xmpp", on_request=True),
    deferred("irc", "fakes.irc.server", table="irc", on_request=True),
    deferred("webhook", "fakes.webhook", table="webhook", on_request=True),
)


def protocols(servers: Iterable[Server] = SERVERS) -> frozenset[str]:
    """Returns the names of the servers' protocols, those included that they hand over to."""
    found = {server.name for server in servers}
    return frozenset(found.union(*(server.upgrades for server in servers)))


def read_faults(text: str) -> list[Fault | Drill]:
    """Returns the faults and drills of a text, outside of any world. Raises FaultError."""
    return parse(text, protocols(), DRILLS)

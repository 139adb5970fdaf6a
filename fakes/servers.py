"""The servers of this package. A new protocol is one module and one line here."""

from __future__ import annotations

from fakes import pop3, smtp
from fakes.descriptor import Server
from fakes.toc import server as toc
from fakes.xmpp import server as xmpp

SERVERS: tuple[Server, ...] = (
    smtp.SERVER,
    pop3.SERVER,
    toc.SERVER,
    xmpp.SERVER,
)

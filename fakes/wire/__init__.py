"""The core of a fake server: one connection, without sockets, clock or randomness.

    input → buffer → next unit (line, frame, stanza) → fault? → handler → record → output

A protocol is a subclass of `Session`. It defines how bytes are split into units and what each unit
does. This package does what all protocols share: it looks commands up in the legality table,
applies faults, keeps records, and queues output for the shell.

Reading order: `unit` (units and records), `table` (the legality table), `session` (dispatch),
`lines` (LineSession, for protocols made of lines); then `output`, `timers`, `effects` (what each
fault does).
"""

from fakes.wire.session import (
    BACKLOG,
    PENDING,
    Destination,
    Facts,
    Handler,
    Runtime,
    Session,
    TlsFacts,
)
from fakes.wire.table import Rule, rule
from fakes.wire.timers import Timers
from fakes.wire.unit import Record, Refuse, Secret, Unit
from fakes.wire.want import Want

__all__ = [
    "BACKLOG",
    "PENDING",
    "Destination",
    "Facts",
    "Handler",
    "Record",
    "Refuse",
    "Rule",
    "Runtime",
    "Secret",
    "Session",
    "Timers",
    "TlsFacts",
    "Unit",
    "Want",
    "rule",
]

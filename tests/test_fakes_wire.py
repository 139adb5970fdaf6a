"""What all cores of the fakes share, tried on cores without a socket."""

from __future__ import annotations

import pytest

from fakes.wire import Facts, Session, TlsFacts, Want
from fakes.world import World


def output(session: Session) -> bytes:
    """Returns all that the core wants to have written."""
    written = b""
    while more := session.take():
        written += more
    session.written()
    return written


# For each protocol: what leads up to TLS, the command that asks for it, a command that an attacker
# injects, and one of the client's, sent inside TLS, with the start of its answer.
UPGRADES = [
    (
        "smtp",
        b"EHLO c.example\r\n",
        b"STARTTLS\r\n",
        b"EHLO evil.example\r\n",
        b"NOOP\r\n",
        b"250 ",
    ),
    ("pop3", b"CAPA\r\n", b"STLS\r\n", b"USER evil\r\n", b"CAPA\r\n", b"+OK"),
]


@pytest.mark.parametrize("together", [True, False], ids=["in one read", "in a read of its own"])
@pytest.mark.parametrize(
    ("protocol", "before", "starttls", "injected", "inside", "answer"),
    UPGRADES,
    ids=[row[0] for row in UPGRADES],
)
def test_input_that_arrived_before_the_tls_handshake_is_discarded(
    protocol: str,
    before: bytes,
    starttls: bytes,
    injected: bytes,
    inside: bytes,
    answer: bytes,
    together: bool,
) -> None:
    # An attacker between client and server could otherwise put commands into the encrypted session
    # (CVE-2011-0411). The shell discards them too; this is the guard of the core itself.
    world = World({"servers": [protocol], "tls": "optional"}, rehearsal=True)
    session = world.core(protocol)
    session.opened(Facts(1))
    session.receive(before)
    output(session)
    for data in [starttls + injected] if together else [starttls, injected]:
        session.receive(data)
    output(session)
    assert session.wants is Want.START_TLS
    session.wants = None
    session.secured(TlsFacts("TLSv1.3"))
    session.receive(inside)
    written = output(session)
    assert written.startswith(answer) and written.count(answer) == 1
    assert not [event for event in world.recording if b"evil" in getattr(event, "raw", b"")]

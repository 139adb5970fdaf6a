"""The other end: in-process fakes of the servers that a program talks to, on real sockets.

    from fakes import World

    with World() as world:                      # alice, bob and ops at example.test, password "secret"
        smtplib.SMTP(*world.address("smtp"))...
        mail = world.mail.wait_for(lambda mail: mail.subject == "hello")

Standard library only. Read `wire.py` first (what a core is), then `smtp.py` (one core), then `server.py` (the sockets).
"""

import fakes.toc.codec  # from here on transcripts know how frames are written
import fakes.xmpp.codec  # noqa: F401  (and how XML is)
from fakes.faults import Fault
from fakes.world import World

__all__ = ["Fault", "World"]

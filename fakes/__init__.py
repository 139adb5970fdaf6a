"""In-process fakes of the servers that a program talks to, on real sockets.

    from fakes import World

    with World() as world:          # alice, bob and ops at example.test, password "secret"
        smtplib.SMTP(*world.address("smtp"))...
        mail = world.mail.wait_for(lambda mail: mail.subject == "hello")

Standard library only. Reading order: `wire/` (what a core is), `smtp.py` (one core), `shell.py`
(the sockets), `world.py` (people, servers, time). fakes/README.md explains the design.
"""

from fakes.faults import Fault
from fakes.world import World, WorldError

__all__ = ["Fault", "World", "WorldError"]

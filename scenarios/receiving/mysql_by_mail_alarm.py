"""The alarm of mysql-by-mail: its owner is warned when commands were refused."""

from __future__ import annotations

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.mail_door import MailDoor
from comms.state import State

PAUSE = 3600.0  # seconds between two alarms
START = {"told": 0.0, "tries": 0}  # what is remembered: when the last one was, and refusals since


def alarm(owner: str, state: State, clock: Clock, host: Host, door: MailDoor, reason: str) -> None:
    """Counts a refused mail, and mails the count to the owner at most once an hour.

    Only mail that may be an attack counts. Does nothing without an owner. Raises StateError.
    """
    if not owner or reason not in ("wrong inbox", "a stranger"):
        return
    now = clock.time()
    known = {**START, **(state.recall("alarm", START) or {})}
    tries = known["tries"] + 1
    # An alarm in the future was sent when the clock was ahead.
    due = not 0 <= now - known["told"] < PAUSE
    with state.transaction() as db:
        if due:
            folder = door.quarantine.folder.name
            message = Message(
                sender=door.sender,
                to=[owner],
                subject=f"Commands were refused on {host.name}",
                text=f"Refused since the last alarm: {tries}. The mails are in {folder}.\n",
                headers=[("Auto-Submitted", "auto-generated")],
            )
            door.outbox.put(message.stamped(clock, host), now, at_least_once=True, db=db)
        memory = {**START, "told": now} if due else {**known, "tries": tries}
        state.remember(db, "alarm", memory)

"""The owner of a program that takes commands by mail is warned when mail was refused.

refused = partial(alarm, "owner@yourco.test", state, clock, host)
door = MailDoor(rules, commands, clock, host, refused=refused)
"""

from __future__ import annotations

from collections import Counter

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.mail_door import MailDoor
from comms.state import State

PAUSE = 3600.0  # seconds between two alarms
# Only what may be an attack counts: not what programs send, nor a command that came twice.
REASONS = (
    "wrong inbox",
    "a revoked inbox",
    "the inbox of another administrator",
    "a link that is not ours",
    "a stranger",
)


def alarm(owner: str, state: State, clock: Clock, host: Host, door: MailDoor, reason: str) -> None:
    """Counts a refused mail, and mails the counts to the owner at most once an hour.

    Does nothing without an owner, or for a reason that is not in REASONS. Raises StateError.
    """
    if not owner or reason not in REASONS:
        return
    now = clock.time()
    known = state.recall("alarms", {"told": 0.0, "tries": {}}) or {}
    tries = Counter(known.get("tries", {})) + Counter([reason])
    told = known.get("told", 0.0)
    # An alarm in the future was sent when the clock was ahead.
    due = not 0 <= now - told < PAUSE
    with state.transaction() as db:
        if due:
            counts = "".join(f"- {reason}: {count}\n" for reason, count in sorted(tries.items()))
            message = Message(
                sender=door.sender,
                to=[owner],
                subject=f"Commands were refused on {host.name}",
                text=f"Refused since the last alarm: {sum(tries.values())}\n{counts}\n"
                f"The mails are in {door.quarantine.folder.name}.\n",
                headers=[("Auto-Submitted", "auto-generated")],
            )
            door.outbox.put(message.stamped(clock, host), now, at_least_once=True, db=db)
            told, tries = now, Counter()
        state.remember(db, "alarms", {"told": told, "tries": tries})

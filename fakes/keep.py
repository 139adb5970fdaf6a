"""How much a server keeps: a test needs everything, a server that runs for months must not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Keep:
    """[keep]: limits of what is kept. Without a limit, everything is.

    Beyond a limit, the oldest is dropped, and an event of the level `warning` says so: for arrivals
    once, otherwise each time, which is rare, because a tenth is dropped at once. `mail` counts
    PER_MAIL for each mail besides its text.
    """

    arrivals: int | None = None  # mails, stanzas and IMs each, for `wait_for` and the like
    mail: int | None = None  # bytes in each folder, which always keeps its last mail
    maildrops: int | None = None  # that nobody owns: of catch_all, and of logins without an account
    greylist: int | None = None  # triples of client, sender and recipient


# Bytes. The objects of a mail take about 500 in a maildrop, and some 60 more for each flag. Each
# recipient of its envelope but the first takes 130, which is not counted.
PER_MAIL = 1024
EVERYTHING = Keep()
# For `python -m fakes`, where nobody can ask for arrivals.
FOR_MONTHS = Keep(arrivals=0, mail=1 << 26, maildrops=1000, greylist=100_000)

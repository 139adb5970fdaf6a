"""Rounds that begin as soon as mail arrives, for programs that read a mailbox.

    with Doorbell(server, clock, host) as doorbell:
        for _ in doorbell.every(30):         # at once, when mail arrives, and 30 seconds later
            ...                              # open the mailbox, and look

A server that has IDLE (RFC 2177) tells when mail arrives. It needs a connection of its own for
that, because the mailbox of a round is closed when its mails are stored. Other servers, and those
of POP3, are looked at every 30 seconds, and so is one whose connection was lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.errors import CommsError, Refused, RefusedNow
from comms.host import Host

if TYPE_CHECKING:
    from comms.imap import Mailbox
    from comms.settings import Server

PAUSE = 1.0  # seconds between the beginnings of two rounds, however much mail arrives


class Doorbell:
    """A connection that waits for mail. It is a context manager."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self._server, self._clock, self._host = server, clock, host
        self._waits = server.protocol == "imap"  # False: the server cannot tell
        self._mailbox: Mailbox | None = None

    def __enter__(self) -> Doorbell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._mailbox is not None:
            self._mailbox.close()
            self._mailbox = None

    def every(self, seconds: float) -> Iterator[None]:
        """Yields at once, then when mail has arrived, and after that many seconds at the latest."""
        if not self._waits:
            yield from self._clock.every(seconds)
            return
        begun = False
        for _ in self._clock.every(min(PAUSE, seconds)):
            if begun:
                self._wait(seconds)
            if begun and self._clock.stopping():
                return
            begun = True
            yield

    def _wait(self, seconds: float) -> None:
        """Waits for mail, or until the time is over."""
        try:
            if self._mailbox is not None:
                self._mailbox.wait(seconds)
                return
            if self._waits and self._open():
                return  # what has arrived before is only found by looking again
        except CommsError as error:
            self._host.log("doorbell", "warning", trouble=error)
            refused = isinstance(error, Refused) and not isinstance(error, RefusedNow)
            self._waits = self._waits and not refused
            self.close()
        self._clock.wait(None, self._clock.time() + seconds, or_stop=True)

    def _open(self) -> bool:
        """Connects, and returns whether the server can tell of new mail. Raises CommsError."""
        from comms import imap  # most programs do without

        mailbox = imap.Mailbox(self._server, self._clock, token=self._host.token)
        self._waits = mailbox.can_wait
        if self._waits:
            self._mailbox = mailbox
        else:
            mailbox.close()
        return self._waits

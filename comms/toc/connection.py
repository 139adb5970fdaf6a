"""The connection of one screen name: signed on, and signed on again after a loss.

A `Connection` keeps what a new session needs: the watched buddies and the user's own status. The
`handle` callback decides what a message does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from comms.backoff import Backoff
from comms.clock import Clock
from comms.errors import TryLater, Unreachable
from comms.host import Host
from comms.link import STOPPING
from comms.toc.buddies import Buddy
from comms.toc.messages import (
    COMMAND,
    Complaint,
    Message,
    argument,
    encode,
    encode_command,
    normalize,
)
from comms.toc.session import UPDATES, Session

if TYPE_CHECKING:
    from comms.settings import Server

# Seconds between attempts to sign on again, at most: the first pause is the shortest, and each
# later one is twice as long, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
TOO_OFTEN = 600.0  # seconds after ERROR 983: "wait ten minutes, longer if it goes on"

# The fields of an UPDATE_BUDDY about a user who has left.
_OFFLINE = {"online": "F", "evil": "0", "signon": "0", "idle": "0", "class": "   "}
_STOPPED = object()


class Connection:
    """The connection of `name`, which is not established until `connect` is called.

    `command` is the sign-on command. `buddies` are those whose status the program may look at.
    `handle` is called with each message, `complained` with the server's objection to a sign-on, and
    `back` after a lost connection has been established again.
    """

    def __init__(
        self,
        server: Server,
        clock: Clock,
        host: Host,
        name: str,
        command: str,
        buddies: Iterable[Buddy],
        *,
        handle: Callable[[Message], None],
        complained: Callable[[Complaint], None],
        back: Callable[[], None],
    ) -> None:
        self.away: str | None = None  # the argument of the last toc_set_away; None: not away
        self.idle_since: float | None = None  # on the monotonic clock; None: not idle
        self._server, self._clock, self._host = server, clock, host
        self._own, self._command, self._buddies = normalize(name), command, buddies
        self._handle, self._complained, self._back = handle, complained, back
        self._session: Session | None = None
        self._wanted = False  # whether a lost connection should be established again
        # Half of each pause is fixed: a server that has cut us off should have time to recover.
        self._backoff = Backoff(clock, host, first=FIRST_PAUSE, longest=LONGEST_PAUSE, jitter=0.5)
        # Normalized names, in order: those that are watched in addition to the stored list.
        self._watched: dict[str, None] = {}

    # ── establishing it, and staying on it ───────────────────────────────────

    def connect(self) -> None:
        """Signs on, and returns when the server has sent everybody's status.

        Raises Refused, TryLater (ERROR 981, 983) or Unreachable.
        """
        self.disconnect()
        session = self._sign_on()
        self._wanted = True
        self._backoff.succeeded()
        for message in session.pending():
            self._handle(message)

    def wait(self, limit: float | None) -> None:
        """Handles what arrives, for `limit` seconds, or until the program is asked to stop.

        Raises Refused if the server no longer accepts us, Unreachable if `connect` was not called.
        """
        if not self._wanted:
            raise Unreachable("not signed on: connect() comes before wait()")
        until = None if limit is None else self._clock.monotonic() + limit
        # When a server that sends without end is left, once the time is over or we stop.
        stop_at = None if until is None else until + STOPPING
        while self._wanted:  # a handler may call disconnect
            now = self._clock.monotonic()
            if until is None and self._clock.stopping():
                stop_at = now + STOPPING if stop_at is None else stop_at
            if stop_at is not None and now >= stop_at:
                return
            try:
                if self._session is None:
                    if not self._reconnect(until):
                        return
                elif (message := self._session.next(until)) is not None:
                    self._handle(message)
                else:
                    return
            except Unreachable as error:
                self._host.log("aim-link-lost", "warning", trouble=error)
                self._lost()

    def disconnect(self) -> None:
        """Signs off; what was sent arrives first. The next connection starts without a status."""
        self._wanted = False
        self.away, self.idle_since = None, None
        self._drop()

    def required(self) -> Session:
        """Returns the session. Raises Unreachable if there is none."""
        if self._session is None:
            raise Unreachable("not signed on: connect() comes first")
        return self._session

    def watch(self, name: str) -> None:
        """Asks for a buddy's presence in this session and all later ones; `name` is normalized.

        Raises ValueError if the name is too long for a command, and Unreachable.
        """
        command = f"toc_add_buddy {argument(name)}"
        encode_command(command)  # a name that cannot be sent would break every later sign-on
        if name not in self._watched:
            self._watched[name] = None
            if self._session is not None:
                self._session.send(command)

    # ── inside ───────────────────────────────────────────────────────────────

    def _sign_on(self) -> Session:
        session = self._session = Session(self._server, self._clock, self._host)
        try:
            refusal = session.sign_on(self._own, self._command)
            if refusal is not None:
                self._complained(refusal)
                if refusal.code == 983:
                    self._backoff.wait_at_least(TOO_OFTEN)
                raise session.error_for(refusal)
            self._go_online(session)
        except BaseException:
            self._drop()
            raise
        return session

    def _go_online(self, session: Session) -> None:
        """Sends the watched buddies and our own status, and waits for everybody else's."""
        line = "toc_add_buddy"
        for name in map(argument, self._watched):
            if len(encode(f"{line} {name}")) > COMMAND:
                session.send(line)
                line = "toc_add_buddy"
            line += f" {name}"
        if self._watched:
            session.send(line)
        session.send("toc_init_done")  # required within 30 seconds of the sign-on command
        if self.away is not None:
            session.send(f"toc_set_away {self.away}")
        if self.idle_since is not None:
            session.send(f"toc_set_idle {self._clock.monotonic() - self.idle_since:.0f}")
        session.sync()
        if session.answers_status:
            # The server has now sent the status of every buddy that is online. Those who were
            # online before and are not among them have left in the meantime, without an update.
            listed = {
                normalize(message["name"]) for message in session.inbox if message.kind in UPDATES
            }
            gone = sorted(
                buddy.name
                for buddy in self._buddies
                if buddy.is_online and buddy.name not in listed
            )
            session.inbox += [Message("UPDATE_BUDDY", {**_OFFLINE, "name": name}) for name in gone]

    def _lost(self) -> None:
        """Drops the session and schedules the next attempt to sign on."""
        session = self._session
        if session is not None and self._clock.monotonic() - session.began > LONGEST_PAUSE:
            # Only now the last attempt counts as a success. A server that accepts the sign-on and
            # then cuts the connection at once would otherwise be called without pauses.
            self._backoff.succeeded()
        self._drop()
        self._backoff.failed()

    def _reconnect(self, until: float | None) -> bool:
        """Makes one attempt to sign on, when it is due.

        Returns False if `until` comes first, or if the program is asked to stop.
        """
        pause = self._backoff.due - self._clock.monotonic()
        if until is not None:
            pause = min(pause, until - self._clock.monotonic())
        if not self._pause(pause) or self._clock.monotonic() < self._backoff.due - 1e-6:
            return False
        try:
            self._sign_on()
        except (Unreachable, TryLater) as error:
            self._host.log("aim-not-back", "warning", trouble=error)
            self._backoff.failed()
            return True
        self._host.log("aim-back")
        self._back()
        return True

    def _pause(self, seconds: float) -> bool:
        """Waits; returns False if the program is asked to stop before."""
        rounds = self._clock.every(max(seconds, 0.001))
        next(rounds, None)
        return next(rounds, _STOPPED) is not _STOPPED

    def _drop(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

"""One connection to a TOC server, from FLAPON to its end.

TOC does not acknowledge commands, but a server handles them in order. So the answer to a question
about ourselves (`toc_get_status`) comes after every error that earlier commands have caused. `sync`
asks that question and waits for the answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.errors import Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.link import MOMENT, Link
from comms.toc import frames
from comms.toc.frames import FrameError, Frames
from comms.toc.messages import (
    Complaint,
    Message,
    argument,
    complaint,
    encode_command,
    normalize,
    parse,
)

if TYPE_CHECKING:
    from comms.settings import Server

SYNC = 2.0  # seconds that the answer about ourselves may take; if it is late, nothing more is asked
RATE_PAUSE = 15.0  # seconds after the first command over the rate limit; it doubles each time
RATE_ATTEMPTS = 6  # how many times such a command is sent
INBOX = 4096  # messages that may wait to be handled; if there are more, nothing is read

CONFIGURATION = 1 << 20  # bytes of the answer to a sign-on, with the stored buddy list
FLOOD = 1 << 21  # bytes that one look takes in without finding a complete frame

TOO_FAST = frozenset({903, 960})
GENERAL = frozenset({911, 912, 913, 914, 915, 983, 989})  # complaints about any command
TEMPORARY = TOO_FAST | {981, 982, 983}
UPDATES = ("UPDATE_BUDDY", "UPDATE_BUDDY2")


class Session:
    """A connection to the server, before the sign-on. Raises Unreachable.

    What outlives a connection, such as the watched buddies, belongs to the client.
    """

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.where = f"{server.host}:{server.port}"
        self.began = clock.monotonic()
        self.inbox: deque[Message] = deque()  # received, and not handled yet
        self.answers_status = True  # whether the server answers questions about ourselves
        self._unanswered = 0  # such questions that have not been answered yet
        self._own = ""
        self._signed_on = False
        self._server, self._clock, self._host = server, clock, host
        self._frames = Frames(int(host.token(4), 36))
        self._link = Link.connect(server.host, server.port, clock, server.timeout)

    def sign_on(self, name: str, command: str) -> Complaint | None:
        """Signs on. Returns the server's objection, None if it accepts. Raises Unreachable."""
        self._own = normalize(name)
        until = self._clock.monotonic() + self._server.timeout
        self._write(frames.FLAPON)
        first = self._frame(until)
        if first is None or first.kind != frames.SIGNON or first.payload[:4] != frames.VERSION:
            raise Unreachable(f"{self.where} does not begin like a TOC server")
        self._write(self._frames.write(frames.SIGNON, frames.signon(self._own)))
        self.send(command)
        self._link.expect(CONFIGURATION)
        answer = self._receive(until)
        if answer is None:
            raise Unreachable(f"{self.where} does not answer the sign-on")
        if answer.kind not in ("SIGN_ON", "ERROR"):
            raise Unreachable(f"{self.where} answers the sign-on with {answer.kind}")
        self._signed_on = True
        self._link.expect(None)  # from now on the server may send at any time
        return complaint(answer, mid_session=False) if answer.kind == "ERROR" else None

    def send(self, line: str) -> None:
        """Sends a command. Raises Unreachable, and ValueError if it is too long or has a NUL."""
        self._write(self._frames.write(frames.DATA, encode_command(line)))

    def request(self, line: str, codes: set[int]) -> bool:
        """Sends a command and waits until it is handled; returns whether that is certain.

        It is not if the server complains without saying about what.
        A command that the server drops because of its rate limit is sent again after a pause.
        Raises Refused or TryLater if the server complains with one of `codes`, Unreachable if the
        command was not sent, Unknown if the connection was lost afterwards.
        """
        pause = RATE_PAUSE
        for _ in range(RATE_ATTEMPTS):
            self.send(line)
            try:
                complaints = self.sync()
            except Unreachable as error:
                raise Unknown(f"{error}; the last command may have arrived or not") from None
            found = next((item for item in complaints if item.code in codes), None)
            if found is None:
                doubt = any(item.code in GENERAL for item in complaints)
                return self.answers_status and not self._unanswered and not doubt
            if found.code not in TOO_FAST:
                raise self.error_for(found)
            self._host.log("aim-too-fast", "warning", seconds=f"{pause:g}", trouble=found)
            if not self._pause(pause):
                raise TryLater(f"{self.where}: {found}; the program was asked to stop")
            pause *= 2
        raise TryLater(f"{self.where}: {found}, {RATE_ATTEMPTS} times")

    def sync(self) -> list[Complaint]:
        """Waits until the server has handled every command, at most SYNC seconds.

        Returns its complaints. Raises Unreachable. A server that has never answered is not asked
        again, because each question would take the full time.
        """
        complaints: list[Complaint] = []
        if not self.answers_status:
            return complaints
        self.send(f"toc_get_status {argument(self._own)}")
        self._unanswered += 1
        for message in self.receive_for(SYNC):
            if self._is_status_answer(message):
                self.inbox.pop()
                if not self._unanswered:
                    return complaints
            elif message.kind == "ERROR":
                complaints.append(complaint(message))
        # A complaint shows that the server has handled something, so it may only be slow.
        self.answers_status = bool(complaints)
        return complaints

    def error_for(self, found: Complaint) -> Refused | TryLater:
        """Returns a complaint as an exception."""
        temporary = found.code in TEMPORARY or (found.code, found.argument) == (989, "0")
        text = self._server.masked(f"{self.where}: {found}")
        return (TryLater if temporary else Refused)(text)

    # ── receiving ────────────────────────────────────────────────────────────

    def pending(self) -> Iterator[Message]:
        """Yields the messages in the inbox, and removes each."""
        while self.inbox:
            message = self.inbox.popleft()
            # The answer to an earlier question came too late. It is of no interest to the program.
            if not self._is_status_answer(message):
                yield message

    def next(self, until: float | None) -> Message | None:
        """Returns the next message to handle.

        Returns None at `until`, a time of the monotonic clock, or when the program is asked to
        stop. Raises Unreachable.
        """
        while (message := next(self.pending(), None)) is None:
            received = self._receive(until)
            if received is None:
                return None
            self.inbox.append(received)
        return message

    def receive_for(self, seconds: float) -> Iterator[Message]:
        """Yields the messages that arrive within that time, and leaves them in the inbox.

        They will be handled later, in order. Raises Unreachable.
        """
        until = self._clock.monotonic() + seconds
        while len(self.inbox) < INBOX and (message := self._receive(until)) is not None:
            self.inbox.append(message)
            yield message

    def _is_status_answer(self, message: Message) -> bool:
        """Returns whether this answers a question about ourselves, and counts it as answered."""
        fields = {"UPDATE_BUDDY": "name", "UPDATE_BUDDY2": "name", "ERROR": "argument"}
        about = fields.get(message.kind)
        if not self._unanswered or about is None or normalize(message[about]) != self._own:
            return False
        if message.kind == "ERROR" and message["code"] != "901":
            return False
        self._unanswered -= 1
        # Once every question is answered, even late, the server can be asked again.
        self.answers_status |= not self._unanswered
        return True

    # ── the wire ─────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Closes the connection in order: the last command arrives first."""
        self._link.close()

    def _receive(self, until: float | None) -> Message | None:
        others = 0
        while (frame := self._frame(until)) is not None:
            if frame.kind == frames.SIGNOFF:
                raise Unreachable(f"{self.where} signed us off")
            if frame.kind != frames.DATA:
                pass  # a keep-alive, for example, which has done its work by arriving
            else:
                try:
                    return parse(frame.payload)
                except ValueError as error:
                    self._host.log("aim-not-understood", "warning", trouble=error)
            others += 1
            if others > INBOX and self._over(until):
                return None
        return None

    def _over(self, until: float | None) -> bool:
        """Returns whether the time is over; without one, whether the program is asked to stop."""
        return self._clock.stopping() if until is None else self._clock.monotonic() >= until

    def _pause(self, seconds: float) -> bool:
        """Waits; returns False if the program is asked to stop before."""
        until = self._clock.monotonic() + seconds
        self._clock.wait(None, self._clock.time() + seconds, or_stop=True)
        # In a rehearsal, it also returns early when the play is over.
        left = until - self._clock.monotonic()
        if left > MOMENT and not self._clock.stopping():
            self._clock.wait(None, self._clock.time() + left)
        return not self._clock.stopping()

    def _readable(self, until: float | None) -> bool:
        """Waits until there is something to read (True), or until the time (False)."""
        if until is None:
            return self._clock.wait(self._link, None)
        # The wall clock may have been set since the last time, so what is left counts.
        left = until - self._clock.monotonic()
        if self._signed_on:
            return self._clock.wait(self._link, self._clock.time() + left)
        try:
            return self._link.wait(left)
        except TimeoutError:
            return False

    def _frame(self, until: float | None) -> frames.Frame | None:
        taken = 0
        while True:
            try:
                frame = self._frames.read()
            except FrameError as error:
                raise Unreachable(f"{self.where}: the stream is out of step: {error}") from None
            if frame is not None:
                return frame
            # A server that sends without end must not keep us here for ever.
            if taken > FLOOD and self._over(until):
                return None
            if not self._readable(until):
                return None
            try:
                data = self._link.recv(1 << 16)
            except OSError as error:
                raise Unreachable(f"{self.where}: {error}") from None
            taken += len(data)
            if not data:
                raise Unreachable(f"{self.where} hung up")
            self._frames.feed(data)

    def _write(self, raw: bytes) -> None:
        try:
            self._link.sendall(raw)
        except OSError as error:
            reason = error.strerror or error
            raise Unreachable(f"{self.where}: the connection is lost: {reason}") from None

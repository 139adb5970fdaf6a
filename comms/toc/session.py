"""One connection to a TOC server, from FLAPON to the end. What outlives it (whom we watch, what is called) is the client's.

TOC acknowledges nothing, but a server handles commands in order: the answer to a question about ourselves
(`toc_get_status`) comes behind every complaint about what was said before it. That is what `sync` waits for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from comms.clock import Clock
from comms.errors import Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.link import Link
from comms.settings import Server
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

CATCH_UP = (
    2.0  # seconds that the answer about ourselves may take; until it comes nothing more is asked
)
RATE_PAUSE, RATE_TRIES = (
    15.0,
    6,
)  # a command over the rate limit: the first pause in seconds (they double), and how many
INBOX = 4096  # messages that may wait for their turn; while there are more, nothing is read

PRESENCE = ("UPDATE_BUDDY", "UPDATE_BUDDY2")


class Session:
    """A link to the server, not signed on yet. Raises Unreachable."""

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.where = f"{server.host}:{server.port}"
        self.began = clock.time()
        self.inbox: deque[Message] = deque()  # read already, not handled yet
        self.answers_status = True  # the server answers questions about ourselves
        self._asked = 0  # of which so many are not answered yet
        self._own = ""
        self._server, self._clock, self._host = server, clock, host
        self._frames = Frames(int(host.token(4), 36))
        self._link = Link.connect(server.host, server.port, clock, server.timeout)

    def sign_on(self, name: str, command: str) -> Complaint | None:
        """Signs on; gives what the server has against it. Raises Unreachable."""
        self._own = normalize(name)
        until = self._clock.time() + self._server.timeout
        self._write(frames.FLAPON)
        first = self._frame(until)
        if first is None or first.kind != frames.SIGNON or first.payload[:4] != frames.VERSION:
            raise Unreachable(f"{self.where} does not begin as a TOC server does")
        self._write(self._frames.write(frames.SIGNON, frames.signon(self._own)))
        self.send(command)
        answer = self._read(until)
        if answer is None:
            raise Unreachable(f"{self.where} does not answer the sign-on")
        if answer.kind not in ("SIGN_ON", "ERROR"):
            raise Unreachable(f"{self.where} answers the sign-on with {answer.kind}")
        return complaint(answer) if answer.kind == "ERROR" else None

    def send(self, line: str) -> None:
        """A command. Raises Unreachable, and ValueError when it is longer than servers take."""
        self._write(self._frames.write(frames.DATA, encode_command(line)))

    def request(self, line: str, codes: set[int]) -> bool:
        """Says a command; gives whether it is known to be handled. Too fast means: again, a little later.

        Raises what the server has against it, if that is among the codes: Refused, TryLater. Else Unreachable when it
        was not said, Unknown when the link was lost behind it.
        """
        pause = RATE_PAUSE
        for _ in range(RATE_TRIES):
            self.send(line)
            try:
                found = next((one for one in self.sync() if one.code in codes), None)
            except Unreachable as error:
                raise Unknown(
                    f"{error}; nobody knows whether what was said last has arrived"
                ) from None
            if found is None:
                return self.answers_status and not self._asked
            if found.code not in (903, 960):
                raise self.error_for(found)
            self._host.log("aim-too-fast", "warning", seconds=f"{pause:g}", trouble=found)
            self._clock.wait(None, self._clock.time() + pause)
            pause *= 2
        raise TryLater(f"{self.where}: {found}, {RATE_TRIES} times")

    def sync(self) -> list[Complaint]:
        """Waits until the server has handled all that was said; gives what it has against it. Raises Unreachable."""
        complaints: list[Complaint] = []
        if not self.answers_status:
            return complaints
        self.send(f"toc_get_status {argument(self._own)}")
        self._asked += 1
        for message in self.receive_for(CATCH_UP):
            if self._answers(message):
                self.inbox.pop()
                if not self._asked:
                    return complaints
            elif message.kind == "ERROR":
                complaints.append(complaint(message))
        self.answers_status = bool(complaints)
        return complaints

    def error_for(self, found: Complaint) -> Refused | TryLater:
        """A complaint as an exception."""
        for_now = found.code in (903, 960, 981, 982, 983) or (found.code, found.argument) == (
            989,
            "0",
        )
        return (TryLater if for_now else Refused)(f"{self.where}: {found}")

    # ── what comes ───────────────────────────────────────────────────────────

    def pending(self) -> Iterator[Message]:
        """What has been read and waits to be handled, taken out one by one."""
        while self.inbox:
            message = self.inbox.popleft()
            if not self._answers(message):  # an answer that came late tells nobody anything
                yield message

    def next(self, until: float | None) -> Message | None:
        """The next message to be handled; None when the time is come, or the program is asked to stop.

        Raises Unreachable.
        """
        while (message := next(self.pending(), None)) is None:
            came = self._read(until)
            if came is None:
                return None
            self.inbox.append(came)
        return message

    def receive_for(self, seconds: float) -> Iterator[Message]:
        """What comes within so many seconds, left in the inbox: its turn to be handled is later. Raises Unreachable."""
        until = self._clock.time() + seconds
        while len(self.inbox) < INBOX and (message := self._read(until)) is not None:
            self.inbox.append(message)
            yield message

    def _answers(self, message: Message) -> bool:
        """Whether this is the answer to a question about ourselves."""
        about = {"UPDATE_BUDDY": "name", "UPDATE_BUDDY2": "name", "ERROR": "argument"}.get(
            message.kind
        )
        if not self._asked or about is None or normalize(message[about]) != self._own:
            return False
        if message.kind == "ERROR" and message["code"] != "901":
            return False
        self._asked -= 1
        self.answers_status |= not self._asked  # late perhaps, but it does answer
        return True

    # ── the wire ─────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Leaves, once what was said is out."""
        self._link.close()  # reads what still comes first: closing over it would undo the last IM

    def _read(self, until: float | None) -> Message | None:
        while (frame := self._frame(until)) is not None:
            if frame.kind == frames.SIGNOFF:
                raise Unreachable(f"{self.where} signed us off")
            if frame.kind != frames.DATA:
                continue  # keep-alive, and whatever else: it is traffic, no more
            try:
                return parse(frame.payload)
            except ValueError as error:
                self._host.log("aim-not-understood", "warning", trouble=error)
        return None

    def _frame(self, until: float | None) -> frames.Frame | None:
        while True:
            try:
                frame = self._frames.read()
            except FrameError as error:
                raise Unreachable(f"{self.where}: the stream is out of step: {error}") from None
            if frame is not None:
                return frame
            if not self._clock.wait(self._link, until):
                return None
            data = self._link.recv(1 << 16)
            if not data:
                raise Unreachable(f"{self.where} hung up")
            self._frames.feed(data)

    def _write(self, raw: bytes) -> None:
        try:
            self._link.sendall(raw)
        except OSError as error:
            raise Unreachable(
                f"{self.where}: the link is lost: {error.strerror or error}"
            ) from None

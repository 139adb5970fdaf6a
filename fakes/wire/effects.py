"""What each fault does to a unit and to the answer.

`fakes/faults` decides which fault a unit meets. This module carries it out, in every protocol in
the same way, through the few methods of a session that `Target` lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from fakes.faults import Fault
from fakes.wire.output import Output
from fakes.wire.unit import NO_FIELDS, Secret
from fakes.wire.want import Want


@dataclass(slots=True)
class Message:
    """One call of `Session.send` that was captured instead of sent."""

    raw: bytes
    section: str = ""
    visible: tuple[int, int] | None = None
    secrets: tuple[Secret, ...] = ()
    fields: Mapping[str, Any] = NO_FIELDS


@dataclass
class Answer:
    """Everything that a handler sent while its output was captured."""

    messages: list[Message] = field(default_factory=list)
    end: Want | None = None  # the handler wanted to close the connection afterwards


class Target(Protocol):
    """What a fault needs of a session."""

    output: Output
    wants: Want | None

    def scripted_reply(self, text: str) -> None:
        """Sends the text of a `reply` fault in the protocol's form."""

    def stall(self) -> None:
        """Goes on reading and never reacts again."""

    def delay(self, seconds: float, run: Callable[[], None]) -> None:
        """Handles the unit later; input waits until then."""

    def capture(self, run: Callable[[], None]) -> Answer:
        """Runs a handler and returns what it sends."""

    def transmit(self, message: Message) -> None:
        """Sends a captured message."""

    def trickle(self, answer: Answer, rate: int) -> None:
        """Sends what was captured at `rate` bytes a second; input waits until then."""

    def close(self, want: Want = Want.CLOSE) -> None:
        """Ends the connection once the output is written."""


def apply(fault: Fault, session: Target, run: Callable[[], None]) -> None:
    """Carries out a fault at a unit; `run` handles the unit."""
    match fault.kind:
        case "reply":
            session.scripted_reply(fault.reply or "")
        case "stall":
            session.stall()
        case "delay":
            session.delay(fault.delay or 0.0, run)
        case "reset":
            session.close(Want.RESET)
        case "hang_up" if fault.hang_up == "before":
            session.close()
        case "lost" if fault.lost == "unstored":
            session.close()
        case "split":
            _split(fault.split or 1, session, run)
        case "bandwidth":
            session.trickle(session.capture(run), fault.bandwidth or 1)
        case "hang_up" | "lost" | "after":
            _cut(fault, session, run)
        case kind:
            raise AssertionError(f"{fault}: no effect is defined for {kind!r}; add a case to apply")


def _split(chunk: int, session: Target, run: Callable[[], None]) -> None:
    """The answer is complete, but leaves in small writes."""
    answer = session.capture(run)
    session.output.chunk = chunk
    for message in answer.messages:
        session.transmit(message)
    if answer.end is not None:
        session.close(answer.end)


def _cut(fault: Fault, session: Target, run: Callable[[], None]) -> None:
    """The unit is handled, then the connection ends somewhere in the answer."""
    answer = session.capture(run)
    length = sum(len(message.raw) for message in answer.messages)
    for message in shortened(answer.messages, bytes_left(fault, length)):
        session.transmit(message)
    # The handler may have asked for TLS or for another protocol. Neither happens any more: without
    # this, the shell would start a handshake on a connection that is meant to end here.
    session.wants = None
    session.close()


def bytes_left(fault: Fault, length: int) -> int:
    """Returns how many bytes of an answer of this length are sent."""
    match fault.kind:
        case "lost":
            return 0
        case "hang_up":
            return length // 2 if fault.hang_up == "within" else length
        case "after":
            return min(fault.after or 0, length)
    return length


def shortened(messages: list[Message], left: int) -> Iterator[Message]:
    """Yields the messages up to a total of `left` bytes; the last one may be cut."""
    for message in messages:
        if message.raw[:left]:
            yield replace(message, raw=message.raw[:left])
        left -= min(left, len(message.raw))

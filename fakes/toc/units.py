"""Splits the bytes of a TOC client into units: the opening, then SFLAP frames.

A unit that breaks the framing has no verb, and its refusal is the `Drop` that ends the session.
"""

from __future__ import annotations

import re

from fakes.toc import frames
from fakes.toc.aim import Aim
from fakes.toc.arguments import Malformed, words
from fakes.toc.masks import HIDDEN_COMMAND, WITH_PASSWORD, masks
from fakes.toc.refusals import Drop
from fakes.wire import Secret, Unit

# One command under two names: the table, the faults and the records use the second one.
ALIASES = {"toc2_send_im": "toc_send_im"}
_VERBS = {
    frames.SIGNON: "SIGNON",
    frames.SIGNOFF: "SIGNOFF",
    frames.KEEP_ALIVE: "KEEP_ALIVE",
}
# The three groups match any text: white space, the verb, white space, the rest.
_COMMAND = re.compile(r"[ \t\r\n]*([^ \t\r\n]*)[ \t\r\n]*(.*)", re.S)


def speaks_http(buffer: bytes | bytearray) -> bool:
    """Whether the first bytes of a connection rule out FLAPON; the port serves HTTP then."""
    agreeing = _agreeing(buffer)
    return agreeing < len(buffer) and agreeing < len(b"FLAP")


def opening(buffer: bytearray) -> Unit | None:
    """Takes FLAPON from the buffer; None until it is complete."""
    for form in frames.FLAPON:
        if buffer.startswith(form):
            del buffer[: len(form)]
            return Unit(form, "FLAPON", visible=(0, len(b"FLAPON")))
    agreeing = _agreeing(buffer)
    if agreeing == len(buffer):
        return None
    return _broken(buffer, agreeing + 1, "FLAPON is followed by an empty line")


def _agreeing(buffer: bytes | bytearray) -> int:
    """How many bytes of the buffer, from the first on, are the start of some form of FLAPON."""
    head = bytes(buffer[: max(map(len, frames.FLAPON))])
    for length in range(len(head), 0, -1):
        if any(form.startswith(head[:length]) for form in frames.FLAPON):
            return length
    return 0


def _broken(buffer: bytearray, length: int, why: str) -> Unit:
    raw = bytes(buffer[:length])
    del buffer[:length]
    return Unit(raw, "", refusal=Drop(why))


class FrameReader:
    """Reads the frames of one client, and checks their sequence numbers and lengths."""

    def __init__(self, aim: Aim, *, check_sequence: bool, longest: int) -> None:
        """`longest` is the limit of a command in bytes."""
        self._aim = aim  # the accounts: needed to label passwords
        self._check_sequence = check_sequence
        self._longest = longest
        self._last: int | None = None  # the last sequence number

    def next(self, buffer: bytearray, user: str) -> Unit | None:
        """Takes the next frame from the buffer; None until it is complete. `user` is signed on."""
        if buffer and not buffer.startswith(b"*"):
            return _broken(buffer, 1, "no frame begins like this")
        frame = frames.first(buffer)
        if frame is None:
            return None
        raw = frame.packed()
        del buffer[: len(raw)]
        # The client chooses its first number, so only the step from one frame to the next counts.
        step = 1 if self._last is None else (frame.sequence - self._last) % 65536
        self._last = frame.sequence
        unit = self._unit(frame, raw, user)
        if step != 1:
            unit.fields = {**unit.fields, "step": step}
            if self._check_sequence:
                unit.verb = ""
                unit.refusal = Drop(f"the sequence number is {step} further, not 1")
        return unit

    def _unit(self, frame: frames.Frame, raw: bytes, user: str) -> Unit:
        if frame.type == frames.DATA:
            return self._command(frame, raw, user)
        verb = _VERBS.get(frame.type, "")
        refusal = None if verb else Drop(f"unknown frame type {frame.type}")
        visible = (frames.HEADER, len(raw))
        return Unit(raw, verb, content=frame.payload, refusal=refusal, visible=visible)

    def _command(self, frame: frames.Frame, raw: bytes, user: str) -> Unit:
        """A command as a unit. Its content is its arguments; malformed ones refuse it."""
        command = frame.payload.rstrip(b"\0")  # clients send one NUL, or none, or several
        text = command.decode("latin-1")
        verb, arg = _COMMAND.match(text).groups()  # type: ignore[union-attr]
        visible = (frames.HEADER, frames.HEADER + len(command))
        unit = Unit(raw, ALIASES.get(verb, verb), arg, visible=visible)
        try:
            arguments = words(text)[1:]
        except Malformed as error:
            arguments = []
            # A configuration is taken as it stands, quotes and braces in its lines included.
            if verb != "toc_set_config":
                unit.refusal = Drop(str(error))
        unit.content = arguments
        # A password is hidden even if the command turns out to be unknown or too long.
        if verb.lower() in WITH_PASSWORD:
            unit.secrets = tuple(masks(verb.lower(), text, arguments, self._aim, user))
        if len(command) > self._longest:
            unit.verb = ""
            unit.refusal = Drop(f"a command of {len(command)} bytes; the limit is {self._longest}")
        elif not verb.startswith("toc"):
            unit.verb, unit.refusal = "", Drop("a command begins with toc")
        return unit


def first_argument(unit: Unit) -> str:
    """The first argument of a command, which some errors repeat; "" if there is none."""
    return unit.content[0].text if isinstance(unit.content, list) and unit.content else ""


def secrets_in_fragment(raw: bytes) -> tuple[Secret, ...]:
    """The spans to hide in a frame that never became complete."""
    verb = _COMMAND.match(raw[frames.HEADER :].decode("latin-1"))[1]  # type: ignore[index]
    start = raw.find(verb.encode("latin-1")) + len(verb)
    if verb.lower() not in WITH_PASSWORD or start >= len(raw):
        return ()
    return (Secret(start, len(raw), HIDDEN_COMMAND),)

r"""How transcripts write frames: a line is the text of a DATA frame, and brackets mark the rest.

    C: (signs on opsbot)
    S: (signed on)
    C: toc_send_im alice "hello"
    C: [keep-alive]
    C: [data +2] toc_set_away "gone"

`C: (signs on NAME)` sends, in one write, everything up to `toc_init_done`; `S: (signed on)` is the
whole answer. The form is TOC 1.0 unless the step names another sign-on command:

    C: (signs on NAME with toc2_signon)          TOC2
    C: (signs on NAME with toc2_login)           TOC2, with encodings
    C: (signs on NAME without toc_init_done)     also after `with …`

`(signed on)` checks the order of the answer and the name, but not the stored lists. The recorder
writes a sign-on out:

    C| FLAPON\r\n\r\n
    S: [signon] 1
    C: [signon] 1 opsbot
    C: toc_signon login.example.test 5190 opsbot {roasted opsbot} english "test"
    S: SIGN_ON:TOC1.0
    S: CONFIG:
    S: NICK:OpsBot
    C: toc_init_done

Brackets hold the type (signon, data, error, signoff, keep-alive, or a number), then optionally:

    raw     the bytes of the payload, without an added NUL: `[signon raw] \x00…`
    +N      the sequence number is N more than the last one, instead of 1
    =N      the sequence number is N

The player counts the frames of the server too, and fails at a gap. A `C|` line is bytes without a
frame. Braces hold a secret if they name one (masks.py); other braces are literal.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

from fakes.toc import frames
from fakes.toc.aim import Aim
from fakes.toc.lists import fold
from fakes.toc.masks import HIDDEN_COMMAND, KINDS, SIGN_ONS, unmasked
from fakes.transcripts.codec import ESCAPES, protected
from fakes.transcripts.codec import escaped as as_text
from fakes.transcripts.text import Step, TranscriptError, split
from fakes.wire import Record

_TYPES = {name: number for number, name in frames.NAMES.items()} | {
    str(number): number for number in range(256)
}
_BRACKETS = re.compile(rf"\[({'|'.join(map(re.escape, _TYPES))})( raw)?(?: ([+=])(\d+))?\](?: |$)")
_LABEL = rf"(?:{'|'.join(KINDS)}) [^{{}}]+|{HIDDEN_COMMAND}"
_PIECE = re.compile(rf"\\x([0-9a-fA-F]{{2}})|\\(.)|\{{({_LABEL})\}}|([^\\{{*]+|.)", re.S)

_SIGN_ON = re.compile(
    rf"\(signs on ([^() ]+)(?: with ({'|'.join(SIGN_ONS)}))?( without toc_init_done)?\)"
)
# What follows the sign-on command, the name and the password, in each form.
_REST = {
    "toc_signon": 'english "test"',
    "toc2_signon": 'english "test" 160 {{code {name}}}',
    "toc2_login": 'english "test" 160 US "" "" 3 0 30303 -kentucky -utf8 {{code {name}}}',
}


class Frames:
    """The codec of TOC, for one connection: it counts the frames of both directions."""

    def __init__(self) -> None:
        self._sent = 0  # the sequence number of the client's last frame
        self._heard: int | None = None  # and of the server's
        self._greeting: list[bytes] = []  # the messages, as patterns, that end the sign-on
        self._awaited = 1  # how many frames the current `S` line takes

    # ── what the client sends ────────────────────────────────────────────────

    def to_bytes(self, step: Step, secret: Callable[[str], bytes]) -> bytes:
        if not step.whole:
            return _to_bytes(step.text, secret)
        if step.text.startswith("("):
            return self._sign_on(step, secret)
        kind, raw, text = self._read(step.text)
        payload = _to_bytes(text, secret)
        if not raw and kind == frames.SIGNON:
            payload = frames.signon(payload.partition(b" ")[2])
        elif not raw and kind == frames.DATA:
            payload += b"\0"
        return frames.Frame(kind, self._sent, payload).packed()

    def _sign_on(self, step: Step, secret: Callable[[str], bytes]) -> bytes:
        match = _SIGN_ON.fullmatch(step.text)
        if match is None:
            raise TranscriptError(
                f"line {step.number}: {step.text}: unknown step; write (signs on NAME), "
                f"(signs on NAME with {'|'.join(SIGN_ONS)}) or a literal parenthesis as \\("
            )
        name, form = match[1], match[2] or "toc_signon"
        self._greeting = _greeting(name, form)
        login = f"login.example.test 5190 {name} {{roasted {name}}}"
        lines = [f"[signon] 1 {name}", f"{form} {login} {_REST[form].format(name=name)}"]
        if match[3] is None:
            lines.append("toc_init_done")
        written = [self.to_bytes(dataclasses.replace(step, text=line), secret) for line in lines]
        return frames.FLAPON[0] + b"".join(written)

    def _read(self, text: str) -> tuple[int, bool, str]:
        """Returns the type, whether the payload is raw, and the text after the brackets.

        Advances the sequence number.
        """
        match = _BRACKETS.match(text)
        step, number = (match[3], int(match[4] or 0)) if match else ("", 0)
        if step == "=":
            self._sent = number
        else:
            self._sent += number if step else 1
        self._sent %= 65536
        if match is None:
            return frames.DATA, False, text
        return _TYPES[match[1]], bool(match[2]), text[match.end() :]

    # ── what the server sends ────────────────────────────────────────────────

    def complete(self, received: bytes) -> bool:
        """Whether as many frames have come as the last `match` was asked for."""
        return sum(1 for _ in _frames(received)) >= self._awaited

    def match(self, step: Step, received: bytes) -> int | None:
        self._awaited = 1
        if not step.whole:
            whole = re.match(_pattern(step.text), received, re.S)
            return whole.end() if whole else None
        if step.text.startswith("("):
            return self._match_greeting(step, received)
        frame = next(_frames(received), None)
        if frame is None or not self._follows(self._heard, frame):
            return None
        match = _BRACKETS.match(step.text)
        kind = _TYPES[match[1]] if match else frames.DATA
        payload = frame.payload
        if frame.type == frames.SIGNON and not (match and match[2]):
            payload = b"1" if payload == frames.signon() else b""
        text = step.text[match.end() :] if match else step.text
        fits = re.fullmatch(_pattern(text), payload, re.S)
        return len(frame.packed()) if frame.type == kind and fits else None

    def _match_greeting(self, step: Step, received: bytes) -> int | None:
        """Returns the length of the answer to a sign-on, if `received` begins with it."""
        if step.text != "(signed on)" or not self._greeting:
            raise TranscriptError(
                f"line {step.number}: {step.text}: nothing to match; "
                "write (signed on), after a line (signs on NAME)"
            )
        self._awaited = 1 + len(self._greeting)
        length, last = 0, self._heard
        expected = [(frames.SIGNON, re.escape(frames.signon()))]
        expected += [(frames.DATA, pattern) for pattern in self._greeting]
        found = list(_frames(received))
        if len(found) < len(expected):
            return None
        for (kind, pattern), frame in zip(expected, found, strict=False):
            fits = frame.type == kind and re.fullmatch(pattern, frame.payload, re.S)
            if not fits or not self._follows(last, frame):
                return None
            length, last = length + len(frame.packed()), frame.sequence
        return length

    @staticmethod
    def _follows(last: int | None, frame: frames.Frame) -> bool:
        """Whether there is no gap between a sequence number and the next frame."""
        return last is None or frame.sequence == (last + 1) % 65536

    def consumed(self, received: bytes) -> None:
        for frame in _frames(received):
            self._heard = frame.sequence

    # ── the recorder ─────────────────────────────────────────────────────────

    def to_lines(self, record: Record, masked: bool) -> Iterator[str]:
        frame = next(_frames(record.raw), None)
        if frame is None or record.raw != frame.packed():
            yield f"{record.direction}| {protected(as_text(record.raw))}"
            return
        text, last, end = "", frames.HEADER, len(record.raw)
        words = [] if frame.type == frames.DATA else [frames.NAMES.get(frame.type, str(frame.type))]
        name = frames.signon_name(frame.payload) or b""
        if frame.type == frames.SIGNON and frame.payload == frames.signon(name):
            text, last = f"1 {as_text(name)}".rstrip(), end
        elif frame.type == frames.SIGNON:
            words.append("raw")
        elif frame.type == frames.DATA and record.direction == "C":
            # The usual form has exactly one NUL at the end, which the reader adds.
            if frame.payload.endswith(b"\0") and not frame.payload.endswith(b"\0\0"):
                end -= 1
            else:
                words = ["data", "raw"]
        if record.fields.get("step", 1) != 1:
            words = [*(words or ["data"]), f"+{record.fields['step']}"]
        for secret in record.secrets if masked else ():
            text += _shown(record, last, secret.start) + "{" + secret.label + "}"
            last = secret.end
        text += _shown(record, last, end)
        if not words and _BRACKETS.match(text):
            words = ["data"]  # else the text would be read as brackets
        brackets = f"[{' '.join(words)}]" if words else ""
        yield f"{record.direction}: {brackets}{' ' if words and text else ''}{protected(text)}"


def _frames(received: bytes) -> Iterator[frames.Frame]:
    """The complete frames at the start of what has come."""
    while received.startswith(b"*") and (frame := frames.first(received)) is not None:
        yield frame
        received = received[len(frame.packed()) :]


def _greeting(name: str, form: str) -> list[bytes]:
    """The answer to a sign-on command, as patterns."""
    # The server writes the name as its owner does: in any case, with spaces.
    nick = rb"(?i:NICK:%b *)" % b" *".join(re.escape(c.encode("latin-1")) for c in fold(name))
    if form == "toc_signon":
        return [rb"SIGN_ON:TOC1\.0", rb"CONFIG:.*", nick]
    return [rb"SIGN_ON:TOC2\.0", nick, rb"CONFIG2:.*"]


def _to_bytes(text: str, secret: Callable[[str], bytes]) -> bytes:
    """Returns the bytes that a `C` line sends."""
    raw = b""
    for hexadecimal, escaped, label, plain in _PIECE.findall(text):
        if hexadecimal:
            raw += bytes([int(hexadecimal, 16)])
        elif escaped:
            raw += ESCAPES.get(escaped, b"\\" + escaped.encode())
        else:
            raw += secret(label) if label else plain.encode()
    return raw


def _pattern(text: str) -> bytes:
    """Returns what an `S` line expects; `*` is a field of a message, or a value in an address."""
    pattern = b""
    for hexadecimal, escaped, label, plain in _PIECE.findall(text):
        if plain == "*":
            pattern += b"[^:& ]+"
        elif hexadecimal:
            pattern += re.escape(bytes([int(hexadecimal, 16)]))
        elif escaped:
            pattern += re.escape(ESCAPES.get(escaped, b"\\" + escaped.encode()))
        else:
            pattern += re.escape(("{" + label + "}" if label else plain).encode())
    return pattern


def _shown(record: Record, start: int, end: int) -> str:
    """Writes a part of a frame. In a `C` line, braces that look like a secret are escaped."""
    text = as_text(record.raw[start:end], "" if record.direction == "C" else "*")
    return re.sub(rf"\{{({_LABEL})\}}", r"\\{\1}", text) if record.direction == "C" else text


SECRETS = dict.fromkeys(
    (*KINDS, HIDDEN_COMMAND.split()[0]), lambda aim, label: unmasked(label, aim)
)


def _warns(aim: Aim, text: str) -> None:
    """`cue: aim-warns opsbot 42`: the warning level of opsbot is now 42 per cent."""
    name, level = split(text, "NAME PERCENT")
    if not level.isdecimal():
        raise ValueError(f"{level!r} is not a warning level; write aim-warns {name} 42")
    aim.warns(name, int(level))


def _pauses(aim: Aim, text: str) -> None:
    """`cue: aim-pauses opsbot 2`: the server pauses opsbot for two seconds."""
    name, seconds = split(text, "NAME SECONDS")
    if not re.fullmatch(r"\d+(\.\d+)?", seconds):
        raise ValueError(f"{seconds!r} is not a number of seconds; write aim-pauses {name} 2")
    aim.pauses(name, float(seconds))


def _says(aim: Aim, text: str) -> None:
    """`cue: aim-says SysAdmin opsbot hello`."""
    sender, to, words = split(text, "FROM TO TEXT")
    aim.actor(sender).says(to, words)


CUES: dict[str, Callable[[Aim, str], object]] = {
    "aim-sends": lambda aim, text: aim.sends(*split(text, "NAME MESSAGE")),
    "aim-warns": _warns,
    "aim-pauses": _pauses,
    "aim-signs-off": lambda aim, text: aim.signs_off(text),
    "aim-says": _says,
}
# What `then:` can check: `online Alice, Bob` (who is online), `ims 2` (how many IMs have arrived).
WORDS: dict[str, Callable[[Aim, str], str]] = {
    "online": lambda aim, _: ", ".join(aim.online),
    "ims": lambda aim, _: str(len(aim.ims)),
}

r"""How transcripts write frames: a line is a DATA frame's text; brackets say what is out of the ordinary.

    C| FLAPON\r\n\r\n
    S: [signon] 1
    C: [signon] 1 opsbot
    C: toc_signon login.example.test 5190 opsbot {roasted opsbot} english "test"
    S: SIGN_ON:TOC1.0
    C: [keep-alive]
    C: [data +2] toc_init_done

In brackets: the type (signon, data, error, signoff, keep-alive, or a number), then, if need be, `raw`: the octets as they
stand, no NUL added (`[signon raw] \x00…`); `+N`: the sequence number is N further than the last, not 1; `=N`: it is N.
The player counts by itself, and fails when the server's count has a gap. A `C|` line is octets without a frame.
Secrets are in braces (see masks.py); other braces are themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fakes.toc import frames
from fakes.toc.masks import HIDDEN_COMMAND, KINDS, unmasked
from fakes.transcript import CODECS, CUES, ESCAPES, SECRETS, THEN, Step, line_of, shown
from fakes.wire import Record
from fakes.world import World

_TYPES = {name: number for number, name in frames.NAMES.items()} | {
    str(number): number for number in range(256)
}
_BRACKETS = re.compile(rf"\[({'|'.join(map(re.escape, _TYPES))})( raw)?(?: ([+=])(\d+))?\](?: |$)")
_LABEL = rf"(?:{'|'.join(KINDS)}) [^{{}}]+|{HIDDEN_COMMAND}"
_PIECE = re.compile(rf"\\x([0-9a-fA-F]{{2}})|\\(.)|\{{({_LABEL})\}}|([^\\{{*]+|.)", re.S)


class Frames:
    """TOC: see transcript.Codec. One for each connection, since frames are counted."""

    def __init__(self) -> None:
        self._sent = 0
        self._heard: int | None = None

    def octets(self, step: Step, secret: Callable[[str], bytes]) -> bytes:
        """See Codec."""
        if not step.whole:
            return _octets(step.text, secret)
        kind, raw, text = self._read(step.text)
        payload = _octets(text, secret)
        if not raw and kind == frames.SIGNON:
            payload = frames.signon(payload.partition(b" ")[2])
        elif not raw and kind == frames.DATA:
            payload += b"\0"
        return frames.Frame(kind, self._sent, payload).packed()

    def _read(self, text: str) -> tuple[int, bool, str]:
        """Type, whether raw, and the text behind the brackets; counts."""
        match = _BRACKETS.match(text)
        step, number = (match[3], int(match[4] or 0)) if match else ("", 0)
        self._sent = (number if step == "=" else self._sent + (number if step else 1)) % 65536
        if match is None:
            return frames.DATA, False, text
        return _TYPES[match[1]], bool(match[2]), text[match.end() :]

    def whole(self, said: bytes) -> bool:
        """See Codec."""
        return frames.first(said) is not None

    def match(self, step: Step, said: bytes) -> int | None:
        """See Codec."""
        if not step.whole:
            whole = re.match(_pattern(step.text), said, re.S)
            return whole.end() if whole else None
        frame = frames.first(said) if said.startswith(b"*") else None
        if frame is None or (
            self._heard is not None and frame.sequence != (self._heard + 1) % 65536
        ):
            return None
        match = _BRACKETS.match(step.text)
        kind = _TYPES[match[1]] if match else frames.DATA
        payload = frame.payload
        if frame.type == frames.SIGNON and not (match and match[2]):
            payload = b"1" if payload == frames.signon() else b""
        fits = re.fullmatch(
            _pattern(step.text[match.end() :] if match else step.text), payload, re.S
        )
        return frames.HEADER + len(frame.payload) if frame.type == kind and fits else None

    def heard(self, said: bytes) -> None:
        """See Codec."""
        frame = frames.first(said)
        self._heard = frame.sequence if frame is not None else self._heard

    def rendered(self, record: Record, masked: bool) -> Iterator[str]:
        """See Codec."""
        frame = frames.first(record.raw) if record.raw.startswith(b"*") else None
        if frame is None or len(record.raw) != frames.HEADER + len(frame.payload):
            yield f"{record.direction}| {line_of(shown(record.raw))}"
            return
        text, last, end = "", frames.HEADER, len(record.raw)
        words = [] if frame.type == frames.DATA else [frames.NAMES.get(frame.type, str(frame.type))]
        name = frames.signon_name(frame.payload) or b""
        if frame.type == frames.SIGNON and frame.payload == frames.signon(name):
            text, last = f"1 {shown(name)}".rstrip(), end
        elif frame.type == frames.SIGNON:
            words.append("raw")
        elif frame.type == frames.DATA and record.direction == "C":
            if frame.payload.endswith(b"\0") and not frame.payload.endswith(b"\0\0"):
                end -= 1
            else:
                words = ["data", "raw"]
        if record.fields.get("step", 1) != 1:
            words = [*(words or ["data"]), f"+{record.fields['step']}"]
        for one in record.secrets if masked else ():
            text += _shown(record, last, one.start) + "{" + one.label + "}"
            last = one.end
        text += _shown(record, last, end)
        if not words and _BRACKETS.match(text):
            words = ["data"]
        brackets = f"[{' '.join(words)}]" if words else ""
        yield f"{record.direction}: {brackets}{' ' if words and text else ''}{line_of(text)}"


def _octets(text: str, secret: Callable[[str], bytes]) -> bytes:
    said = b""
    for hexadecimal, escaped, label, plain in _PIECE.findall(text):
        if hexadecimal:
            said += bytes([int(hexadecimal, 16)])
        elif escaped:
            said += ESCAPES.get(escaped, b"\\" + escaped.encode())
        else:
            said += secret(label) if label else plain.encode()
    return said


def _pattern(text: str) -> bytes:
    """What an `S` line wants; `*` is one field of a message, or one value in an address."""
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
    """Octets of a frame; of a client's, braces that would be taken for a secret are escaped."""
    text = shown(record.raw[start:end], "" if record.direction == "C" else "*")
    return re.sub(rf"\{{({_LABEL})\}}", r"\\{\1}", text) if record.direction == "C" else text


CODECS["toc"] = Frames
SECRETS |= dict.fromkeys(
    (*KINDS, HIDDEN_COMMAND.split()[0]), lambda label, world: unmasked(label, world.aim)
)


def _cue(world: World, text: str, act: Callable[[str, str], object]) -> None:
    name, _, rest = text.partition(" ")
    act(name, rest)


# `cue: aim-sends opsbot ERROR:903`, `cue: aim-pauses opsbot 2`, `cue: aim-says SysAdmin opsbot hello` …
CUES |= {
    "aim-sends": lambda world, text: _cue(world, text, world.aim.sends),
    "aim-warns": lambda world, text: _cue(
        world, text, lambda name, level: world.aim.warns(name, int(level))
    ),
    "aim-pauses": lambda world, text: _cue(
        world, text, lambda name, seconds: world.aim.pauses(name, float(seconds))
    ),
    "aim-signs-off": lambda world, text: world.aim.signs_off(text),
    "aim-says": lambda world, text: _cue(
        world, text, lambda who, rest: world.aim.actor(who).says(*rest.split(" ", 1))
    ),
}
# `then: online Alice, Bob` and `then: ims 2`: who is on line, how many IMs have reached somebody.
THEN |= {
    "online": lambda world, _: ", ".join(world.aim.online),
    "ims": lambda world, _: str(len(world.aim.ims.all)),
}

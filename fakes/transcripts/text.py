"""The grammar of a transcript: from text to steps."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fakes.suggest import nearest

_LINE = re.compile(r"(?:(?P<who>[\w@.+-]+) )?(?P<kind>[CS])(?P<mark>[:|])(?: (?P<text>.*))?")
EVENTS = {"pause": "C", "tls": "C", "leaves": "C", "closes": "S", "resets": "S"}
_WORDS = ("given", "fault", "clock", "then", "cue", "talks", "aiosmtpd")
FORMS = f"C: …, S: …, or one of {', '.join(f'{word}:' for word in _WORDS)}"


class TranscriptError(AssertionError):
    """A transcript that cannot be read, or that a server did not follow.

    The text names the file and line, what was expected, and what came instead.
    """


@dataclass(frozen=True)
class Step:
    """One line of a dialogue. `kind` is C, S, clock, then, cue or aiosmtpd."""

    number: int
    kind: str
    text: str
    who: str = ""
    whole: bool = True  # a complete unit: the codec adds what ends it, for example CRLF

    @property
    def event(self) -> str:
        """The event that a step names in parentheses: `tls` for `C: (tls)`; "" for data."""
        match = re.fullmatch(r"\((\w+)\)", self.text)
        known = match is not None and self.whole and match[1] in EVENTS
        return match[1] if match and known else ""


@dataclass
class Transcript:
    """A dialogue that has been read."""

    title: str
    given: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    # What each given: and fault: line says → its number.
    lines: dict[str, int] = field(default_factory=dict)
    talks: dict[str, str] = field(default_factory=dict)  # name → the protocol it talks instead
    steps: list[Step] = field(default_factory=list)
    source: str = "transcript"

    @property
    def protocol(self) -> str:
        """The first word of the title, in lower case."""
        return self.title.split(":")[0].split()[0].lower()

    def protocol_of(self, who: str) -> str:
        """Returns the protocol that a client talks."""
        return self.talks.get(who, self.protocol).partition(" ")[0]

    def listener_of(self, who: str) -> str:
        """Returns the name of the port that a client connects to."""
        protocol, _, listener = self.talks.get(who, self.protocol).partition(" at ")
        return listener or protocol

    def config(self) -> dict[str, Any]:
        """Returns the world that the transcript is played in."""
        servers = list(dict.fromkeys([self.protocol, *map(self.listener_of, self.talks)]))
        return {"servers": servers, **self.given}

    def line_of(self, key: str) -> int:
        """Returns the number of the given: line that sets a key of the world, or its table.

        Returns 1 if none does.
        """
        for name in reversed(key.split(".")):
            setting = re.compile(rf"""(?:^|[\s.{{,\[])["']?{re.escape(name)}["']?\s*[=\]]""")
            for line, number in self.lines.items():
                if setting.search(line):
                    return number
        return 1

    def error(self, number: int, text: str) -> TranscriptError:
        """Returns an error at a line of the file."""
        return TranscriptError(f"{self.source}:{number}: {text}")


def load(path: Path) -> Transcript:
    """Returns the transcript in a file. Raises TranscriptError."""
    try:
        return parse(path.read_text("utf-8"), path.name)
    except OSError as error:
        raise TranscriptError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TranscriptError(f"{path}: is not UTF-8; save it as UTF-8 text") from None


def parse(text: str, source: str = "transcript") -> Transcript:
    """Returns the transcript in a text. Raises TranscriptError."""
    title, _, rest = text.partition("\n")
    found = Transcript(title.strip(), source=source)
    if not re.match(r"\w+:", found.title):
        raise found.error(1, f"the title is {found.title!r}; write PROTOCOL: what is shown")
    given: list[str] = []
    for number, line in enumerate(rest.split("\n"), 2):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            _continue(found, number, line)
            continue
        match = _LINE.fullmatch(line)
        word, colon, value = line.partition(":")
        if match:
            step = Step(
                number,
                match["kind"],
                match["text"] or "",
                match["who"] or "",
                match["mark"] == ":",
            )
            found.steps.append(step)
        elif colon and word in _WORDS:
            _read_word(found, number, word, value.strip(), given)
        else:
            hint = nearest(word, _WORDS) if colon else ""
            raise found.error(number, f"{line!r} is not a step{hint}; write {FORMS}")
    for step in found.steps:
        side = EVENTS.get(step.event, step.kind)
        if step.kind != side:
            raise found.error(
                step.number,
                f"({step.event}) is an event of the other side; write {side}: {step.text}",
            )
        if step.kind == "S" and step.text.strip() and not step.text.strip("* "):
            raise found.error(
                step.number, "a line of * alone matches anything; write what the server must send"
            )
    found.given = _given(found, given)
    return found


def _continue(found: Transcript, number: int, line: str) -> None:
    """Appends a continuation line to the step before it."""
    if not found.steps or found.steps[-1].kind not in ("C", "S"):
        raise found.error(number, "nothing to continue; a line that begins with a space continues "
                          "the C: or S: line before it")  # fmt: skip
    last = found.steps[-1]
    more = line.lstrip(" ")
    # A tag follows the last one directly; anything else, such as an attribute, after one space.
    space = "" if more.startswith("<") else " "
    found.steps[-1] = replace(last, text=last.text + space + more)


def _read_word(found: Transcript, number: int, word: str, value: str, given: list[str]) -> None:
    if word == "given":
        given.append(value)
        found.lines[value] = number
    elif word == "fault":
        found.faults.append(value)
        found.lines[value] = number
    elif word == "talks":
        name, _, protocol = value.partition(" ")
        if not protocol:
            raise found.error(number, f"talks: {value!r} names no protocol; write talks: web http")
        found.talks[name] = protocol
    else:
        if word == "clock" and not re.fullmatch(r"\d+(\.\d+)?", value):
            raise found.error(number, f"clock: {value!r} is not a number of seconds; write 300")
        found.steps.append(Step(number, word, value))


def _given(found: Transcript, lines: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads("\n".join(lines))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)", str(error))
        line = lines[int(place[1]) - 1 if place and place[1] else -1]
        problem = str(error)[: place.start()] if place else str(error)
        raise found.error(
            found.lines[line], f"the given: lines are not TOML: {problem}; write KEY = VALUE"
        ) from None


def split(text: str, form: str) -> list[str]:
    """Splits what follows a word into the fields of its form; the last field takes the rest.

    `split("romeo juliet good night", "FROM TO TEXT")` returns three texts. An ellipsis at the end
    of the form may be empty. Raises ValueError.
    """
    names = form.split()
    found = text.split(" ", len(names) - 1)
    if names[-1] == "…" and len(found) == len(names) - 1:
        found.append("")
    if len(found) < len(names) or "" in found[: len(names) - (names[-1] == "…")]:
        raise ValueError(f"expected {form}, found {text!r}")
    return found

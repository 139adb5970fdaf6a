"""IRC connections as beats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scenarios.stage.beats import MESSAGE, ONLINE, UPKEEP, WIRE, Beat, Reader, lines

_LINE = re.compile(r"(?:@\S+ +)?(?::(\S+) +)?(\S+) *(.*)", re.S)
_QUIET = ("CAP", "PASS", "USER", "PING", "PONG", "MODE", "AUTHENTICATE", "BATCH", "QUIT", "ACK")
_FORMATTING = re.compile(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?|[\x02\x0f\x11\x16\x1d-\x1f]")
_HAPPENS = {"JOIN": "joins", "PART": "leaves", "QUIT": "leaves IRC", "NICK": "is now called"}


class Irc(Reader):
    """A connection to an IRC server. What only keeps it going is folded away."""

    nick = ""
    leaves = False  # the program has said QUIT

    def read(self, record: Any) -> Iterator[Beat]:
        match = _LINE.match(" ".join(lines(record)))
        source, verb, rest = match.groups() if match else ("", "", "")
        words, _, last = f" {rest}".partition(" :")
        parameters = [*words.split(), *([last] if last else [])]
        if record.direction == "C":
            yield from self._command(verb.upper(), parameters)
        elif verb.isdigit():
            yield from self._reply(verb, parameters)
        else:
            yield from self._news(str(source or "").partition("!")[0], verb.upper(), parameters)

    def _command(self, verb: str, parameters: list[str]) -> Iterator[Beat]:
        self.leaves = verb == "QUIT"
        if verb in _QUIET or (verb == "NICK" and not self.nick):
            if self.nick:
                yield self.beat(UPKEEP, verb)
        elif verb in ("PRIVMSG", "NOTICE"):
            target, *more = parameters
            yield self.beat(MESSAGE, f"{_KINDS[verb]} to {target}: {_quoted(' '.join(more))}")
        elif verb == "JOIN":
            yield self.beat(WIRE, f"joins {parameters[0]}")
        else:
            yield self.beat(WIRE, " ".join([verb, *parameters]))

    def _reply(self, code: str, parameters: list[str]) -> Iterator[Beat]:
        if code == "001":
            self.nick = parameters[0]
            self.steps.append(f"the server welcomes {self.nick}")
        elif code == "900":
            self.steps.append(f"logs in to the account {parameters[2]}")
        elif code in ("376", "422"):
            steps, self.steps = tuple(self.steps), []
            yield self.beat(ONLINE, "goes online", detail=steps)
        elif code >= "400" and code not in ("903", "908"):
            text = " ".join([code, *parameters[1:]])
            yield self.beat(WIRE, text, to_client=True, trouble="refused")
        elif self.nick and not self.steps:
            yield self.beat(UPKEEP, code, to_client=True)

    def _news(self, nick: str, verb: str, parameters: list[str]) -> Iterator[Beat]:
        own = nick == self.nick
        if own and verb == "NICK":
            self.nick = parameters[0]
        if verb in ("PRIVMSG", "NOTICE") and not own and parameters:
            place = f" in {parameters[0]}" if parameters[0].startswith("#") else ""
            text = f"{_KINDS[verb]} from {nick}{place}: {_quoted(' '.join(parameters[1:]))}"
            yield self.beat(MESSAGE, text, to_client=True, about=nick)
        elif verb in _HAPPENS and not own:
            text = " ".join([nick, _HAPPENS[verb], *parameters[:1]])
            yield self.beat(WIRE, text, to_client=True, about=nick)
        elif verb in ("KICK", "ERROR") and not self.leaves:
            yield self.beat(WIRE, " ".join([verb, *parameters]), to_client=True)
        elif self.nick:
            yield self.beat(UPKEEP, verb, to_client=True)


_KINDS = {"PRIVMSG": "message", "NOTICE": "notice"}


def _quoted(text: str) -> str:
    """Returns the text of a message without colours, in quotation marks."""
    return f'"{_FORMATTING.sub("", text)}"'

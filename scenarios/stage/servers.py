"""Streams between two Jabber servers as beats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from scenarios.stage.beats import MESSAGE, ONLINE, PROOF, UPKEEP, WIRE, Beat, Reader, lines
from scenarios.stage.chat import parsed, quoted

_DOMAINS = re.compile(r"\b(from|to|type)=['\"]([^'\"]*)")
_ANSWERS = {
    ("verify", "valid"): "yes, the key is mine",
    ("verify", "invalid"): "no, the key is not mine",
    ("result", "valid"): "accepts {other}: it is who it says it is",
    ("result", "invalid"): "refuses {other}: it is not who it says it is",
}


class Servers(Reader):
    """A stream on which another server sends stanzas to ours, or a third one to that."""

    other = ""  # the domain that the server that connects says it is
    own = ""

    def read(self, record: Any) -> Iterator[Beat]:
        text = "\n".join(lines(record))
        given = dict(_DOMAINS.findall(text.partition(">")[0] if record.verb != "stream" else text))
        if record.verb == "stream":
            self.other, self.own = given.get("from", "?"), given.get("to", "?")
            self.steps.append(f"a server that says it is {self.other} opens a stream to {self.own}")
            return
        name = re.match(r"<(?:\w+:)?([\w-]+)", text)
        tag = name[1] if name else ""
        from_other = record.direction == "C"
        if tag in ("result", "verify"):
            # After the first one, who says who it is says enough, if it is true.
            proves = given.get("type") == "valid" or (tag == "verify" and from_other)
            words = self._dialback(tag, given, from_other)
            yield self._tells(words, from_other, kind=PROOF if proves else ONLINE)
        elif tag == "message" and from_other:
            stanza = parsed(record)
            body = "" if stanza is None else stanza.findtext("{jabber:client}body") or ""
            words = f"message from {given.get('from')} to {given.get('to')}: {quoted(body)}"
            yield self._tells(words, from_other, kind=MESSAGE)
        elif tag in ("presence", "iq") and from_other:
            kind = given.get("type", "available")
            words = f"{tag} {kind} from {given.get('from')} to {given.get('to')}"
            yield self._tells(words, from_other)
        elif tag == "error":
            condition = re.search(r"<stream:error><([\w-]+)", text)
            words = f"ends the stream: {condition[1] if condition else 'error'}"
            yield self._tells(words, from_other, trouble="refused")

    def _dialback(self, tag: str, given: dict[str, str], from_other: bool) -> str:
        if from_other and tag == "result":
            return f"says that it is {given.get('from')}, with a key (dialback)"
        if from_other:
            return f"asks {given.get('to')}: is this key yours? (dialback)"
        kind = given.get("type", "")
        known = _ANSWERS.get((tag, kind), "cannot find out about {other}")
        return known.format(other=given.get("to", ""))

    def _tells(self, text: str, from_other: bool, kind: str = WIRE, **more: Any) -> Beat:
        source, target = (self.other, self.own) if from_other else (self.own, self.other)
        self.steps.clear()
        return replace(self.beat(kind, text, **more), source=source, target=target)

    def happens(self, record: Any) -> Iterator[Beat]:
        """The beginning and the end are told only if a fault has made them."""
        if self._faults:
            yield from super().happens(record)

    def rest(self) -> Iterator[Beat]:
        """What belongs to no beat is upkeep of the servers."""
        for beat in super().rest():
            yield replace(beat, kind=UPKEEP)

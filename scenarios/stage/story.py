"""The story of a recording: its beats in order, with what nobody would tell folded away."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from scenarios.stage.beats import (
    CLOSING,
    EVENT,
    LOG,
    LOOK,
    OPENING,
    PROGRAM,
    PROOF,
    REQUEST,
    SAYS,
    UPKEEP,
    WARNING,
    WIRE,
    Beat,
    Reader,
)
from scenarios.stage.chat import Toc, Xmpp
from scenarios.stage.imap import Imap
from scenarios.stage.irc import Irc
from scenarios.stage.mail import Pop3, Smtp
from scenarios.stage.repetition import without_repetition
from scenarios.stage.servers import Servers
from scenarios.stage.web import Http

READERS: dict[str, type[Reader]] = {
    "smtp": Smtp,
    "pop3": Pop3,
    "imap": Imap,
    "xmpp": Xmpp,
    "component": Xmpp,
    "xmpp-server": Servers,
    "toc": Toc,
    "irc": Irc,
    "webhook": Http,
}


def story(recording: Iterable[Any], seen: set[str] | None = None) -> list[Beat]:
    """Returns the beats that are told.

    `seen` has the kinds of beats that have been told before. The first of a kind is told with its
    details, later ones in one line. The set is added to, so that the acts of a run can share it.
    """
    folded = _Fold(set() if seen is None else seen).all(beats(recording))
    return without_repetition(folded)


def beats(recording: Iterable[Any]) -> list[Beat]:
    """Returns every beat in the order in which it ended. Nothing is folded."""
    found: list[Beat] = []
    readers: dict[str, Reader] = {}
    for position, item in enumerate(recording):
        if not hasattr(item, "direction"):
            found.append(_event(position, item))
            continue
        session = f"{item.protocol}-{item.session}"
        if session not in readers:
            kind = READERS.get(item.protocol, Reader)
            readers[session] = kind(item.protocol, session)
        found += readers[session].feed(position, item)
    for reader in readers.values():
        found += reader.rest()
    return found


def _event(position: int, event: Any) -> Beat:
    """Returns the beat of an item that has no direction: it did not happen on the wire."""
    first, *more = event.text.split("\n")
    kind = EVENT
    if event.who == PROGRAM and event.level != "end":
        kind = {"say": SAYS, "info": LOG}.get(event.level, WARNING)
    return Beat(
        at=event.at,
        kind=kind,
        source=event.who,
        target=getattr(event, "target", ""),
        text=first,
        detail=tuple(more),
        trouble="error" if event.level in ("error", "end") else "",
        items=(position,),
    )


class _Fold:
    """Folds beats into their neighbours."""

    def __init__(self, seen: set[str]) -> None:
        self._seen = seen
        self._told: list[Beat] = []
        self._waiting: dict[str, Beat] = {}  # session → an opening that nothing has followed yet

    def all(self, beats: Iterable[Beat]) -> list[Beat]:
        """Returns the beats that are told."""
        for beat in beats:
            self._add(beat)
        self._told += [replace(beat, detail=()) for beat in self._waiting.values()]
        return self._told

    def _add(self, beat: Beat) -> None:
        opening = self._waiting.pop(beat.session, None) if beat.session else None
        if opening is not None:
            if beat.kind == CLOSING and not beat.trouble:
                beat = replace(beat, kind=LOOK, text=f"{opening.text}, and leaves")
            beat = replace(beat, at=opening.at, items=opening.items + beat.items)
        if beat.trouble:
            self._told.append(beat)
        elif beat.kind == PROOF and not self._is_new(beat) and self._told:
            self._told[-1] = replace(self._told[-1], items=self._told[-1].items + beat.items)
        elif beat.kind in (CLOSING, UPKEEP):
            self._attach(beat)
        elif beat.kind == OPENING and self._is_new(beat):
            self._told.append(beat)
        elif beat.kind == OPENING:
            self._waiting[beat.session] = beat
        else:
            last = self._told[-1] if self._told else None
            joined = None if last is None or last.trouble else _joined(last, beat)
            if joined is not None:
                self._told[-1] = joined
            else:
                self._told.append(self._shortened(beat))

    def _shortened(self, beat: Beat) -> Beat:
        """Returns the beat, without its details if one of its kind has been told."""
        if beat.kind in (SAYS, LOG, WARNING, EVENT) or self._is_new(beat):
            return beat
        return replace(beat, detail=())

    def _is_new(self, beat: Beat) -> bool:
        """Whether this is the first beat of its kind in the run."""
        kind = f"{beat.kind} {beat.source} {beat.target}"
        if beat.kind == PROOF:  # all servers prove alike: each step is told once
            kind = f"{beat.kind} {beat.text.partition(' ')[0]}"
        new = kind not in self._seen
        self._seen.add(kind)
        return new

    def _attach(self, beat: Beat) -> None:
        """Folds a beat into the last one of its session; tells it if there is none."""
        for index in range(len(self._told) - 1, -1, -1):
            before = self._told[index]
            if before.session == beat.session:
                text = before.text
                if beat.kind == CLOSING and beat.text:
                    text += f" · {beat.text}"
                self._told[index] = replace(before, text=text, items=before.items + beat.items)
                return
        self._told.append(replace(beat, text=beat.text or "connects, and leaves", detail=()))


def _joined(last: Beat, beat: Beat) -> Beat | None:
    """Returns two neighbours as one beat, or None if each is told."""
    same_parties = (last.source, last.target) == (beat.source, beat.target)
    same_kind = same_parties and last.kind == beat.kind
    same = same_kind and (last.text, last.detail) == (beat.text, beat.detail)
    if same and last.kind in (LOOK, SAYS, LOG, WARNING, EVENT):
        return last.and_also(beat, count=last.count + beat.count)
    if beat.kind == LOG and last.at == beat.at:
        word, _, rest = beat.text.partition(" ")
        if same_kind and rest and last.text.startswith(f"{word} "):
            return last.and_also(beat, text=f"{last.text}; {rest}")
        if last.session and _says_nothing_new(beat.text, last.text):
            return last.and_also(beat, session=last.session)
    same_time = last.at == beat.at and not (last.detail or beat.detail)
    if same_time and last.kind == beat.kind == EVENT and last.source == beat.source:
        return last.and_also(beat, text=f"{last.text}; {beat.text}", session=last.session)
    if same_time and same_parties and {last.kind, beat.kind} <= {WIRE, REQUEST}:
        return last.and_also(beat, text=f"{last.text}; {beat.text}")
    # What a person does, and what the server tells the program of it, are one thing.
    if last.at == beat.at and last.kind == EVENT and beat.about == last.source:
        return last.and_also(beat, target=PROGRAM)
    if last.at == beat.at and beat.kind == EVENT and last.about == beat.source:
        return replace(beat, target=PROGRAM, session=last.session, items=last.items + beat.items)
    return None


def _says_nothing_new(log: str, told: str) -> bool:
    """Whether every value in a line of a log stands in what has just been told."""
    values = re.findall(r"=(\S+)", log)
    names = [value.partition("/")[0] for value in values]  # of a full JID, the bare one
    return bool(names) and all(len(name) > 4 and name in told for name in names)

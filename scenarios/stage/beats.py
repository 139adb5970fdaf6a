"""A recording as beats: what a person who watched would tell, one thing at a time.

A beat covers one or more items of a recording: a mail that was sent, three looks at an empty
maildrop, a line that the program printed. Every item belongs to exactly one beat. The story on the
terminal, the comparison of two runs and the picture are all drawn from beats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

PROGRAM = "program"  # the lane of the program that is rehearsed
SUPERVISOR = "supervisor"  # starts the program again
SERVERS = {
    "smtp": "mail server",
    "pop3": "maildrop",
    "imap": "mailbox",
    "xmpp": "Jabber server",
    "component": "Jabber server",
    "xmpp-server": "Jabber server",
    "toc": "AIM server",
    "irc": "IRC server",
    "webhook": "web server",
}

HOME = "yourco.test"  # the chapter's company; people of other domains have their whole address


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One thing that happens.

    `at` and `until` are in seconds since the epoch. `source` is who acts: the program, a server by
    the name in `SERVERS`, a person or a host. `target` is whom it is sent to, with the same names;
    it is empty if nothing is sent. `items` are positions in the recording.
    """

    at: float
    kind: str  # one of the words below
    source: str
    text: str
    target: str = ""
    session: str = ""  # the connection that it happened on, such as smtp-3
    until: float = 0.0  # if the beat is not over at once
    detail: tuple[str, ...] = ()  # further lines, such as the header fields of a mail
    trouble: str = ""  # "refused", "fault", "lost" or "error"; such a beat is never folded
    about: str = ""  # the person that a server reports something about
    count: int = 1  # how many of the same kind were folded into this beat
    items: tuple[int, ...] = ()

    def and_also(self, later: Beat, **changes: Any) -> Beat:
        """Returns this beat with a later one folded into it."""
        changes = {"session": later.session, **changes}
        until = max(self.until, later.until, later.at)
        return replace(self, until=until, items=self.items + later.items, **changes)


EVENT = "event"  # something happens to a person or a host
SAYS = "says"  # a line that the program printed
LOG = "log"  # a line of the program's log
WARNING = "warning"  # such a line, about something that is wrong
OPENING = "opening"  # a connection up to the login; told once, then a part of what follows
ONLINE = "online"  # the same for a connection that lasts; always told
CLOSING = "closing"  # the end of a connection, a part of what came before
UPKEEP = "upkeep"  # what the protocol needs and nobody would tell; a part of what came before
PROOF = "proof"  # a step in which a server proves its domain; told once in a run
LOOK = "look"  # a session that moved nothing
MAIL = "mail"
MESSAGE = "message"
REQUEST = "request"  # what the program asks of a contact, or answers: who may see whom
WIRE = "wire"  # anything else that crossed the wire
VERBS = {SAYS: "says: ", LOG: "logs: ", WARNING: "logs: "}


class Reader:
    """Turns the records of one connection into beats. A subclass for each protocol.

    Each beat takes the records that have been read since the last one.
    """

    def __init__(self, protocol: str, session: str) -> None:
        self.server = SERVERS.get(protocol, protocol)
        self.session = session
        self.at = 0.0
        self.steps: list[str] = []  # of the opening, as far as it has been read
        self._items: list[int] = []
        self._began: float | None = None
        self._faults: list[str] = []  # that have struck, and that no beat tells yet

    def feed(self, position: int, record: Any) -> Iterator[Beat]:
        """Reads the next record, and yields what has come to its end with it."""
        self.at = record.at
        self._items.append(position)
        if self._began is None:
            self._began = record.at
        if record.fault:
            self._faults.append(f"fault: {record.fault}")
        if record.direction == "-":
            yield from self.happens(record)
        else:
            yield from self.read(record)

    def read(self, record: Any) -> Iterator[Beat]:
        """Reads a record from the client (C) or the server (S)."""
        yield self.beat(WIRE, _first_line(record), to_client=record.direction == "S")

    def happens(self, record: Any) -> Iterator[Beat]:
        """Reads an event of the connection."""
        if remark := record.fields.get("remark"):
            yield self.beat(WIRE, f"the connection: {remark}")
        elif record.verb == "resets":
            yield self.beat(CLOSING, "the connection is reset", trouble="lost")
        elif record.verb == "unfinished":
            yield self.beat(WIRE, f"leaves in the middle of: {_first_line(record)}", trouble="lost")
        elif record.verb == "tls":
            self.steps.append("the connection is encrypted (TLS)")
        elif record.verb == "closes":
            yield self.beat(CLOSING, "the connection is closed" if self._faults else "")

    def opening(self, text: str, kind: str = OPENING) -> Iterator[Beat]:
        """Yields the opening once, when the first thing after it has begun."""
        if self.steps:
            steps, self.steps = tuple(self.steps), []
            last = self._items.pop()
            if self._items:
                yield self.beat(kind, text, detail=steps)
            self._items.append(last)

    def beat(self, kind: str, text: str, *, to_client: bool = False, **more: Any) -> Beat:
        """Returns a beat of the records that belong to no beat yet."""
        items, self._items = tuple(self._items), []
        began, self._began = self._began, None
        faults, self._faults = tuple(dict.fromkeys(self._faults)), []
        if faults:
            more |= {"detail": (*more.get("detail", ()), *faults), "trouble": "fault"}
        source, target = (self.server, PROGRAM) if to_client else (PROGRAM, self.server)
        at = self.at if began is None else began
        until = self.at if self.at > at else 0.0
        return Beat(
            at=at,
            until=until,
            kind=kind,
            source=source,
            target=target,
            text=text,
            session=self.session,
            items=items,
            **more,
        )

    def rest(self) -> Iterator[Beat]:
        """Yields what was not finished when the recording ended."""
        if self._items:
            yield self.beat(CLOSING, "", detail=tuple(self.steps))


def lines(record: Any) -> list[str]:
    """Returns a record as lines, secrets masked."""
    text: str = record.shown().decode("utf-8", "backslashreplace")
    return text.removesuffix("\r\n").replace("\r\n", "\n").split("\n")


def _first_line(record: Any) -> str:
    return lines(record)[0] or f"{len(record.raw)} octets"


def lanes(beats: Sequence[Beat]) -> list[str]:
    """Returns every source and target, in the order in which they first appear."""
    return list(
        dict.fromkeys(name for beat in beats for name in (beat.source, beat.target) if name)
    )


def name(who: str) -> str:
    """Returns a short name: for a person of the company or a host the part before the domain."""
    if who == PROGRAM or who in SERVERS.values():
        return who
    local, at, domain = who.partition("@")
    if not at:
        return who.partition(".")[0]
    return local if domain == HOME else who


def joined(beats: Sequence[Beat]) -> str:
    """Returns the texts of beats in one line. Who acts is named where it is another."""
    first, *more = beats
    texts, source = [first.text], first.source
    for beat in more:
        who = "" if beat.source == source else f"{name(beat.source)}: "
        texts.append(f"{who}{VERBS.get(beat.kind, '')}{beat.text}")
        source = beat.source
    return " · ".join(texts)

"""IMAP sessions as beats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scenarios.stage.beats import CLOSING, LOOK, MAIL, UPKEEP, WIRE, Beat, Reader, lines
from scenarios.stage.mail import extract, mails, sender_of, subject

OPENS = "opens the mailbox"
CAPABILITIES = re.compile(r"\* CAPABILITY (.*)")
EXISTS = re.compile(r"\* (\d+) EXISTS")
FOUND = re.compile(r"\* E?SEARCH(.*)")
EXPUNGED = re.compile(r"\* \d+ (EXPUNGE)")
BODY = re.compile(rb"BODY\[[^]\r\n]*\] \{(\d+)\}\r\n")


class Imap(Reader):
    """A session with a mailbox.

    A server answers with any number of responses, and a last one that has the command's tag.
    """

    def __init__(self, protocol: str, session: str) -> None:
        super().__init__(protocol, session)
        self._command: Any = None  # that has not been answered yet
        self._said: list[Any] = []  # the responses without a tag since then
        self._there = self._read = self._removed = 0
        self._waits = False  # the session has waited for mail

    def read(self, record: Any) -> Iterator[Beat]:
        if record.direction == "C":
            if record.verb not in ("response", "literal", "."):
                self._command, self._said = record, []
            return
        first, *_ = lines(record)
        idles = self._command is not None and self._command.verb == "IDLE"
        if first.startswith("+"):
            if idles:
                yield from self._idles()
            return
        if idles and (found := EXISTS.match(first)):
            yield self.beat(WIRE, f"new mail: {found[1]} in the mailbox", to_client=True)
            return
        if not first.startswith("* "):
            yield from self._ended(record, first)
            self._command, self._said = None, []
            return
        self._said.append(record)
        if self._command is None:
            if first.startswith("* BYE"):
                yield from self._refused("connects", first)
            elif not self.steps and not self._there:
                self.steps.append(f"the server greets: {first[2:]}")

    def _idles(self) -> Iterator[Beat]:
        """The session begins to wait, which is told once: it does so again and again."""
        if self._waits:
            yield self.beat(UPKEEP, "waits for mail")
            return
        self._waits = True
        yield from self.opening(OPENS)
        yield self.beat(WIRE, "waits for mail")

    def _ended(self, record: Any, answer: str) -> Iterator[Beat]:
        """Reads the last response to a command."""
        if self._command is None:
            return
        _, _, status = answer.partition(" ")
        if status.startswith("OK"):
            yield from self._answered(self._command.verb, record)
        else:
            yield from self._refused(lines(self._command)[0].partition(" ")[2], status)

    def _refused(self, asked: str, answer: str) -> Iterator[Beat]:
        yield from self.opening("connects")
        yield self.beat(WIRE, asked, detail=(answer,), trouble="refused")

    def _answered(self, verb: str, record: Any) -> Iterator[Beat]:
        asked = lines(self._command)[0].partition(" ")[2]
        if verb == "CAPABILITY":
            offers = " ".join(self._texts(CAPABILITIES)).split()
            # Programs ask again after TLS and after the login. Only the first list is told.
            if not any(step.startswith(verb) for step in self.steps):
                self.steps.append(f"{verb}: the server offers {', '.join(offers)}")
        elif verb in ("LOGIN", "AUTHENTICATE"):
            how = self._command.fields.get("mechanism") or "password"
            self.steps.append(f"logs in as {record.person or 'a user'} by {how}")
        elif verb in ("SELECT", "EXAMINE"):
            self.steps.append(f"selects {asked.partition(' ')[2]}")
            self._there = sum(map(int, self._texts(EXISTS)))
        elif verb in ("FETCH", "UID_FETCH") and "BODY" in asked:
            yield from self._fetched(asked)
        elif verb in ("SEARCH", "UID_SEARCH"):
            yield from self.opening(OPENS)
            found = " ".join(self._texts(FOUND)).split()
            keys = asked.partition("SEARCH ")[2]
            yield self.beat(WIRE, f"searches for {keys}: {mails(len(found))}")
        elif verb in ("EXPUNGE", "UID_EXPUNGE", "MOVE", "UID_MOVE"):
            self._removed += len(self._texts(EXPUNGED))
        elif verb == "LOGOUT":
            yield from self.opening(OPENS)
            yield self._end()

    def _fetched(self, asked: str) -> Iterator[Beat]:
        """Yields a beat for the mail in the responses, if there is one."""
        yield from self.opening(OPENS)
        for said in self._said:
            literal = BODY.search(said.shown())
            if literal is None:
                continue
            self._read += 1
            raw = said.shown()[literal.end() :][: int(literal[1])]
            what = "reads the header of" if "[HEADER]" in asked else "collects"
            text = f"{what} {subject(raw)} from {sender_of(raw)}"
            yield self.beat(MAIL, text, detail=extract(raw))

    def _texts(self, pattern: re.Pattern[str]) -> list[str]:
        """Returns what a pattern finds in the responses, which may come in one record."""
        found = [pattern.match(line) for said in self._said for line in lines(said)]
        return [match[1] for match in found if match is not None]

    def _end(self) -> Beat:
        if self._removed:
            return self.beat(CLOSING, f"removes {self._removed}")
        if self._read or self._waits:
            return self.beat(CLOSING, "")
        there = f"{mails(self._there)}, nothing new" if self._there else "nothing new"
        return self.beat(LOOK, f"looks: {there}")

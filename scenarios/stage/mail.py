"""SMTP and POP3 sessions as beats."""

from __future__ import annotations

import email
import email.policy
import functools
import re
from collections import deque
from collections.abc import Iterator, Sequence
from email.headerregistry import HeaderRegistry
from typing import Any

from scenarios.stage.beats import CLOSING, LOOK, MAIL, WIRE, Beat, Reader, lines

SHOWN = ("From", "To", "Subject")
SENDING = ("MAIL", "RCPT", "DATA", "BDAT", ".")  # commands: if one is refused, so is the mail
BODY = 3  # lines of a mail's text that are shown
ENOUGH = 65_536  # octets of a mail that are looked at


class Replies(Reader):
    """A protocol in which each command gets a reply, in order (SMTP, POP3)."""

    def __init__(self, protocol: str, session: str) -> None:
        super().__init__(protocol, session)
        self._unanswered: deque[Any] = deque()

    def read(self, record: Any) -> Iterator[Beat]:
        if record.direction == "C":
            self._unanswered.append(record)
            return
        command = self._unanswered.popleft() if self._unanswered else None
        reply = lines(record)
        if self.is_refusal(reply[0]):
            yield from self.opening("connects")
            asked = lines(command)[0] if command else "connects"
            if command is not None and command.verb == ".":
                asked = f"sends a mail: {subject(command.raw)}"
            kind = MAIL if command is not None and command.verb in SENDING else WIRE
            yield self.beat(kind, asked, detail=tuple(reply[:3]), trouble="refused")
        else:
            yield from self.answered(command, record, reply)

    def is_refusal(self, reply: str) -> bool:
        """Whether this reply refuses what was asked for."""
        raise NotImplementedError

    def answered(self, command: Any, record: Any, reply: Sequence[str]) -> Iterator[Beat]:
        """Reads a reply that is no refusal. `command` is None for a greeting."""
        raise NotImplementedError


class Smtp(Replies):
    """A session with a mail server."""

    def __init__(self, protocol: str, session: str) -> None:
        super().__init__(protocol, session)
        self._sender = ""
        self._recipients: list[str] = []

    def is_refusal(self, reply: str) -> bool:
        return reply[:1] in ("4", "5")

    def happens(self, record: Any) -> Iterator[Beat]:
        login = next((step for step in self.steps if step.startswith("logs in")), "")
        if record.verb == "closes" and login:  # and no mail: the login is what is told
            yield from self.opening(f"connects, {login}")
        yield from super().happens(record)

    def answered(self, command: Any, record: Any, reply: Sequence[str]) -> Iterator[Beat]:
        verb = command.verb if command else ""
        if not command:
            self.steps.append(f"the server greets: {reply[0]}")
        elif verb in ("EHLO", "HELO", "LHLO"):
            offers = ", ".join(line[4:].split()[0] for line in reply[1:])
            self.steps.append(f"{verb}: the server offers {offers}" if offers else verb)
        elif verb in ("AUTH", "response"):
            if reply[0].startswith("235"):
                facts = command.fields
                how = f" by {facts['mechanism']}" if "mechanism" in facts else ""
                self.steps.append(f"logs in as {facts.get('user', record.person)}{how}")
        elif verb == "STARTTLS":
            pass  # the event of the connection says so
        elif verb == "MAIL":
            yield from self.opening("connects to send mail")
            self._sender, self._recipients = _path(command, "sender"), []
        elif verb == "RCPT":
            self._recipients.append(_path(command, "recipient"))
        elif verb in (".", "BDAT") and reply[0].startswith("250"):
            yield self._mail(command, reply[0])
        elif verb not in ("DATA", "QUIT", "RSET", "NOOP", "BDAT", "."):
            yield self.beat(WIRE, lines(command)[0], detail=tuple(reply[:3]))

    def _mail(self, content: Any, reply: str) -> Beat:
        to = ", ".join(self._recipients)
        envelope = f"envelope: from <{self._sender}> to {to}"
        raw = content.raw.removesuffix(b".\r\n")
        title = f"mails {to}: {subject(raw)}"
        return self.beat(MAIL, title, detail=(envelope, *extract(raw), reply))


class Pop3(Replies):
    """A session with a maildrop."""

    def __init__(self, protocol: str, session: str) -> None:
        super().__init__(protocol, session)
        self._there = 0
        self._read = 0
        self._deleted = 0

    def is_refusal(self, reply: str) -> bool:
        return reply.startswith("-ERR")

    def answered(self, command: Any, record: Any, reply: Sequence[str]) -> Iterator[Beat]:
        verb = command.verb if command else ""
        if not command:
            self.steps.append(f"the server greets: {reply[0]}")
        elif verb == "CAPA":
            self.steps.append(f"CAPA: the server offers {', '.join(reply[1:-1])}")
        elif verb in ("APOP", "PASS", "AUTH", "response"):
            if reply[0].startswith("+OK"):
                how = command.fields.get("mechanism") or (verb if verb == "APOP" else "password")
                self.steps.append(f"logs in as {record.person or 'a user'} by {how}")
        elif verb in ("RETR", "TOP"):
            yield from self.opening("opens the maildrop")
            self._read += 1
            raw = record.shown().partition(b"\r\n")[2]
            if not raw.endswith(b"\r\n.\r\n"):
                yield self.beat(WIRE, f"{lines(command)[0]}: the answer breaks off", trouble="lost")
                return
            raw = raw.removesuffix(b".\r\n")
            what = "collects" if verb == "RETR" else "reads the header of"
            yield self.beat(
                MAIL, f"{what} {subject(raw)} from {sender_of(raw)}", detail=extract(raw)
            )
        elif verb == "STAT":
            yield from self.opening("opens the maildrop")
            self._there = int(reply[0].split()[1])
        elif verb == "DELE":
            self._deleted += 1
        elif verb == "QUIT":
            yield from self.opening("opens the maildrop")
            yield self._end()

    def _end(self) -> Beat:
        if self._deleted:
            return self.beat(CLOSING, f"deletes {self._deleted}")
        if self._read:
            return self.beat(CLOSING, "")
        there = f"{mails(self._there)}, nothing new" if self._there else "nothing new"
        return self.beat(LOOK, f"looks: {there}")


def mails(count: int) -> str:
    """Returns a number of mails in words."""
    return f"{count} mail" if count == 1 else f"{count} mails"


def _path(command: Any, field: str) -> str:
    return str(command.fields.get(field, ""))


# ── what is shown of a mail ──────────────────────────────────────────────────


class _Remembering(HeaderRegistry):
    """Remembers headers: the package parses them again at each look, twenty times for a mail."""

    __call__ = functools.lru_cache(256)(HeaderRegistry.__call__)


_POLICY = email.policy.default.clone(header_factory=_Remembering())


@functools.lru_cache(maxsize=1)  # the subject and the extract of the same mail are shown
def _parsed(raw: bytes) -> Any:
    return email.message_from_bytes(raw[:ENOUGH], policy=_POLICY)


def subject(raw: bytes) -> str:
    """Returns a mail's subject in quotes; without one, the first line of its text."""
    mail = _parsed(raw)
    if not (found := _field(mail, "Subject")):
        lines = (line.strip() for line in _text(mail).splitlines())
        found = next(filter(None, lines), "(no subject)")
    return f'"{found}"'


def sender_of(raw: bytes) -> str:
    """Returns the address in the From field of a mail, or the whole field if it has none."""
    found = _field(_parsed(raw), "From")
    address = re.search(r"<([^<>]+)>$", found)
    return address[1] if address else found or "nobody"


def extract(raw: bytes) -> tuple[str, ...]:
    """Returns the lines that are shown of a mail: three fields, and the beginning of its text."""
    mail = _parsed(raw)
    shown = [f"{name}: {value}" for name in SHOWN if (value := _field(mail, name))]
    text = [line for line in _text(mail).splitlines() if line.strip()]
    if len(text) > BODY + 1:
        text[BODY:] = [f"… {len(text) - BODY} more lines"]
    return (*shown, *(f"  {line}" for line in text))


def _field(mail: Any, name: str) -> str:
    # The package fails on some of what strangers send; a story shows that as it came.
    try:
        value = mail[name]
    except Exception:
        value = dict(mail.raw_items()).get(name)
    return " ".join(str(value or "").split())


def _text(mail: Any) -> str:
    try:
        part = mail.get_body(("plain", "html"))
        return str(part.get_content()) if part else ""
    except Exception:
        return ""

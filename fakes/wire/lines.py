"""What the protocols made of lines share: SMTP and POP3.

How input is split into units (a line, dot-terminated content, a counted number of bytes), how an
endless line is discarded, how long a client may be idle, and the exchange that AUTH begins.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import ClassVar

from fakes import sasl
from fakes.wire.dots import FINAL_DOT, find_dotted, unstuff
from fakes.wire.session import Facts, Runtime, Session
from fakes.wire.unit import Refuse, Secret, Unit

LONGEST_LINE = 12288  # bytes with CRLF of an answer to a challenge (RFC 4954 §4)


@dataclass(slots=True)
class Content:
    """A message body as meant (`data`), with dots unstuffed, and as it was sent (`raw`).

    In nearly every message the two differ in the final dot only. Then `sent` is None, so that the
    body is in memory once, in the stored mail and in the record of the wire.
    """

    data: bytes
    sent: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The body as it was sent."""
        return self.data + FINAL_DOT if self.sent is None else self.sent


class LineSession(Session):
    """One connection of a protocol whose commands are lines.

    A subclass that offers AUTH has a state AUTH with the verb `response`. It says to which state a
    failed exchange returns (`unauthenticated`) and how challenges are sent (`challenge_prefix`),
    calls `begin_exchange`, and defines `authenticated` and `rejected`.
    """

    needs_input: ClassVar[bool] = True
    idle_timeout: ClassVar[float] = 300.0  # seconds; 0: a client may be silent for ever
    unauthenticated: ClassVar[str] = ""
    challenge_prefix: ClassVar[bytes] = b"+ "
    auth_section: ClassVar[str] = ""
    bare_lf = False  # a bare LF ends a line, too, and is handled as CRLF
    _login_goes_on = False  # the client sends responses although its login was refused

    def __init__(
        self, runtime: Runtime, accounts: sasl.Accounts | None = None, host: str = "localhost"
    ) -> None:
        super().__init__(runtime)
        self._accounts = accounts
        self._host = host
        self._exchange: sasl.Exchange | None = None
        self._last_word = False  # the exchange has succeeded, and its data has been sent
        # Whether the last line or content exceeds its limit, or its beginning was discarded.
        self.too_long = False
        self._lacks_beginning = False  # the last line does, which may have been that of a login
        self._scanned = 0  # bytes of the buffer that are known not to hold the end of the unit
        self._dotted = -1  # where the first line of content that begins with a dot begins; -1: none
        self._truncated = False  # the beginning of the unit was discarded because it is too long
        self._discard = 0  # bytes of a counted unit that are still to come and to be discarded

    # ── idle time ────────────────────────────────────────────────────────────

    def opened(self, facts: Facts) -> None:
        if self.idle_timeout:
            self.timers.at("idle", self.runtime.now() + self.idle_timeout, self._check_idle)
        super().opened(facts)

    def idle(self) -> None:
        """The client has been silent for `idle_timeout` seconds."""
        self.close()

    def _check_idle(self) -> None:
        # Not a timer that is set again at each command: it would be set five times for a mail.
        due = self.heard + self.idle_timeout
        if self._delayed:  # it is the server that keeps the client waiting
            due = self.runtime.now() + self.idle_timeout
        if due > self.runtime.now():
            self.timers.at("idle", due, self._check_idle)
        else:
            self.idle()

    # ── framing ──────────────────────────────────────────────────────────────

    def next_line(self, limit: int) -> bytes | None:
        """Takes a line that ends in CRLF, which is part of it; a bare LF or CR ends nothing.

        The buffer stays bounded: an endless line is discarded as it arrives, and reported as too
        long (`too_long`) when its end comes.
        """
        if self.bare_lf:
            self.end_line()
        end = self.buffer.find(b"\r\n", self._scanned)
        if end < 0:
            # The last byte may be the CR of a CRLF that has not arrived completely.
            self._scanned = max(0, len(self.buffer) - 1)
            if len(self.buffer) > LONGEST_LINE:
                self._discard_scanned()
            return None
        line = self._taken(end + 2)
        self._lacks_beginning = self._truncated
        self.too_long, self._truncated = self._truncated or len(line) > limit, False
        return line

    def end_line(self) -> None:
        """Makes a bare LF that ends the next line a CRLF."""
        end = self.buffer.find(b"\n", self._scanned)
        if end >= 0 and self.buffer[max(0, end - 1) : end] != b"\r":
            self.buffer[end:end] = b"\r"

    def _end_lines(self) -> None:
        """Makes each bare LF in content a CRLF, up to the final dot; lines may not follow it."""
        start = max(0, self._scanned - 1)
        if start and self.buffer.startswith(b"\n", start):
            start -= 1  # its CR
        dot = _ANY_FINAL_DOT.search(self.buffer, start)
        end = dot.end() if dot is not None else len(self.buffer)
        self.buffer[start:end] = _BARE_LF.sub(b"\r\n", self.buffer[start:end])

    def next_dotted(self, limit: int) -> Content | None:
        """Takes content up to the line that is a single dot, and removes the dots added for it.

        Nothing but CRLF.CRLF ends it: a server that also accepts LF.LF can be made to take the
        body of one message for another message (RFC 5321 §2.3.8, §4.1.1.4). `limit` counts bytes
        without the added dots, as RFC 1870 §5 does; `too_long` says whether there are more.
        """
        if self.bare_lf:
            self._end_lines()
        if self._dotted < 0:
            self._dotted = find_dotted(self.buffer, self._scanned)
        end = self._end_of_content() if self._dotted >= 0 else -1
        if end < 0:
            self.heard = self.runtime.now()
            self._scanned = max(0, len(self.buffer) - 4)
            if self._scanned > limit and self._size_without_dots() > limit:
                self._discard_scanned()
            return None
        is_stuffed = self._dotted < end
        data, sent = self._taken(end, len(FINAL_DOT)), None
        if is_stuffed:
            stuffed, data = data, unstuff(data)
            sent = None if len(data) == len(stuffed) else stuffed + FINAL_DOT
        self._report(len(data), limit)
        return Content(data, sent)

    def _end_of_content(self) -> int:
        """Returns where the final dot is, -1 if it has not come. Nothing before `_dotted` is it."""
        if self._dotted == 0 and not self._truncated and self.buffer.startswith(FINAL_DOT):
            return 0
        found = self.buffer.find(b"\r\n.\r\n", max(self._dotted - 2, self._scanned))
        return found + 2 if found >= 0 else -1

    def next_counted(self, start: int, count: int, limit: int) -> Content | None:
        """Takes `start` bytes that are in the buffer already and the `count` bytes after them.

        More than `limit` counted bytes are discarded as they arrive, and reported as too long: the
        client sends them whatever the answer will be (RFC 3030 §2).
        """
        if count > limit and not self._truncated:
            self._truncated, self._discard = True, count
        if self._truncated:
            excess = min(self._discard, len(self.buffer) - start)
            del self.buffer[start : start + excess]
            self._discard -= excess
            if self._discard:
                self.heard = self.runtime.now()
                return None
            raw = self._taken(start)
            self._report(count, limit)
            return Content(b"", raw)
        if len(self.buffer) < start + count:
            self.heard = self.runtime.now()
            return None
        raw = self._taken(start + count)
        self._report(count, limit)
        return Content(raw[start:], raw)

    @property
    def discarding_line(self) -> bool:
        """Whether the buffer holds the rest of an endless line, which is not a command."""
        return self._truncated and not self._discard

    def _report(self, size: int, limit: int) -> None:
        """Says in `too_long` whether the unit that was taken is too long."""
        self.too_long, self._truncated = self._truncated or size > limit, False

    def _taken(self, length: int, also: int = 0) -> bytes:
        """Removes the first bytes of the buffer and returns them; removes `also` more bytes."""
        buffer = self.buffer
        if length == len(buffer):
            raw = bytes(buffer)
            buffer.clear()
        else:
            # One copy: slicing the bytearray first would copy a large message twice.
            with memoryview(buffer) as view:
                raw = bytes(view[:length])
            del buffer[: length + also]
        self._scanned, self._dotted = 0, -1
        return raw

    def _discard_scanned(self) -> None:
        del self.buffer[: self._scanned]
        self._scanned, self._dotted, self._truncated = 0, -1, True

    def _size_without_dots(self) -> int:
        """The size of what is certainly content, without the dots added for transmission."""
        # The bytes after `_scanned` may be the beginning of the final dot.
        added = self.buffer.count(b"\r\n.", 0, self._scanned)
        return self._scanned - added - self.buffer.startswith(b".")

    def upgraded(self) -> None:
        self._scanned, self._dotted, self._truncated, self._discard = 0, -1, False, 0
        self._exchange = None

    def send_lines(self, text: str) -> None:
        """Sends the text of a `reply` fault; each line of it ends in CRLF."""
        self.send(_BARE_LF.sub(b"\r\n", text.encode()).removesuffix(b"\r\n") + b"\r\n")

    # ── the exchange that AUTH begins ────────────────────────────────────────

    def begin_exchange(self, mechanism: str, initial: bytes | None) -> None:
        """Begins a SASL exchange; `initial` is the initial response, still in base64."""
        assert self._accounts is not None
        context = sasl.Context(self._accounts, lambda: self.runtime.token(16), self._host)
        self._exchange, self.state = sasl.Exchange(mechanism, context), "AUTH"
        self.note(mechanism=mechanism)
        self._step(None if initial is None else b"" if initial == b"=" else initial)

    def do_response(self, unit: Unit) -> None:
        """The client's answer to a challenge: base64, or `*` to cancel."""
        if unit.raw == b"*\r\n":
            raise self.cancelled()
        if self._last_word:
            self._end_of_data(unit.raw[:-2])
            return
        self._step(unit.raw[:-2])

    def _step(self, encoded: bytes | None) -> None:
        exchange = self._exchange
        assert exchange is not None
        try:
            response = None if encoded is None else base64.b64decode(encoded, validate=True)
            if exchange.step == 0:
                challenge = exchange.start(response)
            else:
                challenge = exchange.answer(response or b"")
        except (binascii.Error, sasl.SaslError) as error:
            self.end_exchange()
            raise self.rejected(error) from None
        if challenge is None and exchange.data is not None:
            # The success carries no data in these protocols: it is one more challenge, which is
            # answered by an empty line.
            challenge, self._last_word = exchange.data, True
        if challenge is not None:
            line = self.challenge_prefix + base64.b64encode(challenge) + b"\r\n"
            self.send(line, self.auth_section)
            return
        self.end_exchange()
        self.authenticated(exchange)

    def _end_of_data(self, response: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        self.end_exchange()
        if response:
            raise self.rejected(sasl.Malformed("The last challenge is answered by an empty line"))
        self.authenticated(exchange)

    def end_exchange(self) -> None:
        """Leaves the state AUTH. A failed exchange leaves no other trace (RFC 4954 §4)."""
        self._exchange, self._last_word = None, False
        if self.state == "AUTH":
            self.state = self.unauthenticated

    def authenticated(self, exchange: sasl.Exchange) -> None:
        """The exchange has succeeded: logs the user in, or raises Refuse."""
        raise NotImplementedError(type(self).__name__)

    def rejected(self, error: binascii.Error | sasl.SaslError) -> Refuse:
        """Returns the refusal of a response that is not base64, is malformed, or is wrong."""
        raise NotImplementedError(type(self).__name__)

    def cancelled(self) -> Refuse:
        """Returns the answer to a client that cancels the exchange."""
        raise NotImplementedError(type(self).__name__)

    # ── secrets ──────────────────────────────────────────────────────────────

    def response_secret(self, line: bytes, start: int, mechanism: str = "") -> tuple[Secret, ...]:
        """Returns the secret span of a response that begins at `start` of a line.

        Its label names the account and says whether the response is right, so that the recorder's
        transcript can be played again. `mechanism` is needed for an initial response only.
        """
        end = len(line) - 2
        if line[start:end] in (b"", b"*", b"="):
            return ()
        name, challenge = "", b""
        exchange = self._exchange
        if exchange is not None:
            mechanism, name, challenge = exchange.mechanism, exchange.name, exchange.challenge
        try:
            response = base64.b64decode(line[start:end], validate=True)
        except binascii.Error:
            return (Secret(start, end, "not base64"),)
        assert self._accounts is not None
        label = sasl.label(mechanism, response, self._accounts, name, challenge)
        return (Secret(start, end, label),)

    def long_line_secret(self, line: bytes) -> tuple[Secret, ...]:
        """Returns the secret span of the last line, all of it, if its beginning was discarded."""
        return (Secret(0, len(line) - 2, "unfinished"),) if self._lacks_beginning else ()

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        """Hides a login that is incomplete, or comes after a bare LF, and all that follows it.

        It also hides the rest of a line that may have been one, and responses that a client sends
        although its login was refused.
        """
        end = len(raw.removesuffix(b"\r\n"))
        last = self.current.verb if self.current is not None else ""
        goes_on = self._login_goes_on and last not in self.verbs
        self._login_goes_on = not self.user and (goes_on or last in ("AUTH", "response"))
        if self.state == "AUTH" or self.discarding_line or self._login_goes_on:
            return (Secret(0, end, "unfinished"),)
        match = _LOGIN.search(raw, 0, end)
        return (Secret(match.end(), end, "unfinished"),) if match else ()


# With a tag before it, as in IMAP, or not.
_LOGIN = re.compile(
    rb"(?:\A|\n)[ \t]*(?:\S+[ \t]+)?(?:AUTH(?:ENTICATE)?\s+\S+|PASS|APOP|LOGIN)\s", re.I
)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_ANY_FINAL_DOT = re.compile(rb"(?:\A|\n)\.\r?\n")

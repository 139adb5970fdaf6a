"""A login by SASL: chunks of base64, and the numerics that answer them (IRCv3 sasl-3.1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from fakes import sasl
from fakes.wire import Refuse

CHUNK = 400  # bytes of a line; a full one is followed by another
LONGEST = 4096  # bytes of a response in base64
PART = 1024  # bytes of a part of PLAIN


class Login:
    """The exchanges of one connection, one after the other.

    `say` sends what follows AUTHENTICATE. `done` is called with the account of the user who has
    logged in, or raises Refuse.
    """

    def __init__(
        self,
        accounts: sasl.Accounts,
        nonce: Callable[[], str],
        host: str,
        say: Callable[[str], None],
        done: Callable[[str], None],
    ) -> None:
        self._context = sasl.Context(accounts, nonce, host, service="irc", longest=PART)
        self._say, self._done = say, done
        self._chunks = ""
        self.exchange: sasl.Exchange | None = None
        self._last_word = False  # the exchange has succeeded, and its data has been sent

    @property
    def active(self) -> bool:
        """Whether an exchange is under way."""
        return self.exchange is not None

    def abort(self) -> None:
        """Forgets the exchange."""
        self.exchange, self._chunks, self._last_word = None, "", False

    def begin(self, mechanism: str) -> None:
        """Begins an exchange."""
        self.abort()
        self.exchange = sasl.Exchange(mechanism, self._context)
        self._answer(self.exchange.start())

    def response(self, chunk: str) -> None:
        """Takes a line of a response. Raises Refuse with the numeric of a failure."""
        if chunk == "*":
            raise self._failed(906)
        if len(chunk) > CHUNK:
            raise self._failed(905)
        self._chunks += "" if chunk == "+" else chunk
        if len(self._chunks) > LONGEST:
            raise self._failed(904)
        if len(chunk) == CHUNK:
            return
        assert self.exchange is not None
        chunks, self._chunks = self._chunks, ""
        try:
            response = base64.b64decode(chunks, validate=True)
            if self._last_word and response:
                raise sasl.Malformed("the last challenge is answered by an empty response")
            challenge = None if self._last_word else self.exchange.answer(response)
        except (binascii.Error, ValueError, sasl.SaslError):
            raise self._failed(904) from None
        if challenge is None and self.exchange.data is not None and not self._last_word:
            # The success carries no data: it is one more challenge, and its answer is empty.
            challenge, self._last_word = self.exchange.data, True
        if challenge is not None:
            self._answer(challenge)
            return
        user = self.exchange.user
        self.abort()
        self._done(user)

    def _answer(self, challenge: bytes | None) -> None:
        text = base64.b64encode(challenge or b"").decode()
        for start in range(0, len(text), CHUNK):
            self._say(text[start : start + CHUNK])
        if len(text) % CHUNK == 0:
            self._say("+")

    def _failed(self, number: int) -> Refuse:
        self.abort()
        return Refuse((number,))

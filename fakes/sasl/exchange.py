"""One login: an exchange of one mechanism, from the first message to the verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from fakes.sasl.context import Context, Steps, Success
from fakes.sasl.digest_md5 import digest_md5
from fakes.sasl.scram import scram
from fakes.sasl.simple import anonymous, cram_md5, login, plain

Mechanism: TypeAlias = Callable[[Context], Steps]

# What most mail servers offer, strongest first: the order in which they list them.
MECHANISMS: dict[str, Mechanism] = {
    "CRAM-MD5": cram_md5,
    "PLAIN": plain,
    "LOGIN": login,
}
ALL_MECHANISMS: dict[str, Mechanism] = {
    "SCRAM-SHA-256-PLUS": partial(scram, "sha256", True),
    "SCRAM-SHA-1-PLUS": partial(scram, "sha1", True),
    "SCRAM-SHA-256": partial(scram, "sha256", False),
    "SCRAM-SHA-1": partial(scram, "sha1", False),
    "DIGEST-MD5": digest_md5,
    "ANONYMOUS": anonymous,
    **MECHANISMS,
}
_SCRAM = {name for name in ALL_MECHANISMS if name.startswith("SCRAM")}
# What some offer, too. A channel binding is possible in Jabber only, which knows that it is wanted.
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-1")
CLIENT_FIRST = frozenset({"PLAIN", "ANONYMOUS", *_SCRAM})
# In LOGIN the server begins. But smtplib sends the name as an initial response, which then answers
# the first prompt.
TAKES_INITIAL_RESPONSE = CLIENT_FIRST | {"LOGIN"}


def offered(scram: bool, off: frozenset[str]) -> list[str]:
    """Returns what a mail server offers without the mechanisms that are off, strongest first."""
    return [name for name in (*(SCRAM if scram else ()), *MECHANISMS) if name not in off]


class Exchange:
    """One exchange.

    `step` counts the challenges so far, and `challenge` is the last one. `name` is the response
    before the current one: in LOGIN the name, in SCRAM the first message. `user` and `data` are set
    at the end: the address that has logged in, and what the server sends with the success. `own` is
    a mechanism that is not in the table.
    """

    def __init__(self, mechanism: str, context: Context, own: Mechanism | None = None) -> None:
        self.mechanism = mechanism
        self.step = 0
        self.challenge = b""
        self.name = ""
        self.user = ""
        self.data: bytes | None = None
        self._steps = (own or ALL_MECHANISMS[mechanism])(context)

    def start(self, initial: bytes | None = None) -> bytes | None:
        """Returns the first challenge, or with an initial response the one after it.

        Returns None when the exchange is over. Raises SaslError.
        """
        self.challenge = next(self._steps)
        self.step = 1
        return self.challenge if initial is None else self.answer(initial)

    def answer(self, response: bytes) -> bytes | None:
        """Returns the next challenge, or None when the exchange is over. Raises SaslError."""
        try:
            challenge = self._steps.send(response)
        except StopIteration as over:
            result: str | Success = over.value
            if isinstance(result, Success):
                self.user, self.data = result
            else:
                self.user = result
            return None
        self.step += 1
        self.challenge = challenge
        self.name = response.decode("utf-8", "replace")
        return challenge

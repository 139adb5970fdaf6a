"""One login: an exchange of one mechanism, from the first message to the verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from fakes.sasl.context import Context, Steps, Success
from fakes.sasl.simple import anonymous, cram_md5, login, plain

Mechanism: TypeAlias = Callable[[Context], Steps]

_SIMPLE: dict[str, Mechanism] = {
    "CRAM-MD5": cram_md5,
    "PLAIN": plain,
    "LOGIN": login,
    "ANONYMOUS": anonymous,
}


def _mechanism(name: str) -> Mechanism:
    """Returns one of ALL_MECHANISMS."""
    if name.startswith("SCRAM-"):
        from fakes.sasl.scram import scram

        plus = name.endswith("-PLUS")
        digest = name.removeprefix("SCRAM-").removesuffix("-PLUS")
        return partial(scram, digest.replace("-", "").lower(), plus)
    if name == "DIGEST-MD5":
        from fakes.sasl.digest_md5 import digest_md5

        return digest_md5
    return _SIMPLE[name]


class Exchange:
    """One exchange.

    `step` counts the challenges so far, and `challenge` is the last one. `name` is the response
    before the current one: in LOGIN the name, in SCRAM the first message. `user` and `data` are set
    at the end: the address that has logged in, and what the server sends with the success. `own` is
    a mechanism that is not in ALL_MECHANISMS.
    """

    def __init__(self, mechanism: str, context: Context, own: Mechanism | None = None) -> None:
        self.mechanism = mechanism
        self.step = 0
        self.challenge = b""
        self.name = ""
        self.user = ""
        self.data: bytes | None = None
        self._steps = (own or _mechanism(mechanism))(context)

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

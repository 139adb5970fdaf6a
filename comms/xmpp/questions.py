"""Requests that wait for an answer: IQ stanzas of type get or set (RFC 6120 §8.2.3).

Any user can send a stanza of type result with a guessed id. An answer counts only if it comes from
the address that was asked (RFC 6120 §8.1.2.1).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from comms.errors import CommsError, TryLater, Unknown
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.stream import split_tag


@dataclass
class Question:
    """One request. `answer` is None until an answer arrives from one of `answerers`."""

    query: Element
    answerers: frozenset[Jid | None]  # None: a stanza without `from`, which is our own server's
    description: str
    answer: Element | None = None

    def result(self, timeout: float, lost: CommsError | None) -> Element:
        """Returns the answer if it is a result.

        Raises Refused or TryLater for an answer of type error, Unknown if the connection was lost
        before the answer came, TryLater if there was none within `timeout` seconds.
        """
        if self.answer is None:
            if lost is not None:
                raise Unknown(
                    f"{self.description}: the connection was lost before the answer came: {lost}"
                )
            raise TryLater(f"{self.description}: no answer within {timeout:g} s")
        if self.answer.get("type") == "error":
            raise stanzas.as_exception(self.answer, self.description)
        return self.answer


class Questions:
    """The requests of one account that have not been answered yet."""

    def __init__(self) -> None:
        self._open: dict[str, Question] = {}

    @contextlib.contextmanager
    def ask(self, query: Element, id: str, own: Jid) -> Iterator[Question]:
        """Sets the id of a query and accepts an answer until the block ends.

        `own` is our full address. Raises ValueError if the query's `to` is not an address.
        """
        to = query.get("to")
        about = split_tag(query[0])[0] if len(query) else "nothing"
        description = f"the query to {to or own.domain} about {about}"
        question = Question(query, _answerers(to, own), description)
        query.set("id", id)
        self._open[id] = question
        try:
            yield question
        finally:
            del self._open[id]

    def answered(self, answer: Element, sender: Jid | None) -> None:
        """Records an answer. One that nobody waits for, or from another sender, is ignored."""
        question = self._open.get(answer.get("id", ""))
        if question is not None and sender in question.answerers:
            question.answer = answer


def _answerers(to: str | None, own: Jid) -> frozenset[Jid | None]:
    """Returns who may answer a query sent to `to` (RFC 6120 §8.1.2.1, §10.3.3)."""
    account: frozenset[Jid | None] = frozenset({None, own, own.bare})
    if to is None:
        return account | {Jid("", own.domain)}
    asked = Jid.parse(to)
    return account if asked == own.bare else frozenset({asked})

"""What customer-bot answers by itself. Nothing here reads or sends a message."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from comms.words import one_line
from scenarios.bots.customer_bot_input import Faq, words_of
from scenarios.bots.customer_bot_model import Facts

PERSON = ("person", "agent", "human", "operator")
END = ("end", "bye", "quit", "stop")
HELP = ("help", "?", "hello", "hi")
MISSES = 2  # questions in a row without an answer that lead to a person
POLITE = "I do not answer this. Please ask politely; I shall not say it again."


@dataclass(frozen=True)
class Answer:
    """What is said, if anything, and what happens then: "", `person` or `end`."""

    text: str = ""
    then: str = ""


def command_of(text: str) -> str:
    """Returns a text in the form of the words above."""
    return " ".join(one_line(text).casefold().split()).rstrip(".!")


def answer(faq: Faq, facts: Facts, text: str, abuse: Collection[str], insults: int) -> Answer:
    """Answers a customer, and notes in the facts what that leads to.

    `abuse` are words that are not answered. After this number of `insults`, nothing is.
    """
    if facts.insults >= insults:
        return Answer()
    if abuse and not set(words_of(text)).isdisjoint(abuse):
        facts.insults += 1
        return Answer(POLITE if facts.insults == 1 else "")
    said = command_of(text)
    if said in HELP:
        titles = "; ".join(entry.title for entry in faq.entries[:10])
        return Answer(f"You may ask about: {titles}. Or say: person")
    if said in PERSON:
        return Answer(then="person")
    if said in END:
        return Answer("Goodbye!", "end")
    if said.isascii() and said.isdigit() and 0 < int(said[:3]) <= len(facts.offered):
        found, near = faq.entries[facts.offered[int(said[:3]) - 1]], list[int]()
    else:
        entry, near = faq.search(text)
        if entry is None:
            return _missed(faq, facts, near)
        found = entry
    facts.misses, facts.offered = 0, []
    return Answer(found.answer)


def _missed(faq: Faq, facts: Facts, near: list[int]) -> Answer:
    """Suggests what is near; without that, or the second time, leads to a person."""
    facts.misses, facts.offered = facts.misses + 1, near
    if not near or facts.misses >= MISSES:
        facts.misses, facts.offered = 0, []
        return Answer(then="person")
    titles = "\n".join(f"{n} {faq.entries[number].title}" for n, number in enumerate(near, 1))
    return Answer(f"I do not know that. Is it one of these? Say its number, or: person\n{titles}")

"""Who may see whose presence: RFC 6121 Appendix A as a table, 9 states × 4 stimuli × 2 directions.

A state is one account's view of one contact: None, To, From or Both, with a request of ours pending Out or one of theirs
pending In: N NO NI NOI T TI F FO B. Between two accounts a stanza passes the sender's `out` row, then the receiver's `in`
row, and each must find its way alone: with both on this table, their states mirror each other whenever nothing moves.
"""

from __future__ import annotations

from typing import NamedTuple

STIMULI = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
STATES = ("N", "NO", "NI", "NOI", "T", "TI", "F", "FO", "B")
SUBSCRIPTION = {"N": "none", "NO": "none", "NI": "none", "NOI": "none", "T": "to", "TI": "to", "F": "from", "FO": "from",
                "B": "both"}  # fmt: skip
SEES = frozenset({"T", "TI", "B"})  # we see the contact's presence
SEEN = frozenset({"F", "FO", "B"})  # the contact sees ours
ASKED = frozenset({"NO", "NOI", "FO"})  # a request of ours is not answered yet
ASKING = frozenset({"NI", "NOI", "TI"})  # a request of theirs is not answered yet
MIRROR = {"N": "N", "NO": "NI", "NI": "NO", "NOI": "NOI", "T": "F", "TI": "FO", "F": "T", "FO": "TI", "B": "B"}


class Row(NamedTuple):
    """`passes`: must, should-not or must-not go on; `next`: the new state; `do`: what is done, in this order.

    route, deliver: the stanza itself goes on · push: the item to all interested resources · presence, unavail: what each
    available resource shows, to the contact · reply:X: an answer in the user's name · store, forget: the request, kept
    until answered · approve, unapprove: the next request, answered beforehand (RFC 6121 §3.4).
    """

    passes: str
    next: str
    do: tuple[str, ...]


# direction, stimulus, whether approved beforehand (- either) | states, with the one that follows | what is done;
# `drop` and `never` say why it does not go on: it should not, or must not.
_TABLE = """
out subscribe    - | N>NO NI>NOI F>FO               | route push
out subscribe    - | NO NOI T TI FO B               | route
out unsubscribe  - | NO>N NOI>NI T>N TI>NI FO>F B>F | route push
out unsubscribe  - | N NI F                         | route
out subscribed   - | NI>F NOI>FO TI>B               | forget route push presence
out subscribed   - | N NO T                         | never approve push
out subscribed   - | F FO B                         | never
out unsubscribed - | F>N FO>NO B>T                  | unavail route push
out unsubscribed - | NI>N NOI>NO TI>T               | forget route push?
out unsubscribed n | N NO T                         | drop
out unsubscribed y | N NO T                         | never unapprove push
in  subscribe    n | N>NI NO>NOI T>TI               | store deliver
in  subscribe    y | N>F NO>FO T>B                  | never reply:subscribed push presence
in  subscribe    - | NI NOI TI                      | drop
in  subscribe    - | F FO B                         | drop reply:subscribed
in  unsubscribe  - | F>N FO>NO B>T                  | deliver push unavail reply:unsubscribed
in  unsubscribe  - | NI>N NOI>NO TI>T               | forget deliver reply:unsubscribed
in  unsubscribe  - | N NO T                         | drop
in  subscribed   - | NO>T NOI>TI FO>B               | deliver push
in  subscribed   - | N NI T TI F B                  | drop
in  unsubscribed - | NO>N NOI>NI T>N TI>NI FO>F B>F | deliver push
in  unsubscribed - | N NI F                         | drop
"""


def _read(text: str) -> dict[tuple[str, str, str, bool], Row]:
    table: dict[tuple[str, str, str, bool], Row] = {}
    for line in text.strip().splitlines():
        head, states, words = (part.split() for part in line.split("|"))
        direction, stimulus, approved = head
        passes = {"drop": "should-not", "never": "must-not"}.get(words[0], "must")
        do = tuple(words if passes == "must" else words[1:])
        for state in states:
            before, _, after = state.partition(">")
            for flag in {"-": (False, True), "n": (False,), "y": (True,)}[approved]:
                table[direction, stimulus, before, flag] = Row(passes, after or before, do)
    return table


RULES = _read(_TABLE)


def rule(direction: str, stimulus: str, state: str, approved: bool) -> Row:
    """The row for `out` or `in`; `approved`: the user has approved the contact's next request beforehand."""
    return RULES[direction, stimulus, state, approved]

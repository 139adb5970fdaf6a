"""Who may see whose presence: RFC 6121 Appendix A as a table.

A state is one account's view of one contact: None, To, From or Both, possibly with a request of
ours pending Out or one of theirs pending In: N NO NI NOI T TI F FO B. The table has a row for each
of the 9 states, 4 stimuli and 2 directions. A stanza between two accounts passes the `out` row of
the sender, then the `in` row of the receiver. Each side decides from its own state alone. When both
follow this table, their states mirror each other whenever no stanza is under way.
"""

from __future__ import annotations

from typing import NamedTuple

STIMULI = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
STATES = ("N", "NO", "NI", "NOI", "T", "TI", "F", "FO", "B")
# state → the `subscription` of the roster item
SUBSCRIPTION = {
    "N": "none",
    "NO": "none",
    "NI": "none",
    "NOI": "none",
    "T": "to",
    "TI": "to",
    "F": "from",
    "FO": "from",
    "B": "both",
}
TO = frozenset({"T", "TI", "B"})  # the account sees the contact's presence
FROM = frozenset({"F", "FO", "B"})  # the contact sees the account's presence
PENDING_OUT = frozenset({"NO", "NOI", "FO"})  # the account has asked and waits for an answer
PENDING_IN = frozenset({"NI", "NOI", "TI"})  # the contact has asked and waits for an answer
# state → the state of the other side
MIRROR = {
    "N": "N",
    "NO": "NI",
    "NI": "NO",
    "NOI": "NOI",
    "T": "F",
    "TI": "FO",
    "F": "T",
    "FO": "TI",
    "B": "B",
}


class Row(NamedTuple):
    """What a stimulus does in one state.

    `passes`: whether the stanza `must`, `should-not` or `must-not` go on. `next`: the new state.
    `do`: the actions, in this order:

    - route, deliver: the stanza itself goes on
    - push: the item, to all interested resources (push?: only if it is in the roster)
    - presence, unavail: the presence of each available resource, or that it is gone, to the contact
    - reply:TYPE: an answer in the user's name
    - store, forget: keep the request until it is answered
    - approve, unapprove: approve the contact's next request in advance (RFC 6121 §3.4)
    """

    passes: str
    next: str
    do: tuple[str, ...]


# direction, stimulus, whether approved in advance (- means either) | states, with the next one |
# actions. `drop` (should not) and `never` (must not) say that the stanza does not go on.
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


def _parse(text: str) -> dict[tuple[str, str, str, bool], Row]:
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


RULES = _parse(_TABLE)


def rule(direction: str, stimulus: str, state: str, approved: bool) -> Row:
    """The row for direction `out` or `in`.

    `approved`: whether the user has approved the contact's next request in advance.
    """
    return RULES[direction, stimulus, state, approved]

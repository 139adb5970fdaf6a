"""An archive as a value: the messages of one account or room, in order (XEP-0313 §3).

Messages have numbers that are never used again. To add one is all that happens when it is sent: its
id is made from its number when a client is told of it, and the index by address is brought up to
date when a client asks for it. Messages in a room have the ids that the room has given them.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from fakes.xmpp.addresses import Jid, parse_or_none
from fakes.xmpp.markup import element, serialize
from fakes.xmpp.muc.names import OCCUPANT, RETRACT
from fakes.xmpp.offline import timestamp
from fakes.xmpp.stanzas import Stanza

RETRACTED = "{urn:xmpp:message-retract:1}retracted"
_UNGUESSABLE = 20  # characters of an id before the number
OCCUPANT_ID = f"{{{OCCUPANT}}}occupant-id"


class Archived(NamedTuple):
    """A message of an archive."""

    at: float  # when it was sent or received, in seconds since the epoch
    stanza: Stanza
    other: str  # the other side, full; in a room who has said it, "" for the room itself
    id: str = ""  # that the room has given it; in the archive of an account ""


class Selection(NamedTuple):
    """Some messages: those whose numbers are at the places from `start` to `stop` of a list."""

    numbers: Sequence[int]
    start: int
    stop: int


def _second(message: tuple[float, Stanza, str, str]) -> int:
    """The time of a message as clients see it, without the parts of its second."""
    return int(message[0])


class Messages:
    """The messages of an archive.

    `prepare` must have been called before ids are made. With `tombstones`, what an account's
    messages retract is buried; of a room, `bury` must be called.
    """

    def __init__(self, *, of_room: bool = False, tombstones: bool = False) -> None:
        self._of_room = of_room
        self._tombstones = tombstones
        self._kept: list[tuple[float, Stanza, str, str]] = []  # see Archived
        self._last = 0.0  # the time of the last message
        self.size = 0  # bytes of the content of all
        self._first = 0  # the number of the oldest message that is kept
        self._secret = ""
        self._by_given_id: dict[str, int] = {}
        self._retracts = False  # whether a message retracts another that is not buried yet
        self._indexed = 0  # the messages below this number are in the two indices
        self._by_address: dict[str, list[int]] = {}
        self._by_message_id: dict[tuple[str, str, str], int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __deepcopy__(self, memo: Any) -> Messages:
        """What is stored is copied with the world. Messages never change."""
        other = Messages(of_room=self._of_room, tombstones=self._tombstones)
        other._kept, other._last = self._kept.copy(), self._last
        other._first, other._secret, other.size = self._first, self._secret, self.size
        other._by_given_id = self._by_given_id.copy()
        other._retracts = self._retracts
        return other

    # ── adding and removing ──────────────────────────────────────────────────

    def add(self, at: float, stanza: Stanza, other: str, id: str = "") -> int:
        """Adds a message; returns how many there are.

        Its time is not before that of the last one, whatever the clock says.
        """
        kept = self._kept
        if at < self._last:
            at = self._last
        self._last = at
        if id:
            self._by_given_id[id] = self.end
        elif self._tombstones and RETRACT in stanza.child_names:
            self._retracts = True
        # A plain tuple is made in a fifth of the time, and this runs for every message.
        kept.append((at, stanza, other, id))
        self.size += len(stanza.content)
        return len(kept)

    def is_last(self, stanza: Stanza) -> bool:
        """Whether the message that was added last is this one."""
        return bool(self._kept) and self._kept[-1][1] is stanza

    def take_back(self, stanza: Stanza) -> None:
        """Removes the message that was added last, if it is this one: it was refused."""
        if not self.is_last(stanza):
            return
        self._kept.pop()
        self.size -= len(stanza.content)
        if self._indexed > self.end:
            self._forget_index()

    def drop_oldest(self) -> int:
        """Removes the oldest tenth (§3.2); returns how many messages."""
        many = len(self._kept) // 10 + 1
        for _, stanza, _, id in self._kept[:many]:
            self._by_given_id.pop(id, None)
            self.size -= len(stanza.content)
        del self._kept[:many]
        self._first += many
        self._forget_index()
        return many

    # ── ids (§6.2) ───────────────────────────────────────────────────────────

    @property
    def end(self) -> int:
        """The number of the next message."""
        return self._first + len(self._kept)

    def prepare(self, token: Callable[[int], str]) -> None:
        """Makes the secret with which ids are made, if there is none."""
        self._secret = self._secret or token(20)

    def id_of(self, number: int) -> str:
        """The id of a message: nobody can guess it, and no other message ever has it."""
        return self[number].id or self._made_id(number)

    def next_id(self) -> str:
        """The id that the next message will have in the archive of an account."""
        return self._made_id(self.end)

    def _made_id(self, number: int) -> str:
        made = hashlib.sha256(f"{self._secret} {number}".encode()).hexdigest()[:_UNGUESSABLE]
        return f"{made}{number}"

    def number_of(self, id: str) -> int:
        """The number of the message with this id. Raises KeyError."""
        if self._of_room:
            return self._by_given_id[id]
        text = id[_UNGUESSABLE:]
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
        if not self._first <= number < self.end or self.id_of(number) != id:
            raise KeyError(id)
        return number

    def __getitem__(self, number: int) -> Archived:
        return Archived(*self._kept[number - self._first])

    # ── finding ──────────────────────────────────────────────────────────────

    def between(self, start: float | None, end: float | None) -> tuple[int, int]:
        """The numbers of the first message not before a time, and of the first one after another.

        Both times are in seconds since the epoch.
        """
        kept = self._kept
        low = 0 if start is None else bisect_left(kept, start, key=_second)
        high = len(kept) if end is None else bisect_right(kept, end, key=_second)
        return self._first + low, self._first + high

    def select(
        self, low: int, high: int, address: Jid | None = None, ids: Iterable[str] | None = None
    ) -> Selection:
        """Selects the messages from number `low` up to, but without, number `high`.

        They are with an address, which stands for all its resources if it has none itself, and
        have one of the ids. Raises KeyError for an unknown id.
        """
        numbers: Sequence[int] = range(self._first, self.end)
        if address is not None or self._retracts:
            self._index()
        if address is not None:
            numbers = self._by_address.get(address.text, ())
        if ids is not None:
            wanted = sorted({self.number_of(id) for id in ids})
            numbers = [one for one in wanted if _has(numbers, one)]
        start = bisect_left(numbers, low)
        return Selection(numbers, start, max(start, bisect_left(numbers, high)))

    def _index(self) -> None:
        """Brings the indices up to date, and buries what was retracted."""
        first = max(self._indexed, self._first)
        # No copy: a message that is buried meanwhile is an earlier one.
        new = islice(self._kept, first - self._first, None)
        for number, (_, stanza, address, _) in enumerate(new, first):
            sender, other = stanza.sender or "", parse_or_none(address)
            addresses = {other.text, other.bare} if other is not None else set[str]()
            if self._of_room:
                addresses |= {sender, sender.partition("/")[0]}
            elif self._tombstones and stanza.id and other is not None:
                conversation = (sender.partition("/")[0], other.bare)
                if RETRACT in stanza.child_names:
                    self._bury_retracted(number, conversation)
                self._by_message_id[*conversation, stanza.id] = number
            for address in addresses:
                self._by_address.setdefault(address, []).append(number)
        self._indexed = self.end
        self._retracts = False

    def _forget_index(self) -> None:
        self._indexed = 0
        self._by_address, self._by_message_id = {}, {}

    def stanzas(self) -> list[Stanza]:
        """All messages, oldest first."""
        if self._retracts:
            self._index()
        return [stanza for _, stanza, *_ in self._kept]

    # ── tombstones (XEP-0424 §4) ─────────────────────────────────────────────

    def bury(self, number: int, retracted: Stanza) -> None:
        """Replaces a message by what is left of it (XEP-0313 §3.2)."""
        at, stanza, other, id = self[number]
        self.size += len(retracted.content) - len(stanza.content)
        self._kept[number - self._first] = (at, retracted, other, id)

    def _bury_retracted(self, number: int, conversation: tuple[str, str]) -> None:
        """XEP-0424 §5: only who has sent a message retracts it, in the same conversation."""
        at, stanza, _, _ = self[number]
        retract = stanza.element.find(RETRACT)
        assert retract is not None
        found = self._by_message_id.get((*conversation, retract.get("id", "")))
        if found is not None:
            self.bury(found, tombstone(self[found].stanza, at, stanza.id or ""))


def _has(numbers: Sequence[int], one: int) -> bool:
    place = bisect_left(numbers, one)
    return place < len(numbers) and numbers[place] == one


def tombstone(stanza: Stanza, at: float, id: str, *reasons: Any) -> Stanza:
    """What is left of a message that was retracted at a time by a message with this id.

    In a room that is also who has said it (XEP-0425 §4). `reasons` are elements of the tombstone.
    """
    retracted = element(RETRACTED, {"id": id, "stamp": timestamp(at)}, *reasons)
    kept = [child for child in stanza.element if child.tag == OCCUPANT_ID]
    content = "".join(map(serialize, [*kept, retracted]))
    names = (*(child.tag for child in kept), RETRACTED)
    return stanza.replace(content=content.encode(), child_names=names, extra_attributes="")

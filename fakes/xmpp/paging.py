"""XEP-0059 (1.0): a long list is read in pages, each named by the ids of its ends.

A protocol that has pages reads what is asked for, cuts the page out of its list, and answers with
the set. For example, with `ids` as the ids of all items, in order:

    page = cut(Asked.read(request.payload), ids, most=100)
    shown = items[page.start : page.stop]
    answer.append(page.element(ids[page.start : page.stop]))

An id is searched in the list then. A longer list, which finds an id at once, says where with
`cut_counted`: the cost is that of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.stanzas import StanzaError

RSM = "http://jabber.org/protocol/rsm"
SET = f"{{{RSM}}}set"

# How many items of the list are before an id, without it and with it. Raises KeyError.
Place = Callable[[str], tuple[int, int]]


@dataclass(frozen=True)
class Asked:
    """What a client asks for: everything is optional, and `before=""` is the last page (§2.5)."""

    most: int | None = None
    before: str | None = None
    after: str | None = None
    index: int | None = None

    @classmethod
    def read(cls, parent: Element) -> Asked:
        """Reads the `<set/>` in an element, if there is one. Raises StanzaError."""
        given = parent.find(SET)
        if given is None:
            return cls()
        before, index = given.find(f"{{{RSM}}}before"), _number(given, "index")
        # §2.2: the default of `after` is the place before the first item.
        after = given.findtext(f"{{{RSM}}}after") or None
        if index is not None and (before is not None or after is not None):
            raise StanzaError("bad-request", "a page begins at an index or at an id")
        text = None if before is None else before.text or ""
        return cls(_number(given, "max"), text, after, index)


@dataclass(frozen=True)
class Page:
    """Some of `count` items: those from number `start` up to, but without, number `stop`."""

    start: int
    stop: int
    count: int
    complete: bool  # nothing follows in the direction of the paging

    def element(self, ids: Sequence[str]) -> Element:
        """Builds the `<set/>` of an answer. `ids` are those of the items of the page (§2.2)."""
        built = element(SET)
        if self.stop > self.start:
            built.append(element(f"{{{RSM}}}first", {"index": str(self.start)}, text=ids[0]))
            built.append(element(f"{{{RSM}}}last", text=ids[-1]))
        built.append(element(f"{{{RSM}}}count", text=str(self.count)))
        return built


def cut(asked: Asked, ids: Sequence[str], most: int) -> Page:
    """Returns the page of a list that is asked for, with `most` items at most.

    Raises StanzaError for an unknown id.
    """

    def place(id: str) -> tuple[int, int]:
        try:
            found = ids.index(id)
        except ValueError:
            raise KeyError(id) from None
        return found, found + 1

    return cut_counted(asked, len(ids), most, place)


def cut_counted(asked: Asked, count: int, most: int, place: Place) -> Page:
    """Returns the page that is asked for of a list with `count` items, with `most` at most.

    Raises StanzaError if `place` does not know an id (§2.4). The page is empty at an index after
    the end (§2.6), and with a maximum of 0, by which clients ask for the count (§2.7).
    """
    size = most if asked.most is None else min(asked.most, most)
    try:
        low = min(asked.index or 0, count) if asked.after is None else place(asked.after)[1]
        high = place(asked.before)[0] if asked.before else count
    except KeyError:
        raise StanzaError("item-not-found", "there is no item with this id") from None
    high = max(low, high)
    if asked.before is None:
        start, stop = low, min(low + size, high)
    else:
        start, stop = max(low, high - size), high
    return Page(start, stop, count, complete=(start, stop) == (low, high))


def _number(given: Element, name: str) -> int | None:
    text = given.findtext(f"{{{RSM}}}{name}")
    if text is None:
        return None
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise StanzaError("bad-request", f"{name} is a number")
    return int(text)

"""XEP-0402 (1.2.0): bookmarks of rooms, the same for clients of every age.

Each bookmark is an item of a node of the account. Old clients read and write them all as one
element, in private XML (XEP-0049) or at another node (XEP-0048): what is changed in one place is
changed in all three. What is not a bookmark of a room stays where it was stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.pep import DEFAULTS, Pep
from fakes.xmpp.extensions.private import Private
from fakes.xmpp.markup import element
from fakes.xmpp.pubsub.configuration import ITEMS
from fakes.xmpp.pubsub.nodes import Item
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import StanzaError

NODE = "urn:xmpp:bookmarks:1"
OLD_NODE = "storage:bookmarks"
CONFERENCE = f"{{{NODE}}}conference"
STORAGE, OLD_CONFERENCE = f"{{{OLD_NODE}}}storage", f"{{{OLD_NODE}}}conference"
# XEP-0402 §3.3, §5.1: nobody else sees them, and all are kept.
PRIVATE = replace(
    DEFAULTS, access_model="whitelist", max_items=ITEMS, send_last_published_item="never"
)


class Bookmarks(Extension):
    """Keeps the three places the same."""

    name = "bookmarks"
    section = "XEP-0402"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._busy = False  # what is published now is a copy

    def account_features(self) -> Iterable[str]:
        if self.service.offers("pep"):
            yield f"{NODE}#compat-pep"
            if self.service.offers("private"):
                yield f"{NODE}#compat"

    @property
    def _pep(self) -> Pep:
        return cast("Pep", self.service.extensions.named("pep"))

    # ── changes of each place ────────────────────────────────────────────────

    def item_published(self, account: Account, node: str, item: Item) -> None:
        if self._busy or node not in (NODE, OLD_NODE):
            return
        if node == NODE:
            self._copy(account)
        elif item.payload is not None and item.payload.tag == STORAGE:
            self._take_over(account, item.payload)

    def items_removed(self, account: Account, node: str, items: Sequence[Item]) -> None:
        if self._busy or node not in (NODE, OLD_NODE):
            return
        if node == NODE:
            self._copy(account)
        elif not self._pep.items_of(account, OLD_NODE):
            self._take_over(account, element(STORAGE))

    def element_stored(self, account: Account, stored: Element) -> None:
        if stored.tag == STORAGE and self.service.offers("pep"):
            self._take_over(account, stored)

    # ── from the old form to items, and back ─────────────────────────────────

    def _take_over(self, account: Account, storage: Element) -> None:
        """Changes the items that differ from a list of an old client (XEP-0402 §5.3.2)."""
        pep = self._pep
        wanted = {one.get("jid", ""): one for one in storage.iter(OLD_CONFERENCE)}
        wanted.pop("", None)
        if len(wanted) > ITEMS:
            raise StanzaError("resource-constraint", f"{ITEMS} bookmarks are kept at most")
        node = pep.store(account.address).nodes.get(NODE)
        if node is not None and node.config.max_items < len(wanted):
            node.config = PRIVATE
        found = {item.id: item.payload for item in pep.items_of(account, NODE)}
        with self._copying():
            for id, old in wanted.items():
                known = found.get(id)
                if known is None or _facts(known) != _facts(old):
                    pep.publish(account, NODE, _modern(old, known), id=id, config=PRIVATE)
            pep.retract(account, NODE, *(id for id in found if id not in wanted))
        self._copy(account, storage)

    def _copy(self, account: Account, storage: Element | None = None) -> None:
        """Stores the list of an old client for the other old ones, or the items as such a list."""
        kept = cast("Private", self.service.extensions.named("private")).stored
        stored = kept.setdefault(account.address, {})
        published = self._pep.items_of(account, OLD_NODE) if storage is not None else ()
        if storage is None:
            others = [one for one in stored.get(STORAGE, ()) if one.tag != OLD_CONFERENCE]
            items = self._pep.items_of(account, NODE)
            storage = element(STORAGE, {}, *map(_old, filter(_is_bookmark, items)), *others)
        stored[STORAGE] = storage
        # XEP-0402 §5.3.2: nobody is told of what has not changed
        if not published or _all_facts(published[-1].payload) != _all_facts(storage):
            with self._copying():
                self._pep.publish(account, OLD_NODE, storage, config=replace(PRIVATE, max_items=1))

    @contextmanager
    def _copying(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


def _is_bookmark(item: Item) -> bool:
    return item.payload is not None and item.payload.tag == CONFERENCE


def _facts(conference: Element) -> tuple[object, ...]:
    """What an old client knows about a bookmark, besides its address."""
    space = conference.tag.rpartition("}")[0]
    autojoin = conference.get("autojoin", "").strip() in ("1", "true")
    texts = (conference.findtext(f"{space}}}{name}") for name in ("nick", "password"))
    return (conference.get("name"), autojoin, *texts)


def _all_facts(storage: Element | None) -> list[object]:
    """The bookmarks of a list, and how much else it has."""
    return [
        (one.get("jid"), *_facts(one)) if one.tag == OLD_CONFERENCE else one.tag
        for one in (storage if storage is not None else ())
    ]


def _modern(old: Element, known: Element | None) -> Element:
    """The item of a bookmark, with the extensions of the one that it replaces."""
    built = _converted(old, CONFERENCE)
    extensions = known.find(f"{{{NODE}}}extensions") if known is not None else None
    if extensions is not None:
        built.append(extensions)
    return built


def _old(item: Item) -> Element:
    assert item.payload is not None
    return _converted(item.payload, OLD_CONFERENCE, item.id)


def _converted(conference: Element, name: str, jid: str | None = None) -> Element:
    """A bookmark in the other form; `jid` is its address where that is an attribute."""
    _, autojoin, nick, password = _facts(conference)
    attributes = {"jid": jid, "name": conference.get("name")}
    attributes["autojoin"] = "true" if autojoin else None
    space = name.rpartition("}")[0]
    children = [
        element(f"{space}}}{child}", text=str(text))
        for child, text in (("nick", nick), ("password", password))
        if text is not None
    ]
    return element(name, attributes, *children)

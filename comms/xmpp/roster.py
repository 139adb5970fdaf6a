"""The contact list as the server keeps it, and how each contact can be reached (RFC 6121 §2, §4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, SubElement

from comms.xmpp.addresses import Jid
from comms.xmpp.stanzas import ROSTER, Presence

CONTACTS = 10_000  # more than an honest server sends; the rest is left out
RESOURCES = 50  # of one contact


@dataclass(frozen=True)
class Contact:
    """Somebody on the list. `subscription` is none, to (we see them), from (they see us) or both; `pending` says that we
    asked to see them and have no answer yet; `approved` that they may see us as soon as they ask."""

    jid: Jid
    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: str = "none"
    pending: bool = False
    approved: bool = False

    @property
    def subscribed(self) -> bool:
        """Whether they have authorised us: we see their presence."""
        return self.subscription in ("to", "both")


class Roster(Mapping[Jid, Contact]):
    """Contacts by bare address, in the order of their addresses. Only the server's word changes it."""

    def __init__(self) -> None:
        self._contacts: dict[Jid, Contact] = {}
        self._reached: dict[Jid, dict[str, Presence]] = {}  # contact → resource → its presence
        self.version: str | None = None  # the server's, where it counts (RFC 6121 §2.6)

    def __getitem__(self, jid: Jid | str) -> Contact:
        return self._contacts[_bare(jid)]

    def __iter__(self) -> Iterator[Jid]:
        return iter(sorted(self._contacts))

    def __len__(self) -> int:
        return len(self._contacts)

    def presence(self, jid: Jid | str) -> Presence:
        """How a contact can be reached as a whole: the best of its resources, the highest priority first."""
        bare = _bare(jid)
        there = self._reached.get(bare, {})
        best = max(there.values(), key=lambda one: one.priority, default=None)
        return Presence(bare, "unavailable") if best is None else replace(best, sender=bare)

    # ── what the server says ─────────────────────────────────────────────────

    def load(self, query: Element | None) -> None:
        """The answer to our asking for the list; an empty one says that ours still stands (RFC 6121 §2.6.3)."""
        if query is None:
            return
        self._contacts.clear()
        self.apply(query)

    def apply(self, query: Element) -> Contact | None:
        """A roster push (RFC 6121 §2.1.6): its items replace those of the same address. The last one, as it is now."""
        contact = None
        for item in query.iterfind(f"{{{ROSTER}}}item"):
            try:
                contact = _contact(item)
            except ValueError:
                continue  # an address that is none: nobody could be meant
            if contact.subscription == "remove":
                self._contacts.pop(contact.jid, None)
                self._reached.pop(contact.jid, None)
            elif contact.jid in self._contacts or len(self._contacts) < CONTACTS:
                self._contacts[contact.jid] = contact
        self.version = query.get("ver", self.version)
        return contact

    def update_presence(self, presence: Presence) -> bool:
        """A resource of a contact has come, changed or gone. False when it is nobody's on the list."""
        assert presence.sender is not None
        bare = presence.sender.bare
        if bare not in self._contacts:
            return False
        there = self._reached.setdefault(bare, {})
        if presence.kind:
            there.pop(presence.sender.resource, None)
            if not presence.sender.resource:
                there.clear()
        elif presence.sender.resource in there or len(there) < RESOURCES:
            there[presence.sender.resource] = presence
        return True

    def forget_presence(self) -> list[Jid]:
        """The link is lost: nobody can be seen any more. Those who could."""
        lost = [bare for bare, there in self._reached.items() if there]
        self._reached.clear()
        return lost


def _contact(item: Element) -> Contact:
    """An item of the list. Raises ValueError."""
    groups = dict.fromkeys(group.text or "" for group in item.iterfind(f"{{{ROSTER}}}group"))
    return Contact(
        Jid.parse(item.get("jid", "")).bare,
        item.get("name", ""),
        tuple(groups),
        item.get("subscription", "none"),
        item.get("ask") == "subscribe",
        item.get("approved") in ("true", "1"),
    )


def _bare(jid: Jid | str) -> Jid:
    return Jid.of(jid).bare


def roster_set(
    jid: Jid, name: str = "", groups: tuple[str, ...] = (), remove: bool = False
) -> Element:
    """The query that puts a contact on the list, changes its name and groups, or takes it off (RFC 6121 §2.3, §2.5)."""
    query = Element(f"{{{ROSTER}}}query")
    item = SubElement(query, f"{{{ROSTER}}}item", {"jid": str(jid.bare)})
    if remove:
        item.set("subscription", "remove")
        return query
    if name:
        item.set("name", name)
    for group in dict.fromkeys(groups):
        SubElement(item, f"{{{ROSTER}}}group").text = group
    return query

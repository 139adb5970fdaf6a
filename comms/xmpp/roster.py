"""The contact list as the server keeps it, and who can be reached how (RFC 6121 §2, §4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from comms.xmpp.addresses import Jid
from comms.xmpp.stanzas import ROSTER, Presence

CONTACTS = 50_000  # as many short ones as one stanza of the server can hold; see `left_out`
RESOURCES = 50  # of one contact; see `left_out`


class Contact(NamedTuple):
    """An item of the contact list.

    `subscription` is none, to (we see their presence), from (they see ours) or both. `pending`: we
    have asked to see them, and they have not answered. `approved`: they may see us as soon as they
    ask.
    """

    jid: Jid
    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: str = "none"
    pending: bool = False
    approved: bool = False

    @property
    def subscribed(self) -> bool:
        """Whether they have authorised us to see their presence."""
        return self.subscription in ("to", "both")

    @property
    def sees_us(self) -> bool:
        """Whether we have authorised them to see our presence."""
        return self.subscription in ("from", "both")


class Roster(Mapping[Jid, Contact]):
    """Contacts by bare address, sorted by address. Only the server changes them."""

    def __init__(self) -> None:
        self._contacts: dict[Jid, Contact] = {}
        self._online: dict[Jid, dict[str, Presence]] = {}  # contact → resource → its presence
        self._left_out: list[str] = []
        self._more = 0  # left out, and not named
        self.version: str | None = None  # the server's version of the list (RFC 6121 §2.6)

    def __getitem__(self, jid: Jid | str) -> Contact:
        return self._contacts[Jid.of(jid).bare]

    def __iter__(self) -> Iterator[Jid]:
        return iter(sorted(self._contacts))

    def __len__(self) -> int:
        return len(self._contacts)

    def presence(self, jid: Jid | str) -> Presence:
        """Returns the presence of a contact as a whole: that of the resource with top priority."""
        bare = Jid.of(jid).bare
        resources = self._online.get(bare, {}).values()
        best = max(resources, key=lambda presence: presence.priority, default=None)
        return Presence(bare, "unavailable") if best is None else replace(best, sender=bare)

    # ── what the server sends ────────────────────────────────────────────────

    def load(self, query: Element | None) -> None:
        """Loads the server's answer to a roster request.

        An answer without content means that our version is the current one (RFC 6121 §2.6.3).
        """
        if query is None:
            return
        self._contacts.clear()
        self.apply(query)

    def apply(self, query: Element) -> Contact | None:
        """Applies a roster push (RFC 6121 §2.1.6). Returns the contact that it is about."""
        contact = None
        for item in query.iterfind(f"{{{ROSTER}}}item"):
            try:
                contact = _contact(item)
            except ValueError:  # not an address, so not a contact
                self._leave_out("contact", item.get("jid", ""))
                continue
            if contact.subscription == "remove":
                self._contacts.pop(contact.jid, None)
                self._online.pop(contact.jid, None)
            elif contact.jid in self._contacts or len(self._contacts) < CONTACTS:
                self._contacts[contact.jid] = contact
            else:
                self._leave_out("contact", str(contact.jid))
        self.version = query.get("ver", self.version)
        return contact

    def update_presence(self, presence: Presence) -> bool:
        """Records the presence of a resource. Returns False if it does not belong to a contact."""
        assert presence.sender is not None
        bare = presence.sender.bare
        if bare not in self._contacts:
            return False
        resources = self._online.setdefault(bare, {})
        if presence.kind:  # unavailable
            resources.pop(presence.sender.resource, None)
            if not presence.sender.resource:
                resources.clear()
        elif presence.sender.resource in resources or len(resources) < RESOURCES:
            resources[presence.sender.resource] = presence
        else:
            self._leave_out("resource", str(presence.sender))
        return True

    def left_out(self) -> list[str]:
        """Returns what was left out since the last call, as lines for the log.

        That is: contacts or resources beyond the limits, and contacts with an impossible address.
        """
        left_out, self._left_out = self._left_out, []
        return left_out

    def _leave_out(self, what: str, address: str) -> None:
        if not self._left_out:
            self._left_out = [f"the {what} {address[:100]!r}"]
            self._more = 0
        else:
            self._more += 1
            self._left_out[1:] = [f"and {self._more} more"]

    def forget_presence(self) -> list[Jid]:
        """Forgets everybody's presence, and returns who was online."""
        online = [bare for bare, resources in self._online.items() if resources]
        self._online.clear()
        return online


def _contact(item: Element) -> Contact:
    """Returns an item of the contact list. Raises ValueError for an invalid address."""
    groups = dict.fromkeys(group.text or "" for group in item.iterfind(f"{{{ROSTER}}}group"))
    return Contact(
        Jid.parse(item.get("jid", "")).bare,
        item.get("name", ""),
        tuple(groups),
        item.get("subscription", "none"),
        item.get("ask") == "subscribe",
        item.get("approved") in ("true", "1"),
    )


def roster_set(
    jid: Jid, name: str = "", groups: tuple[str, ...] = (), remove: bool = False
) -> Element:
    """Returns the content of a query that adds, changes or removes a contact.

    RFC 6121 §2.3, §2.4, §2.5.
    """
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

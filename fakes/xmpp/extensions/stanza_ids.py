"""XEP-0359 (0.7.0): ids that the account adds to messages, and that nobody else can forge.

An id that claims to be the account's is removed. Whether the account adds one of its own is a
switch of the policy, `stanza_ids`, because most tests compare what was sent with what arrives. Ids
of messages that are archived are those of the archive (`archive.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import parse_or_none
from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import element
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import Stanza, with_child, without_children

SID = "urn:xmpp:sid:0"
STANZA_ID = f"{{{SID}}}stanza-id"


class StanzaIds(Extension):
    """The ids that accounts give."""

    name = "stanza-ids"
    section = "XEP-0359"

    def account_features(self) -> Iterable[str]:
        return (SID,)

    def stamp_message(self, account: Account, stanza: Stanza) -> Stanza:
        if STANZA_ID in stanza.child_names:
            stanza = without_ids_of(stanza, account.address)
        # What a room sends has the id of the room.
        kept = stanza.type not in ("error", "groupchat")
        # Where there is an archive, clients take such an id for that of an archived message.
        if not (self.service.policy.stanza_ids and kept) or self.service.offers("archive"):
            return stanza
        return with_id(stanza, account.address, self.service.runtime.token(16))


def with_id(stanza: Stanza, by: str, id: str) -> Stanza:
    """Returns a message with one more id, from the address `by`."""
    return with_child(stanza, element(STANZA_ID, {"by": by, "id": id}))


def without_ids_of(stanza: Stanza, by: str) -> Stanza:
    """Returns a message without the ids that claim to be given by this bare address."""
    if STANZA_ID not in stanza.child_names:
        return stanza

    def is_forged(child: Element) -> bool:
        address = parse_or_none(child.get("by", ""))
        return child.tag == STANZA_ID and address is not None and address.text == by

    return without_children(stanza, is_forged)

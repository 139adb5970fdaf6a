"""Which messages are archived (XEP-0334, XEP-0313 §6.1)."""

from __future__ import annotations

from fakes.xmpp.extensions.carbons import BODY, INVITATION, is_invitation
from fakes.xmpp.markup import CLIENT
from fakes.xmpp.muc.names import RETRACT, X
from fakes.xmpp.offline import HINTS
from fakes.xmpp.stanzas import Stanza

_STORE = f"{HINTS}store"
_UNWANTED = frozenset({f"{HINTS}no-store", f"{HINTS}no-permanent-store"})
# What is worth to be read again even without a body.
_WORTH = frozenset(
    {BODY, _STORE, INVITATION, RETRACT}
    | {"{urn:xmpp:receipts}received", "{urn:xmpp:eme:0}encryption"}
    | {"{urn:xmpp:reactions:0}reactions"}
    | {f"{{urn:xmpp:chat-markers:0}}{name}" for name in ("received", "displayed", "acknowledged")}
)
_WORTH_IN_ROOMS = _WORTH | {f"{{{CLIENT}}}subject"}


def is_worth(stanza: Stanza) -> bool:
    """Whether a message is archived for an account (§6.1.1)."""
    names = stanza.child_names
    if stanza.type in ("error", "groupchat") or not _UNWANTED.isdisjoint(names):
        return False
    if _WORTH.isdisjoint(names) and not (X in names and is_invitation(stanza)):
        return False
    return stanza.type != "headline" or _STORE in names


def is_worth_in_room(message: Stanza) -> bool:
    """Whether a message for all in a room is archived (§6.1.2)."""
    names = message.child_names
    return _UNWANTED.isdisjoint(names) and not _WORTH_IN_ROOMS.isdisjoint(names)

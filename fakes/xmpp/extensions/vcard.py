"""XEP-0054: the vCard that an account shows to everyone, stored as it was sent.

That of today (XEP-0292) is an item at the node `urn:xmpp:vcard4` of the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import jid
from fakes.xmpp.extension import Extension
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

VCARD = "vcard-temp"
VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0"


class VCard(Extension):
    """One vCard per account."""

    name = "vcard"
    section = "XEP-0054"
    stored: dict[str, Element]  # account → vCard

    def answers(self) -> Answers:
        return {("account", f"{{{VCARD}}}vCard"): self._card}

    def domain_features(self) -> Iterable[str]:
        return (VCARD,)

    def account_features(self) -> Iterable[str]:
        return (VCARD4,) if self.service.offers("pep") else ()

    def _card(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        if request.stanza.type == "set":
            if not request.own:
                raise StanzaError("forbidden")
            self.stored[account.address] = request.payload
            self.service.extensions.card_stored(account, request.payload)
            return ()
        asker = jid(request.stanza.sender or "")
        card = self.stored.get(account.address)
        card = self.service.extensions.card_shown(account, card, asker)
        if card is None:
            # For others the same as for a user who does not exist.
            raise StanzaError("item-not-found" if request.own else "service-unavailable")
        return (card,)

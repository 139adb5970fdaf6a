"""XEP-0054: the vCard that an account shows to everyone, stored as it was sent."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import StanzaError

VCARD = "vcard-temp"


class VCard(Extension):
    """One vCard per account."""

    name = "vcard"
    section = "XEP-0054"
    stored: dict[str, Element]  # account → vCard

    def answers(self) -> Answers:
        return {("account", f"{{{VCARD}}}vCard"): self._card}

    def domain_features(self) -> Iterable[str]:
        return (VCARD,)

    def _card(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        if request.stanza.type == "set":
            if not request.own:
                raise StanzaError("forbidden")
            self.stored[account.address] = request.payload
            return ()
        card = self.stored.get(account.address)
        if card is None:
            # For others the same as for a user who does not exist.
            raise StanzaError("item-not-found" if request.own else "service-unavailable")
        return (card,)

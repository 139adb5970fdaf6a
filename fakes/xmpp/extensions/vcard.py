"""XEP-0054: the card that an account shows to everybody, kept as it was sent."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.service import Answer, Extension, Request, Service
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import StanzaError

VCARD = "vcard-temp"


class VCard(Extension):
    """One card an account."""

    name = "vcard"
    section = "XEP-0054"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._cards: dict[str, Element] = {}

    def answers(self) -> dict[tuple[str, str], Answer]:
        return {("account", f"{{{VCARD}}}vCard"): self._card}

    def domain_features(self) -> Iterable[str]:
        return (VCARD,)

    def forgets(self, account: Account) -> None:
        self._cards.pop(account.address, None)

    def _card(self, request: Request) -> Iterable[Element]:
        account = request.account
        assert account is not None
        if request.stanza.type == "set":
            if not request.own:
                raise StanzaError("forbidden")
            self._cards[account.address] = request.payload
            return ()
        card = self._cards.get(account.address)
        if card is None:
            # of others, the same as for somebody who does not exist
            raise StanzaError("item-not-found" if request.own else "service-unavailable")
        return (card,)

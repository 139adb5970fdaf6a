"""XEP-0398 (1.0.0): the avatar of a user, the same at its nodes and in the vCard.

New clients publish it at two nodes of the account (XEP-0084), old ones and rooms show the photo of
the vCard and the hash of it in presence (XEP-0153). A vCard is shown with the photo that is
published, if the asker may see it there; and the photo of a vCard that is stored is published. The
hash is in every available presence from then on, but no presence is sent because of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.pep import DEFAULTS, Pep
from fakes.xmpp.extensions.vcard import VCARD
from fakes.xmpp.markup import element
from fakes.xmpp.pubsub.nodes import Item
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, with_child, without_children

FEATURE = "urn:xmpp:pep-vcard-conversion:0"
DATA, METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
PHOTO = f"{{{VCARD}}}PHOTO"
UPDATE = f"{{{VCARD}:x:update}}x"
HASH = f"{{{VCARD}:x:update}}photo"
OPEN = replace(DEFAULTS, access_model="open")  # as everybody sees a vCard


class Avatars(Extension):
    """The hash of each avatar that is published, which its data has been found to have."""

    name = "avatars"
    section = "XEP-0398"
    stored: dict[str, str]  # account → hash; "" if there is no avatar, and there was one

    def account_features(self) -> Iterable[str]:
        return (FEATURE,) if self.service.offers("pep") and self.service.offers("vcard") else ()

    @property
    def _pep(self) -> Pep:
        return cast("Pep", self.service.extensions.named("pep"))

    # ── what is published (XEP-0398 §3.1) ────────────────────────────────────

    def item_published(self, account: Account, node: str, item: Item) -> None:
        if node in (DATA, METADATA):
            self._look(account)

    def items_removed(self, account: Account, node: str, items: Sequence[Item]) -> None:
        if node in (DATA, METADATA):
            self._look(account)

    def _look(self, account: Account) -> None:
        """Notes the hash of the avatar that is published now, and shows it in presence."""
        info = self._info(account)
        hash = info.get("id", "") if info is not None else ""
        found = self._data(account, hash)
        if found is None and hash and hash == self.stored.get(account.address):
            return  # the image of the next avatar is there, but not its description yet
        image = _decoded(found.text) if found is not None else None
        right = image is not None and hashlib.sha1(image).hexdigest() == hash
        before = self.stored.get(account.address)
        self.stored[account.address] = hash if right else ""
        if before != self.stored[account.address]:
            for resource in account.available():
                if resource.presence is not None:
                    resource.presence = self.stamp_presence(resource, resource.presence)

    def _info(self, account: Account) -> Element | None:
        """The first description of an image that is at the node, not elsewhere."""
        items = self._pep.items_of(account, METADATA)
        payload = items[-1].payload if items else None
        found = payload.findall(f"{{{METADATA}}}info") if payload is not None else ()
        return next((one for one in found if not one.get("url")), None)

    def _data(self, account: Account, id: str) -> Element | None:
        items = self._pep.items_of(account, DATA) if id else ()
        return next((item.payload for item in items if item.id == id), None)

    # ── the vCard (XEP-0398 §3.2, §5.2) ──────────────────────────────────────

    def card_shown(self, account: Account, card: Element | None, asker: Jid) -> Element | None:
        hash = self.stored.get(account.address)
        if hash is None:
            return card  # no avatar was ever published
        if hash == _photo(card)[0] or (not hash and card is None):
            return card
        shown = element(f"{{{VCARD}}}vCard")
        shown.extend(one for one in card if one.tag != PHOTO) if card is not None else None
        nodes = self._pep.store(account.address).nodes
        readable = all(
            name in nodes and self._pep.access.may_read(nodes[name], asker)
            for name in (DATA, METADATA)
        )
        info, data = self._info(account), self._data(account, hash)
        if readable and info is not None and data is not None:
            type = element(f"{{{VCARD}}}TYPE", text=info.get("type", ""))
            binary = element(f"{{{VCARD}}}BINVAL", text="".join((data.text or "").split()))
            shown.append(element(PHOTO, {}, type, binary))
        return shown if len(shown) or card is not None else None

    def card_stored(self, account: Account, card: Element) -> None:
        hash, image, type = _photo(card)
        if not self.service.offers("pep") or hash == self.stored.get(account.address, ""):
            return
        if not hash:
            if card.find(PHOTO) is None:  # the avatar was removed
                self._pep.publish(account, METADATA, element(f"{{{METADATA}}}metadata"))
            return
        text = base64.b64encode(image).decode()
        data = element(f"{{{DATA}}}data", text=text)
        info = {"bytes": str(len(image)), "id": hash, "type": type}
        described = element(f"{{{METADATA}}}info", {**info})
        self._pep.publish(account, DATA, data, id=hash, config=OPEN)
        metadata = element(f"{{{METADATA}}}metadata", {}, described)
        self._pep.publish(account, METADATA, metadata, id=hash, config=OPEN)

    # ── presence (XEP-0398 §4) ───────────────────────────────────────────────

    def stamp_presence(self, resource: Resource, stanza: Stanza) -> Stanza:
        hash = self.stored.get(resource.account.address)
        found = stanza.element.find(UPDATE) if UPDATE in stanza.child_names else None
        if found is None and not hash:
            return stanza
        if found is not None:
            photo = found.find(HASH)
            if photo is not None and (not photo.text or hash is None or photo.text == hash):
                return stanza
            stanza = without_children(stanza, lambda child: child.tag == UPDATE)
        return with_child(stanza, element(UPDATE, {}, element(HASH, text=hash or "")))


def _photo(card: Element | None) -> tuple[str, bytes, str]:
    """The hash, the image and the type of the photo in a vCard; "" if it has none."""
    photo = card.find(PHOTO) if card is not None else None
    image = _decoded(photo.findtext(f"{{{VCARD}}}BINVAL")) if photo is not None else None
    if photo is None or not image:
        return "", b"", ""
    type = photo.findtext(f"{{{VCARD}}}TYPE") or "image/png"
    return hashlib.sha1(image).hexdigest(), image, type.strip()


def _decoded(text: str | None) -> bytes | None:
    """Decodes base64, in lines or not; None if it is not that."""
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except binascii.Error:
        return None

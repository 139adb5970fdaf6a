"""XEP-0313 (1.1.3), with XEP-0441: the messages of accounts and of rooms can be read again.

A message is archived when it is sent, and costs no more than that until a client asks. The messages
that an account receives have the archive's ids (XEP-0313 §3.5) from the moment on when a client has
looked at what accounts offer: before, nobody may know what the ids mean. With `stanza_ids` in the
policy they have them from the first message on.

What is archived is in `fakes/xmpp/archiving/rules.py`, and the archives of rooms in `of_rooms.py`
there. That of an account is deleted with the account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import jid
from fakes.xmpp.archiving import queries
from fakes.xmpp.archiving.messages import Messages
from fakes.xmpp.archiving.of_rooms import FEATURES, TOMBSTONES, RoomArchives
from fakes.xmpp.archiving.preferences import MAM, Preferences
from fakes.xmpp.archiving.rules import is_worth
from fakes.xmpp.extensions.retraction import FEATURE as RETRACTION
from fakes.xmpp.extensions.stanza_ids import with_id, without_ids_of
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp


@dataclass
class Kept:
    """What is stored for an account."""

    messages: Messages
    preferences: Preferences | None = None  # None: everything is archived


class Archive(RoomArchives):
    """The archives of a server."""

    name = "archive"
    section = "XEP-0313"
    stored: dict[str, Kept]  # by the address of the account

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._announced = service.policy.stanza_ids

    def answers(self) -> Answers:
        return {
            ("account", queries.QUERY): self._query,
            ("account", queries.METADATA): self._metadata,
            ("account", queries.PREFERENCES): self._preferences,
            **super().answers(),
        }

    def account_features(self) -> Iterable[str]:
        self._announced = True
        retraction = (RETRACTION, TOMBSTONES) if self.service.offers("retraction") else ()
        return (*FEATURES, f"{MAM}#groupchat-field", *retraction)

    def bound(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        """A client that binds by XEP-0386 is told what there is to be read (XEP-0313 §5)."""
        resource = stream.resource
        return [queries.described(self.messages(resource.account))] if resource is not None else []

    # ── what is archived (§6.1) ──────────────────────────────────────────────

    def message_sent(self, resource: Resource, stanza: Stanza) -> None:
        # To oneself: it is archived when it arrives, and only once (§6.1.1).
        to = stanza.to or ""
        if is_worth(stanza) and jid(to).bare != resource.account.jid.text:
            self._add(resource.account, stanza, to)

    def stamp_message(self, account: Account, stanza: Stanza) -> Stanza:
        if not is_worth(stanza):
            return stanza
        stamps = self._announced and self.service.offers("stanza-ids")
        return self._add(account, stanza, stanza.sender or "", stamps=stamps)

    def message_refused(self, account: Account, stanza: Stanza) -> None:
        kept = self.stored.get(account.address)
        if kept is not None:
            kept.messages.take_back(stanza)

    def _add(self, account: Account, stanza: Stanza, other: str, *, stamps: bool = False) -> Stanza:
        """Archives a message if the account wants it; returns it, with its id if it is to have one.

        This runs for every message, at both ends.
        """
        kept = self.stored.get(account.jid.text) or self._kept(account)
        if kept.preferences is not None and not kept.preferences.allow(account, other):
            return stanza
        messages = kept.messages
        if stamps:
            messages.prepare(self.service.runtime.token)
            stanza = without_ids_of(stanza, account.address)
            stanza = with_id(stanza, account.address, messages.next_id())
        count = messages.add(self.service.runtime.now(), stanza, other)
        if count > self._most or messages.size > self._most_bytes:
            self.drop_oldest(messages, account.address)
        return stanza

    # ── the archives there are ───────────────────────────────────────────────

    def _kept(self, account: Account) -> Kept:
        kept = self.stored.get(account.address)
        if kept is None:
            tombstones = self.service.offers("retraction")
            kept = self.stored[account.address] = Kept(Messages(tombstones=tombstones))
        return kept

    def messages(self, account: Account) -> Messages:
        """The archive of an account, whose ids can be told to others now."""
        self._announced = True
        messages = self._kept(account).messages
        messages.prepare(self.service.runtime.token)
        return messages

    def has_like(self, account: Account, stanza: Stanza) -> bool:
        """Whether an account archives messages such as this one, from the same sender."""
        preferences = self._kept(account).preferences
        allowed = preferences is None or preferences.allow(account, stanza.sender or "")
        return allowed and is_worth(stanza)

    def with_id_of_sent(self, account: Account, stanza: Stanza) -> Stanza:
        """A message that an account has just sent, with its id for other clients (§3.5)."""
        kept = self.stored.get(account.address)
        stamps = self._announced and self.service.offers("stanza-ids")
        if not stamps or kept is None or not kept.messages.is_last(stanza):
            return stanza
        messages = self.messages(account)
        stanza = without_ids_of(stanza, account.address)
        return with_id(stanza, account.address, messages.id_of(messages.end - 1))

    # ── who asks an account (§8.1) ───────────────────────────────────────────

    def _query(self, request: Request) -> Iterable[Element]:
        archive = self.messages(_own(request))
        if request.stanza.type == "get":
            return [queries.form(of_account=True)]
        query = queries.Query.read(request.payload, of_account=True)
        return [self.answer(archive, request, query)]

    def _metadata(self, request: Request) -> Iterable[Element]:
        return [queries.metadata(request, self.messages(_own(request)))]

    def _preferences(self, request: Request) -> Iterable[Element]:
        kept = self._kept(_own(request))
        if request.stanza.type == "set":
            kept.preferences = Preferences.read(request.payload)
        return [(kept.preferences or Preferences()).element()]


def _own(request: Request) -> Account:
    assert request.account is not None
    if not request.own:
        raise StanzaError("forbidden", "an archive is for its account only")
    return request.account

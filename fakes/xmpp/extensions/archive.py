"""XEP-0313 (1.1.3), with XEP-0441: the messages of accounts and of rooms can be read again.

Until a client has looked at what accounts offer, a message is only noted, which costs next to
nothing; of these, the server keeps the last 20,000. They are filed in the archives when anybody
looks there. From a client's look on, messages are filed as they come, and those that an account
receives have the archive's ids (XEP-0313 §3.5): before, nobody may know what the ids mean. With
`stanza_ids` in the policy that is so from the first message on.

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


NOTED = 20_000  # messages, each at both of its ends, that wait to be filed


@dataclass
class Kept:
    """What is stored for an account."""

    messages: Messages
    preferences: Preferences | None = None  # None: everything is archived


class Archive(RoomArchives):
    """The archives of a server."""

    name = "archive"
    section = "XEP-0313"

    def __init__(self, service: Service) -> None:
        self._filed: dict[str, Kept] = {}  # by the address of the account
        # When a message came, whose it is, the message, and where it is from or, if sent, to.
        self._noted: list[tuple[float, Account, Stanza, str, bool]] = []
        self._noted_size = 0  # bytes of their content
        super().__init__(service)
        self._announced = service.policy.stanza_ids

    @property
    def stored(self) -> dict[str, Kept]:
        """What is archived, by the address of the account. What was noted is filed first."""
        self._file_noted()
        return self._filed

    @stored.setter
    def stored(self, stored: dict[str, Kept]) -> None:
        self._filed = stored

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
        now = self.service.runtime.now()
        handle = self._file if self._announced else self._note
        handle(now, resource.account, stanza, stanza.to or "", True)

    def stamp_message(self, account: Account, stanza: Stanza) -> Stanza:
        now, other = self.service.runtime.now(), stanza.sender or ""
        if not self._announced:
            self._note(now, account, stanza, other, False)
            return stanza
        if self.service.offers("stanza-ids") and self.wants(account, stanza, other):
            stanza = without_ids_of(stanza, account.address)
            stanza = with_id(stanza, account.address, self.messages(account).next_id())
        self._file(now, account, stanza, other, False)
        return stanza

    def message_refused(self, account: Account, stanza: Stanza) -> None:
        kept = self.stored.get(account.address)
        if kept is not None:
            kept.messages.take_back(stanza)

    def _note(self, at: float, account: Account, stanza: Stanza, other: str, sent: bool) -> None:
        # This runs for every message, at both ends.
        noted = self._noted
        noted.append((at, account, stanza, other, sent))
        self._noted_size += len(stanza.content)
        if len(noted) > NOTED:
            self._noted_size -= sum(len(one[2].content) for one in noted[: NOTED // 10])
            del noted[: NOTED // 10]
            self.say_once("archive: from now on, what came long before anybody looks is forgotten")
        elif self._noted_size > self._most_bytes:
            self._file_noted()

    def _file_noted(self) -> None:
        noted, self._noted, self._noted_size = self._noted, [], 0
        for message in noted:
            self._file(*message)

    def _file(self, at: float, account: Account, stanza: Stanza, other: str, sent: bool) -> None:
        """Archives a message that came at a time, if it is worth it and the account wants it."""
        # To oneself: it is archived when it arrives, and only once (§6.1.1).
        to_itself = sent and jid(other).bare == account.address
        if to_itself or not self.wants(account, stanza, other):
            return
        messages = self._kept(account).messages
        count = messages.add(at, stanza, other)
        if count > self._most or messages.size > self._most_bytes:
            self.drop_oldest(messages, account.address)

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

    def wants(self, account: Account, stanza: Stanza, other: str) -> bool:
        """Whether an account archives messages such as this one, from or to another address."""
        if not is_worth(stanza):
            return False
        preferences = self._kept(account).preferences
        return preferences is None or preferences.allow(account, other)

    def with_id_of_sent(self, account: Account, stanza: Stanza) -> Stanza:
        """A message that an account has just sent, with its id for other clients (§3.5)."""
        if not self._announced or not self.service.offers("stanza-ids"):
            return stanza
        messages = self.messages(account)
        if not messages.is_last(stanza):
            return stanza
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
        self._announced = True
        kept = self._kept(_own(request))
        if request.stanza.type == "set":
            kept.preferences = Preferences.read(request.payload)
        return [(kept.preferences or Preferences()).element()]


def _own(request: Request) -> Account:
    assert request.account is not None
    if not request.own:
        raise StanzaError("forbidden", "an archive is for its account only")
    return request.account

"""The set of extensions that a service has: each hook is passed on to those that override it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, prepare_domain
from fakes.xmpp.extension import HOOKS, Extension
from fakes.xmpp.policy import Environment
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza

if TYPE_CHECKING:
    from fakes.xmpp.pubsub.nodes import Item
    from fakes.xmpp.room import Occupant, Room


class Extensions:
    """The extensions of one service. Those that are switched off are passed over."""

    def __init__(self, environment: Environment, domains: tuple[str, ...]) -> None:
        self._environment = environment
        self._domains = domains
        self._all: dict[str, Extension] = {}  # by name
        # Those that override a hook, and that the policy has on.
        self._hooked: dict[str, list[Extension]] = {hook: [] for hook in HOOKS}
        self._services: dict[str, Extension] = {}  # by domain
        self._faults = environment.runtime.faults

    def add(self, extension: Extension) -> None:
        """Adds an extension. Raises ValueError if another serves the same subdomain."""
        self._all[extension.name] = extension
        if extension.optional:
            self._environment.optional.add(extension.name)
        allowed = self._environment.allows(extension.name)
        for hook in extension.hooks if allowed else ():
            self._hooked[hook].append(extension)
        for domain in self._domains if extension.subdomain else ():
            served = prepare_domain(f"{extension.subdomain}.{domain}")
            if served in self._services:
                other = self._services[served].name
                raise ValueError(
                    f"extension {extension.name}: {served} is already served by {other}; "
                    "choose another subdomain"
                )
            if served not in self._domains:
                self._services[served] = extension

    def check_optional(self) -> None:
        """Raises ValueError if the policy switches on what is not an optional extension."""
        optional = self._environment.optional
        for name in self._environment.policy.on:
            if name not in optional:
                known = ", ".join(sorted(optional))
                raise ValueError(f"on: unknown extension {name!r}; optional extensions: {known}")

    @property
    def active(self) -> list[Extension]:
        """The extensions that are not switched off."""
        return [one for one in self._all.values() if self._environment.offers(one.name)]

    def named(self, name: str) -> Extension:
        """The extension of this name, switched off or not. Raises KeyError."""
        return self._all[name]

    def service_at(self, domain: str) -> Extension | None:
        """The extension that serves a domain; None if there is none."""
        extension = self._services.get(domain)
        if extension is None:
            return next((one for one in self._active("domains") if domain in one.domains()), None)
        return extension if self._environment.offers(extension.name) else None

    def services_of(self, domain: str) -> dict[str, Extension]:
        """The services at subdomains of a domain: the domain of each, and its extension."""
        own = {
            served: extension
            for served, extension in self._services.items()
            if served == prepare_domain(f"{extension.subdomain}.{domain}")
            and self._environment.offers(extension.name)
        }
        for extension in self._active("domains"):
            below = (one for one in extension.domains() if one.endswith(f".{domain}"))
            own |= dict.fromkeys(below, extension)
        return own

    def _active(self, hook: str) -> list[Extension]:
        """The active extensions that override a hook."""
        hooked = self._hooked[hook]
        if not self._faults.armed:
            return hooked
        return [one for one in hooked if not self._environment.lacks(one.name)]

    # Five of these run for every message, and nearly always no fault is armed. They ask that here:
    # a call of `_active` takes as long as all else that they do.

    def check_outgoing(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """Raises StanzaError if an extension refuses what a client sends."""
        hooked = self._hooked["check_outgoing"]
        for extension in self._active("check_outgoing") if self._faults.armed else hooked:
            extension.check_outgoing(resource, stanza, to)

    def accept_incoming(self, account: Account, stanza: Stanza) -> bool:
        """Whether every extension accepts a stanza for an account. Raises StanzaError."""
        hooked = self._hooked["accepts_incoming"]
        for extension in self._active("accepts_incoming") if self._faults.armed else hooked:
            if not extension.accepts_incoming(account, stanza):
                return False
        return True

    def withhold_presence(self, account: Account, contact: Jid) -> bool:
        """Whether an extension keeps the account's presence from the contact."""
        for extension in self._active("withholds_presence"):
            if extension.withholds_presence(account, contact):
                return True
        return False

    def stamp_message(self, account: Account, stanza: Stanza) -> Stanza:
        """Returns a message for an account as the extensions have changed it."""
        hooked = self._hooked["stamp_message"]
        for extension in self._active("stamp_message") if self._faults.armed else hooked:
            stanza = extension.stamp_message(account, stanza)
        return stanza

    def message_sent(self, resource: Resource, stanza: Stanza) -> None:
        """Tells the extensions about a message of a client."""
        hooked = self._hooked["message_sent"]
        for extension in self._active("message_sent") if self._faults.armed else hooked:
            extension.message_sent(resource, stanza)

    def message_delivered(
        self, account: Account, stanza: Stanza, resources: Sequence[Resource]
    ) -> None:
        """Tells the extensions which resources have got a message."""
        hooked = self._hooked["message_delivered"]
        for extension in self._active("message_delivered") if self._faults.armed else hooked:
            extension.message_delivered(account, stanza, resources)

    def message_refused(self, account: Account, stanza: Stanza) -> None:
        """Tells the extensions that a message for an account was refused."""
        for extension in self._active("message_refused"):
            extension.message_refused(account, stanza)

    def said_in_room(self, room: Room, occupant: Occupant, message: Stanza, id: str) -> None:
        """Tells the extensions about a message for all in a room. Raises StanzaError."""
        for extension in self._active("said_in_room"):
            extension.said_in_room(room, occupant, message, id)

    def presence_sent(
        self, resource: Resource, stanza: Stanza, to: Jid | None, first: bool
    ) -> None:
        """Tells the extensions about a presence of a client."""
        for extension in self._active("presence_sent"):
            extension.presence_sent(resource, stanza, to, first)

    def presence_received(self, account: Account, stanza: Stanza) -> None:
        """Tells the extensions about a presence for an account."""
        for extension in self._active("presence_received"):
            extension.presence_received(account, stanza)

    def roster_changed(self, account: Account, contact: str) -> None:
        """Tells the extensions about a change of a roster."""
        for extension in self._active("roster_changed"):
            extension.roster_changed(account, contact)

    def result_received(self, account: Account, stanza: Stanza) -> None:
        """Tells the extensions about an IQ result or error for an account."""
        for extension in self._active("result_received"):
            extension.result_received(account, stanza)

    def stamp_presence(self, resource: Resource, stanza: Stanza) -> Stanza:
        """Returns a presence of a client as the extensions have changed it."""
        for extension in self._active("stamp_presence"):
            stanza = extension.stamp_presence(resource, stanza)
        return stanza

    def element_stored(self, account: Account, stored: Element) -> None:
        """Tells the extensions about an element in private XML."""
        for extension in self._active("element_stored"):
            extension.element_stored(account, stored)

    def card_stored(self, account: Account, card: Element) -> None:
        """Tells the extensions about a vCard of an account."""
        for extension in self._active("card_stored"):
            extension.card_stored(account, card)

    def card_shown(self, account: Account, card: Element | None, asker: Jid) -> Element | None:
        """Returns a vCard as the extensions show it."""
        for extension in self._active("card_shown"):
            card = extension.card_shown(account, card, asker)
        return card

    def item_published(self, account: Account, node: str, item: Item) -> None:
        """Tells the extensions about an item at a node of an account."""
        for extension in self._active("item_published"):
            extension.item_published(account, node, item)

    def items_removed(self, account: Account, node: str, items: Sequence[Item]) -> None:
        """Tells the extensions which items a node of an account no longer has."""
        for extension in self._active("items_removed"):
            extension.items_removed(account, node, items)

    def send_away(self, stanza: Stanza, to: Jid) -> bool:
        """Whether an extension takes a stanza to another server. Raises StanzaError."""
        return any(extension.sends_away(stanza, to) for extension in self._active("sends_away"))

    def admit(self, account: Account) -> bool:
        """Whether every extension lets an account log in that has proved who it is."""
        return all(extension.admits(account) for extension in self._active("admits"))

    def keep_session(self, resource: Resource) -> bool:
        """Whether an extension keeps a session whose connection is lost."""
        kept = False
        for extension in self._active("keeps_session"):
            kept = extension.keeps_session(resource) or kept
        return kept

    def session_ends(self, resource: Resource) -> None:
        """Tells the extensions that a session has ended."""
        for extension in self._active("session_ends"):
            extension.session_ends(resource)

    def stored(self) -> dict[str, dict[str, Any]]:
        """Returns what each extension stores, by its name."""
        return {name: extension.stored for name, extension in self._all.items()}

    def restore(self, stored: dict[str, dict[str, Any]]) -> None:
        """Adds what another server's extensions have stored."""
        for name, extension in self._all.items():
            extension.stored.update(stored.get(name, {}))

    def forget(self, account: Account) -> None:
        """Has all extensions delete what they store for an account, switched off or not."""
        for extension in self._all.values():
            extension.forget(account)

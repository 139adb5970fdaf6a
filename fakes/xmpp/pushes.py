"""Roster pushes: how the resources of an account learn about changes (RFC 6121 §2.1.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fakes.xmpp.policy import Environment
from fakes.xmpp.roster import Item, query, removal
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import build_stanza


class RosterPushes:
    """Sends changed items to the interested resources, with the roster's version."""

    def __init__(self, environment: Environment, changed: Callable[[Account, str], None]) -> None:
        self._environment = environment
        self._changed = changed  # tells the extensions which contact of an account has changed

    def push(self, account: Account, item: Item) -> None:
        """Sends an item, as a new version, to all interested resources of its account."""
        account.roster.mark_changed(item)
        shown = item.to_xml()
        for resource in self._receivers(account):
            self.push_to(resource, shown, item.version)
        self._changed(account, item.jid)

    def push_removal(self, account: Account, contact: str) -> None:
        """Tells all interested resources that an item has been removed."""
        for resource in self._receivers(account):
            self.push_to(resource, removal(contact), account.roster.version)
        self._changed(account, contact)

    def _receivers(self, account: Account) -> Iterable[Resource]:
        if self._environment.policy.roster_pushes == "all":
            return list(account.resources.values())
        return account.interested()

    def push_to(self, resource: Resource, item: str, version: int) -> None:
        """Sends one item, which is XML, to one resource."""
        content = query(self.version_text(version), item)
        id = "push-" + self._environment.runtime.token(8)
        to = resource.jid.text
        resource.deliver(build_stanza("iq", type="set", to=to, id=id, children=(content,)))

    def version_text(self, number: int) -> str | None:
        """A version as clients see it; None if this server has no roster versions."""
        return str(number) if self._environment.offers("rosterver") else None

"""Accounts, and the sessions bound to them.

A session is not its connection: it writes to an outlet. The outlet is a stream, or an actor of a
test. A session whose stream is lost may get another outlet later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from fakes.people import Person
from fakes.wire import Want
from fakes.xmpp.addresses import Jid
from fakes.xmpp.roster import Roster
from fakes.xmpp.stanzas import Stanza


class Outlet(Protocol):
    """Where the stanzas of a session go."""

    def deliver(self, stanza: Stanza) -> None:
        """Sends a stanza to the client."""

    def end(self, condition: str, text: str = "") -> None:
        """Ends the session with a stream error."""

    def cut(self, want: Want) -> None:
        """Ends the connection without sending anything."""


@dataclass(eq=False, slots=True)
class Resource:
    """A session: a connected resource (RFC 6120 §7). It is available while it has a presence."""

    jid: Jid
    account: Account
    outlet: Outlet
    presence: Stanza | None = None  # the last one sent without `to`
    priority: int = 0
    interested: bool = False  # it asked for the roster, so it gets pushes (RFC 6121 §2.2)
    # The addresses to which it has sent presence directly (RFC 6121 §4.6), in order.
    directed: dict[str, None] = field(default_factory=dict)
    lang: str = ""
    extension_data: dict[str, Any] = field(default_factory=dict)  # by the extension's name
    # An extension may hold stanzas back; False: this one must not be sent now.
    gate: Callable[[Stanza], bool] | None = None

    def deliver(self, stanza: Stanza) -> None:
        """Sends a stanza to this resource."""
        if self.gate is None or self.gate(stanza):
            self.outlet.deliver(stanza)


@dataclass(eq=False)
class Account:
    """An account of this server.

    An account without a person is anonymous, and ends with its session (XEP-0175).
    """

    jid: Jid
    person: Person | None = None
    roster: Roster = field(default_factory=Roster)
    resources: dict[str, Resource] = field(default_factory=dict)  # connected, in order of arrival
    offline: list[Stanza] = field(default_factory=list)
    # When the last resource went unavailable, and the presence that said so.
    last_unavailable: tuple[float, Stanza] | None = None

    @property
    def address(self) -> str:
        """The bare address."""
        return self.jid.text

    @property
    def password(self) -> str:
        """The password; "" for an anonymous account, to which nobody can log in a second time."""
        return self.person.password if self.person is not None else ""

    def available(self) -> Iterator[Resource]:
        """The resources with presence, in order of arrival."""
        resources = list(self.resources.values())
        return (resource for resource in resources if resource.presence is not None)

    def interested(self) -> Iterator[Resource]:
        """The resources that asked for the roster, in order of arrival."""
        resources = list(self.resources.values())
        return (resource for resource in resources if resource.interested)

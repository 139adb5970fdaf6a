"""Accounts, and the sessions that are bound to them. A session is not its connection: it speaks through an outlet.

The outlet is a stream, or a person of a play; a session whose stream is lost may get another one later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from fakes.people import Person
from fakes.wire import Want
from fakes.xmpp.addresses import Jid
from fakes.xmpp.roster import Roster
from fakes.xmpp.stanzas import Stanza


class Outlet(Protocol):
    """Where a session's stanzas go out."""

    def deliver(self, stanza: Stanza) -> None:
        """The stanza is for the client."""

    def end(self, condition: str, text: str = "") -> None:
        """The session is ended by the server, for the reason that a stream error names."""

    def cut(self, want: Want) -> None:
        """The connection ends without a word."""


@dataclass(eq=False, slots=True)
class Resource:
    """A session: a connected resource (RFC 6120 §7), and an available one while it has a presence."""

    jid: Jid
    account: Account
    outlet: Outlet
    presence: Stanza | None = None  # the last one without `to`
    priority: int = 0
    interested: bool = False  # it asked for the roster: it gets pushes (RFC 6121 §2.2)
    directed: dict[str, None] = field(default_factory=dict)  # who had presence directly (RFC 6121 §4.6)
    lang: str = ""
    marks: dict[str, Any] = field(default_factory=dict)  # what extensions note about it

    def deliver(self, stanza: Stanza) -> None:
        """The stanza is for this resource."""
        self.outlet.deliver(stanza)


@dataclass(eq=False)
class Account:
    """An account here. Without a person it is anonymous, and gone with its session (XEP-0175)."""

    jid: Jid
    person: Person | None = None
    roster: Roster = field(default_factory=Roster)
    resources: dict[str, Resource] = field(default_factory=dict)  # connected ones, in order of arrival
    offline: list[Stanza] = field(default_factory=list)
    left: tuple[float, Stanza] | None = None  # when the last resource went unavailable, and how it said so

    @property
    def address(self) -> str:
        """The bare address."""
        return self.jid.text

    @property
    def password(self) -> str:
        """What a login must know; nobody logs in to an anonymous account again."""
        return self.person.password if self.person is not None else ""

    def available(self) -> Iterator[Resource]:
        """Resources with presence, in order of arrival."""
        return (one for one in list(self.resources.values()) if one.presence is not None)

    def interested(self) -> Iterator[Resource]:
        """Resources that asked for the roster."""
        return (one for one in list(self.resources.values()) if one.interested)

"""Where a message for an account here goes: RFC 6121 §8.5, Table 1 and the prose around it, as a table.

O kept for later · E an error, service-unavailable · S silence · D to the one resource that fits · M to the most
available, all that tie · A to all that want messages. Resources with a negative priority get nothing by the bare address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.xmpp.addresses import Jid
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError

if TYPE_CHECKING:
    from fakes.xmpp.service import Service

TYPES = ("normal", "chat", "groupchat", "headline", "error")

# account, its resources, the address | for each of the types in their order; what is left of a / is what we do.
_TABLE = """
absent  -        bare    | E/S E/S E   S   S
absent  -        full    | E/S E/S E/S S/E S
present zero     bare    | O/E O/E E   S   S
present zero     nomatch | E/S O/E E/S S/E S
present negative bare    | O/E O/E E   S   S
present negative match   | D   D   D   D   D
present negative nomatch | E/S O/E E/S S/E S
present one      bare    | D   D   E   D   S
present one      match   | D   D   D   D   D
present one      nomatch | E/S D   E/S S/E S
present many     bare    | M/A M/A E   A   S
present many     match   | D   D/A D   D   D
present many     nomatch | E/S M/A E/S S/E S
"""
TABLE: dict[tuple[str, str, str, str], str] = {
    (*line.split("|")[0].split(), kind): cell  # type: ignore[misc]
    for line in _TABLE.strip().splitlines()
    for kind, cell in zip(TYPES, line.split("|")[1].split(), strict=True)
}


class Delivery:
    """Messages, for the accounts of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def arrived(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """A message for an address here. Raises StanzaError."""
        kind = stanza.type if stanza.type in TYPES else "normal"  # RFC 6121 §5.2.2
        wanting: list[Resource] = []
        if account is None:
            case = ("absent", "-", "full" if to.resource else "bare", kind)
        else:
            target = account.resources.get(to.resource) if to.resource else None
            if target is not None:
                target.deliver(stanza)  # the rows `match` are D throughout
                return
            available = list(account.available())
            wanting = [one for one in available if one.priority >= 0]
            resources = ("many" if len(wanting) > 1 else "one") if wanting else "negative" if available else "zero"
            case = ("present", resources, "nomatch" if to.resource else "bare", kind)
        self._act(self._choice(case), account, wanting, stanza)

    def _choice(self, case: tuple[str, str, str, str]) -> str:
        """The letter of a cell that this server follows: the first, unless a switch says otherwise."""
        cell, policy = TABLE[case], self._service.policy
        other = {
            "O/E": not self._service.offers("offline"),
            # a chat for all wants resources that asked for every one; there is no way to ask
            "M/A": policy.several_resources == "all" and case[-1] != "chat",
            "E/S": (policy.unknown_recipient if case[0] == "absent" else policy.missing_resource) == "silent",
            "S/E": policy.missing_resource_headline == "error" and case[0] == "present",
        }
        if case[0] == "absent" and policy.unknown_recipient == "silent":
            return "S"
        return cell[2] if other.get(cell) else cell[0]

    def _act(self, action: str, account: Account | None, wanting: list[Resource], stanza: Stanza) -> None:
        if action == "E":
            raise StanzaError("service-unavailable")
        if action == "O" and account is not None:
            self._service.offline.keep(account, stanza)
        elif action in ("D", "A"):
            for resource in wanting:
                resource.deliver(stanza)
        elif action == "M":
            most = max(resource.priority for resource in wanting)
            for resource in wanting:
                if resource.priority == most:
                    resource.deliver(stanza)

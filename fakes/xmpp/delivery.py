"""Where a message for an account of this server goes: RFC 6121 §8.5 as a table.

The table is Table 1 of the RFC with the prose around it. The actions are:

- O: store it for later
- E: answer with the error service-unavailable
- S: ignore it silently
- D: deliver it to the one resource that fits
- M: deliver it to the most available resource, or to all that tie
- A: deliver it to all resources that want messages

Resources with a negative priority get nothing that is sent to the bare address.
"""

from __future__ import annotations

from fakes.xmpp.addresses import Jid
from fakes.xmpp.extension_set import Extensions
from fakes.xmpp.offline import Offline, without_delay
from fakes.xmpp.policy import Environment
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError

TYPES = ("normal", "chat", "groupchat", "headline", "error")

# account, its resources, the address | the action for each type. Where the RFC leaves a choice,
# the one before the / is ours, unless a switch takes the other.
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
    (*line.split("|")[0].split(), type): cell  # type: ignore[misc]
    for line in _TABLE.strip().splitlines()
    for type, cell in zip(TYPES, line.split("|")[1].split(), strict=True)
}


class Delivery:
    """Delivers messages to the accounts of one service."""

    def __init__(self, environment: Environment, offline: Offline, extensions: Extensions) -> None:
        self._environment = environment
        self._offline = offline
        self._extensions = extensions

    def receive(self, account: Account | None, to: Jid, stanza: Stanza) -> None:
        """Handles a message for an address of this server. Raises StanzaError."""
        if account is None:
            case = ("absent", "-", "full" if to.resource else "bare", _type(stanza))
            self._act(self._choose(case), account, [], stanza)
            return
        stanza = without_delay(stanza, account.jid.domain)
        stanza = self._extensions.stamp_message(account, stanza)
        try:
            self.place(account, to, stanza)
        except StanzaError:
            self._extensions.message_refused(account, stanza)
            raise

    def place(self, account: Account, to: Jid, stanza: Stanza) -> None:
        """Delivers or stores a message that bears the marks of the account. Raises StanzaError."""
        target = account.resources.get(to.resource) if to.resource else None
        if target is not None:
            target.deliver(stanza)  # all cells in the rows `match` are D
            self._extensions.message_delivered(account, stanza, (target,))
            return
        type = _type(stanza)
        available = list(account.available())
        wanting = [resource for resource in available if resource.priority >= 0]
        if wanting:
            resources = "many" if len(wanting) > 1 else "one"
        else:
            resources = "negative" if available else "zero"
        case = ("present", resources, "nomatch" if to.resource else "bare", type)
        self._act(self._choose(case), account, wanting, stanza)

    def _choose(self, case: tuple[str, str, str, str]) -> str:
        """The action of a cell: the first one, unless a switch takes the other."""
        cell, policy = TABLE[case], self._environment.policy
        absent = case[0] == "absent"
        if case[2:] == ("nomatch", "normal") and policy.missing_resource == "other":
            case = (*case[:2], "bare", "normal")
            cell = TABLE[case]
        if absent and policy.unknown_recipient == "silent":
            return "S"
        if absent and case[-1] == "headline":
            return "E" if policy.unknown_recipient_headline == "error" else "S"
        on_error = policy.unknown_recipient if absent else policy.missing_resource
        takes_other = {
            "O/E": not self._environment.offers("offline"),
            # A chat message goes to all only if they asked for it, and there is no way to ask.
            "M/A": policy.several_resources == "all" and case[-1] != "chat",
            "E/S": on_error == "silent",
            "S/E": policy.missing_resource_headline == "error" and not absent,
        }
        return cell[2] if takes_other.get(cell) else cell[0]

    def _act(
        self, action: str, account: Account | None, wanting: list[Resource], stanza: Stanza
    ) -> None:
        if action == "E":
            raise StanzaError("service-unavailable")
        if action == "O" and account is not None:
            self._offline.store(account, stanza)
        elif account is not None and action in ("D", "A", "M"):
            if action == "M":
                highest = max(resource.priority for resource in wanting)
                wanting = [resource for resource in wanting if resource.priority == highest]
            self._deliver(account, wanting, stanza)

    def _deliver(self, account: Account, resources: list[Resource], stanza: Stanza) -> None:
        for resource in resources:
            resource.deliver(stanza)
        self._extensions.message_delivered(account, stanza, resources)


def _type(stanza: Stanza) -> str:
    """RFC 6121 §5.2.2: a message without a type, or of an unknown one, is a normal message."""
    return stanza.type if stanza.type in TYPES else "normal"

"""What a client may ask of its roster, and set in it (RFC 6121 §2)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import jid
from fakes.xmpp.markup import ROSTER
from fakes.xmpp.policy import Environment
from fakes.xmpp.pushes import RosterPushes
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.roster import ITEMS, Roster, query, removal
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import StanzaError, Written
from fakes.xmpp.subscribing import Subscriptions

NAME = 1023  # characters of a name or a group (RFC 6121 §2.3.3 leaves the limit to the server)


class RosterRequests:
    """Answers gets and sets of `jabber:iq:roster`."""

    def __init__(
        self, environment: Environment, pushes: RosterPushes, subscriptions: Subscriptions
    ) -> None:
        self._environment = environment
        self._pushes = pushes
        self._subscriptions = subscriptions

    def answers(self) -> Answers:
        """What is answered here, by scope and payload."""
        return {("account", f"{{{ROSTER}}}query"): self._answer}

    def _answer(self, request: Request) -> Iterable[Written]:
        if request.resource is None or request.account is not request.resource.account:
            raise StanzaError("forbidden")  # RFC 6121 §2.3.3
        if request.stanza.type == "set":
            self._set(request.account, request.payload)
            return ()
        return self._get(request, request.account, request.resource)

    def _get(self, request: Request, account: Account, resource: Resource) -> Iterable[Written]:
        if len(request.payload):
            # RFC 6121 §2.1.3
            text = "a roster is asked for without items (RFC 6121 section 2.1.3)"
            raise StanzaError("bad-request", text)
        resource.interested = True
        roster = account.roster
        since = None
        if self._environment.offers("rosterver"):
            since = self._known_version(roster, request.payload.get("ver"))
        if since is None:
            version = self._pushes.version_text(roster.version)
            return (query(version, "".join([item.to_xml() for item in roster.visible()])),)
        # RFC 6121 §2.6.3: an empty result, then one push for each change, in order
        newer = [(item.version, item.to_xml()) for item in roster.visible() if item.version > since]
        newer += [
            (number, removal(contact))
            for contact, number in roster.removed.items()
            if number > since
        ]
        for number, shown in sorted(newer):
            request.after.append(partial(self._pushes.push_to, resource, shown, number))
        return ()

    def _known_version(self, roster: Roster, version: str | None) -> int | None:
        """The version that a client has; None if pushes cannot bring it up to date."""
        digits = version or ""
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 12):
            return None
        # Once the list of removals is full, older ones have been forgotten.
        oldest = min(roster.removed.values()) if len(roster.removed) == ITEMS else 0
        return int(digits) if oldest <= int(digits) <= roster.version else None

    def _set(self, account: Account, query: Element) -> None:
        items = query.findall(f"{{{ROSTER}}}item")
        if len(items) != 1 or len(query) != 1:
            # RFC 6121 §2.1.5
            raise StanzaError("bad-request", "one item at a time (RFC 6121 section 2.1.5)")
        sent = items[0]
        try:
            contact = jid(sent.get("jid", "")).bare  # RFC 6121 §2.1.2.3; a resource is dropped
        except ValueError as error:
            condition = "jid-malformed" if sent.get("jid") else "bad-request"
            raise StanzaError(condition, str(error)) from None
        roster = account.roster
        if sent.get("subscription") == "remove":
            if contact not in roster.items or not roster.items[contact].visible:
                raise StanzaError("item-not-found")  # RFC 6121 §2.5.3
            self._subscriptions.remove(account, contact)
            return
        if contact == account.address:
            raise StanzaError("not-allowed", "nobody is a contact of himself")
        name = sent.get("name", "")
        groups = [group.text or "" for group in sent.findall(f"{{{ROSTER}}}group")]
        if len(set(groups)) < len(groups):
            raise StanzaError("bad-request", "a group is named twice")
        if "" in groups or len(name) > NAME or any(len(group) > NAME for group in groups):
            raise StanzaError("not-acceptable", "a name or group is empty or too long")
        if contact not in roster.items and len(roster.items) >= ITEMS:
            raise StanzaError("resource-constraint", f"a roster holds {ITEMS} items")
        item = roster.item(contact)
        # RFC 6121 §2.4.1: exactly as sent, while the subscription stays as it is
        item.name, item.groups = name, tuple(groups)
        self._pushes.push(account, item)

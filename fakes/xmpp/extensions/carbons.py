"""XEP-0280 (1.0.1): each message of a conversation is copied to the user's other clients.

Copies come from the user's own bare address. Clients must ignore them from anybody else, because
this server passes them on like any other content (§7).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from fakes.xmpp.archiving.finding import archive_of
from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import CLIENT, namespace
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, Written, build_stanza

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

CARBONS = "urn:xmpp:carbons:2"
FORWARD = "urn:xmpp:forward:0"
ROOM_USER = "{http://jabber.org/protocol/muc#user}x"
INVITATION = "{jabber:x:conference}x"
BODY = f"{{{CLIENT}}}body"
EXCLUDED = frozenset(
    {f"{{{CARBONS}}}{name}" for name in ("private", "sent", "received")}
    | {"{urn:xmpp:hints}no-copy"}
)
# Payloads that are part of conversations (§6.1): receipts, chat states, markers.
PAYLOADS = frozenset(
    "urn:xmpp:receipts http://jabber.org/protocol/chatstates urn:xmpp:chat-markers:0".split()
)


class Carbons(Extension):
    """Sessions switch copies on and off for themselves."""

    name = "carbons"
    section = "XEP-0280"

    def answers(self) -> Answers:
        return {
            ("account", f"{{{CARBONS}}}enable"): self._enable,
            ("account", f"{{{CARBONS}}}disable"): self._disable,
        }

    def domain_features(self) -> Iterable[str]:
        return (CARBONS,)

    def _enable(self, request: Request) -> Iterable[Element]:
        _own_session(request).extension_data[self.name] = True
        return ()

    def _disable(self, request: Request) -> Iterable[Element]:
        _own_session(request).extension_data.pop(self.name, None)
        return ()

    def bind_features(self) -> Iterable[str]:
        return (CARBONS,)

    def bound(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        if stream.resource is not None and request.find(f"{{{CARBONS}}}enable") is not None:
            stream.resource.extension_data[self.name] = True
        return ()

    # ── the copies ───────────────────────────────────────────────────────────

    def message_sent(self, resource: Resource, stanza: Stanza) -> None:
        account = resource.account
        if len(account.resources) <= 1:
            return
        # A message to oneself is delivered to all clients, or copied to them below.
        to_self = stanza.to is None or stanza.to.partition("/")[0] == account.address
        if not to_self and is_eligible(stanza):
            self._copy(account, "sent", stanza, (resource,))

    def message_delivered(
        self, account: Account, stanza: Stanza, resources: Sequence[Resource]
    ) -> None:
        if len(account.resources) <= len(resources):
            return
        # §6.1: rooms send private messages to each client that is in them
        private = ROOM_USER in stanza.child_names and not is_invitation(stanza)
        if is_eligible(stanza) and not private:
            self._copy(account, "received", stanza, resources)

    def _copy(
        self, account: Account, name: str, stanza: Stanza, without: Sequence[Resource]
    ) -> None:
        wanting = [
            resource
            for resource in account.resources.values()
            if self.name in resource.extension_data and resource not in without
        ]
        if not wanting:
            return
        if name == "sent":
            stanza = self._with_id(account, stanza)
        copy = stanza.to_bytes().decode().replace("<message", f"<message xmlns='{CLIENT}'", 1)
        forwarded = f"<forwarded xmlns='{FORWARD}'>{copy}</forwarded>"
        child = Written(f"{{{CARBONS}}}{name}", f"<{name} xmlns='{CARBONS}'>{forwarded}</{name}>")
        for resource in wanting:
            wrapped = build_stanza(
                "message",
                type=stanza.type,
                sender=account.address,
                to=resource.jid.text,
                children=(child,),
            )
            resource.deliver(wrapped)

    def _with_id(self, account: Account, stanza: Stanza) -> Stanza:
        """XEP-0313 §3.5: the account's clients learn under which id it is archived."""
        archive = archive_of(self.service)
        return archive.with_id_of_sent(account, stanza) if archive is not None else stanza


def is_eligible(stanza: Stanza) -> bool:
    """Whether a message is part of a conversation (XEP-0280 §6.1)."""
    names = stanza.child_names
    if stanza.type in ("groupchat", "headline") or not EXCLUDED.isdisjoint(names):
        return False
    if stanza.type == "chat" or BODY in names or is_invitation(stanza):
        return True
    return any(namespace(name) in PAYLOADS for name in names)


def is_invitation(stanza: Stanza) -> bool:
    """Whether a message invites to a room, directly (XEP-0249) or through it (XEP-0045 §7.8)."""
    if INVITATION in stanza.child_names:
        return True
    user = stanza.child("x", namespace(ROOM_USER))
    return user is not None and any(child.tag.endswith("}invite") for child in user)


def _own_session(request: Request) -> Resource:
    if not request.own or request.resource is None:
        raise StanzaError("not-allowed")
    if request.stanza.type != "set":
        raise StanzaError("bad-request")
    return request.resource

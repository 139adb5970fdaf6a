"""XEP-0060 (1.30.0): publish–subscribe at `pubsub.DOMAIN`, where everybody may create nodes.

What can be asked is in `fakes/xmpp/pubsub/`: nodes.py and configuration.py are its values,
access.py says who may do what, and hosting.py what both this service and accounts (pep.py) share.
There are only leaf nodes: collections are XEP-0248.
"""

from __future__ import annotations

from collections.abc import Iterable

from fakes.xmpp.addresses import Jid, parse_or_none
from fakes.xmpp.extension import Information
from fakes.xmpp.pubsub.configuration import Config
from fakes.xmpp.pubsub.describing import Describing
from fakes.xmpp.pubsub.names import OWNER, PUBSUB, refusal
from fakes.xmpp.pubsub.owning import Owning
from fakes.xmpp.pubsub.publishing import Publishing
from fakes.xmpp.pubsub.retrieving import Retrieving
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import Stanza


class Pubsub(Publishing, Retrieving, Owning, Describing):
    """The nodes of a service at a subdomain."""

    name = "pubsub"
    section = "XEP-0060"
    subdomain = "pubsub"
    # The service sees nobody's presence, so that it sends last items to new subscribers only.
    defaults = Config(send_last_published_item="on_sub")

    def answers(self) -> Answers:
        return {
            ("service", f"{{{PUBSUB}}}pubsub"): self.handle_request,
            ("service", f"{{{OWNER}}}pubsub"): self.handle_request,
        }

    def address(self, request: Request) -> str:
        if request.to.local or request.to.resource:
            raise refusal("item-not-found", text="the nodes are at the address of the service")
        return request.to.domain

    def check_creator(self, address: str, who: Jid) -> None:
        policy = self.service.policy
        if policy.node_creators == "admins" and who.bare not in policy.admins:
            raise refusal("forbidden", text="only administrators create nodes here")

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        """Takes what owners decide about subscriptions; everything else is not for a service."""
        sender = parse_or_none(stanza.sender or "")
        if sender is None or stanza.kind != "message" or stanza.type == "error":
            return False
        return self.decide(self.store(to.domain), stanza, sender)

    # ── what discovery shows (§5) ────────────────────────────────────────────

    def information(self, to: Jid) -> Information | None:
        if to.local:
            return None
        return Information("pubsub", "service", "Publish-Subscribe", self.features("access-open"))

    def service_information(self, node: str, asker: Jid, to: Jid) -> Information | None:
        found = self.describe(self.store(to.domain), node)
        return found or super().service_information(node, asker, to)

    def service_items(
        self, node: str | None, asker: Jid, to: Jid
    ) -> Iterable[dict[str, str | None]] | None:
        store = self.store(to.domain)
        if node is None:
            return self.list_nodes(store, asker)
        return self.list_items(store, node, asker)

    # ── accounts that are gone ───────────────────────────────────────────────

    def forget(self, account: Account) -> None:
        """An account that is opened again later is another user. A node has an owner, or goes."""
        for store in list(self.stored.values()):
            for node in list(store.nodes.values()):
                for one in node.subscriptions_of(account.address):
                    del node.subscriptions[one.address]
                node.affiliations.pop(account.address, None)
                if not node.owners():
                    store.drop(node)

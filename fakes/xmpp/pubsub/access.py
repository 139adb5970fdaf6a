"""Who may do what with a node: affiliations (XEP-0060 §4.1) and access models (§4.5)."""

from __future__ import annotations

from fakes.xmpp.accounts import Accounts
from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.pubsub.names import refusal
from fakes.xmpp.pubsub.nodes import Node
from fakes.xmpp.stanzas import StanzaError
from fakes.xmpp.subscriptions import FROM

AFFILIATIONS = ("owner", "publisher", "publish-only", "member", "none", "outcast")


class Access:
    """Decides by the affiliations of a node, and by the rosters of its owners."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def check_owner(self, node: Node, who: Jid) -> None:
        """Raises StanzaError if the entity is not an owner."""
        if node.affiliation(who) != "owner":
            raise refusal("forbidden", text="only owners may do this")

    def check_publisher(self, node: Node, who: Jid) -> None:
        """Raises StanzaError if the entity may not publish (§4.1, §7.1.3.1)."""
        affiliation, model = node.affiliation(who), node.config.publish_model
        if affiliation in ("owner", "publisher", "publish-only"):
            return
        subscription = node.subscription(who)
        subscribed = subscription is not None and subscription.state == "subscribed"
        if affiliation != "outcast" and (
            model == "open" or (model == "subscribers" and subscribed)
        ):
            return
        raise refusal("forbidden", text="only publishers may do this")

    def check_reader(self, node: Node, who: Jid, *, subscribes: bool = False) -> None:
        """Raises StanzaError if the entity may not retrieve items (§6.5.9), or subscribe (§6.1.3).

        With the access model `authorize` everybody may ask for a subscription.
        """
        affiliation, model = node.affiliation(who), node.config.access_model
        if affiliation in ("outcast", "publish-only"):
            raise refusal("forbidden")
        if affiliation in ("owner", "publisher", "member") or model == "open":
            return
        if model == "whitelist":
            raise refusal("not-allowed", "closed-node")
        if model == "presence" and not self._sees(node, who):
            raise refusal("not-authorized", "presence-subscription-required")
        if model == "roster" and not self._is_in_group(node, who):
            raise refusal("not-authorized", "not-in-roster-group")
        if model == "authorize" and not subscribes:
            subscription = node.subscription(who)
            if subscription is None or subscription.state != "subscribed":
                raise refusal("not-authorized", "not-subscribed")

    def may_read(self, node: Node, who: Jid) -> bool:
        """Whether the entity may retrieve items, and so be notified of them."""
        try:
            self.check_reader(node, who)
        except StanzaError:
            return False
        return True

    def may_be_subscribed(self, node: Node, who: Jid) -> bool:
        """Whether the entity may subscribe, or ask for it, if the node has subscriptions."""
        try:
            self.check_reader(node, who, subscribes=True)
        except StanzaError:
            return False
        return True

    def _sees(self, node: Node, who: Jid) -> bool:
        """Whether an owner shows its presence to the entity."""
        owners = map(self._accounts.find, map(jid, node.owners()))
        return any(owner is not None and owner.roster.state(who.bare) in FROM for owner in owners)

    def _is_in_group(self, node: Node, who: Jid) -> bool:
        """Whether the entity is in an allowed group of an owner, who shows it their presence."""
        allowed = set(node.config.roster_groups_allowed)
        for address in node.owners():
            owner = self._accounts.find(jid(address))
            item = owner.roster.items.get(who.bare) if owner is not None else None
            if item is not None and item.state in FROM and allowed.intersection(item.groups):
                return True
        return False

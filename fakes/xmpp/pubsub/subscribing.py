"""To subscribe to nodes and to unsubscribe, with options (XEP-0060 §6.1 to §6.4, §5.6, §5.7).

A node with the access model `authorize` asks its owners about each subscription, by a form in a
message; the answer of one owner counts (§8.6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.forms import Field, Form, boolean, build
from fakes.xmpp.markup import element
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.configuration import Options
from fakes.xmpp.pubsub.hosting import Handler, Hosting, asker, written
from fakes.xmpp.pubsub.names import AUTHORIZATION, PUBSUB, refusal, unsupported
from fakes.xmpp.pubsub.nodes import Node, Store, Subscription
from fakes.xmpp.requests import Request
from fakes.xmpp.stanzas import Stanza, build_stanza


class Subscribing(Hosting):
    """Handles `<subscribe/>`, `<unsubscribe/>`, `<options/>`, and the lists of one's own."""

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {
            **super().handlers(),
            ("set", "subscribe"): self._subscribe,
            ("set", "unsubscribe"): self._unsubscribe,
            ("get", "options"): self._options,
            ("set", "options"): self._set_options,
            ("get", "default"): self._default_options,
            ("get", "subscriptions"): self._own_subscriptions,
            ("get", "affiliations"): self._own_affiliations,
        }

    # ── subscribing and unsubscribing ────────────────────────────────────────

    def _subscribe(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node = self.find(request, inner)
        who = asker(request)
        address = _address(inner)
        if address.bare != who.bare:
            raise refusal("bad-request", "invalid-jid", "others cannot be subscribed")
        given = request.payload.find(f"{{{PUBSUB}}}options")
        if given is not None and given.attrib:
            raise refusal("bad-request", text="these options have no node and no jid")
        if not node.config.subscribe:
            raise unsupported("subscribe")
        self.access.check_reader(node, who, subscribes=True)
        known = node.subscriptions.get(address.text)
        if known is not None and known.state == "pending":
            raise refusal("not-authorized", "pending-subscription")
        options = Options().changed(given) if given is not None else None
        if known is None:
            if store.is_crowded:
                text = "there are too many subscriptions at this address"
                raise refusal("policy-violation", "too-many-subscriptions", text, type="wait")
            known = node.subscriptions[address.text] = Subscription(address.text)
            if node.config.access_model == "authorize" and node.affiliation(who) == "none":
                known.state = "pending"
                request.after.append(lambda: self._ask_owners(store, node, address.text))
            else:
                request.after.append(lambda: self._begun(store, node, address.text))
        if options is not None:
            known.options = options
        form = [] if options is None else [known.options.form("result")]
        extra = [element(f"{{{PUBSUB}}}options", {}, *form)] if form else []
        return written(_subscription(node, known, f"{{{PUBSUB}}}subscribe-options"), *extra)

    def _begun(self, store: Store, node: Node, address: str) -> None:
        """A subscription holds: it gets the last item (§6.1.7), and owners are told."""
        self._tell_owners(store, node, address, "subscribed")
        self.expire(store, node)
        if node.config.send_last_published_item != "never" and node.last is not None:
            event = events.published(node, [node.last])
            self.send(events.message(node, store.address, event, node.last.at), address)

    def _unsubscribe(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node, known = self._named(request, inner, "cancel")
        del node.subscriptions[known.address]
        known.state = "none"
        request.after.append(lambda: self._tell_owners(store, node, known.address, "none"))
        return written(_subscription(node, known))

    def _tell_owners(self, store: Store, node: Node, address: str, state: str) -> None:
        if node.config.notify_sub:
            for owner in node.owners():
                self.tell(store, node, owner, events.subscribed(node, address, state))

    def cancel(self, store: Store, node: Node, address: str) -> None:
        """Ends a subscription, and says so to the subscriber (§12.14)."""
        if node.subscriptions.pop(address, None) is not None:
            self.tell(store, node, address, events.subscribed(node, address, "none"))

    def approve(self, store: Store, node: Node, address: str) -> None:
        """Makes a subscription hold, and says so to the subscriber (§12.14)."""
        known = node.subscriptions.setdefault(address, Subscription(address, "none"))
        if known.state != "subscribed":
            known.state = "subscribed"
            self.tell(store, node, address, events.subscribed(node, address, "subscribed"))
            self._begun(store, node, address)

    def check_subscriptions(
        self, store: Store, node: Node, users: Collection[str] | None = None
    ) -> None:
        """Ends the subscriptions of those who may no longer have them: of these users, or all."""
        for one in list(node.subscriptions.values()):
            address = jid(one.address)
            concerned = users is None or address.bare in users
            if concerned and not self.access.may_be_subscribed(node, address):
                self.cancel(store, node, one.address)

    # ── options ──────────────────────────────────────────────────────────────

    def _named(
        self, request: Request, inner: Element, type: str = "modify"
    ) -> tuple[Store, Node, Subscription]:
        """The subscription that a request is about. Raises StanzaError.

        `type` is that of the error if there is none, which differs between §6.2.3 and §6.3.4.
        """
        store, node = self.find(request, inner)
        address = _address(inner)
        if address.bare != asker(request).bare:
            raise refusal("forbidden", text="this is the subscription of another user")
        self.end_leases(node)
        known = node.subscriptions.get(address.text)
        if known is None:
            raise refusal("unexpected-request", "not-subscribed", type=type)
        return store, node, known

    def _options(self, request: Request, inner: Element) -> Iterable[Element]:
        _, node, known = self._named(request, inner)
        about = {"node": node.name, "jid": known.address}
        return written(element(f"{{{PUBSUB}}}options", {**about}, known.options.form()))

    def _set_options(self, request: Request, inner: Element) -> Iterable[Element]:
        _, _, known = self._named(request, inner)
        known.options = known.options.changed(inner)
        return ()

    def _default_options(self, request: Request, inner: Element) -> Iterable[Element]:
        node = inner.get("node")
        if node:
            self.find(request, inner)
        form = Options().form()
        return written(element(f"{{{PUBSUB}}}default", {"node": node or None}, form))

    # ── one's own lists ──────────────────────────────────────────────────────

    def _nodes(self, request: Request, inner: Element) -> list[Node]:
        if inner.get("node"):
            return [self.find(request, inner)[1]]
        return list(self.store(self.address(request)).nodes.values())

    def _own_subscriptions(self, request: Request, inner: Element) -> Iterable[Element]:
        who, found = asker(request), []
        for node in self._nodes(request, inner):
            if node.subscriptions:
                self.end_leases(node)
                found += [_subscription(node, one) for one in node.subscriptions_of(who.bare)]
        about = {"node": inner.get("node")}
        return written(element(f"{{{PUBSUB}}}subscriptions", about, *found))

    def _own_affiliations(self, request: Request, inner: Element) -> Iterable[Element]:
        who = asker(request)
        found = [
            element(f"{{{PUBSUB}}}affiliation", {"node": node.name, "affiliation": affiliation})
            for node in self._nodes(request, inner)
            if (affiliation := node.affiliation(who)) != "none"
        ]
        about = {"node": inner.get("node")}
        return written(element(f"{{{PUBSUB}}}affiliations", about, *found))

    # ── what owners decide (§8.6) ────────────────────────────────────────────

    def _ask_owners(self, store: Store, node: Node, address: str) -> None:
        form = build(
            AUTHORIZATION,
            [
                Field("pubsub#node", "text-single", "Node", (node.name,)),
                Field("pubsub#subscriber_jid", "jid-single", "Subscriber", (address,)),
                boolean("pubsub#allow", "Allow this subscription?", False),
            ],
            title="Request for a subscription",
        )
        for owner in node.owners():
            self.send(build_stanza("message", sender=store.address, children=[form]), owner)

    def decide(self, store: Store, stanza: Stanza, who: Jid) -> bool:
        """Takes the answer of an owner; returns False if a message is none. Raises StanzaError."""
        form = Form.read(stanza.element)
        if form is None or form.text("FORM_TYPE") != AUTHORIZATION or form.type == "form":
            return False
        if form.type == "cancel":
            return True
        node = store.nodes.get(form.text("pubsub#node"))
        if node is None:
            raise refusal("item-not-found", text="there is no such node")
        self.access.check_owner(node, who)
        known = node.subscriptions.get(form.text("pubsub#subscriber_jid"))
        if known is None or known.state != "pending":
            return True  # another owner has decided before
        if form.flag("pubsub#allow"):
            self.approve(store, node, known.address)
        else:
            self.cancel(store, node, known.address)
        return True


def _address(inner: Element) -> Jid:
    """The address that a request names. Raises StanzaError."""
    text = inner.get("jid")
    if not text:
        raise refusal("bad-request", "jid-required")
    try:
        return jid(text)
    except ValueError:
        raise refusal("bad-request", "invalid-jid") from None


def _subscription(node: Node, known: Subscription, *inside: str) -> Element:
    about = {"node": node.name, "jid": known.address, "subscription": known.state}
    return element(f"{{{PUBSUB}}}subscription", {**about}, *inside)

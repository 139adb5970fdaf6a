"""To create nodes and to manage them (XEP-0060 §8)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.forms import Form
from fakes.xmpp.markup import element
from fakes.xmpp.pubsub import events
from fakes.xmpp.pubsub.access import AFFILIATIONS
from fakes.xmpp.pubsub.configuration import Config
from fakes.xmpp.pubsub.hosting import Handler, asker, written
from fakes.xmpp.pubsub.names import NODE_CONFIG, OWNER, PUBSUB, refusal, unsupported
from fakes.xmpp.pubsub.nodes import Node, Store
from fakes.xmpp.pubsub.subscribing import Subscribing
from fakes.xmpp.requests import Request
from fakes.xmpp.stanzas import StanzaError

MOST = 1000  # changes of one request


class Owning(Subscribing):
    """Handles `<create/>`, and everything in the namespace `#owner`."""

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {**super().handlers(), ("set", "create"): self._create}

    def owner_handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {
            ("get", "configure"): self._configuration,
            ("set", "configure"): self._configure,
            ("get", "default"): self._default,
            ("set", "delete"): self._delete,
            ("set", "purge"): self._purge,
            ("get", "subscriptions"): self._subscriptions,
            ("set", "subscriptions"): self._set_subscriptions,
            ("get", "affiliations"): self._affiliations,
            ("set", "affiliations"): self._set_affiliations,
        }

    def _owned(self, request: Request, inner: Element) -> tuple[Store, Node]:
        """The node of a request of its owner. Raises StanzaError."""
        store, node = self.find(request, inner)
        self.access.check_owner(node, asker(request))
        return store, node

    # ── creating and configuring ─────────────────────────────────────────────

    def _create(self, request: Request, inner: Element) -> Iterable[Element]:
        address, who = self.address(request), asker(request)
        self.check_creator(address, who)
        name = inner.get("node") or self.service.runtime.token(20)  # §8.1.1: an instant node
        if name in self.store(address).nodes:
            raise refusal("conflict", text="there is a node with this name")
        given = request.payload.find(f"{{{PUBSUB}}}configure")
        if given is not None and given.attrib:
            raise refusal("bad-request", text="this configuration names no node")
        config = self.defaults if given is None else _changed(self.defaults, given)
        self.create(address, name, who.bare, config)
        return written(element(f"{{{PUBSUB}}}create", {"node": name}))

    def _configuration(self, request: Request, inner: Element) -> Iterable[Element]:
        _, node = self._owned(request, inner)
        form = node.config.form(self._groups(asker(request)))
        return written(element(f"{{{OWNER}}}configure", {"node": node.name}, form), space=OWNER)

    def _groups(self, owner: Jid) -> list[str]:
        account = self.service.accounts.find(owner)
        items = account.roster.items.values() if account is not None else ()
        return sorted({group for item in items for group in item.groups})

    def _configure(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node = self._owned(request, inner)
        before = node.config
        node.config = _changed(before, inner)
        if node.config == before:
            return ()
        removed = store.shrink(node)
        if removed:
            self.told(store, node, [], removed)
        if node.config.notify_config:
            request.after.append(lambda: self.notify(store, node, events.configured(node)))
        request.after.append(lambda: self.check_subscriptions(store, node))
        return ()

    def _default(self, request: Request, inner: Element) -> Iterable[Element]:
        if inner.get("type", "leaf") != "leaf":
            raise unsupported("collections")
        form = self.defaults.form()
        return written(element(f"{{{OWNER}}}default", {}, form), space=OWNER)

    # ── deleting and purging ─────────────────────────────────────────────────

    def _delete(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node = self._owned(request, inner)
        redirect = inner.find(f"{{{OWNER}}}redirect")
        uri = redirect.get("uri", "") if redirect is not None else ""
        if node.config.notify_delete:
            # Now, because afterwards there are no subscribers.
            self.notify(store, node, events.deleted(node, uri))
        removed = list(node.items.values())
        store.drop(node)
        if not store.nodes:
            self.stored.pop(store.address, None)
        if removed:
            self.told(store, node, [], removed)
        return ()

    def _purge(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node = self._owned(request, inner)
        if not node.config.persist_items:
            raise unsupported("persistent-items")
        self.take(store, node, list(node.items))
        if node.config.notify_retract:
            request.after.append(lambda: self.notify(store, node, events.purged(node)))
        return ()

    # ── subscriptions and affiliations of others ─────────────────────────────

    def _subscriptions(self, request: Request, inner: Element) -> Iterable[Element]:
        _, node = self._owned(request, inner)
        self.end_leases(node)
        found = (
            element(f"{{{OWNER}}}subscription", {"jid": one.address, "subscription": one.state})
            for one in node.subscriptions.values()
            if one.state == "subscribed"
        )
        listed = element(f"{{{OWNER}}}subscriptions", {"node": node.name}, *found)
        return written(listed, space=OWNER)

    def _set_subscriptions(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node = self._owned(request, inner)
        changes = inner.findall(f"{{{OWNER}}}subscription")
        crowded, wrong = store.is_crowded or len(changes) > MOST, []
        for one in changes:
            state, address = one.get("subscription"), _parse(one)
            known = node.subscriptions.get(address.text) if address is not None else None
            if state is None:
                continue  # §8.8.2.1: no change
            if (
                address is None
                or state not in ("subscribed", "none")
                or (known is None and crowded)
            ):
                about = {"jid": one.get("jid"), "subscription": known.state if known else "none"}
                wrong.append(element(one.tag, about))
            elif state == "none":
                self.cancel(store, node, address.text)
            else:
                self.approve(store, node, address.text)
        _check("subscriptions", node, wrong)
        return ()

    def _affiliations(self, request: Request, inner: Element) -> Iterable[Element]:
        _, node = self._owned(request, inner)
        found = (
            element(f"{{{OWNER}}}affiliation", {"jid": who, "affiliation": affiliation})
            for who, affiliation in node.affiliations.items()
        )
        listed = element(f"{{{OWNER}}}affiliations", {"node": node.name}, *found)
        return written(listed, space=OWNER)

    def _set_affiliations(self, request: Request, inner: Element) -> Iterable[Element]:
        store, node = self._owned(request, inner)
        changes = inner.findall(f"{{{OWNER}}}affiliation")
        addresses = [_parse(one) for one in changes]
        named = [address.bare for address in addresses if address is not None]
        if len(set(named)) != len(named):
            raise refusal("bad-request", text="each address has one affiliation")  # §8.9.2.4
        owners, crowded = set(node.owners()), store.is_crowded or len(changes) > MOST
        wrong, changed = [], {}
        for one, address in zip(changes, addresses, strict=True):
            wanted, bare = one.get("affiliation"), address.bare if address is not None else ""
            if wanted is None:
                continue  # §8.9.2.1: no change
            if (
                address is None
                or wanted not in AFFILIATIONS
                # XEP-0163 §2.2: an account itself owns its nodes
                or (wanted != "owner" and (bare == store.address or owners == {bare}))
                or (crowded and bare not in node.affiliations)
            ):
                known = node.affiliation(address) if address is not None else "none"
                wrong.append(element(one.tag, {"jid": one.get("jid"), "affiliation": known}))
                continue
            node.affiliations.pop(bare, None)
            if wanted != "none":
                node.affiliations[bare] = wanted
            owners = owners | {bare} if wanted == "owner" else owners - {bare}
            changed[bare] = wanted
        self._affiliated(store, node, changed)
        _check("affiliations", node, wrong)
        return ()

    def _affiliated(self, store: Store, node: Node, changed: Mapping[str, str]) -> None:
        """XEP-0060 §8.7.4: affiliations decide about subscriptions."""
        for one in list(node.subscriptions.values()):
            if changed.get(jid(one.address).bare) in ("owner", "publisher", "member"):
                self.approve(store, node, one.address)
        self.check_subscriptions(store, node, changed)


def _changed(config: Config, inner: Element) -> Config:
    """The configuration with what was submitted in an element. Raises StanzaError."""
    form = Form.read(inner)
    if form is None:
        raise refusal("bad-request", "invalid-options", "a configuration is submitted in a form")
    if form.type == "cancel":
        return config
    if form.type != "submit" or form.text("FORM_TYPE", NODE_CONFIG) != NODE_CONFIG:
        raise refusal("bad-request", "invalid-options", f"the form has the type {NODE_CONFIG}")
    try:
        return config.changed(form)
    except StanzaError as error:
        if error.condition == "not-acceptable" and "access_model" in error.text:
            raise refusal("not-acceptable", "unsupported-access-model") from None
        raise


def _parse(one: Element) -> Jid | None:
    try:
        return jid(one.get("jid", ""))
    except ValueError:
        return None


def _check(name: str, node: Node, wrong: list[Element]) -> None:
    """Raises StanzaError with the changes that cannot be (XEP-0060 §8.8.2.4)."""
    if wrong:
        listed = element(f"{{{OWNER}}}{name}", {"node": node.name}, *wrong)
        instead = element(f"{{{OWNER}}}pubsub", {}, listed)
        raise StanzaError("not-acceptable", instead=instead)

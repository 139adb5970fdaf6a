"""Extensions: how they plug into the service, and the set of those that it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, prepare_domain
from fakes.xmpp.policy import Environment
from fakes.xmpp.requests import Answers
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza

if TYPE_CHECKING:
    from fakes.xmpp.service import Service


@dataclass(frozen=True)
class Information:
    """What disco#info says about an address (XEP-0030 §3): its identity and its features."""

    category: str
    type: str
    name: str = ""
    features: tuple[str, ...] = ()


class Extension:
    """The base class of extensions. A subclass has a `name` and overrides the hooks that it needs.

    An extension may also be a service at a subdomain, as chat rooms are. If `subdomain` is set, the
    extension serves `SUBDOMAIN.DOMAIN` for each domain of the server, except one that the server
    itself serves:

    - disco#items of the domain lists it, and disco#info at the subdomain returns `information`.
    - An IQ get or set for the subdomain, or for any address `local@SUBDOMAIN.DOMAIN/resource`, goes
      to the answer that the extension registers in the scope `service`.
    - All other stanzas for these addresses go to `receive`, and so do the IQs without an answer.
    - The extension sends stanzas with `self.service.router.route`.

    For example, a service that returns every message to its sender:

        class Echo(Extension):
            name = "echo"
            subdomain = "echo"

            def receive(self, stanza: Stanza, to: Jid) -> bool:
                if stanza.kind != "message" or stanza.type == "error":
                    return False
                self.service.router.route(stanza.replace(to=stanza.sender, sender=to.text))
                return True

    A test adds it to those of a server, and serves that server at a port of its world:

        jabber = Jabber(world.runtime, world.people, extensions=(*EXTENSIONS, Echo))
        address = world.serve("with echo", lambda: Xmpp(world.runtime, jabber.service))

    To clients, an extension that is switched off by its name does not exist, and neither does its
    subdomain.
    """

    name: ClassVar[str] = ""
    section: ClassVar[str] = ""  # the document that specifies it
    subdomain: ClassVar[str] = ""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.stored: dict[str, Any] = {}  # what outlives sessions, by the address of the account

    # ── what it answers and announces ────────────────────────────────────────

    def answers(self) -> Answers:
        """Maps (scope, `{namespace}name` of the payload) to what answers such an IQ get or set.

        The scope is `domain`, `account` or `service`. An extension without a subdomain answers in
        the scope `service` at every subdomain; one with a subdomain at its own.
        """
        return {}

    def domain_features(self) -> Iterable[str]:
        """The features that disco#info of the domain lists."""
        return ()

    def account_features(self) -> Iterable[str]:
        """The features that disco#info of an account lists."""
        return ()

    def info_node(self) -> str:
        """Another node at which disco#info of the domain answers the same; "" if there is none."""
        return ""

    def stream_features(self) -> Iterable[Element]:
        """The elements that a stream offers after login."""
        return ()

    # ── what it controls ─────────────────────────────────────────────────────

    def check_outgoing(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """Called for every stanza that a client sends. Raises StanzaError to refuse it."""

    def accepts_incoming(self, account: Account, stanza: Stanza) -> bool:
        """Called for every stanza for an account; False drops it silently. Raises StanzaError."""
        return True

    def withholds_presence(self, account: Account, contact: Jid) -> bool:
        """Whether the account's presence must not reach the contact."""
        return False

    def forget(self, account: Account) -> None:
        """Called when an account is deleted, to delete what is stored for it."""
        self.stored.pop(account.address, None)

    # ── what it serves at its subdomain ──────────────────────────────────────

    def information(self, to: Jid) -> Information | None:
        """What disco#info returns for an address of the subdomain; None if it does not exist."""
        return None if to.local else Information("component", "generic", self.name)

    def items(self, to: Jid) -> Iterable[dict[str, str | None]]:
        """What disco#items lists for an address of the subdomain, as attributes of each item."""
        return ()

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        """Handles a stanza for an address of the subdomain; returns False if it is not accepted.

        A message, or an IQ get or set, that is not accepted is answered with service-unavailable.
        Anything else that is not accepted is dropped. Raises StanzaError to answer with another
        error.
        """
        return False


class Extensions:
    """The extensions of one service. Those that are switched off are passed over."""

    def __init__(self, environment: Environment, domains: tuple[str, ...]) -> None:
        self._environment = environment
        self._domains = domains
        self._all: list[Extension] = []
        # Every stanza passes the hooks, so only the extensions that override a hook are called.
        self._checking: list[Extension] = []
        self._accepting: list[Extension] = []
        self._withholding: list[Extension] = []
        self._services: dict[str, Extension] = {}  # by domain

    def add(self, extension: Extension) -> None:
        """Adds an extension. Raises ValueError if another serves the same subdomain."""
        self._all.append(extension)
        kind = type(extension)
        if kind.check_outgoing is not Extension.check_outgoing:
            self._checking.append(extension)
        if kind.accepts_incoming is not Extension.accepts_incoming:
            self._accepting.append(extension)
        if kind.withholds_presence is not Extension.withholds_presence:
            self._withholding.append(extension)
        for domain in self._domains if extension.subdomain else ():
            served = prepare_domain(f"{extension.subdomain}.{domain}")
            if served in self._services:
                other = self._services[served].name
                raise ValueError(
                    f"extension {extension.name}: {served} is already served by {other}; "
                    "choose another subdomain"
                )
            if served not in self._domains:
                self._services[served] = extension

    @property
    def active(self) -> list[Extension]:
        """The extensions that are not switched off."""
        return [extension for extension in self._all if self._environment.offers(extension.name)]

    def service_at(self, domain: str) -> Extension | None:
        """The extension that serves a domain; None if there is none."""
        extension = self._services.get(domain)
        if extension is None or not self._environment.offers(extension.name):
            return None
        return extension

    def services_of(self, domain: str) -> dict[str, Extension]:
        """The services at subdomains of a domain: the domain of each, and its extension."""
        return {
            served: extension
            for served, extension in self._services.items()
            if served == prepare_domain(f"{extension.subdomain}.{domain}")
            and self._environment.offers(extension.name)
        }

    def check_outgoing(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """Raises StanzaError if an extension refuses what a client sends."""
        for extension in self._checking:
            if self._environment.offers(extension.name):
                extension.check_outgoing(resource, stanza, to)

    def accept_incoming(self, account: Account, stanza: Stanza) -> bool:
        """Whether every extension accepts a stanza for an account. Raises StanzaError."""
        # Not `all` and `any` here: this runs for every stanza, and a generator takes longer.
        for extension in self._accepting:
            on = self._environment.offers(extension.name)
            if on and not extension.accepts_incoming(account, stanza):
                return False
        return True

    def withhold_presence(self, account: Account, contact: Jid) -> bool:
        """Whether an extension keeps the account's presence from the contact."""
        for extension in self._withholding:
            on = self._environment.offers(extension.name)
            if on and extension.withholds_presence(account, contact):
                return True
        return False

    def stored(self) -> dict[str, dict[str, Any]]:
        """Returns what each extension stores, by its name."""
        return {extension.name: extension.stored for extension in self._all}

    def restore(self, stored: dict[str, dict[str, Any]]) -> None:
        """Adds what another server's extensions have stored."""
        for extension in self._all:
            extension.stored.update(stored.get(extension.name, {}))

    def forget(self, account: Account) -> None:
        """Has all extensions delete what they store for an account, switched off or not."""
        for extension in self._all:
            extension.forget(account)

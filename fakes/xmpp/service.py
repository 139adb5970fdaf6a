"""One world's Jabber service: everything that outlives a connection.

The service creates its parts and connects them. Each part is handed what it needs, and none knows
the service. Extensions do know it; they plug in through `Extension`, and no part knows one of them
by name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from fakes.people import People
from fakes.wire import Runtime
from fakes.xmpp.accounts import Accounts
from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.delivery import Delivery
from fakes.xmpp.dispatch import Dispatcher
from fakes.xmpp.extension import Extension
from fakes.xmpp.extension_set import Extensions
from fakes.xmpp.offline import Offline
from fakes.xmpp.policy import Environment, Policy
from fakes.xmpp.presence import Presence
from fakes.xmpp.pushes import RosterPushes
from fakes.xmpp.requests import Requests
from fakes.xmpp.roster_requests import RosterRequests
from fakes.xmpp.routing import Router
from fakes.xmpp.sessions import Account, Outlet, Resource
from fakes.xmpp.stanzas import StanzaError
from fakes.xmpp.subscribing import Subscriptions

if TYPE_CHECKING:
    from fakes.http import Request as HttpRequest
    from fakes.http import Response


class Service:
    """The parts of a Jabber server, and the life of its accounts and sessions.

    `web(name)` returns the address of the web server; None if there is none. `on_drop(text)` is
    called when something is dropped because too much is kept. Raises ValueError for a domain that
    is not one, and for contacts that contradict each other.
    """

    def __init__(
        self,
        runtime: Runtime,
        people: People,
        domains: Iterable[str],
        policy: Policy | None = None,
        extensions: Iterable[type[Extension]] = (),
        web: Callable[[str], str] | None = None,
        on_drop: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.runtime = runtime
        self.policy = policy or Policy()
        self.started = runtime.now()
        self.closed = False
        self._web = web or _no_web
        self.on_drop = on_drop
        environment = Environment(runtime, self.policy)
        self.offers = environment.offers
        self.accounts = Accounts(people, domains)
        self.domains = self.accounts.domains
        self.extensions = Extensions(environment, self.domains)
        self.router = Router(runtime)
        self.requests = Requests(environment, self.accounts, self.router)
        offline = Offline(environment)
        pushes = RosterPushes(environment, self.extensions.roster_changed)
        self.presence = Presence(
            environment,
            self.accounts,
            self.router,
            offline,
            self.extensions.withhold_presence,
        )
        self.subscriptions = Subscriptions(environment, self.router, pushes, self.presence)
        self.dispatcher = Dispatcher(
            environment,
            self.accounts,
            self.extensions,
            self.router,
            self.requests,
            self.presence,
            self.subscriptions,
            Delivery(environment, offline, self.extensions),
        )
        self.router.deliver = self.dispatcher.deliver
        roster = RosterRequests(environment, pushes, self.subscriptions)
        self.requests.register("roster", roster.answers())
        for kind in extensions:
            if kind.paths and web is None:
                continue
            extension = kind(self)
            self.extensions.add(extension)
            answers = extension.answers()
            self.requests.register(extension.name, answers, extension.subdomain)
        self.extensions.check_optional()
        self.accounts.add_contacts()

    def is_here(self, address: Jid) -> bool:
        """Whether the domain of an address is served here, by the server or at a subdomain."""
        domain = address.domain
        return domain in self.domains or self.extensions.service_at(domain) is not None

    def web_url(self, name: str) -> str:
        """The address of the web server, under this name if it needs one."""
        return self.policy.web_url.rstrip("/") or self._web(name)

    def serve(self, request: HttpRequest) -> Response | None:
        """Answers a request to the web server; None if it is for no extension."""
        for extension in self.extensions.active:
            if extension.paths and request.path.startswith(extension.paths):
                return extension.serve(request)
        return None

    # ── sessions ─────────────────────────────────────────────────────────────

    def bind(self, account: Account, wanted: str, outlet: Outlet) -> Resource:
        """Binds a session to a resource (RFC 6120 §7); "" stands for one chosen by the server.

        Raises StanzaError.
        """
        name = wanted
        if wanted in account.resources:
            if self.policy.conflict == "refuse":
                raise StanzaError("conflict", type="modify")
            if self.policy.conflict == "replace":
                old = account.resources[wanted]
                self.unbind(old)
                old.outlet.end("conflict", "another session took the resource")
            else:
                name = ""
        if len(account.resources) >= self.policy.resources:
            text = f"an account has {self.policy.resources} sessions at most"
            raise StanzaError("resource-constraint", text)
        address = jid(f"{account.address}/{name or self.runtime.token(12)}")
        resource = Resource(address, account, outlet)
        account.resources[address.resource] = resource
        return resource

    def unbind(self, resource: Resource) -> None:
        """Ends a session and notifies those who see its presence. Does nothing if it has ended."""
        account = resource.account
        if account.resources.get(resource.jid.resource) is not resource:
            return
        del account.resources[resource.jid.resource]
        if self.closed:
            return
        self.router.turn(lambda: self.presence.unavailable(resource))
        self.extensions.session_ends(resource)
        self.logged_out(account.address)

    def disconnected(self, resource: Resource) -> None:
        """Ends a session whose connection is lost, unless an extension keeps it."""
        if self.closed or not self.extensions.keep_session(resource):
            self.unbind(resource)

    def logged_out(self, address: str) -> None:
        """Deletes an anonymous account that has no session left (XEP-0175 §3)."""
        account = self.accounts.find(jid(address))
        if account is not None and account.person is None and not account.resources:
            self.remove(account)

    def close(self) -> None:
        """Makes sessions end silently from now on, because the whole world ends."""
        self.closed = True
        self.router.clear()

    # ── accounts ─────────────────────────────────────────────────────────────

    def open_anonymous(self, domain: str) -> str:
        """Opens an account that ends with its session (XEP-0175 §3); returns its address."""
        return self.accounts.open_anonymous(domain, self.runtime.token).address

    def remove(self, account: Account) -> None:
        """Deletes an account, with its sessions, its subscriptions and all that is stored."""
        for resource in list(account.resources.values()):
            self.unbind(resource)
            resource.outlet.end("not-authorized", "the account is gone")
        for contact in list(account.roster.items):
            account.roster.items[contact].visible = True
            self.router.turn(partial(self.subscriptions.remove, account, contact))
        self.extensions.forget(account)
        self.accounts.close(account)

    # ── what outlives the connections ────────────────────────────────────────

    def stored(self) -> Any:
        """Returns a copy of what is stored for people: rosters, waiting messages, and the like."""
        accounts = [account for account in self.accounts.all() if account.person is not None]
        kept = {account.address: (account.roster, account.offline) for account in accounts}
        return copy.deepcopy((kept, self.extensions.stored()))

    def restore(self, stored: Any) -> None:
        """Stores what `stored` of another service has returned. Its accounts must be here."""
        kept, extensions = copy.deepcopy(stored)
        for address, (roster, offline) in kept.items():
            account = self.accounts.find(jid(address))
            assert account is not None, address
            account.roster, account.offline = roster, offline
        self.extensions.restore(extensions)


def _no_web(name: str) -> str:
    raise AssertionError(f"no web server for {name}: give Jabber its address")

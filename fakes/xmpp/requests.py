"""IQ gets and sets that the server answers, for itself or in the name of an account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias
from xml.etree.ElementTree import Element

from fakes.xmpp.accounts import Accounts
from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.policy import Environment
from fakes.xmpp.routing import Router
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, Written
from fakes.xmpp.subscriptions import FROM


@dataclass(frozen=True)
class Request:
    """An IQ get or set for the server.

    `account` is the account in whose name the server answers; None if the domain or a service at a
    subdomain is asked. `resource` is the session that asks; None if it is on another server.
    """

    stanza: Stanza
    payload: Element
    to: Jid
    account: Account | None
    resource: Resource | None
    after: list[Callable[[], object]] = field(default_factory=list)  # run after the answer is sent

    @property
    def own(self) -> bool:
        """Whether the account itself asks."""
        return self.resource is not None and self.resource.account is self.account

    @property
    def may_see(self) -> bool:
        """Whether the account shows its presence to the entity that asks."""
        if self.own:
            return True
        sender = jid(self.stanza.sender or "x")
        return self.account is not None and self.account.roster.state(sender.bare) in FROM


# Returns the content of the result (None: empty). Raises StanzaError.
Answer: TypeAlias = Callable[[Request], Iterable[Element | Written] | None]
# (scope, `{namespace}name` of the payload) → what answers it. The scope is domain, account or
# service (a service at a subdomain).
Answers: TypeAlias = Mapping[tuple[str, str], Answer]


class Requests:
    """Finds the answer to a request, and sends it."""

    def __init__(self, environment: Environment, accounts: Accounts, router: Router) -> None:
        self._environment = environment
        self._accounts = accounts
        self._router = router
        # (scope, payload) → the name by which this can be switched off, and what answers
        self._answers: dict[tuple[str, str], tuple[str, Answer]] = {}

    def register(self, name: str, answers: Answers, subdomain: str = "") -> None:
        """Adds what the feature `name` answers.

        Answers in the scope `service` hold at this subdomain only, or without one at every
        subdomain that has no answer of its own.
        """
        for (scope, payload), answer in answers.items():
            if scope == "service":
                scope = _service_scope(subdomain)
            self._answers[scope, payload] = (name, answer)

    def answer(
        self,
        stanza: Stanza,
        to: Jid,
        *,
        account: Account | None = None,
        subdomain: str = "",
        asker: Resource | None = None,
    ) -> bool:
        """Answers a get or set; returns False if nothing here answers such a request.

        It is asked of the account, of the service at the subdomain, or without both of the domain.
        `asker` is a session that is not bound yet. Raises StanzaError to answer with an error.
        """
        if subdomain:
            found = self._find(_service_scope(subdomain), stanza) or self._find("service", stanza)
        elif account is not None:
            found = self._find("account", stanza)
        else:
            # A domain has no resources.
            found = self._find("domain", stanza) if not to.resource else None
        if found is None:
            return False
        resource = asker or self._accounts.resource(stanza.sender)
        request = Request(stanza, stanza.element[0], to, account, resource)
        result = stanza.result(*(found(request) or ()))
        if resource is not None:
            resource.deliver(result)
        else:
            self._router.route(result)
        for act in request.after:
            act()
        return True

    def _find(self, scope: str, stanza: Stanza) -> Answer | None:
        name, answer = self._answers.get((scope, stanza.payload), ("", None))
        return answer if answer is not None and self._environment.offers(name) else None


def _service_scope(subdomain: str) -> str:
    """The scope of one service's own answers; `service` is that of every service."""
    return f"service {subdomain}" if subdomain else "service"

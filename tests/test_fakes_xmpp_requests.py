"""Which answer a request finds, and what else happens with it."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

import pytest

from fakes.xmpp.accounts import Accounts
from fakes.xmpp.addresses import jid
from fakes.xmpp.markup import element
from fakes.xmpp.policy import Environment, Policy
from fakes.xmpp.requests import Answer, Request, Requests
from fakes.xmpp.routing import Router
from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.test_fakes_xmpp_service import Recorder
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
QUERY = "{urn:x}query"


class Place:
    """Requests with answers that say which one was found."""

    def __init__(self, policy: Policy | None = None) -> None:
        place = world(
            person=[{"address": ROMEO, "contacts": {JULIET: "from"}}, {"address": JULIET}]
        )
        self.accounts: Accounts = place.jabber.service.accounts
        self.requests = Requests(
            Environment(place.runtime, policy or Policy()), self.accounts, Router()
        )
        self.seen: list[Request] = []

    def named(self, name: str) -> Answer:
        """An answer with this name in it."""

        def answer(request: Request) -> Iterable[Element]:
            self.seen.append(request)
            return [element("{urn:x}" + name)]

        return answer

    def connect(self, address: str) -> tuple[Resource, Recorder]:
        """A session of an account, and what it receives."""
        account = self.accounts.find(jid(address))
        assert account is not None
        outlet = Recorder()
        resource = Resource(jid(f"{address}/here"), account, outlet)
        account.resources["here"] = resource
        return resource, outlet


def request(to: str, sender: str = ROMEO) -> Stanza:
    stanza = f"<iq type='get' id='1' from='{sender}/here' to='{to}'><query xmlns='urn:x'/></iq>"
    return parse_stanza(stanza)


@pytest.mark.parametrize(
    ("scopes", "found"),
    [
        ("service", "service"),
        ("service service:echo", "service:echo"),
        ("service:echo service", "service:echo"),
        ("service service:other", "service"),
        ("service:other", None),
        ("domain account", None),
    ],
)
def test_a_service_has_its_own_answers_before_those_of_every_service(
    scopes: str, found: str | None
) -> None:
    place = Place()
    _, outlet = place.connect(ROMEO)
    for name in scopes.split():
        scope, _, subdomain = name.partition(":")
        answers = {(scope, QUERY): place.named(name.replace(":", "-"))}
        place.requests.register(name, answers, subdomain)
    to = jid("wall@echo.example.test")
    assert place.requests.answer(request(to.text), to, subdomain="echo") == (found is not None)
    answered = [stanza.element[0].tag for stanza in outlet.stanzas]
    assert answered == ([f"{{urn:x}}{found.replace(':', '-')}"] if found else [])


def test_the_domain_answers_without_a_resource_only() -> None:
    place = Place()
    place.connect(ROMEO)
    place.requests.register("x", {("domain", QUERY): place.named("domain")})
    for address, answered in (("example.test", True), ("example.test/x", False)):
        to = jid(address)
        assert place.requests.answer(request(address), to) == answered


def test_what_is_switched_off_answers_nothing() -> None:
    place = Place(Policy(off=frozenset({"x"})))
    place.requests.register("x", {("domain", QUERY): place.named("domain")})
    assert not place.requests.answer(request("example.test"), jid("example.test"))
    assert place.seen == []


@pytest.mark.parametrize(
    ("sender", "own", "may_see"),
    [(ROMEO, True, True), (JULIET, False, True), ("far@elsewhere.test", False, False)],
)
def test_a_request_says_who_asks(sender: str, own: bool, may_see: bool) -> None:
    place = Place()
    for address in (ROMEO, JULIET):
        place.connect(address)
    account = place.accounts.find(jid(ROMEO))
    place.requests.register("x", {("account", QUERY): place.named("account")})
    assert place.requests.answer(request(ROMEO, sender), jid(ROMEO), account=account)
    [seen] = place.seen
    assert (seen.own, seen.may_see) == (own, may_see)
    assert (seen.resource is None) == (sender == "far@elsewhere.test")


def test_what_comes_after_the_answer_is_sent_after_it() -> None:
    place = Place()
    resource, outlet = place.connect(ROMEO)

    def answer(request: Request) -> None:
        request.after.append(lambda: resource.deliver(parse_stanza("<message id='after'/>")))

    place.requests.register("x", {("domain", QUERY): answer})
    assert place.requests.answer(request("example.test"), jid("example.test"))
    assert [(stanza.kind, stanza.id) for stanza in outlet.stanzas] == [
        ("iq", "1"),
        ("message", "after"),
    ]

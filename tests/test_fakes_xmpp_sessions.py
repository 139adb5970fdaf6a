"""Accounts and their sessions as values."""

from __future__ import annotations

from fakes.people import Person
from fakes.xmpp.addresses import jid
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.test_fakes_xmpp_service import Recorder


def test_a_resource_is_available_while_it_has_a_presence() -> None:
    account = Account(jid("romeo@example.test"))
    resources = {
        name: Resource(jid(f"romeo@example.test/{name}"), account, Recorder()) for name in "abc"
    }
    account.resources.update(resources)
    for name in "ca":
        resources[name].presence = parse_stanza("<presence/>")
    resources["b"].interested = True
    assert [resource.jid.resource for resource in account.available()] == ["a", "c"]
    assert list(account.interested()) == [resources["b"]]


def test_a_stanza_goes_to_the_outlet_of_the_session() -> None:
    outlet = Recorder()
    resource = Resource(jid("a@b/c"), Account(jid("a@b")), outlet)
    stanza = Stanza("message")
    resource.deliver(stanza)
    assert outlet.stanzas == [stanza]


def test_an_anonymous_account_has_no_password() -> None:
    person = Person("romeo@example.test", password="secret")
    assert Account(jid("romeo@example.test"), person).password == "secret"
    anonymous = Account(jid("x@example.test"))
    assert (anonymous.password, anonymous.address) == ("", "x@example.test")

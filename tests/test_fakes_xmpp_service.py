"""The life of accounts and sessions."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.wire import Want
from fakes.xmpp.addresses import jid
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import Stanza, StanzaError, parse_stanza
from tests.xmpp_raw import world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


class Recorder:
    """An outlet that keeps what it gets."""

    def __init__(self) -> None:
        self.stanzas: list[Stanza] = []
        self.ended: list[str] = []

    def deliver(self, stanza: Stanza) -> None:
        self.stanzas.append(stanza)

    def end(self, condition: str, text: str = "") -> None:
        self.ended.append(f"{condition}: {text}")

    def cut(self, want: Want) -> None:
        self.ended.append(want.name)


def service(**xmpp: Any) -> Service:
    people = [{"address": ROMEO, "contacts": {JULIET: "both"}}, {"address": JULIET}]
    return world(person=people, xmpp=xmpp).jabber.service


def account(service: Service, address: str = ROMEO) -> Account:
    found = service.accounts.find(jid(address))
    assert found is not None
    return found


def test_a_new_session_replaces_one_with_the_same_resource() -> None:
    jabber, old = service(conflict="replace"), Recorder()
    jabber.bind(account(jabber), "here", old)
    new = jabber.bind(account(jabber), "here", Recorder())
    assert old.ended == ["conflict: another session took the resource"]
    assert account(jabber).resources == {"here": new}


def test_a_new_session_is_refused_if_the_policy_says_so() -> None:
    jabber, old = service(conflict="refuse"), Recorder()
    first = jabber.bind(account(jabber), "here", old)
    with pytest.raises(StanzaError) as error:
        jabber.bind(account(jabber), "here", Recorder())
    assert (error.value.condition, error.value.type) == ("conflict", "modify")
    assert account(jabber).resources == {"here": first} and old.ended == []


def test_a_new_session_gets_another_name_if_the_policy_says_so() -> None:
    jabber = service(conflict="rename")
    first = jabber.bind(account(jabber), "here", Recorder())
    second = jabber.bind(account(jabber), "here", Recorder())
    assert account(jabber).resources == {"here": first, second.jid.resource: second}
    assert second.jid.resource not in ("", "here")


def test_an_account_has_a_limited_number_of_sessions() -> None:
    jabber = service(resources=2)
    for name in ("a", "b"):
        jabber.bind(account(jabber), name, Recorder())
    with pytest.raises(StanzaError, match="resource-constraint"):
        jabber.bind(account(jabber), "c", Recorder())
    assert set(account(jabber).resources) == {"a", "b"}
    jabber.bind(account(jabber), "b", Recorder())  # replaces one, so the number stays


def test_the_end_of_a_session_is_shown_to_its_contacts_once() -> None:
    jabber, seen = service(), Recorder()
    juliet = jabber.bind(account(jabber, JULIET), "balcony", seen)
    romeo = jabber.bind(account(jabber), "orchard", Recorder())
    for resource in (juliet, romeo):
        jabber.dispatcher.from_client(resource, parse_stanza("<presence/>"))
    seen.stanzas.clear()
    jabber.unbind(romeo)
    jabber.unbind(romeo)
    shown = [(stanza.sender, stanza.type) for stanza in seen.stanzas]
    assert shown == [(f"{ROMEO}/orchard", "unavailable")]


def test_sessions_end_silently_when_the_world_ends() -> None:
    jabber, seen = service(), Recorder()
    juliet = jabber.bind(account(jabber, JULIET), "balcony", seen)
    romeo = jabber.bind(account(jabber), "orchard", Recorder())
    for resource in (juliet, romeo):
        jabber.dispatcher.from_client(resource, parse_stanza("<presence/>"))
    seen.stanzas.clear()
    jabber.close()
    jabber.unbind(romeo)
    assert seen.stanzas == [] and account(jabber).resources == {}


def test_an_anonymous_account_is_deleted_with_its_last_session() -> None:
    jabber = service(anonymous=True)
    address = jabber.open_anonymous("example.test")
    sessions = [jabber.bind(account(jabber, address), name, Recorder()) for name in "ab"]
    jabber.unbind(sessions[0])
    assert jabber.accounts.find(jid(address)) is not None
    jabber.unbind(sessions[1])
    assert jabber.accounts.find(jid(address)) is None
    jabber.logged_out(ROMEO)  # an account of a person stays
    assert jabber.accounts.find(jid(ROMEO)) is not None


def test_a_deleted_account_ends_its_sessions_and_subscriptions() -> None:
    jabber, own, other = service(), Recorder(), Recorder()
    jabber.bind(account(jabber), "here", own)
    juliet = jabber.bind(account(jabber, JULIET), "balcony", other)
    juliet.interested = True
    jabber.remove(account(jabber))
    assert own.ended == ["not-authorized: the account is gone"]
    assert account(jabber, JULIET).roster.items[ROMEO].subscription == "none"
    assert "iq" in [stanza.kind for stanza in other.stanzas], "a roster push"
    assert jabber.accounts.find(jid(ROMEO)) is None


def test_only_domains_of_the_server_are_here() -> None:
    jabber = service()
    assert jabber.is_here(jid("anybody@example.test"))
    assert not jabber.is_here(jid("anybody@elsewhere.test"))
    assert not jabber.is_here(jid("echo.example.test"))

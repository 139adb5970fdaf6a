"""The accounts of a Jabber server: of people, anonymous ones, and those that are gone."""

from __future__ import annotations

import re

import pytest

from fakes.people import People, Person
from fakes.xmpp.accounts import Accounts
from fakes.xmpp.addresses import jid

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"


def accounts(*people: Person) -> Accounts:
    return Accounts(People(people or (Person(ROMEO), Person(JULIET))), ["Example.Test"])


def roster(found: Accounts, user: str) -> dict[str, str]:
    account = found.find(jid(user))
    assert account is not None
    return {item.jid: item.subscription for item in account.roster.visible()}


def test_an_account_is_found_by_its_prepared_address_with_or_without_a_resource() -> None:
    found = accounts(Person("Romeo@Example.test"))
    romeo = found.find(jid(f"{ROMEO}/orchard"))
    assert romeo is not None and romeo.address == ROMEO
    assert found.find(jid("ROMEO@example.test")) is romeo
    for other in ("tybalt@example.test", "romeo@other.test", "example.test"):
        assert found.find(jid(other)) is None


def test_a_person_who_is_added_later_has_an_account() -> None:
    found = accounts()
    found.people.add(Person("tybalt@example.test"))
    assert found.find(jid("tybalt@example.test")) is not None
    assert [account.address for account in found.all()] == ["tybalt@example.test", ROMEO, JULIET]


def test_two_people_with_the_same_prepared_address_are_an_error() -> None:
    # The first letter is FULLWIDTH LATIN SMALL LETTER R; mail tells the two addresses apart.
    wide = Person("\uff52omeo@example.test")
    with pytest.raises(ValueError, match=r"romeo@example\.test is in this world twice"):
        accounts(Person(ROMEO), wide).all()


def test_an_account_that_is_closed_is_not_opened_again() -> None:
    found = accounts()
    romeo = found.find(jid(ROMEO))
    assert romeo is not None
    found.close(romeo)
    found.close(romeo)
    assert found.find(jid(ROMEO)) is None and found.gone == {ROMEO}
    assert [account.address for account in found.all()] == [JULIET]


def test_an_anonymous_account_has_a_uuid_for_a_name_and_no_password() -> None:
    found = accounts()
    account = found.open_anonymous("example.test", lambda length: "q7" * (length // 2))
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}@example\.test"
    assert re.fullmatch(uuid, account.address)
    assert account.person is None and account.password == ""
    found.close(account)
    assert found.gone == set()


# ── contacts ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("subscription", "mirrored"), [("both", "both"), ("to", "from"), ("from", "to")]
)
def test_a_contact_is_in_both_rosters(subscription: str, mirrored: str) -> None:
    found = accounts()
    found.befriend(ROMEO, JULIET, subscription)
    assert roster(found, ROMEO) == {JULIET: subscription}
    assert roster(found, JULIET) == {ROMEO: mirrored}


def test_without_a_subscription_only_the_side_that_names_the_contact_has_it() -> None:
    found = accounts(Person(ROMEO, contacts={JULIET: "none"}), Person(JULIET))
    found.add_contacts()
    assert roster(found, ROMEO) == {JULIET: "none"} and roster(found, JULIET) == {}


def test_a_contact_at_another_server_is_in_one_roster() -> None:
    found = accounts()
    found.befriend(ROMEO, "nurse@other.test", "to")
    assert roster(found, ROMEO) == {"nurse@other.test": "to"}


def test_contacts_that_contradict_each_other_are_an_error() -> None:
    people = (Person(ROMEO, contacts={JULIET: "to"}), Person(JULIET, contacts={ROMEO: "to"}))
    with pytest.raises(ValueError, match="'to' on one side means 'from' on the other"):
        accounts(*people).add_contacts()
    agreeing = (Person(ROMEO, contacts={JULIET: "to"}), Person(JULIET, contacts={ROMEO: "from"}))
    accounts(*agreeing).add_contacts()


@pytest.mark.parametrize(
    ("user", "subscription", "message"),
    [
        ("tybalt@example.test", "both", "no account with the address tybalt@example.test"),
        (ROMEO, "friend", "unknown subscription 'friend' for juliet@example.test; choose none"),
    ],
)
def test_an_unknown_user_or_subscription_is_an_error(
    user: str, subscription: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        accounts().befriend(user, JULIET, subscription)

"""The accounts of a world: logins, aliases, and what may not be there twice."""

from __future__ import annotations

import pytest

from fakes.people import People, Person


def addresses(people: list[Person]) -> list[str]:
    return [person.address for person in people]


def test_a_login_is_an_address_in_any_case() -> None:
    people = People([Person("Alice@one.test")])
    person = people.find("ALICE@One.test")
    assert person is not None and person.address == "Alice@one.test"


def test_a_login_may_be_a_local_part_that_only_one_person_has() -> None:
    people = People([Person("alice@one.test"), Person("alice@two.test"), Person("bob@one.test")])
    assert people.find("alice") is None
    assert people.find("BOB") is people.find("bob@one.test") is not None
    assert people.find("eve") is None


def test_an_alias_is_not_a_login() -> None:
    people = People([Person("alice@one.test", aliases=("sales@one.test",))])
    assert people.find("sales@one.test") is None and people.find("sales") is None


def test_mail_reaches_the_owner_of_an_address_or_all_who_have_it_as_an_alias() -> None:
    people = People(
        [
            Person("alice@one.test", aliases=("team@one.test", "bob@one.test")),
            Person("bob@one.test", aliases=("Team@one.test",)),
        ]
    )
    assert addresses(people.reached_by("TEAM@one.test")) == ["alice@one.test", "bob@one.test"]
    assert addresses(people.reached_by("bob@one.test")) == ["bob@one.test"], "an owner comes first"
    assert people.reached_by("eve@one.test") == []


def test_mail_to_a_name_with_a_plus_reaches_the_name() -> None:
    people = People([Person("alice@one.test", aliases=("team@one.test",)), Person("a+b@one.test")])
    assert addresses(people.reached_by("alice+list+2026@one.test")) == ["alice@one.test"]
    assert addresses(people.reached_by("team+x@one.test")) == ["alice@one.test"]
    assert addresses(people.reached_by("a+b@one.test")) == ["a+b@one.test"]
    assert people.reached_by("+alice@one.test") == []


def test_an_address_can_belong_to_one_person_only() -> None:
    with pytest.raises(
        ValueError, match=r"A@b\.test is in this world twice; use each address for one person"
    ):
        People([Person("a@b.test"), Person("A@b.test")])


def test_people_are_listed_in_the_order_in_which_they_were_added() -> None:
    people = People([Person("b@one.test"), Person("a@one.test")])
    assert addresses(list(people)) == ["b@one.test", "a@one.test"]
    assert repr(people) == "<People b@one.test, a@one.test>"
    assert repr(People()) == "<People (none)>"


def test_where_any_login_is_right_no_account_is_opened() -> None:
    people = People([Person("Alice@one.test", "secret")])
    assert people.for_login("alice", "wrong") is people.find("alice")
    people.any_login = "one.test"
    for login, address in (
        ("alice", "Alice@one.test"),
        ("ALICE@one.test", "Alice@one.test"),
        ("apikey", "apikey@one.test"),
        ("carol@two.test", "carol@two.test"),
    ):
        person = people.for_login(login, "any")
        assert person is not None and (person.address, person.password) == (address, "any")
    assert [person.password for person in people] == ["secret"]


@pytest.mark.parametrize("login", ["", "a b", "a\r\nb", "@one.test", "a@b@c", "x" * 65])
def test_a_login_that_could_be_no_address_is_not_right_anywhere(login: str) -> None:
    people = People([Person("alice@one.test")])
    people.any_login = "one.test"
    assert people.for_login(login, "any") is None

"""Who is in which channel, and whose account is known: only while the server tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from comms.irc.people import People


@pytest.fixture
def people() -> People:
    people = People(str.lower)
    people.tells = True
    people.enter("#a")
    people.listed("#a", "old")
    people.joined("#a", "Ann", "ann")
    return people


def test_an_account_is_known_of_those_who_join(people: People) -> None:
    assert people.present("#A") == ["old", "Ann"]
    assert (people.account("ANN"), people.account("old"), people.account("x")) == ("ann", "", "")
    people.logged_in("old", "older")
    people.logged_in("stranger", "root")
    people.logged_in("ann", "")
    assert (people.account("old"), people.account("stranger"), people.account("ann")) == (
        "older", "", "",
    )  # fmt: skip


ENDS: list[Callable[[People], object]] = [
    lambda people: people.quit("ann"),
    lambda people: people.left("#a", "ann"),
    lambda people: people.leave("#a"),
    lambda people: people.forget_accounts(),
    lambda people: people.renamed("ann", "other"),
    lambda people: people.joined("#a", "ann", None),
    lambda people: people.renamed("old", "ann"),
]


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_it(people: People, end: Callable[[People], object]) -> None:
    end(people)
    assert people.account("ann") == ""
    if people.channels():
        people.listed("#a", "ann")  # another user of that nick
        assert people.account("ann") == ""


def test_a_nick_change_moves_it(people: People) -> None:
    people.renamed("ann", "anna")
    assert people.account("anna") == "ann"
    assert people.present("#a") == ["old", "anna"]


def test_without_the_capabilities_nothing_is_known(people: People) -> None:
    people.forget_accounts()
    people.joined("#a", "bob", "bob")
    people.logged_in("ann", "ann")
    assert (people.account("bob"), people.account("ann")) == ("", "")


def test_what_is_told_of_a_channel_that_we_are_not_in_is_ignored(people: People) -> None:
    people.listed("#none", "x")
    people.left("#none", "x")
    people.leave("#none")
    assert people.channels() == ["#a"] and not people.shares("x")

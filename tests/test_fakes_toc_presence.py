"""A session as the service sees it: whom it watches, who may see it, and whom it may warn."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.toc.lists import DENY_ALL, LIST_LIMIT
from fakes.toc.presence import HOUR, LEVEL, Account, Im, Presence, account_from


def presence(*buddies: str, stored: bool = False) -> Presence:
    """A session of alice; `stored`: her stored buddies are in force."""
    account = Account("Alice")
    for buddy in buddies:
        account.lists.add_buddy("Friends", buddy)
    return Presence(account, None, 0.0, stored)  # type: ignore[arg-type]


# ── watching ─────────────────────────────────────────────────────────────────


def test_in_toc2_the_stored_buddies_are_watched_and_in_toc_1_only_what_the_client_names() -> None:
    assert presence("Bob", stored=True).watched == ["Bob"]
    alice = presence("Bob")
    assert alice.watched == []
    assert alice.watch(["Carol", "c a r o l", "a:b"]) == ["Carol", "c a r o l"]
    assert alice.watches("CAROL") and not alice.watches("Bob")
    assert alice.watch(["carol"]) == [], "it is watched already"
    alice.unwatch(["CAROL", "dave"])
    assert alice.watched == []


def test_a_user_watches_a_thousand_names_and_no_more() -> None:
    alice = presence()
    names = [f"name{number}" for number in range(LIST_LIMIT + 5)]
    assert alice.watch(names) == names[:LIST_LIMIT]
    assert len(alice.watched) == LIST_LIMIT


# ── permissions ──────────────────────────────────────────────────────────────


def test_permissions_are_stored_in_toc2_and_part_of_the_session_in_toc_1() -> None:
    for stored in (True, False):
        alice = presence(stored=stored)
        alice.permissions.deny(["bob"])
        assert not alice.allows("Bob") and alice.allows("carol")
        assert bool(alice.account.lists.permissions.denied) is stored


def test_a_user_always_sees_itself() -> None:
    alice = presence()
    alice.permissions.mode = DENY_ALL
    assert alice.allows("a l i c e") and not alice.allows("bob")


# ── warnings ─────────────────────────────────────────────────────────────────


def test_each_im_allows_one_warning_of_its_sender_within_an_hour() -> None:
    alice = presence()
    assert not alice.use_warning("Bob", 0.0)
    alice.record_im_from("Bob", 0.0)
    alice.record_im_from("bob", 10.0)
    assert [alice.use_warning("B o b", 20.0) for _ in range(3)] == [True, True, False]
    alice.record_im_from("Bob", 30.0)
    assert not alice.use_warning("Bob", 30.0 + HOUR)


def test_at_most_a_hundred_warnings_are_kept_for_one_name() -> None:
    alice = presence()
    for _ in range(LEVEL + 50):
        alice.record_im_from("Bob", 0.0)
    assert sum(alice.use_warning("Bob", 1.0) for _ in range(LEVEL + 50)) == LEVEL


# ── values ───────────────────────────────────────────────────────────────────


def test_a_status_counts_idle_time_in_whole_minutes() -> None:
    alice = presence()
    alice.away, alice.idle_since, alice.capabilities = "lunch", 100.0, ("A",)
    status = alice.status(100.0 + 179)
    assert (status.name, status.online, status.idle, status.away) == ("Alice", True, 2, True)
    alice.idle_since = None
    assert alice.status(10_000.0).idle == 0


def test_the_text_of_an_im_is_utf_8_or_else_latin_1() -> None:
    assert Im(0.0, "Alice", "Bob", "é".encode()).text == "é"
    assert str(Im(0.0, "Alice", "Bob", b"\xe9", auto=True)) == "Alice → Bob (auto): 'é'"


def test_an_account_has_its_buddies_in_groups() -> None:
    account = account_from("Ops Bot", "x", {"Admins": ["SysAdmin"], "Nobody": []}, "<b>hi</b>")
    assert account.lists.groups == {"Admins": {"sysadmin": "SysAdmin"}, "Nobody": {}}
    assert (account.screen_name, account.password, account.profile) == ("Ops Bot", "x", "<b>hi</b>")


@pytest.mark.parametrize(
    ("name", "buddies", "message"),
    [
        ("a:b", {}, "screen_name: 'a:b' is not a screen name; write a name like OpsBot"),
        ("Žižka", {}, "screen_name: 'Žižka' is not a screen name"),
        ("bob", {"Work": [""]}, "buddies of bob: '' is not a screen name; write"),
        ("bob", {"Work": [f"{n:048}" for n in range(200)]}, "buddies of bob: more than fit into"),
    ],
)
def test_an_account_that_cannot_be_is_refused(
    name: str, buddies: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        account_from(name, "secret", buddies)

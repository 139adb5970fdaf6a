"""Buddies and the buddy list, as far as they need no connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comms.toc.buddies import Buddy, BuddyList, Presence, read_presence
from comms.toc.client import Client
from comms.toc.messages import parse
from tests.toc_peer import Peer


@pytest.fixture
def client() -> Iterator[Client]:
    peer = Peer()
    yield Client(peer.server(), peer.clock, peer.host)
    peer.close()


@pytest.mark.parametrize(
    ("raw", "presence", "status"),
    [
        (
            b"UPDATE_BUDDY2:Bob:T:5:1767571200:12: O :",
            Presence("Bob", True, 5, 1767571200.0, 12, False),
            "idle",
        ),
        (b"UPDATE_BUDDY:Bob:T:0:0:0: OU", Presence("Bob", True, 0, 0.0, 0, True), "away"),
        (b"UPDATE_BUDDY:Bob:T:0:0:9: OU", Presence("Bob", True, 0, 0.0, 9, True), "away"),
        (b"UPDATE_BUDDY:Bob:T::::", Presence("Bob", True, 0, 0.0, 0, False), "available"),
        (b"UPDATE_BUDDY:Bob:F:0:0:9: OU", Presence("Bob", False, 0, 0.0, 9, True), "offline"),
    ],
)
def test_a_presence_is_read_and_has_a_status(raw: bytes, presence: Presence, status: str) -> None:
    assert read_presence(parse(raw)) == presence
    assert presence.status == status


@pytest.mark.parametrize("wrong", ["much", "-1", "1.5", "9" * 19, "9" * 400, "9" * 5000])
@pytest.mark.parametrize("place", ["{}:0:0", "0:{}:0", "0:0:{}"])
def test_a_number_that_is_not_one_is_a_value_error(place: str, wrong: str) -> None:
    message = parse(f"UPDATE_BUDDY:Bob:T:{place.format(wrong)}: O".encode())
    with pytest.raises(ValueError, match="is not a number of at most 18 digits"):
        read_presence(message)


def test_an_update_returns_the_statuses_that_the_buddy_has_changed_to(client: Client) -> None:
    bob = Buddy(client, "bob")
    away = Presence("BoB", True, 10, 1767571200.0, 0, True)
    assert bob.update(away) == ["online", "away"]
    assert (str(bob), bob.warning_level, bob.last_signon) == ("BoB", 10, 1767571200.0)
    assert bob.update(away) == []
    assert bob.update(Presence("BoB", False, 0, 0.0, 0, False)) == ["offline"]
    assert bob.last_signon == 1767571200.0, "still known"


def test_buddies_are_compared_by_normalized_name(client: Client) -> None:
    ann = client.buddy_list.buddy_named("Ann Lee")
    assert client.buddy_list.buddy_named("annlee") is ann and str(ann) == "Ann Lee"
    assert Buddy(client, "ANN  LEE") == ann and len({ann, Buddy(client, "annlee")}) == 1
    assert Buddy(client, "Ann") < ann and ann != "annlee"
    assert repr(ann) == "<Buddy Ann Lee: offline>"


@pytest.mark.parametrize(
    "text", ["g:Friends\nb:Bob\nb:Ann Lee\nm:1\ndone:\n", "g Friends\nb Bob\nb Ann Lee\nm 1\n"]
)
def test_the_list_of_either_protocol_version_is_read(client: Client, text: str) -> None:
    buddies = BuddyList(client)
    buddies.update(text)
    assert {group: list(map(str, members)) for group, members in buddies.groups.items()} == {
        "Friends": ["Bob", "Ann Lee"]
    }
    assert str(buddies) == "== Friends ==\n * Bob\n * Ann Lee"


def test_an_empty_name_is_not_a_screen_name(client: Client) -> None:
    with pytest.raises(ValueError, match="'  ' is not a screen name"):
        client.buddy_list.buddy_named("  ")


def test_only_buddies_in_use_are_known(client: Client) -> None:
    buddies = BuddyList(client)
    assert buddies.find("bob") is None
    buddies.remember(Buddy(client, "Bob"))
    assert buddies.find("b o b") is not None and len(list(buddies)) == 1


def test_an_unknown_status_is_an_error_that_suggests_one(client: Client) -> None:
    with pytest.raises(ValueError, match=r"unknown status 'availible' \(did you mean 'available'"):
        client.buddy_list.buddy_named("bob").on_status("availible")

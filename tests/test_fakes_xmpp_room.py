"""The model of a chat room: configuration, nicks, affiliations and history (XEP-0045)."""

from __future__ import annotations

import pytest

from fakes.xmpp import room as model
from fakes.xmpp.forms import Form
from fakes.xmpp.markup import element
from fakes.xmpp.room import AFFILIATIONS, Config, Kept, Room, rank
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza

OWNER, USER, OTHER = "owner@a.test", "user@a.test", "other@a.test"


def room(**config: object) -> Room:
    kept = Kept("secret", Config(**config), {OWNER: "owner"})  # type: ignore[arg-type]
    return Room("room@c.test", kept)


def presence(full: str) -> Stanza:
    return build_stanza("presence", sender=full)


def submitted(**values: str) -> Form:
    return Form("submit", {f"muc#roomconfig_{name}": [value] for name, value in values.items()})


def test_the_form_has_every_setting_and_reads_it_back() -> None:
    config = Config("Hall", "d", True, False, True, True, True, True, "pw", "none", "anyone", 5, 7)
    q = element("q")
    q.append(config.form())
    form = Form.read(q)
    assert form is not None
    assert Config().changed(form) == config


@pytest.mark.parametrize(
    "values",
    [
        {"whois": "nobody"},
        {"allowpm": "x"},
        {"persistentroom": "perhaps"},
        {"maxusers": "many"},
        {"maxusers": "-1"},
        {"passwordprotectedroom": "1"},
    ],
)
def test_a_value_that_cannot_be_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(StanzaError, match="not-acceptable"):
        Config().changed(submitted(**values))


def test_what_a_form_does_not_name_stays() -> None:
    config = Config(moderated=True, password="pw")
    assert config.changed(submitted(roomname="x")) == Config("x", moderated=True, password="pw")
    assert config.changed(submitted(passwordprotectedroom="0")).password == ""
    assert config.changed(submitted(maxusers="none")).max_users == 0


@pytest.mark.parametrize(("most", "shown"), [(0, "none"), (20, "20"), (7, "7")])
def test_the_form_offers_numbers_of_occupants_and_the_present_one(most: int, shown: str) -> None:
    found = [one for one in Config(max_users=most).form() if "maxusers" in one.get("var", "")]
    values = [value.text for value in found[0].iter("{jabber:x:data}value")]
    assert found[0].get("type") == "list-single"  # XEP-0045 §10.2
    assert values[0] == shown and shown in values[1:] and "none" in values[1:]


def test_affiliations_are_in_order() -> None:
    assert [rank(one) for one in AFFILIATIONS] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("affiliation", "moderated", "role"),
    [
        ("none", False, "participant"),
        ("none", True, "visitor"),
        ("member", True, "participant"),
        ("admin", True, "moderator"),
        ("owner", False, "moderator"),
    ],
)
def test_each_affiliation_has_a_default_role(affiliation: str, moderated: bool, role: str) -> None:
    found = room(moderated=moderated)
    found.set_affiliation(USER, affiliation)
    assert found.default_role(USER) == role


def test_a_user_may_be_in_a_room_with_several_sessions_and_nicks() -> None:
    found = room()
    one = found.enter("nick", USER, presence(f"{USER}/a"))
    assert found.enter("nick", USER, presence(f"{USER}/b")) is one
    other = found.enter("second", USER, presence(f"{USER}/c"))
    assert found.of_user(USER) == [one, other] and found.session(f"{USER}/b") is one
    assert found.nick_is_free("nick", USER) and not found.nick_is_free("nick", OTHER)
    found.leave(f"{USER}/a")
    assert one.presence.sender == f"{USER}/b" and found.session(f"{USER}/a") is None
    found.rename(one, "third")
    assert list(found.occupants) == ["second", "third"]
    found.leave(f"{USER}/b")
    assert list(found.occupants) == ["second"]


def test_a_reserved_nick_is_free_for_its_owner_only() -> None:
    found = room()
    found.kept.nicks["nick"] = USER
    assert found.nick_is_free("nick", USER) and not found.nick_is_free("nick", OTHER)


def test_an_occupant_id_is_stable_in_a_room_and_says_nothing_elsewhere() -> None:
    found, other = room(), Room("other@c.test", Kept("another"))
    assert found.occupant_id(USER) == found.occupant_id(USER) != found.occupant_id(OTHER)
    assert found.occupant_id(USER) != other.occupant_id(USER)
    assert USER not in found.occupant_id(USER)


def test_affiliations_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "PEOPLE", 2)
    found = room()
    found.set_affiliation(USER, "member")
    found.set_affiliation(USER, "admin")
    with pytest.raises(StanzaError, match="resource-constraint"):
        found.set_affiliation(OTHER, "member")


@pytest.mark.parametrize(
    ("wish", "got"),
    [
        ({}, "2345"),
        ({"maxstanzas": "2"}, "45"),
        ({"maxstanzas": "0"}, ""),
        ({"seconds": "15"}, "45"),
        ({"seconds": "15", "maxstanzas": "1"}, "5"),
        ({"since": "1970-01-01T00:00:40Z"}, "45"),
        ({"since": "1970-01-01T01:00:40.5+01:00"}, "5"),
        ({"since": "1970-01-01T00:00:30Z", "seconds": "15"}, "45"),
        ({"since": "1970-01-01T00:00:40"}, "2345"),
        ({"since": "yesterday"}, "2345"),
        ({"maxchars": "0"}, ""),
        ({"maxchars": "50"}, "5"),
        ({"maxstanzas": "x"}, "2345"),
    ],
)
def test_the_history_is_limited_by_the_room_and_by_the_wish(wish: dict[str, str], got: str) -> None:
    found = room(history=4)
    for number in range(6):
        body = element("{jabber:client}body", text=str(number))
        found.remember(number * 10.0, build_stanza("message", children=[body]))
    recent = found.recent(element("history", dict(wish)), 55.0)
    assert "".join(message.body for _, message in recent) == got


@pytest.mark.parametrize(("history", "got"), [(0, ""), (1, "3"), (4, "0123"), (9, "0123")])
def test_a_shorter_history_holds_for_what_was_said_before(history: int, got: str) -> None:
    found = room(history=4)
    for number in range(4):
        body = element("{jabber:client}body", text=str(number))
        found.remember(number * 10.0, build_stanza("message", children=[body]))
    found.kept.config = Config(history=history)
    assert "".join(message.body for _, message in found.recent(None, 55.0)) == got

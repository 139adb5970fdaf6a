"""Moderators retract what others have said in a room (XEP-0425)."""

from __future__ import annotations

import pytest

from fakes.xmpp.extensions.moderation import MODERATION
from fakes.xmpp.extensions.retraction import FEATURE
from fakes.xmpp.muc.names import OCCUPANT
from tests.test_fakes_xmpp_extensions_retraction import history, said
from tests.test_fakes_xmpp_extensions_rooms import ROOM, Play, admin, ask


def moderate(play: Play, name: str, id: str, inside: str | None = None, type: str = "set") -> str:
    """Asks the room to retract a message; returns the condition of the error."""
    inside = f"<retract xmlns='{FEATURE}'/><reason>rude</reason>" if inside is None else inside
    asked = f"<moderate xmlns='{MODERATION}' id='{id}'>{inside}</moderate>"
    return ask(play.actor(name), asked, type).condition


def test_everybody_is_told_and_newcomers_do_not_see_it() -> None:
    play = Play().opened("juliet")
    id = said(play.juliet, "villain")
    play.clear()
    assert moderate(play, "romeo", id) == ""
    for one in (play.romeo, play.juliet):
        message = next(stanza for stanza in one.all if stanza.kind == "message")
        assert (message.sender, message.type) == (ROOM, "groupchat")
        retract = message.element[0]
        assert (retract.tag, retract.get("id")) == (f"{{{FEATURE}}}retract", id)
        moderated = retract[0]
        assert moderated.get("by") == f"{ROOM}/romeo"
        assert moderated[0].tag == f"{{{OCCUPANT}}}occupant-id"
        assert retract[1].text == "rude"
    assert history(play, "nurse") == []


def test_only_moderators_may() -> None:
    play = Play().opened("juliet", "nurse")
    id = said(play.juliet, "villain")
    assert moderate(play, "nurse", id) == "forbidden"
    assert moderate(play, "tybalt", id) == "forbidden"
    assert history(play, "tybalt") == ["villain"]


def test_nobody_retracts_what_a_higher_one_has_said_even_after_they_left() -> None:
    play = Play().opened("juliet")
    assert admin(play.romeo, "jid='juliet@example.test' affiliation='admin'") == ""
    id = said(play.romeo, "mine")
    assert moderate(play, "juliet", id) == "not-allowed"
    play.romeo.sends(f"<presence type='unavailable' to='{ROOM}/romeo'/>")
    assert moderate(play, "juliet", id) == "not-allowed"


@pytest.mark.parametrize(
    ("inside", "type", "condition"),
    [("", "set", "bad-request"), (None, "get", "bad-request"), (None, "set", "item-not-found")],
)
def test_what_cannot_be_moderated_is_an_error(
    inside: str | None, type: str, condition: str
) -> None:
    play = Play().opened()
    assert moderate(play, "romeo", "unknown", inside, type) == condition


def test_a_room_that_does_not_exist_and_an_extension_that_is_off() -> None:
    play = Play()
    assert moderate(play, "romeo", "1") == "item-not-found"
    off = Play(off={"xmpp": ["moderation"]}).opened()
    assert moderate(off, "romeo", "1") == "service-unavailable"
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    found = [
        MODERATION in ask(one.romeo, info, "get").to_bytes().decode()
        for one in (play.opened(), off)
    ]
    assert found == [True, False]

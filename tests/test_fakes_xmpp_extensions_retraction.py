"""Authors retract what they have said in a room (XEP-0424)."""

from __future__ import annotations

import pytest

from fakes.xmpp.extensions.retraction import FEATURE
from fakes.xmpp.extensions.stanza_ids import SID
from fakes.xmpp.jabber import Actor
from tests.test_fakes_xmpp_extensions_rooms import ROOM, Play

HINT = "<fallback xmlns='urn:xmpp:fallback:0'/><body>retracted</body>"


def said(actor: Actor, text: str) -> str:
    """Says something, and returns the id that the room has given it."""
    actor.says(ROOM, text, type="groupchat")
    message = [one for one in actor.all if one.kind == "message" and one.body == text][-1]
    id = message.element.find(f"{{{SID}}}stanza-id")
    assert id is not None and id.get("by") == ROOM
    return id.get("id", "")


def retract(actor: Actor, id: str, inside: str = "") -> str:
    """Retracts a message; returns the condition of the error, "" if there is none."""
    element = f"<retract xmlns='{FEATURE}' id='{id}'>{inside}</retract>"
    actor.sends(f"<message to='{ROOM}' type='groupchat' id='r'>{element}{HINT}</message>")
    return actor.all[-1].condition


def history(play: Play, name: str) -> list[str]:
    """What a newcomer is shown."""
    newcomer = play.actor(name)
    newcomer.joins(ROOM, name)
    bodies = [one.body for one in newcomer.all if one.kind == "message" and one.body]
    newcomer.clear()
    return bodies


def test_a_retracted_message_is_not_shown_to_newcomers() -> None:
    play = Play().opened("juliet")
    id = said(play.juliet, "wherefore")
    said(play.romeo, "what light")
    assert retract(play.juliet, id) == ""
    assert [one.tag for one in play.romeo.all[-1].element][:1] == [f"{{{FEATURE}}}retract"]
    assert history(play, "nurse") == ["what light", "retracted"]


def test_nobody_retracts_what_others_have_said_whatever_their_nick() -> None:
    play = Play().opened("juliet")
    id = said(play.juliet, "wherefore")
    assert retract(play.romeo, id) == "forbidden"
    play.juliet.sends(f"<presence type='unavailable' to='{ROOM}/juliet'/>")
    play.romeo.sends(f"<presence to='{ROOM}/juliet'/>")
    assert retract(play.romeo, id) == "forbidden"
    assert history(play, "nurse") == ["wherefore"]


@pytest.mark.parametrize("id", ["", "unknown"])
def test_what_the_room_does_not_remember_is_passed_on(id: str) -> None:
    play = Play().opened("juliet")
    assert retract(play.juliet, id) == ""
    assert play.romeo.all[-1].body == "retracted"


def test_an_occupant_cannot_retract_in_the_name_of_a_moderator() -> None:
    play = Play().opened("juliet")
    id = said(play.juliet, "wherefore")
    moderated = "<moderated xmlns='urn:xmpp:message-moderate:1' by='x'/>"
    assert retract(play.juliet, id, moderated) == ""
    assert f"{{{FEATURE}}}retract" not in play.romeo.all[-1].child_names
    assert history(play, "nurse") == ["wherefore", "retracted"]

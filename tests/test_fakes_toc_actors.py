"""Actors: users of AIM who act by cues, beside a client on a socket."""

from __future__ import annotations

import pytest

from fakes import World
from fakes.toc import Aim
from tests.test_fakes_toc import TOC, go_online, is_update
from tests.toc_raw import RawOnSocket


def test_an_actor_does_what_a_client_can_do() -> None:
    with World(TOC) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        bot.sign_on()
        bot.say("toc_add_buddy carol")
        bot.say("toc_get_status opsbot")
        bot.until(is_update)

        def carol_status() -> list[str]:
            update = bot.until(lambda message: message.startswith("UPDATE_BUDDY:Carol"))
            return update.split(":")

        carol = world.aim.actor("Carol")  # this creates the account
        carol.signs_on()
        assert carol_status()[2] == "T"
        carol.goes_away("lunch")
        bot.until(lambda message: message.endswith(" OU"))
        carol.comes_back()
        bot.until(lambda message: message.endswith(" O "))
        carol.idles(600)
        assert carol_status()[5] == "10"
        carol.idles(0)
        assert carol_status()[5] == "0"
        with pytest.raises(LookupError, match="'a:b' cannot be a screen name; use at most 48"):
            world.aim.actor("a:b")

        # Messages and warnings, in both directions.
        assert carol.says("OpsBot", "naïve", auto=True)
        bot.until("IM_IN:Carol:T:na\xefve")
        assert carol.says("OpsBot", "5 €")
        bot.until(f"IM_IN:Carol:F:{'5 €'.encode().decode('latin-1')}")
        assert not carol.says("Nobody", "hello")
        bot.send(bot.im("carol", "caf\xe9"))
        assert world.aim.wait_for(lambda im: im.to == "Carol").text == "café"
        assert carol.warns("OpsBot")
        bot.until("EVILED:10:Carol")
        assert not carol.warns("OpsBot", anonymous=True)
        carol.watches("OpsBot", "Nobody")
        assert [(status.name, status.warning) for status in carol.statuses] == [("OpsBot", 10)]
        bot.say("toc_evil carol anon")

        # Chat rooms.
        bot.say("toc_chat_join 4 Lobby")
        bot.until(lambda message: message.startswith("CHAT_UPDATE"))
        carol.joins("lobby")
        bot.until("CHAT_UPDATE_BUDDY:1:T:Carol")
        carol.says_in("lobby", "hi: all")
        bot.until("CHAT_IN:1:Carol:F:hi: all")
        bot.say('toc_chat_invite 1 "come" carol')
        bot.say("toc_chat_leave 1")
        bot.until("CHAT_LEFT:1")
        assert carol.notices == [
            "warned 3 by nobody",
            "joined Lobby",
            "in Lobby: OpsBot, Carol",
            "invited to Lobby by OpsBot: come",
            "out of Lobby: OpsBot",
        ]
        with pytest.raises(LookupError, match="' ' cannot be the name of a room; use printable"):
            carol.joins(" ")
        with pytest.raises(LookupError, match="Carol is not in a room 'elsewhere'; join it first"):
            carol.says_in("elsewhere", "hello")

        carol.blocks("OpsBot")
        bot.until("UPDATE_BUDDY:Carol:F:0:0:0:   ")
        carol.signs_off()
        assert world.aim.online == ["OpsBot"]
        events = [event.text for event in world.events if event.who == "Carol"]
        assert events[:3] == ["signs on", "goes away: lunch", "comes back"]


def test_a_cue_acts_as_any_user_and_sends_any_message() -> None:
    with World(TOC) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        go_online(bot)
        admin = world.aim.actor("SysAdmin")
        admin.signs_on()
        assert world.aim.actor("OpsBot").says("SysAdmin", "in the name of the bot")
        assert [str(im) for im in admin.heard] == ["OpsBot → SysAdmin: 'in the name of the bot'"]
        world.aim.sends("OpsBot", "ERROR:960:sysadmin")
        bot.until("ERROR:960:sysadmin")
        world.aim.warns("opsbot", 42)
        bot.until("EVILED:42:")
        with pytest.raises(LookupError, match="carol is not signed on; users online: OpsBot, SysA"):
            world.aim.sends("carol", "ERROR:903")
        world.aim.actor("OpsBot").signs_off()
        assert bot.ending() == "closes"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\0b", r"'\\x00' at position 1 cannot be sent over TOC; leave it out"),
        ("ab\udc80", r"'\\udc80' at position 2 cannot be sent over TOC; leave it out"),
    ],
)
def test_a_text_that_cannot_be_sent_is_refused_before_anything_happens(
    text: str, words: str
) -> None:
    aim = Aim()
    carol = aim.actor("Carol")
    with pytest.raises(ValueError, match=words):
        carol.says("Carol", text)
    with pytest.raises(ValueError, match=words):
        carol.says_in("lobby", text)
    assert aim.online == []


def test_a_room_carries_latin_1_only() -> None:
    aim = Aim()
    carol = aim.actor("Carol")
    carol.joins("lobby")
    carol.says_in("lobby", "caf\xe9")
    with pytest.raises(ValueError, match=r"'€' at position 2 .*; write it as &#8364; in HTML"):
        carol.says_in("lobby", "5 €")
    assert [im.text for im in carol.heard] == ["caf\xe9"]


def test_names_have_latin_1_characters_only() -> None:
    aim = Aim()
    with pytest.raises(LookupError, match="'Łukasz' cannot be a screen name; use at most 48"):
        aim.actor("Łukasz")
    with pytest.raises(LookupError, match="'Łódź' cannot be the name of a room"):
        aim.actor("Carol").joins("Łódź")

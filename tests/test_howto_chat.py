"""How do I …? Questions of people who test bots on Jabber and AIM, each answered by a test.

Only the public parts of `fakes` are used, so that the tests can be copied. The bots are the
clients of comms and slixmpp.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import slixmpp

from comms import xmpp
from comms.clock import RealClock
from comms.host import RealHost
from comms.settings import Server, load
from comms.toc.client import Client
from fakes import World

ALICE, BOT = "alice@example.test", "bot@example.test"
FRIENDS = [{"address": ALICE, "contacts": {BOT: "both"}}, {"address": BOT}]
in_clear = pytest.mark.world(servers=["xmpp"], tls="off", person=FRIENDS, program=BOT)


def server(world: World, name: str) -> Server:
    """What a settings file for this world would say."""
    return load(world.settings).server(name)


class EchoBot(slixmpp.ClientXMPP):  # type: ignore[misc]
    """The program under test: it answers each message with the same text."""

    def __init__(self, address: str, password: str) -> None:
        super().__init__(address, password)
        # Outside of TLS, slixmpp logs in only if it is told to.
        self.enable_starttls = self.enable_direct_tls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.add_event_handler("session_start", lambda event: self.send_presence())
        self.add_event_handler("message", self.answer)

    def answer(self, message: Any) -> None:
        if message["type"] == "chat":
            message.reply(f"you said: {message['body']}").send()


@in_clear
async def test_how_do_i_run_a_slixmpp_bot_without_tls(world: World) -> None:
    alice = world.jabber.actor(ALICE)
    alice.comes()
    bot = EchoBot(BOT, "secret")
    bot.connect(*world.address("xmpp"))
    await alice.arrival(lambda stanza: stanza.kind == "presence" and BOT in str(stanza.sender))
    alice.says(BOT, "hello")
    answer = await alice.arrival(lambda stanza: stanza.kind == "message")
    assert answer.text == "you said: hello"
    await bot.disconnect()


@in_clear
def test_how_do_i_see_what_the_program_has_said_on_jabber(world: World) -> None:
    with contextlib.closing(RealClock()) as clock:
        with xmpp.Client(server(world, "xmpp"), clock, RealHost()) as client:
            client.deliver(ALICE, "the database is down")
    message = world.jabber.wait_for(lambda stanza: stanza.to == ALICE)
    assert message.text == "the database is down"


@in_clear
def test_how_do_i_look_at_a_roster_and_at_messages_that_wait(world: World) -> None:
    world.jabber.actor(BOT).comes()
    world.jabber.actor(BOT).says(ALICE, "while you were away")
    assert world.jabber.roster(ALICE)[BOT].subscription == "both"
    (waiting,) = world.jabber.offline(ALICE)
    assert waiting.text == "while you were away"


@pytest.mark.world(servers=["toc"], program="ops")
def test_how_do_i_see_what_the_program_has_said_on_aim(world: World) -> None:
    alice = world.aim.actor("alice")
    alice.signs_on()
    with contextlib.closing(RealClock()) as clock:
        with Client(server(world, "toc"), clock, RealHost()) as client:
            client.connect()
            client.send_im("alice", "hello")
    assert world.aim.wait_for(lambda im: im.to == "alice").text == "hello"


@pytest.mark.world(servers=["xmpp", "toc", "irc"], tls="off", person=FRIENDS)
def test_how_do_i_look_who_is_in_a_room_or_channel(world: World) -> None:
    ops = "ops@conference.example.test"
    world.jabber.actor(ALICE).joins(ops, "alice")
    world.aim.actor("bob").joins("Ops")
    world.irc.person("carol").joins("#ops")
    assert world.jabber.room(ops).users["alice"].address == ALICE
    assert world.aim.in_room("ops") == ["bob"] and world.aim.in_room("dev") == []
    assert world.irc.channel("#ops").members == ["@carol"]


@in_clear
def test_how_do_i_open_a_room_for_the_program_and_talk_to_it_there(world: World) -> None:
    room = "ops@conference.example.test"
    alice = world.jabber.actor(ALICE)
    alice.joins(room, "alice")  # new, and therefore locked until its owner has sent a form
    form = "<x xmlns='jabber:x:data' type='submit'/>"
    query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
    alice.sends(f"<iq type='set' id='1' to='{room}'>{query}</iq>")
    bot = world.jabber.actor(BOT)  # in place of the program
    bot.joins(room, "bot")
    alice.says(room, "hello", "groupchat")
    assert bot.wait_for(text="hello").sender == f"{room}/alice"


@pytest.mark.world(servers=["xmpp", "toc", "irc"], tls="off", person=FRIENDS)
def test_how_do_i_wait_for_a_message_as_for_a_mail(world: World) -> None:
    world.jabber.actor(BOT).says(ALICE, "the database is down")
    world.aim.actor("bob").signs_on()
    world.aim.actor("alice").says("bob", "the database is down")
    world.irc.person("alice").joins("#ops")
    world.irc.person("alice").says("#ops", "the database is down")
    world.jabber.wait_for(to=ALICE, sender=BOT, text="database")
    world.aim.wait_for(to="bob", sender="al*", text="database")
    world.irc.wait_for(target="#ops", sender="alice", text="database")
    with pytest.raises(AssertionError) as missed:
        world.jabber.wait_for(to=ALICE, text="mail server", timeout=0.01)
    assert "that fits to='alice@example.test' text='mail server'" in str(missed.value)
    assert "the nearest: " in str(missed.value)
    assert "text is 'the database is down'" in str(missed.value)

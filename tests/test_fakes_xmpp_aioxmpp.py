"""aioxmpp, which is strict about everything that it is told, is a client of our server and does not know."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes import World

if sys.version_info >= (3, 12):
    pytest.skip("aioxmpp does not run on this Python", allow_module_level=True)

import aiosasl
import aioxmpp
import aioxmpp.dispatcher
import aioxmpp.ping

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"
PEOPLE = [{"address": ALICE, "contacts": {BOB: "both"}}, {"address": BOB}, {"address": CAROL}]
PATIENCE = 5.0


@asynccontextmanager
async def served(**config: Any) -> AsyncIterator[World]:
    async with World({"servers": ["xmpp"], "tls": "required", "person": PEOPLE, **config}) as world:
        yield world


class Client:
    """A client, and what it hears."""

    def __init__(self, world: World, address: str, password: str = "secret") -> None:
        layer = aioxmpp.make_security_layer(password, no_verify=True)
        peer = [(*world.address("xmpp"), aioxmpp.connector.STARTTLSConnector())]
        jid = aioxmpp.JID.fromstr(address)
        self.client = aioxmpp.PresenceManagedClient(jid, layer, override_peer=peer, max_initial_attempts=1)
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        dispatcher = self.client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
        dispatcher.register_callback(None, None, self.messages.put_nowait)
        self.presence = self.client.summon(aioxmpp.PresenceClient)
        self.roster = self.client.summon(aioxmpp.RosterClient)
        self.disco = self.client.summon(aioxmpp.DiscoClient)

    async def says(self, to: str, text: str) -> None:
        message = aioxmpp.Message(to=aioxmpp.JID.fromstr(to), type_=aioxmpp.MessageType.CHAT)
        message.body[None] = text
        await self.client.send(message)

    async def hears(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self.messages.get()

    async def sees(self, who: str, show: aioxmpp.PresenceShow) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                stanza = self.presence.get_most_available_stanza(aioxmpp.JID.fromstr(who))
                if stanza is not None and stanza.show == show:
                    return
                await asyncio.sleep(0)


@asynccontextmanager
async def client(world: World, address: str) -> AsyncIterator[Client]:
    one = Client(world, address)
    async with one.client.connected():
        yield one


async def test_two_talk_and_see_each_other() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        await alice.sees(BOB, aioxmpp.PresenceShow.NONE)
        bob.client.presence = aioxmpp.PresenceState(True, aioxmpp.PresenceShow.AWAY)
        await alice.sees(BOB, aioxmpp.PresenceShow.AWAY)
        await alice.says(BOB, "hello")
        message = await bob.hears()
        assert (message.from_, message.body.any()) == (alice.client.local_jid, "hello")
        await alice.says("nobody@example.test", "hello?")
        error = await alice.hears()
        assert error.error.condition == aioxmpp.ErrorCondition.SERVICE_UNAVAILABLE


async def test_it_becomes_a_contact() -> None:
    async with served() as world, client(world, BOB) as bob, client(world, CAROL) as carol:
        asked: asyncio.Queue[Any] = asyncio.Queue()
        carol.roster.on_subscribe.connect(asked.put_nowait, carol.roster.on_subscribe.STRONG)
        bob.roster.subscribe(aioxmpp.JID.fromstr(CAROL))
        async with asyncio.timeout(PATIENCE):
            assert str((await asked.get()).from_) == BOB
        carol.roster.approve(aioxmpp.JID.fromstr(BOB))
        await bob.sees(CAROL, aioxmpp.PresenceShow.NONE)
        assert world.jabber.roster(BOB)[CAROL].subscription == "to"
        await bob.roster.remove_entry(aioxmpp.JID.fromstr(CAROL))
        assert CAROL not in world.jabber.roster(BOB)


async def test_the_server_answers_what_it_says_it_can() -> None:
    async with served() as world, client(world, ALICE) as alice:
        domain = aioxmpp.JID.fromstr("example.test")
        info = await alice.disco.query_info(domain)
        assert {"urn:xmpp:ping", "vcard-temp"} <= set(info.features)
        await aioxmpp.ping.ping(alice.client, domain)
        assert (await alice.disco.query_items(domain)).items == []


async def test_a_wrong_password_is_told() -> None:
    async with served() as world:
        with pytest.raises(aiosasl.AuthenticationFailure):
            async with Client(world, ALICE, "wrong").client.connected():
                pass

"""aioxmpp, the strictest client library that we know, on our server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes import World

if sys.version_info >= (3, 12):
    pytest.skip("aioxmpp runs on no Python after 3.11; use that one", allow_module_level=True)

import aiosasl
import aioxmpp
import aioxmpp.dispatcher
import aioxmpp.ping

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"
PEOPLE = [{"address": ALICE, "contacts": {BOB: "both"}}, {"address": BOB}, {"address": CAROL}]
PATIENCE = 5.0


@asynccontextmanager
async def served(**config: Any) -> AsyncIterator[World]:
    """A world that serves Jabber, with STARTTLS required."""
    base: dict[str, Any] = {"servers": ["xmpp"], "tls": "required", "person": PEOPLE}
    async with World({**base, **config}) as world:
        yield world


class Client:
    """A client, and the messages that it receives."""

    def __init__(self, world: World, address: str, password: str = "secret") -> None:
        layer = aioxmpp.make_security_layer(password, no_verify=True)
        peer = [(*world.address("xmpp"), aioxmpp.connector.STARTTLSConnector())]
        jid = aioxmpp.JID.fromstr(address)
        self.client = aioxmpp.PresenceManagedClient(
            jid, layer, override_peer=peer, max_initial_attempts=1
        )
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        dispatcher = self.client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
        dispatcher.register_callback(None, None, self.messages.put_nowait)
        self.presence = self.client.summon(aioxmpp.PresenceClient)
        self.roster = self.client.summon(aioxmpp.RosterClient)
        self.disco = self.client.summon(aioxmpp.DiscoClient)

    async def send_message(self, to: str, text: str) -> None:
        message = aioxmpp.Message(to=aioxmpp.JID.fromstr(to), type_=aioxmpp.MessageType.CHAT)
        message.body[None] = text
        await self.client.send(message)

    async def next_message(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self.messages.get()

    async def wait_for_presence(self, address: str, show: aioxmpp.PresenceShow) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                jid = aioxmpp.JID.fromstr(address)
                stanza = self.presence.get_most_available_stanza(jid)
                if stanza is not None and stanza.show == show:
                    return
                await asyncio.sleep(0)


@asynccontextmanager
async def client(world: World, address: str) -> AsyncIterator[Client]:
    """A client that has logged in."""
    found = Client(world, address)
    async with found.client.connected():
        yield found


async def test_two_contacts_exchange_messages_and_see_each_other() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        await alice.wait_for_presence(BOB, aioxmpp.PresenceShow.NONE)
        bob.client.presence = aioxmpp.PresenceState(True, aioxmpp.PresenceShow.AWAY)
        await alice.wait_for_presence(BOB, aioxmpp.PresenceShow.AWAY)
        await alice.send_message(BOB, "hello")
        message = await bob.next_message()
        assert (message.from_, message.body.any()) == (alice.client.local_jid, "hello")
        await alice.send_message("nobody@example.test", "hello?")
        error = await alice.next_message()
        assert error.error.condition == aioxmpp.ErrorCondition.SERVICE_UNAVAILABLE


async def test_two_users_become_contacts() -> None:
    async with served() as world, client(world, BOB) as bob, client(world, CAROL) as carol:
        requests: asyncio.Queue[Any] = asyncio.Queue()
        on_subscribe = carol.roster.on_subscribe
        on_subscribe.connect(requests.put_nowait, on_subscribe.STRONG)
        bob.roster.subscribe(aioxmpp.JID.fromstr(CAROL))
        async with asyncio.timeout(PATIENCE):
            assert str((await requests.get()).from_) == BOB
        carol.roster.approve(aioxmpp.JID.fromstr(BOB))
        await bob.wait_for_presence(CAROL, aioxmpp.PresenceShow.NONE)
        assert world.jabber.roster(BOB)[CAROL].subscription == "to"
        await bob.roster.remove_entry(aioxmpp.JID.fromstr(CAROL))
        assert CAROL not in world.jabber.roster(BOB)


async def test_the_server_answers_the_requests_that_it_announces() -> None:
    async with served() as world, client(world, ALICE) as alice:
        domain = aioxmpp.JID.fromstr("example.test")
        info = await alice.disco.query_info(domain)
        assert {"urn:xmpp:ping", "vcard-temp"} <= set(info.features)
        await aioxmpp.ping.ping(alice.client, domain)
        services = (await alice.disco.query_items(domain)).items
        assert "conference.example.test" in {str(service.jid) for service in services}


async def test_aioxmpp_recognises_the_refusal_of_a_wrong_password() -> None:
    async with served() as world:
        with pytest.raises(aiosasl.AuthenticationFailure):
            async with Client(world, ALICE, "wrong").client.connected():
                pass

"""slixmpp, which nobody here wrote, is a client of our server and does not know."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import slixmpp
from slixmpp.exceptions import IqError

from fakes import World

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"
PEOPLE = [{"address": ALICE, "contacts": {BOB: "both"}}, {"address": BOB}, {"address": CAROL}]
PATIENCE = 5.0
PLUGINS = "xep_0012 xep_0030 xep_0049 xep_0054 xep_0085 xep_0092 xep_0115 xep_0184 xep_0191 xep_0199 xep_0202 xep_0203"


@asynccontextmanager
async def served(**config: Any) -> AsyncIterator[World]:
    ports = {"xmpp": 0} if config.get("tls") == "off" else {"xmpp": 0, "xmpps": 0}
    async with World({"servers": ["xmpp"], "tls": "off", "person": PEOPLE, **config}, ports=ports) as world:
        yield world


class Client(slixmpp.ClientXMPP):  # type: ignore[misc]
    """A client that keeps what happens to it."""

    def __init__(self, world: World, address: str, password: str = "secret", listener: str = "xmpp") -> None:
        super().__init__(address, password)
        self.world, self.listener = world, listener
        self.happened: list[str] = []
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.presences: asyncio.Queue[Any] = asyncio.Queue()
        self.subscriptions: asyncio.Queue[Any] = asyncio.Queue()
        for plugin in PLUGINS.split():
            self.register_plugin(plugin)
        self.enable_plaintext = world.tls == "off"
        self.enable_starttls = listener == "xmpp" and world.tls != "off"
        self.enable_direct_tls = listener == "xmpps"
        if world.tls == "off":
            for kind in ("plain", "digest", "scram"):
                setattr(self.mechanisms, f"unencrypted_{kind}", True)
        else:
            self.ca_certs = str(world.ca_file)
        for event in ("session_start", "failed_all_auth", "disconnected", "connection_failed", "stream_error"):
            self.add_event_handler(event, lambda what, event=event: self.happened.append(event))
        self.add_event_handler("message", self.messages.put_nowait)
        for event in ("presence_available", "presence_away", "presence_unavailable"):
            self.add_event_handler(event, self.presences.put_nowait)
        for event in ("presence_subscribe", "presence_subscribed", "presence_unsubscribed"):
            self.add_event_handler(event, self.subscriptions.put_nowait)
        self.auto_authorize = self.auto_subscribe = None

    @property
    def mechanisms(self) -> Any:
        return self.plugin["feature_mechanisms"]

    def __getitem__(self, name: str) -> Any:
        return self.plugin[name]

    async def until(self, event: str) -> None:
        """Waits until something has happened."""
        async with asyncio.timeout(PATIENCE):
            while event not in self.happened:
                await asyncio.sleep(0)

    async def logs_in(self, online: bool = True) -> Client:
        host, port = self.world.address(self.listener)
        self.connect(host=host, port=port)
        await self.until("session_start")
        if online:
            await self.get_roster()
            self.send_presence()
            await self.presence_of(self.boundjid.full)
        return self

    async def presence_of(self, address: str, kind: str = "available") -> Any:
        async with asyncio.timeout(PATIENCE):
            while True:
                presence = await self.presences.get()
                if presence["from"] == address and presence["type"] == kind:
                    return presence

    async def hears(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self.messages.get()


@asynccontextmanager
async def client(world: World, address: str, **options: Any) -> AsyncIterator[Client]:
    one = await Client(world, address).logs_in(**options)
    yield one
    await one.disconnect()


# ── logging in ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "DIGEST-MD5"])
@pytest.mark.parametrize("tls", ["off", "required"])
async def test_it_logs_in_by_each_mechanism_alone(mechanism: str, tls: str) -> None:
    async with served(tls=tls) as world:
        one = Client(world, ALICE)
        one.mechanisms.use_mech = mechanism
        await one.logs_in()
        assert [record.fields["mechanism"] for record in world.records if "mechanism" in record.fields] == [mechanism]
        await one.disconnect()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
async def test_it_binds_its_login_to_the_channel_where_python_lets_it(mechanism: str) -> None:
    async with served(tls="required") as world:
        one = Client(world, ALICE)
        one.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2  # tls-unique is all that Python's ssl knows
        one.mechanisms.use_mech = mechanism
        await one.logs_in()
        assert [record.fields["mechanism"] for record in world.records if "mechanism" in record.fields] == [mechanism]
        await one.disconnect()


async def test_it_logs_in_by_direct_tls() -> None:
    async with served(tls="optional") as world:
        one = await Client(world, ALICE, listener="xmpps").logs_in()
        assert world.jabber.presence(ALICE)
        await one.disconnect()


async def test_it_logs_in_as_nobody_in_particular() -> None:
    async with served(xmpp={"anonymous": True}) as world:
        one = Client(world, "example.test", "")
        await one.logs_in()
        assert one.boundjid.user.count("-") == 4
        assert len(world.jabber.accounts) == 4
        await one.disconnect()
        await one.until("disconnected")
        assert len(world.jabber.accounts) == 3


async def test_a_wrong_password_is_told() -> None:
    async with served() as world:
        one = Client(world, ALICE, "wrong")
        host, port = world.address("xmpp")
        one.connect(host=host, port=port)
        await one.until("failed_all_auth")
        assert "session_start" not in one.happened


# ── talking ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_talk_and_see_each_other() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        assert (await alice.presence_of(bob.boundjid.full))["type"] == "available"
        bob.send_presence(pshow="away", pstatus="tea")
        assert (await alice.presence_of(bob.boundjid.full, "away"))["status"] == "tea"
        alice.send_message(BOB, "hello ☺ <&>")
        message = await bob.hears()
        assert (message["from"], message["body"]) == (alice.boundjid.full, "hello ☺ <&>")
        message.reply("hello yourself").send()
        assert (await alice.hears())["body"] == "hello yourself"
        assert (await world.jabber.arrival(lambda stanza: stanza.body == "hello yourself")).to == alice.boundjid.full


async def test_a_message_for_nobody_comes_back() -> None:
    async with served() as world, client(world, ALICE) as alice:
        alice.send_message("nobody@example.test", "hello?")
        error = await alice.hears()
        assert (error["type"], error["error"]["condition"]) == ("error", "service-unavailable")


async def test_what_came_in_absence_is_stamped() -> None:
    async with served() as world:
        world.jabber.actor(ALICE).says(BOB, "while you were out")
        async with client(world, BOB) as bob:
            message = await bob.hears()
            assert (message["body"], message["delay"]["from"]) == ("while you were out", "example.test")


async def test_receipts_and_chat_states_pass() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        message = alice.make_message(bob.boundjid.full, "did you get this?")
        message["request_receipt"] = True
        message["chat_state"] = "active"
        message.send()
        got = await bob.hears()
        assert (got["request_receipt"], got["chat_state"]) == (True, "active")
        async with asyncio.timeout(PATIENCE):
            await alice.wait_until("receipt_received", PATIENCE)


# ── contacts ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_become_contacts() -> None:
    async with served() as world, client(world, BOB) as bob, client(world, CAROL) as carol:
        bob.send_presence_subscription(CAROL)
        async with asyncio.timeout(PATIENCE):
            assert (await carol.subscriptions.get())["from"] == BOB
            carol.send_presence_subscription(BOB, ptype="subscribed")
            assert (await bob.subscriptions.get())["type"] == "subscribed"
        await bob.presence_of(carol.boundjid.full)
        assert bob.client_roster[CAROL]["subscription"] == "to"
        assert world.jabber.roster(CAROL)[BOB].subscription == "from"


async def test_the_roster_is_changed_and_pushed() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, ALICE) as other:
        await alice.update_roster(CAROL, name="Carol", groups=["Friends", "Work"])
        async with asyncio.timeout(PATIENCE):
            while other.client_roster[CAROL]["name"] != "Carol":
                await asyncio.sleep(0)
        assert sorted(other.client_roster[CAROL]["groups"]) == ["Friends", "Work"]
        await other.del_roster_item(CAROL)
        assert CAROL not in world.jabber.roster(ALICE)


# ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_server_answers_what_it_says_it_can() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        info = await alice["xep_0030"].get_info("example.test")
        assert {"urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:blocking"} <= info["disco_info"]["features"]
        assert await alice["xep_0199"].ping("example.test") < PATIENCE
        assert (await alice["xep_0092"].get_version("example.test"))["software_version"]["name"] == "fakes"
        assert "<tzo>+00:00</tzo>" in str(
            await alice["xep_0202"].get_entity_time("example.test")
        )  # it cannot read it itself
        assert (await alice["xep_0012"].get_last_activity(BOB))["last_activity"]["seconds"] == 0
        # and the clients answer each other
        assert (await alice["xep_0092"].get_version(bob.boundjid.full))["software_version"]["name"] == "Slixmpp"
        with pytest.raises(IqError) as error:
            await alice["xep_0092"].get_version(BOB)
        assert error.value.condition == "service-unavailable"


async def test_cards_private_data_and_blocks_are_kept() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        card = alice["xep_0054"].make_vcard()
        card["FN"] = "Alice"
        await alice["xep_0054"].publish_vcard(card)
        assert (await bob["xep_0054"].get_vcard(ALICE))["vcard_temp"]["FN"] == "Alice"
        await alice["xep_0191"].block(BOB)
        blocked = (await alice["xep_0191"].get_blocked())["blocklist"]["items"]
        assert [item["jid"] for item in blocked] == [BOB]
        assert (await bob.presence_of(alice.boundjid.full, "unavailable"))["type"] == "unavailable"
        bob.send_message(ALICE, "can you hear me?")
        assert (await bob.hears())["error"]["condition"] == "service-unavailable"


async def test_the_hash_in_the_stream_features_is_that_of_what_the_server_can() -> None:
    async with served() as world, client(world, ALICE) as alice:
        said = next(record.raw.decode() for record in world.records if b"protocol/caps" in record.raw)
        ver = said.partition("ver='")[2].partition("'")[0]
        info = await alice["xep_0030"].get_info("example.test", node=f"https://fakes.example#{ver}")
        assert alice["xep_0115"].generate_verstring(info["disco_info"], "sha-1") == ver


# ── what a test does to it ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("act", "condition"),
    [(lambda world: world.jabber.conflict(ALICE), "conflict"), (lambda world: world.jabber.shutdown(), "system-shutdown")],
)
async def test_it_is_told_why_its_stream_ends(act: Callable[[World], object], condition: str) -> None:
    async with served() as world, client(world, ALICE) as alice:
        errors: list[Any] = []
        alice.add_event_handler("stream_error", errors.append)
        act(world)
        await alice.until("disconnected")
        assert [error["condition"] for error in errors] == [condition]


async def test_a_fault_reaches_it_as_an_error() -> None:
    async with served(fault=[{"where": "iq", "arg": "urn:xmpp:ping", "reply": "resource-constraint", "times": 1}]) as world:
        async with client(world, ALICE) as alice:
            with pytest.raises(IqError) as error:
                await alice["xep_0199"].send_ping("example.test")
            assert error.value.condition == "resource-constraint"
            await alice["xep_0199"].send_ping("example.test")

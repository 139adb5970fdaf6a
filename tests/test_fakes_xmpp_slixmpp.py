"""slixmpp, a client library that is not ours, on our server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree

import pytest
import slixmpp
from slixmpp.exceptions import IqError

from fakes import World

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"
PEOPLE = [{"address": ALICE, "contacts": {BOB: "both"}}, {"address": BOB}, {"address": CAROL}]
PATIENCE = 5.0
PLUGINS = (
    "xep_0012 xep_0030 xep_0049 xep_0054 xep_0085 xep_0092 xep_0115 xep_0184 xep_0191 xep_0199 "
    "xep_0202 xep_0203".split()
)


@asynccontextmanager
async def served(**config: Any) -> AsyncIterator[World]:
    """A world that serves Jabber, with direct TLS too unless TLS is off."""
    config = {"servers": ["xmpp"], "tls": "off", "person": PEOPLE, **config}
    ports = {"xmpp": 0} if config["tls"] == "off" else {"xmpp": 0, "xmpps": 0}
    async with World(config, ports=ports) as world:
        yield world


class Client(slixmpp.ClientXMPP):  # type: ignore[misc]
    """A client that keeps what happens to it."""

    def __init__(
        self, world: World, address: str, password: str = "secret", listener: str = "xmpp"
    ) -> None:
        super().__init__(address, password)
        self.world, self.listener = world, listener
        self.happened: list[str] = []
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.presences: asyncio.Queue[Any] = asyncio.Queue()
        self.subscriptions: asyncio.Queue[Any] = asyncio.Queue()
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.enable_plaintext = world.tls == "off"
        self.enable_starttls = listener == "xmpp" and world.tls != "off"
        self.enable_direct_tls = listener == "xmpps"
        if world.tls == "off":
            for kind in ("plain", "digest", "scram"):
                setattr(self.mechanisms, f"unencrypted_{kind}", True)
        else:
            self.ca_certs = str(world.ca_file)
        events = "session_start failed_all_auth disconnected connection_failed stream_error"
        for event in events.split():
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
        """Waits until an event has happened."""
        async with asyncio.timeout(PATIENCE):
            while event not in self.happened:
                await asyncio.sleep(0)

    async def log_in(self, online: bool = True) -> Client:
        """Connects and logs in; `online` fetches the roster and sends presence too."""
        host, port = self.world.address(self.listener)
        self.connect(host=host, port=port)
        await self.until("session_start")
        if online:
            await self.get_roster()
            self.send_presence()
            await self.presence_of(self.boundjid.full)
        return self

    async def presence_of(self, address: str, type: str = "available") -> Any:
        """Waits for presence of this type from an address, and returns it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                presence = await self.presences.get()
                if presence["from"] == address and presence["type"] == type:
                    return presence

    async def next_message(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            return await self.messages.get()


@asynccontextmanager
async def client(world: World, address: str, **options: Any) -> AsyncIterator[Client]:
    """A client that has logged in."""
    logged_in = await Client(world, address).log_in(**options)
    yield logged_in
    await logged_in.disconnect()


def mechanisms_used(world: World) -> list[str]:
    """The mechanisms of the logins that succeeded."""
    records = world.records
    return [record.fields["mechanism"] for record in records if "mechanism" in record.fields]


# ── login ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "DIGEST-MD5"])
@pytest.mark.parametrize("tls", ["off", pytest.param("required", marks=pytest.mark.slow)])
async def test_slixmpp_logs_in_with_each_mechanism(mechanism: str, tls: str) -> None:
    async with served(tls=tls) as world:
        alice = Client(world, ALICE)
        alice.mechanisms.use_mech = mechanism
        await alice.log_in()
        assert mechanisms_used(world) == [mechanism]
        await alice.disconnect()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"])
async def test_slixmpp_binds_its_login_to_the_channel_in_tls_1_2(mechanism: str) -> None:
    async with served(tls="required") as world:
        alice = Client(world, ALICE)
        # The only binding type that Python's ssl knows is tls-unique, which TLS 1.3 does not have.
        alice.ssl_context.maximum_version = ssl.TLSVersion.TLSv1_2
        alice.mechanisms.use_mech = mechanism
        await alice.log_in()
        assert mechanisms_used(world) == [mechanism]
        await alice.disconnect()


async def test_slixmpp_logs_in_with_direct_tls() -> None:
    async with served(tls="optional") as world:
        alice = await Client(world, ALICE, listener="xmpps").log_in()
        assert world.jabber.presence(ALICE)
        await alice.disconnect()


async def test_an_anonymous_account_ends_when_slixmpp_disconnects() -> None:
    async with served(xmpp={"anonymous": True}) as world:
        anonymous = Client(world, "example.test", "")
        await anonymous.log_in()
        assert anonymous.boundjid.user.count("-") == 4  # a UUID
        assert len(world.jabber.accounts) == 4
        await anonymous.disconnect()
        await anonymous.until("disconnected")
        assert len(world.jabber.accounts) == 3


async def test_slixmpp_recognises_the_refusal_of_a_wrong_password() -> None:
    async with served() as world:
        alice = Client(world, ALICE, "wrong")
        host, port = world.address("xmpp")
        alice.connect(host=host, port=port)
        await alice.until("failed_all_auth")
        assert "session_start" not in alice.happened


# ── messages and presence ────────────────────────────────────────────────────


async def test_two_contacts_exchange_messages_and_see_each_other() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        assert (await alice.presence_of(bob.boundjid.full))["type"] == "available"
        bob.send_presence(pshow="away", pstatus="tea")
        assert (await alice.presence_of(bob.boundjid.full, "away"))["status"] == "tea"
        alice.send_message(BOB, "hello ☺ <&>")
        message = await bob.next_message()
        assert (message["from"], message["body"]) == (alice.boundjid.full, "hello ☺ <&>")
        message.reply("hello yourself").send()
        assert (await alice.next_message())["body"] == "hello yourself"
        reply = await world.jabber.arrival(lambda stanza: stanza.body == "hello yourself")
        assert reply.to == alice.boundjid.full


async def test_a_message_for_an_unknown_user_is_answered_with_an_error() -> None:
    async with served() as world, client(world, ALICE) as alice:
        alice.send_message("nobody@example.test", "hello?")
        error = await alice.next_message()
        assert (error["type"], error["error"]["condition"]) == ("error", "service-unavailable")


async def test_a_stored_message_has_a_delay_stamp() -> None:
    async with served() as world:
        world.jabber.actor(ALICE).says(BOB, "while you were out")
        async with client(world, BOB) as bob:
            message = await bob.next_message()
            assert message["body"] == "while you were out"
            assert message["delay"]["from"] == "example.test"


async def test_receipts_and_chat_states_pass_through_the_server() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        message = alice.make_message(bob.boundjid.full, "did you get this?")
        message["request_receipt"] = True
        message["chat_state"] = "active"
        message.send()
        got = await bob.next_message()
        assert (got["request_receipt"], got["chat_state"]) == (True, "active")
        async with asyncio.timeout(PATIENCE):
            await alice.wait_until("receipt_received", PATIENCE)


# ── contacts ─────────────────────────────────────────────────────────────────


async def test_two_users_become_contacts() -> None:
    async with served() as world, client(world, BOB) as bob, client(world, CAROL) as carol:
        bob.send_presence_subscription(CAROL)
        async with asyncio.timeout(PATIENCE):
            assert (await carol.subscriptions.get())["from"] == BOB
            carol.send_presence_subscription(BOB, ptype="subscribed")
            assert (await bob.subscriptions.get())["type"] == "subscribed"
        await bob.presence_of(carol.boundjid.full)
        assert bob.client_roster[CAROL]["subscription"] == "to"
        assert world.jabber.roster(CAROL)[BOB].subscription == "from"


async def test_changes_of_the_roster_are_pushed_to_all_resources() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, ALICE) as other:
        await alice.update_roster(CAROL, name="Carol", groups=["Friends", "Work"])
        async with asyncio.timeout(PATIENCE):
            while other.client_roster[CAROL]["name"] != "Carol":
                await asyncio.sleep(0)
        assert sorted(other.client_roster[CAROL]["groups"]) == ["Friends", "Work"]
        await other.del_roster_item(CAROL)
        assert CAROL not in world.jabber.roster(ALICE)


# ── requests ─────────────────────────────────────────────────────────────────


async def test_the_server_answers_the_requests_that_it_announces() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        info = await alice["xep_0030"].get_info("example.test")
        features = {"urn:xmpp:ping", "jabber:iq:version", "urn:xmpp:blocking"}
        assert features <= info["disco_info"]["features"]
        assert await alice["xep_0199"].ping("example.test") < PATIENCE
        version = await alice["xep_0092"].get_version("example.test")
        assert version["software_version"]["name"] == "fakes"
        # slixmpp cannot read the time zone itself
        assert "<tzo>+00:00</tzo>" in str(await alice["xep_0202"].get_entity_time("example.test"))
        activity = await alice["xep_0012"].get_last_activity(BOB)
        assert activity["last_activity"]["seconds"] == 0
        # Clients answer each other.
        version = await alice["xep_0092"].get_version(bob.boundjid.full)
        assert version["software_version"]["name"] == "Slixmpp"
        with pytest.raises(IqError) as error:
            await alice["xep_0092"].get_version(BOB)
        assert error.value.condition == "service-unavailable"


async def test_vcards_and_block_lists_are_stored() -> None:
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        card = alice["xep_0054"].make_vcard()
        card["FN"] = "Alice"
        await alice["xep_0054"].publish_vcard(card)
        assert (await bob["xep_0054"].get_vcard(ALICE))["vcard_temp"]["FN"] == "Alice"
        await alice["xep_0191"].block(BOB)
        blocked = (await alice["xep_0191"].get_blocked())["blocklist"]["items"]
        assert [item["jid"] for item in blocked] == [BOB]
        gone = await bob.presence_of(alice.boundjid.full, "unavailable")
        assert gone["type"] == "unavailable"
        bob.send_message(ALICE, "can you hear me?")
        error = await bob.next_message()
        assert error["error"]["condition"] == "service-unavailable"


async def test_contacts_see_the_tune_of_each_other() -> None:
    """Personal eventing (XEP-0163): the server asks the client for its capabilities."""
    async with served() as world, client(world, BOB) as bob:
        alice = Client(world, ALICE)
        for one in (alice, bob):
            one.register_plugin("xep_0163")
            one.register_plugin("xep_0118")
        tunes: asyncio.Queue[Any] = asyncio.Queue()
        alice.add_event_handler("user_tune_publish", tunes.put_nowait)
        await bob["xep_0118"].publish_tune(title="Yesterday", artist="The Beatles")
        await alice.log_in()
        async with asyncio.timeout(PATIENCE):
            for title in ("Yesterday", "Help!"):
                event = await tunes.get()
                assert event["from"] == BOB
                assert event["pubsub_event"]["items"]["item"]["tune"]["title"] == title
                await bob["xep_0118"].publish_tune(title="Help!", artist="The Beatles")
        await alice.disconnect()


async def test_a_node_of_the_service_has_subscribers_and_items() -> None:
    where = "pubsub.example.test"
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        for one in (alice, bob):
            one.register_plugin("xep_0060")
        events: asyncio.Queue[Any] = asyncio.Queue()
        bob.add_event_handler("pubsub_publish", events.put_nowait)
        form = alice["xep_0004"].make_form(ftype="submit")
        form.add_field(var="pubsub#max_items", value="2")
        await alice["xep_0060"].create_node(where, "news", config=form)
        await bob["xep_0060"].subscribe(where, "news")
        for id in "123":
            item = ElementTree.fromstring(f"<entry xmlns='urn:example:news'>{id}</entry>")
            await alice["xep_0060"].publish(where, "news", id=id, payload=item)
        async with asyncio.timeout(PATIENCE):
            heard = [(await events.get())["pubsub_event"]["items"]["item"]["id"] for _ in "123"]
        assert heard == ["1", "2", "3"]
        kept = await bob["xep_0060"].get_items(where, "news")
        assert [item["id"] for item in kept["pubsub"]["items"]] == ["2", "3"]
        with pytest.raises(IqError) as refused:
            await bob["xep_0060"].delete_node(where, "news")
        assert refused.value.condition == "forbidden"
        nodes = await bob["xep_0060"].get_nodes(where)
        assert [(item[0], item[1]) for item in nodes["disco_items"]["items"]] == [(where, "news")]


async def test_slixmpp_pages_through_an_archive_and_reads_its_preferences() -> None:
    async with served() as world, client(world, ALICE) as alice:
        for plugin in ("xep_0313", "xep_0441"):
            alice.register_plugin(plugin)
        bob = world.jabber.actor(BOB)
        for number in range(5):
            bob.says(ALICE, str(number))
        archive = alice.plugin["xep_0313"]
        async with asyncio.timeout(PATIENCE):
            found = [one async for one in archive.iterate(rsm={"max": 2}, with_jid=BOB)]
            (last,) = [one async for one in archive.iterate(jid=ALICE, reverse=True, total=1)]
            described = (await archive.get_archive_metadata())["mam_metadata"]
            fields = (await archive.get_fields()).get_fields()
            default, always, never = await alice.plugin["xep_0441"].get_preferences()
        forwarded = [one["mam_result"]["forwarded"]["stanza"]["body"] for one in found]
        assert forwarded == ["0", "1", "2", "3", "4"]
        assert last["mam_result"]["id"] == found[-1]["mam_result"]["id"] == described["end"]["id"]
        assert {"with", "start", "end", "before-id", "after-id", "ids"} <= set(fields)
        assert (default, always, never) == ("always", set(), set())


async def test_an_avatar_is_the_same_at_its_nodes_and_in_the_vcard() -> None:
    image = b"\x89PNG"
    async with served() as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        for one in (alice, bob):
            one.register_plugin("xep_0084")
        hash = alice["xep_0084"].generate_id(image)
        await alice["xep_0084"].publish_avatar(image)
        info = {"id": hash, "type": "image/png", "bytes": len(image)}
        await alice["xep_0084"].publish_avatar_metadata([info])
        card = await bob["xep_0054"].get_vcard(ALICE)
        assert card["vcard_temp"]["PHOTO"]["BINVAL"] == image
        alice.send_presence(pshow="away")
        seen = await bob.presence_of(alice.boundjid.full, "away")
        assert hash in str(seen)
        bob.register_plugin("xep_0153")
        await bob["xep_0054"].publish_vcard(bob["xep_0054"].make_vcard())
        await bob["xep_0153"].set_avatar(avatar=image, mtype="image/png")
        data = await alice["xep_0084"].retrieve_avatar(BOB, hash)
        assert data["pubsub"]["items"]["item"]["avatar_data"]["value"] == image


async def test_bookmarks_of_every_kind_are_the_same() -> None:
    room = "hall@conference.example.test"
    async with served() as world, client(world, ALICE) as alice:
        for plugin in ("xep_0048", "xep_0402"):
            alice.register_plugin(plugin)
        item = alice["xep_0060"].stanza.Item()
        for name, value in (("name", "Hall"), ("autojoin", True), ("nick", "alice")):
            item["conference"][name] = value
        payload = item["conference"].xml
        await alice["xep_0060"].publish(ALICE, "urn:xmpp:bookmarks:1", id=room, payload=payload)
        for method in ("xep_0049", "xep_0223"):
            found = await alice["xep_0048"].get_bookmarks(method=method)
            if method == "xep_0049":
                bookmarks = found["private"]["bookmarks"]
            else:
                bookmarks = found["pubsub"]["items"]["item"]["bookmarks"]
            [one] = bookmarks["conferences"]
            assert (str(one["jid"]), one["name"], one["nick"]) == (room, "Hall", "alice")


async def test_an_administrator_announces() -> None:
    config = {"xmpp": {"admins": [ALICE]}}
    async with served(**config) as world, client(world, ALICE) as alice, client(world, BOB) as bob:
        for plugin in ("xep_0004", "xep_0050", "xep_0133"):
            alice.register_plugin(plugin)
        ended: asyncio.Queue[str] = asyncio.Queue()

        def fill_in(iq: Any, session: dict[str, Any]) -> None:
            form = alice["xep_0004"].make_form("submit")
            form.add_field(var="announcement", value=["one", "two"], ftype="text-multi")
            session["payload"], session["next"] = form, close
            alice["xep_0050"].continue_command(session)

        def close(iq: Any, session: dict[str, Any]) -> None:
            ended.put_nowait(iq["command"]["status"])

        alice["xep_0133"].announce(session={"next": fill_in, "error": close})
        assert (await bob.next_message())["body"] == "one\ntwo"
        async with asyncio.timeout(PATIENCE):
            assert await ended.get() == "completed"


@pytest.mark.parametrize("contacts", [{}, {"admin": ["xmpp:ops@a.test", "mailto:ops@a.test"]}])
async def test_the_caps_hash_in_the_stream_features_is_right(contacts: dict[str, Any]) -> None:
    config = {"xmpp": {"contact_addresses": contacts}}
    async with served(**config) as world, client(world, ALICE) as alice:
        records = world.records
        sent = next(record.raw for record in records if b"protocol/caps" in record.raw).decode()
        ver = sent.partition("ver='")[2].partition("'")[0]
        node = f"https://fakes.example#{ver}"
        info = await alice["xep_0030"].get_info("example.test", node=node)
        assert alice["xep_0115"].generate_verstring(info["disco_info"], "sha-1") == ver


# ── what a test does ─────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("act", "condition"),
    [
        (lambda world: world.jabber.conflict(ALICE), "conflict"),
        (lambda world: world.jabber.shutdown(), "system-shutdown"),
    ],
)
async def test_slixmpp_gets_the_stream_error_that_a_test_causes(
    act: Callable[[World], object], condition: str
) -> None:
    async with served() as world, client(world, ALICE) as alice:
        errors: list[Any] = []
        alice.add_event_handler("stream_error", errors.append)
        act(world)
        await alice.until("disconnected")
        assert [error["condition"] for error in errors] == [condition]


async def test_slixmpp_gets_the_stanza_error_that_a_fault_names() -> None:
    ping = {
        "where": "iq",
        "arg": "urn:xmpp:ping",
        "reply": "resource-constraint",
        "times": 1,
    }
    async with served(fault=[ping]) as world, client(world, ALICE) as alice:
        with pytest.raises(IqError) as error:
            await alice["xep_0199"].send_ping("example.test")
        assert error.value.condition == "resource-constraint"
        await alice["xep_0199"].send_ping("example.test")

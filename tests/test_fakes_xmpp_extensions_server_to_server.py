"""Two servers: messages and presence cross, and what cannot be delivered comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import World, WorldError
from fakes.xmpp.extensions.server_to_server import WAITING

ALICE, ANN, EVE = "alice@example.test", "ann@partner.test", "eve@evil.test"
CONFIG: dict[str, Any] = {
    "servers": ["xmpp", "xmpp-server"],
    "person": [{"address": ALICE}, {"address": ANN}, {"address": EVE}],
    "xmpp": {"domains": ["example.test"], "neighbours": ["partner.test", "evil.test"]},
}


def config(**xmpp: Any) -> dict[str, Any]:
    return {**CONFIG, "xmpp": {**CONFIG["xmpp"], **xmpp}}


def verbs(world: World) -> list[str]:
    return [record.verb for record in world.records if record.direction == "C"]


def test_messages_cross_by_dialback_once_each_way() -> None:
    with World(config(), rehearsal=True) as world:
        alice = world.jabber.actor(ALICE)
        ann = world.neighbour("partner.test").actor(ANN)
        alice.comes()
        ann.comes()
        for text in ("one", "two"):
            alice.says(ANN, text)
            ann.says(ALICE, text)
        world.clock.settle()
        assert [one.body for one in ann.messages] == ["one", "two"]
        assert [one.body for one in alice.messages] == ["one", "two"]
        assert alice.messages[0].sender == f"{ANN}/play"
        assert verbs(world).count("result") == verbs(world).count("verify") == 2
        assert verbs(world).count("stream") == 2


def test_presence_crosses_from_the_request_to_the_end() -> None:
    with World(config(), rehearsal=True) as world:
        alice = world.jabber.actor(ALICE)
        partner = world.neighbour("partner.test")
        ann = partner.actor(ANN)
        alice.comes()
        ann.comes("away")
        alice.asks(ANN)
        ann.accepts(ALICE)
        assert world.jabber.roster(ALICE)[ANN].subscription == "to"
        assert partner.roster(ANN)[ALICE].subscription == "from"
        ann.goes()
        shown = [
            one.type or one.child_text("show") for one in alice.all if one.sender == f"{ANN}/play"
        ]
        assert shown == ["away", "unavailable"]


def test_a_room_is_reached_from_another_server() -> None:
    with World(config(), rehearsal=True) as world:
        alice = world.jabber.actor(ALICE)
        ann = world.neighbour("partner.test").actor(ANN)
        room = "lobby@conference.partner.test"
        ann.joins(room, "ann")
        form = "<x xmlns='jabber:x:data' type='submit'/>"
        query = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
        ann.sends(f"<iq type='set' to='{room}' id='open'>{query}</iq>")
        alice.joins(room, "alice")
        alice.says(room, "hello", type="groupchat")
        assert [one.sender for one in ann.messages if one.body] == [f"{room}/alice"]
        assert not any("jabber:server" in one.extra_attributes for one in alice.all)


def test_no_record_shows_the_password_of_a_room_on_another_server() -> None:
    with World(config(), rehearsal=True) as world:
        alice = world.jabber.actor(ALICE)
        invitation = "<x xmlns='jabber:x:conference' jid='a@b' password='hush'/>"
        for _ in range(2):
            alice.sends(f"<message to='{ANN}'>{invitation}</message>")
            world.clock.settle()
        assert b"hush" not in b"".join(record.shown() for record in world.records)
        assert sum(b"hush" in record.raw for record in world.records) == 2


def test_two_worlds_link_by_certificates_over_tls() -> None:
    person = [{"address": ANN}]
    with (
        World({"servers": ["xmpp", "xmpp-server"]}) as here,
        World({"servers": ["xmpp", "xmpp-server"], "person": person}) as there,
    ):
        here.link(there)
        alice, ann = here.jabber.actor(ALICE), there.jabber.actor(ANN)
        ann.comes()
        alice.says(ANN, "hello")
        assert ann.wait_for().body == "hello"
        ann.says(f"{ALICE}/play", "yes?")
        assert alice.wait_for().body == "yes?"
        for world in (here, there):
            arrived = [record for record in world.records if record.fields.get("domain")]
            assert [record.verb for record in arrived] == ["auth"]


def test_a_world_that_serves_several_domains_proves_each() -> None:
    people = [{"address": ALICE}, {"address": "sales@shop.test"}]
    with World({"servers": ["xmpp", "xmpp-server"], "person": people, "tls": "off"}) as here:
        person = [{"address": ANN}]
        theirs = {"servers": ["xmpp", "xmpp-server"], "person": person, "tls": "off"}
        with World(theirs) as there:
            here.link(there)
            ann = there.jabber.actor(ANN)
            ann.comes()
            for sender in (ALICE, "sales@shop.test"):
                here.jabber.actor(sender).says(ANN, "hello")
            found = ann.wait_for_n(2)
            assert {one.sender for one in found} == {f"{ALICE}/play", "sales@shop.test/play"}
            assert "auth" not in verbs(there)


def test_an_impostor_that_answers_in_place_of_a_server_gets_nothing() -> None:
    """It has the address of the real one, and another authority has made its certificate."""
    mine, theirs = {"servers": ["xmpp", "xmpp-server"]}, {"servers": ["xmpp", "xmpp-server"]}
    person = [{"address": ANN}]
    with (
        World(mine) as here,
        World({**theirs, "person": person}) as there,
        World({**theirs, "person": person}) as impostor,
    ):
        here.link(there)
        here.jabber.links.meet({"partner.test": impostor.address("xmpp-server")})
        alice = here.jabber.actor(ALICE)
        alice.says(ANN, "the password is")
        assert alice.wait_for().condition == "remote-server-timeout"
        assert impostor.jabber.messages == []


def test_an_impostor_that_connects_in_the_name_of_another_is_refused() -> None:
    """The key is verified where the domain is known to be, and there nobody knows it."""
    with World(config(), rehearsal=True) as world:
        evil = world.neighbour("evil.test")
        evil.inject(f"<message from='{ANN}' to='{ALICE}'><body>restart</body></message>")
        world.clock.settle()
        assert world.jabber.messages == world.neighbour("partner.test").messages == []
        assert verbs(world) == ["stream", "result", "stream", "verify"]


@pytest.mark.parametrize(
    ("peers", "condition"),
    [
        ({}, "remote-server-not-found"),
        ({"far.test": "127.0.0.1:1"}, "remote-server-timeout"),
    ],
)
@pytest.mark.parametrize("rehearsal", [True, False])
def test_what_cannot_be_delivered_comes_back(
    peers: dict[str, str], condition: str, rehearsal: bool
) -> None:
    with World(config(peers=peers), rehearsal=rehearsal) as world:
        alice = world.jabber.actor(ALICE)
        alice.says("bob@far.test", "hello")
        found = alice.messages[0] if rehearsal else alice.wait_for()
        assert found.condition == condition and found.body == "hello"


def test_a_denied_domain_is_neither_written_to_nor_heard() -> None:
    with World(config(denied=["evil.test"]), rehearsal=True) as world:
        alice = world.jabber.actor(ALICE)
        alice.says(EVE, "hello")
        assert alice.messages[0].condition == "not-allowed"
        eve = world.neighbour("evil.test").actor(EVE)
        eve.says(ALICE, "hello")
        world.clock.settle()
        assert eve.messages[0].condition == "remote-server-timeout"
        assert [one.sender for one in world.jabber.messages] == [f"{ALICE}/play"]


def test_a_server_that_does_not_answer_costs_half_a_minute_and_no_stanza() -> None:
    with World(config(), rehearsal=True) as world:
        world.faults.arm("xmpp-server stream stall")
        alice = world.jabber.actor(ALICE)
        alice.says(ANN, "hello")
        world.clock.advance(29)
        assert alice.messages == []
        world.clock.advance(2)
        assert alice.messages[0].condition == "remote-server-timeout"


@pytest.mark.parametrize("fault", ["xmpp-server message reset", "xmpp-server message hang up"])
def test_a_link_that_breaks_is_made_again(fault: str) -> None:
    with World(config(), rehearsal=True) as world:
        alice, ann = world.jabber.actor(ALICE), world.neighbour("partner.test").actor(ANN)
        ann.comes()
        world.faults.arm(f"{fault} times 1")
        alice.says(ANN, "lost")
        world.clock.settle()
        alice.says(ANN, "arrives")
        world.clock.settle()
        assert [one.body for one in ann.messages] == ["arrives"]


def test_so_many_stanzas_wait_for_a_server() -> None:
    with World(config(), rehearsal=True) as world:
        world.faults.arm("xmpp-server stream stall")
        alice = world.jabber.actor(ALICE)
        for number in range(WAITING + 1):
            alice.says(ANN, str(number))
        assert [one.condition for one in alice.messages] == ["resource-constraint"]


def test_an_extension_that_is_off_links_nothing() -> None:
    with World({**config(), "off": {"xmpp": ["server-to-server"]}}, rehearsal=True) as world:
        alice = world.jabber.actor(ALICE)
        alice.says(ANN, "hello")
        assert alice.messages[0].condition == "remote-server-not-found"


def test_two_rehearsals_of_a_link_are_equal() -> None:
    def play() -> list[bytes]:
        with World(config(), rehearsal=True) as world:
            for address in (ANN, EVE):
                world.jabber.actor(ALICE).says(address, "hello")
            world.clock.settle()
            return [bytes(record.raw) for record in world.records]

    assert play() == play()


@pytest.mark.parametrize("key", ["domains", "neighbours", "denied"])
def test_a_name_that_jabber_refuses_has_a_remedy(key: str) -> None:
    problem = r"world: xmpp.*: 'a\.\.b' is not a domain: .*; write names as in "
    with pytest.raises(WorldError, match=problem), World(config(**{key: ["a..b"]})):
        pass


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("neighbours", ["Example.test"]),
        ("denied", ["example.test"]),
        ("peers", {"example.test": "127.0.0.1:5269"}),
    ],
)
def test_another_server_has_another_domain(key: str, value: Any) -> None:
    problem = f"world: xmpp: {key}: example.test is served by the server itself; "
    with pytest.raises(WorldError, match=problem):
        World(config(**{key: value}))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:0", "h:65536", ":5269", "h:²", "h:٣"]
)
def test_an_address_of_a_peer_has_a_port(address: str) -> None:
    with pytest.raises(WorldError, match=r"world: xmpp: peers: .*; write 127\.0\.0\.1:5269"):
        World(config(peers={"far.test": address}))


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (b"\xff", "no cert"), (b"?", "no cert")]
)
def test_a_file_of_authorities_that_cannot_be_used_is_named(
    content: bytes | None, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "peers.pem"
    if content is not None:
        path.write_bytes(content)
    with (
        pytest.raises(WorldError, match=f"^w.toml: xmpp: peer_ca: .*peers.pem: .*{why}.*; name a"),
        World({**config(peer_ca=str(path)), "tls": "required"}, source="w.toml") as world,
    ):
        world.settings["xmpp"]


def test_a_world_with_this_port_only_has_the_table_of_the_xmpp_server() -> None:
    with World({**config(denied=["far.test"]), "servers": ["xmpp-server"]}) as world:
        assert world.jabber.service.policy.denied == ("far.test",)
        assert world.neighbour("partner.test")


def test_a_neighbour_that_is_not_there_is_named() -> None:
    with World(config(), rehearsal=True) as world, pytest.raises(LookupError, match="did you mean"):
        world.neighbour("partner.tst")

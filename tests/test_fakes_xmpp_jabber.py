"""The test's side of Jabber: values, waits, actors, and what a test does to sessions."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fakes import World
from fakes.transcripts.recorder import render
from fakes.wire import Want
from fakes.world import WorldError
from fakes.xmpp.jabber import Actor, Availability, ChatRoom, Contact, RoomUser
from fakes.xmpp.routing import SHARE
from fakes.xmpp.stanzas import Stanza
from tests.streams import open_stream
from tests.xmpp_raw import HEADER, SASL, Client, bind, bound, login, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
FRIENDS = [{"address": ROMEO, "contacts": {JULIET: "both"}}, {"address": JULIET}]
OWNER = "http://jabber.org/protocol/muc#owner"
HELLO = b"<message to='juliet@example.test' type='chat'><body>hello</body></message>"
ANONYMOUS = f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/><response xmlns='{SASL}'/>".encode()

# ── state, and the world file ────────────────────────────────────────────────


def test_state_is_read_as_values() -> None:
    contacts = {JULIET: "both", "far@elsewhere.test": "to"}
    place = world(person=[{"address": ROMEO, "contacts": contacts}, {"address": JULIET}])
    jabber = place.jabber
    assert jabber.accounts == [ROMEO, JULIET]
    assert jabber.roster(ROMEO) == {
        JULIET: Contact(JULIET, subscription="both"),
        "far@elsewhere.test": Contact("far@elsewhere.test", subscription="to"),
    }
    assert jabber.roster(JULIET) == {ROMEO: Contact(ROMEO, subscription="both")}
    romeo = bound(place, resource="orchard")
    shown = b"<show>away</show><status>bed</status><priority>7</priority>"
    romeo.says(b"<presence>" + shown + b"</presence>" + HELLO)
    assert jabber.sessions(ROMEO) == [f"{ROMEO}/orchard"]
    assert jabber.presence(ROMEO) == {"orchard": Availability("away", "bed", 7)}
    assert [stanza.body for stanza in jabber.offline(JULIET)] == ["hello"]
    assert [stanza.kind for stanza in jabber.all] == ["presence", "message"]
    (message,) = jabber.messages
    assert (message.sender, message.to, message.body) == (f"{ROMEO}/orchard", JULIET, "hello")
    jabber.clear()
    assert jabber.all == []


def test_a_room_is_read_as_a_value() -> None:
    jabber = world(person=FRIENDS).jabber
    tea = "tea@conference.example.test"
    jabber.actor(ROMEO).joins(tea, "Romeo")
    assert jabber.room(tea).locked
    default = f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='submit'/></query>"
    jabber.inject(f"<iq type='set' id='1' from='{ROMEO}/play' to='{tea}'>{default}</iq>")
    jabber.actor(JULIET).joins(tea, "Juliet")
    jabber.actor(ROMEO).says(tea, "hello", type="groupchat")
    room = jabber.room(f"{tea}/Romeo")
    assert room == ChatRoom(
        tea,
        "",
        "",
        {
            "Romeo": RoomUser(ROMEO, "moderator", "owner"),
            "Juliet": RoomUser(JULIET, "participant", "none"),
        },
        {ROMEO: "owner"},
        room.messages,
        locked=False,
    )
    assert [message.body for message in room.messages] == ["hello"] and jabber.rooms == [tea]
    jabber.actor(JULIET).goes()
    assert list(jabber.room(tea).users) == ["Romeo"] and list(room.users) == ["Romeo", "Juliet"]
    with pytest.raises(LookupError, match=r"no room tee@\S+ \(did you mean 'tea@\S+"):
        jabber.room("tee@conference.example.test")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("<presence/>", "presence"),
        (
            "<message type='chat' to='juliet@example.test/x'/>",
            "message chat to juliet@example.test",
        ),
        (
            "<message to='juliet@example.test'><body>hi &lt;you</body>"
            "<y xmlns='urn:y' a='1'/></message>",
            """message to juliet@example.test: <body> "hi <you", <y> (urn:y) a='1'""",
        ),
        (
            "<iq type='set' id='r' to='example.test'><query xmlns='jabber:iq:register'>"
            "<username>romeo</username><password>verona</password></query></iq>",
            'iq set to example.test: <query> "romeo {password}" (jabber:iq:register)',
        ),
    ],
)
def test_what_an_actor_sends_is_told_in_words_and_without_a_password(sent: str, told: str) -> None:
    with World({"servers": ["xmpp"], "tls": "off", "person": FRIENDS}) as place:
        place.jabber.actor(ROMEO).sends(sent)
        assert [event.text for event in place.events] == [f"sends {told}"]


def test_a_large_roster_shares_the_loop_and_the_order_stays() -> None:
    names = [f"c{number}@example.test" for number in range(SHARE + 20)]
    people = [{"address": ROMEO, "contacts": dict.fromkeys(names, "both")}]
    people += [{"address": name} for name in names]
    with World({"servers": ["xmpp"], "tls": "off", "person": people}) as place:
        romeo, last = place.jabber.actor(ROMEO), place.jabber.actor(names[-1])
        last.comes()
        romeo.says(names[-1], "hello")  # comes online first
        last.wait_for()
        kinds = [stanza.kind for stanza in last.all if stanza.sender == f"{ROMEO}/play"]
        assert kinds == ["presence", "message"]
        romeo.wait_for(lambda stanza: stanza.sender == f"{names[-1]}/play")
        seen = [stanza.sender or "" for stanza in romeo.all if stanza.kind == "presence"]
        assert [name for name in seen if name[0] == "c"] == [*names[:-1], f"{names[-1]}/play"]


def test_the_error_for_an_unknown_address_lists_the_accounts() -> None:
    listed = f"romea@example.test; the accounts are: {ROMEO}, {JULIET}"
    with pytest.raises(LookupError, match=listed):
        world().jabber.roster("romea@example.test")


CONTRADICTION = [
    {"address": ROMEO, "contacts": {JULIET: "to"}},
    {"address": JULIET, "contacts": {ROMEO: "to"}},
]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            {"xmpp": {"conflict": "panic"}},
            "xmpp.conflict: unknown value 'panic'; choose from replace, refuse, rename",
        ),
        ({"xmpp": {"confict": "refuse"}}, "did you mean 'conflict'"),
        ({"xmpp": {"anonymous": "yes"}}, "xmpp.anonymous: expected true or false, found 'yes'"),
        ({"off": {"xmpp": ["pong"]}}, "unknown capability 'pong' \\(did you mean 'ping'"),
        ({"xmpp": {"domains": ["a..b"]}}, "xmpp: 'a..b' is not a domain"),
        (
            {"person": [{"address": ROMEO, "contacts": {JULIET: "friend"}}]},
            f"person.contacts.{JULIET}: unknown value 'friend'; choose from none, to, from, both",
        ),
        ({"person": CONTRADICTION}, "'to' on one side means 'from' on the other"),
    ],
)
def test_an_error_in_the_world_file_names_the_remedy(config: dict[str, Any], words: str) -> None:
    with pytest.raises(WorldError, match=words):
        world(**config)


def test_the_contacts_of_the_world_file_are_in_both_rosters() -> None:
    nurse = "nurse@example.test"
    people = [
        {"address": ROMEO, "contacts": {JULIET: "to", nurse: "none"}},
        {"address": JULIET},
        {"address": nurse},
    ]
    jabber = world(person=people).jabber
    subscriptions = {name: item.subscription for name, item in jabber.roster(ROMEO).items()}
    assert subscriptions == {JULIET: "to", nurse: "none"}
    subscriptions = {name: item.subscription for name, item in jabber.roster(JULIET).items()}
    assert subscriptions == {ROMEO: "from"}
    assert jabber.roster(nurse) == {}
    jabber.befriend(JULIET, ROMEO)
    assert jabber.roster(ROMEO)[JULIET].subscription == "both"


def test_an_account_is_known_by_its_prepared_address() -> None:
    place = world(person=[{"address": "Straße@Example.test"}])
    assert place.jabber.accounts == ["strasse@example.test"]
    assert bound(place, "STRASSE").core.user == "strasse@example.test"
    assert bound(place, "straße").core.user == "strasse@example.test"
    with pytest.raises(WorldError, match=r"wide@example\.test is in this world twice"):
        world(person=[{"address": "ｗide@example.test"}, {"address": "wide@example.test"}])


@pytest.mark.parametrize("more", [b"", HEADER + bind("x") + b"<presence/>"])
def test_an_anonymous_account_ends_with_its_connection(more: bytes) -> None:
    place = world(xmpp={"anonymous": True})
    client = Client(place)
    client.says(HEADER + ANONYMOUS + more)
    assert len(place.jabber.accounts) == 3
    client.core.eof()
    assert len(place.jabber.accounts) == 2


def test_an_anonymous_account_that_is_connected_can_be_removed() -> None:
    place = world(xmpp={"anonymous": True})
    client = Client(place)
    client.says(HEADER + ANONYMOUS + HEADER + bind("x"))
    (anonymous,) = set(place.jabber.accounts) - {ROMEO, JULIET}
    place.jabber.remove(anonymous)
    assert b"the account is gone" in client.hears()
    assert place.jabber.accounts == [ROMEO, JULIET]


def test_the_settings_hold_what_a_client_needs() -> None:
    people = [{"address": ROMEO}, {"address": JULIET}]
    with World({"servers": ["xmpp"], "program": JULIET, "person": people}) as place:
        settings = place.settings["xmpp"]
        assert (settings["jid"], settings["password"]) == (JULIET, "secret")
        assert settings["tls"] == "starttls"
        assert (settings["host"], settings["port"]) == ("localhost", place.address("xmpp")[1])
        assert "user" not in settings


def test_jabber_may_have_other_domains_than_mail() -> None:
    people = [{"address": "a@one.test"}, {"address": "b@two.test"}, {"address": "c@three.test"}]
    place = world(person=people, xmpp={"domains": ["one.test", "two.test"]})
    assert place.jabber.accounts == ["a@one.test", "b@two.test"]
    actor = place.jabber.actor("a@one.test")
    actor.says("b@two.test", "hello")
    actor.says("c@three.test", "hello")
    assert [stanza.condition for stanza in actor.messages] == ["remote-server-not-found"]
    assert len(place.jabber.offline("b@two.test")) == 1


def test_a_mail_domain_that_cannot_be_a_jabber_domain_is_left_out() -> None:
    people = [{"address": "a@under_score.test"}, {"address": "b@two.test"}]
    mail = {"domains": ["under_score.test", "three.test"]}
    place = World({"person": people, "mail": mail}, rehearsal=True)
    assert place.jabber.accounts == ["b@two.test"]
    assert place.jabber.service.domains == ("three.test", "two.test")
    alone = World({"person": people[:1]}, rehearsal=True)
    assert alone.jabber.service.domains == ("localhost",)


# ── waiting ──────────────────────────────────────────────────────────────────


def test_waiting_returns_exactly_one_stanza_or_says_what_came() -> None:
    place = world()
    romeo = place.jabber.actor(ROMEO)
    romeo.says(JULIET, "one")
    assert place.jabber.wait_for(lambda stanza: stanza.body == "one").to == JULIET
    assert len(place.jabber.wait_for_n(1)) == 1
    romeo.says(JULIET, "two")
    two_came = r"expected one stanza that fits, but 2 arrived:\n.*one.*\n.*two"
    with pytest.raises(AssertionError, match=two_came):
        place.jabber.wait_for(lambda stanza: stanza.kind == "message")
    with pytest.raises(AssertionError, match="expected one message, but 2 arrived"):
        place.jabber.wait_for_n(1)
    none_came = r"(?s)within 0 s, but none arrived; .*everything that arrived:\n.*presence"
    with pytest.raises(AssertionError, match=none_came):
        place.jabber.wait_for(lambda stanza: stanza.body == "three", timeout=0)
    with pytest.raises(AssertionError, match="expected no message, but 2 arrived"):
        place.jabber.assert_none()
    place.jabber.assert_none(lambda stanza: stanza.body == "three")


def test_waiting_wakes_up_for_a_stanza_from_a_socket() -> None:
    people = [{"address": ROMEO}, {"address": JULIET}]
    with World({"servers": ["xmpp"], "person": people}) as place:
        link = socket.create_connection(place.address("xmpp"), 5)
        timer = threading.Timer(0.05, lambda: link.sendall(login("romeo") + HELLO))
        timer.start()
        message = place.jabber.wait_for(lambda stanza: stanza.kind == "message")
        assert message.body == "hello"
        timer.join()
        link.close()


async def test_a_test_on_a_loop_awaits_a_stanza() -> None:
    people = [{"address": ROMEO}, {"address": JULIET}]
    async with World({"servers": ["xmpp"], "person": people}) as place:
        _, writer = await asyncio.open_connection(*place.address("xmpp"))
        writer.write(login("romeo") + HELLO)
        message = await place.jabber.arrival(lambda stanza: stanza.kind == "message")
        assert message.body == "hello"
        writer.close()
        await writer.wait_closed()


# ── actors ───────────────────────────────────────────────────────────────────


def test_an_actor_comes_online_sends_receives_and_goes_offline() -> None:
    place = world(person=FRIENDS)
    juliet, romeo = bound(place, "juliet"), place.jabber.actor(ROMEO)
    juliet.says(b"<presence/>")
    romeo.comes(show="dnd", status="sighing")
    assert b"<show>dnd</show><status>sighing</status>" in juliet.hears()
    romeo.says(JULIET, "Speak again, bright angel")
    assert b"Speak again, bright angel" in juliet.hears()
    juliet.says(b"<message to='romeo@example.test'><body>Wherefore?</body></message>")
    assert [stanza.body for stanza in romeo.messages] == ["Wherefore?"]
    romeo.goes(status="banished")
    assert b"type='unavailable'><status>banished</status>" in juliet.hears()
    assert place.jabber.sessions(ROMEO) == []
    reported = [event.text for event in place.events]
    says = f"says to {JULIET}: Speak again, bright angel"
    assert reported == ["shows dnd", says, "goes offline"]


def test_actors_become_contacts() -> None:
    place = world()
    romeo, juliet = place.jabber.actor(ROMEO), place.jabber.actor(JULIET)
    romeo.asks(JULIET)
    assert place.jabber.roster(JULIET)[ROMEO].asking
    juliet.accepts(ROMEO)
    assert place.jabber.roster(ROMEO)[JULIET].subscription == "to"
    juliet.refuses(ROMEO)
    assert place.jabber.roster(ROMEO)[JULIET].subscription == "none"
    place.jabber.befriend(ROMEO, "nurse@elsewhere.test", "from")
    romeo.drops(JULIET)
    assert set(place.jabber.roster(ROMEO)) == {JULIET, "nurse@elsewhere.test"}


def test_an_actor_answers_requests_as_every_client_must() -> None:
    place = world()
    place.jabber.actor(JULIET).comes()
    query = b"<query xmlns='jabber:iq:version'/>"
    request = b"<iq type='get' id='1' to='juliet@example.test/play'>" + query + b"</iq>"
    assert b"<service-unavailable" in bound(place).says(request)


def test_a_test_can_inject_a_stanza_from_any_address() -> None:
    place = world()
    romeo = bound(place)
    romeo.says(b"<presence/>")
    news = "<body>news</body>"
    place.jabber.inject(f"<message from='far@elsewhere.test/x' to='{ROMEO}'>{news}</message>")
    assert b"from='far@elsewhere.test/x'" in romeo.hears()
    # The test speaks for that domain now, so that what is sent there is accepted.
    reply = b"<message to='far@elsewhere.test/x'><body>what news?</body></message>"
    assert romeo.says(reply) == b""
    place.jabber.inject(f"<message from='example.test' to='{ROMEO}'>{news}</message>")
    assert b"from='example.test'" in romeo.hears()


@pytest.mark.parametrize(
    "stanza",
    [
        "<message to='a@b'/>",
        "<message from='a@b'/>",
        "<a/>",
        "<message",
        "<message from='@' to='a@b'/>",
    ],
)
def test_a_stanza_that_is_not_complete_cannot_be_injected(stanza: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        world().jabber.inject(stanza)


PASS = ("utf-8", "surrogatepass")
NOT_XML = ["\0", "\x01", "\x0b", "\x1f", "\ufffe", "\uffff", "\ud800", "\udfff"]


@pytest.mark.parametrize("character", NOT_XML)
@pytest.mark.parametrize(
    "act",
    [
        lambda romeo, c: romeo.says(JULIET, f"ab{c}d"),
        lambda romeo, c: romeo.says(f"ju{c}@example.test", "hello"),
        lambda romeo, c: romeo.says(JULIET, "hello", type=f"ch{c}t"),
        lambda romeo, c: romeo.comes(status=f"ab{c}d"),
        lambda romeo, c: romeo.comes(show=f"aw{c}y"),
        lambda romeo, c: romeo.goes(f"ab{c}d"),
        lambda romeo, c: romeo.asks(f"ju{c}@example.test"),
        lambda romeo, c: romeo.accepts(f"ju{c}@example.test"),
        lambda romeo, c: romeo.sends(f"<m{c}/>"),
        lambda romeo, c: romeo.sends(Stanza("message", to=f"ju{c}")),
        lambda romeo, c: romeo.sends(Stanza("message", content=f"<{c}/>".encode(*PASS))),
        lambda romeo, c: romeo.jabber.inject(f"<m{c}/>"),
        lambda romeo, c: romeo.jabber.end("", text=f"ab{c}d"),
        lambda romeo, c: romeo.jabber.end("", condition=f"ab{c}d"),
    ],
)
def test_a_character_that_xml_cannot_hold_is_refused_before_anything_happens(
    act: Callable[[Actor, str], object], character: str
) -> None:
    place = world()
    juliet = bound(place, "juliet")
    romeo = place.jabber.actor(ROMEO)
    name = f"U\\+{ord(character):04X}"
    with pytest.raises(ValueError, match=rf"{name} at position \d+ .*XML 1\.0; leave it out"):
        act(romeo, character)
    assert place.jabber.sessions(ROMEO) == []
    assert place.jabber.all == []
    assert list(place.events) == []
    assert juliet.hears() == b"" and not juliet.core.closed


@pytest.mark.parametrize("character", ["\t", "\n", "\r", "\x7f", "\ufdd0", "\ufffd", "\U0001ffff"])
def test_every_other_character_arrives(character: str) -> None:
    place = world()
    romeo, juliet = place.jabber.actor(ROMEO), place.jabber.actor(JULIET)
    juliet.comes()
    romeo.says(JULIET, f"ab{character}d")
    assert [message.body for message in juliet.messages] == [f"ab{character}d"]


def test_a_test_plays_a_contact_at_another_server() -> None:
    place = world()
    romeo = place.jabber.actor(ROMEO)
    place.jabber.inject(f"<presence from='far@elsewhere.test' to='{ROMEO}' type='subscribe'/>")
    romeo.comes()
    received = [stanza for stanza in romeo.all if stanza.sender == "far@elsewhere.test"]
    assert [stanza.type for stanza in received] == ["subscribe"]
    romeo.accepts("far@elsewhere.test")
    assert place.jabber.roster(ROMEO)["far@elsewhere.test"].subscription == "from"


# ── what a test does to sessions ─────────────────────────────────────────────


def test_conflict_ends_some_sessions_and_shutdown_ends_all() -> None:
    place = world()
    here, there = bound(place), bound(place, resource="there")
    juliet = bound(place, "juliet")
    assert place.jabber.conflict(f"{ROMEO}/here") == 1
    assert b"<conflict " in here.hears()
    assert place.jabber.sessions(ROMEO) == [f"{ROMEO}/there"]
    assert place.jabber.shutdown() == 2
    assert b"<system-shutdown " in there.hears()
    assert b"<system-shutdown " in juliet.hears()
    assert place.jabber.shutdown() == 0


def test_a_cut_connection_gets_no_closing_tag_and_contacts_are_notified() -> None:
    place = world(person=FRIENDS)
    romeo, juliet = bound(place), bound(place, "juliet")
    romeo.says(b"<presence/>")
    juliet.says(b"<presence/>")
    assert place.jabber.cut(ROMEO, Want.RESET) == 1
    assert b"</stream:stream>" not in romeo.hears()
    assert romeo.core.wants is Want.RESET
    assert b"type='unavailable'" in juliet.hears()


def test_nothing_is_sent_when_the_world_ends() -> None:
    with World({"servers": ["xmpp"], "person": FRIENDS}) as place:
        links = [socket.create_connection(place.address("xmpp"), 5) for _ in range(2)]
        for link, name in zip(links, ("romeo", "juliet"), strict=True):
            link.sendall(login(name) + b"<presence/>")
        place.jabber.wait_for(lambda stanza: stanza.sender == f"{ROMEO}/here")
        place.jabber.wait_for(lambda stanza: stanza.sender == f"{JULIET}/here")
        before = len(place.recording)
    for link in links:
        link.close()
    assert {record.direction for record in place.records[before:]} <= {"-"}


def test_an_account_that_is_removed_cannot_log_in_again() -> None:
    place = world()
    romeo = bound(place)
    place.jabber.remove(ROMEO)
    assert romeo.core.closed
    assert place.jabber.accounts == [JULIET]
    with pytest.raises(AssertionError, match="not-authorized"):
        bound(place)


def test_a_fault_switches_an_extension_off_while_the_world_runs() -> None:
    place = world()
    romeo = bound(place)
    ping = b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert b"type='result'" in romeo.says(ping)
    place.faults.arm("xmpp ping off")
    assert b"<service-unavailable" in romeo.says(ping)


# ── in a rehearsal ───────────────────────────────────────────────────────────


def rehearse() -> tuple[str, list[str]]:
    """A rehearsal's transcript, and the bytes that a client received, with their times."""
    received = []
    people = [{"address": ROMEO}, {"address": JULIET}]
    with World({"servers": ["xmpp"], "person": people}, rehearsal=True) as place:
        clock, juliet = place.clock, place.jabber.actor(JULIET)
        clock.at(60, lambda: juliet.says(ROMEO, "restart"))
        clock.at(60, lambda: juliet.says(ROMEO, "now"))
        clock.at(90, lambda: place.jabber.conflict(ROMEO))
        link = open_stream("127.0.0.1", place.address("xmpp")[1], clock)
        link.sendall(login("romeo") + b"<presence/>")
        while clock.wait(link, None):
            data = link.recv(65536)
            if not data:
                break
            received.append(f"{clock.elapsed:g} {data.decode()}")
        link.close()
        return render(place.recording), received


def test_a_rehearsal_waits_for_every_byte_and_is_the_same_each_time() -> None:
    text, received = rehearse()
    assert rehearse() == (text, received)
    assert [line.split()[0] for line in received] == ["0", "60", "90"]
    restart, now = "<body>restart</body>", "<body>now</body>"
    assert received[-2].index(restart) < received[-2].index(now)
    assert "<conflict " in received[-1]


def test_the_drills_send_what_a_bot_must_not_obey() -> None:
    people = [{"address": ROMEO}, {"address": JULIET}]
    config = {"servers": ["xmpp"], "program": ROMEO, "person": people}
    place = World(config, rehearsal=True, faults=["xmpp-delayed; xmpp-domain-sender"])
    (stored,) = place.jabber.offline(ROMEO)
    assert (stored.sender, stored.body) == (f"{JULIET}/before", "restart")
    assert stored.delayed
    with place:
        romeo = place.jabber.actor(ROMEO)
        romeo.comes()
        place.clock.wait(None, None)
        senders = [stanza.sender for stanza in romeo.messages]
        assert senders == [f"{JULIET}/before", "example.test"]

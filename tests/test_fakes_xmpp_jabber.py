"""The test's side of Jabber: values, waits, people who act, and what a test does to the others."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from comms.link import Link
from fakes import World
from fakes.transcript import render
from fakes.wire import Want
from fakes.world import WorldError
from fakes.xmpp.jabber import Availability, Contact
from tests.xmpp_raw import HEADER, SASL, Client, bind, bound, login, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
HELLO = b"<message to='juliet@example.test' type='chat'><body>hello</body></message>"


def test_state_is_read_as_values() -> None:
    place = world(
        person=[{"address": ROMEO, "contacts": {JULIET: "both", "far@elsewhere.test": "to"}}, {"address": JULIET}]
    )
    jabber = place.jabber
    assert jabber.accounts == [ROMEO, JULIET]
    assert jabber.roster(ROMEO) == {
        JULIET: Contact(JULIET, subscription="both"),
        "far@elsewhere.test": Contact("far@elsewhere.test", subscription="to"),
    }
    assert jabber.roster(JULIET) == {ROMEO: Contact(ROMEO, subscription="both")}
    romeo = bound(place, resource="orchard")
    romeo.says(b"<presence><show>away</show><status>bed</status><priority>7</priority></presence>" + HELLO)
    assert jabber.sessions(ROMEO) == [f"{ROMEO}/orchard"]
    assert jabber.presence(ROMEO) == {"orchard": Availability("away", "bed", 7)}
    assert [stanza.body for stanza in jabber.offline(JULIET)] == ["hello"]
    assert [stanza.kind for stanza in jabber.all] == ["presence", "message"]
    assert [(one.sender, one.to, one.body) for one in jabber.messages] == [(f"{ROMEO}/orchard", JULIET, "hello")]
    jabber.forget()
    assert jabber.all == []


def test_a_name_that_is_nobodys_names_the_others() -> None:
    with pytest.raises(LookupError, match=f"romea@example.test; the accounts are: {ROMEO}, {JULIET}"):
        world().jabber.roster("romea@example.test")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"xmpp": {"conflict": "panic"}}, "conflict is replace or refuse or rename, not 'panic'"),
        ({"xmpp": {"confict": "refuse"}}, "did you mean 'conflict'"),
        ({"xmpp": {"anonymous": "yes"}}, "xmpp.anonymous is a bool, not 'yes'"),
        ({"off": {"xmpp": ["pong"]}}, "there is no capability 'pong' \\(did you mean 'ping'"),
        ({"xmpp": {"domains": ["a..b"]}}, "xmpp: 'a..b' is no domain"),
        ({"person": [{"address": ROMEO, "contacts": {JULIET: "friend"}}]}, "unknown subscription 'friend' for juliet@example.test; choose none, to, from or both"),
        (
            {"person": [{"address": ROMEO, "contacts": {JULIET: "to"}}, {"address": JULIET, "contacts": {ROMEO: "to"}}]},
            "'to' on one side means 'from' on the other",
        ),
    ],
)
def test_a_world_file_that_cannot_be_is_refused_with_the_remedy(config: dict[str, Any], words: str) -> None:
    with pytest.raises(WorldError, match=words):
        world(**config)


def test_contacts_of_the_world_file_stand_in_both_rosters() -> None:
    people = [{"address": ROMEO, "contacts": {JULIET: "to", "nurse@example.test": "none"}}, {"address": JULIET},
              {"address": "nurse@example.test"}]  # fmt: skip
    jabber = world(person=people).jabber
    assert {name: item.subscription for name, item in jabber.roster(ROMEO).items()} == {
        JULIET: "to",
        "nurse@example.test": "none",
    }
    assert {name: item.subscription for name, item in jabber.roster(JULIET).items()} == {ROMEO: "from"}
    assert jabber.roster("nurse@example.test") == {}
    jabber.befriend(JULIET, ROMEO)
    assert jabber.roster(ROMEO)[JULIET].subscription == "both"


def test_an_account_is_known_by_its_prepared_address() -> None:
    place = world(person=[{"address": "Straße@Example.test"}])
    assert place.jabber.accounts == ["strasse@example.test"]
    assert bound(place, "STRASSE").core.user == bound(place, "straße").core.user == "strasse@example.test"
    with pytest.raises(WorldError, match=r"wide@example\.test is in this world twice"):
        world(person=[{"address": "ｗide@example.test"}, {"address": "wide@example.test"}])


def test_an_anonymous_account_goes_with_its_connection_bound_or_not() -> None:
    place = world(xmpp={"anonymous": True})
    for more in (b"", HEADER + bind("x") + b"<presence/>"):
        client = Client(place)
        client.says(HEADER + f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/><response xmlns='{SASL}'/>".encode() + more)
        assert len(place.jabber.accounts) == 3
        client.core.eof()
        assert len(place.jabber.accounts) == 2


def test_an_anonymous_account_that_is_connected_can_be_removed() -> None:
    place = world(xmpp={"anonymous": True})
    client = Client(place)
    login = f"<auth xmlns='{SASL}' mechanism='ANONYMOUS'/><response xmlns='{SASL}'/>".encode()
    client.says(HEADER + login + HEADER + bind("x"))
    (anonymous,) = set(place.jabber.accounts) - {ROMEO, JULIET}
    place.jabber.remove(anonymous)
    assert b"the account is gone" in client.hears()
    assert place.jabber.accounts == [ROMEO, JULIET]


def test_settings_are_what_a_client_needs() -> None:
    with World({"servers": ["xmpp"], "program": JULIET, "person": [{"address": ROMEO}, {"address": JULIET}]}) as place:
        settings = place.settings["xmpp"]
        assert (settings["jid"], settings["password"], settings["tls"]) == (JULIET, "secret", "starttls")
        assert (settings["host"], settings["port"]) == ("localhost", place.address("xmpp")[1])
        assert "user" not in settings


def test_domains_may_be_others_than_the_mail_has() -> None:
    people = [{"address": "a@one.test"}, {"address": "b@two.test"}, {"address": "c@three.test"}]
    place = World({"servers": ["xmpp"], "person": people, "xmpp": {"domains": ["one.test", "two.test"]}}, rehearsal=True)
    assert place.jabber.accounts == ["a@one.test", "b@two.test"]
    one = place.jabber.actor("a@one.test")
    one.says("b@two.test", "hello")
    one.says("c@three.test", "hello")
    assert [stanza.condition for stanza in one.messages] == ["remote-server-not-found"]
    assert len(place.jabber.offline("b@two.test")) == 1


def test_a_mail_domain_that_is_no_jabber_domain_harms_nobody() -> None:
    people = [{"address": "a@under_score.test"}, {"address": "b@two.test"}]
    place = World({"person": people, "mail": {"domains": ["under_score.test", "three.test"]}}, rehearsal=True)
    assert place.jabber.accounts == ["b@two.test"]
    assert place.jabber.service.domains == ("three.test", "two.test")
    assert World({"person": people[:1]}, rehearsal=True).jabber.service.domains == ("localhost",)


def test_waiting_finds_exactly_one_or_says_what_came() -> None:
    place = world()
    romeo = place.jabber.actor(ROMEO)
    romeo.says(JULIET, "one")
    assert place.jabber.wait_for(lambda stanza: stanza.body == "one").to == JULIET
    assert len(place.jabber.wait_for(1)) == 1
    romeo.says(JULIET, "two")
    with pytest.raises(AssertionError, match=r"one stanza that fits expected, but there came:\n.*one.*\n.*two"):
        place.jabber.wait_for(lambda stanza: stanza.kind == "message")
    with pytest.raises(AssertionError, match=r"1 stanza\(s\) expected, but there came"):
        place.jabber.wait_for(1)
    with pytest.raises(AssertionError, match=r"expected within 0 s; what came:\n.*presence"):
        place.jabber.wait_for(lambda stanza: stanza.body == "three", timeout=0)
    with pytest.raises(AssertionError, match="no such stanza was expected"):
        place.jabber.assert_none()
    place.jabber.assert_none(lambda stanza: stanza.body == "three")


def test_waiting_wakes_for_what_comes_from_a_socket() -> None:
    with World({"servers": ["xmpp"], "person": [{"address": ROMEO}, {"address": JULIET}]}) as place:
        link = socket.create_connection(place.address("xmpp"), 5)
        timer = threading.Timer(0.05, lambda: link.sendall(login("romeo") + HELLO))
        timer.start()
        assert place.jabber.wait_for(lambda stanza: stanza.kind == "message").body == "hello"
        timer.join()
        link.close()


async def test_a_test_on_a_loop_awaits_what_comes() -> None:
    async with World({"servers": ["xmpp"], "person": [{"address": ROMEO}, {"address": JULIET}]}) as place:
        _, writer = await asyncio.open_connection(*place.address("xmpp"))
        writer.write(login("romeo") + HELLO)
        assert (await place.jabber.arrival(lambda stanza: stanza.kind == "message")).body == "hello"
        writer.close()
        await writer.wait_closed()


# ── people of the play ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_person_of_the_play_comes_speaks_hears_and_goes() -> None:
    place = world(person=[{"address": ROMEO, "contacts": {JULIET: "both"}}, {"address": JULIET}])
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
    told = [event.text for event in place.events]
    assert told == ["shows dnd", f"says to {JULIET}: Speak again, bright angel", "goes offline"]


def test_people_of_the_play_become_contacts() -> None:
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


def test_a_person_of_the_play_answers_questions_as_every_client_must() -> None:
    place = world()
    place.jabber.actor(JULIET).comes()
    said = bound(place).says(b"<iq type='get' id='1' to='juliet@example.test/play'><query xmlns='jabber:iq:version'/></iq>")
    assert b"<service-unavailable" in said


def test_a_stanza_comes_from_anybody() -> None:
    place = world()
    romeo = bound(place)
    romeo.says(b"<presence/>")
    place.jabber.inject(f"<message from='far@elsewhere.test/x' to='{ROMEO}'><body>news</body></message>")
    assert b"from='far@elsewhere.test/x'" in romeo.hears()
    assert romeo.says(b"<message to='far@elsewhere.test/x'><body>what news?</body></message>") == b""
    place.jabber.inject("<message from='example.test' to='romeo@example.test'><body>Maintenance</body></message>")
    assert b"from='example.test'" in romeo.hears()
    for wrong in ("<message to='a@b'/>", "<message from='a@b'/>", "<a/>", "<message", "<message from='@' to='a@b'/>"):
        with pytest.raises(ValueError, match=r"\w"):
            place.jabber.inject(wrong)


def test_a_subscription_with_somebody_elsewhere_is_played_by_the_test() -> None:
    place = world()
    romeo = place.jabber.actor(ROMEO)
    place.jabber.inject(f"<presence from='far@elsewhere.test' to='{ROMEO}' type='subscribe'/>")
    romeo.comes()
    assert [stanza.type for stanza in romeo.all if stanza.sender == "far@elsewhere.test"] == ["subscribe"]
    romeo.accepts("far@elsewhere.test")
    assert place.jabber.roster(ROMEO)["far@elsewhere.test"].subscription == "from"


# ── what a test does to the others ───────────────────────────────────────────────────────────────────────────────


def test_sessions_end_by_conflict_and_all_of_them_by_shutdown() -> None:
    place = world()
    here, there, juliet = bound(place), bound(place, resource="there"), bound(place, "juliet")
    assert place.jabber.conflict(f"{ROMEO}/here") == 1
    assert b"<conflict " in here.hears()
    assert place.jabber.sessions(ROMEO) == [f"{ROMEO}/there"]
    assert place.jabber.shutdown() == 2
    assert b"<system-shutdown " in there.hears()
    assert b"<system-shutdown " in juliet.hears()
    assert place.jabber.shutdown() == 0


def test_connections_are_cut_without_a_word_and_the_others_are_told() -> None:
    place = world(person=[{"address": ROMEO, "contacts": {JULIET: "both"}}, {"address": JULIET}])
    romeo, juliet = bound(place), bound(place, "juliet")
    romeo.says(b"<presence/>")
    juliet.says(b"<presence/>")
    assert place.jabber.cut(ROMEO, Want.RESET) == 1
    assert b"</stream:stream>" not in romeo.hears()
    assert romeo.core.wants is Want.RESET
    assert b"type='unavailable'" in juliet.hears()


def test_the_end_of_the_world_is_nobodys_news() -> None:
    people = [{"address": ROMEO, "contacts": {JULIET: "both"}}, {"address": JULIET}]
    with World({"servers": ["xmpp"], "person": people}) as place:
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


def test_an_extension_may_be_switched_off_while_the_world_runs() -> None:
    place = world()
    romeo = bound(place)
    ping = b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert b"type='result'" in romeo.says(ping)
    place.faults.arm("xmpp ping off")
    assert b"<service-unavailable" in romeo.says(ping)


# ── in a rehearsal ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rehearsal_waits_until_every_octet_has_come_and_is_the_same_each_time() -> None:
    def rehearsed() -> tuple[str, list[str]]:
        seen = []
        people = [{"address": ROMEO}, {"address": JULIET}]
        with World({"servers": ["xmpp"], "person": people}, rehearsal=True) as place:
            clock, juliet = place.clock, place.jabber.actor(JULIET)
            clock.at(60, lambda: juliet.says(ROMEO, "restart"))
            clock.at(60, lambda: juliet.says(ROMEO, "now"))
            clock.at(90, lambda: place.jabber.conflict(ROMEO))
            link = Link.connect("127.0.0.1", place.address("xmpp")[1], clock)
            link.sendall(login("romeo") + b"<presence/>")
            while clock.wait(link, None):
                octets = link.recv(65536)
                if not octets:
                    break
                seen.append(f"{clock.elapsed:g} {octets.decode()}")
            link.close()
            return render(place.recording), seen

    text, seen = rehearsed()
    assert rehearsed() == (text, seen)
    assert [line.split()[0] for line in seen] == ["0", "60", "90"]
    assert seen[-2].index("<body>restart</body>") < seen[-2].index("<body>now</body>")
    assert "<conflict " in seen[-1]


def test_the_drills_of_the_catalogue_bring_what_a_bot_must_not_obey() -> None:
    place = World({"servers": ["xmpp"], "program": ROMEO, "person": [{"address": ROMEO}, {"address": JULIET}]},
                  rehearsal=True, faults=["xmpp-delayed; xmpp-domain-sender"])  # fmt: skip
    (waiting,) = place.jabber.offline(ROMEO)
    assert (waiting.sender, waiting.body, waiting.delayed) == (f"{JULIET}/before", "restart", True)
    with place:
        place.jabber.actor(ROMEO).comes()
        place.clock.wait(None, None)
        assert [stanza.sender for stanza in place.jabber.actor(ROMEO).messages] == [f"{JULIET}/before", "example.test"]

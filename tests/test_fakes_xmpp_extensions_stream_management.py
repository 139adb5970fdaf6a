"""XEP-0198: what is counted, what is sent again, and who may resume a session."""

from __future__ import annotations

import re

import pytest

from fakes import World
from fakes.wire import Want
from fakes.xmpp.extensions import stream_management
from fakes.xmpp.extensions.stream_management import ENDED, MODULO, RESUME_TIME
from tests.xmpp_raw import HEADER, Client, bound, plain, world

SM = "xmlns='urn:xmpp:sm:3'"
ROMEO = "romeo@example.test"
R = f"<r {SM}/>".encode()
PRESENCE = b"<presence/>"


def enabled(
    place: World, name: str = "romeo", options: str = "resume='true'"
) -> tuple[Client, str]:
    """A client whose session is managed, and the id with which it can be resumed."""
    client = bound(place, name)
    found = re.search(rb" id='(\w+)'", client.says(f"<enable {SM} {options}/>".encode()))
    return client, found[1].decode() if found else ""


def resumed(place: World, id: str, h: int | str, name: str = "romeo") -> tuple[Client, bytes]:
    """A client that has asked to resume a session, and what it got."""
    client = Client(place)
    client.says(HEADER + plain(name) + HEADER)
    return client, client.says(f"<resume {SM} previd='{id}' h='{h}'/>".encode())


def say(place: World, *words: str) -> None:
    for word in words:
        place.jabber.actor("juliet@example.test").says(ROMEO, word)


def bodies(received: bytes) -> list[str]:
    return re.findall("<body>(.*?)</body>", received.decode())


def count(client: Client) -> int:
    """How many stanzas of the client the server has handled."""
    found = re.search(rb"<a xmlns='urn:xmpp:sm:3' h='(\d+)'", client.says(R))
    assert found
    return int(found[1])


def test_stanzas_count_and_nothing_else_does() -> None:
    client, _ = enabled(world())
    client.says(b" ", f"<a {SM} h='0'/>".encode(), b"<inactive xmlns='urn:xmpp:csi:0'/>")
    assert count(client) == 0
    client.says(b"<message to='a@b.test' type='error'/>")
    client.says(b"<iq type='get' id='1' to='example.test'><ping xmlns='urn:xmpp:ping'/></iq>")
    client.says(
        b"<iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
    )
    client.says(b"<iq type='set' id='3'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    assert count(client) == 4


def test_a_stanza_that_a_fault_answers_counts_on_both_sides() -> None:
    place = world(fault=[{"where": "message", "reply": "gone"}])
    client, id = enabled(place)
    client.says(b"<message to='juliet@example.test' id='m'/>")
    assert count(client) == 1
    client.core.close(Want.RESET)
    assert b"<gone" in resumed(place, id, 0)[1], "the error was not acknowledged"


@pytest.mark.parametrize("heard", range(5))
def test_after_a_cut_each_stanza_arrives_exactly_once(heard: int) -> None:
    place = world()
    client, id = enabled(place)
    client.says(PRESENCE)
    say(place, "one", "two")
    client.core.close(Want.RESET)
    say(place, "three")
    assert place.jabber.sessions(ROMEO) == [f"{ROMEO}/here"]
    assert list(place.jabber.presence(ROMEO)) == ["here"], "a session that waits is available"
    # The stanzas sent are the presence and three messages; the client has got `heard` of them.
    client, answer = resumed(place, id, heard)
    assert f"<resumed {SM} previd='{id}' h='1'/>".encode() in answer
    assert bodies(answer) == ["one", "two", "three"][max(heard - 1, 0) :]
    assert answer.count(b"<delay") == len(bodies(answer)), "sent before, as real servers say, too"
    say(place, "four")
    assert bodies(client.hears()) == ["four"] and count(client) == 1


def test_a_session_goes_on_without_its_old_stream_which_ends() -> None:
    place = world()
    old, id = enabled(place)
    old.says(PRESENCE)
    new, _ = resumed(place, id, 1)
    assert b"<conflict" in old.hears() and old.core.closed
    say(place, "hello")
    assert bodies(new.hears()) == ["hello"]
    # It can be resumed again.
    new.core.close(Want.RESET)
    _, answer = resumed(place, id, 1)
    assert bodies(answer) == ["hello"]


def test_nobody_resumes_the_session_of_another_account() -> None:
    place = world()
    client, id = enabled(place)
    client.says(PRESENCE)
    thief, answer = resumed(place, id, 0, name="juliet")
    assert answer == resumed(place, "unknown", 0, name="juliet")[1], "it looks like an unknown one"
    assert b"<item-not-found" in answer and thief.core.resource is None
    say(place, "hello")
    assert bodies(client.hears()) == ["hello"] and not client.core.closed
    client.says(b"</stream:stream>")
    assert b" h=" not in resumed(place, id, 0, name="juliet")[1]
    assert b" h='1'" in resumed(place, id, 0)[1], "its own account learns the last count"


@pytest.mark.parametrize(
    ("h", "answer"),
    [
        ("2", b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='2' send-count='1'/>"),
        (str(MODULO - 1), b"<handled-count-too-high"),
        ("x", b"<policy-violation"),
        ("", b"<policy-violation"),
        (str(MODULO), b"<policy-violation"),
    ],
)
def test_a_wrong_count_ends_the_stream(h: str, answer: bytes) -> None:
    place = world()
    client, id = enabled(place)
    client.says(PRESENCE)
    assert answer in client.says(f"<a {SM} h='{h}'/>".encode()) and client.core.closed
    client, id = enabled(place)
    client.says(PRESENCE)
    client.core.close(Want.RESET)
    assert answer in resumed(place, id, h)[1]


def test_counts_begin_again_after_the_greatest() -> None:
    place = world()
    client, _ = enabled(place)
    managed = client.core.observer
    assert isinstance(managed, stream_management.Managed)
    managed.handled = managed.acknowledged = MODULO - 1
    client.says(PRESENCE)
    assert count(client) == 0
    assert client.says(f"<a {SM} h='0'/>".encode()) == b"" and not managed.queue


def test_a_session_that_nobody_resumes_ends_and_its_messages_wait() -> None:
    place = world()
    client, id = enabled(place, options="resume='1' max='20'")
    client.says(PRESENCE)
    client.core.close(Want.RESET)
    say(place, "one")
    juliet = place.jabber.actor("juliet@example.test")
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    juliet.sends(f"<iq type='get' id='p' to='{ROMEO}/here'>{ping}</iq>")
    place.clock.advance(19)
    assert place.jabber.sessions(ROMEO)
    place.clock.advance(2)
    assert not place.jabber.sessions(ROMEO)
    assert [stanza.body for stanza in place.jabber.offline(ROMEO)] == ["one"]
    assert [stanza.condition for stanza in juliet.all if stanza.id == "p"] == [
        "recipient-unavailable"
    ]
    assert b"<item-not-found" in resumed(place, id, 0)[1]


STAMP = "<delay xmlns='urn:xmpp:delay' from='example.test' stamp='2026-01-05T00:00:00Z'/>"


def test_another_session_gets_what_a_lost_one_had_not_acknowledged() -> None:
    place = world(xmpp={"stanza_ids": True})
    client, _ = enabled(place, options="resume='1' max='20'")
    client.says(PRESENCE)
    other = bound(place, resource="other")
    other.says(b"<presence><priority>0</priority></presence>")
    juliet = place.jabber.actor("juliet@example.test")
    juliet.sends(f"<message to='{ROMEO}/here' type='chat'><body>one</body></message>")
    (id,) = re.findall(r"<stanza-id[^>]* id='(\w+)'", client.hears().decode())
    client.core.close(Want.RESET)
    other.hears()
    place.clock.advance(21)
    heard = other.hears().decode()
    assert bodies(heard.encode()) == ["one"] and heard.count(STAMP) == 1
    assert re.findall(r"<stanza-id[^>]* id='(\w+)'", heard) == [id], "it is known by its id"


def test_what_waits_for_its_user_after_a_lost_session_has_one_stamp_of_when_it_was_sent() -> None:
    place = world()
    client, _ = enabled(place, options="resume='1' max='20'")
    client.says(PRESENCE)
    say(place, "one")
    client.core.close(Want.RESET)
    place.clock.advance(21)
    heard = bound(place).says(PRESENCE).decode()
    assert bodies(heard.encode()) == ["one"]
    assert heard.count("<delay") == heard.count(STAMP) == 1


def test_a_message_that_no_longer_can_be_delivered_comes_back() -> None:
    place = world(off={"xmpp": ["offline"]})
    client, _ = enabled(place, options="resume='1' max='20'")
    client.says(PRESENCE)
    say(place, "one")
    client.core.close(Want.RESET)
    place.clock.advance(21)
    juliet = place.jabber.actor("juliet@example.test")
    assert [one.condition for one in juliet.messages] == ["service-unavailable"]


def test_a_session_ends_with_its_connection_unless_it_may_be_resumed() -> None:
    place = world()
    client, id = enabled(place, options="")
    assert id == ""
    client.core.close(Want.RESET)
    assert not place.jabber.sessions(ROMEO)
    client, _ = enabled(place)
    client.says(b"</stream:stream>")
    assert not place.jabber.sessions(ROMEO), "a stream that was closed is not resumed"


def test_a_client_waits_no_longer_than_the_server_does() -> None:
    client = bound(world())
    answer = client.says(f"<enable {SM} resume='true' max='999999'/>".encode())
    assert f"max='{RESUME_TIME}'".encode() in answer


def test_another_session_takes_the_resource_of_one_that_waits() -> None:
    place = world()
    client, id = enabled(place)
    client.says(PRESENCE)
    client.core.close(Want.RESET)
    say(place, "one")
    other = bound(place)
    assert b"<item-not-found" in resumed(place, id, 1)[1]
    assert bodies(other.says(PRESENCE)) == ["one"], "nothing is lost"


def test_after_a_failed_resumption_a_resource_can_be_bound() -> None:
    client, _ = resumed(world(), "unknown", 0)
    assert client.core.state == "LOGIN"
    answer = client.says(
        b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    )
    assert b"<jid>" in answer


def test_a_client_that_acknowledges_nothing_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_management, "QUEUE", 5)
    place = world()
    client, _ = enabled(place)
    client.says(PRESENCE)
    say(place, *"abcdef")
    assert b"<resource-constraint" in client.hears()
    client, id = enabled(place)
    client.says(PRESENCE, f"<a {SM} h='1'/>".encode())
    client.core.close(Want.RESET)
    say(place, *"abcdef")
    assert not place.jabber.sessions(ROMEO)
    assert ENDED > 0 and b"<item-not-found" in resumed(place, id, 0)[1]


def test_a_world_that_cuts_the_connection_keeps_the_session() -> None:
    place = world()
    client, id = enabled(place)
    client.says(PRESENCE)
    assert place.jabber.cut(ROMEO) == 1
    assert place.jabber.sessions(ROMEO)
    assert b"<resumed" in resumed(place, id, 1)[1]

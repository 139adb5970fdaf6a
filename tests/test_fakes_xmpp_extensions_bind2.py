"""XEP-0386: a resource bound in a login, what begins with it, and sessions that are resumed."""

from __future__ import annotations

import re

import pytest

from fakes import World
from fakes.wire import Want
from tests.sasl2 import PLAIN, authenticate, bind2, logged_in, secured
from tests.xmpp_raw import Client, bind, bound, world

ROMEO = "romeo@example.test"
CARBONS = "<enable xmlns='urn:xmpp:carbons:2'/>"
MANAGE = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"
INACTIVE = "<inactive xmlns='urn:xmpp:csi:0'/>"
OTHER_ID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"


def identity(answer: bytes) -> str:
    found = re.search(rb"<authorization-identifier>([^<]+)<", answer)
    assert found is not None, answer
    return found[1].decode()


def resume(id: str, h: int | str) -> str:
    return f"<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>"


def managed(place: World) -> tuple[Client, str, str]:
    """A client with a session that can be resumed, the id of it, and its address."""
    client, answer = logged_in(place, bind2(MANAGE))
    found = re.search(rb"<enabled xmlns='urn:xmpp:sm:3' id='(\w+)'", answer)
    assert found is not None
    return client, found[1].decode(), identity(answer)


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("", r"\w{12}"),
        ("AwesomeXMPP", r"AwesomeXMPP/\w{12}"),
        ("a b &amp; /c", r"a b & /c/\w{12}"),
        ("x" * 1010, r"x{1010}/\w{12}"),
        # With what makes it unique, it is longer than a resource may be.
        ("x" * 1011, r"\w{12}"),
        ("\u0378", r"\w{12}"),
    ],
)
def test_the_name_of_the_resource_is_the_tag_and_random_characters(tag: str, name: str) -> None:
    place = world(tls="optional")
    client, answer = logged_in(place, bind2(tag=tag))
    bound = b"<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/></bound>"
    assert bound + b"</success><stream:features>" in answer
    assert client.core.state == "BOUND"
    [address] = place.jabber.sessions(ROMEO)
    assert re.fullmatch(f"{ROMEO}/{name}", address)
    assert identity(answer).replace("&amp;", "&") == address
    assert b" type='result'/>" in client.says(
        b"<iq type='get' id='1' to='example.test'><ping xmlns='urn:xmpp:ping'/></iq>"
    )


def test_two_clients_of_the_same_kind_have_different_names() -> None:
    place = world(tls="optional")
    for id in ("", "", OTHER_ID):
        secured(place).says(authenticate(PLAIN, bind2(tag="play"), id=id))
    assert len({*place.jabber.sessions(ROMEO)}) == 3


def test_features_that_a_client_asks_for_are_on_from_the_first_stanza() -> None:
    place = world(tls="optional")
    client, answer = logged_in(place, bind2(CARBONS, MANAGE, INACTIVE))
    assert re.search(
        rb"<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/>"
        rb"<enabled xmlns='urn:xmpp:sm:3' id='\w+' resume='true' max='300'/></bound></success>",
        answer,
    )
    offered = answer.partition(b"<stream:features>")[2]
    assert b"xmpp-bind" not in offered and b"xmpp-session" not in offered
    assert b"<sm " not in offered and b"<csi " in offered
    client.says(b"<presence/>")
    other = bound(place)
    # The presence of another session waits, because nobody looks at this one …
    other.says(b"<presence/>")
    assert b"<presence" not in client.hears()
    # … and comes before the copy of what the other session says.
    other.says(b"<message to='juliet@example.test' type='chat'><body>hi</body></message>")
    heard = client.hears()
    assert b"<sent xmlns='urn:xmpp:carbons:2'>" in heard
    assert heard.index(b"<presence") < heard.index(b"<sent")
    assert b"<r xmlns='urn:xmpp:sm:3'/>" in heard


def test_without_a_request_nothing_is_on() -> None:
    place = world(tls="optional")
    client, answer = logged_in(place, bind2("<active xmlns='urn:xmpp:csi:0'/>"))
    assert b"<sm " in answer.partition(b"<stream:features>")[2]
    client.says(b"<presence/>")
    other = bound(place)
    other.says(b"<message to='juliet@example.test' type='chat'><body>hi</body></message>")
    assert b"<sent" not in client.hears() and client.core.observer is None


@pytest.mark.parametrize("off", ["carbons", "client-state", "stream-management"])
def test_what_is_switched_off_is_not_switched_on(off: str) -> None:
    place = world(tls="optional", off={"xmpp": [off]})
    client, answer = logged_in(place, bind2(CARBONS, MANAGE, INACTIVE))
    resource = client.core.resource
    assert resource is not None
    assert off not in resource.extension_data and len(resource.extension_data) == 3
    assert (b"<enabled" in answer) == (off != "stream-management")


def test_bind_is_ignored_where_it_is_off() -> None:
    client, answer = logged_in(world(tls="optional", off={"xmpp": ["bind2"]}), bind2(MANAGE))
    assert b"<bound" not in answer and client.core.state == "LOGIN"
    assert b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>" in answer


def test_with_too_many_sessions_the_other_way_to_bind_says_why() -> None:
    place = world(tls="optional", xmpp={"resources": 1})
    bound(place)
    client, answer = logged_in(place, bind2())
    assert b"<bound" not in answer and client.core.state == "LOGIN"
    assert b"<resource-constraint" in client.says(bind())


@pytest.mark.parametrize(("id", "ends"), [("", False), (OTHER_ID, False), (None, True)])
def test_a_client_that_comes_again_ends_its_earlier_session(id: str | None, ends: bool) -> None:
    place = world(tls="optional")
    first, answer = logged_in(place, bind2(tag="play"))
    second = secured(place)
    again = authenticate(PLAIN, bind2(tag="play"))
    second.says(again if id is None else authenticate(PLAIN, bind2(), id=id))
    assert (b"<conflict" in first.hears()) is ends
    assert (identity(answer) in place.jabber.sessions(ROMEO)) is not ends


@pytest.mark.parametrize("off", [[], ["archive"]])
def test_waiting_messages_are_cleared_only_where_there_is_an_archive(off: list[str]) -> None:
    place = world(tls="optional", off={"xmpp": off})
    juliet = place.jabber.actor("juliet@example.test")
    juliet.says(ROMEO, "hello")
    hint = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
    juliet.sends(f"<message to='{ROMEO}' type='chat'><body>psst</body>{hint}</message>")
    client, _ = logged_in(place, bind2())
    heard = client.says(b"<presence/>")
    assert (b"<body>hello</body>" in heard) is bool(off)
    assert b"<body>psst</body>" in heard, "it is in no archive"
    assert place.jabber.offline(ROMEO) == []


@pytest.mark.parametrize("archived", [True, False])
def test_what_an_earlier_session_has_not_acknowledged_is_not_lost(archived: bool) -> None:
    place = world(tls="optional", off={"xmpp": [] if archived else ["archive"]})
    client, _, _ = managed(place)
    client.says(b"<presence/>")
    place.jabber.actor("juliet@example.test").says(ROMEO, "hello")
    client.core.close(Want.RESET)
    client, _ = logged_in(place, bind2())
    heard = client.says(
        b"<presence/><iq type='set' id='1'><query xmlns='urn:xmpp:mam:2'/></iq>",
    )
    assert heard.count(b"<body>hello</body>") == 1


# ── resumption (XEP-0198 §9) ─────────────────────────────────────────────────


@pytest.mark.parametrize("with_bind", [True, False])
def test_a_session_is_resumed_in_a_login_and_then_nothing_is_bound(with_bind: bool) -> None:
    place = world(tls="optional")
    client, id, address = managed(place)
    client.says(b"<presence/>")
    juliet = place.jabber.actor("juliet@example.test")
    juliet.says(ROMEO, "one")
    client.core.close(Want.RESET)
    juliet.says(ROMEO, "two")
    also = [bind2(MANAGE)] if with_bind else []
    client, answer = logged_in(place, resume(id, 1), *also)
    resumed = f"<resumed xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/></success>".encode()
    before, _, after = answer.partition(resumed)
    assert identity(before) == address and b"<bound" not in answer
    assert b"<stream:features>" not in after, "XEP-0198 §9.2"
    assert re.findall(rb"<body>(\w+)<", after) == [b"one", b"two"]
    assert place.jabber.sessions(ROMEO) == [address]
    juliet.says(ROMEO, "three")
    assert b"<body>three</body>" in client.hears()


def test_after_a_failed_resumption_a_resource_is_bound() -> None:
    place = world(tls="optional")
    client, id, _ = managed(place)
    client.says(b"<presence/></stream:stream>")
    _, answer = logged_in(place, resume(id, 1), bind2(MANAGE))
    assert re.search(
        rb"<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found [^>]*/></failed>"
        rb"<bound xmlns='urn:xmpp:bind:0'><metadata xmlns='urn:xmpp:mam:2'/><enabled ",
        answer,
    )


def test_after_a_failed_resumption_alone_the_client_may_go_on() -> None:
    client, answer = logged_in(world(tls="optional"), resume("unknown", 0))
    assert b"<failed xmlns='urn:xmpp:sm:3'><item-not-found " in answer
    assert b"<sm xmlns='urn:xmpp:sm:3'/>" in answer and client.core.state == "LOGIN"


@pytest.mark.parametrize(("h", "error"), [("9", b"<undefined-condition"), ("x", b"<policy-")])
def test_a_wrong_count_ends_the_stream(h: str, error: bytes) -> None:
    place = world(tls="optional")
    client, id, _ = managed(place)
    client.core.close(Want.RESET)
    client, answer = logged_in(place, resume(id, h))
    assert error in answer and b"<success" not in answer and client.core.closed
    assert b"<resumed" in logged_in(place, resume(id, 0))[1], "the session still waits"


def test_nobody_resumes_the_session_of_another_account() -> None:
    place = world(tls="optional")
    client, id, _ = managed(place)
    client.core.close(Want.RESET)
    thief = secured(place)
    answer = thief.says(authenticate(b"\0juliet\0secret", resume(id, 0)))
    assert b"<item-not-found" in answer and thief.core.resource is None


def test_a_failed_login_resumes_nothing() -> None:
    place = world(tls="optional")
    client, id, _ = managed(place)
    client.core.close(Want.RESET)
    answer = secured(place).says(authenticate(b"\0romeo\0guess", resume(id, 0)))
    assert b"<not-authorized" in answer and b"sm:3" not in answer
    assert b"<resumed" in logged_in(place, resume(id, 0))[1]

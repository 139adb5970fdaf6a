"""A stream by raw octets: every verb in every state, every chopping, whatever may come, and what it costs."""

from __future__ import annotations

import itertools
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import World, transcript
from fakes.transcript import render
from fakes.wire import Want, in_states
from fakes.xmpp import Xmpp
from tests.xmpp_raw import HEADER, SASL, STARTTLS, Client, bind, bound, login, plain, world

STATES = ("START", "OPEN", "SASL", "AGAIN", "LOGIN", "BOUND")
UNITS = {
    "stream": HEADER,
    "starttls": STARTTLS,
    "auth": plain("romeo"),
    "response": plain("romeo").replace(b"auth", b"response").replace(b" mechanism='PLAIN'", b""),
    "abort": f"<abort xmlns='{SASL}'/>".encode(),
    "bind": bind("second"),
    "session": b"<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
    "iq": b"<iq type='get' id='1' to='example.test'><ping xmlns='urn:xmpp:ping'/></iq>",
    "message": b"<message to='example.test' type='error'/>",
    "presence": b"<presence to='example.test'/>",
    "error": b"<stream:error/>",
    "close": b"</stream:stream>",
}
LEADS = {
    "START": b"",
    "OPEN": HEADER,
    "SASL": HEADER + f"<auth xmlns='{SASL}' mechanism='PLAIN'/>".encode(),
    "AGAIN": HEADER + plain("romeo"),
    "LOGIN": HEADER + plain("romeo") + HEADER,
    "BOUND": login("romeo"),
}
# What a refusal for the state alone says, and nothing else does.
OUT_OF_TURN = (
    b"out of turn", b"nothing was asked", b"log in first", b"in its turn", b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'",
    b"<invalid-namespace", b"<not-well-formed", b"<unsupported-stanza-type",
)  # fmt: skip


def at(state: str) -> Client:
    client = Client(world(tls="optional"))
    client.says(LEADS[state])
    assert client.core.state == state
    return client


@pytest.mark.parametrize(("verb", "state", "legal"), list(in_states(Xmpp.verbs, STATES)))
def test_a_verb_is_taken_in_its_states_and_refused_in_all_others(verb: str, state: str, legal: bool) -> None:
    client = at(state)
    # inside a stream another header is an element like any other: it is one only when it ends
    unit = UNITS[verb] if verb != "stream" or state in ("START", "AGAIN") else HEADER[:-1] + b"/>"
    said = client.says(unit)
    assert any(sign in said for sign in OUT_OF_TURN) is not legal, said


def test_the_states_of_the_table_are_all_that_there_are() -> None:
    assert {state for row in Xmpp.verbs.values() for state in row.states} == set(STATES)


# ── choppings ────────────────────────────────────────────────────────────────────────────────────────────────────

WHOLE = (
    b"<?xml version='1.0'?>" + HEADER + plain("romeo", "wrong") + plain("romeo") + b" \n<?xml version='1.0'?>" + HEADER
    + bind("here") + b"<presence><show>away</show></presence>\n"
    + "<message to='romeo@example.test'><body>¿&#x20AC; <![CDATA[<]]></body></message>".encode()
    + b"<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq><message to='@'/></stream:stream>behind"
)  # fmt: skip


def heard(chunks: list[bytes]) -> tuple[bytes, list[tuple[str, str, bytes]]]:
    place = world()
    client = Client(place)
    said = client.says(*chunks)
    return said, [(one.direction, one.verb, one.raw) for one in place.records]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_every_chopping_gives_the_same_answers_and_the_same_records(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    assert heard([WHOLE[a:b] for a, b in itertools.pairwise(edges)]) == heard([WHOLE])


def test_octet_by_octet_gives_the_same_answers_and_the_same_records() -> None:
    assert heard([WHOLE[n : n + 1] for n in range(len(WHOLE))]) == heard([WHOLE])


# ── bad input ────────────────────────────────────────────────────────────────────────────────────────────────────

BAD = {
    "not-well-formed": [b"<message></presence>", b"<message <", b"<a><b></a></b>", b"<x:y/>", b"<message to='a' to='b'/>"],
    "restricted-xml": [b"<!-- -->", b"<?pi?>", b"<message>&lol;</message>", b"<message><!-- --></message>"],
    "bad-format": [b"text", b"<![CDATA[text]]><presence/>"],
    "invalid-namespace": [b"<message xmlns='jabber:server'/>", b"<iq xmlns=''/>", b"<presence xmlns='urn:x'/>"],
    "bad-namespace-prefix": [b"<c:message xmlns:c='jabber:client'/>"],
    "unsupported-stanza-type": [b"<hello/>", b"<hello xmlns='urn:x'/>", b"<stream:features/>"],
    "unsupported-encoding": [
        b"<message>\xff</message>",
        b"<message>\xc0\x80</message>",
        b"<message>\xed\xa0\x80</message>",
    ],
    "policy-violation": [b"<a>" * 1000, b"<message>" + b"x" * (1 << 20), b"<message to='" + b"x" * (1 << 20)],
}


@pytest.mark.parametrize(("condition", "octets"), [(name, one) for name, some in BAD.items() for one in some])
def test_what_is_no_stanza_ends_its_stream_and_no_other(condition: str, octets: bytes) -> None:
    place = world()
    juliet, romeo = bound(place, "juliet"), bound(place)
    said = romeo.says(octets)
    assert f"<stream:error><{condition} ".encode() in said
    assert said.endswith(b"</stream:stream>")
    assert romeo.core.wants is Want.CLOSE
    assert b"<iq" in juliet.says(UNITS["iq"])


def test_ten_megabytes_are_refused_when_the_limit_is_reached_and_nothing_is_kept() -> None:
    romeo = bound(world())
    most = 0
    said = romeo.says(b"<message to='juliet@example.test'><body>")
    for _ in range(160):
        said += romeo.says(b"x" * 65536)
        most = max(most, len(romeo.core._in))
    assert b"<policy-violation" in said
    assert b"<stanza-too-big xmlns='urn:xmpp:errors'/>" in said
    assert most <= 1 << 18


def test_a_stanza_of_the_limit_passes_and_one_octet_more_does_not() -> None:
    place = world(xmpp={"stanza": 10_000})
    frame = b"<message to='romeo@example.test/here'><body>%b</body></message>"
    for extra, passes in ((0, True), (1, False)):
        romeo = bound(place)
        said = romeo.says(frame % (b"x" * (10_000 - len(frame) + 2 + extra)))
        assert (b"<policy-violation" not in said) is passes


def test_a_bomb_of_entities_is_refused_at_its_first_word() -> None:
    bomb = b"<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY a 'lol'>" + b"<!ENTITY b '&a;&a;'>" * 9999
    assert b"<restricted-xml" in Client(world()).says(bomb)


@given(st.binary(max_size=400))
def test_any_octets_at_all_are_survived(octets: bytes) -> None:
    for state in ("START", "OPEN", "BOUND"):
        client = at(state)
        client.says(octets)
        client.core.eof()


PIECES = st.sampled_from(
    [
        *UNITS.values(), HEADER, b"<", b">", b"/>", b"'", b" xmlns=''", b"<message to='romeo@example.test/here'>", b"</message>",
        b"<body>x</body>", b"&amp;", b"&#0;", b"]]>", b"<presence/>", b"<presence type='subscribe' to='juliet@example.test'/>",
        b"<iq type='set' id='1'>", b"</iq>", b"<query xmlns='jabber:iq:roster'>", b"</query>", b"<item jid='a@b' name='&lt;'/>",
        b"<iq type='get' id='' to=''/>", b"\xc3", b"\xa9", b"\xff", b"\x00", b" ", b"\n", b"<?xml version='1.0'?>", b"<!--",
        b"<vCard xmlns='vcard-temp'/>", b"<block xmlns='urn:xmpp:blocking'>", b"</block>", b"<item/>", b"x:", b"<x:a>",
    ]
)  # fmt: skip


@given(st.sampled_from(STATES), st.lists(PIECES, max_size=12))
def test_any_pieces_in_any_order_are_survived(state: str, pieces: list[bytes]) -> None:
    client = at(state)
    client.says(*pieces)
    client.core.eof()
    assert client.core.closed


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_end_is_answered_with_an_end_and_nothing_is_heard_afterwards() -> None:
    romeo = bound(world())
    assert romeo.says(b"<presence/></stream:stream>" + UNITS["iq"]).endswith(b"/></stream:stream>")
    assert romeo.core.wants is Want.CLOSE
    assert romeo.says(UNITS["iq"]) == b""


def test_what_waits_for_a_client_is_delivered_before_the_end() -> None:
    place = world()
    juliet, romeo = bound(place, "juliet"), bound(place)
    romeo.core.receive(b"<message to='juliet@example.test/here'><body>last words</body></message>")
    juliet.core.receive(b"</stream:stream>")
    said = juliet.hears()
    assert said.index(b"last words") < said.index(b"</stream:stream>")


def test_one_connection_too_many_is_told_so() -> None:
    client = Client(world(), crowded=True)
    said = client.hears()
    assert said.startswith(b"<?xml")
    assert b"<resource-constraint" in said
    assert client.core.wants is Want.CLOSE


def test_what_came_in_clear_behind_starttls_is_never_executed() -> None:
    client = at("OPEN")
    client.core.receive(STARTTLS + plain("romeo"))
    assert b"<success" not in client.hears()
    assert client.core.wants is Want.START_TLS


def test_after_starttls_a_login_and_all_else_is_forgotten() -> None:
    client = at("OPEN")
    client.starts_tls()
    said = client.says(HEADER)
    assert b"SCRAM-SHA-256-PLUS" in said
    assert b"<sasl-channel-binding" in said
    assert b"<starttls" not in said


def test_every_stream_has_an_id_of_its_own() -> None:
    place = world()
    ids = set()
    for _ in range(20):
        said = Client(place).says(HEADER + plain("romeo") + HEADER)
        ids |= {part.split(b"'")[0] for part in said.split(b" id='")[1:]}
    assert len(ids) == 40


def test_who_claims_another_name_in_the_header_inside_tls_is_not_logged_in() -> None:
    client = at("OPEN")
    client.starts_tls()
    claiming = HEADER.replace(b"to=", b"from='juliet@example.test' to=")
    said = client.says(claiming + plain("romeo"))
    assert b"<invalid-from" in said
    assert b"<success" not in said


# ── what people see ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut", [0, 12])
def test_no_transcript_shows_a_password_not_even_of_half_a_login(cut: int) -> None:
    place = world()
    client = Client(place)
    auth = plain("romeo", "tell nobody")
    client.says(HEADER + (auth[:-cut] if cut else auth))
    client.core.eof()
    shown = render(place.recording)
    assert auth[-40:-12].decode() not in shown
    assert "{plain romeo wrong}" in shown if not cut else "{not base64}" in shown


# ── on sockets ───────────────────────────────────────────────────────────────────────────────────────────────────


def connected(place: World, name: str, listener: str = "xmpp") -> socket.socket:
    link = socket.create_connection(place.address(listener), 5)
    link.sendall(login(name))
    said = b""
    while b"<jid>" not in said:
        said += link.recv(65536)
    return link


def test_a_slow_reader_is_cut_off_and_the_others_are_served_on() -> None:
    people = [{"address": "romeo@example.test"}, {"address": "juliet@example.test"}]
    with World({"servers": ["xmpp"], "person": people}) as place:
        juliet, romeo = connected(place, "juliet"), connected(place, "romeo")
        message = b"<message to='juliet@example.test/here'><body>%b</body></message>" % (b"x" * 200_000)
        for _ in range(120):
            romeo.sendall(message)
            if not place.jabber.sessions("juliet@example.test"):
                break
        else:
            pytest.fail("she was never cut off")
        romeo.settimeout(5)
        romeo.sendall(UNITS["iq"])
        said = b""
        while b"type='result'" not in said:
            said += romeo.recv(65536)
        romeo.close()
        juliet.close()


@pytest.mark.slow
def test_a_thousand_sessions_come_and_go() -> None:
    place = world()
    for n in range(1000):
        client = bound(place, "romeo", f"r{n % 50}")
        client.core.eof()
    assert place.jabber.sessions("romeo@example.test") == []


@pytest.mark.parametrize(
    "name", ["xmpp-scram", "xmpp-digest-md5", "xmpp-plain-continued", "xmpp-sasl-failures", "xmpp-faults"]
)
def test_a_recording_plays_again_though_it_holds_no_password(name: str) -> None:
    played = transcript.load(Path(__file__).parent / "transcripts" / f"{name}.txt")
    place = transcript.play_on_core(played)
    again = transcript.parse(render(place.recording, played.title), name)
    again.given, again.faults = played.given, played.faults
    assert any("{" in step.text for step in again.steps if step.kind == "C")
    transcript.play_on_core(again)


def test_several_people_are_named_and_play_again() -> None:
    place = world()
    romeo, juliet = bound(place), bound(place, "juliet")
    juliet.says(b"<presence/>")
    romeo.says(b"<message to='juliet@example.test'><body>hello</body></message>")
    given = 'person = [{ address = "romeo@example.test" }, { address = "juliet@example.test" }]'
    shown = render(place.recording, "XMPP: two", given)
    assert "\nromeo C: <message " in shown
    assert "\njuliet S: <message " in shown
    transcript.play_on_core(transcript.parse(shown))


def test_every_verb_of_the_table_is_in_a_transcript_legal_and_refused() -> None:
    done: set[str] = set()
    refused: set[str] = set()
    for path in (Path(__file__).parent / "transcripts").glob("xmpp-*.txt"):
        place = transcript.play_on_core(transcript.load(path))
        for said, answer in itertools.pairwise([one for one in place.records if one.direction in "CS"]):
            if said.direction == "C" and answer.direction == "S":
                (refused if any(sign in answer.raw for sign in OUT_OF_TURN) else done).add(said.verb)
    assert set(Xmpp.verbs) <= done
    # a header, an error and an end are what they are by where they stand: out of turn they are something else
    assert set(Xmpp.verbs) - {"stream", "error", "close"} <= refused

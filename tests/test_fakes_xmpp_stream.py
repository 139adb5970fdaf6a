"""A stream by raw bytes: every verb in every state, every chunking, bad input, and the end."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import World
from fakes.transcripts.player import play_on_core
from fakes.transcripts.recorder import render, wire_lines
from fakes.transcripts.text import load, parse
from fakes.wire import Unit, Want
from fakes.xmpp import Xmpp
from scenarios.stage.wire import WireChoice, wire
from tests.legality import failing, in_states
from tests.xmpp_raw import HEADER, SASL, STARTTLS, Client, bind, bound, login, plain, world

TRANSCRIPTS = Path(__file__).parent / "transcripts"

# ── the legality table ───────────────────────────────────────────────────────

STATES = ("START", "OPEN", "SASL", "AGAIN", "LOGIN", "BOUND")
# verb → a unit
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
    "enable": b"<enable xmlns='urn:xmpp:sm:3'/>",
    "resume": b"<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
    "r": b"<r xmlns='urn:xmpp:sm:3'/>",
    "a": b"<a xmlns='urn:xmpp:sm:3' h='0'/>",
    "active": b"<active xmlns='urn:xmpp:csi:0'/>",
    "inactive": b"<inactive xmlns='urn:xmpp:csi:0'/>",
    "register": b"<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>",
    "legacy-login": b"<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>",
    "error": b"<stream:error/>",
    "close": b"</stream:stream>",
}
# state → what a client sends to reach it
LEADS = {
    "START": b"",
    "OPEN": HEADER,
    "SASL": HEADER + f"<auth xmlns='{SASL}' mechanism='PLAIN'/>".encode(),
    "AGAIN": HEADER + plain("romeo"),
    "LOGIN": HEADER + plain("romeo") + HEADER,
    "BOUND": login("romeo"),
}
# Parts of the answers that refuse a verb because of the state, and that no other answer has.
REFUSED_FOR_STATE = (
    b"out of turn",
    b"nothing was asked",
    b"log in first",
    b"in its turn",
    b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'",
    b"<invalid-namespace",
    b"<not-well-formed",
    b"<unsupported-stanza-type",
)
# What a header, a stream error and a closing tag are depends on where they stand in the document:
# in any other state they are not well-formed, or an element that is not a stanza.
BY_POSITION = {"stream", "error", "close"}


def client_in(state: str) -> Client:
    """A client whose stream is in this state."""
    on = ["registration", "legacy-login"]
    client = Client(world(tls="optional", xmpp={"on": on}))
    client.says(LEADS[state])
    assert client.core.state == state
    return client


@pytest.mark.parametrize("verb", Xmpp.verbs)
def test_a_verb_is_accepted_in_its_states_and_refused_in_all_others(verb: str) -> None:
    assert failing(check_verb, in_states({verb: Xmpp.verbs[verb]}, STATES)) == []


def check_verb(verb: str, state: str, legal: bool) -> None:
    client = client_in(state)
    unit = UNITS[verb]
    if verb == "stream" and state not in ("START", "AGAIN"):
        # Inside a stream another header is an element, which must end to be seen.
        unit = HEADER[:-1] + b"/>"
    answer = client.says(unit)
    assert any(part in answer for part in REFUSED_FOR_STATE) is not legal, answer


@pytest.mark.parametrize("state", ["OPEN", "LOGIN", "BOUND"])
@pytest.mark.parametrize("verb", ["enable", "resume", "r", "a", "active", "inactive"])
def test_an_element_of_the_first_level_means_nothing_in_an_iq(verb: str, state: str) -> None:
    answer = client_in(state).says(b"<iq type='set' id='i'>" + UNITS[verb] + b"</iq>")
    if state == "OPEN":
        assert b"<not-authorized" in answer and b"</stream:stream>" in answer
    else:
        assert b" id='i' type='error'" in answer and b"<service-unavailable" in answer


@pytest.mark.parametrize("state", ["OPEN", "LOGIN", "BOUND"])
@pytest.mark.parametrize("space", ["jabber:iq:register", "jabber:iq:auth"])
def test_what_is_asked_in_an_iq_means_nothing_at_the_first_level(space: str, state: str) -> None:
    answer = client_in(state).says(f"<query xmlns='{space}'/>".encode())
    assert b"<unsupported-stanza-type" in answer


def test_the_table_has_no_other_states() -> None:
    assert {state for row in Xmpp.verbs.values() for state in row.states} == set(STATES)


@pytest.fixture(scope="module")
def in_transcripts() -> Iterator[set[tuple[str, str]]]:
    """The verbs that the transcripts contain, each with the state of its stream."""
    seen: set[tuple[str, str]] = set()
    handle = Xmpp.handle

    def note_and_handle(core: Xmpp, unit: Unit) -> None:
        seen.add((unit.verb, core.state))
        handle(core, unit)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Xmpp, "handle", note_and_handle)
        for path in TRANSCRIPTS.glob("xmpp-*.txt"):
            play_on_core(load(path))
        yield seen


@pytest.mark.slow  # all transcripts are played
@pytest.mark.parametrize("verb", Xmpp.verbs)
def test_a_transcript_has_each_verb_in_each_of_its_legal_states(
    verb: str, in_transcripts: set[tuple[str, str]]
) -> None:
    for state in Xmpp.verbs[verb].states:
        assert (verb, state) in in_transcripts, f"no xmpp transcript has {verb} in {state}"


@pytest.mark.parametrize("verb", sorted(set(Xmpp.verbs) - BY_POSITION))
def test_a_transcript_has_each_verb_refused_in_an_illegal_state(
    verb: str, in_transcripts: set[tuple[str, str]]
) -> None:
    illegal = {(verb, state) for state in STATES if state not in Xmpp.verbs[verb].states}
    assert illegal & in_transcripts, f"no xmpp transcript has {verb} in an illegal state"


@pytest.mark.parametrize("verb", sorted(BY_POSITION))
def test_a_header_an_error_or_an_end_never_occurs_in_an_illegal_state(
    verb: str, in_transcripts: set[tuple[str, str]]
) -> None:
    states = {state for seen, state in in_transcripts if seen == verb}
    assert states <= Xmpp.verbs[verb].states


# ── chunks ───────────────────────────────────────────────────────────────────

WHOLE = b"".join(
    (
        b"<?xml version='1.0'?>",
        HEADER,
        plain("romeo", "wrong"),
        plain("romeo"),
        b" \n<?xml version='1.0'?>",
        HEADER,
        bind("here"),
        b"<presence><show>away</show></presence>\n",
        "<message to='romeo@example.test'><body>¿&#x20AC; <![CDATA[<]]></body></message>".encode(),
        b"<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        b"<message to='@'/></stream:stream>after the end",
    )
)


def played(chunks: list[bytes]) -> tuple[bytes, list[tuple[str, str, bytes]]]:
    """The answers and the records for a stream that comes in these chunks."""
    place = world()
    answers = Client(place).says(*chunks)
    return answers, [(record.direction, record.verb, record.raw) for record in place.records]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_every_chunking_yields_the_same_answers_and_records(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    assert played([WHOLE[a:b] for a, b in itertools.pairwise(edges)]) == played([WHOLE])


def test_single_bytes_yield_the_same_answers_and_records() -> None:
    assert played([WHOLE[n : n + 1] for n in range(len(WHOLE))]) == played([WHOLE])


# ── bad input ────────────────────────────────────────────────────────────────

# condition of the stream error → what causes it
BAD = {
    "not-well-formed": [
        b"<message></presence>",
        b"<message <",
        b"<a><b></a></b>",
        b"<x:y/>",
        b"<message to='a' to='b'/>",
    ],
    "restricted-xml": [
        b"<!-- -->",
        b"<?pi?>",
        b"<message>&lol;</message>",
        b"<message><!-- --></message>",
    ],
    "bad-format": [b"text", b"<![CDATA[text]]><presence/>"],
    "invalid-namespace": [
        b"<message xmlns='jabber:server'/>",
        b"<iq xmlns=''/>",
        b"<presence xmlns='urn:x'/>",
    ],
    "bad-namespace-prefix": [b"<c:message xmlns:c='jabber:client'/>"],
    "unsupported-stanza-type": [b"<hello/>", b"<hello xmlns='urn:x'/>", b"<stream:features/>"],
    "unsupported-encoding": [
        b"<message>\xff</message>",
        b"<message>\xc0\x80</message>",
        b"<message>\xed\xa0\x80</message>",
    ],
    "policy-violation": [
        b"<a>" * 1000,
        b"<message>" + b"x" * (1 << 20),
        b"<message to='" + b"x" * (1 << 20),
    ],
}


@pytest.mark.parametrize(
    ("condition", "data"),
    [(condition, data) for condition, inputs in BAD.items() for data in inputs],
)
def test_bad_input_ends_its_own_stream_and_no_other(condition: str, data: bytes) -> None:
    place = world()
    juliet, romeo = bound(place, "juliet"), bound(place)
    answer = romeo.says(data)
    assert f"<stream:error><{condition} ".encode() in answer
    assert answer.endswith(b"</stream:stream>")
    assert romeo.core.wants is Want.CLOSE
    assert b"<iq" in juliet.says(UNITS["iq"])


def test_a_huge_stanza_is_refused_at_the_limit_and_is_not_buffered() -> None:
    romeo = bound(world())
    most = 0
    answer = romeo.says(b"<message to='juliet@example.test'><body>")
    for _ in range(160):
        answer += romeo.says(b"x" * 65536)
        most = max(most, len(romeo.core.buffer))
    assert b"<policy-violation" in answer
    assert b"<stanza-too-big xmlns='urn:xmpp:errors'/>" in answer
    assert most <= 1 << 18


@pytest.mark.parametrize(("excess", "accepted"), [(0, True), (1, False)])
def test_a_stanza_of_the_limit_is_accepted_and_a_byte_more_is_not(
    excess: int, accepted: bool
) -> None:
    romeo = bound(world(xmpp={"stanza": 10_000}))
    frame = b"<message to='romeo@example.test/here'><body>%b</body></message>"
    answer = romeo.says(frame % (b"x" * (10_000 - len(frame) + 2 + excess)))
    assert (b"<policy-violation" not in answer) is accepted


def test_an_entity_bomb_is_refused_at_its_document_type() -> None:
    bomb = b"<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY a 'lol'>"
    bomb += b"<!ENTITY b '&a;&a;'>" * 9999
    assert b"<restricted-xml" in Client(world()).says(bomb)


@given(st.binary(max_size=400))
def test_no_bytes_raise_an_exception(data: bytes) -> None:
    for state in ("START", "OPEN", "BOUND"):
        client = client_in(state)
        client.says(data)
        client.core.eof()


PIECES = st.sampled_from(
    [
        *UNITS.values(), HEADER, b"<", b">", b"/>", b"'", b" xmlns=''",
        b"<message to='romeo@example.test/here'>", b"</message>", b"<body>x</body>", b"&amp;",
        b"&#0;", b"]]>", b"<presence/>", b"<presence type='subscribe' to='juliet@example.test'/>",
        b"<iq type='set' id='1'>", b"</iq>", b"<query xmlns='jabber:iq:roster'>", b"</query>",
        b"<item jid='a@b' name='&lt;'/>", b"<iq type='get' id='' to=''/>", b"\xc3", b"\xa9",
        b"\xff", b"\x00", b" ", b"\n", b"<?xml version='1.0'?>", b"<!--",
        b"<vCard xmlns='vcard-temp'/>", b"<block xmlns='urn:xmpp:blocking'>", b"</block>",
        b"<item/>", b"x:", b"<x:a>",
    ]
)  # fmt: skip


@given(st.sampled_from(STATES), st.lists(PIECES, max_size=12))
def test_no_sequence_of_pieces_raises_an_exception(state: str, pieces: list[bytes]) -> None:
    client = client_in(state)
    client.says(*pieces)
    client.core.eof()
    assert client.core.closed


# ── the end ──────────────────────────────────────────────────────────────────


def test_a_closing_tag_is_answered_and_nothing_is_handled_after_it() -> None:
    romeo = bound(world())
    answer = romeo.says(b"<presence/></stream:stream>" + UNITS["iq"])
    assert answer.endswith(b"/></stream:stream>")
    assert romeo.core.wants is Want.CLOSE
    assert romeo.says(UNITS["iq"]) == b""


def test_stanzas_that_wait_for_a_client_are_delivered_before_the_end() -> None:
    place = world()
    juliet, romeo = bound(place, "juliet"), bound(place)
    body = b"<body>last words</body>"
    romeo.core.receive(b"<message to='juliet@example.test/here'>" + body + b"</message>")
    juliet.core.receive(b"</stream:stream>")
    received = juliet.hears()
    assert received.index(b"last words") < received.index(b"</stream:stream>")


def test_a_connection_above_the_limit_gets_a_stream_error() -> None:
    client = Client(world(), crowded=True)
    answer = client.hears()
    assert answer.startswith(b"<?xml")
    assert b"<resource-constraint" in answer
    assert client.core.wants is Want.CLOSE


def test_input_in_clear_after_starttls_is_never_executed() -> None:
    client = client_in("OPEN")
    client.core.receive(STARTTLS + plain("romeo"))
    assert b"<success" not in client.hears()
    assert client.core.wants is Want.START_TLS


def test_starttls_starts_the_stream_again() -> None:
    client = client_in("OPEN")
    client.starts_tls()
    answer = client.says(HEADER)
    assert b"<mechanism>SCRAM-SHA-256</mechanism>" in answer
    assert b"<starttls" not in answer


def test_every_stream_has_a_new_id() -> None:
    place = world()
    ids = set()
    for _ in range(20):
        answer = Client(place).says(HEADER + plain("romeo") + HEADER)
        ids |= {part.split(b"'")[0] for part in answer.split(b" id='")[1:]}
    assert len(ids) == 40


def test_inside_tls_a_client_cannot_log_in_as_another_than_its_header_claims() -> None:
    client = client_in("OPEN")
    client.starts_tls()
    claiming = HEADER.replace(b"to=", b"from='juliet@example.test' to=")
    answer = client.says(claiming + plain("romeo"))
    assert b"<invalid-from" in answer
    assert b"<success" not in answer


# ── on sockets ───────────────────────────────────────────────────────────────


def connected(place: World, name: str) -> socket.socket:
    """A socket on which a client has logged in."""
    link = socket.create_connection(place.address("xmpp"), 5)
    link.sendall(login(name))
    received = b""
    while b"<jid>" not in received:
        received += link.recv(65536)
    return link


def test_a_slow_reader_is_cut_off_and_the_others_are_served() -> None:
    people = [{"address": "romeo@example.test"}, {"address": "juliet@example.test"}]
    with World({"servers": ["xmpp"], "person": people}) as place:
        juliet, romeo = connected(place, "juliet"), connected(place, "romeo")
        frame = b"<message to='juliet@example.test/here'><body>%b</body></message>"
        message = frame % (b"x" * 200_000)
        for _ in range(120):
            romeo.sendall(message)
            if not place.jabber.sessions("juliet@example.test"):
                break
        else:
            pytest.fail("juliet was never cut off")
        romeo.settimeout(5)
        romeo.sendall(UNITS["iq"])
        received = b""
        while b"type='result'" not in received:
            received += romeo.recv(65536)
        romeo.close()
        juliet.close()


@pytest.mark.slow
def test_a_thousand_sessions_leave_nothing_behind() -> None:
    place = world()
    for n in range(1000):
        client = bound(place, "romeo", f"r{n % 50}")
        client.core.eof()
    assert place.jabber.sessions("romeo@example.test") == []


# ── recordings ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cut", [0, 12])
def test_no_recording_shows_a_password_not_even_of_half_a_login(cut: int) -> None:
    place = world()
    client = Client(place)
    auth = plain("romeo", "tell nobody")
    client.says(HEADER + (auth[:-cut] if cut else auth))
    client.core.eof()
    shown = render(place.recording)
    assert auth[-40:-12].decode() not in shown
    assert ("{not base64}" if cut else "{plain romeo wrong}") in shown


ROOM = "to='hall@conference.example.test'"
FIELD = "field var='muc#roomconfig_roomsecret'"


@pytest.mark.parametrize(
    "stanza",
    [
        "<iq type='set' id='1'><query xmlns='jabber:iq:register'>"
        "<password>{}</password></query></iq>",
        "<iq type='set' id='1'><r:query xmlns:r='jabber:iq:register'>"
        "<r:username>n</r:username><r:password>{}</r:password></r:query></iq>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>"
        "<conference jid='a@b'><password>{}</password></conference></storage></query></iq>"
        "<iq type='get' id='2'><query xmlns='jabber:iq:private'>"
        "<storage xmlns='storage:bookmarks'/></query></iq>",
        f"<iq type='set' id='1' {ROOM}><query xmlns='http://jabber.org/protocol/muc#owner'>"
        "<destroy><password>{}</password></destroy></query></iq>",
        f"<presence {ROOM}><x xmlns='http://jabber.org/protocol/muc'>"
        "<password>{}</password></x></presence>",
        f"<iq type='set' id='1' {ROOM}><x xmlns='jabber:x:data'>"
        f"<{FIELD}><required/><value>{{}}</value></field></x></iq>",
        f"<iq type='set' id='1' {ROOM}><x:x xmlns:x='jabber:x:data'>"
        f"<x:{FIELD}><x:value>x</x:value><x:value>{{}}</x:value></x:field></x:x></iq>",
        f"<iq type='set' id='1' {ROOM}><x xmlns='jabber:x:data'>"
        f"<{FIELD.replace('=', ' = ')}><value>{{}}</value></field></x></iq>",
    ],
)
@pytest.mark.parametrize(
    "written",
    [
        "hush",
        "<![CDATA[hush]]>",
        " <![CDATA[]]]>hush<![CDATA[]]>&lt;<![CDATA[hush]]>",
        " password='x'hush",
    ],
)
def test_no_recording_shows_a_password_however_it_is_written(stanza: str, written: str) -> None:
    place = world(xmpp={"on": ["registration"]})
    assert bound(place).says(stanza.replace("{}", written).encode()).endswith(b">")
    shown = render(place.recording)
    assert "hush" not in shown and "{pass" in shown


BROKEN = [
    f"<auth xmlns='{SASL}' mechanism='PLAIN'>hush",
    f"<auth xmlns='{SASL}' mechanism='PLAIN'>hush</aut>",
    "<auth xmlns='other' mechanism='PLAIN'>hush</auth>",
    "<a:auth xmlns:a='x' mechanism='PLAIN'><![CDATA[hush</a:auth>",
    "<authenticate xmlns='urn:xmpp:sasl:2'><initial-response>hush</authenticate>",
    "<iq type='set'><query xmlns='jabber:iq:register'><password>x<hush",
    "<iq type='set'><query xmlns='jabber:iq:register'><password>x&hush</password></query></iq>",
    "<iq type='set'><query xmlns='jabber:iq:register'><password>hush</password></iq>",
    "<a:iq xmlns:a='jabber:client'><x><password>hush</password></x></a:iq>",
    "<message><x xmlns='jabber:x:conference' jid='a@b' password = 'hush</message>",
    "<iq type='set'><x><field var='muc#roomconfig_roomsecret'><value>hush</value></x></iq>",
    "<iq type='set'><x><field var=\"password-verify\"><value>hush",
]


@pytest.mark.parametrize("sent", BROKEN)
def test_no_recording_shows_a_password_in_what_is_not_whole_or_wrong(sent: str) -> None:
    place = world()
    client = Client(place)
    client.says(HEADER + sent.encode())
    client.core.eof()
    shown = render(place.recording)
    assert "hush" not in shown and ("{not base64}" in shown or "{pass}" in shown)


@pytest.mark.parametrize(
    "name",
    [
        "xmpp-scram",
        "xmpp-digest-md5",
        "xmpp-plain-continued",
        "xmpp-sasl-failures",
        "xmpp-faults",
    ],
)
def test_a_recording_can_be_played_although_it_holds_no_password(name: str) -> None:
    original = load(TRANSCRIPTS / f"{name}.txt")
    place = play_on_core(original)
    again = parse(render(place.recording, original.title), name)
    again.given, again.faults = original.given, original.faults
    assert any("{" in step.text for step in again.steps if step.kind == "C")
    play_on_core(again)


def test_a_recording_names_its_people_and_can_be_played() -> None:
    place = world()
    romeo, juliet = bound(place), bound(place, "juliet")
    juliet.says(b"<presence/>")
    romeo.says(b"<message to='juliet@example.test'><body>hello</body></message>")
    people = 'person = [{ address = "romeo@example.test" }, { address = "juliet@example.test" }]'
    shown = render(place.recording, "XMPP: two", people)
    assert "\nromeo C: <message " in shown
    assert "\njuliet S: <message " in shown
    play_on_core(parse(shown))


# ── what is not XMPP at all ──────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS handshake"),
        (b"\x16\x03\x03\x00\x10", "a TLS handshake"),
        (b"\x16", "a TLS handshake"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (b"POST /http-bind HTTP/1.1\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
        (b"EHLO client.example\r\n", "SMTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"FLAPON\r\n\r\n", "TOC"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 5222\r\n", "a PROXY header"),
    ],
)
@pytest.mark.parametrize("before", [b"", HEADER])
def test_the_record_says_what_a_client_of_another_protocol_has_sent(
    data: bytes, what: str, before: bytes
) -> None:
    place = world()
    client = Client(place)
    client.says(before)
    assert b"<stream:error>" in client.says(data)
    record = [one for one in place.records if one.direction == "C"][-1]
    assert record.raw == data[:1]
    assert record.fields["remark"].startswith(what)
    assert any(f" # {what}" in line for line in wire_lines(record))
    shown = wire([record], WireChoice("all", ["xmpp"]), 100)
    assert any(what in text for line in shown for text, _ in line)

"""RFC 7395: streams over WebSocket are the streams over TCP, one element a message."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import World
from fakes.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG
from fakes.wire import Facts, TlsFacts, Want
from fakes.xmpp.framed import FRAMING, FramedXmpp
from fakes.xmpp.stream import LOGIN_TIME, REST_TIME
from tests.bare_core import drain
from tests.websocket_raw import frames, masked, texts
from tests.xmpp_raw import bind, bound, plain, world

OPEN = f"<open xmlns='{FRAMING}' to='example.test' version='1.0'/>"
CLOSES = f"<close xmlns='{FRAMING}'/>"
STREAMS = "http://etherx.jabber.org/streams"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"


class Client:
    """A client after the handshake, on a bare core."""

    def __init__(self, world: World, tls: TlsFacts | None = None) -> None:
        self.core = FramedXmpp(world.runtime, world.jabber.service)
        self.core.facts = Facts(1)
        self.core.tls = tls

    def sends(self, raw: bytes) -> bytes:
        """Sends bytes; returns all bytes that come back."""
        self.core.receive(raw)
        return self.hears()

    def hears(self) -> bytes:
        return drain(self.core)

    def says(self, *messages: str) -> list[str]:
        """Sends messages; returns those that come back."""
        return texts(self.sends(b"".join(map(masked, messages))))


def in_scope(raw: bytes) -> str:
    """A stanza as it is written in a message."""
    return raw.decode().replace("<iq ", "<iq xmlns='jabber:client' ", 1)


LOGIN = (OPEN, plain("romeo").decode(), OPEN, in_scope(bind("here")))


def logged_in(world: World) -> Client:
    client = Client(world)
    assert "<jid>romeo@example.test/here</jid>" in client.says(*LOGIN)[-1]
    return client


def test_a_login_is_that_of_tcp_in_messages() -> None:
    place = world()
    first, features, success, again, more, jid = Client(place).says(*LOGIN)
    assert first.startswith(f"<open xmlns='{FRAMING}' from='example.test' id='")
    assert first.endswith(" version='1.0' xml:lang='en'/>")
    assert features.startswith(f"<stream:features xmlns:stream='{STREAMS}'><mechanisms xmlns=")
    assert success == "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    assert again.startswith("<open ") and "<bind xmlns=" in more
    assert jid.startswith("<iq xmlns='jabber:client' id='b' type='result'>")
    shown = [record.shown().decode() for record in place.records if record.direction == "C"]
    assert shown == [OPEN, LOGIN[1].partition(">")[0] + ">{plain romeo}</auth>", OPEN, LOGIN[3]]
    verbs = [record.verb for record in place.records if record.direction == "C"]
    assert verbs == ["stream", "auth", "stream", "bind"]


def test_messages_pass_between_a_client_of_tcp_and_one_of_websocket() -> None:
    place = world()
    romeo, juliet = logged_in(place), bound(place, "juliet")
    romeo.says("<presence xmlns='jabber:client'/>")
    juliet.says(b"<presence/>")
    body = "<body>héllo &lt;</body><x xmlns='urn:x'><stream:y/></x>"
    juliet.says(f"<message to='romeo@example.test' type='chat'>{body}</message>".encode())
    [message] = texts(romeo.hears())
    assert message == (
        f"<message xmlns='jabber:client' xmlns:stream='{STREAMS}' from='juliet@example.test/here' "
        f"to='romeo@example.test' type='chat'>{body}</message>"
    )
    body = "<body>hi</body><thread xmlns=''/>"
    sent = "<message xmlns='jabber:client' to='juliet@example.test' type='chat'>"
    assert romeo.says(f"<?xml version='1.0'?>\n{sent}{body}</message>\n") == []
    assert juliet.hears().decode() == (
        "<message from='romeo@example.test/here' to='juliet@example.test' type='chat'>"
        f"{body}</message>"
    )


@pytest.mark.parametrize("id", ["xmlns=", " xmlns='x", "xmlns:stream=", "&gt; xmlns="])
def test_what_an_attribute_says_declares_nothing(id: str) -> None:
    place = world()
    romeo, juliet = logged_in(place), bound(place, "juliet")
    sent = f"""<message to='romeo@example.test/here' id="{id}"><stream:y/></message>"""
    juliet.says(sent.encode())
    [message] = texts(romeo.hears())
    assert message.startswith(f"<message xmlns='jabber:client' xmlns:stream='{STREAMS}' from=")
    assert ElementTree.fromstring(message)[0].tag == f"{{{STREAMS}}}y"


def stream_error(answer: list[str]) -> str:
    """The condition of a stream error that ends the connection as §3.5 says."""
    assert answer[-2] == CLOSES and answer[-1].startswith("close ")
    assert answer[-3].startswith(f"<stream:error xmlns:stream='{STREAMS}'><")
    return answer[-3].partition("><")[2].partition(" ")[0]


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        ("<iq xmlns='jabber:client' type='get' id='1'>", "not-well-formed"),
        ("<iq xmlns='jabber:client'/><iq xmlns='jabber:client'/>", "bad-format"),
        ("<iq xmlns='jabber:client'/>x", "bad-format"),
        ("", "bad-format"),
        (" ", "bad-format"),
        (" <iq xmlns='jabber:client'/>", "bad-format"),
        ("hello", "bad-format"),
        ("<iq type='get' id='1'/>", "invalid-namespace"),
        ("<iq xmlns='jabber:server'/>", "invalid-namespace"),
        ("<x:iq xmlns:x='jabber:client'/>", "bad-namespace-prefix"),
        ("<!-- x --><iq xmlns='jabber:client'/>", "restricted-xml"),
        (f"<open xmlns='{FRAMING}'><x/></open>", "unsupported-stanza-type"),
        ("</stream:stream>", "bad-format"),
        (f"<stream:stream xmlns:stream='{STREAMS}'/>", "unsupported-stanza-type"),
    ],
)
def test_a_message_that_is_not_one_whole_element_ends_the_stream(
    message: str, condition: str
) -> None:
    client = logged_in(world())
    assert stream_error(client.says(message)) == condition
    assert client.core.wants is Want.CLOSE


@pytest.mark.parametrize(
    ("message", "condition"),
    [
        ("<iq xmlns='jabber:client'/>", "bad-format"),
        (f"<stream:stream xmlns:stream='{STREAMS}' version='1.0'>", "bad-format"),
        (f"<open xmlns='{FRAMING}' to='far.test' version='1.0'/>", "host-unknown"),
        (f"<open xmlns='{FRAMING}' to='example.test' version='x'/>", "unsupported-version"),
    ],
)
def test_an_opening_that_is_refused_is_answered_with_one_first(
    message: str, condition: str
) -> None:
    answer = Client(world()).says(message)
    assert answer[0].startswith(f"<open xmlns='{FRAMING}' from='example.test'")
    assert stream_error(answer) == condition


def test_a_stream_is_closed_by_either_side() -> None:
    client = logged_in(world())
    assert client.says(CLOSES, "<presence xmlns='jabber:client'/>") == [CLOSES, "close 1000"]
    place = world()
    client = logged_in(place)
    place.jabber.shutdown()
    assert stream_error(texts(client.hears())) == "system-shutdown"


def test_a_close_frame_alone_leaves_a_session_that_may_be_resumed() -> None:
    place = world()
    client = logged_in(place)
    client.says("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    assert frames(client.sends(masked(b"\x03\xe9", CLOSE))) == [(CLOSE, b"\x03\xe9")]
    assert client.core.wants is Want.CLOSE
    assert place.jabber.sessions("romeo@example.test") == ["romeo@example.test/here"]
    other = logged_in(place)
    assert frames(other.sends(masked(b"\x03\xed", CLOSE)))[0][1][:2] == b"\x03\xea", "1002"


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (masked(b"ping", PING), [(PONG, b"ping")]),
        (masked(b"pong", PONG), []),
        (masked(b"\x00", BINARY), [(CLOSE, b"\x03\xebmessages are text")]),
        (masked(b"<\xff"), [(CLOSE, b"\x03\xefa text message is UTF-8")]),
        (b"\x81\x02hi", [(CLOSE, b"\x03\xeaa client masks its frames")]),
    ],
)
def test_control_frames_and_what_is_no_text(raw: bytes, answer: list[tuple[int, bytes]]) -> None:
    client = logged_in(world())
    assert frames(client.sends(raw)) == answer
    assert client.core.closed == (answer != [] and answer[0][0] == CLOSE)


def test_a_message_that_is_too_large_is_refused_before_it_has_come() -> None:
    place = world(xmpp={"stanza": 10_000})
    client = logged_in(place)
    answer = texts(client.sends(masked("x" * 10_001)[:8]))
    assert stream_error(answer) == "policy-violation" and answer[-1] == "close 1009"
    assert "<stanza-too-big xmlns='urn:xmpp:errors'/>" in answer[-3]
    client = logged_in(place)
    answer = texts(client.sends(masked("x" * 10_000, final=False) + masked("x", CONTINUATION)))
    assert stream_error(answer) == "policy-violation"


def test_tls_is_not_offered_inside_and_where_it_is_required_the_client_is_sent_there() -> None:
    place = world(tls="optional")
    answer = Client(place).says(OPEN, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    assert "starttls" not in answer[1] and "mechanism" in answer[1]
    assert answer[2:] == [
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        CLOSES,
        "close 1000",
    ]
    required = world(tls="required")
    other = "wss://example.test/xmpp-websocket"
    moved = f"<close xmlns='{FRAMING}' see-other-uri='{other}'/>"
    assert Client(required).says(OPEN) == [moved, "close 1000"]
    assert "mechanism" in Client(required, tls=TlsFacts("TLSv1.3")).says(OPEN)[1]


@pytest.mark.parametrize(
    ("raw", "time", "text"),
    [
        (b"", LOGIN_TIME, "no login"),
        (masked(OPEN)[:9], REST_TIME, "half a message"),
        (masked("<open ", final=False), REST_TIME, "half a message"),
    ],
)
def test_a_client_that_does_not_go_on_is_told_so(raw: bytes, time: float, text: str) -> None:
    place = world()
    client = logged_in(place) if raw else Client(place)
    client.sends(raw)
    place.clock.advance(time)
    client.core.tick()
    answer = texts(client.hears())
    assert stream_error(answer) == "connection-timeout" and text in answer[-3]


def test_a_fragment_of_a_login_shows_no_password() -> None:
    place = world()
    client = Client(place)
    client.says(OPEN)
    client.sends(masked(plain("romeo"))[:-3])
    client.core.eof()
    [left] = [record for record in place.records if record.verb == "unfinished"]
    assert left.shown() == b"{half a frame}"


def test_half_a_login_in_a_whole_message_shows_no_password() -> None:
    place = world()
    Client(place).says(OPEN, plain("romeo").decode().removesuffix("</auth>"))
    [refused] = [record for record in place.records if b"<auth" in record.raw]
    assert refused.shown().endswith(b"mechanism='PLAIN'>{not base64}")


@pytest.mark.parametrize(
    ("fault", "messages", "end"),
    [
        ("reply item-not-found", ["<iq xmlns='jabber:client' "], None),
        ("hang up before", [], Want.CLOSE),
        ("hang up after", ["<iq xmlns='jabber:client' "], Want.CLOSE),
        ("hang up within", [], Want.CLOSE),
        ("after 20", [], Want.CLOSE),
        ("split 3", ["<iq xmlns='jabber:client' "], None),
        ("reset", [], Want.RESET),
    ],
)
def test_faults_strike_messages_as_they_strike_stanzas(
    fault: str, messages: list[str], end: Want | None
) -> None:
    place = world(fault=[f"iq arg urn:xmpp:ping {fault}"])
    client = logged_in(place)
    ping = "<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    answer = texts(client.sends(masked(ping)))
    assert [text[:26] for text in answer] == messages
    assert client.core.wants is end


def test_a_slow_line_delays_frames_and_not_stanzas() -> None:
    place = world(fault=["iq arg urn:xmpp:ping bandwidth 100"])
    client = logged_in(place)
    ping = "<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    received = client.sends(masked(ping))
    assert received and frames(received) == []
    while client.core.due is not None and (due := client.core.due) < place.runtime.now() + 10:
        place.clock.advance(due - place.runtime.now())
        client.core.tick()
        received += client.hears()
    [answer] = texts(received)
    assert answer.startswith("<iq xmlns='jabber:client' ") and answer.endswith("/>")


@given(st.lists(st.integers(1, 30), min_size=10))
def test_any_chopping_leads_to_the_same_answers(sizes: list[int]) -> None:
    ping = "<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    raw = b"".join(map(masked, (*LOGIN, ping, CLOSES)))
    client, received, at, turn = Client(world()), b"", 0, 0
    while at < len(raw):
        size = sizes[turn % len(sizes)]
        received += client.sends(raw[at : at + size])
        at, turn = at + size, turn + 1
    assert received == Client(world()).sends(raw)


@given(st.lists(st.text("<>/'= iqopenclosexmlns:", max_size=30)))
def test_any_messages_raise_nothing(messages: list[str]) -> None:
    client = logged_in(world())
    client.says(*messages)
    assert client.core.closed or not messages

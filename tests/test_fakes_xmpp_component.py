"""The port of components: every verb in every state, choppings, and secrets that are masked."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from fakes import World
from fakes.transcripts.recorder import render
from fakes.wire import Facts
from fakes.xmpp.component import ACCEPT, Component
from tests.legality import in_states
from tests.xmpp_raw import bound, world

HOST, SECRET = "aim.example.test", "s3cret-of-aim"
HEADER = (
    f"<stream:stream xmlns='{ACCEPT}' to='{HOST}' xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()
MESSAGE = f"<message from='bob@{HOST}' to='juliet@example.test'><body>hi</body></message>".encode()


def place(**config: Any) -> World:
    table = {"components": {HOST: SECRET, "irc.example.test": "other"}}
    return world(servers=["xmpp", "component"], xmpp=table, **config)


class Raw:
    """A component on a bare core, by raw bytes."""

    def __init__(self, of: World, number: int = 1) -> None:
        core = of.core("component")
        assert isinstance(core, Component)
        self.core = core
        core.opened(Facts(number))

    def says(self, *chunks: bytes) -> bytes:
        for chunk in chunks:
            self.core.receive(chunk)
        received = b""
        while more := self.core.take():
            received += more
        return received

    def handshake(self, secret: str = SECRET) -> bytes:
        digest = hashlib.sha1((self.core.id + secret).encode()).hexdigest()
        return f"<handshake>{digest}</handshake>".encode()


def connected(of: World, number: int = 1) -> Raw:
    raw = Raw(of, number)
    raw.says(HEADER)
    assert raw.says(raw.handshake()) == b"<handshake/>"
    return raw


# ── the legality table ───────────────────────────────────────────────────────

STATES = ("START", "OPEN", "READY")
UNITS = {
    "stream": HEADER,
    "iq": f"<iq type='get' id='1' from='{HOST}' to='example.test'><x xmlns='y'/></iq>".encode(),
    "message": MESSAGE,
    "presence": f"<presence from='bob@{HOST}' to='juliet@example.test'/>".encode(),
    "error": b"<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    "close": b"</stream:stream>",
}
REFUSED = (b"not-authorized", b"policy-violation", b"not-well-formed", b"unsupported-stanza-type")


def component_in(state: str) -> Raw:
    raw = Raw(place())
    if state != "START":
        raw.says(HEADER)
    if state == "READY":
        raw.says(raw.handshake())
    assert raw.core.state == state
    return raw


@pytest.mark.parametrize(("verb", "state", "legal"), list(in_states(Component.verbs, STATES)))
def test_a_verb_is_accepted_in_its_states_and_refused_in_all_others(
    verb: str, state: str, legal: bool
) -> None:
    raw = component_in(state)
    unit = raw.handshake() if verb == "handshake" else UNITS[verb]
    if verb == "stream" and state != "START":
        unit = HEADER[:-1] + b"/>"  # an element, which must end to be seen
    answer = raw.says(unit)
    # Before a header there are no elements: its root is one that cannot be a stream.
    refused = any(part in answer for part in (*REFUSED, b"invalid-namespace", b"bad-format"))
    assert refused is not legal, answer


def test_an_answer_does_not_depend_on_how_the_bytes_are_split() -> None:
    whole = place()
    connected(whole).says(MESSAGE)
    split = place()
    raw = Raw(split)
    raw.says(*(HEADER[at : at + 1] for at in range(len(HEADER))))
    handshake = raw.handshake()
    answer = raw.says(*(handshake[at : at + 1] for at in range(len(handshake))))
    assert answer == b"<handshake/>"
    raw.says(*(MESSAGE[at : at + 1] for at in range(len(MESSAGE))))
    assert render(split.recording) == render(whole.recording)


# ── opening ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("old", "new", "condition"),
    [
        (HOST, "example.test", b"host-unknown"),
        (HOST, f"bob@{HOST}", b"host-unknown"),
        (f"to='{HOST}'", "", b"host-unknown"),
        (ACCEPT, "jabber:client", b"invalid-namespace"),
        (ACCEPT, "jabber:component:connect", b"invalid-namespace"),
        ("<stream:stream", "<stream:flow", b"bad-format"),
    ],
)
def test_a_header_that_is_not_that_of_a_component_ends_the_stream(
    old: str, new: str, condition: bytes
) -> None:
    answer = Raw(place()).says(HEADER.decode().replace(old, new).encode())
    assert answer.count(b"<stream:stream") == 1 and b"<" + condition + b" " in answer
    assert answer.endswith(b"</stream:stream>")


@pytest.mark.parametrize("text", ["", "nonsense", "ä", "0" * 40])
def test_a_wrong_handshake_ends_the_stream(text: str) -> None:
    raw = Raw(place())
    raw.says(HEADER)
    answer = raw.says(f"<handshake>{text}</handshake>".encode())
    assert b"<not-authorized " in answer and answer.endswith(b"</stream:stream>")
    assert raw.core.closed


def test_the_secret_of_another_component_is_a_wrong_one() -> None:
    raw = Raw(place())
    raw.says(HEADER)
    assert b"<not-authorized " in raw.says(raw.handshake("other"))


def test_a_second_component_of_a_name_is_a_conflict_and_the_first_goes_on() -> None:
    where = place()
    first, second = connected(where), Raw(where, 2)
    second.says(HEADER)
    assert b"<conflict " in second.says(second.handshake())
    assert first.says(UNITS["iq"]).startswith(b"<iq ")


def test_a_component_that_says_nothing_is_dropped() -> None:
    where = place()
    raw = Raw(where)
    where.clock.wait(None, where.clock.time() + 61)
    raw.core.tick()
    assert b"connection-timeout" in raw.says()


def test_a_full_server_refuses() -> None:
    core = place().core("component")
    core.opened(Facts(1, crowded=True))
    assert b"resource-constraint" in core.take() + core.take() + core.take()


@pytest.mark.parametrize("prefix", ["x", "stream"])
def test_a_prefix_may_be_declared_again(prefix: str) -> None:
    where = place()
    raw = Raw(where)
    raw.says(HEADER.replace(b"xmlns:stream", b"xmlns:x='u' xmlns:stream"))
    raw.says(raw.handshake())
    start = MESSAGE.replace(b"<message", f"<message xmlns:{prefix}='urn:v'".encode())
    assert raw.says(start.replace(b"</message>", f"<{prefix}:y/></message>".encode())) == b""
    assert where.jabber.messages[0].child("y", "urn:v") is not None


# ── secrets ──────────────────────────────────────────────────────────────────


def test_a_handshake_is_never_shown_whether_right_wrong_or_cut() -> None:
    where = place()
    connected(where)
    wrong, cut = Raw(where, 2), Raw(where, 3)
    wrong.says(HEADER)
    sent = wrong.handshake("guess")
    wrong.says(sent)
    cut.says(HEADER)
    cut.says(cut.handshake()[:30])
    cut.core.eof()
    text = render(where.recording)
    assert not re.search("[0-9a-f]{10}", text.replace("id='", "")), text
    assert f"{{component {HOST}}}" in text and f"{{component {HOST} wrong}}" in text
    assert "{component unfinished}" in text
    assert SECRET not in text and SECRET not in repr(where.jabber.service.policy)


def test_no_record_shows_a_password_on_its_way_to_a_component_or_from_it() -> None:
    where = place()
    component, juliet = connected(where), bound(where, "juliet")
    query = "<query xmlns='jabber:iq:register'><r:password xmlns:r='jabber:iq:register'>hush"
    query += "</r:password></query>"
    juliet.says(f"<iq type='set' id='1' to='{HOST}'>{query}</iq>".encode())
    assert b">hush<" in component.says()
    invitation = "<x xmlns='jabber:x:conference' jid='a@b' password='hush'/>"
    to = "juliet@example.test/here"
    component.says(f"<message from='{HOST}' to='{to}'>{invitation}</message>".encode())
    assert b"'hush'" in juliet.hears()
    shown = b"".join(record.shown() for record in where.records)
    assert b"hush" not in shown and shown.count(b"{password}") == shown.count(b"{pass}") == 2


def test_the_settings_of_a_world_name_the_first_component() -> None:
    with place() as where:
        table = where.settings["component"]
        assert (table["domain"], table["password"]) == (HOST, SECRET)


# ── a form of 1 MB ───────────────────────────────────────────────────────────


def test_a_stanza_of_a_megabyte_ends_the_stream_and_nothing_else() -> None:
    where = place()
    raw = connected(where)
    field = b"<field var='a'><value>" + b"x" * (1 << 20) + b"</value></field>"
    form = b"<x xmlns='jabber:x:data' type='submit'>" + field + b"</x>"
    start = f"<message from='bob@{HOST}' to='juliet@example.test'>".encode()
    answer = raw.says(start + form + b"</message>")
    assert b"stanza-too-big" in answer and raw.core.closed
    assert where.jabber.messages == []
    connected(where, 2)  # the name is free again


@pytest.mark.parametrize(
    ("reply", "part"),
    [("stream:conflict x", b"<conflict "), ("<x xmlns='y'/>", b"<x xmlns='y'/>")],
)
def test_a_fault_may_answer_a_handshake(reply: str, part: bytes) -> None:
    where = place()
    where.faults.arm(f'component handshake reply "{reply}"')
    raw = Raw(where)
    raw.says(HEADER)
    assert part in raw.says(raw.handshake())

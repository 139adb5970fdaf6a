"""What another server may and may not do on its stream, on a core without sockets."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import World
from fakes.wire import Destination, Facts, Session, TlsFacts
from fakes.xmpp import dialback
from fakes.xmpp.incoming import PAIRS, Incoming

EVIL = "evil.test"
ADMIN = "<message from='boss@partner.test' to='alice@example.test'><body>stop</body></message>"


def header(sender: str = "partner.test", to: str = "example.test", space: str = "server") -> str:
    return (
        f"<stream:stream xmlns='jabber:{space}' xmlns:stream='http://etherx.jabber.org/streams'"
        f" xmlns:db='jabber:server:dialback' from='{sender}' to='{to}' version='1.0'>"
    )


def result(sender: str, to: str = "example.test", more: str = "") -> str:
    return f"<db:result from='{sender}' to='{to}'{more}>key</db:result>"


def world(**xmpp: Any) -> World:
    person = [{"address": "alice@example.test"}]
    config = {"servers": ["xmpp", "xmpp-server"], "person": person, "xmpp": xmpp}
    return World(config, rehearsal=True)


class Peer:
    """Another server, which connects to that of a world."""

    def __init__(self, world: World, certified: tuple[str, ...] | None = None) -> None:
        self.core: Session = world.core("xmpp-server")
        if certified is not None:
            self.core.facts = Facts(1)
            self.core.secured(TlsFacts("TLSv1.3", names=certified))
        self.core.opened(Facts(1))

    def says(self, text: str) -> str:
        self.core.receive(text.encode())
        heard = b""
        while more := self.core.take():
            heard += more
        return heard.decode()


def external(identity: str) -> str:
    text = base64.b64encode(identity.encode()).decode() if identity else "="
    space = "urn:ietf:params:xml:ns:xmpp-sasl"
    return f"<auth xmlns='{space}' mechanism='EXTERNAL'>{text}</auth>"


def proved(world: World) -> Peer:
    peer = Peer(world, ("partner.test",))
    assert "EXTERNAL" in peer.says(header())
    assert "<success" in peer.says(external("partner.test"))
    assert "EXTERNAL" not in peer.says(header())
    return peer


def test_a_certificate_proves_the_domain_of_the_header() -> None:
    w = world()
    peer = proved(w)
    assert peer.says(ADMIN) == ""
    assert w.jabber.offline("alice@example.test")[0].body == "stop"
    assert w.jabber.messages[0].sender == "boss@partner.test"


def test_what_comes_from_a_server_is_read_as_content_for_clients() -> None:
    w = world()
    peer = proved(w)
    inner = "<body>&lt;</body><x xmlns='urn:x'><db:y/></x>"
    peer.says(f"<message from='boss@partner.test' to='alice@example.test'>{inner}</message>")
    stored = w.jabber.offline("alice@example.test")[0]
    assert stored.child_names[:2] == ("{jabber:client}body", "{urn:x}x")
    assert stored.element[1][0].tag == "{jabber:server:dialback}y"


@pytest.mark.parametrize(
    ("sent", "condition"),
    [
        ("<message from='boss@evil.test' to='alice@example.test'/>", "invalid-from"),
        ("<message from='boss@partner.test.evil.test' to='alice@example.test'/>", "invalid-from"),
        ("<presence from='conference.partner.test' to='alice@example.test'/>", "invalid-from"),
        ("<message from='alice@example.test' to='alice@example.test'/>", "invalid-from"),
        ("<message from='boss@partner.test' to='a@elsewhere.test'/>", "host-unknown"),
        ("<message to='alice@example.test'/>", "improper-addressing"),
        ("<message from='boss@partner.test'/>", "improper-addressing"),
        ("<message from='@' to='alice@example.test'/>", "improper-addressing"),
        ("<db:result from='x.test' to='example.test' type='valid'/>", "policy-violation"),
        ("<db:verify from='x.test' to='example.test' type='valid'/>", "policy-violation"),
        ("<db:result to='example.test'>key</db:result>", "improper-addressing"),
        ("<unknown xmlns='urn:x'/>", "unsupported-stanza-type"),
        ("<!-- -->", "restricted-xml"),
    ],
)
def test_a_server_that_has_proved_one_domain_may_do_nothing_else(sent: str, condition: str) -> None:
    w = world()
    answer = proved(w).says(sent)
    assert f"<{condition} " in answer and answer.endswith("</stream:stream>")
    assert w.jabber.offline("alice@example.test") == []


def test_nothing_counts_before_a_domain_is_proved() -> None:
    w = world()
    peer = Peer(w)
    peer.says(header())
    assert "<not-authorized " in peer.says(ADMIN)
    assert w.jabber.messages == []


@pytest.mark.parametrize("names", [(), ("evil.test",), ("*.test",), ("sub.partner.test",)])
def test_external_is_only_offered_to_a_certificate_of_that_domain(names: tuple[str, ...]) -> None:
    peer = Peer(world(), names)
    offered = "EXTERNAL" in peer.says(header())
    assert offered == (names == ("*.test",))
    if not offered:
        assert "<invalid-mechanism" in peer.says(external("partner.test"))


def test_a_certificate_speaks_for_no_other_domain() -> None:
    peer = Peer(world(), ("partner.test",))
    peer.says(header())
    assert "<invalid-authzid" in peer.says(external("evil.test"))
    assert "<invalid-authzid" in peer.says(external("partner.test/x"))
    assert "<success" in peer.says(external(""))


def test_a_stranger_cannot_even_begin_dialback() -> None:
    peer = Peer(world())
    peer.says(header(EVIL))
    assert "remote-server-not-found" in peer.says(result(EVIL))
    assert "<not-authorized " in peer.says(ADMIN)


def test_a_domain_that_is_not_served_is_an_error_after_which_the_stream_lives() -> None:
    peer = Peer(world())
    peer.says(header(EVIL))
    assert "item-not-found" in peer.says(result(EVIL, "other.test"))
    assert "item-not-found" in peer.says(result(EVIL, "other.test"))


@pytest.mark.parametrize("name", ["evil.test", "EVIL.test", "im.evil.test"])
def test_a_denied_domain_is_refused_at_its_header(name: str) -> None:
    peer = Peer(world(denied=["evil.test"]))
    assert "<policy-violation " in peer.says(header(name))


def test_a_denied_domain_is_refused_as_a_second_one_of_a_stream() -> None:
    peer = proved(world(denied=["evil.test"]))
    assert "policy-violation" in peer.says(result(EVIL))
    assert peer.says(ADMIN) == ""


def test_the_server_knows_its_own_keys() -> None:
    w = world()
    peer = Peer(w)
    peer.says(header())
    good = dialback.key(w.jabber.links.secret, "partner.test", "example.test", "id1")
    asked = "<db:verify from='{}' to='example.test' id='{}'>{}</db:verify>"
    assert "'valid'" in peer.says(asked.format("partner.test", "id1", good))
    assert "'invalid'" in peer.says(asked.format("partner.test", "id2", good))
    assert "'invalid'" in peer.says(asked.format("evil.test", "id1", good))
    other = "<db:verify from='partner.test' to='x.test' id='1'>k</db:verify>"
    assert "item-not-found" in peer.says(other)


def test_a_stream_carries_so_many_domains() -> None:
    w = world(peers={"test": "127.0.0.1:9"})
    connects: list[object] = []

    def connect(session: Session, to: Destination) -> bool:
        connects.append(to)
        return True

    w.runtime.connect = connect
    peer = Peer(w)
    peer.says(header())
    for number in range(PAIRS):
        assert peer.says(result(f"a{number}.test")) == ""
    assert "resource-constraint" in peer.says(result("last.test"))
    assert len(connects) == PAIRS


def test_tls_comes_first_where_it_is_required() -> None:
    w = World({"servers": ["xmpp", "xmpp-server"], "tls": "required"}, rehearsal=True)
    peer = Peer(w)
    features = peer.says(header())
    assert "<required/>" in features and "dialback" not in features.partition("<stream:features")[2]
    assert "policy-violation" in peer.says(result("partner.test"))


@pytest.mark.parametrize(
    ("sent", "condition"),
    [
        (header(to="other.test"), "host-unknown"),
        (header(space="client"), "invalid-namespace"),
        ("<presence/>", "invalid-namespace"),
    ],
)
def test_a_header_that_is_not_for_this_server(sent: str, condition: str) -> None:
    answer = Peer(world()).says(sent)
    assert f"<{condition} " in answer


def test_a_server_that_never_proves_a_domain_is_cut_off() -> None:
    w = world()
    peer = Peer(w)
    peer.says(header())
    w.clock.skip(60)
    peer.core.tick()
    assert "<connection-timeout " in peer.says("")


@pytest.mark.parametrize(
    ("old", "new", "sent"),
    [
        ("xmlns:db=", "xmlns:d=", result("partner.test", "x.test").replace("db:", "d:")),
        (" xmlns:db", " xmlns:q='urn:q' xmlns:db", result("partner.test", "x.test", " q:a='1'")),
        (" xmlns:db", " xmlns:q='u' xmlns:db", result("partner.test", "x.test", " xmlns:q='v'")),
    ],
)
def test_prefixes_are_those_that_the_header_declares(old: str, new: str, sent: str) -> None:
    peer = Peer(world())
    peer.says(header().replace(old, new))
    assert "item-not-found" in peer.says(sent)


# ── the legality table, and bytes that mean nothing ──────────────────────────

UNITS = {
    "stream": f"{header()[:-1]}/>",  # an element once the stream is open, which must end to be seen
    "starttls": "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "auth": external("partner.test"),
    "result": result("partner.test"),
    "verify": "<db:verify from='partner.test' to='example.test' id='1'>key</db:verify>",
    "iq": "<iq type='get' id='1' from='partner.test' to='example.test'><x xmlns='y'/></iq>",
    "message": "<message from='ann@partner.test' to='alice@example.test'><body>x</body></message>",
    "presence": "<presence from='ann@partner.test' to='alice@example.test'/>",
    "error": "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    "close": "</stream:stream>",
}


# The state, and whether a domain is proved there.
SITUATIONS = {
    "START": ("START", False),
    "OPEN": ("OPEN", False),
    "AGAIN": ("START", True),
    "PROVED": ("OPEN", True),
}
# What counts only from a domain that is proved.
STANZAS = ("iq", "message", "presence")
REFUSED_FOR_STATE = (
    "<invalid-namespace ",
    "<not-authorized ",
    "<not-well-formed ",
    "<unsupported-stanza-type ",
)


def peer_in(situation: str, place: World) -> Peer:
    """A peer whose stream is in this situation."""
    peer = Peer(place) if situation in ("START", "OPEN") else Peer(place, ("partner.test",))
    if situation != "START":
        peer.says(header())
    if situation in ("AGAIN", "PROVED"):
        peer.says(external("partner.test"))
    if situation == "PROVED":
        peer.says(header())
    assert (peer.core.state, bool(peer.core.user)) == SITUATIONS[situation]
    return peer


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("verb", UNITS)
def test_a_verb_is_accepted_in_its_states_and_refused_in_all_others(
    verb: str, situation: str
) -> None:
    assert set(UNITS) == set(Incoming.verbs)
    state, proved = SITUATIONS[situation]
    legal = state in Incoming.verbs[verb].states and (proved or verb not in STANZAS)
    place = World({"servers": ["xmpp", "xmpp-server"], "tls": "optional"}, rehearsal=True)
    peer = peer_in(situation, place)
    heard = peer.says(header() if verb == "stream" and state == "START" else UNITS[verb])
    assert any(part in heard for part in REFUSED_FOR_STATE) is not legal, heard
    if not legal:
        assert heard.count("<stream:stream") == (state == "START"), "a header before the error"
        assert heard.endswith("</stream:stream>") and peer.core.closed


def test_who_fails_to_log_in_again_and_again_is_refused() -> None:
    peer = Peer(world(attempts=3), ("partner.test",))
    peer.says(header())
    for _ in range(2):
        assert peer.says(external("evil.test")).endswith("</failure>")
    heard = peer.says(external("evil.test"))
    assert "<invalid-authzid" in heard and "<policy-violation " in heard and peer.core.closed


# ── chunks ───────────────────────────────────────────────────────────────────

WHOLE = "".join(
    (
        "<?xml version='1.0'?>",
        header(),
        external("evil.test"),
        external("partner.test"),
        " \n<?xml version='1.0'?>",
        header(),
        UNITS["verify"],
        "<message from='ann@partner.test' to='alice@example.test'><body>¿&#x20AC;</body></message>",
        UNITS["iq"],
        result("partner.test", "other.test"),
        "<message from='ann@evil.test' to='alice@example.test'/></stream:stream>after the end",
    )
).encode()


def played(chunks: Iterable[bytes]) -> tuple[bytes, list[tuple[str, str, bytes]]]:
    """The answers and the records for a stream that comes in these chunks."""
    place = world()
    core = Peer(place, ("partner.test",)).core
    heard = b""
    for chunk in chunks:
        core.receive(chunk)
        while more := core.take():
            heard += more
    return heard, [(record.direction, record.verb, record.raw) for record in place.records]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_every_chunking_yields_the_same_answers_and_records(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    assert played(WHOLE[a:b] for a, b in itertools.pairwise(edges)) == played([WHOLE])


def test_single_bytes_yield_the_same_answers_and_records() -> None:
    answers, records = played(WHOLE[at : at + 1] for at in range(len(WHOLE)))
    assert (answers, records) == played([WHOLE])
    parts = (b"<success", b"type='invalid'", b"item-not-found", b"<invalid-from ")
    assert all(part in answers for part in parts)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_server_or_prove_a_domain(data: bytes) -> None:
    place = world()
    for start in (b"", header().encode(), WHOLE[: WHOLE.index(b"evil.test")]):
        core = Peer(place).core
        core.receive(start + data)
        assert core.user == "" and place.jabber.messages == []


@given(st.lists(st.sampled_from([header(), *UNITS.values(), "<", "x", "\0", "<?a?>"]), max_size=9))
def test_no_order_of_units_breaks_the_server_or_proves_a_domain(units: list[str]) -> None:
    place = world()
    Peer(place).says("".join(units))
    assert [stanza for stanza in place.jabber.messages if stanza.sender] == []
    assert proved(place) is not None  # others are served afterwards

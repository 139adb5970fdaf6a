"""How this server connects to another one, which a test plays, on a core without sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import World
from fakes.wire import Destination, Facts, Session, TlsFacts, Want
from fakes.xmpp.jabber import Actor
from fakes.xmpp.outgoing import Outgoing
from tests.legality import in_states

ALICE = "alice@example.test"
STREAM = "xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server'"
HEADER = f"<stream:stream {STREAM} xmlns:db='jabber:server:dialback' from='far.test' id='i1'{{}}>"
TLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
EXTERNAL = f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
VERSION = HEADER.format(" version='1.0'")
VALID = "<db:result from='far.test' to='example.test' type='valid'/>"


class Far:
    """The server of far.test, to which alice has just sent a message."""

    def __init__(self, tls: str = "optional") -> None:
        self.sessions: list[Session] = []
        config = {"servers": ["xmpp", "xmpp-server"], "tls": tls}
        peers = {"peers": {"far.test": "127.0.0.1:5269"}}
        self.world = World({**config, "xmpp": peers}, rehearsal=True)
        self.world.runtime.connect = self._connect
        self.alice: Actor = self.world.jabber.actor(ALICE)
        self.alice.says("bob@far.test", "hello")
        self.core = self.sessions[0]
        self.core.opened(Facts(1))
        assert "to='far.test'" in self.hears()

    def _connect(self, session: Session, to: Destination) -> bool:
        assert (to.domain, to.names) == ("far.test", ("example.test",))
        self.sessions.append(session)
        return True

    def hears(self) -> str:
        heard = b""
        while more := self.core.take():
            heard += more
        return heard.decode()

    def says(self, text: str) -> str:
        self.core.receive(text.encode())
        return self.hears()

    def offers(self, *features: str) -> str:
        inside = "".join(features)
        return self.says(f"{VERSION}<stream:features>{inside}</stream:features>")

    @property
    def conditions(self) -> list[str]:
        return [message.condition for message in self.alice.messages]


def test_a_server_without_version_is_asked_at_once() -> None:
    far = Far()
    assert "<db:result from='example.test' to='far.test'>" in far.says(HEADER.format(""))
    assert "hello" in far.says(VALID)
    far.alice.says("bob@far.test", "again")
    assert "again" in far.hears()


def test_tls_comes_before_dialback_and_forgets_what_was_in_clear() -> None:
    far = Far()
    assert far.offers(TLS, EXTERNAL) == TLS
    far.core.receive(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + VALID.encode())
    assert far.core.wants is Want.START_TLS
    far.core.wants = None
    far.core.secured(TlsFacts("TLSv1.3"))
    assert "to='far.test'" in far.hears()
    assert "<db:result" in far.offers()


@pytest.mark.parametrize("answer", ["success", "failure"])
def test_a_certificate_is_offered_first_and_dialback_follows_a_failure(answer: str) -> None:
    far = Far("off")
    assert "mechanism='EXTERNAL'>ZXhhbXBsZS50ZXN0<" in far.offers(EXTERNAL)
    heard = far.says(f"<{answer} xmlns='{SASL}'/>")
    if answer == "failure":
        assert "<db:result" in heard
    else:
        assert "hello" in far.offers(EXTERNAL)


@pytest.mark.parametrize(
    "header", [f"{VERSION}<stream:features>{EXTERNAL}</stream:features>", HEADER.format("")]
)
def test_tls_that_was_stripped_sends_nothing_where_tls_is_required(header: str) -> None:
    far = Far("required")
    heard = far.says(header)
    assert "<unsupported-feature " in heard and "<db:result" not in heard
    assert far.conditions == ["remote-server-timeout"]


@pytest.mark.parametrize("old", ["jabber:server'", "http://etherx.jabber.org/streams"])
def test_a_header_of_something_else_sends_nothing(old: str) -> None:
    far = Far()
    heard = far.says(HEADER.format("").replace(old, f"jabber:client{old[-1:]}", 1))
    assert "<invalid-namespace " in heard and "<db:result" not in heard


@pytest.mark.parametrize(
    ("answer", "condition"),
    [("invalid", "internal-server-error"), ("error", "remote-server-timeout")],
)
def test_who_is_not_believed_gets_the_stanzas_back(answer: str, condition: str) -> None:
    far = Far("off")
    far.offers()
    far.says(VALID.replace("valid", answer))
    assert far.conditions == [condition]


@pytest.mark.parametrize(
    "answer",
    [
        VALID.replace("far.test", "evil.test"),
        VALID.replace("example.test", "other.test"),
        "<db:verify from='far.test' to='example.test' id='x' type='valid'/>",
    ],
)
def test_an_answer_to_what_was_not_asked_is_ignored(answer: str) -> None:
    far = Far("off")
    far.offers()
    assert far.says(answer) == ""
    assert "hello" in far.says(VALID)


def test_a_stanza_on_our_own_stream_ends_it() -> None:
    far = Far("off")
    far.offers()
    far.says(VALID)
    forged = "<message from='boss@far.test' to='alice@example.test'><body>stop</body></message>"
    assert "<not-authorized " in far.says(forged)
    assert [one.body for one in far.world.jabber.messages] == ["hello"]


def test_a_server_that_closes_before_it_believes_us_costs_no_stanza() -> None:
    far = Far("off")
    far.offers()
    far.says("</stream:stream>")
    assert far.conditions == ["remote-server-timeout"]
    far.alice.says("bob@far.test", "hello")
    assert len(far.sessions) == 2


# ── the legality table, chunks, and bytes that mean nothing ──────────────────

UNITS = {
    "stream": f"{VERSION[:-1]}/>",  # an element once the stream is open
    "features": "<stream:features/>",
    "proceed": "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "success": f"<success xmlns='{SASL}'/>",
    "failure": f"<failure xmlns='{SASL}'/>",
    "result": VALID,
    "verify": VALID.replace("result", "verify").replace(" type", " id='x' type"),
    "iq": "<iq type='get' id='1' from='far.test' to='example.test'><x xmlns='y'/></iq>",
    "message": "<message from='boss@far.test' to='alice@example.test'><body>x</body></message>",
    "presence": "<presence from='boss@far.test' to='alice@example.test'/>",
    "error": "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    "close": "</stream:stream>",
}
# state → what the other server says to reach it
LEADS = {
    "START": "",
    "OPEN": VERSION,
    "TLS": f"{VERSION}<stream:features>{TLS}</stream:features>",
    "SASL": f"{VERSION}<stream:features>{EXTERNAL}</stream:features>",
    "READY": f"{VERSION}<stream:features/>",
}
REFUSED_FOR_STATE = (
    "<invalid-namespace ",
    "<not-authorized ",
    "<not-well-formed ",
    "<unsupported-stanza-type ",
    "is out of turn",
)


@pytest.mark.parametrize(("verb", "state", "legal"), list(in_states(Outgoing.verbs, LEADS)))
def test_a_verb_is_accepted_in_its_states_and_refused_in_all_others(
    verb: str, state: str, legal: bool
) -> None:
    assert " ".join(LEADS) == Outgoing.states and set(UNITS) == set(Outgoing.verbs)
    far = Far()
    far.says(LEADS[state])
    assert far.core.state == state
    heard = far.says(VERSION if verb == "stream" and state == "START" else UNITS[verb])
    # Before a header there is neither an end nor an error: they would not be well-formed.
    legal = legal and (verb, state) not in (("error", "START"), ("close", "START"))
    assert any(part in heard for part in REFUSED_FOR_STATE) is not legal, heard
    assert far.world.jabber.messages[1:] == [], "nothing is accepted from the other server"
    if not legal:
        assert heard.endswith("</stream:stream>")
        assert far.conditions == ["remote-server-timeout"], "the message came back"


def test_single_bytes_yield_the_same_answers_and_records() -> None:
    said = f"{LEADS['SASL']}{UNITS['failure']}{UNITS['verify']}{VALID}</stream:stream>"
    whole, split = Far(), Far()
    expected = whole.says(said)
    assert "".join(split.says(one) for one in said) == expected and "hello" in expected
    assert _records(split) == _records(whole)


def _records(far: Far) -> list[tuple[str, str, bytes]]:
    return [(record.direction, record.verb, record.raw) for record in far.world.records]


@given(st.lists(st.sampled_from([*LEADS.values(), *UNITS.values(), "<", "x", "\0"]), max_size=6))
def test_no_order_of_units_loses_a_stanza_or_is_believed(units: list[str]) -> None:
    far = Far()
    heard = "".join(far.says(unit) for unit in units)
    far.core.eof()
    sent = heard.count("hello")
    assert sent + len(far.conditions) == 1, "it is sent, or comes back"
    assert not sent or VALID in units or UNITS["success"] in units
    assert [one.sender for one in far.world.jabber.messages if one.sender == "boss@far.test"] == []

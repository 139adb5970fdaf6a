"""From the pieces of a stream to units: the verb, the argument of faults, and refusals."""

from __future__ import annotations

import pytest

from fakes.wire import Unit
from fakes.xmpp.markup import CLIENT
from fakes.xmpp.refusals import StreamError
from fakes.xmpp.sasl import Login
from fakes.xmpp.splitter import Splitter
from fakes.xmpp.stanzas import Stanza
from fakes.xmpp.units import read_unit
from tests.xmpp_raw import HEADER, SASL, STARTTLS, plain, world


def unit(data: bytes) -> Unit:
    """Returns the unit of the first piece after the header."""
    buffer, splitter = bytearray(HEADER + data), Splitter()
    splitter.next(buffer)
    piece = splitter.next(buffer)
    assert piece is not None
    return read_unit(piece, Login(world().jabber.service), lambda tag, in_iq: "")


@pytest.mark.parametrize(
    ("data", "verb", "arg"),
    [
        (b"<message to='juliet@example.test'/>", "message", "juliet@example.test"),
        (b"<presence/>", "presence", ""),
        (b"<iq type='get'><query xmlns='jabber:iq:roster'/></iq>", "iq", "jabber:iq:roster"),
        (b"<iq type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "bind", "urn:"),
        (b"<iq type='get'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "iq", "urn:"),
        (plain("romeo"), "auth", "PLAIN"),
        (f"<response xmlns='{SASL}'/>".encode(), "response", ""),
        (f"<abort xmlns='{SASL}'/>".encode(), "abort", ""),
        (STARTTLS, "starttls", ""),
        (b"<stream:error/>", "error", ""),
        (b"</stream:stream>", "close", ""),
    ],
)
def test_each_piece_has_its_verb_and_the_argument_that_faults_match(
    data: bytes, verb: str, arg: str
) -> None:
    found = unit(data)
    assert found.verb == verb and found.arg.startswith(arg) and found.refusal is None
    assert found.raw == data


def test_the_content_of_a_stanza_is_the_stanza_and_of_a_login_its_response() -> None:
    stanza = unit(b"<message><body>hi</body></message>").content
    assert isinstance(stanza, Stanza) and stanza.body == "hi"
    assert unit(f"<response xmlns='{SASL}'/>".encode()).content.content == b""
    step = unit(plain("romeo")).content
    assert step.mechanism == "PLAIN" and step.content in plain("romeo")
    assert [secret.label for secret in unit(plain("romeo")).secrets] == ["plain romeo"]


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<message xmlns='jabber:server'/>", "invalid-namespace"),
        (b"<nonsense/>", "unsupported-stanza-type"),
        (f"<c:message xmlns:c='{CLIENT}'/>".encode(), "bad-namespace-prefix"),
        (b"<message></body>", "not-well-formed"),
        (b"<!-- x -->", "restricted-xml"),
    ],
)
def test_a_piece_that_is_not_a_unit_ends_the_stream(data: bytes, condition: str) -> None:
    found = unit(data)
    assert found.verb == "" and found.refusal is not None
    assert isinstance(found.refusal.reply, StreamError)
    assert found.refusal.reply.condition == condition

"""The four kinds of refusal, and which one a state or a fault leads to."""

from __future__ import annotations

import pytest

from fakes.xmpp.markup import serialize
from fakes.xmpp.refusals import (
    SASL_CONDITIONS,
    STREAM_CONDITIONS,
    TOO_BIG,
    Refusal,
    SaslFailure,
    StreamError,
    TlsFailure,
    named_in_fault,
    wrong_state,
)
from fakes.xmpp.stanzas import StanzaError


@pytest.mark.parametrize(
    ("refusal", "written"),
    [
        (
            StreamError("policy-violation", "too big", TOO_BIG),
            "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>too big</text>"
            "<stanza-too-big xmlns='urn:xmpp:errors'/></stream:error>",
        ),
        (
            SaslFailure("not-authorized"),
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
        ),
        (TlsFailure(), "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    ],
    ids=["stream", "SASL", "TLS"],
)
def test_a_refusal_is_written_as_an_element(
    refusal: StreamError | SaslFailure | TlsFailure, written: str
) -> None:
    assert serialize(refusal.element()) == written


@pytest.mark.parametrize(
    ("verb", "state", "kind", "section"),
    [
        ("starttls", "BOUND", TlsFailure, "§5.4.2.2"),
        ("bind", "BOUND", StanzaError, "§7"),
        ("bind", "OPEN", StreamError, "§4.9.3.12"),
        ("response", "OPEN", SaslFailure, "§6.5.8"),
        ("message", "OPEN", StreamError, "§4.9.3.12"),
        ("auth", "BOUND", StreamError, "§4.9.3.14"),
    ],
)
def test_a_verb_in_the_wrong_state_fails_one_request_or_ends_the_stream(
    verb: str, state: str, kind: type[Refusal], section: str
) -> None:
    refusal = wrong_state(verb, state)
    assert isinstance(refusal.reply, kind) and refusal.section == f"RFC 6120 {section}"


@pytest.mark.parametrize(
    ("text", "verb", "refusal"),
    [
        ("conflict later", "iq", ("conflict", "later", StanzaError)),
        ("conflict later", "auth", ("conflict", "later", StreamError)),
        ("stream:conflict later", "iq", ("conflict", "later", StreamError)),
        ("aborted", "auth", ("aborted", "", SaslFailure)),
        ("service-unavailable", "message", ("service-unavailable", "", StanzaError)),
    ],
)
def test_a_fault_names_the_condition_and_the_verb_decides_the_kind(
    text: str, verb: str, refusal: tuple[str, str, type]
) -> None:
    found = named_in_fault(text, verb)
    assert isinstance(found, StanzaError | SaslFailure | StreamError)
    assert (found.condition, found.text, type(found)) == refusal


def test_a_text_that_names_no_condition_is_not_a_refusal() -> None:
    assert named_in_fault("<iq/>", "iq") is None
    assert named_in_fault("service-unavailable", "auth") is None, "it is a stanza error only"


def test_every_condition_of_the_rfc_can_be_named() -> None:
    for condition in STREAM_CONDITIONS:
        assert named_in_fault(f"stream:{condition}", "message") == StreamError(condition)
    for condition in SASL_CONDITIONS:
        assert named_in_fault(condition, "auth") == SaslFailure(condition)

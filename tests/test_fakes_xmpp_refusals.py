"""The four kinds of refusal, and which one a state or a fault leads to."""

from __future__ import annotations

import ast
import re
from pathlib import Path

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
from tests.xmpp_raw import bound, world


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


# ── every text that the server makes up is ASCII ─────────────────────────────


@pytest.mark.parametrize(
    "sent",
    [
        "<iq type='get'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='übel' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<iq type='get' id='1'/>",
        "<iq type='get' id='1'><query xmlns='jabber:iq:roster'><item jid='ü'/></query></iq>",
        "<iq type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>",
        "<presence type='übel' id='1'/>",
        "<presence type='subscribe' id='1'/>",
        "<presence type='probe' to='ünbekannt@elsewhere.test'/>",
        "<message to='@' id='1'/>",
        "<übel/>",
        "<x:message xmlns:x='jabber:client'/>",
        "<!-- ü -->",
        "ü",
        "<message>&ü;</message>",
        "<message></ü>",
    ],
)
def test_the_text_of_an_error_is_ascii(sent: str) -> None:
    client = bound(world())
    client.hears()
    answer = client.says(sent.encode())
    texts = re.findall(rb"<text [^>]*>([^<]*)<", answer)
    assert all(text.isascii() for text in texts)
    assert b"error" in answer or not answer


def test_no_refusal_of_a_server_has_a_text_beyond_ascii() -> None:
    # Section labels are for the records, and never sent.
    label = re.compile(r"(RFC|XEP)[- ]\d+ (§[\d.]+|Appendix \w).*")
    for name in ("xmpp/*.py", "xmpp/extensions/*.py", "sasl/*.py"):
        for path in (Path(__file__).parents[1] / "fakes").glob(name):
            if path.name == "codec.py":
                continue  # it reads and writes transcripts
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                    continue
                for part in (part for word in node.args for part in ast.walk(word)):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        assert part.value.isascii() or label.fullmatch(part.value), (path, part)

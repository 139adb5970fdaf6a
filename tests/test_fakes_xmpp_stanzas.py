"""Stanzas as values: how they are read, written and answered."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.xmpp.markup import CLIENT, DELAY, element
from fakes.xmpp.stanzas import (
    CONDITIONS,
    StanzaError,
    build_stanza,
    parse_stanza,
    with_child,
)

CHAT = (
    "<message from='romeo@example.test/a' to='juliet@example.test' id='1' type='chat' "
    "xml:lang='de'><subject>S</subject><body>B &amp; C</body><thread>T</thread></message>"
)


def test_a_stanza_is_read_into_fields_and_written_as_it_was() -> None:
    stanza = parse_stanza(CHAT)
    assert (stanza.kind, stanza.type, stanza.id, stanza.lang) == ("message", "chat", "1", "de")
    assert (stanza.sender, stanza.to) == ("romeo@example.test/a", "juliet@example.test")
    assert (stanza.subject, stanza.body, stanza.thread) == ("S", "B & C", "T")
    assert stanza.to_bytes().decode() == CHAT
    assert repr(stanza) == f"<{CHAT}>"


@pytest.mark.parametrize("field", ["type", "to", "sender", "id", "lang"])
def test_a_stanza_cannot_hold_what_xml_cannot(field: str) -> None:
    attributes: dict[str, Any] = {field: "ab\x01"}
    with pytest.raises(ValueError, match=r"U\+0001 at position 2 "):
        build_stanza("message", **attributes)
    with pytest.raises(ValueError, match=r"U\+0001 at position 9 "):
        parse_stanza("<message \x01/>")


def test_a_copy_has_other_fields_and_leaves_the_stanza_as_it_is() -> None:
    stanza = parse_stanza(CHAT)
    copy = stanza.replace(to=None, type="normal")
    assert (copy.to, copy.type, copy.body) == (None, "normal", "B & C")
    assert (stanza.to, stanza.type) == ("juliet@example.test", "chat")


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        # The content is passed on byte for byte …
        ("<message><body >a<![CDATA[<]]></body ></message>", "<body >a<![CDATA[<]]></body >"),
        # … with the prefixes and attributes that it needs …
        ("<message xmlns:y='urn:y' y:b='1'><y:a/></message>", " xmlns:y='urn:y' y:b='1'><y:a/>"),
        ("<message new='1'><body/></message>", "<message new='1'>"),
        ("<message stream:a='1' xml:b='2'/>", "<message stream:a='1' xml:b='2'/>"),
        ("<message xmlns:stream='urn:y' stream:a='1'/>", " xmlns:stream='urn:y' stream:a='1'/>"),
        # … unless a prefix stands for the content namespace (RFC 6120 §4.8.5).
        (f"<message xmlns:c='{CLIENT}'><c:body>hi</c:body></message>", "<message><body>hi</body>"),
    ],
)
def test_content_is_passed_on_untouched_unless_its_prefixes_would_mean_something_else(
    sent: str, written: str
) -> None:
    assert written in parse_stanza(sent).to_bytes().decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "<message>",
        "<message/><message/>",
        "<message/>x",
        "<auth/>",
        "<message xmlns='urn:x'/>",
        f"<c:message xmlns:c='{CLIENT}'/>",
    ],
)
def test_a_text_that_is_not_one_stanza_raises_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not one stanza: .*; write one <message/>"):
        parse_stanza(text)


def test_a_child_is_found_by_its_name_and_namespace() -> None:
    stanza = parse_stanza("<iq><query xmlns='urn:x'>1</query><query xmlns='urn:y'>2</query></iq>")
    assert stanza.payload == "{urn:x}query"
    assert stanza.child_text("query", "urn:y") == "2"
    assert stanza.child("query") is None and stanza.child_text("query") == ""
    assert build_stanza("iq").payload == ""
    hello = parse_stanza("<message><body>hello</body></message>")
    assert hello.text == hello.body == "hello"


def test_a_stanza_with_a_delay_stamp_is_delayed() -> None:
    stanza = parse_stanza("<message><body>hi</body></message>")
    stamped = with_child(stanza, element(f"{{{DELAY}}}delay"), to="x")
    assert (stanza.delayed, stamped.delayed, stamped.to) == (False, True, "x")
    assert stamped.to_bytes() == (
        b"<message to='x'><body>hi</body><delay xmlns='urn:xmpp:delay'/></message>"
    )


# ── answers ──────────────────────────────────────────────────────────────────

REQUEST = (
    "<iq from='romeo@example.test/a' to='example.test' id='7' type='get'><q xmlns='urn:x'/></iq>"
)


def test_a_result_has_the_id_and_the_addresses_exchanged() -> None:
    result = parse_stanza(REQUEST).result(element("{urn:x}answer"))
    assert result.to_bytes() == (
        b"<iq from='example.test' to='romeo@example.test/a' id='7' type='result'>"
        b"<answer xmlns='urn:x'/></iq>"
    )


def test_an_error_repeats_the_content_and_names_the_condition() -> None:
    error = StanzaError("forbidden", "not you", element("{urn:y}more"))
    answer = parse_stanza(REQUEST).error(error)
    assert (answer.to, answer.sender, answer.id) == ("romeo@example.test/a", "example.test", "7")
    assert (answer.type, answer.condition) == ("error", "forbidden")
    assert (
        answer.to_bytes()
        .decode()
        .endswith(
            "<q xmlns='urn:x'/><error type='auth'>"
            "<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>not you</text>"
            "<more xmlns='urn:y'/></error></iq>"
        )
    )


def test_an_iq_without_an_id_gets_an_error_with_an_empty_one() -> None:
    error = StanzaError("bad-request")
    assert b" id=''" in parse_stanza("<iq type='get'/>").error(error).to_bytes()
    assert b" id=" not in parse_stanza("<message/>").error(error).to_bytes()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_each_condition_has_the_error_type_of_rfc_6120_unless_another_is_named(
    condition: str,
) -> None:
    assert StanzaError(condition).type == CONDITIONS[condition]
    assert StanzaError(condition, type="modify").element().get("type") == "modify"

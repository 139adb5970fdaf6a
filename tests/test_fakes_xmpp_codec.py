"""How transcripts write XMPP: lines that match, labels of secrets, words and cues."""

from __future__ import annotations

import base64
import re

import pytest

from fakes.transcripts.player import play_on_core
from fakes.transcripts.text import Step, parse
from fakes.wire import Record, Secret
from fakes.xmpp.codec import CUES, HEADER, WORDS, Stanzas, first_piece
from tests.xmpp_raw import plain, world

IQ = b"<iq to='romeo@example.test/a' id='push-x1' type='set'><q xmlns='urn:x'>text</q></iq>"


def matches(line: str, received: bytes) -> bool:
    return Stanzas().match(Step(1, "S", line), received) == len(received)


@pytest.mark.parametrize(
    "line",
    [
        # The order of attributes, quotes and prefixes have no meaning.
        "<iq type='set' id='push-x1' to='romeo@example.test/a'><q xmlns='urn:x'>text</q></iq>",
        '<iq to="romeo@example.test/a" id="push-x1" type="set"><q xmlns="urn:x">text</q></iq>',
        "<iq type='set' id='push-x1' to='romeo@example.test/a'>"
        "<x:q xmlns:x='urn:x'>text</x:q></iq>",
        # An asterisk stands for a value, or a part of one.
        "<iq type='set' id='push-*' to='*'><q xmlns='urn:x'>t*t</q></iq>",
    ],
)
def test_a_line_matches_what_means_the_same(line: str) -> None:
    assert matches(line, IQ)


@pytest.mark.parametrize(
    "line",
    [
        "<iq type='get' id='push-x1' to='romeo@example.test/a'><q xmlns='urn:x'>text</q></iq>",
        "<iq type='set' id='push-x1'><q xmlns='urn:x'>text</q></iq>",
        "<iq type='set' id='push-x1' to='romeo@example.test/a'><q xmlns='urn:x'>text</q><r/></iq>",
        "<iq type='set' id='push-x1' to='romeo@example.test/a'><q xmlns='urn:y'>text</q></iq>",
        "<iq type='set' id='push-x1' to='romeo@example.test/a'><q xmlns='urn:x'>tex</q></iq>",
        r"<iq type='set' id='push-\*' to='*'><q xmlns='urn:x'>text</q></iq>",
        "</stream:stream>",
        "(logged in)",
    ],
)
def test_a_line_does_not_match_what_means_something_else(line: str) -> None:
    assert not matches(line, IQ)


def test_only_the_first_piece_is_matched() -> None:
    assert Stanzas().match(Step(1, "S", "<presence/>"), b"<presence/><message/>") == 11
    assert not matches("<message/>", b"<presence/><message/>")


def test_a_line_that_is_not_one_piece_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"'<a>' is not one whole piece of a stream; complete it"):
        Stanzas().match(Step(1, "S", "<a>"), b"<a/>")


def test_a_piece_is_complete_when_its_end_has_arrived() -> None:
    codec = Stanzas()
    assert not codec.complete(b"<message><body>") and codec.complete(b"<message><body/></message>")
    header = first_piece(HEADER.encode())
    assert header is not None and header.kind == "open"


def test_a_login_is_one_write_with_the_domain_if_it_is_named() -> None:
    def secret(label: str) -> bytes:
        return label.upper().encode()

    sent = Stanzas().to_bytes(Step(1, "C", "(logs in romeo/orchard)"), secret).decode()
    assert sent.count("<stream:stream") == 2 and " to=" not in sent
    assert ">PLAIN ROMEO</auth>" in sent and "<resource>orchard</resource>" in sent
    named = Stanzas().to_bytes(Step(1, "C", "(logs in romeo@example.test/orchard)"), secret)
    assert named.count(b" to='example.test'") == 2 and b">PLAIN ROMEO@EXAMPLE.TEST</auth>" in named


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "DIGEST-MD5"])
@pytest.mark.parametrize("wrong", ["", " wrong"])
def test_a_label_computes_each_response_of_an_exchange(mechanism: str, wrong: str) -> None:
    label = f"{{{mechanism.lower()} romeo{wrong}}}"
    sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
    first = "" if mechanism == "DIGEST-MD5" else label
    lines = [
        "XMPP: x",
        'given: person = [{ address = "romeo@example.test", password = "pencil" }]',
        f"C: {HEADER}",
        "S: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
        "from='example.test' id='*' version='1.0' xml:lang='en'>",
        "S: <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
        f"<mechanism>{mechanism}</mechanism></mechanisms></stream:features>",
        f"C: <auth {sasl} mechanism='{mechanism}'>{first}</auth>",
        f"S: <challenge {sasl}>*</challenge>",
        f"C: <response {sasl}>{label}</response>",
        f"S: <failure {sasl}><not-authorized/></failure>" if wrong else f"S: <success {sasl}>*",
    ]
    offered = {"SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN", "DIGEST-MD5"} - {mechanism}
    lines.insert(2, f"given: off.xmpp = {sorted(offered)}")
    if not wrong:
        # DIGEST-MD5 sends its last words in another challenge.
        lines[-1] += "</success>"
        if mechanism == "DIGEST-MD5":
            lines[-1] = f"S: <challenge {sasl}>*</challenge>"
            lines += [f"C: <response {sasl}/>", f"S: <success {sasl}/>"]
    play_on_core(parse("\n".join(lines)))


def test_a_record_is_one_line_with_labels_in_place_of_secrets() -> None:
    auth = plain("romeo")
    begin = auth.index(b">") + 1
    record = Record(0.0, "xmpp", 1, "C", auth, "auth")
    record.secrets = (Secret(begin, auth.rindex(b"<"), "plain romeo"),)
    (shown,) = Stanzas().to_lines(record, masked=True)
    assert shown.endswith("mechanism='PLAIN'>{plain romeo}</auth>")
    (whole,) = Stanzas().to_lines(record, masked=False)
    response = re.search(r">([^<]*)</auth>", whole)
    assert response and base64.b64decode(response[1]) == b"\0romeo\0secret"


def test_words_and_cues_use_the_jabber_of_the_world() -> None:
    place = world()
    CUES["jabber-comes"](place.jabber, "juliet@example.test")
    CUES["jabber-says"](place.jabber, "romeo@example.test juliet@example.test good night")
    juliet = place.jabber.actor("juliet@example.test")
    assert [stanza.body for stanza in juliet.all if stanza.kind == "message"] == ["good night"]
    look = WORDS["available"]
    assert look(place.jabber, "juliet@example.test") == "juliet@example.test play"
    assert look(place.jabber, "romeo@example.test x") == "romeo@example.test play"
    assert WORDS["roster"](place.jabber, "romeo@example.test") == "romeo@example.test empty"
    assert WORDS["offline"](place.jabber, "romeo@example.test") == "romeo@example.test 0"

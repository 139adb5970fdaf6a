"""Messages without a plain text: what is read, what is explained, and what is only noise."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from comms.xmpp import payloads, stanzas


def read(content: str) -> stanzas.Message:
    element = fromstring(f"<message xmlns='jabber:client' from='a@x.test/r'>{content}</message>")
    return stanzas.read_message(element, 0.0)


def xhtml(content: str) -> str:
    return (
        "<html xmlns='http://jabber.org/protocol/xhtml-im'>"
        f"<body xmlns='http://www.w3.org/1999/xhtml'>{content}</body></html>"
    )


FALLBACK = "<fallback xmlns='urn:xmpp:fallback:0' for='u'>{}</fallback>"


@pytest.mark.parametrize(
    ("body", "marks", "text"),
    [
        ("restart", "", ""),
        ("restart", "<body/>", ""),
        ("restart", "<subject/>", "restart"),
        ("> stop\nrestart", "<body start='0' end='7'/>", "restart"),
        ("> stop\nrestart", "<body end='7'/>", "restart"),
        ("restart\n-- x", "<body start='7'/>", "restart"),
        ("😀\nrestart", "<body start='0' end='2'/>", "restart"),
        ("> a\nb\n> c\nd", "<body start='0' end='4'/><body start='6' end='10'/>", "b\nd"),
        ("restart", "<body start='5' end='2'/>", "restart"),
        ("restart", "<body start='-1' end='99999'/>", "restart"),
        ("restart", "<body start='x' end='²'/>", "restart"),
        ("restart", "<body start='x'/><body start='0'/>", ""),
        ("restart", "<body start='2'/><body start='2' end='-1'/>", "re"),
        ("restart", "<body start='0' end='99999'/>", ""),
        ("restart", "<body start='90' end='99'/>", "restart"),
    ],
)
def test_what_a_client_says_to_clients_that_know_less_is_not_the_text(
    body: str, marks: str, text: str
) -> None:
    found = read(f"<body>{body}</body>{FALLBACK.format(marks)}")
    assert found.text.strip() == text and not found.unreadable


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (xhtml("restart"), "restart"),
        (xhtml("<p>re<b>sta</b>rt</p>"), "restart"),
        (xhtml("<p>one</p><p>two</p>"), "one\ntwo"),
        (xhtml("one<br/>two"), "one\ntwo"),
        (xhtml("<ul><li>one</li><li>two</li></ul>"), "one\ntwo"),
        (xhtml("a \n  b <span style='color:red'>&lt;c&gt;</span>"), "a b <c>"),
        (xhtml("<img src='x' alt='a picture'/>"), "a picture"),
        (xhtml("<script>no</script>yes"), "yes"),
        ("<body> </body>" + xhtml("restart"), "restart"),
        ("<body>plain</body>" + xhtml("rich"), "plain"),
        ("<x xmlns='jabber:x:oob'><url>https://x.test/a</url></x>", "https://x.test/a"),
        (
            "<x xmlns='jabber:x:oob'><url>https://x.test/a</url><desc>A log</desc></x>",
            "A log https://x.test/a",
        ),
    ],
)
def test_the_text_of_a_message_without_a_body_is_read(content: str, text: str) -> None:
    assert (read(content).text, read(content).unreadable) == (text, "")


BODY = "<body>I sent you an OMEMO encrypted message but your client doesn’t support it.</body>"
OMEMO = "eu.siacs.conversations.axolotl"


@pytest.mark.parametrize(
    "content",
    [
        BODY + f"<encryption xmlns='urn:xmpp:eme:0' namespace='{OMEMO}'/>",
        BODY + "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:unknown' name='ROT13'/>",
        BODY + f"<encrypted xmlns='{OMEMO}'><header sid='1'/></encrypted>",
        f"<encrypted xmlns='{OMEMO}'><header sid='1'/></encrypted>",
        "<body>restart</body><encrypted xmlns='urn:xmpp:omemo:2'/>",
        "<encrypted xmlns='urn:xmpp:omemo:1'/>",
        "<openpgp xmlns='urn:xmpp:openpgp:0'>aGk=</openpgp>",
        "<body>restart</body><x xmlns='jabber:x:encrypted'>aGk=</x>",
        "<e2e xmlns='urn:ietf:params:xml:ns:xmpp-e2e'>x</e2e>",
        "<body>?OTR:AAMC=.</body>",
        "<body>?OTRv23?\nalice has requested an off-the-record conversation</body>",
    ],
)
def test_an_encrypted_message_has_no_text_whatever_its_body_says(content: str) -> None:
    message = read(content)
    assert (message.text, message.unreadable) == ("", "I cannot read encrypted messages")


@pytest.mark.parametrize(
    "content",
    [
        "<x xmlns='jabber:x:conference' jid='room@rooms.test'/>",
        "<x xmlns='jabber:x:data' type='form'/>",
        "<attention xmlns='urn:xmpp:attention:0'/>",
        "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
        "<file-sharing xmlns='urn:xmpp:sfs:0'/>",
        "<geoloc xmlns='http://jabber.org/protocol/geoloc'><lat>1</lat></geoloc>",
        xhtml("<img src='cid:1@bob.xmpp.org'/>"),
        xhtml(""),
    ],
)
def test_what_a_person_has_sent_and_we_cannot_read_is_explained(content: str) -> None:
    message = read(content)
    assert not message.text.strip() and message.unreadable.startswith("I ")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<body/>",
        "<subject>restart</subject>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<received xmlns='urn:xmpp:receipts' id='1'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
        "<no-store xmlns='urn:xmpp:hints'/>",
        "<x xmlns='jabber:x:event'><composing/></x>",
        "<event xmlns='http://jabber.org/protocol/pubsub#event'/>",
        "<unknown xmlns='urn:unknown'/>",
    ],
)
def test_what_a_client_has_sent_is_noise(content: str) -> None:
    message = read(content)
    assert not message.text.strip() and message.unreadable == ""


def test_the_log_names_the_payloads() -> None:
    element = fromstring("<m xmlns='jabber:client'><body/><a xmlns='urn:a'/><b xmlns='urn:b'/></m>")
    assert payloads.names(element) == "urn:a urn:b"

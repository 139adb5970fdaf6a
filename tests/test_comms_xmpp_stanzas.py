"""Stanzas: reading them as values, building them, and which messages a program may act on."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest

from comms.errors import Refused, TryLater
from comms.xmpp import Jid, stanzas
from comms.xmpp.stream import to_bytes

OWN = Jid.parse("bot@example.test/desk")
THEM = "them@example.test/desk"
NOW = 1767571200.0


def message(content: str = "<body>hi</body>", sender: str = THEM, kind: str = "chat") -> Element:
    attributes = f"from='{sender}' type='{kind}' id='m1'"
    return fromstring(f"<message xmlns='jabber:client' {attributes}>{content}</message>")


# ── reading ──────────────────────────────────────────────────────────────────


def test_a_message_is_read_as_a_value() -> None:
    content = "<body>hi</body><subject>s</subject><thread>t</thread>"
    read = stanzas.read_message(message(content), NOW)
    assert (str(read.sender), read.text, read.kind) == (THEM, "hi", "chat")
    assert (read.id, read.thread, read.subject, read.at, read.delayed) == (
        "m1",
        "t",
        "s",
        NOW,
        False,
    )


@pytest.mark.parametrize(
    ("delay", "at"),
    [
        ("<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>", 1767225600.0),
        ("<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T01:00:00+01:00'/>", 1767225600.0),
        ("<x xmlns='jabber:x:delay' stamp='20260101T00:00:00'/>", 1767225600.0),
        ("<delay xmlns='urn:xmpp:delay' stamp='yesterday'/>", NOW),
        ("<delay xmlns='urn:xmpp:delay'/>", NOW),
    ],
)
def test_a_delayed_message_has_the_time_of_its_stamp(delay: str, at: float) -> None:
    read = stanzas.read_message(message(f"<body>hi</body>{delay}"), NOW)
    assert read.delayed and read.at == at


def test_of_several_texts_the_one_without_a_language_is_read() -> None:
    content = "<body xml:lang='de'>zwei</body><body>two</body>"
    assert stanzas.read_message(message(content), NOW).text == "two"
    content = "<body xml:lang='de'>zwei</body><body xml:lang='fr'>deux</body>"
    assert stanzas.read_message(message(content), NOW).text == "zwei"


@pytest.mark.parametrize(
    ("attribute", "content", "expected"),
    [
        ("", "", ("available", 0, "")),
        ("", "<show>xa</show><priority>-5</priority>", ("xa", -5, "")),
        ("", "<show>sleepy</show><priority>high</priority>", ("available", 0, "")),
        ("type='unavailable'", "<show>away</show>", ("unavailable", 0, "unavailable")),
        ("type='subscribe'", "", ("unavailable", 0, "subscribe")),
    ],
)
def test_a_presence_is_read_as_a_value(
    attribute: str, content: str, expected: tuple[str, int, str]
) -> None:
    text = f"<presence xmlns='jabber:client' from='{THEM}' {attribute}>{content}</presence>"
    presence = stanzas.read_presence(fromstring(text))
    assert (presence.show, presence.priority, presence.kind) == expected


def test_a_sender_that_is_not_an_address_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a Jabber address"):
        stanzas.read_message(message(sender="a b@x.test"), NOW)


# ── which messages a program may act on ──────────────────────────────────────


def reason(element: Element, rooms: tuple[str, ...] = (), delayed: bool = False) -> str:
    read = stanzas.read_message(element, NOW)
    return stanzas.reason_to_ignore(read, OWN, {*map(Jid.parse, rooms)}, delayed)


def test_a_chat_message_or_a_normal_one_from_an_account_is_accepted() -> None:
    assert reason(message()) == reason(message(kind="normal")) == ""


@pytest.mark.parametrize(
    ("element", "text"),
    [
        (message(kind="groupchat"), "it is of type groupchat"),
        (message(sender="example.test"), "it comes from a server"),
        (message(sender="BOT@example.test/other"), "it comes from our own account"),
        (message("<body> \n</body>"), "it has no text"),
        (message("<body>x</body><x xmlns='http://jabber.org/protocol/muc#user'/>"), "a room"),
        (message("<body>x</body><sent xmlns='urn:xmpp:carbons:2'/>"), "a copy of another message"),
    ],
)
def test_other_messages_are_ignored_for_a_reason(element: Element, text: str) -> None:
    assert text in reason(element)


def test_private_messages_in_known_rooms_are_ignored() -> None:
    element = message(sender="room@rooms.test/admin")
    assert reason(element) == ""
    assert reason(element, rooms=("room@rooms.test",)) == "it comes from a room"


def test_stored_messages_are_ignored_unless_they_are_wanted() -> None:
    element = message("<body>x</body><delay xmlns='urn:xmpp:delay'/>")
    assert reason(element) == "it was stored before it arrived"
    assert reason(element, delayed=True) == ""


# ── building ─────────────────────────────────────────────────────────────────


def test_stanzas_are_built_with_only_what_was_given() -> None:
    them = Jid.parse(THEM)
    assert to_bytes(stanzas.message(them, "a<b", thread="t")) == (
        b"<message type='chat' to='them@example.test/desk'>"
        b"<body>a&lt;b</body><thread>t</thread></message>"
    )
    assert to_bytes(stanzas.presence()) == b"<presence/>"
    assert to_bytes(stanzas.presence(them.bare, "subscribe")) == (
        b"<presence to='them@example.test' type='subscribe'/>"
    )
    assert to_bytes(stanzas.presence(show="away", text="out", priority=-1)) == (
        b"<presence><show>away</show><status>out</status><priority>-1</priority></presence>"
    )


def test_a_reply_goes_to_the_same_resource_in_the_same_thread() -> None:
    asked = stanzas.read_message(message("<body>x</body><thread>t</thread>", kind="normal"), NOW)
    reply = asked.reply("yes")
    assert (reply.get("to"), reply.get("type")) == (THEM, "normal")
    assert reply.findtext("{jabber:client}thread") == "t"


def test_answers_have_the_id_and_the_address_of_the_query() -> None:
    query = fromstring(f"<iq xmlns='jabber:client' type='get' id='q1' from='{THEM}'/>")
    for answer, kind in (
        (stanzas.result(query), "result"),
        (stanzas.error(query, "forbidden"), "error"),
    ):
        assert (answer.get("type"), answer.get("id"), answer.get("to")) == (kind, "q1", THEM)


@pytest.mark.parametrize(("kind", "expected"), [("cancel", Refused), ("wait", TryLater)])
def test_an_error_stanza_becomes_an_exception(kind: str, expected: type[Exception]) -> None:
    query = fromstring("<iq xmlns='jabber:client' type='get' id='q1'/>")
    error = stanzas.error(query, "item-not-found", kind)
    assert stanzas.condition(error) == "item-not-found"
    found = stanzas.as_exception(error, "the query")
    assert type(found) is expected and str(found) == "the query: item-not-found"


def test_an_error_stanza_without_a_condition_has_the_undefined_one() -> None:
    assert stanzas.condition(stanzas.iq("error")) == "undefined-condition"


# ── what strangers write does not make an answer too long ────────────────────


@pytest.mark.parametrize(
    ("text", "thread", "kept"),
    [
        ("hi", "t", ("hi", "t")),
        ("&" * 1900, "t", ("&" * 1900, "t")),
        ("hi", "&" * 60_000, ("hi", "")),
        ("&" * 60_000, "t", (stanzas.TOO_LONG, "t")),
        ("\0" * 5_000, "t", (stanzas.TOO_LONG, "t")),
        ("\U0001f600" * 2_500, "t", (stanzas.TOO_LONG, "t")),
        ("'" * 60_000, '"' * 60_000, (stanzas.TOO_LONG, "")),
        ("&" * 1_000, "<" * 2_000, ("&" * 1_000, "")),
    ],
)
def test_an_answer_that_would_be_too_long_is_shorter(
    text: str, thread: str, kept: tuple[str, str]
) -> None:
    asked = stanzas.Message(Jid.parse(THEM), "?", "chat", thread=thread)
    answer = asked.reply(text)
    answer.set("id", "1" * 12)
    stanzas.checked_bytes(answer)
    found = (answer.findtext("{jabber:client}body"), answer.findtext("{jabber:client}thread"))
    assert found == (kept[0], kept[1] or None)


@pytest.mark.parametrize("kind", ["chat", "normal"])
def test_the_longest_answer_of_all_fits(kind: str) -> None:
    far = Jid("l" * 1023, "d" * 63, "r" * 1023)
    answer = stanzas.Message(far, "?", kind, thread="&" * 9_999).reply("&" * 9_999)
    stanzas.checked_bytes(answer)
    assert answer.findtext("{jabber:client}body") == stanzas.TOO_LONG


@pytest.mark.parametrize(
    "element",
    [
        stanzas.message(OWN, "&" * 2_000),
        stanzas.presence(text="x" * 10_000),
        stanzas.iq("get", Element("{urn:x}x", {"a": "<" * 2_500})),
    ],
)
def test_a_stanza_that_some_server_refuses_is_a_value_error(element: Element) -> None:
    with pytest.raises(ValueError, match=r"too long.*split it"):
        stanzas.checked_bytes(element)


# ── which message it was ─────────────────────────────────────────────────────


def keys(content: str = "", id: str = "a1", sender: str = THEM) -> set[str]:
    element = message(content, sender)
    element.set("id", id)
    return set(stanzas.read_message(element, NOW).keys)


STANZA_ID = "<stanza-id xmlns='urn:xmpp:sid:0' by='bot@example.test' id='{}'/>"
ORIGIN_ID = "<origin-id xmlns='urn:xmpp:sid:0' id='{}'/>"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (keys(), keys(), True),
        (keys(), keys("<body>another</body>"), True),
        (keys(), keys(sender="Them@EXAMPLE.test/phone"), True),
        (keys(), keys(id="a2"), False),
        (keys(), keys(sender="ann@example.test/desk"), False),
        (keys(STANZA_ID.format("s1")), keys(STANZA_ID.format("s1"), id="a2"), True),
        (keys(STANZA_ID.format("a1"), id="a2"), keys(), False),
        (keys(ORIGIN_ID.format("o1")), keys(id="o1"), True),
        (keys(STANZA_ID.format("s1"), id=""), keys(STANZA_ID.format("s1"), id=""), True),
        (keys(id=""), keys(id=""), False),
        (keys(id="x" * 100_000), keys(id="x" * 100_000), True),
    ],
)
def test_a_message_is_known_again_by_its_sender_and_its_ids(
    one: set[str], other: set[str], same: bool
) -> None:
    assert bool(one & other) == same
    assert all(len(key) < 200 for key in one | other)


def test_a_correction_names_the_message_of_the_same_sender() -> None:
    replace = "<replace xmlns='urn:xmpp:message-correct:0' id='{}'/>"
    read = stanzas.read_message(message(replace.format("a1"), THEM), NOW)
    assert read.replaces in keys() and read.replaces not in keys(sender="ann@example.test")
    for none in ("", replace.format(""), "<replace xmlns='urn:other' id='a1'/>"):
        assert stanzas.read_message(message(none, THEM), NOW).replaces == ""

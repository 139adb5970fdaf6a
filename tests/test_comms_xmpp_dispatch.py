"""What a stanza does, without a connection. With one, it is tested with the client."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest

from comms.errors import Refused, Unreachable
from comms.xmpp import Jid, Roster, stanzas
from comms.xmpp.dispatch import RETURNED, ROOMS, Dispatcher
from comms.xmpp.inbox import Inbox
from comms.xmpp.questions import Questions
from fakes.clock import Rehearsal
from tests.scripted import RecordingHost

OWN = Jid.parse("bot@example.test/desk")
ANN = Jid.parse("ann@x.test")


class Desk:
    """A dispatcher with everything that it uses. `sent` is what it would have sent."""

    def __init__(self) -> None:
        self.roster, self.host = Roster(), RecordingHost()
        self.inbox, self.questions = Inbox(self.host), Questions()
        self.sent: list[Element] = []
        self.dispatcher = Dispatcher(
            self.roster,
            self.inbox,
            self.questions,
            Rehearsal(),
            self.host,
            own=lambda: OWN,
            send=self.sent.append,
            delayed=False,
        )

    def handle(self, text: str) -> None:
        tag, _, rest = text.partition(" ")
        element = fromstring(f"{tag} xmlns='jabber:client' {rest}")
        self.dispatcher.handle(element, len(text))

    def answers(self) -> list[tuple[str | None, str]]:
        return [(answer.get("type"), stanzas.condition(answer)) for answer in self.sent]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_message_that_may_be_acted_on_is_put_into_the_inbox(desk: Desk) -> None:
    desk.handle("<message from='ann@x.test/r' type='chat'><body>hi</body></message>")
    assert [message.text for message in desk.inbox.take_messages()] == ["hi"]


def test_other_messages_with_a_text_are_logged(desk: Desk) -> None:
    desk.handle("<message from='x.test' type='chat'><body>hi</body></message>")
    desk.handle("<message from='x.test' type='chat'/>")
    [line] = desk.host.lines
    assert line.startswith("message-ignored sender=x.test trouble=it comes from a server")


@pytest.mark.parametrize(
    ("accepted", "granted"),
    [(False, 0), (True, 1), (frozenset({ANN}), 1), (frozenset({OWN.bare}), 0)],
)
def test_subscription_requests_are_granted_or_wait(
    desk: Desk, accepted: bool | frozenset[Jid], granted: int
) -> None:
    desk.dispatcher.accepted = accepted
    desk.handle("<presence from='ann@x.test' type='subscribe'/>")
    assert [answer.get("type") for answer in desk.sent] == ["subscribed"] * granted
    assert len(desk.inbox.requests) == 1 - granted


def test_a_refusal_is_recorded_for_those_who_wait_for_it(desk: Desk) -> None:
    desk.handle("<presence from='ann@x.test' type='unsubscribed'/>")
    assert desk.dispatcher.refusals == {}
    desk.dispatcher.refusals[ANN] = None
    desk.handle("<presence from='ann@x.test' type='unsubscribed'/>")
    assert isinstance(desk.dispatcher.refusals[ANN], Refused)


def test_the_presence_of_contacts_is_recorded(desk: Desk) -> None:
    desk.handle("<presence from='ann@x.test/r'/>")
    assert not desk.inbox.presence, "not a contact"
    desk.roster.apply(
        fromstring("<query xmlns='jabber:iq:roster'><item jid='ann@x.test'/></query>")
    )
    desk.handle("<presence from='ann@x.test/r'><show>away</show></presence>")
    assert desk.inbox.presence[ANN].show == "away"


def test_rooms_are_remembered_up_to_a_limit(desk: Desk) -> None:
    for number in range(ROOMS + 5):
        desk.handle(
            f"<presence from='r{number}@rooms.test/n'>"
            "<x xmlns='http://jabber.org/protocol/muc#user'/></presence>"
        )
    assert len(desk.dispatcher.rooms) == ROOMS
    assert Jid.parse("r0@rooms.test") not in desk.dispatcher.rooms, "the oldest are forgotten"


@pytest.mark.parametrize("sender", ["", "from='bot@example.test'"])
def test_a_roster_push_from_our_own_account_is_applied(desk: Desk, sender: str) -> None:
    item = "<query xmlns='jabber:iq:roster'><item jid='ann@x.test' subscription='both'/></query>"
    desk.handle(f"<iq type='set' id='p' {sender}>{item}</iq>")
    assert desk.roster[ANN].subscribed and desk.answers() == [("result", "undefined-condition")]


@pytest.mark.parametrize("sender", ["ann@x.test", "example.test", "bot@example.test/desk"])
def test_a_roster_push_from_another_address_is_refused(desk: Desk, sender: str) -> None:
    item = "<query xmlns='jabber:iq:roster'><item jid='ann@x.test' subscription='both'/></query>"
    desk.handle(f"<iq type='set' id='p' from='{sender}'>{item}</iq>")
    assert not desk.roster and desk.answers() == [("error", "service-unavailable")]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("<ping xmlns='urn:xmpp:ping'/>", ("result", "undefined-condition")),
        ("<query xmlns='urn:known'/>", ("result", "undefined-condition")),
        ("<query xmlns='urn:unknown'/>", ("error", "service-unavailable")),
        ("<query xmlns='urn:broken'/>", ("error", "internal-server-error")),
        ("<query/>", ("error", "service-unavailable")),
        ("", ("error", "bad-request")),
    ],
)
def test_every_query_is_answered(desk: Desk, content: str, answer: tuple[str, str]) -> None:
    def broken(query: Element) -> Element:
        raise ValueError("no")

    desk.dispatcher.queries["urn:known"] = lambda query: None
    desk.dispatcher.queries["urn:broken"] = broken
    desk.handle(f"<iq type='get' id='q' from='ann@x.test/r'>{content}</iq>")
    assert desk.answers() == [answer]


def test_a_stanza_from_an_invalid_address_is_ignored_and_logged(desk: Desk) -> None:
    for stanza in ("message", "presence", "iq"):
        desk.handle(f"<{stanza} type='get' from='a b@x.test'/>")
    assert [line.split()[0] for line in desk.host.lines] == ["stanza-ignored"] * 3
    assert desk.sent == []


def test_an_answer_that_cannot_be_sent_is_not_an_error(desk: Desk) -> None:
    def lost(element: Element) -> None:
        raise Unreachable("offline")

    desk.dispatcher._send = lost
    desk.handle("<iq type='get' id='q' from='ann@x.test/r'/>")
    assert desk.host.lines == []


# ── nothing is met with silence ──────────────────────────────────────────────

REQUEST = "<body>hi</body><request xmlns='urn:xmpp:receipts'/>"


@pytest.mark.parametrize("subscription", ["none", "to", "from", "both"])
def test_a_receipt_is_for_those_who_may_see_our_presence(desk: Desk, subscription: str) -> None:
    contact = f"<item jid='ann@x.test' subscription='{subscription}'/>"
    desk.roster.load(fromstring(f"<query xmlns='jabber:iq:roster'>{contact}</query>"))
    desk.handle(f"<message from='ann@x.test/r' type='chat' id='m1'>{REQUEST}</message>")
    assert [message.text for message in desk.inbox.take_messages()] == ["hi"]
    found = [
        (answer.get("to"), answer.get("type"), answer[0].tag, answer[0].get("id"))
        for answer in desk.sent
    ]
    receipt = ("ann@x.test/r", "chat", "{urn:xmpp:receipts}received", "m1")
    assert found == ([receipt] if subscription in ("from", "both") else [])


@pytest.mark.parametrize(
    "message",
    [
        f"<message from='ann@x.test/r' type='chat'>{REQUEST}</message>",  # without an id
        f"<message from='ann@x.test/r' type='error' id='1'>{REQUEST}<error/></message>",
        f"<message from='ann@x.test/r' type='groupchat' id='1'>{REQUEST}</message>",
        f"<message from='ann@x.test/r' type='headline' id='1'>{REQUEST}</message>",
        "<message from='ann@x.test/r' id='1'><received xmlns='urn:xmpp:receipts' id='2'/>"
        "</message>",
        f"<message from='ann@x.test/r' id='1'>{REQUEST}"
        "<x xmlns='http://jabber.org/protocol/muc#user'/></message>",
        f"<message from='ann@x.test/r' id='1'>{REQUEST}<delay xmlns='urn:xmpp:delay'/></message>",
        f"<message from='x.test' id='1'>{REQUEST}</message>",
        f"<message id='1'>{REQUEST}</message>",
    ],
)
def test_a_message_that_is_not_handed_out_has_no_receipt(desk: Desk, message: str) -> None:
    contact = "<item jid='ann@x.test' subscription='both'/>"
    desk.roster.load(fromstring(f"<query xmlns='jabber:iq:roster'>{contact}</query>"))
    desk.handle(message)
    assert desk.sent == []


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "result"),
        ("<query xmlns='http://jabber.org/protocol/disco#items'/>", "result"),
        ("<query xmlns='jabber:iq:version'/>", "result"),
        ("<time xmlns='urn:xmpp:time'/>", "result"),
        ("<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>", "item-not-found"),
        ("<query xmlns='jabber:iq:last'/>", "service-unavailable"),
        ("<vCard xmlns='vcard-temp'/>", "service-unavailable"),
    ],
)
def test_questions_about_the_client_are_answered(desk: Desk, content: str, answer: str) -> None:
    desk.handle(f"<iq type='get' id='q' from='ann@x.test/r'>{content}</iq>")
    [(kind, condition)] = desk.answers()
    assert answer == (kind if kind == "result" else condition)
    if kind == "result":
        desk.sent.clear()
        desk.handle(f"<iq type='set' id='q' from='ann@x.test/r'>{content}</iq>")
        assert desk.answers() == [("error", "service-unavailable")]


def test_a_program_may_answer_in_place_of_the_client(desk: Desk) -> None:
    own = Element("{jabber:iq:version}query")
    desk.dispatcher.queries["jabber:iq:version"] = lambda query: own
    desk.handle("<iq type='get' id='q' from='a@x.test'><query xmlns='jabber:iq:version'/></iq>")
    assert desk.sent[0][0] is own


@pytest.mark.parametrize(
    "condition",
    ["item-not-found", "service-unavailable", "remote-server-not-found", "recipient-unavailable",
     "policy-violation", "gone"],
)  # fmt: skip
def test_a_message_that_comes_back_is_an_event(desk: Desk, condition: str) -> None:
    heard: list[stanzas.Message] = []
    desk.inbox.on("error", heard.append)
    desk.handle(
        "<message from='ann@x.test' type='error' id='m1'><body>the alert</body><error type='x'>"
        f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
    desk.inbox.dispatch()
    [error] = heard
    assert (error.id, error.sender, error.error) == ("m1", ANN, condition)
    assert (error.kind, error.text) == ("error", "the alert")
    assert desk.dispatcher.returned["m1"].error == condition
    assert desk.host.lines == [f"message-returned by=ann@x.test trouble={condition}"]


def test_messages_that_come_back_are_remembered_up_to_a_limit(desk: Desk) -> None:
    for number in range(RETURNED + 5):
        desk.handle(f"<message from='ann@x.test' type='error' id='m{number}'><error/></message>")
    assert len(desk.dispatcher.returned) == RETURNED == len(desk.inbox.errors)
    assert f"m{RETURNED + 4}" in desk.dispatcher.returned


def test_an_answer_that_is_too_long_becomes_an_error(desk: Desk) -> None:
    def send(element: Element) -> None:
        stanzas.checked_bytes(element)
        desk.sent.append(element)

    desk.dispatcher._send = send
    desk.dispatcher.queries["urn:x"] = lambda query: Element("{urn:x}x", {"a": "&" * 3000})
    desk.handle("<iq type='get' id='q' from='ann@x.test/r'><x xmlns='urn:x'/></iq>")
    assert desk.answers() == [("error", "resource-constraint")]
    long = "&amp;" * 3000  # of which no answer can be short enough
    desk.handle(f"<iq type='get' id='{long}' from='ann@x.test/r'><x xmlns='urn:x'/></iq>")
    assert len(desk.sent) == 1 and "too long" in desk.host.lines[-1]


def test_an_unreadable_message_is_handed_out_and_logged(desk: Desk) -> None:
    desk.handle(
        "<message from='ann@x.test/r' type='chat'><body>?</body>"
        "<encryption xmlns='urn:xmpp:eme:0' namespace='x'/></message>"
    )
    [message] = desk.inbox.take_messages()
    assert (message.text, message.unreadable) == ("", "I cannot read encrypted messages")
    line = "message-unreadable sender=ann@x.test/r payload=urn:xmpp:eme:0"
    assert desk.host.lines == [line]


def test_what_the_contact_list_cannot_take_is_logged(desk: Desk) -> None:
    desk.handle(
        "<iq type='set' id='p'><query xmlns='jabber:iq:roster'><item jid='a b@x.test'/></query>"
        "</iq>"
    )
    assert desk.host.lines == ["contacts-left-out trouble=the contact 'a b@x.test'"]

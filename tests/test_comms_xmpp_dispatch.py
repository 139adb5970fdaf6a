"""What a stanza does, without a connection. With one, it is tested with the client."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

import pytest

from comms.errors import Refused, Unreachable
from comms.xmpp import Jid, Roster, stanzas
from comms.xmpp.dispatch import ROOMS, Dispatcher
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
        self.dispatcher.handle(fromstring(f"{tag} xmlns='jabber:client' {rest}"))

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

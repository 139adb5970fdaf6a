"""The Jabber client against a scripted server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.clock import RealClock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.state import State
from comms.xmpp import Client, Jid, Message, Outbox, stanzas
from comms.xmpp.stream import to_bytes
from tests.scripted import JumpingClock, Peer, RecordingHost
from tests.test_comms_xmpp_session import (
    BIND,
    SUCCESS,
    bind,
    log_in,
    mechanisms,
    open_stream,
)
from tests.thorough import fewer

ROSTER = "<query xmlns='jabber:iq:roster'>{}</query>"
THEM = "them@example.test"


def answer_query(
    peer: Peer, *needles: bytes, content: str = "", kind: str = "result", sender: str = ""
) -> bytes:
    """Answers the next query that contains these bytes. Returns what was read."""
    request = peer.expect(*needles, b"</iq>")
    id = re.findall(rb"<iq [^>]*id='([^']*)'", request)[-1].decode()
    by = f" from='{sender}'" if sender else ""
    peer.send(f"<iq type='{kind}' id='{id}'{by}>{content}</iq>".encode())
    return request


def come_online(peer: Peer, *items: str) -> None:
    """Serves the login, the contact list with these items, and the client's presence."""
    log_in(peer)
    answer_query(peer, b"jabber:iq:roster", content=ROSTER.format("".join(items)))
    peer.expect(b"<presence/>")


def item(jid: str, subscription: str, more: str = "") -> str:
    return f"<item jid='{jid}' subscription='{subscription}' {more}/>"


def push(item: str, sender: str = "") -> bytes:
    by = f" from='{sender}'" if sender else ""
    return f"<iq type='set' id='push'{by}>{ROSTER.format(item)}</iq>".encode()


def chat(
    text: str, sender: str = THEM + "/desk", kind: str = "chat", more: str = "", id: str = "m"
) -> bytes:
    attributes = f"from='{sender}' type='{kind}' id='{id}'"
    return f"<message {attributes}><body>{text}</body>{more}</message>".encode()


def close_stream(peer: Peer) -> None:
    """Waits until the client closes the stream, and closes the other direction."""
    peer.expect(b"</stream:stream>")
    peer.send(b"</stream:stream>")


@pytest.fixture
def clock() -> Iterator[JumpingClock]:
    clock = JumpingClock()
    yield clock
    clock.close()


@pytest.fixture
def host() -> RecordingHost:
    return RecordingHost()


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


# ── delivering ───────────────────────────────────────────────────────────────


def test_a_message_to_a_contact_who_has_authorised_us_is_sent_at_once(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "both"))
        peer.expect(b"Hello &amp; welcome</body></message></stream:stream>")

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.deliver(THEM, "Hello & welcome")
    assert b"subscribe" not in peer.received[0]


def test_other_users_are_asked_for_authorisation_before_a_message_is_sent(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        answer_query(peer, b"<item jid='them@example.test'/>")
        peer.send(push(item(THEM, "none")))
        peer.expect(b"type='result'", b"<presence to='them@example.test' type='subscribe'/>")
        peer.send(push(item(THEM, "none", "ask='subscribe'")))
        peer.send(f"<presence from='{THEM}' type='subscribed'/>".encode())
        peer.send(push(item(THEM, "to")))
        peer.expect(b"Hello</body>")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.deliver(THEM, "Hello")
        assert [str(presence.sender) for presence in jabber.new_subscriptions()] == [THEM]
    assert peer.received[0].index(b"subscribe") < peer.received[0].index(b"Hello")


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (f"<presence from='{THEM}' type='unsubscribed'/>", Refused, "has refused"),
        (
            f"<presence from='{THEM}' type='error'><error type='cancel'>"
            f"<remote-server-not-found xmlns='{stanzas.STANZA_ERRORS}'/></error></presence>",
            Refused,
            "remote-server-not-found",
        ),
        (
            f"<presence from='{THEM}' type='error'><error type='wait'>"
            f"<remote-server-timeout xmlns='{stanzas.STANZA_ERRORS}'/></error></presence>",
            TryLater,
            "remote-server-timeout",
        ),
        (
            "<presence from='other@example.test' type='unsubscribed'/>",
            TryLater,
            "within 60 s; nothing was sent",
        ),
        ("", TryLater, "within 60 s; nothing was sent"),
    ],
)
def test_without_authorisation_nothing_is_sent(
    clock: JumpingClock, host: RecordingHost, answer: str, kind: type[CommsError], text: str
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        answer_query(peer, b"<item jid='them@example.test'/>")
        peer.expect(b"type='subscribe'/>")
        peer.send(answer.encode())
        close_stream(peer)

    with (
        Peer(script) as peer,
        Client(peer.server(), clock, host) as jabber,
        pytest.raises(kind, match=text),
    ):
        jabber.deliver(THEM, "Hello")
    assert b"Hello" not in peer.received[0]


def test_a_program_that_is_asked_to_stop_does_not_say_that_a_minute_is_over(
    clock: JumpingClock, host: RecordingHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        answer_query(peer, b"<item jid='them@example.test'/>")
        peer.expect(b"type='subscribe'/>")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        monkeypatch.setattr(clock, "stopping", lambda: True)
        with pytest.raises(TryLater, match="before the program was asked to stop; nothing was"):
            jabber.deliver(THEM, "Hello")


def test_a_contact_who_was_asked_before_is_not_asked_again(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "none", "ask='subscribe'"))
        close_stream(peer)

    with (
        Peer(script) as peer,
        Client(peer.server(), clock, host) as jabber,
        pytest.raises(TryLater),
    ):
        jabber.deliver(THEM, "Hello", wait=1)
    assert b"type='subscribe'" not in peer.received[0]


def test_a_message_for_later_is_stored_and_sent_after_authorisation(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.expect(b"type='subscribe'/>")
        peer.send(push(item(THEM, "to")))
        peer.expect(b"Hello</body>")
        close_stream(peer)

    with (
        State(tmp_path / "state") as state,
        Peer(script) as peer,
        Client(peer.server(), clock, host) as jabber,
    ):
        outbox = Outbox(state)
        assert not jabber.deliver(THEM, "Hello", later=outbox)
        assert outbox.waiting() == [(THEM, "Hello")]
        jabber.wait(clock.time() + 5)
        [result] = outbox.flush(jabber, clock)
        assert (result.address, result.status) == (THEM, "sent")
        assert outbox.waiting() == outbox.unknown() == []
        assert outbox.flush(jabber, clock) == []
    assert peer.received[0].count(b"Hello") == 1


def test_a_message_that_a_killed_program_was_sending_is_not_sent_again(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "both"))
        close_stream(peer)

    with State(tmp_path / "state") as state:
        Outbox(state).put(THEM, "Hello", 0.0)
        with state.transaction() as db:  # as if the program had been killed in the middle
            db.execute("UPDATE xmpp_outbox SET status = 'sending', made = ?", (clock.time(),))
    with (
        State(tmp_path / "state") as state,
        Peer(script) as peer,
        Client(peer.server(), clock, host) as jabber,
    ):
        outbox = Outbox(state)
        assert outbox.flush(jabber, clock) == []
        assert outbox.unknown() == [(THEM, "Hello")]
    assert b"Hello" not in peer.received[0]


def test_a_message_for_later_can_be_stored_while_offline(
    clock: JumpingClock, host: RecordingHost, tmp_path: Path
) -> None:
    with (
        State(tmp_path / "state") as state,
        Peer(lambda peer: come_online(peer, item(THEM, "both"))) as peer,
    ):
        outbox = Outbox(state)
        jabber = Client(peer.server(), clock, host)
        host.token = lambda length: "z" * length  # type: ignore[method-assign]
        while jabber.connected:
            jabber.wait(clock.time() + 1)
        assert not jabber.deliver(THEM, "Hello", later=outbox)
        assert outbox.waiting() == [(THEM, "Hello")]
        with pytest.raises(Unreachable, match="the next attempt to connect is in"):
            jabber.deliver(THEM, "Hello")


@pytest.mark.parametrize(("to", "text"), [("a b@x.test", "x"), ("", "x"), (THEM, "x" * 10_000)])
def test_an_invalid_address_or_a_long_text_is_a_value_error(
    clock: JumpingClock, host: RecordingHost, to: str, text: str
) -> None:
    with (
        Peer(come_online) as peer,
        Client(peer.server(), clock, host) as jabber,
        pytest.raises(ValueError, match=r"address|long"),
    ):
        jabber.deliver(to, text)


def test_everything_that_was_sent_arrives_before_the_close(
    clock: JumpingClock, host: RecordingHost
) -> None:
    """A close with unread bytes would be a reset, which may discard what we have sent."""

    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "both"))
        peer.send(chat("x" * 1000) * 200)
        peer.expect(b"number 499</body></message></stream:stream>")
        peer.send(chat("last") + b"</stream:stream>")

    with Peer(script) as peer:
        jabber = Client(peer.server(), clock, host)
        for number in range(500):
            jabber.send(stanzas.message(Jid.parse(THEM), f"number {number}"))
        jabber.disconnect()
        assert texts(jabber.received_messages())[-1] == "last"


# ── which messages are returned ──────────────────────────────────────────────

FORWARDED = (
    "<forwarded xmlns='urn:xmpp:forward:0'><message from='admin@example.test'>"
    "<body>restart</body></message></forwarded>"
)
COPY = f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>"
STORED = "stored before it arrived"
IGNORED = [
    (chat("restart", kind="error"), "returned"),
    (chat("restart", kind="groupchat", sender="room@rooms.test/admin"), "of type groupchat"),
    (chat("restart", kind="headline"), "of type headline"),
    (chat("restart", sender="example.test"), "from a server"),
    (chat("restart", sender="example.test/announce"), "from a server"),
    (chat("restart").replace(b" from='them@example.test/desk'", b""), "our own account"),
    (chat("restart", sender="bot@example.test/other"), "our own account"),
    (chat("restart", sender="Bot@EXAMPLE.test"), "our own account"),
    (chat("restart", more="<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"), STORED),
    (chat("restart", more="<x xmlns='jabber:x:delay' stamp='20260101T00:00:00'/>"), STORED),
    (chat("restart", more="<x xmlns='http://jabber.org/protocol/muc#user'/>"), "from a room"),
    (chat("restart", sender="known@rooms.test/admin"), "from a room"),
    (chat("x", more=COPY), "a copy"),
    (chat("x", more=f"<sent xmlns='urn:xmpp:carbons:2'>{FORWARDED}</sent>"), "a copy"),
    (chat("x", more=FORWARDED), "a copy"),
    (chat("x", more=f"<result xmlns='urn:xmpp:mam:2'>{FORWARDED}</result>"), "a copy"),
    (chat("x", sender="bot@example.test", more=COPY), "own account"),
    (chat("restart", sender="a b@x.test"), "not a Jabber address"),
]


@pytest.mark.parametrize(
    ("stanza", "reason"), IGNORED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_messages_to_ignore_are_logged_and_not_returned(
    clock: JumpingClock, host: RecordingHost, stanza: bytes, reason: str
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(
            b"<presence from='known@rooms.test/n'>"
            b"<x xmlns='http://jabber.org/protocol/muc#user'/></presence>"
        )
        peer.send(stanza + chat("honest"))
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        assert texts(jabber.received_messages()) == ["honest"]
    assert [line for line in host.lines if reason in line]
    assert peer.received[0].count(b"<message") == 0


@pytest.mark.parametrize(
    "stanza",
    [
        b"<message from='them@example.test/desk' type='chat'>"
        b"<composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        b"<message from='them@example.test/desk' type='chat'><body> \n</body></message>",
        b"<message from='them@example.test/desk' type='chat'><subject>restart</subject></message>",
        b"<message xmlns='urn:other' from='them@example.test/desk'><body>restart</body></message>",
        b"<presence from='them@example.test/desk'><status>restart</status></presence>",
        b"<stream:features/>",
        b"<r xmlns='urn:xmpp:sm:3'/>",
    ],
)
def test_stanzas_without_a_text_are_ignored_without_a_log_entry(
    clock: JumpingClock, host: RecordingHost, stanza: bytes
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(stanza)
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        assert jabber.received_messages() == []
    assert host.lines == []


def test_unknown_types_are_normal_and_stored_messages_can_be_requested(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("one", kind="telepathy"))
        peer.send(
            b"<message from='them@example.test'>"
            b"<body xml:lang='de'>zwei</body><body>two</body></message>"
        )
        peer.send(
            chat(
                "three",
                more="<thread>t1</thread>"
                "<delay xmlns='urn:xmpp:delay' stamp='2026-01-05T00:00:00Z'/>",
            )
        )
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host, delayed=True) as jabber:
        jabber.wait(clock.time() + 1)
        one, two, three = jabber.received_messages()
        assert (one.kind, one.text, two.kind, two.text) == ("normal", "one", "normal", "two")
        assert (three.text, three.delayed, three.thread) == ("three", True, "t1")
        assert three.at == 1767571200.0
        answer = three.reply("four")
        assert (answer.get("to"), answer.get("type")) == ("them@example.test/desk", "chat")
        assert answer.findtext("{jabber:client}thread") == "t1"


# ── the contact list ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("sender", ["", "bot@example.test"])
def test_a_roster_push_from_our_own_account_changes_the_contact_list(
    clock: JumpingClock, host: RecordingHost, sender: str
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(
            push(
                f"<item jid='{THEM}' name='Them' subscription='both'><group>G</group></item>",
                sender,
            )
        )
        assert b"id='push'" in peer.expect(b"type='result'", b"/>")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        contact = jabber.roster[THEM]
        assert (contact.name, contact.groups) == ("Them", ("G",))
        assert (contact.subscription, contact.subscribed) == ("both", True)


@pytest.mark.parametrize(
    "sender",
    [THEM, "example.test", "bot@example.test/r1", "bot@evil.test", "mallory@example.test/bot"],
)
def test_a_roster_push_from_another_address_is_refused(
    clock: JumpingClock, host: RecordingHost, sender: str
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(push(item("mallory@example.test", "both"), sender))
        peer.expect(b"type='error'", b"service-unavailable")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        assert not jabber.roster
        assert not jabber.subscribed_to("mallory@example.test")
    assert any("push-ignored" in line for line in host.lines)


def test_contacts_are_added_and_removed_by_queries_whose_errors_are_raised(
    clock: JumpingClock, host: RecordingHost
) -> None:
    unknown = (
        "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    )

    def script(peer: Peer) -> None:
        come_online(peer)
        request = answer_query(peer, b"jabber:iq:roster")
        assert b"<item jid='them@example.test' name='Them'><group>G</group></item>" in request
        peer.expect(b"<presence to='them@example.test' type='subscribe'/>")
        answer_query(peer, b"subscription='remove'", content=unknown, kind="error")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.add(THEM + "/desk", "Them", ["G", "G"])
        with pytest.raises(Refused, match="item-not-found"):
            jabber.remove("unknown@example.test")


def test_subscription_requests_wait_for_accept_or_deny(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        for who in ("one", "two", "two", "three"):
            peer.send(
                f"<presence from='{who}@x.test' type='subscribe'>"
                "<status>please</status></presence>".encode()
            )
        peer.send(b"<presence from='three@x.test' type='unsubscribe'/>")
        peer.expect(
            b"<presence to='one@x.test' type='subscribed'/>",
            b"<presence to='two@x.test' type='unsubscribed'/>",
        )
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        requests = jabber.subscription_requests()
        assert [(str(request.sender), request.text) for request in requests] == [
            ("one@x.test", "please"),
            ("two@x.test", "please"),
        ]
        assert jabber.subscription_requests() == []
        jabber.accept("one@x.test")
        jabber.deny("two@x.test")


def test_requests_from_addresses_on_the_list_are_granted_at_once(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(
            b"<presence from='mallory@x.test' type='subscribe'/>"
            b"<presence from='one@x.test' type='subscribe'/>"
        )
        peer.expect(b"<presence to='one@x.test' type='subscribed'/>")
        close_stream(peer)

    with (
        Peer(script) as peer,
        Client(peer.server(), clock, host, accept_subscriptions=["One@x.test"]) as jabber,
    ):
        jabber.wait(clock.time() + 1)
        [request] = jabber.subscription_requests()
        assert str(request.sender) == "mallory@x.test"
        assert jabber.accept_subscriptions == ["one@x.test"]
        with pytest.raises(ValueError, match="not a Jabber address"):
            jabber.accept_subscriptions = ["a b"]
    assert peer.received[0].count(b"subscribed") == 1


def test_presence_is_reported_once_per_contact_and_change(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def presence(resource: str, kind: str = "", show: str = "", priority: int = 0) -> bytes:
        attribute = f" type='{kind}'" if kind else ""
        inside = (f"<show>{show}</show>" if show else "") + f"<priority>{priority}</priority>"
        return f"<presence from='{THEM}/{resource}'{attribute}>{inside}</presence>".encode()

    rounds: list[bytes] = [
        presence("desk") + presence("desk", show="away") + b"<presence from='stranger@x.test/r'/>",
        presence("phone", priority=5, show="dnd"),
        presence("desk"),
        presence("desk", show="xa") + presence("desk"),
        presence("phone", kind="unavailable"),
        presence("desk", kind="unavailable"),
        presence("desk", kind="unavailable"),
    ]

    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "to"))
        for stanza in rounds:
            peer.send(stanza)
            peer.expect(b"<presence><show>")
        close_stream(peer)

    seen = []
    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        for _ in rounds:
            jabber.wait(clock.time() + 1)
            updates = jabber.presence_updates()
            seen.append([(str(update.sender), update.show) for update in updates])
            jabber.status("chat")
    assert seen == [
        [(THEM, "away")],
        [(THEM, "dnd")],
        [],
        [],
        [(THEM, "available")],
        [(THEM, "unavailable")],
        [],
    ]


def test_an_unchanged_contact_list_is_not_sent_again(
    clock: JumpingClock, host: RecordingHost
) -> None:
    """Roster versioning (RFC 6121 §2.6), after a lost connection."""

    def come_online_with(peer: Peer, wanted: bytes, content: str) -> None:
        open_stream(peer, mechanisms("PLAIN"))
        peer.expect(b"</auth>")
        peer.send(SUCCESS)
        open_stream(peer, BIND, b"<ver xmlns='urn:xmpp:features:rosterver'/>")
        bind(peer)
        answer_query(peer, b"ver='" + wanted + b"'", content=content)
        peer.expect(b"<presence/>")

    def second(peer: Peer) -> None:
        come_online_with(peer, b"v7", "")
        close_stream(peer)

    whole = f"<query xmlns='jabber:iq:roster' ver='v7'>{item(THEM, 'both')}</query>"
    with (
        Peer(lambda peer: come_online_with(peer, b"", whole), second) as peer,
        Client(peer.server(), clock, host) as jabber,
    ):
        jabber.wait(clock.time() + 60)
        assert jabber.connected
        assert jabber.subscribed_to(THEM)


# ── queries ──────────────────────────────────────────────────────────────────


def query(namespace: str = "urn:x") -> Element:
    return stanzas.iq("get", Element(f"{{{namespace}}}query"), Jid.parse("service.test"))


def test_only_the_address_that_was_asked_can_answer(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        request = peer.expect(b"urn:x", b"</iq>")
        id = re.findall(rb"<iq [^>]*id='([^']*)'", request)[-1].decode()
        for sender in ("mallory@service.test", "bot@example.test", "service.test.evil.test"):
            peer.send(
                f"<iq type='result' id='{id}' from='{sender}'>"
                "<query xmlns='urn:x' forged='1'/></iq>".encode()
            )
        peer.send(f"<iq type='result' id='{id}'/>".encode())
        peer.send(
            f"<iq type='result' id='{id}' from='service.test'>"
            "<query xmlns='urn:x' true='1'/></iq>".encode()
        )
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.request(query())[0].get("true") == "1"


def test_a_request_without_an_answer_ends_after_the_timeout(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.expect(b"urn:x")
        close_stream(peer)

    with (
        Peer(script) as peer,
        Client(peer.server(), clock, host) as jabber,
        pytest.raises(TryLater, match="within 2 s"),
    ):
        jabber.request(query())


def test_a_connection_lost_before_the_answer_leaves_the_outcome_unknown(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.expect(b"urn:x")

    with Peer(script) as peer:
        jabber = Client(peer.server(), clock, host)
        with pytest.raises(Unknown, match="lost before the answer"):
            jabber.request(query())
        assert not jabber.connected


def test_queries_are_answered_by_handlers_or_refused(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def ask(peer: Peer, content: str, kind: str = "get") -> bytes:
        peer.send(f"<iq type='{kind}' id='q' from='{THEM}/desk'>{content}</iq>".encode())
        return (
            peer.expect(b"<iq ", b"</iq>") if "ping" not in content else peer.expect(b"<iq ", b"/>")
        )

    expected = [
        ("<ping xmlns='urn:xmpp:ping'/>", b"type='result'"),
        ("<query xmlns='urn:known'/>", b"answer='42'"),
        ("<query xmlns='urn:unknown'/>", b"service-unavailable"),
        ("<query xmlns='urn:broken'/>", b"internal-server-error"),
        ("<a xmlns='urn:a'/><b xmlns='urn:b'/>", b"bad-request"),
        ("", b"bad-request"),
        ("<query xmlns='urn:forbidden'/>", b"forbidden"),
    ]
    answers = []

    def script(peer: Peer) -> None:
        come_online(peer)
        for content, _ in expected:
            answers.append(ask(peer, content))
        close_stream(peer)

    def known(query: Element) -> Element:
        return Element("{urn:known}query", {"answer": "42"})

    def broken(query: Element) -> Element:
        raise RuntimeError("oh")

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.on_query("urn:known", known)
        jabber.on_query("urn:broken", broken)
        jabber.on_query("urn:forbidden", lambda query: stanzas.error(query, "forbidden", "auth"))
        jabber.wait(clock.time() + 1)
    for answer, (_, content) in zip(answers, expected, strict=True):
        assert (
            content in answer and b"id='q'" in answer and b"to='them@example.test/desk'" in answer
        )
    assert any("handler-failed handler=broken" in line for line in host.lines)


def test_unexpected_answers_are_ignored(clock: JumpingClock, host: RecordingHost) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        for kind in ("result", "error"):
            peer.send(f"<iq type='{kind}' id='q' from='{THEM}'><error/></iq>".encode())
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
    assert peer.received[0].rpartition(b"<presence/>")[2] == b"</stream:stream>"


# ── polling and callbacks ────────────────────────────────────────────────────


def conversation(peer: Peer) -> None:
    come_online(peer, item(THEM, "both"))
    for number in range(150):
        peer.send(chat(f"{number}", id=f"m{number}"))
    peer.expect(b"149!</body></message>")
    close_stream(peer)


def polled(jabber: Client, clock: RealClock) -> None:
    for _ in range(20):
        for message in jabber.received_messages():
            jabber.send(message.reply(message.text + "!"))
        clock.wait(None, clock.time() + 3)


def by_callback(jabber: Client, clock: RealClock) -> None:
    @jabber.on_message
    def answer(message: Message) -> None:
        jabber.send(message.reply(message.text + "!"))

    jabber.wait(clock.time() + 60)


@pytest.mark.parametrize("bot", [polled, by_callback])
def test_polling_and_callbacks_see_the_same_messages(
    clock: JumpingClock, host: RecordingHost, bot: Callable[[Client, RealClock], None]
) -> None:
    with Peer(conversation) as peer, Client(peer.server(), clock, host) as jabber:
        bot(jabber, clock)
    answered = re.findall(rb"<body>([^<]*)</body>", peer.received[0])
    assert answered == [f"{number}!".encode() for number in range(150)]


def test_a_handler_that_raises_is_logged_and_the_others_are_called(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("one") + chat("two"))
        close_stream(peer)

    seen = []
    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:

        @jabber.on_message
        def fragile(message: Message) -> None:
            raise ZeroDivisionError(message.text)

        @jabber.on_message
        def sturdy(message: Message) -> None:
            seen.append(message.text)

        jabber.wait(clock.time() + 1)
    assert seen == ["one", "two"]
    assert [line for line in host.lines if "handler-failed" in line] == [
        "handler-failed handler=fragile trouble=ZeroDivisionError: one",
        "handler-failed handler=fragile trouble=ZeroDivisionError: two",
    ]


def test_a_handler_is_never_called_inside_itself(clock: JumpingClock, host: RecordingHost) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("one"))
        answer_query(peer, b"urn:x", sender="service.test")
        peer.send(chat("two") + chat("three"))
        answer_query(peer, b"urn:x", sender="service.test")
        answer_query(peer, b"urn:x", sender="service.test")
        close_stream(peer)

    seen: list[str] = []
    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:

        @jabber.on_message
        def slow(message: Message) -> None:
            seen.append("begins " + message.text)
            jabber.request(query())
            seen.append("ends " + message.text)

        jabber.wait(clock.time() + 1)
    assert seen == [
        word + number for number in ("one", "two", "three") for word in ("begins ", "ends ")
    ]


def test_a_handler_may_disconnect(clock: JumpingClock, host: RecordingHost) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("stop"))
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.on_message(lambda message: jabber.disconnect())
        jabber.wait()
        assert not jabber.connected
        assert jabber.received_messages() == []


def test_wait_ends_when_the_program_is_asked_to_stop(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer)
        peer.send(chat("one"))
        clock.stop()
        close_stream(peer)

    seen = []
    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.on_message(lambda message: seen.append(message.text))
        jabber.wait()
        assert jabber.connected
    assert seen == ["one"]


# ── any stanza ───────────────────────────────────────────────────────────────

_words = (
    "a subscribe subscribed unsubscribed unavailable error result get set push 00000001 remove "
    "both 2026-13-45T99:99:99Z -999999 20260101T00:00:00 example.test bot@example.test @ \u00ad@x"
)
_values = st.sampled_from(["", THEM, THEM + "/desk", "a b", "x" * 2000, *_words.split()])
_tags = st.sampled_from(
    [
        "message",
        "presence",
        "iq",
        "body",
        "show",
        "priority",
        "error",
        "{jabber:iq:roster}query",
        "{jabber:iq:roster}item",
        "{jabber:iq:roster}group",
        "{urn:xmpp:delay}delay",
        "{jabber:x:delay}x",
        "{urn:xmpp:ping}ping",
        "{urn:ietf:params:xml:ns:xmpp-stanzas}text",
        "{http://jabber.org/protocol/muc#user}x",
        "{urn:xmpp:carbons:2}received",
    ]
)
_attributes = st.sampled_from("from to id type stamp jid subscription ask ver".split())


def _odd_stanza(
    tag: str, attributes: dict[str, str], text: str | None, children: list[Element]
) -> Element:
    element = Element(tag if tag.startswith("{") else f"{{jabber:client}}{tag}", attributes)
    element.text = text
    element.extend(children)
    return element


def odd_stanzas(depth: int = 3) -> st.SearchStrategy[Element]:
    return st.builds(
        _odd_stanza,
        _tags,
        st.dictionaries(_attributes, _values),
        st.none() | _values,
        st.lists(odd_stanzas(depth - 1), max_size=3) if depth else st.builds(list),
    )


@pytest.mark.slow
@fewer()
@given(st.lists(odd_stanzas(), max_size=6))
def test_any_stanza_raises_only_errors_that_programs_expect(odd: list[Element]) -> None:
    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "both"))
        peer.send(b"".join(map(to_bytes, odd)))

    clock, host = RealClock(), RecordingHost()
    try:
        with Peer(script) as peer:
            jabber = Client(peer.server(), clock, host, accept_subscriptions=True)
            jabber.on_message(lambda message: jabber.send(message.reply("yes")))
            try:
                while jabber.connected:
                    jabber.wait(clock.time() + 0.005)
                jabber.received_messages()
                jabber.presence_updates()
                jabber.subscription_requests()
                jabber.new_subscriptions()
                dict(jabber.roster)
            except CommsError:
                pass
            jabber.disconnect()
    finally:
        clock.close()
    assert not any(
        "handler-failed" in line and "Unreachable" not in line and "Unknown" not in line
        for line in host.lines
    )


# ── one guard at every door ──────────────────────────────────────────────────


def test_what_is_too_long_is_refused_at_every_door_and_the_stream_stays(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "both"))
        peer.expect(b"still here</body>")
        close_stream(peer)

    long = "&" * 2_500
    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        doors: list[Callable[[], object]] = [
            lambda: jabber.send(stanzas.message(Jid.parse(THEM), long)),
            lambda: jabber.deliver(THEM, long),
            lambda: jabber.deliver(THEM, "x" * (10_000 - 70)),  # too long by its id only
            lambda: jabber.request(stanzas.iq("get", Element("{urn:x}x", {"a": long}))),
            lambda: jabber.status(text=long),
            lambda: jabber.add(THEM, long),
        ]
        for door in doors:
            with pytest.raises(ValueError, match="too long"):
                door()

        def lengthen(element: Element) -> Element:
            element.set("extra", long)
            return element

        jabber.outgoing.append(lengthen)
        with pytest.raises(ValueError, match="too long"):
            jabber.deliver(THEM, "short")
        jabber.outgoing.clear()
        assert jabber.deliver(THEM, "still here")
    assert b"&amp;" not in peer.received[0]


@pytest.mark.parametrize("poll", [True, False])
def test_a_message_of_ours_that_comes_back_reaches_the_program(
    clock: JumpingClock, host: RecordingHost, poll: bool
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer, item(THEM, "both"))
        id = re.findall(rb"id='([^']*)'", peer.expect(b"alert</body>"))[-1].decode()
        peer.send(
            f"<message from='{THEM}' type='error' id='{id}'><error type='cancel'><item-not-found "
            "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>".encode()
        )
        close_stream(peer)

    found: list[Message] = []
    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        if not poll:
            jabber.on_error(found.append)
        jabber.deliver(THEM, "alert")
        if poll:
            clock.wait(None, clock.time() + 1)
            found += jabber.returned_messages()
        else:
            jabber.wait(clock.time() + 1)
    assert [(str(error.sender), error.error) for error in found] == [(THEM, "item-not-found")]


def test_a_contact_list_of_twelve_thousand_is_complete(
    clock: JumpingClock, host: RecordingHost
) -> None:
    def script(peer: Peer) -> None:
        come_online(peer, *(item(f"c{number}@example.test", "both") for number in range(12_000)))
        peer.expect(b"to='c11999@example.test'", b"Hello</body>")
        close_stream(peer)

    with Peer(script) as peer, Client(peer.server(), clock, host) as jabber:
        assert len(jabber.roster) == 12_000
        assert jabber.deliver("c11999@example.test", "Hello", wait=0)
    assert host.lines == []

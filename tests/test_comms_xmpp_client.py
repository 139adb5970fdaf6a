"""The client, against a scripted server: what it hands out and what not, what it waits for, and how it comes back."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.clock import RealClock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.state import State
from comms.xmpp import Client, Jid, Message, Outbox, inbox, stanzas
from comms.xmpp.stream import to_bytes
from tests.scripted import Hasty, Notebook, Peer
from tests.test_comms_xmpp_session import BIND, SUCCESS, binds, error, logs_in, mechanisms, opens

ROSTER = "<query xmlns='jabber:iq:roster'>{}</query>"
THEM = "them@example.test"


def answers(peer: Peer, *needles: bytes, content: str = "", kind: str = "result", sender: str = "") -> bytes:
    """Answers the next query that holds these octets; gives what was read."""
    said = peer.reads(*needles, b"</iq>")
    id = re.findall(rb"<iq [^>]*id='([^']*)'", said)[-1].decode()
    by = f" from='{sender}'" if sender else ""
    peer.says(f"<iq type='{kind}' id='{id}'{by}>{content}</iq>".encode())
    return said


def arrives(peer: Peer, *items: str) -> None:
    """Login, the contact list, and the client's presence."""
    logs_in(peer)
    answers(peer, b"jabber:iq:roster", content=ROSTER.format("".join(items)))
    peer.reads(b"<presence/>")


def item(jid: str, subscription: str, more: str = "") -> str:
    return f"<item jid='{jid}' subscription='{subscription}' {more}/>"


def push(one: str, sender: str = "") -> bytes:
    by = f" from='{sender}'" if sender else ""
    return f"<iq type='set' id='push'{by}>{ROSTER.format(one)}</iq>".encode()


def chat(text: str, sender: str = THEM + "/desk", kind: str = "chat", more: str = "", id: str = "m") -> bytes:
    return f"<message from='{sender}' type='{kind}' id='{id}'><body>{text}</body>{more}</message>".encode()


def closes(peer: Peer) -> None:
    """The client's goodbye, answered."""
    peer.reads(b"</stream:stream>")
    peer.says(b"</stream:stream>")


@pytest.fixture
def clock() -> Iterator[Hasty]:
    one = Hasty()
    yield one
    one.close()


@pytest.fixture
def host() -> Notebook:
    return Notebook()


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


# ── delivering ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_to_who_has_authorised_us_goes_at_once(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer, item(THEM, "both"))
        peer.reads(b"Hello &amp; welcome</body></message></stream:stream>")

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.deliver(THEM, "Hello & welcome")
    assert b"subscribe" not in peer.said[0]


def test_who_has_not_authorised_us_is_asked_and_waited_for(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        answers(peer, b"<item jid='them@example.test'/>")
        peer.says(push(item(THEM, "none")))
        peer.reads(b"type='result'", b"<presence to='them@example.test' type='subscribe'/>")
        peer.says(push(item(THEM, "none", "ask='subscribe'")))
        peer.says(f"<presence from='{THEM}' type='subscribed'/>".encode())
        peer.says(push(item(THEM, "to")))
        peer.reads(b"Hello</body>")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.deliver(THEM, "Hello")
        assert [str(one.sender) for one in jabber.new_subscriptions()] == [THEM]
    assert peer.said[0].index(b"subscribe") < peer.said[0].index(b"Hello")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (f"<presence from='{THEM}' type='unsubscribed'/>", Refused, "has refused"),
        (
            f"<presence from='{THEM}' type='error'><error type='cancel'>"
            "<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>",
            Refused,
            "remote-server-not-found",
        ),
        (
            f"<presence from='{THEM}' type='error'><error type='wait'>"
            "<remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>",
            TryLater,
            "remote-server-timeout",
        ),
        ("<presence from='other@example.test' type='unsubscribed'/>", TryLater, "within 60 s; nothing was sent"),
        ("", TryLater, "within 60 s; nothing was sent"),
    ],
)
def test_who_does_not_authorise_us_gets_nothing(
    clock: Hasty, host: Notebook, answer: str, kind: type[CommsError], words: str
) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        answers(peer, b"<item jid='them@example.test'/>")
        peer.reads(b"type='subscribe'/>")
        peer.says(answer.encode())
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber, pytest.raises(kind, match=words):
        jabber.deliver(THEM, "Hello")
    assert b"Hello" not in peer.said[0]


def test_somebody_who_was_asked_before_is_not_asked_again(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer, item(THEM, "none", "ask='subscribe'"))
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber, pytest.raises(TryLater):
        jabber.deliver(THEM, "Hello", wait=1)
    assert b"type='subscribe'" not in peer.said[0]


def test_what_shall_go_later_is_stored_and_goes_when_it_may(clock: Hasty, host: Notebook, tmp_path: Path) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.reads(b"type='subscribe'/>")
        peer.says(push(item(THEM, "to")))
        peer.reads(b"Hello</body>")
        closes(peer)

    with State(tmp_path / "state") as state, Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        outbox = Outbox(state)
        assert not jabber.deliver(THEM, "Hello", later=outbox)
        assert outbox.waiting() == [(THEM, "Hello")]
        jabber.wait(clock.time() + 5)
        assert [(one.address, one.status) for one in outbox.flush(jabber, clock)] == [(THEM, "sent")]
        assert outbox.waiting() == outbox.unknown() == []
        assert outbox.flush(jabber, clock) == []
    assert peer.said[0].count(b"Hello") == 1


def test_what_was_being_sent_when_the_program_died_is_unknown_and_not_sent_again(
    clock: Hasty, host: Notebook, tmp_path: Path
) -> None:
    def play(peer: Peer) -> None:
        arrives(peer, item(THEM, "both"))
        closes(peer)

    with State(tmp_path / "state") as state:
        Outbox(state).put(THEM, "Hello", 0.0)
        with state.transaction() as db:  # as a kill in the middle leaves it
            db.execute("UPDATE xmpp_outbox SET status = 'sending', made = ?", (clock.time(),))
    with State(tmp_path / "state") as state, Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        outbox = Outbox(state)
        assert outbox.flush(jabber, clock) == []
        assert outbox.unknown() == [(THEM, "Hello")]
    assert b"Hello" not in peer.said[0]


def test_off_line_a_message_can_still_be_left_for_later(clock: Hasty, host: Notebook, tmp_path: Path) -> None:
    with State(tmp_path / "state") as state, Peer(lambda peer: arrives(peer, item(THEM, "both"))) as peer:
        outbox = Outbox(state)
        jabber = Client(peer.server(), clock, host)
        host.token = lambda length: "z" * length  # type: ignore[method-assign]
        while jabber.connected:
            jabber.wait(clock.time() + 1)
        assert not jabber.deliver(THEM, "Hello", later=outbox)
        assert outbox.waiting() == [(THEM, "Hello")]
        with pytest.raises(Unreachable, match="the next try is in"):
            jabber.deliver(THEM, "Hello")


@pytest.mark.parametrize(("to", "text"), [("a b@x.test", "x"), ("", "x"), (THEM, "x" * 10_000)])
def test_what_cannot_be_delivered_is_a_value_error(clock: Hasty, host: Notebook, to: str, text: str) -> None:
    with (
        Peer(arrives) as peer,
        Client(peer.server(), clock, host) as jabber,
        pytest.raises(ValueError, match=r"address|long"),
    ):
        jabber.deliver(to, text)


def test_what_was_sent_is_on_the_wire_before_the_close(clock: Hasty, host: Notebook) -> None:
    """A close with octets unread would be a reset, and a reset loses what the other side has not read yet."""

    def play(peer: Peer) -> None:
        arrives(peer, item(THEM, "both"))
        peer.says(chat("x" * 1000) * 200)
        peer.reads(b"number 499</body></message></stream:stream>")
        peer.says(chat("last") + b"</stream:stream>")

    with Peer(play) as peer:
        jabber = Client(peer.server(), clock, host)
        for number in range(500):
            jabber.send(stanzas.message(Jid.parse(THEM), f"number {number}"))
        jabber.disconnect()
        assert texts(jabber.received_messages())[-1] == "last"


# ── whom to obey ─────────────────────────────────────────────────────────────────────────────────────────────────

FORWARDED = (
    "<forwarded xmlns='urn:xmpp:forward:0'><message from='admin@example.test'><body>restart</body></message></forwarded>"
)
COPY = f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>"
ODD = [
    (chat("restart", kind="error"), "returned"),
    (chat("restart", kind="groupchat", sender="room@rooms.test/admin"), "of type groupchat"),
    (chat("restart", kind="headline"), "of type headline"),
    (chat("restart", sender="example.test"), "from a server"),
    (chat("restart", sender="example.test/announce"), "from a server"),
    (chat("restart").replace(b" from='them@example.test/desk'", b""), "our own account"),
    (chat("restart", sender="bot@example.test/other"), "our own account"),
    (chat("restart", sender="Bot@EXAMPLE.test"), "our own account"),
    (chat("restart", more="<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"), "stored before it came"),
    (chat("restart", more="<x xmlns='jabber:x:delay' stamp='20260101T00:00:00'/>"), "stored before it came"),
    (chat("restart", more="<x xmlns='http://jabber.org/protocol/muc#user'/>"), "from a room"),
    (chat("restart", sender="known@rooms.test/admin"), "from a room"),
    (chat("x", more=COPY), "a copy"),
    (chat("x", more=f"<sent xmlns='urn:xmpp:carbons:2'>{FORWARDED}</sent>"), "a copy"),
    (chat("x", more=FORWARDED), "a copy"),
    (chat("x", more=f"<result xmlns='urn:xmpp:mam:2'>{FORWARDED}</result>"), "a copy"),
    (chat("x", sender="bot@example.test", more=COPY), "own account"),
    (chat("restart", sender="a b@x.test"), "not a Jabber address"),
]  # fmt: skip


@pytest.mark.parametrize(("stanza", "words"), ODD, ids=lambda value: value if isinstance(value, str) else "")
def test_what_should_not_be_acted_on_is_logged_and_kept_back(
    clock: Hasty, host: Notebook, stanza: bytes, words: str
) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(b"<presence from='known@rooms.test/n'><x xmlns='http://jabber.org/protocol/muc#user'/></presence>")
        peer.says(stanza + chat("honest"))
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        assert texts(jabber.received_messages()) == ["honest"]
    assert [line for line in host.lines if words in line]
    assert peer.said[0].count(b"<message") == 0


@pytest.mark.parametrize(
    "stanza",
    [
        b"<message from='them@example.test/desk' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
        b"<message from='them@example.test/desk' type='chat'><body> \n</body></message>",
        b"<message from='them@example.test/desk' type='chat'><subject>restart</subject></message>",
        b"<message xmlns='urn:other' from='them@example.test/desk'><body>restart</body></message>",
        b"<presence from='them@example.test/desk'><status>restart</status></presence>",
        b"<stream:features/>",
        b"<r xmlns='urn:xmpp:sm:3'/>",
    ],
)
def test_what_says_nothing_is_passed_over_in_silence(clock: Hasty, host: Notebook, stanza: bytes) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(stanza)
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        assert jabber.received_messages() == []
    assert host.lines == []


def test_types_that_nobody_knows_are_normal_and_stored_messages_pass_when_asked_for(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("one", kind="telepathy"))
        peer.says(b"<message from='them@example.test'><body xml:lang='de'>zwei</body><body>two</body></message>")
        peer.says(chat("three", more="<thread>t1</thread><delay xmlns='urn:xmpp:delay' stamp='2026-01-05T00:00:00Z'/>"))
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host, delayed=True) as jabber:
        jabber.wait(clock.time() + 1)
        one, two, three = jabber.received_messages()
        assert (one.kind, one.text, two.kind, two.text) == ("normal", "one", "normal", "two")
        assert (three.text, three.delayed, three.at, three.thread) == ("three", True, 1767571200.0, "t1")
        answer = three.reply("four")
        assert (answer.get("to"), answer.get("type")) == ("them@example.test/desk", "chat")
        assert answer.findtext("{jabber:client}thread") == "t1"


# ── the contact list ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sender", ["", "bot@example.test"])
def test_our_own_account_changes_the_list(clock: Hasty, host: Notebook, sender: str) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(push(f"<item jid='{THEM}' name='Them' subscription='both'><group>G</group></item>", sender))
        assert b"id='push'" in peer.reads(b"type='result'", b"/>")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        contact = jabber.roster[THEM]
        assert (contact.name, contact.groups, contact.subscription, contact.seen) == ("Them", ("G",), "both", True)


@pytest.mark.parametrize(
    "sender", [THEM, "example.test", "bot@example.test/r1", "bot@evil.test", "mallory@example.test/bot"]
)
def test_nobody_else_changes_the_list(clock: Hasty, host: Notebook, sender: str) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(push(item("mallory@example.test", "both"), sender))
        peer.reads(b"type='error'", b"service-unavailable")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        assert not jabber.roster
        assert not jabber.subscribed_to("mallory@example.test")
    assert any("push-ignored" in line for line in host.lines)


def test_adding_and_removing_are_queries_and_their_errors_are_told(clock: Hasty, host: Notebook) -> None:
    unknown = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

    def play(peer: Peer) -> None:
        arrives(peer)
        said = answers(peer, b"jabber:iq:roster")
        assert b"<item jid='them@example.test' name='Them'><group>G</group></item>" in said
        peer.reads(b"<presence to='them@example.test' type='subscribe'/>")
        answers(peer, b"subscription='remove'", content=unknown, kind="error")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.add(THEM + "/desk", "Them", ["G", "G"])
        with pytest.raises(Refused, match="item-not-found"):
            jabber.remove("nobody@example.test")


def test_requests_are_closed_by_default_and_ours_to_answer(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        for who in ("one", "two", "two", "three"):
            peer.says(f"<presence from='{who}@x.test' type='subscribe'><status>please</status></presence>".encode())
        peer.says(b"<presence from='three@x.test' type='unsubscribe'/>")
        peer.reads(b"<presence to='one@x.test' type='subscribed'/>", b"<presence to='two@x.test' type='unsubscribed'/>")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
        requests = jabber.subscription_requests()
        assert [(str(one.sender), one.text) for one in requests] == [("one@x.test", "please"), ("two@x.test", "please")]
        assert jabber.subscription_requests() == []
        jabber.accept("one@x.test")
        jabber.deny("two@x.test")


def test_an_allow_list_lets_in_those_on_it(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(b"<presence from='mallory@x.test' type='subscribe'/><presence from='one@x.test' type='subscribe'/>")
        peer.reads(b"<presence to='one@x.test' type='subscribed'/>")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host, accept_subscriptions=["One@x.test"]) as jabber:
        jabber.wait(clock.time() + 1)
        assert [str(one.sender) for one in jabber.subscription_requests()] == ["mallory@x.test"]
        assert jabber.accept_subscriptions == ["one@x.test"]
        with pytest.raises(ValueError, match="not a Jabber address"):
            jabber.accept_subscriptions = ["a b"]
    assert peer.said[0].count(b"subscribed") == 1


def test_presence_is_told_once_a_contact_and_only_when_it_changed(clock: Hasty, host: Notebook) -> None:
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

    def play(peer: Peer) -> None:
        arrives(peer, item(THEM, "to"))
        for stanza in rounds:
            peer.says(stanza)
            peer.reads(b"<presence><show>")
        closes(peer)

    seen = []
    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        for _ in rounds:
            jabber.wait(clock.time() + 1)
            seen.append([(str(one.sender), one.show) for one in jabber.presence_updates()])
            jabber.status("chat")
    assert seen == [[(THEM, "away")], [(THEM, "dnd")], [], [], [(THEM, "available")], [(THEM, "unavailable")], []]


def test_an_unchanged_list_is_not_sent_again(clock: Hasty, host: Notebook) -> None:
    """Roster versioning (RFC 6121 §2.6) over a lost link."""

    def comes(peer: Peer, wanted: bytes, content: str) -> None:
        opens(peer, mechanisms("PLAIN"))
        peer.reads(b"</auth>")
        peer.says(SUCCESS)
        opens(peer, BIND, b"<ver xmlns='urn:xmpp:features:rosterver'/>")
        binds(peer)
        answers(peer, b"ver='" + wanted + b"'", content=content)
        peer.reads(b"<presence/>")

    def second(peer: Peer) -> None:
        comes(peer, b"v7", "")
        closes(peer)

    whole = f"<query xmlns='jabber:iq:roster' ver='v7'>{item(THEM, 'both')}</query>"
    with Peer(lambda peer: comes(peer, b"", whole), second) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 60)
        assert jabber.connected
        assert jabber.subscribed_to(THEM)


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────


def query(namespace: str = "urn:x") -> Element:
    return stanzas.iq("get", Element(f"{{{namespace}}}query"), Jid.parse("service.test"))


def test_only_who_was_asked_can_answer(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        said = peer.reads(b"urn:x", b"</iq>")
        id = re.findall(rb"<iq [^>]*id='([^']*)'", said)[-1].decode()
        for sender in ("mallory@service.test", "bot@example.test", "service.test.evil.test"):
            peer.says(f"<iq type='result' id='{id}' from='{sender}'><query xmlns='urn:x' forged='1'/></iq>".encode())
        peer.says(f"<iq type='result' id='{id}'/>".encode())
        peer.says(f"<iq type='result' id='{id}' from='service.test'><query xmlns='urn:x' true='1'/></iq>".encode())
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.request(query())[0].get("true") == "1"


def test_an_answer_that_never_comes_is_given_up_in_time(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.reads(b"urn:x")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber, pytest.raises(TryLater, match="within 2 s"):
        jabber.request(query())


def test_a_link_that_is_lost_before_the_answer_leaves_it_unknown(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.reads(b"urn:x")

    with Peer(play) as peer:
        jabber = Client(peer.server(), clock, host)
        with pytest.raises(Unknown, match="lost before the answer"):
            jabber.request(query())
        assert not jabber.connected


def test_queries_are_answered_by_the_program_or_refused(clock: Hasty, host: Notebook) -> None:
    def ask(peer: Peer, content: str, kind: str = "get") -> bytes:
        peer.says(f"<iq type='{kind}' id='q' from='{THEM}/desk'>{content}</iq>".encode())
        return peer.reads(b"<iq ", b"</iq>") if "ping" not in content else peer.reads(b"<iq ", b"/>")

    found = []

    def play(peer: Peer) -> None:
        arrives(peer)
        for content in (
            "<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='urn:known'/>", "<query xmlns='urn:unknown'/>",
            "<query xmlns='urn:broken'/>", "<a xmlns='urn:a'/><b xmlns='urn:b'/>", "", "<query xmlns='urn:forbidden'/>",
        ):  # fmt: skip
            found.append(ask(peer, content))
        closes(peer)

    def known(query: Element) -> Element:
        return Element("{urn:known}query", {"answer": "42"})

    def broken(query: Element) -> Element:
        raise RuntimeError("oh")

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.on_query("urn:known", known)
        jabber.on_query("urn:broken", broken)
        jabber.on_query("urn:forbidden", lambda query: stanzas.error(query, "forbidden", "auth"))
        jabber.wait(clock.time() + 1)
    words = [b"type='result'", b"answer='42'", b"service-unavailable", b"internal-server-error", b"bad-request",
             b"bad-request", b"forbidden"]  # fmt: skip
    assert all(word in said for word, said in zip(words, found, strict=True)), found
    assert all(b"id='q'" in said and b"to='them@example.test/desk'" in said for said in found)
    assert any("handler-failed handler=broken" in line for line in host.lines)


def test_answers_that_nobody_asked_for_are_never_answered(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        for kind in ("result", "error"):
            peer.says(f"<iq type='{kind}' id='q' from='{THEM}'><error/></iq>".encode())
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.wait(clock.time() + 1)
    assert peer.said[0].rpartition(b"<presence/>")[2] == b"</stream:stream>"


# ── polled and by callback ───────────────────────────────────────────────────────────────────────────────────────


def conversation(peer: Peer) -> None:
    arrives(peer, item(THEM, "both"))
    for number in range(150):
        peer.says(chat(f"{number}", id=f"m{number}"))
    peer.reads(b"149!</body></message>")
    closes(peer)


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
def test_a_bot_gives_the_same_answers_polled_and_by_callback(
    clock: Hasty, host: Notebook, bot: Callable[[Client, RealClock], None]
) -> None:
    with Peer(conversation) as peer, Client(peer.server(), clock, host) as jabber:
        bot(jabber, clock)
    answered = re.findall(rb"<body>([^<]*)</body>", peer.said[0])
    assert answered == [f"{number}!".encode() for number in range(150)]


def test_a_handler_that_raises_is_reported_and_the_rest_goes_on(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("one") + chat("two"))
        closes(peer)

    seen = []
    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:

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


def test_a_handler_is_never_called_within_itself(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("one"))
        answers(peer, b"urn:x", sender="service.test")
        peer.says(chat("two") + chat("three"))
        answers(peer, b"urn:x", sender="service.test")
        answers(peer, b"urn:x", sender="service.test")
        closes(peer)

    seen: list[str] = []
    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:

        @jabber.on_message
        def slow(message: Message) -> None:
            seen.append("begins " + message.text)
            jabber.request(query())
            seen.append("ends " + message.text)

        jabber.wait(clock.time() + 1)
    assert seen == [word + number for number in ("one", "two", "three") for word in ("begins ", "ends ")]


def test_a_handler_may_leave(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("stop"))
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.on_message(lambda message: jabber.disconnect())
        jabber.wait()
        assert not jabber.connected
        assert jabber.received_messages() == []


def test_waiting_ends_when_the_program_is_asked_to_stop(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("one"))
        clock.stop()
        closes(peer)

    seen = []
    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.on_message(lambda message: seen.append(message.text))
        jabber.wait()
        assert jabber.connected
    assert seen == ["one"]


def test_a_burst_that_nobody_takes_waits_outside(clock: Hasty, host: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "HELD", 20_000)

    def play(peer: Peer) -> None:
        arrives(peer)
        for number in range(100):
            peer.says(chat(f"{number}"))
        peer.reads(b"<presence><show>")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        clock.wait(None, clock.time() + 1)
        rounds = []
        while taken := texts(jabber.received_messages()):
            rounds.append(taken)
        jabber.status("away")
    assert [text for taken in rounds for text in taken] == [str(number) for number in range(100)]
    assert max(map(len, rounds)) < 25


def test_a_burst_while_an_answer_is_awaited_is_an_error_before_it_fills_the_memory(
    clock: Hasty, host: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "HELD", 20_000)

    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("flood") * 200)
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        with pytest.raises(TryLater, match="too many messages"):
            jabber.request(query())
        assert len(jabber.received_messages()) > 20


def test_waiting_with_no_room_for_more_ends_in_time(clock: Hasty, host: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "HELD", 20_000)

    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("flood") * 200)
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        began = clock.time()
        jabber.wait(began + 100)
        assert clock.time() - began >= 100
        assert 10 < len(jabber.received_messages()) < 30


def test_a_flood_of_anything_keeps_no_question_waiting_for_ever(host: Notebook) -> None:
    flooding = threading.Event()
    real = RealClock()

    def play(peer: Peer) -> None:
        arrives(peer)
        peer.reads(b"urn:x")
        with contextlib.suppress(OSError):
            while not flooding.is_set():
                peer.says(b"<presence from='a@x.test/r'/>" * 100)
        peer.link.close()

    try:
        with Peer(play) as peer:
            jabber = Client(peer.server(timeout=0.5), real, host)
            began = real.time()
            with pytest.raises(TryLater, match=r"no answer within 0\.5 s"):
                jabber.request(query())
            assert real.time() - began < 3
            jabber.received_messages()
            assert real.time() - began < 6
            flooding.set()
            jabber.disconnect()
    finally:
        flooding.set()
        real.close()


# ── filters ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_filters_pass_change_and_drop_in_order(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("spam") + chat("ham"))
        peer.reads(b"HAM, masked</body>")
        closes(peer)

    def no_spam(element: Element) -> Element | None:
        return None if b"spam" in to_bytes(element) else element

    def louder(element: Element) -> Element:
        for body in element.iter("{jabber:client}body"):
            body.text = (body.text or "").upper()
        return element

    def masked(element: Element) -> Element:
        for body in element.iter("{jabber:client}body"):
            body.text = (body.text or "").replace("secret", "masked")
        return element

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.incoming += [no_spam, louder]
        jabber.outgoing.append(masked)
        jabber.on_message(lambda message: jabber.send(message.reply(message.text + ", secret")))
        jabber.wait(clock.time() + 1)
    assert b"SPAM" not in peer.said[0]


def test_a_filter_that_raises_drops_the_stanza_and_the_stream_lives(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("bad") + chat("good"))
        closes(peer)

    def picky(element: Element) -> Element:
        if element.findtext("{jabber:client}body") == "bad":
            raise LookupError("bad")
        return element

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.incoming.append(picky)
        jabber.wait(clock.time() + 1)
        assert texts(jabber.received_messages()) == ["good"]
    assert any("handler=picky" in line for line in host.lines)


# ── the link ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lost_link_is_found_again_and_nothing_is_sent_twice(clock: Hasty, host: Notebook) -> None:
    def first(peer: Peer) -> None:
        arrives(peer, item(THEM, "both"))
        peer.says(f"<presence from='{THEM}/desk'/>".encode() + chat("one"))
        peer.reads(b"one!</body></message>")

    def second(peer: Peer) -> None:
        logs_in(peer)
        answers(peer, b"jabber:iq:roster", content=ROSTER.format(item(THEM, "both")))
        peer.reads(b"<presence><show>away</show></presence>")
        peer.says(chat("two"))
        peer.reads(b"two!</body></message>")
        closes(peer)

    seen = []
    with Peer(first, second) as peer, Client(peer.server(), clock, host) as jabber:
        jabber._status = stanzas.presence()
        jabber.on_presence(lambda presence: seen.append(presence.show))

        @jabber.on_message
        def answer(message: Message) -> None:
            jabber.send(message.reply(message.text + "!"))
            jabber._status = stanzas.presence(show="away")

        jabber.wait(clock.time() + 100)
        assert jabber.connected
    assert [re.findall(rb"<body>([^<]*)</body>", said) for said in peer.said] == [[b"one!"], [b"two!"]]
    assert seen == ["available", "unavailable"]
    assert [line.split()[0] for line in host.lines] == ["jabber-off-line", "jabber-on-line"]


def test_the_pauses_grow_and_hold_chance(clock: Hasty, host: Notebook) -> None:
    with Peer(arrives) as peer:
        jabber = Client(peer.server(), clock, host)
        tokens = iter(["zzzz", "0000", *["zzzz"] * 6])
        host.token = lambda length: next(tokens) if length == 4 else "1" * length  # type: ignore[method-assign]
        jabber.wait(clock.time() + 1500)
    pauses = [line.rpartition("again=")[2] for line in host.lines]
    assert pauses[:7] == ["30s", "0s", "120s", "240s", "480s", "600s", "600s"]
    assert not jabber.connected


def test_a_polled_client_comes_back_when_it_is_time(clock: Hasty, host: Notebook) -> None:
    def second(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("after"))
        closes(peer)

    with Peer(arrives, second) as peer, Client(peer.server(), clock, host) as jabber:
        seen = []
        for _ in range(20):
            seen += texts(jabber.received_messages())
            clock.wait(None, clock.time() + 3)
        assert seen == ["after"]


@pytest.mark.parametrize("condition", ["conflict", "not-authorized", "host-gone"])
def test_a_final_stream_error_is_raised_and_not_argued_with(clock: Hasty, host: Notebook, condition: str) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        peer.says(chat("before") + error(condition))

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        clock.wait(None, clock.time() + 1)
        assert texts(jabber.received_messages()) == ["before"]
        with pytest.raises(Refused, match=condition):
            jabber.received_messages()
        with pytest.raises(Refused, match=condition):
            jabber.wait(clock.time() + 100)
        with pytest.raises(Refused, match=condition):
            jabber.deliver(THEM, "Hello")
    assert len(peer.said) == 1


def test_a_login_that_is_refused_on_coming_back_is_the_end(clock: Hasty, host: Notebook) -> None:
    def second(peer: Peer) -> None:
        opens(peer, mechanisms("PLAIN"))
        peer.reads(b"</auth>")
        peer.says(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/></failure>")

    with Peer(arrives, second) as peer:
        jabber = Client(peer.server(), clock, host)
        with pytest.raises(Refused, match="account-disabled"):
            jabber.wait(clock.time() + 100)


def test_a_server_that_has_fallen_silent_is_asked_and_then_left(clock: Hasty, host: Notebook) -> None:
    silent = threading.Event()

    def play(peer: Peer) -> None:
        arrives(peer)
        said = peer.reads(b"urn:xmpp:ping", b"</iq>")
        peer.says(b"<iq type='result' id='" + re.findall(rb"id='([^']*)'", said)[-1] + b"' from='example.test'/>")
        peer.reads(b"urn:xmpp:ping", b"</iq>")
        peer.falls_silent(silent)

    def second(peer: Peer) -> None:
        arrives(peer)
        closes(peer)

    with Peer(play, second) as peer, Client(peer.server(), clock, host) as jabber:
        host.token = lambda length: "z" * length  # type: ignore[method-assign]
        began = clock.time()
        while not host.lines:
            jabber.wait(clock.time() + 30)
        assert 360 <= clock.time() - began < 400
        silent.set()
        jabber.wait(clock.time() + 60)
        assert jabber.connected, host.lines
    assert "the server has said nothing for 18" in host.lines[0]


def test_who_looks_but_seldom_does_not_take_a_late_answer_for_none(clock: Hasty, host: Notebook) -> None:
    """The server answers our asking at once; we look again only after the time in which it should."""

    def play(peer: Peer) -> None:
        arrives(peer)
        for _ in range(2):
            said = peer.reads(b"urn:xmpp:ping", b"</iq>")
            peer.says(b"<iq type='result' id='" + re.findall(rb"id='([^']*)'", said)[-1] + b"'/>")
        closes(peer)

    with Peer(play) as peer, Client(peer.server(), clock, host) as jabber:
        for _ in range(4):
            jabber.received_messages()
            clock.wait(None, clock.time() + 300)
        assert jabber.connected
    assert host.lines == []


def test_a_login_that_is_cut_before_anything_happened_is_unreachable(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        logs_in(peer)
        peer.reads(b"jabber:iq:roster", b"</iq>")

    with Peer(play) as peer, pytest.raises(Unreachable, match="hung up"):
        Client(peer.server(), clock, host)

    def refused(peer: Peer) -> None:
        logs_in(peer)
        peer.reads(b"jabber:iq:roster", b"</iq>")
        peer.says(error("conflict"))

    with Peer(refused) as peer, pytest.raises(Refused, match="conflict"):
        Client(peer.server(), clock, host)


def test_a_link_lost_while_waiting_for_authorisation_is_found_again_and_the_wait_goes_on(
    clock: Hasty, host: Notebook
) -> None:
    def first(peer: Peer) -> None:
        arrives(peer)
        answers(peer, b"<item jid='them@example.test'/>")
        peer.reads(b"type='subscribe'/>")

    def second(peer: Peer) -> None:
        arrives(peer, item(THEM, "to"))
        peer.reads(b"Hello</body>")
        closes(peer)

    with Peer(first, second) as peer, Client(peer.server(), clock, host) as jabber:
        assert jabber.deliver(THEM, "Hello", wait=300)


def test_leaving_and_coming_back_by_hand(clock: Hasty, host: Notebook) -> None:
    def play(peer: Peer) -> None:
        arrives(peer)
        closes(peer)

    with Peer(play, play) as peer, Client(peer.server(), clock, host) as jabber:
        jabber.disconnect()
        with pytest.raises(Unreachable, match="we have left"):
            jabber.send(stanzas.presence())
        jabber.reconnect()
        assert jabber.connected


def test_a_server_that_cannot_be_reached_at_first_is_the_callers_to_know(clock: Hasty, host: Notebook) -> None:
    with Peer() as peer:
        pass
    with pytest.raises(Unreachable):
        Client(peer.server(), clock, host)


# ── anything at all ──────────────────────────────────────────────────────────────────────────────────────────────

_values = st.sampled_from([
    "", "a", THEM, THEM + "/desk", "example.test", "bot@example.test", "a b", "@", "\u00ad@x", "subscribe", "subscribed",
    "unsubscribed", "unavailable", "error", "result", "get", "set", "push", "00000001", "2026-13-45T99:99:99Z", "-999999",
    "20260101T00:00:00", "remove", "both", "x" * 2000,
])  # fmt: skip
_tags = st.sampled_from([
    "message", "presence", "iq", "body", "show", "priority", "error", "{jabber:iq:roster}query", "{jabber:iq:roster}item",
    "{jabber:iq:roster}group", "{urn:xmpp:delay}delay", "{jabber:x:delay}x", "{urn:xmpp:ping}ping",
    "{urn:ietf:params:xml:ns:xmpp-stanzas}text", "{http://jabber.org/protocol/muc#user}x", "{urn:xmpp:carbons:2}received",
])  # fmt: skip


@st.composite
def odd_stanzas(draw: st.DrawFn, depth: int = 3) -> Element:
    tag = draw(_tags)
    element = Element(tag if tag.startswith("{") else f"{{jabber:client}}{tag}")
    for key in draw(st.sets(st.sampled_from(["from", "to", "id", "type", "stamp", "jid", "subscription", "ask", "ver"]))):
        element.set(key, draw(_values))
    element.text = draw(st.none() | _values)
    element.extend(draw(st.lists(odd_stanzas(depth - 1), max_size=3)) if depth else [])
    return element


@given(st.lists(odd_stanzas(), max_size=6))
def test_no_stanza_however_odd_raises_anything_but_what_programs_expect(odd: list[Element]) -> None:
    def play(peer: Peer) -> None:
        arrives(peer, item(THEM, "both"))
        peer.says(b"".join(map(to_bytes, odd)))

    clock, host = RealClock(), Notebook()
    try:
        with Peer(play) as peer:
            jabber = Client(peer.server(), clock, host, accept_subscriptions=True)
            jabber.on_message(lambda message: jabber.send(message.reply("yes")))
            try:
                while jabber.connected:
                    jabber.wait(clock.time() + 0.02)
                jabber.received_messages(), jabber.presence_updates(), jabber.subscription_requests()
                jabber.new_subscriptions(), dict(jabber.roster)
            except CommsError:
                pass
            jabber.disconnect()
    finally:
        clock.close()
    assert not any("handler-failed" in line and "Unreachable" not in line and "Unknown" not in line for line in host.lines)


def test_values_read_from_elements_are_the_stanzas_own() -> None:
    element = fromstring(
        b"<presence xmlns='jabber:client' from='a@x.test/r'><show>xa</show><priority>-5</priority></presence>"
    )
    presence: Any = stanzas.read_presence(element)
    assert (presence.show, presence.priority, presence.kind) == ("xa", -5, "")

"""The registration and the login of comms.irc, with servers that a test writes line by line."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.irc.client import _UNDELIVERED
from comms.irc.session import LONGEST, Session
from tests.irc_peer import send, server, welcome, with_capabilities, without_capabilities
from tests.scripted import JumpingClock, Peer, RecordingHost


@pytest.fixture
def clock() -> Iterator[JumpingClock]:
    clock = JumpingClock()
    yield clock
    clock.close()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comms.link.GOODBYE", 0.1)
    monkeypatch.setattr("comms.irc.session.GOODBYE", 0.1)


Script = Callable[[Peer], object]


@contextmanager
def online(clock: JumpingClock, script: Script, **changes: object) -> Iterator[Session]:
    """A session after its registration."""
    with Peer(script) as peer:
        session = Session(server(peer, **changes), clock, RecordingHost())
        try:
            session.register()
            yield session
        finally:
            session.close()


def registered(clock: JumpingClock, script: Script, **changes: object) -> tuple[Session, bytes]:
    """Registers, and returns the session after its end, with what the server has received."""
    with Peer(script) as peer:
        session = Session(server(peer, **changes), clock, RecordingHost())
        try:
            session.register()
        finally:
            session.close()
    return session, peer.received[0]


def test_the_registration_with_an_old_server(clock: JumpingClock) -> None:
    session, received = registered(clock, without_capabilities(), server_password="open it")
    assert received.startswith(b"PASS :open it\r\nCAP LS 302\r\nNICK bot\r\nUSER bot 0 * :bot\r\n")
    assert (session.nick, session.user, session.user_host) == ("bot", "~b", "host.test")
    assert session.overhead == len(":bot!~b@host.test ")


def test_only_known_capabilities_are_asked_for(clock: JumpingClock) -> None:
    def in_order(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s CAP * LS * :batch new/thing sasl=PLAIN", ":s CAP * LS :server-time")
        peer.expect(b"CAP REQ :batch server-time\r\n")
        send(peer, ":s CAP bot NAK :batch server-time")
        peer.expect(b"CAP END\r\n")
        welcome(peer)

    session, _ = registered(clock, in_order)
    assert session.capabilities == set()


def test_an_acknowledgement_of_several_lines_begins_one_login(clock: JumpingClock) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s CAP * LS :batch server-time sasl=PLAIN")
        peer.expect(b"CAP REQ :batch sasl server-time\r\n")
        send(peer, ":s CAP bot ACK * :batch", ":s CAP bot ACK :sasl", ":s CAP bot ACK :server-time")
        peer.expect(b"AUTHENTICATE PLAIN\r\n")
        send(peer, "AUTHENTICATE +")
        peer.expect(b"AUTHENTICATE ")
        send(peer, ":s 903 bot :in")
        peer.expect(b"CAP END\r\n")
        welcome(peer)

    session, received = registered(clock, script, password="secret", auth="plain")
    assert session.capabilities == {"batch", "sasl", "server-time"}
    assert received.count(b"AUTHENTICATE PLAIN") == received.count(b"CAP END") == 1


def test_a_message_of_the_day_may_be_long(clock: JumpingClock) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s 001 bot :Hi", *[f":s 372 bot :- {'x' * 400}"] * 200, "PING :a")
        send(peer, *[f":s 372 bot :- {'x' * 400}"] * 200, ":s 376 bot :End")

    session, _ = registered(clock, script)
    assert len(session.inbox) == 401


def test_a_server_that_refuses_every_nick_is_given_up(
    clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comms.irc.session.WELCOME", 1000)

    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        for _ in range(50):  # 1000 bytes
            send(peer, ":s 433 * x :in use")
            peer.expect(b"NICK ", b"\r\n")
        send(peer, ":s 433 * x :in use")

    with pytest.raises(Unreachable, match="sends more than 1000 bytes before it lets us in"):
        registered(clock, script)


def test_a_ping_is_answered_in_the_registration(clock: JumpingClock) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, "PING :cookie 1")
        peer.expect(b"PONG :cookie 1\r\n")
        welcome(peer)

    session, _ = registered(clock, script)
    assert session.nick == "bot"


def test_another_nick_is_taken_if_ours_is_in_use(clock: JumpingClock) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        for nick, numeric in (("bot", "433"), ("bot_", "437"), ("bot__", "432")):
            send(peer, f":s {numeric} * {nick} :in use")
            peer.expect(b"NICK ")
        peer.expect(b"\r\n")
        welcome(peer, nick="bot0001")

    session, received = registered(clock, script)
    assert b"NICK bot_\r\nNICK bot__\r\nNICK bot0001\r\n" in received
    assert session.nick == "bot0001"


@pytest.mark.parametrize(
    ("lines", "error", "text"),
    [
        ([":s 432 * bot :Bad nick"], Refused, "the nick is not valid there: Bad nick"),
        ([":s 464 * :No"], Refused, "the password of the server is wrong"),
        ([":s 465 bot :Go away"], Refused, "we are banned: Go away"),
        (["ERROR :Closing link [Throttled]"], Unreachable, "Throttled"),
        (["ERROR :pass hunter2 is odd"], Unreachable, "pass … is odd"),
        (["ERROR :Access denied: Bad password?"], Refused, "Access denied: Bad password?"),
        (["ERROR :Closing link: (bot@h) [Z-Lined]"], Refused, "Z-Lined"),
        ([":s 001 bot :Hi"], Refused, "offers no login"),
        ([":s 421 bot CAP :Unknown"], Refused, "offers no login"),
        ([":s CAP * LS :batch"], Refused, "offers no login"),
        ([":s CAP * LS :sasl=PLAIN"], Refused, "offers these logins: PLAIN; none is ours; PLAIN"),
    ],
)
def test_a_refusal_is_an_error_and_nothing_goes_on_without_the_account(
    clock: JumpingClock, lines: list[str], error: type[CommsError], text: str
) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, *lines)
        if "sasl" in lines[0]:
            peer.expect(b"CAP REQ :sasl\r\n")
            send(peer, ":s CAP bot ACK :sasl")
        peer.read_to_end()

    with pytest.raises(error) as caught:
        registered(clock, script, password="hunter2")
    assert text in str(caught.value) and "hunter2" not in str(caught.value)


def login(*answers: str, offer: str = "sasl") -> Script:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, f":s CAP * LS :{offer}")
        peer.expect(b"CAP REQ :sasl\r\n")
        send(peer, ":s CAP bot ACK :sasl")
        for answer in answers:
            peer.expect(b"AUTHENTICATE ")
            peer.expect(b"\r\n")
            send(peer, *answer.split("|"))
        peer.expect(b"CAP END\r\n")
        welcome(peer)

    return script


def test_plain_is_used_in_clear_only_if_the_settings_say_so(clock: JumpingClock) -> None:
    script = login("AUTHENTICATE +", ":s 900 bot bot!b@c ops :in|:s 903 bot :ok")
    session, received = registered(clock, script, password="x", auth="plain", user="ops")
    assert b"AUTHENTICATE " + base64.b64encode(b"\0ops\0x") + b"\r\n" in received
    assert session.account == "ops"


def test_a_long_response_is_sent_in_chunks(clock: JumpingClock) -> None:
    password = "x" * (300 - len("\0bot\0"))
    chunks = login("AUTHENTICATE +", "", ":s 903 bot :ok")
    _, received = registered(clock, chunks, password=password, auth="plain")
    encoded = base64.b64encode(f"\0bot\0{password}".encode())
    assert len(encoded) == 400
    assert b"AUTHENTICATE " + encoded + b"\r\nAUTHENTICATE +\r\n" in received


def test_external_sends_an_empty_response(clock: JumpingClock) -> None:
    script = login("AUTHENTICATE +", ":s 903 bot :ok", offer="sasl=EXTERNAL")
    _, received = registered(clock, script, auth="external")
    assert b"AUTHENTICATE EXTERNAL\r\nAUTHENTICATE +\r\n" in received


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([":s 904 bot :Failed"], "refuses the login: 904 Failed"),
        ([":s 902 bot :Locked"], "refuses the login: 902 Locked"),
        ([":s 905 bot :Long"], "refuses the login: 905 Long"),
        ([":s 908 bot EXTERNAL,OTHER :are available|:s 904 bot :No"], "these logins: EXTERNAL, OT"),
        (["AUTHENTICATE +", ":s 903 bot :ok"], "never proved that it knows the password"),
        (["AUTHENTICATE !"], "is not base64"),
        (["AUTHENTICATE aGVsbG8="], "the server speaks first"),
        (["|".join(["AUTHENTICATE " + "A" * 400] * 60)], "the challenge is too long"),
    ],
)
def test_a_login_that_fails_is_refused(clock: JumpingClock, answers: list[str], text: str) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s CAP * LS :sasl")
        peer.expect(b"CAP REQ :sasl\r\n")
        send(peer, ":s CAP bot ACK :sasl")
        for answer in answers:
            peer.expect(b"AUTHENTICATE ")
            peer.expect(b"\r\n")
            send(peer, *answer.split("|"))
        peer.read_to_end()

    with pytest.raises(Refused, match=text):
        registered(clock, script, password="x")


def test_the_next_mechanism_is_tried_if_the_server_names_it(clock: JumpingClock) -> None:
    answers = (":s 908 bot PLAIN :are available|:s 904 bot :No", "AUTHENTICATE +", ":s 903 bot :ok")
    with Peer(login(*answers)) as peer:
        settings = server(peer, password="x", user="ops")
        session = Session(settings, clock, RecordingHost())
        # As inside TLS, where both mechanisms are allowed.
        object.__setattr__(settings, "tls", "implicit")
        session.register()
        session.close()
    assert b"AUTHENTICATE SCRAM-SHA-256\r\nAUTHENTICATE PLAIN\r\n" in peer.received[0]


# ── lines, and what was sent ─────────────────────────────────────────────────


def confirmed(clock: JumpingClock, script: Script, *commands: str) -> Session:
    with online(clock, script) as session:
        session.confirm(list(commands), frozenset({"404"}))
    return session


def test_a_message_is_known_to_be_handled_by_the_ping_after_it(clock: JumpingClock) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"PRIVMSG #a :x\r\nPING :00000001\r\n")
        send(peer, ":ann!a@b PRIVMSG #a :other", ":s PONG s :00000001")

    session = confirmed(clock, without_capabilities(answer), "PRIVMSG #a :x")
    assert "PRIVMSG #a other" in map(str, session.inbox)


def test_a_refused_message_is_an_error(clock: JumpingClock) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        send(peer, ":s 404 bot #a :Cannot send", ":s PONG s :00000001")

    with pytest.raises(Refused, match="404 #a Cannot send"):
        confirmed(clock, without_capabilities(answer), "PRIVMSG #a :x")


@pytest.mark.parametrize(
    ("messages", "error"), [(["PRIVMSG #a :x"], TryLater), (["PRIVMSG #a :x"] * 2, Unknown)]
)
def test_a_message_that_comes_too_fast_may_be_sent_later(
    clock: JumpingClock, messages: list[str], error: type[CommsError]
) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        send(peer, ":s 707 bot #a :Dropped", ":s PONG s :00000001")

    with (
        online(clock, without_capabilities(answer)) as session,
        pytest.raises(error, match="707 #a Dropped"),
    ):
        session.confirm(messages, _UNDELIVERED)


def test_a_message_is_known_by_its_label(clock: JumpingClock) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"@label=00000001 PRIVMSG #a :x\r\n@label=00000002 PRIVMSG #a :y\r\n")
        send(peer, "@label=00000002 :s ACK", "@label=00000001 :bot!~b@host.test PRIVMSG #a :x")

    script = with_capabilities("batch labeled-response", answer)
    session = confirmed(clock, script, "PRIVMSG #a :x", "PRIVMSG #a :y")
    assert session.capabilities == {"batch", "labeled-response"}


@pytest.mark.parametrize("hangs_up", [True, False])
def test_without_an_answer_it_is_unknown_whether_it_has_arrived(
    clock: JumpingClock, hangs_up: bool
) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"PRIVMSG #a :x\r\n")
        if hangs_up:
            peer.hang_up()

    with pytest.raises(Unknown, match="may have arrived or not"):
        confirmed(clock, without_capabilities(answer), "PRIVMSG #a :x")


def test_a_stop_leaves_two_seconds_for_an_answer(clock: JumpingClock) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        clock.stop()
        send(peer, ":s NOTICE bot :slow", ":s PONG s :00000001")
        peer.expect(b"PING :00000002\r\n")

    with online(clock, without_capabilities(answer), timeout=30.0) as session:
        session.confirm(["PRIVMSG #a :x"], _UNDELIVERED)
        before = clock.monotonic()
        with pytest.raises(Unknown, match="does not answer"):
            session.confirm(["PRIVMSG #a :x"], _UNDELIVERED)
        assert 1.9 < clock.monotonic() - before < 4


def test_five_lines_go_at_once_and_then_one_in_two_seconds(clock: JumpingClock) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        send(peer, ":s PONG s :00000001")

    with online(clock, without_capabilities(answer), timeout=30.0) as session:
        before = clock.monotonic()
        session.confirm([f"PRIVMSG #a :{number}" for number in range(8)], frozenset())
        assert 5.9 < clock.monotonic() - before < 7
        session.wait_for_turn(15)
        with pytest.raises(TryLater, match="16 lines would have to wait for 3"):
            session.wait_for_turn(16)
        with pytest.raises(ValueError, match="21 lines, which would take too long"):
            session.wait_for_turn(21)
        clock.stop()
        session.wait_for_turn(1)
        with pytest.raises(TryLater, match="asked to stop"):
            session.wait_for_turn(2)


def test_a_silent_server_is_asked_and_then_given_up(clock: JumpingClock) -> None:
    def answer(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        send(peer, ":s PONG s :00000001")
        peer.expect(b"PING :00000002\r\n")

    with online(clock, without_capabilities(answer)) as session:
        before = clock.monotonic()
        while (line := session.next(before + 1000)) is not None and line.verb != "PONG":
            pass
        assert 89 < clock.monotonic() - before < 92
        with pytest.raises(Unreachable, match="has been silent for 120 s"):
            session.next(before + 1000)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"x" * (LONGEST + 1), "a line of more than"),
        (b"ERROR :Ping timeout\r\n", "Ping timeout"),
        (b"", "hung up"),
    ],
)
def test_what_ends_a_connection(clock: JumpingClock, sent: bytes, text: str) -> None:
    def answer(peer: Peer) -> None:
        peer.send(sent)
        peer.hang_up()

    with online(clock, without_capabilities(answer)) as session:
        session.inbox.clear()
        with pytest.raises(Unreachable, match=text):
            session.next(clock.monotonic() + 10)


@pytest.mark.parametrize("line", ["a\r\nb", "a\nb", "a\0b"])
def test_a_command_is_one_line(clock: JumpingClock, line: str) -> None:
    with online(clock, without_capabilities()) as session:
        with pytest.raises(ValueError, match="one line"):
            session.send(line)


@pytest.mark.parametrize(
    "noise", [b"\r\n\r\n", b":s\r\n", b"@a\r\n", b":s 999\r\n", b"\xff\xfe\r\n", b"001\r\n"[:0]]
)
def test_noise_in_the_registration_is_ignored(clock: JumpingClock, noise: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        peer.send(noise)
        welcome(peer)

    session, _ = registered(clock, script)
    assert session.nick == "bot"

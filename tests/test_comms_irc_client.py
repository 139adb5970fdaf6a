"""The IRC client of a bot: whom it hears and trusts, what it answers, and how it comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from comms.errors import Refused, Unreachable
from comms.irc import Client, Message
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
    monkeypatch.setattr("comms.irc.client.FIRST_PAUSE", 0.01)


Script = Callable[[Peer], object]


@contextmanager
def online(clock: JumpingClock, *scripts: Script, **changes: Any) -> Iterator[tuple[Client, Peer]]:
    with Peer(*scripts) as peer, Client(server(peer, **changes), clock, RecordingHost()) as client:
        client.connect()
        yield client, peer


def heard(
    clock: JumpingClock, *lines: str, capabilities: str = "", tokens: tuple[str, ...] = ()
) -> list[Message]:
    """Returns the messages that a program gets when a server sends these lines."""

    def talk(peer: Peer) -> None:
        send(peer, *lines)

    found: list[Message] = []
    script = without_capabilities(talk)
    if capabilities:
        script = with_capabilities(capabilities, talk, tokens=tokens)
    with online(clock, script) as (client, _):
        client.on_message(found.append)
        client.wait(0.05)
    return found


IN_A = (":bot!~b@host.test JOIN #a", ":s 353 bot = #a :@ann +old bot", ":s 366 bot #a :End")


def test_messages_are_heard_in_channels_and_in_private(clock: JumpingClock) -> None:
    found = heard(
        clock,
        *IN_A,
        ":ann!a@b PRIVMSG #a :\x02hi\x02 there",
        ":ann!a@b PRIVMSG BOT word",
        ":ann!a@b PRIVMSG #a :\x01ACTION waves\x01",
        ":ann!a@b PRIVMSG @#a :to operators",
    )
    assert [(one.nick, one.channel, one.where, one.text, one.is_action) for one in found] == [
        ("ann", "#a", "#a", "hi there", False),
        ("ann", "", "ann", "word", False),
        ("ann", "#a", "#a", "waves", True),
        ("ann", "#a", "#a", "to operators", False),
    ]


def test_a_sign_that_begins_a_channel_may_be_that_of_a_member_too(clock: JumpingClock) -> None:
    # As on ngircd.
    found = heard(
        clock,
        ":bot!~b@host.test JOIN &a",
        ":ann!a@b PRIVMSG &a :local",
        ":ann!a@b PRIVMSG @&a :to operators",
        ":ann!a@b PRIVMSG +a :without modes",
        ":ann!a@b PRIVMSG &#a :to administrators",
        ":ann!a@b PRIVMSG ~bot :to nobody",
        capabilities="batch",
        tokens=("CHANTYPES=#&+", "PREFIX=(qaohv)~&@%+"),
    )
    assert [(one.channel, one.text) for one in found] == [
        ("&a", "local"),
        ("&a", "to operators"),
        ("+a", "without modes"),
        ("#a", "to administrators"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        ":ann!a@b NOTICE bot :notice",
        ":BOT!~b@host.test PRIVMSG #a :echo",
        ":irc.example.test PRIVMSG bot :from a server",
        "PRIVMSG bot :without a source",
        "@bot :other!a@b PRIVMSG bot :a robot",
        "@batch=1 :ann!a@b PRIVMSG #a :history",
        "@batch=2 :ann!a@b PRIVMSG #a :playback",
        "@time=2020-01-01T00:00:00.000Z :ann!a@b PRIVMSG #a :old",
        ":ann!a@b PRIVMSG other :not for us",
        ":ann!a@b PRIVMSG #a :\x01DCC SEND x\x01",
        ":ann!a@b TAGMSG #a",
        ":ann!a@b WHATEVER #a :x",
    ],
)
def test_what_no_program_hears(clock: JumpingClock, line: str) -> None:
    batches = (":s BATCH +1 chathistory #a", ":s BATCH +2 znc.in/playback #a")

    def talk(peer: Peer) -> None:
        send(peer, *batches, line, ":ann!a@b PRIVMSG bot :last")

    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s CAP * LS :server-time batch message-tags")
        peer.expect(b"CAP REQ :")
        send(peer, ":s CAP bot ACK :server-time batch message-tags")
        peer.expect(b"CAP END\r\n")
        send(peer, "@time=2026-01-01T00:00:00.000Z :s 001 bot :Hi", ":s 422 bot :No MOTD")
        talk(peer)
        peer.read_to_end()

    found: list[str] = []
    with online(clock, script) as (client, _):
        client.on_message(lambda message: found.append(message.text))
        client.wait(0.05)
    assert found == ["last"]


NOTIFY = "extended-join account-notify"


@pytest.mark.parametrize(
    ("capabilities", "lines", "account"),
    [
        # The tag on the message itself, if the server was asked for it.
        ("account-tag", ["@account=ann :x!a@b PRIVMSG #a :?"], "ann"),
        ("account-tag", ["@account=ann :x!a@b PRIVMSG bot :?"], "ann"),
        ("account-tag", [":ann!a@b PRIVMSG #a :?"], ""),
        ("batch", ["@account=ann :ann!a@b PRIVMSG #a :?"], ""),
        ("account-tag", ["@+account=ann;Account=ann :ann!a@b PRIVMSG #a :?"], ""),
        # What joins and logins have told since the user joined.
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b PRIVMSG #a :?"], "ann"),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b PRIVMSG bot :?"], "ann"),
        (NOTIFY, [":x!a@b JOIN #a * :X", ":x!a@b ACCOUNT ann", ":x!a@b PRIVMSG #a :?"], "ann"),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b ACCOUNT *", ":x!a@b PRIVMSG #a :?"], ""),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b NICK y", ":y!a@b PRIVMSG #a :?"], "ann"),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b NICK y", ":x!a@b PRIVMSG #a :?"], ""),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b QUIT :x", ":x!a@b PRIVMSG bot :?"], ""),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b PART #a", ":x!a@b PRIVMSG bot :?"], ""),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":o!a@b KICK #a x", ":x!a@b PRIVMSG #a :?"], ""),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":o!a@b KICK #a bot", ":x!a@b PRIVMSG bot :?"], ""),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":s CAP bot DEL :account-notify",
                  ":x!a@b PRIVMSG #a :?"], ""),
        ("extended-join", [":x!a@b JOIN #a ann :X", ":x!a@b PRIVMSG #a :?"], ""),
        ("account-notify", [":x!a@b JOIN #a ann :X", ":x!a@b PRIVMSG #a :?"], ""),
        # Who was there before us, who is elsewhere, and who looks like another.
        (NOTIFY, [":ann!a@b PRIVMSG #a :?"], ""),
        (NOTIFY, [":ann!a@b ACCOUNT ann", ":ann!a@b PRIVMSG #a :?"], "ann"),
        (NOTIFY, [":x!a@b ACCOUNT ann", ":x!a@b PRIVMSG bot :?"], ""),
        (NOTIFY, [":x!a@b JOIN #b ann :X", ":x!a@b PRIVMSG #a :?"], ""),
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":y!x@x PRIVMSG #a :?"], ""),
        # A netsplit ends it; who comes back is told again.
        (NOTIFY, [":x!a@b JOIN #a ann :X", ":x!a@b QUIT :hub leaf", ":x!a@b JOIN #a * :X",
                  ":x!a@b PRIVMSG #a :?"], ""),
        (f"{NOTIFY} account-tag", [":x!a@b JOIN #a ann :X", ":x!a@b PRIVMSG #a :?"], ""),
    ],
)  # fmt: skip
def test_whom_the_server_vouches_for(
    clock: JumpingClock, capabilities: str, lines: list[str], account: str
) -> None:
    (message,) = heard(clock, *IN_A, *lines, capabilities=capabilities)
    assert message.account == account


def test_ctcp_is_answered_rarely_and_only_in_private(clock: JumpingClock) -> None:
    def talk(peer: Peer) -> None:
        send(peer, ":ann!a@b PRIVMSG #a :\x01VERSION\x01", ":ann!a@b PRIVMSG bot :\x01PING 42\x01")
        peer.expect(b"NOTICE ann :\x01PING 42\x01\r\n")
        send(peer, ":ann!a@b PRIVMSG bot :\x01VERSION\x01", "PING :end")
        peer.expect(b"PONG :end\r\n")

    with online(clock, without_capabilities(talk)) as (client, peer):
        client.wait(0.05)
    assert peer.received[0].count(b"NOTICE") == 1


def test_a_bot_says_that_it_is_one(clock: JumpingClock) -> None:
    def look(peer: Peer) -> None:
        peer.expect(b"MODE bot +b\r\n")

    with online(clock, with_capabilities("batch", look, tokens=("BOT=b",))) as (client, _):
        client.wait(0.05)
        assert client.nick == "bot"


def test_it_takes_its_nick_back(clock: JumpingClock) -> None:
    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s 433 * bot :in use")
        peer.expect(b"NICK bot_\r\n")
        send(peer, ":s 001 bot_ :Hi", ":s 422 bot_ :No MOTD")
        peer.expect(b"NICK bot\r\n")
        send(peer, ":s 433 bot_ bot :in use", ":bot!x@y QUIT :gone")
        peer.expect(b"NICK bot\r\n")
        send(peer, ":bot_!~b@h NICK :bot")
        peer.read_to_end()

    with online(clock, script) as (client, _):
        assert client.nick == "bot_"
        client.wait(0.05)
        assert client.nick == "bot"


def test_a_change_to_no_nick_changes_nothing(clock: JumpingClock) -> None:
    def rename(peer: Peer) -> None:
        send(peer, ":bot!~b@host.test NICK")

    with online(clock, without_capabilities(rename)) as (client, _):
        client.wait(0.05)
        assert client.nick == "bot"


@pytest.mark.parametrize("numeric", [475, 470, 473])
def test_a_channel_that_refuses_is_reported_and_not_asked_again(
    clock: JumpingClock, numeric: int
) -> None:
    def refuse(peer: Peer) -> None:
        peer.expect(b"JOIN #a key\r\nPING :00000001\r\n")
        send(peer, f":s {numeric} bot #a :Cannot join", ":s PONG s :00000001")

    with online(clock, without_capabilities(refuse), channels=("#a key",)) as (client, peer):
        client.wait(30)
        host = client._host
    assert isinstance(host, RecordingHost)
    assert [line.split()[0] for line in host.lines] == ["irc-not-joined"]
    assert peer.received[0].count(b"JOIN") == 1


@pytest.mark.parametrize("numeric", [437, 439, 480, 500])
def test_a_channel_that_cannot_be_joined_for_now_is_asked_again(
    clock: JumpingClock, numeric: int
) -> None:
    def refuse(peer: Peer) -> None:
        for number in (1, 2):
            peer.expect(f"JOIN #a key\r\nPING :0000000{number}\r\n".encode())
            send(peer, f":s {numeric} bot #a :Not now", f":s PONG s :0000000{number}")
        peer.expect(b"JOIN #a key\r\nPING :00000003\r\n")
        send(peer, ":bot!~b@h JOIN #a", ":s PONG s :00000003")

    with online(clock, without_capabilities(refuse), channels=("#a key",)) as (client, _peer):
        client.wait(59)
        assert client.people.channels() == []
        client.wait(62)
        assert client.people.channels() == ["#a"]


def test_what_many_channels_say_at_the_joins_is_handled_between_them(
    clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comms.irc.session.INBOX", 20)
    channels = tuple(f"#{number}" for number in range(5))

    def let_in(peer: Peer) -> None:
        for number, name in enumerate(channels, 1):
            peer.expect(f"JOIN {name}\r\nPING :0000000{number}\r\n".encode())
            listed = [f":s 353 bot = {name} :user{at}" for at in range(8)]
            send(peer, f":bot!~b@h JOIN {name}", *listed, f":s PONG s :0000000{number}")

    with online(clock, without_capabilities(let_in), channels=channels) as (client, _):
        assert [len(client.present(name)) for name in channels] == [9] * 5


def test_after_a_kick_it_joins_again_once(clock: JumpingClock) -> None:
    def kick(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        send(peer, ":bot!~b@h JOIN #a", ":s PONG s :00000001", ":o!a@b KICK #a bot :out")
        peer.expect(b"JOIN #a\r\nPING :00000002\r\n")
        send(peer, ":bot!~b@h JOIN #a", ":s PONG s :00000002", ":o!a@b KICK #a bot :out")

    with online(clock, without_capabilities(kick), channels=("#a",)) as (client, peer):
        before = clock.monotonic()
        client.wait(9)
        assert peer.received[0].count(b"JOIN") == 1
        client.wait(60)
        assert clock.monotonic() - before > 60
    assert peer.received[0].count(b"JOIN") == 2


def test_a_channel_that_was_left_after_a_kick_is_not_joined_again(clock: JumpingClock) -> None:
    def kick(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        send(peer, ":bot!~b@h JOIN #a", ":s PONG s :00000001", ":o!a@b KICK #a bot :out")

    with online(clock, without_capabilities(kick), channels=("#a",)) as (client, peer):
        client.wait(0.05)
        client.leave("#a")
        client.wait(60)
    assert peer.received[0].count(b"JOIN") == 1


def test_a_lost_connection_comes_back_with_its_channels(clock: JumpingClock) -> None:
    def lose(peer: Peer) -> None:
        peer.expect(b"PING :00000001\r\n")
        send(peer, ":s PONG s :00000001")
        peer.hang_up()

    def stay(peer: Peer) -> None:
        peer.expect(b"JOIN #a key\r\n")
        token = peer.expect(b"PING :", b"\r\n").split(b":")[-1].strip()
        send(peer, f":s PONG s :{token.decode()}", ":ann!a@b PRIVMSG bot :hello again")

    found: list[str] = []
    scripts = (without_capabilities(lose), without_capabilities(stay))
    with online(clock, *scripts, channels=("#a key",)) as (client, _):

        @client.on_message
        def stop(message: Message) -> None:
            found.append(message.text)

        client.wait(10)
    assert found == ["hello again"]


def test_after_a_loss_names_compare_as_they_did(clock: JumpingClock) -> None:
    def lose(peer: Peer) -> None:
        peer.hang_up()

    with (
        Peer(with_capabilities("batch", lose, tokens=("CASEMAPPING=ascii",))) as peer,
        Client(server(peer), clock, RecordingHost()) as client,
    ):
        assert client.fold("A[b") == "a{b"
        client.connect()
        client.wait(0.005)
        with pytest.raises(Unreachable):
            client.say("ann", "hi")
        assert client.fold("A[b") == "a[b"


def test_a_ban_ends_the_wait(clock: JumpingClock) -> None:
    def lose(peer: Peer) -> None:
        peer.hang_up()

    def ban(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s 465 bot :Banned")
        peer.read_to_end()

    with (
        online(clock, without_capabilities(lose), ban) as (client, _),
        pytest.raises(Refused, match="we are banned: Banned"),
    ):
        client.wait(200)


def test_while_services_are_away_it_tries_again(clock: JumpingClock) -> None:
    def log_in(peer: Peer) -> None:
        peer.expect(b"CAP LS 302\r\n", b"USER ")
        send(peer, ":s CAP * LS :sasl")
        peer.expect(b"CAP REQ :sasl\r\n")
        send(peer, ":s CAP * ACK :sasl")
        peer.expect(b"AUTHENTICATE PLAIN\r\n")
        send(peer, "AUTHENTICATE +")
        peer.expect(b"AUTHENTICATE ")
        send(peer, ":s 900 bot bot!b@h ann :In", ":s 903 bot :Done")
        peer.expect(b"CAP END\r\n")
        welcome(peer)

    def lose(peer: Peer) -> None:
        log_in(peer)
        peer.hang_up()

    def away(peer: Peer) -> None:  # after a netsplit, say
        peer.expect(b"CAP LS 302\r\n", b"USER ")
        send(peer, ":s CAP * LS :batch")
        peer.read_to_end()

    def back(peer: Peer) -> None:
        log_in(peer)
        peer.read_to_end()

    with online(clock, lose, away, back, password="pw", auth="plain") as (client, _):
        client.wait(60)
        assert client.account == "ann"


def test_a_handler_that_fails_is_logged(clock: JumpingClock) -> None:
    def talk(peer: Peer) -> None:
        send(peer, ":ann!a@b PRIVMSG bot :x")

    with online(clock, without_capabilities(talk)) as (client, _):
        client.on_message(lambda message: 1 / 0)
        client.wait(0.05)
        host = client._host
    assert isinstance(host, RecordingHost)
    assert host.lines[0].startswith("handler-failed")


def test_before_connect_nothing_can_be_sent_or_waited_for(clock: JumpingClock) -> None:
    with Peer() as peer:
        client = Client(server(peer), clock, RecordingHost())
        acts: list[Callable[[], object]] = [
            lambda: client.wait(1),
            lambda: client.say("ann", "x"),
            lambda: client.join("#a"),
        ]
        for act in acts:
            with pytest.raises(Unreachable, match=r"connect\(\)"):
                act()


@pytest.mark.parametrize("target", ["", "a b", "a\r\nQUIT", "a,b", ":a", "x" * 500])
def test_a_target_that_cannot_be_one_is_refused_before_anything_is_sent(
    clock: JumpingClock, target: str
) -> None:
    with online(clock, without_capabilities()) as (client, peer):
        with pytest.raises(ValueError, match="target: "):
            client.say(target, "x")
        if len(target) < 100:
            with pytest.raises(ValueError, match="channel: "):
                client.join(target)
    assert b"PRIVMSG" not in peer.received[0] and b"JOIN" not in peer.received[0]


@pytest.mark.slow
def test_a_server_that_sends_without_end_is_left_when_the_time_is_over(
    clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = threading.Event()  # before that, an answer has a limit

    def flood(peer: Peer) -> None:
        assert registered.wait(10)
        with pytest.raises(OSError, match=r".*"):
            while True:
                peer.send(b":ann!a@b PRIVMSG bot :x\r\n" * 100)

    monkeypatch.setattr("comms.irc.client.STOPPING", 0.05)
    heard: list[Message] = []
    with online(clock, without_capabilities(flood)) as (client, _):
        registered.set()
        client.on_message(heard.append)
        client.wait(0.05)
    assert heard

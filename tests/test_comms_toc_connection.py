"""The connection of a screen name: what a sign-on sends, and signing on again after a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from comms.clock import Clock
from comms.errors import Refused, Unknown, Unreachable
from comms.link import STOPPING
from comms.toc.buddies import Buddy
from comms.toc.client import Client
from comms.toc.markup import Html
from comms.toc.messages import COMMAND
from tests.test_comms_toc_client import changes_of, ims
from tests.toc_peer import Peer, Session, arguments, update


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def client(peer: Peer) -> Iterator[Client]:
    clock: Clock = peer.clock
    with Client(peer.server(), clock, peer.host) as client:
        yield client


def test_connect_returns_when_the_status_of_every_buddy_is_known(
    peer: Peer, client: Client
) -> None:
    peer.present = [update("Bob", kind=" OU"), update("Ann Lee", idle=7, evil=20)]
    client.connect()
    bob, ann = client.buddy_list.buddy_named("bob"), client.buddy_list.buddy_named("ann lee")
    assert (bob.status, ann.status, ann.idle_time, ann.warning_level) == ("away", "idle", 7, 20)
    assert ann.last_signon == 1767571200.0 and ann.is_online and ann.is_idle and not bob.is_idle
    [(group, buddies)] = client.buddy_list.groups.items()
    assert (group, list(map(str, buddies))) == ("Friends", ["Bob", "Ann Lee"])
    assert str(client.buddy_list) == "== Friends ==\n * Bob\n * Ann Lee"


def test_before_connect_nothing_can_be_sent_or_waited_for(client: Client) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: client.wait(1),
        lambda: client.send_im("bob", "x"),
        lambda: client.go_away("x"),
    ]
    for attempt in attempts:
        with pytest.raises(Unreachable, match=r"connect\(\)"):
            attempt()


def test_watched_buddies_are_sent_once_before_and_after_the_sign_on(
    peer: Peer, client: Client
) -> None:
    for name in ("bob", "Ann Lee", "BOB"):
        client.buddy_list.buddy_named(name).on_status("online")(lambda: None)
    client.connect()
    client.buddy_list.buddy_named("carl").on_status("online", "offline")(lambda: None)
    client.wait()
    assert peer.session.commands() == ["toc_add_buddy bob annlee", "toc_add_buddy carl"]


def test_many_watched_names_are_sent_in_several_commands(peer: Peer, client: Client) -> None:
    for number in range(500):
        client.buddy_list.buddy_named(f"watched{number}").on_status("online")(lambda: None)
    client.connect()
    lines = peer.session.commands()
    assert len(lines) == 3
    assert [name for line in lines for name in line.split()[1:]] == [
        f"watched{number}" for number in range(500)
    ]


@pytest.mark.parametrize("characters", range(1, 40))
def test_watched_names_are_counted_in_bytes_as_they_are_sent(
    peer: Peer, client: Client, characters: int
) -> None:
    """Each character beyond Latin-1 is sent as a reference of several bytes."""
    names = [f"{number}{'€' * characters}" for number in range(60)]
    for name in names:
        client.buddy_list.buddy_named(name).on_status("online")(lambda: None)
    client.connect()
    lines = peer.session.commands()
    assert all(line.startswith("toc_add_buddy ") and len(line) <= COMMAND for line in lines)
    sent = [name for line in lines for name in arguments(line.partition(" ")[2])]
    assert sent == [name.replace("€", "&#8364;") for name in names]


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("excess", [-1, 0, 1, 2, 10_000])
def test_a_name_that_no_command_can_hold_is_not_watched(
    peer: Peer, client: Client, online: bool, excess: int
) -> None:
    name = "x" * (COMMAND - len("toc_add_buddy ") + excess)
    if online:
        client.connect()
    buddy = client.buddy_list.buddy_named(name)
    if excess > 0:
        with pytest.raises(ValueError, match=r"toc_add_buddy has .* bytes"):
            buddy.on_status("online")(lambda: None)
    else:
        buddy.on_status("online")(lambda: None)
    client.connect()  # would fail each time if the name were remembered
    expected = [f"toc_add_buddy {name}"] if excess <= 0 else []
    assert peer.session.commands() == expected


def test_the_last_im_arrives_even_if_frames_are_unread_at_the_disconnect(
    peer: Peer, client: Client
) -> None:
    del peer.on["toc_get_status"]  # so that nothing is read after the IM
    peer.on["toc_send_im"] = lambda session, rest: session.send(
        *(f"IM_IN2:Bob:F:F:{'x' * 7000}" for _ in range(20))
    )
    client.connect()
    client.send_im("bob", "first")
    client.send_im("bob", "the last word")
    client.disconnect()
    peer.serve()
    assert ims(peer)[-1] == ["bob", "the last word"]
    assert peer.session.ended == "close", "a reset could have discarded the IM"


def test_connect_can_be_called_again_and_handlers_remain(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    client.disconnect()
    client.disconnect()
    client.connect()
    peer.session.send("IM_IN2:Bob:F:F:hi")
    client.wait()
    assert heard == ["hi"] and len(peer.sessions) == 2


def test_a_handler_may_disconnect_and_wait_returns(peer: Peer, client: Client) -> None:
    heard: list[str] = []

    @client.on_im
    def enough(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(message)
        client.disconnect()

    client.connect()
    peer.session.send("IM_IN2:Bob:F:F:stop", "IM_IN2:Bob:F:F:too late")
    peer.clock.at(60, lambda: None)
    client.wait()
    assert heard == ["stop"] and len(peer.sessions) == 1 and peer.log() == []


def test_a_new_connection_starts_without_away_idle_and_rooms(peer: Peer, client: Client) -> None:
    peer.present = [update("Bob")]
    peer.on["toc_chat_join"] = lambda session, rest: session.send("CHAT_JOIN:1:War Room")
    client.connect()
    client.go_away("out")
    client.idle(60)
    client.join_chat("War Room")
    client.disconnect()
    peer.present = []
    changes = changes_of(client.buddy_list.buddy_named("bob"))
    client.connect()
    assert peer.session.commands() == ["toc_add_buddy bob"] and changes == ["offline"]
    with pytest.raises(Refused, match="was not joined"):
        client.send_chat("War Room", "x")


@pytest.mark.parametrize(
    "loss",
    [Session.hang_up, Session.reset, Session.skip_frame, lambda session: session.send("", kind=4)],
)
def test_a_lost_connection_is_restored_with_status_and_rooms(
    peer: Peer, client: Client, loss: Callable[[Session], None]
) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.buddy_list.buddy_named("carl").on_status("online")(lambda: None)
    peer.on["toc_chat_join"] = lambda session, rest: session.send(
        f"CHAT_JOIN:{len(peer.sessions)}:War Room"
    )
    client.connect()
    client.go_away("out")
    client.idle(60)
    client.join_chat("War Room")

    def lose() -> None:
        loss(peer.session)
        if not peer.session.closed:
            peer.session.send("NICK:OpsBot")

    peer.clock.at(10, lose)
    peer.clock.at(60, lambda: peer.session.send("IM_IN2:Bob:F:F:back again"))
    client.wait()
    assert len(peer.sessions) == 2 and heard == ["back again"]
    sent = peer.session.commands()
    assert sent[:2] == ["toc_add_buddy carl", 'toc_set_away "out"']
    assert sent[2] in ("toc_set_idle 71", "toc_set_idle 72")  # 60, plus 10 seconds, plus the pause
    assert sent[3:] == ['toc_chat_join 4 "War Room"']
    assert [line.split()[0] for line in peer.log()] == ["aim-link-lost", "aim-back"]
    client.send_chat("war room", "hi")
    assert peer.session.commands()[-1] == 'toc_chat_send 2 "hi"'


def test_a_room_whose_name_no_command_can_hold_is_not_joined_again(
    peer: Peer, client: Client
) -> None:
    """The server chooses the form of a room's name, which may be longer than the client's."""
    peer.on["toc_chat_join"] = lambda session, rest: session.send("CHAT_JOIN:1:" + "x" * 8000)
    client.connect()
    client.join_chat("room")
    peer.clock.at(10, lambda: peer.session.hang_up())
    peer.clock.at(60, lambda: None)
    client.wait()
    assert len(peer.sessions) == 2
    events = ["aim-link-lost", "aim-back", "aim-room-lost"]
    assert sorted(line.split()[0] for line in peer.log()) == sorted(events)


def test_a_connection_cut_at_any_byte_is_restored(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    whole = peer.session.bytes_out
    news = ["IM_IN2:Bob:F:F:one", "IM_IN2:Bob:F:F:two"]
    for cut in range(1, sum(6 + len(message) for message in news)):
        heard.clear()
        peer.budgets = [whole + cut]
        client.connect()
        peer.session.send(*news)
        peer.clock.at(30, lambda: peer.session.send("IM_IN2:Bob:F:F:three"))
        client.wait()
        assert heard == [*["one", "two"][: cut // 24], "three"]
    assert {line.split()[0] for line in peer.log()} == {"aim-link-lost", "aim-back"}


def test_a_lost_connection_causes_no_false_status_changes(peer: Peer, client: Client) -> None:
    bob, ann = client.buddy_list.buddy_named("bob"), client.buddy_list.buddy_named("annlee")
    peer.present = [update("Bob"), update("Ann Lee", kind=" OU")]
    client.connect()
    changes = [changes_of(bob), changes_of(ann)]

    def lose() -> None:
        peer.present = [update("Bob")]
        peer.session.hang_up()

    peer.clock.at(10, lose)
    peer.clock.at(60, lambda: None)
    client.wait()
    assert changes == [[], ["offline"]], "Ann left in the meantime"
    assert (bob.status, ann.status) == ("available", "offline")


def test_the_pauses_between_attempts_double_with_jitter(peer: Peer, client: Client) -> None:
    client.connect()
    times: list[float] = []

    def down(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        session.send("ERROR:981")
        session.hang_up()

    peer.on["toc2_signon"] = down
    peer.session.hang_up()
    peer.clock.at(2000, lambda: None)
    client.wait()
    pauses = [b - a for a, b in pairwise(times)]
    limits = [4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert len(pauses) >= 8
    shares = [pause / limit for pause, limit in zip(pauses, limits, strict=False)]
    assert all(0.5 <= share < 1 for share in shares)
    assert len(set(shares)) > 5, "the shares are random"


def test_a_server_that_cuts_each_connection_at_once_is_not_hammered(
    peer: Peer, client: Client
) -> None:
    client.connect()
    times: list[float] = []

    def cut(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        peer.clock.at(0, session.hang_up)

    peer.on["toc_set_away"] = cut
    client.go_away("out")
    peer.clock.at(2000, lambda: None)
    client.wait()
    assert 5 < len(times) < 25 and times[-1] - times[-2] > 100


def test_after_error_983_the_client_waits_for_ten_minutes(peer: Peer, client: Client) -> None:
    client.connect()
    times: list[float] = []

    def busy(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        session.send("ERROR:983")
        session.hang_up()

    peer.on["toc2_signon"] = busy
    peer.session.hang_up()
    peer.clock.at(2000, lambda: None)
    client.wait()
    assert times[1] - times[0] >= 600


def test_a_refused_password_ends_the_attempts_to_reconnect(peer: Peer, client: Client) -> None:
    client.connect()
    peer.refusal = "ERROR:980"
    peer.session.hang_up()
    peer.clock.at(60, lambda: None)
    with pytest.raises(Refused, match="980"):
        client.wait()


def test_wait_with_a_limit_continues_the_back_off_at_the_next_call(
    peer: Peer, client: Client
) -> None:
    client.connect()
    refusal, peer.refusal = peer.refusal, "ERROR:981"
    peer.session.hang_up()
    peer.clock.at(200, lambda: None)
    start = peer.clock.time()
    client.wait(30)
    assert peer.clock.time() - start == 30 and len(peer.sessions) == 5
    peer.refusal = refusal
    client.wait(60)
    assert peer.clock.time() - start == 90
    client.send_im("bob", "here again")
    assert ims(peer) == [["bob", "here again"]]


def test_a_connection_lost_after_an_im_leaves_its_outcome_unknown(
    peer: Peer, client: Client
) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.hang_up()
    client.connect()
    with pytest.raises(Unknown, match="may have arrived or not"):
        client.send_im("bob", "hi")


def test_a_connection_lost_in_a_handler_does_not_end_the_program(
    peer: Peer, client: Client
) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.hang_up()
    client.on_im(lambda message, buddy, auto_response: buddy.send_im("hi"))
    client.connect()
    peer.session.send("IM_IN2:Bob:F:F:hello")
    peer.clock.at(60, lambda: None)
    client.wait()
    assert len(peer.sessions) == 2
    assert [line.split()[0] for line in peer.log()] == [
        "handler-failed",
        "aim-link-lost",
        "aim-back",
    ]


def test_sending_over_a_lost_connection_raises(peer: Peer, client: Client) -> None:
    client.connect()
    peer.session.reset()
    peer.serve()
    with pytest.raises((Unreachable, Unknown)):
        client.send_im("bob", "hi")


def test_a_pause_makes_the_client_sign_on_again(peer: Peer, client: Client) -> None:
    client.connect()
    peer.clock.at(10, lambda: peer.session.send("PAUSE"))
    peer.clock.at(60, lambda: None)
    client.wait()
    assert len(peer.sessions) == 2


def test_a_server_that_sends_without_end_does_not_keep_a_program_that_should_stop(
    peer: Peer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    @client.on_im
    def next_one(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(message.text)
        assert len(heard) < 1000
        if len(heard) == 3:
            monkeypatch.setattr(peer.clock, "stopping", lambda: True)
        peer.clock.wait(None, peer.clock.time() + 0.5)
        peer.session.send("IM_IN2:Bob:F:F:again")

    client.connect()
    peer.session.send("IM_IN2:Bob:F:F:first")
    client.wait()
    assert 3 <= len(heard) <= 3 + STOPPING / 0.5


# ── a wall clock that is set back ────────────────────────────────────────────


def test_a_wait_ends_in_time_although_the_wall_clock_was_set_back(
    peer: Peer, client: Client
) -> None:
    client.connect()
    began = peer.clock.monotonic()
    peer.clock.at(5, lambda: peer.clock.jump(-7200))
    peer.clock.at(10, lambda: peer.session.send("IM_IN2:bob:F:F:hi"))
    peer.clock.at(100_000, lambda: None)
    client.wait(30)
    assert peer.clock.monotonic() - began == pytest.approx(30)


def test_the_client_signs_on_again_in_time_although_the_wall_clock_was_set_back(
    peer: Peer, client: Client
) -> None:
    client.connect()
    began = peer.clock.monotonic()
    times: list[float] = []

    def down(session: Session, rest: str) -> None:
        times.append(peer.clock.monotonic() - began)
        peer.clock.jump(-7200)
        session.send("ERROR:981")
        session.hang_up()

    peer.on["toc2_signon"] = down
    peer.session.hang_up()
    peer.clock.at(100_000, lambda: None)
    client.wait(200)
    assert len(times) >= 4 and times[3] < 60
    assert peer.clock.monotonic() - began == pytest.approx(200)

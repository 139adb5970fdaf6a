"""The AIM client against a scripted server (toc_peer.py)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.clock import Clock
from comms.errors import Refused, SettingsError, TryLater, Unreachable
from comms.link import STOPPING
from comms.settings import load
from comms.toc.buddies import STATUSES, Buddy
from comms.toc.client import LONGEST_CHARACTER, Client
from comms.toc.markup import Html
from comms.toc.messages import COMMAND, Complaint
from comms.toc.session import INBOX
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


def ims(peer: Peer) -> list[list[str]]:
    """Returns the arguments of every IM that the server has received."""
    lines = [line for session in peer.sessions for line in session.commands()]
    return [arguments(line.partition(" ")[2]) for line in lines if line.startswith("toc_send_im ")]


def changes_of(buddy: Buddy) -> list[str]:
    """Returns a list to which every status that the buddy changes to will be added."""
    changes: list[str] = []
    for status in STATUSES:
        buddy.on_status(status)(lambda status=status: changes.append(status))
    return changes


# ── signing on ───────────────────────────────────────────────────────────────


def test_a_sign_on_ends_with_init_done_and_a_status_query(peer: Peer, client: Client) -> None:
    client.connect()
    kinds = [kind for kind, _ in peer.session.received]
    lines = [payload.rstrip(b"\0").decode() for kind, payload in peer.session.received if kind == 2]
    assert kinds[0] == 1 and peer.session.name == "opsbot"
    assert lines[0].startswith("toc2_signon login.oscar.aol.com 5190 opsbot 0x")
    assert lines[1:] == ["toc_init_done", "toc_get_status opsbot"]


def test_a_server_that_does_not_answer_status_queries_costs_two_seconds_once(
    peer: Peer, client: Client
) -> None:
    del peer.on["toc_get_status"]
    peer.present = [update("Bob")]
    start = peer.clock.time()
    client.connect()
    assert client.buddy_list.buddy_named("bob").status == "available"
    assert not client.send_im("bob", "hi")  # sent, but whether it has arrived is unknown
    assert peer.clock.time() - start == 2.0
    peer.clock.wait(None, peer.clock.time())
    assert ims(peer) == [["bob", "hi"]]


def test_a_server_that_answers_late_is_asked_again_afterwards(peer: Peer, client: Client) -> None:
    answer = peer.on.pop("toc_get_status")
    client.connect()
    assert not client.send_im("bob", "one")
    peer.on["toc_get_status"] = answer
    answer(peer.session, "")
    client.wait()
    assert client.send_im("bob", "two")


def test_a_late_answer_is_not_mistaken_for_the_next_one(peer: Peer, client: Client) -> None:
    client.connect()
    answer = peer.on["toc_get_status"]
    late: list[str] = ["ERROR:903"]

    def hold(session: Session, rest: str) -> None:
        peer.on["toc_get_status"] = slow

    def slow(session: Session, rest: str) -> None:
        answer(session, rest)  # to the question before
        peer.on["toc_get_status"] = answer
        peer.clock.at(1, lambda: session.send(*late))
        peer.clock.at(1, lambda: answer(session, rest))

    peer.on["toc_get_status"] = hold
    # A complaint shows that the server is only slow, so that the client asks again.
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:961:x")
    assert not client.send_im("bob", "one")
    peer.on["toc_send_im"] = lambda session, rest: None
    client.send_im("bob", "two")
    # The 903 that came before the second answer was about "two", which was then sent again.
    assert [text for _, text in ims(peer)] == ["one", "two", "two"]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ("ERROR:980", Refused, "980 the screen name or the password is wrong"),
        ("ERROR:981", TryLater, "981 the service is not available"),
        ("ERROR:982", TryLater, "982 the warning level is too high"),
        ("ERROR:983", TryLater, "983 connecting too often"),
        ("ERROR:989:7", Refused, "989 the sign-on failed: 7"),
        ("ERROR:989:0", TryLater, "989 the sign-on failed: 0"),
        ("ERROR:777:why", Refused, "777 unknown to this client: why"),
    ],
)
def test_a_refused_sign_on_is_an_exception_with_the_meaning_of_the_code(
    peer: Peer, client: Client, error: str, kind: type[Exception], text: str
) -> None:
    reported: list[Complaint] = []
    client.on_error(reported.append)
    peer.refusal = error
    with pytest.raises(kind, match=text) as raised:
        client.connect()
    assert "secret" not in str(raised.value)
    assert [f"ERROR:{complaint.code}" for complaint in reported] == [error[:9]]
    with pytest.raises(Unreachable, match="connect"):
        client.wait(1)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (lambda session, rest: session.hang_up(), "hung up"),
        (lambda session, rest: session.reset(), "hung up|is lost"),
        (lambda session, rest: session.write(b""), "does not answer the sign-on"),
        (lambda session, rest: session.send("NICK:OpsBot"), "answers the sign-on with NICK"),
        (lambda session, rest: session.write(b"HTTP/1.0 200 OK\r\n"), "out of step"),
    ],
)
def test_a_server_that_breaks_off_the_sign_on_is_unreachable(
    peer: Peer, client: Client, script: Callable[[Session, str], None], text: str
) -> None:
    peer.on["toc2_signon"] = script
    with pytest.raises(Unreachable, match=text):
        client.connect()


def test_a_port_without_a_listener_is_unreachable_at_once(peer: Peer, client: Client) -> None:
    peer.close()
    with pytest.raises(Unreachable, match="cannot be reached"):
        client.connect()


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": ""},
        {"screen_name": ""},
        {"password": "пароль"},
        {"password": "x" * 1100},
        {"screen_name": "x" * 2000},
        {"screen_name": "€" * 300},
        {"screen_name": "x" * 70_000},
    ],
)
def test_a_name_or_password_that_cannot_be_used_is_a_settings_error(
    peer: Peer, wrong: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match=r"toc\.screen_name and toc\.password: "):
        Client(peer.server(**wrong), peer.clock, peer.host)


def test_the_settings_have_a_default_port_and_a_screen_name() -> None:
    table = {"host": "toc.example.test", "screen_name": "OpsBot", "password": "x"}
    server = load({"toc": table}).server("toc")
    assert (server.port, server.tls, server.screen_name) == (9898, "none", "OpsBot")


def test_a_connection_cut_at_any_byte_of_the_sign_on_is_unreachable(
    peer: Peer, client: Client
) -> None:
    client.connect()
    whole = peer.session.bytes_out
    peer.budgets = list(range(whole))
    for _ in range(whole):
        with pytest.raises(Unreachable):
            client.connect()
    client.connect()
    assert len(peer.sessions) == whole + 2


# ── IMs ──────────────────────────────────────────────────────────────────────


def test_an_im_is_sent_as_html_to_the_normalized_name(peer: Peer, client: Client) -> None:
    client.connect()
    client.buddy_list.buddy_named("Ann Lee").send_im('1 < 2 && "x" {y} $z\nsecond €')
    client.send_im("bob", Html("<b>bold</b>"))
    assert ims(peer) == [
        ["annlee", '1 &lt; 2 &amp;&amp; "x" {y} $z<br>second &#8364;'],
        ["bob", "<b>bold</b>"],
    ]


def test_an_auto_response_is_marked_as_one(peer: Peer, client: Client) -> None:
    client.connect()
    client.send_im("bob", "away", auto_response=True)
    assert ims(peer) == [["bob", "away", "auto"]]


def test_a_long_im_is_split_between_lines_within_the_limit(peer: Peer, client: Client) -> None:
    lines = [f"/dev/disk{n:<4} <{n}> & some more of the text $" for n in range(100)]
    client.connect()
    client.send_im("bob", "\n".join(lines))
    sent = [text for _, text in ims(peer)]
    assert len(sent) == 3
    assert [line for text in sent for line in Html(text).text.splitlines()] == lines
    longest = max(len(payload) for kind, payload in peer.session.received)
    assert 1900 < longest + 6 <= 2048  # with header and NUL; the peer checks each frame, too


@pytest.mark.parametrize("text", ["", "hello", "€", Html("<b>hello</b>")])
def test_a_name_that_leaves_no_room_for_a_text_is_refused(
    peer: Peer, client: Client, text: str
) -> None:
    client.connect()
    for length in (*range(2010, 2060), 2500, 8185, 8192, 70_000):
        name = "x" * length
        head = len(f"toc_send_im {name} ")
        peer.session.received.clear()
        if head + 2 + max(len(text), LONGEST_CHARACTER) <= COMMAND:
            assert client.send_im(name, text)
            assert [to for to, _ in ims(peer)] == [name]
        elif head + 2 + LONGEST_CHARACTER <= COMMAND:
            client.send_im(name, "hello")  # in pieces
        else:
            with pytest.raises(ValueError, match="no room for a text; use a shorter name"):
                client.send_im(name, text)
            client.wait()
            assert ims(peer) == [], length


def arrives_complete(peer: Peer, client: Client, text: str) -> list[str]:
    """Sends an IM; returns the pieces in which it has arrived."""
    peer.session.received.clear()
    assert client.send_im("bob", text)
    pieces = [Html(piece).text for _, piece in ims(peer)]
    assert "".join(pieces) == text
    assert all(len(payload) <= COMMAND + 1 for _, payload in peer.session.received)
    return pieces


@pytest.mark.parametrize("character", ["x", "é", "€", '"', "<"])
def test_an_im_of_any_length_arrives_complete(peer: Peer, client: Client, character: str) -> None:
    client.connect()
    for length in (1999, 2060, 8192):
        arrives_complete(peer, client, character * length)


@pytest.mark.slow
@pytest.mark.parametrize("character", ["x", "é", "€", '"', "<"])
def test_an_im_that_just_fits_into_some_pieces_or_just_does_not_arrives_complete(
    peer: Peer, client: Client, character: str
) -> None:
    client.connect()
    full, *others = map(len, arrives_complete(peer, client, character * 8190))
    assert others and set(others[:-1]) <= {full}, "all pieces but the last one are full"
    for pieces in sorted({1, 2, 8190 // full}):
        for length in range(pieces * full - 1, pieces * full + 2):
            found = arrives_complete(peer, client, character * length)
            assert len(found) == -(-length // full)
    for length in (4080, 4090, 8184, 8185, 8186, 8191):
        arrives_complete(peer, client, character * length)


@pytest.mark.parametrize("excess", [-1, 0, 1, 2])
@pytest.mark.parametrize(
    ("command", "act"),
    [
        ("toc_set_away ?", lambda client, text: client.go_away(text)),
        ("toc2_new_group ?", lambda client, text: client.buddy_list.add_group(text)),
        ("toc_evil ? norm", lambda client, text: client.buddy_list.buddy_named(text).warn()),
        ("toc_chat_join 4 ?", lambda client, text: client.join_chat(text)),
        (
            "toc2_new_buddies {g:F\nb:?\n}",
            lambda client, text: client.buddy_list.add_buddy("F", text),
        ),
    ],
)
def test_a_command_that_is_too_long_is_refused_and_the_session_goes_on(
    peer: Peer, client: Client, command: str, act: Callable[[Client, str], object], excess: int
) -> None:
    peer.on["toc_chat_join"] = lambda session, rest: session.send("CHAT_JOIN:1:room")
    client.connect()
    quotes = 2 if command.startswith(("toc_set_away", "toc_chat_join")) else 0
    text = "x" * (COMMAND - len(command) + 1 - quotes + excess)
    if excess > 0:
        with pytest.raises(ValueError, match=rf"{command.split()[0]} has {COMMAND + excess} bytes"):
            act(client, text)
    else:
        act(client, text)
    assert client.send_im("bob", "still here")
    sent = [len(line) for line in peer.session.commands() if line.startswith(command.split()[0])]
    assert sent == ([COMMAND + excess] if excess <= 0 else [])


def test_html_that_cannot_be_split_is_not_sent_in_part(peer: Peer, client: Client) -> None:
    client.connect()
    with pytest.raises(ValueError, match="a line of HTML"):
        client.send_im("bob", Html("<b>short</b>\n<i>" + "x" * 3000 + "</i>"))
    assert ims(peer) == []


def test_an_im_to_a_user_who_is_offline_is_refused_and_reported(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_error(lambda error: heard.append(str(error)))
    peer.on["toc_send_im"] = lambda session, rest: session.send(f"ERROR:901:{arguments(rest)[0]}")
    client.connect()
    with pytest.raises(Refused, match="901 bob is not available"):
        client.send_im("Bob", "hi")
    client.wait()
    assert heard == ["901 bob is not available"]


def test_complaints_about_other_commands_are_ignored(peer: Peer, client: Client) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:961:ann", "ERROR:913:x")
    client.connect()
    client.send_im("bob", "hi")
    assert len(ims(peer)) == 1


@pytest.mark.parametrize("error", ["ERROR:903", "ERROR:960:bob"])
def test_an_im_over_the_rate_limit_is_sent_again_after_a_pause(
    peer: Peer, client: Client, error: str
) -> None:
    answers = [error, error]
    times: list[float] = []

    def limited(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        if answers:
            session.send(answers.pop())

    peer.on["toc_send_im"] = limited
    client.connect()
    client.send_im("bob", "x" * 3000)
    assert [b - a for a, b in pairwise(times)] == [15.0, 30.0, 0.0]
    texts = [text for _, text in ims(peer)]
    assert texts[0] == texts[1] == texts[2] and texts[2] + texts[3] == "x" * 3000


def test_after_six_attempts_over_the_rate_limit_an_im_is_given_up(
    peer: Peer, client: Client
) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:903")
    client.connect()
    with pytest.raises(TryLater, match=r"903 .*6 times"):
        client.send_im("bob", "hi")
    assert len(ims(peer)) == 6


def test_what_arrives_while_an_im_is_sent_is_handled_afterwards_in_order(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []
    peer.on["toc_send_im"] = lambda session, rest: session.send(
        "IM_IN2:Ann:F:F:two", update("Bob"), "IM_IN2:Ann:F:F:three"
    )

    @client.on_im
    def answer(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(message)
        if message == "one":
            client.send_im("bob", "hi")
            heard.append("sent")

    client.connect()
    peer.session.send("IM_IN2:Ann:F:F:one")
    client.wait()
    assert heard == ["one", "sent", "two", "three"]
    assert client.buddy_list.buddy_named("bob").is_online


# ── statuses ─────────────────────────────────────────────────────────────────


GONE = update("Bob", "F", kind="   ")


def test_an_unknown_status_is_an_error_that_suggests_one(client: Client) -> None:
    with pytest.raises(ValueError, match="did you mean 'available'"):
        client.buddy_list.buddy_named("bob").on_status("availible")


def test_strangers_who_send_messages_do_not_fill_the_memory(peer: Peer, client: Client) -> None:
    client.on_im(lambda message, buddy, auto_response: None)
    client.connect()
    peer.session.send(*(f"IM_IN2:Stranger{number}:F:F:hi" for number in range(100)))
    client.wait()
    for number in range(100):
        client.send_im(f"stranger{number}", "hi")
    assert len(list(client.buddy_list)) == 2  # those of the stored list


# ── the list, and what else a client does ────────────────────────────────────


def test_the_stored_list_is_changed_by_commands(peer: Peer, client: Client) -> None:
    client.connect()
    client.buddy_list.add_group("Work Friends")
    client.buddy_list.add_group("Friends")  # known already
    client.buddy_list.add_buddy("Work Friends", "Carl {C}")
    client.buddy_list.add_buddy("Work Friends", "carl{c}")
    client.buddy_list.remove_buddy("Friends", "ANN LEE")
    client.wait()
    assert peer.session.commands() == [
        'toc2_new_group "Work Friends"',
        "toc2_new_buddies {g:Work Friends\nb:carl\\{c\\}\n}",
        "toc2_remove_buddy annlee Friends",
    ]
    groups = client.buddy_list.groups
    assert {group: [buddy.name for buddy in groups[group]] for group in groups} == {
        "Friends": ["bob"],
        "Work Friends": ["carl{c}"],
    }


def test_names_that_a_buddy_list_cannot_hold_are_refused(client: Client) -> None:
    for attempt in (
        lambda: client.buddy_list.add_group("a:b"),
        lambda: client.buddy_list.add_group(" "),
        lambda: client.buddy_list.add_buddy("Friends", "x\ny"),
        lambda: client.buddy_list.add_buddy("a\rb", "x"),
    ):
        with pytest.raises(ValueError, match=r"cannot be on a buddy list; write at least one"):
            attempt()
    with pytest.raises(ValueError, match="'  ' is not a screen name; write at least one character"):
        client.buddy_list.buddy_named("  ")
    with pytest.raises(KeyError, match="not in group"):
        client.buddy_list.remove_buddy("Friends", "unknown")


def test_away_idle_and_warning(peer: Peer, client: Client) -> None:
    client.connect()
    client.go_away("back at 5 {<hm>}\nreally")
    client.come_back()
    client.idle(600)
    client.idle(0)
    client.buddy_list.buddy_named("Bob").warn()
    client.buddy_list.buddy_named("Bob").warn(anonymous=True)
    peer.session.send("EVILED:10:Bob")
    client.wait()
    assert peer.session.commands() == [
        'toc_set_away "back at 5 \\{&lt;hm&gt;\\}<br>really"',
        "toc_set_away",
        "toc_set_idle 600",
        "toc_set_idle 0",
        "toc_evil bob norm",
        "toc_evil bob anon",
    ]
    assert client.warning_level == 10


def test_a_warning_that_is_not_allowed_is_refused(peer: Peer, client: Client) -> None:
    peer.on["toc_evil"] = lambda session, rest: session.send(f"ERROR:902:{rest.split()[0]}")
    client.connect()
    with pytest.raises(Refused, match="902 a warning of bob is not available"):
        client.buddy_list.buddy_named("bob").warn()


def test_a_chat_room_can_be_joined_used_and_left(peer: Peer, client: Client) -> None:
    heard: list[tuple[str, str, str]] = []
    client.on_chat(lambda message, buddy, room: heard.append((message, buddy.screen_name, room)))
    peer.on["toc_chat_join"] = lambda session, rest: session.send(
        f"CHAT_JOIN:820142221:{arguments(rest)[1]}", "CHAT_UPDATE_BUDDY:820142221:T:OpsBot:Bob"
    )
    client.connect()
    client.join_chat("War Room")
    peer.session.send("CHAT_IN:820142221:Bob:F:what: now?", "CHAT_IN:820142221:OpsBot:F:mine")
    client.wait()
    client.send_chat("war  room", "a < b")
    client.leave_chat("War Room")
    client.wait()
    assert heard == [("what: now?", "Bob", "War Room")]
    assert peer.session.commands() == [
        'toc_chat_join 4 "War Room"',
        'toc_chat_send 820142221 "a &lt; b"',
        "toc_chat_leave 820142221",
    ]
    with pytest.raises(Refused, match="was not joined"):
        client.send_chat("War Room", "x")


def test_a_room_that_cannot_be_joined_is_refused(peer: Peer, client: Client) -> None:
    peer.on["toc_chat_join"] = lambda session, rest: session.send("ERROR:950:War Room")
    client.connect()
    with pytest.raises(Refused, match="950 the chat in War Room is not available"):
        client.join_chat("War Room")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 180), max_size=12))
def test_handlers_do_not_depend_on_how_the_bytes_are_split(cuts: list[int]) -> None:
    peer = Peer()
    heard: list[object] = []
    with Client(peer.server(), peer.clock, peer.host) as client:
        client.on_im(lambda message, buddy, auto: heard.append((message, str(buddy), auto)))
        client.on_error(lambda error: heard.append(str(error)))
        changes = changes_of(client.buddy_list.buddy_named("bob"))
        client.connect()
        raw = peer.session.frames(
            "IM_IN2:Bob:F:F:one", update("Bob", idle=3), "ERROR:901:ann", "IM_IN2:Ann:T:F:two"
        )
        edges = [0, *sorted(cut for cut in set(cuts) if cut < len(raw)), len(raw)]
        for second, (begin, end) in enumerate(pairwise(edges), 1):
            peer.clock.at(second, functools.partial(peer.session.write, raw[begin:end]))
        client.wait()
    peer.close()
    assert heard == [("one", "Bob", False), "901 ann is not available", ("two", "Ann", True)]
    assert changes == ["online", "idle"]


def test_keep_alives_and_unknown_frames_are_ignored(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    peer.session.send("", kind=5)
    peer.session.send("\0", kind=5)
    peer.session.send("?", kind=9)
    peer.session.send("IM_IN2:Bob:F:F:hi")
    client.wait()
    assert heard == ["hi"]


# ── signing off, losing the connection, signing on again ─────────────────────


def test_an_away_message_that_is_too_long_is_not_remembered(peer: Peer, client: Client) -> None:
    client.connect()
    with pytest.raises(ValueError, match="toc_set_away has"):
        client.go_away("x" * 3000)
    peer.session.hang_up()
    peer.clock.at(60, lambda: None)
    client.wait()
    assert peer.session.commands() == [] and len(peer.sessions) == 2


def test_a_flood_is_read_only_up_to_the_limit_of_the_inbox(peer: Peer, client: Client) -> None:
    client.connect()
    peer.on["toc_send_im"] = lambda session, rest: session.send(
        *["IM_IN2:Bob:F:F:flood"] * (INBOX + 10)
    )
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    assert not client.send_im("bob", "hi")
    client.wait()
    assert len(heard) == INBOX + 10


def test_a_server_that_sends_without_end_is_left_when_the_time_is_over(
    peer: Peer, client: Client
) -> None:
    client.connect()
    heard: list[str] = []

    @client.on_im
    def more(message: str, buddy: Buddy, auto_response: bool) -> None:
        heard.append(message)
        peer.clock._now += 1
        if len(heard) < 100:
            peer.session.send("IM_IN2:Bob:F:F:flood")

    peer.session.send("IM_IN2:Bob:F:F:flood")
    client.wait(5)
    assert len(heard) == 5 + STOPPING


def test_wait_returns_after_its_limit(peer: Peer, client: Client) -> None:
    client.connect()
    start = peer.clock.time()
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    peer.clock.at(10, lambda: peer.session.send("IM_IN2:Bob:F:F:in time"))
    peer.clock.at(31, lambda: peer.session.send("IM_IN2:Bob:F:F:later"))
    client.wait(30)
    assert heard == ["in time"] and peer.clock.time() - start == 30
    client.wait(30)
    assert heard == ["in time", "later"]

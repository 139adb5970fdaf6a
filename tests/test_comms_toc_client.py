"""comms.toc's client against a scripted server (toc_peer.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.clock import Clock
from comms.errors import Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.settings import load
from comms.toc.buddies import STATUSES, Buddy
from comms.toc.client import Client
from comms.toc.markup import Html
from comms.toc.messages import Complaint
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
    """The arguments of every IM that came, over all sessions."""
    lines = [line for session in peer.sessions for line in session.commands()]
    return [arguments(line.partition(" ")[2]) for line in lines if line.startswith("toc_send_im ")]


def told_by(client: Client, buddy: Buddy) -> list[str]:
    """Every status that this buddy changes to, from now on."""
    told: list[str] = []
    for status in STATUSES:
        buddy.on_status(status)(lambda status=status: told.append(status))
    return told


# ── signing on ───────────────────────────────────────────────────────────────


def test_signing_on_goes_step_by_step_and_ends_with_init_done(peer: Peer, client: Client) -> None:
    client.connect()
    kinds = [kind for kind, _ in peer.session.said]
    lines = [payload.rstrip(b"\0").decode() for kind, payload in peer.session.said if kind == 2]
    assert kinds[0] == 1 and peer.session.name == "opsbot"
    assert lines[0].startswith("toc2_signon login.oscar.aol.com 5190 opsbot 0x")
    assert lines[1:] == ["toc_init_done", "toc_get_status opsbot"]


def test_connect_returns_when_everybodys_status_is_known(peer: Peer, client: Client) -> None:
    peer.present = [update("Bob", kind=" OU"), update("Ann Lee", idle=7, evil=20)]
    client.connect()
    bob, ann = client.buddy_list.buddy_named("bob"), client.buddy_list.buddy_named("ann lee")
    assert (bob.status, ann.status, ann.idle_time, ann.warning_level) == ("away", "idle", 7, 20)
    assert ann.last_signon == 1767571200.0 and ann.is_online and ann.is_idle and not bob.is_idle
    assert [
        (group, [buddy.screen_name for buddy in buddies])
        for group, buddies in client.buddy_list.groups.items()
    ] == [("Friends", ["Bob", "Ann Lee"])]
    assert str(client.buddy_list) == "== Friends ==\n * Bob\n * Ann Lee"


def test_a_server_that_answers_no_status_query_costs_two_seconds_once(
    peer: Peer, client: Client
) -> None:
    del peer.on["toc_get_status"]
    peer.present = [update("Bob")]
    start = peer.clock.time()
    client.connect()
    assert client.buddy_list.buddy_named("bob").status == "available"
    assert not client.send_im("bob", "hi")  # sent, and nobody knows
    assert peer.clock.time() - start == 2.0
    peer.clock.wait(None, peer.clock.time())
    assert ims(peer) == [["bob", "hi"]]


def test_a_server_that_answers_late_is_asked_again_once_it_has(peer: Peer, client: Client) -> None:
    answer = peer.on.pop("toc_get_status")
    client.connect()
    assert not client.send_im("bob", "one")
    peer.on["toc_get_status"] = answer
    answer(peer.session, "")
    client.wait()
    assert client.send_im("bob", "two")


def test_a_late_answer_is_not_taken_for_the_next_one(peer: Peer, client: Client) -> None:
    client.connect()
    answer = peer.on["toc_get_status"]
    late: list[str] = ["ERROR:903"]

    def hold(session: Session, rest: str) -> None:
        peer.on["toc_get_status"] = slow

    def slow(session: Session, rest: str) -> None:
        answer(session, rest)  # that of the question before
        peer.on["toc_get_status"] = answer
        peer.clock.at(1, lambda: session.says(*late))
        peer.clock.at(1, lambda: answer(session, rest))

    peer.on["toc_get_status"] = hold
    peer.on["toc_send_im"] = lambda session, rest: session.says(
        "ERROR:961:x"
    )  # so that it is asked again
    assert not client.send_im("bob", "one")
    peer.on["toc_send_im"] = lambda session, rest: None
    client.send_im("bob", "two")
    assert [text for _, text in ims(peer)] == [
        "one",
        "two",
        "two",
    ]  # the 903 that came in between was its own


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
def test_a_refused_sign_on_is_an_exception_with_the_codes_text(
    peer: Peer, client: Client, error: str, kind: type[Exception], text: str
) -> None:
    heard: list[Complaint] = []
    client.on_error(heard.append)
    peer.refusal = error
    with pytest.raises(kind, match=text) as raised:
        client.connect()
    assert "secret" not in str(raised.value)
    assert [f"ERROR:{one.code}" for one in heard] == [
        error[:9]
    ]  # the function hears of it all the same
    with pytest.raises(Unreachable, match="connect"):
        client.wait(1)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (lambda session, rest: session.hangs_up(), "hung up"),
        (lambda session, rest: session.resets(), "hung up|is lost"),
        (lambda session, rest: session.writes(b""), "does not answer the sign-on"),
        (lambda session, rest: session.says("NICK:OpsBot"), "answers the sign-on with NICK"),
        (lambda session, rest: session.writes(b"HTTP/1.0 200 OK\r\n"), "out of step"),
    ],
)
def test_a_server_that_breaks_off_is_unreachable(
    peer: Peer, client: Client, script: Callable[[Session, str], None], text: str
) -> None:
    peer.on["toc2_signon"] = script
    with pytest.raises(Unreachable, match=text):
        client.connect()


def test_nobody_listening_is_unreachable_at_once(peer: Peer, client: Client) -> None:
    peer.close()
    with pytest.raises(Unreachable, match="cannot be reached"):
        client.connect()


@pytest.mark.parametrize("wrong", [{"password": ""}, {"screen_name": ""}, {"password": "пароль"}])
def test_a_name_or_password_that_cannot_be_used_is_a_settings_error(
    peer: Peer, wrong: dict[str, str]
) -> None:
    with pytest.raises(SettingsError, match=r"toc\.screen_name or toc\.password"):
        Client(peer.server(**wrong), peer.clock, peer.host)


def test_the_settings_file_leads_to_it() -> None:
    server = load(
        {"toc": {"host": "toc.example.test", "screen_name": "OpsBot", "password": "x"}}
    ).server("toc")
    assert (server.port, server.tls, server.screen_name) == (9898, "none", "OpsBot")


def test_before_connect_nothing_can_be_said_or_waited_for(client: Client) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: client.wait(1), lambda: client.send_im("bob", "x"), lambda: client.go_away("x")
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(Unreachable, match=r"connect\(\)"):
            attempt()


def test_a_link_cut_at_any_octet_of_the_sign_on_is_unreachable_and_no_more(
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


@pytest.mark.parametrize(
    ("raw", "heard"),
    [
        ("IM_IN2:Bob:F:F:see http://x.test:80/:", ("see http://x.test:80/:", "Bob", False)),
        ("IM_IN:Bob:F:a:b", ("a:b", "Bob", False)),
        ("IM_IN2:Bob:T:F:I am away", ("I am away", "Bob", True)),
        ("IM_IN2:Stranger:F:F:", ("", "Stranger", False)),
        ("IM_IN2:Bob:F:F:<b>1 &lt; 2</b>", ("<b>1 &lt; 2</b>", "Bob", False)),
    ],
)
def test_an_im_comes_as_message_buddy_and_auto_response(
    peer: Peer, client: Client, raw: str, heard: tuple[str, str, bool]
) -> None:
    found: list[tuple[str, str, bool]] = []
    client.on_im(
        lambda message, buddy, auto_response: found.append(
            (message, buddy.screen_name, auto_response)
        )
    )
    client.connect()
    peer.session.says(raw)
    client.wait()
    assert found == [heard]
    assert "<b>1 &lt; 2</b>" not in raw or Html(found[0][0]).text == "1 < 2"


def test_several_functions_may_be_called_for_an_im(peer: Peer, client: Client) -> None:
    heard: list[str] = []

    @client.on_im
    def first(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(f"first {message.text}")

    @client.on_im
    def second(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(f"second {message.text}")

    client.connect()
    peer.session.says("IM_IN2:Bob:F:F:<i>x</i>")
    client.wait()
    assert heard == ["first x", "second x"]


def test_a_function_that_raises_is_reported_and_the_loop_goes_on(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []

    @client.on_im
    def careless(message: Html, buddy: Buddy, auto_response: bool) -> None:
        raise RuntimeError(f"cannot stand {message}")

    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    peer.session.says("IM_IN2:Bob:F:F:one", "IM_IN2:Bob:F:F:two")
    client.wait()
    assert heard == ["one", "two"]
    assert peer.log() == [
        f"handler-failed handler=careless trouble=RuntimeError: cannot stand {one}" for one in heard
    ]


def test_a_message_that_cannot_be_understood_is_reported_and_the_loop_goes_on(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    peer.session.says(
        "IM_IN2:Bob", "UPDATE_BUDDY2:Bob:T:x:0:0: O :", "WHATEVER:1:2", "IM_IN2:Bob:F:F:still here"
    )
    client.wait()
    assert heard == ["still here"]
    assert [line.split()[0] for line in peer.log()] == ["aim-not-understood"] * 2


def test_an_im_goes_out_as_safe_html_to_the_normalised_name(peer: Peer, client: Client) -> None:
    client.connect()
    client.buddy_list.buddy_named("Ann Lee").send_im('1 < 2 && "x" {y} $z\nsecond €')
    client.send_im("bob", Html("<b>bold</b>"))
    assert ims(peer) == [
        ["annlee", '1 &lt; 2 &amp;&amp; "x" {y} $z<br>second &#8364;'],
        ["bob", "<b>bold</b>"],
    ]


def test_an_auto_response_says_that_it_is_one(peer: Peer, client: Client) -> None:
    client.connect()
    client.send_im("bob", "away", auto_response=True)
    assert ims(peer) == [["bob", "away", "auto"]]


def test_a_long_im_goes_as_several_parted_between_lines_each_under_the_limit(
    peer: Peer, client: Client
) -> None:
    lines = [f"/dev/disk{n:<4} <{n}> & some more of the text $" for n in range(100)]
    client.connect()
    client.send_im("bob", "\n".join(lines))
    sent = [text for _, text in ims(peer)]
    assert len(sent) == 3
    assert [line for text in sent for line in Html(text).text.splitlines()] == lines
    longest = max(len(payload) for kind, payload in peer.session.said)
    assert (
        1900 < longest + 6 <= 2048
    )  # header and NUL included (the peer asserts it of every frame)


def test_nothing_is_sent_of_html_that_cannot_be_parted(peer: Peer, client: Client) -> None:
    client.connect()
    with pytest.raises(ValueError, match="a line of HTML"):
        client.send_im("bob", Html("<b>short</b>\n<i>" + "x" * 3000 + "</i>"))
    assert ims(peer) == []


def test_an_im_to_somebody_who_is_not_there_is_refused_and_heard_of(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []
    client.on_error(lambda error: heard.append(str(error)))
    peer.on["toc_send_im"] = lambda session, rest: session.says(f"ERROR:901:{arguments(rest)[0]}")
    client.connect()
    with pytest.raises(Refused, match="901 bob is not available"):
        client.send_im("Bob", "hi")
    client.wait()
    assert heard == ["901 bob is not available"]


def test_complaints_about_something_else_do_not_count(peer: Peer, client: Client) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.says("ERROR:961:ann", "ERROR:913:x")
    client.connect()
    client.send_im("bob", "hi")
    assert len(ims(peer)) == 1


@pytest.mark.parametrize("error", ["ERROR:903", "ERROR:960:bob"])
def test_rate_limits_are_waited_out_and_the_im_is_sent_again(
    peer: Peer, client: Client, error: str
) -> None:
    answers = [error, error]
    times: list[float] = []

    def limited(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        if answers:
            session.says(answers.pop())

    peer.on["toc_send_im"] = limited
    client.connect()
    client.send_im("bob", "x" * 3000)
    assert [b - a for a, b in pairwise(times)] == [15.0, 30.0, 0.0]
    texts = [text for _, text in ims(peer)]
    assert texts[0] == texts[1] == texts[2] and texts[2] + texts[3] == "x" * 3000


def test_a_rate_limit_without_end_is_given_up(peer: Peer, client: Client) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.says("ERROR:903")
    client.connect()
    with pytest.raises(TryLater, match=r"903 .*6 times"):
        client.send_im("bob", "hi")
    assert len(ims(peer)) == 6


def test_what_comes_while_an_im_is_sent_is_heard_afterwards_in_order(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []
    peer.on["toc_send_im"] = lambda session, rest: session.says(
        "IM_IN2:Ann:F:F:two", update("Bob"), "IM_IN2:Ann:F:F:three"
    )

    @client.on_im
    def answer(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(message)
        if message == "one":
            client.send_im("bob", "hi")
            heard.append("sent")

    client.connect()
    peer.session.says("IM_IN2:Ann:F:F:one")
    client.wait()
    assert heard == ["one", "sent", "two", "three"]
    assert client.buddy_list.buddy_named("bob").is_online


# ── what is never answered ───────────────────────────────────────────────────


def test_an_auto_response_is_heard_and_never_answered(peer: Peer, client: Client) -> None:
    client.on_im(lambda message, buddy, auto_response: buddy.send_im(f"you said {message}"))
    client.connect()
    peer.session.says("IM_IN2:Bob:T:F:I am away", "IM_IN2:Bob:F:F:hello")
    client.wait()
    assert ims(peer) == [["bob", "you said hello"]]
    assert any("aim-not-answered to=Bob" in line for line in peer.log())


def test_whoever_sent_an_auto_response_may_be_told_things_later(peer: Peer, client: Client) -> None:
    client.on_im(lambda message, buddy, auto_response: None)
    client.connect()
    peer.session.says("IM_IN2:Bob:T:F:I am away")
    client.wait()
    assert client.send_im("bob", "news")
    assert ims(peer) == [["bob", "news"]]


def test_during_an_auto_response_others_may_be_told(peer: Peer, client: Client) -> None:
    client.on_im(lambda message, buddy, auto_response: client.send_im("ann", f"{buddy} is away"))
    client.connect()
    peer.session.says("IM_IN2:Bob:T:F:I am away")
    client.wait()
    assert ims(peer) == [["ann", "Bob is away"]]


def test_ones_own_words_are_not_handed_on(peer: Peer, client: Client) -> None:
    heard: list[Any] = []
    client.on_im(lambda *values: heard.append(values))
    client.on_chat(lambda *values: heard.append(values))
    client.connect()
    peer.session.says("IM_IN2:Ops Bot:F:F:hi", "CHAT_IN:1:OPSBOT:F:hi")
    client.wait()
    assert heard == []


# ── statuses ─────────────────────────────────────────────────────────────────


BOTH_WAYS = ["online", "available", "offline", "online", "available"]


@pytest.mark.parametrize(
    ("updates", "told"),
    [
        ([update("Bob")], ["online", "available"]),
        ([update("Bob", kind=" OU")], ["online", "away"]),
        ([update("Bob", idle=3)], ["online", "idle"]),
        ([update("Bob", idle=3, kind=" OU")], ["online", "away"]),
        ([update("Bob"), update("Bob"), update("Bob", evil=10)], ["online", "available"]),
        ([update("Bob"), update("Bob", idle=1), update("Bob", idle=2)], ["online", "available", "idle"]),
        ([update("Bob"), update("Bob", kind=" OU"), update("Bob")], ["online", "available", "away", "available"]),
        ([update("Bob", idle=1, kind=" OU"), update("Bob", idle=2)], ["online", "away", "idle"]),
        ([update("Bob", idle=1), update("Bob")], ["online", "idle", "available"]),
        ([update("Bob"), update("Bob", "F", kind="   "), update("Bob")], BOTH_WAYS),
        ([update("Bob", "F", kind="   ")], []),
        ([update("Bob", kind=" U ")], ["online", "available"]),  # the second place: an unconfirmed account
        (["UPDATE_BUDDY:Bob:T:0:0:0: O"], ["online", "available"]),
        ([update("BOB")], ["online", "available"]),
        ([update("Nobody We Know")], []),
    ],
)  # fmt: skip
def test_a_status_is_told_when_it_is_changed_to_and_only_then(
    peer: Peer, client: Client, updates: list[str], told: list[str]
) -> None:
    found = told_by(client, client.buddy_list.buddy_named("bob"))
    client.connect()
    peer.session.says(*updates)
    client.wait()
    assert found == told


def test_the_status_is_set_when_the_function_is_called(peer: Peer, client: Client) -> None:
    bob = client.buddy_list.buddy_named("bob")
    seen: list[str] = []

    @bob.on_status("online", "offline")
    def changed() -> None:
        seen.append(bob.status)

    client.connect()
    peer.session.says(update("Bob", kind=" OU"), update("Bob", "F"))
    client.wait()
    assert seen == ["away", "offline"]


def test_a_buddy_is_called_as_its_owner_writes_it(peer: Peer, client: Client) -> None:
    bob, ann = client.buddy_list.buddy_named("b o b"), client.buddy_list.buddy_named("annlee")
    client.connect()
    assert (str(bob), str(ann)) == ("b o b", "annlee")
    peer.session.says(update("BoB"), "IM_IN2:AnnLEE:F:F:hi")
    client.wait()
    assert (str(bob), str(ann)) == ("BoB", "AnnLEE")


def test_nothing_is_told_for_a_status_held_already(peer: Peer, client: Client) -> None:
    peer.present = [update("Bob")]
    client.connect()
    found = told_by(client, client.buddy_list.buddy_named("bob"))
    peer.session.says(update("Bob"))
    client.wait()
    assert found == []


def test_an_unknown_status_is_an_error_that_suggests_one(client: Client) -> None:
    with pytest.raises(ValueError, match="did you mean 'available'"):
        client.buddy_list.buddy_named("bob").on_status("availible")


def test_whoever_is_to_be_watched_is_asked_for_once_before_and_after_signing_on(
    peer: Peer, client: Client
) -> None:
    for name in ("bob", "Ann Lee", "BOB"):
        client.buddy_list.buddy_named(name).on_status("online")(lambda: None)
    client.connect()
    client.buddy_list.buddy_named("carl").on_status("online", "offline")(lambda: None)
    client.wait()
    assert peer.session.commands() == ["toc_add_buddy bob annlee", "toc_add_buddy carl"]


def test_many_watched_names_go_in_several_commands(peer: Peer, client: Client) -> None:
    for number in range(500):
        client.buddy_list.buddy_named(f"somebody{number}").on_status("online")(lambda: None)
    client.connect()
    lines = peer.session.commands()
    assert len(lines) == 3
    assert [name for line in lines for name in line.split()[1:]] == [
        f"somebody{number}" for number in range(500)
    ]


def test_strangers_who_say_something_do_not_fill_the_memory(peer: Peer, client: Client) -> None:
    client.on_im(lambda message, buddy, auto_response: None)
    client.connect()
    peer.session.says(*(f"IM_IN2:Stranger{number}:F:F:hi" for number in range(100)))
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
    assert {
        group: [one.name for one in buddies] for group, buddies in client.buddy_list.groups.items()
    } == {
        "Friends": ["bob"],
        "Work Friends": ["carl{c}"],
    }


def test_names_that_no_list_can_hold_are_refused(client: Client) -> None:
    for attempt in (
        lambda: client.buddy_list.add_group("a:b"),
        lambda: client.buddy_list.add_buddy("Friends", "x\ny"),
        lambda: client.buddy_list.buddy_named("  "),
    ):
        with pytest.raises(ValueError):
            attempt()
    with pytest.raises(KeyError, match="not in group"):
        client.buddy_list.remove_buddy("Friends", "nobody")


def test_away_idle_and_warning(peer: Peer, client: Client) -> None:
    client.connect()
    client.go_away("back at 5 {<hm>}\nreally")
    client.come_back()
    client.idle(600)
    client.idle(0)
    client.buddy_list.buddy_named("Bob").warn()
    client.buddy_list.buddy_named("Bob").warn(anonymous=True)
    peer.session.says("EVILED:10:Bob")
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
    peer.on["toc_evil"] = lambda session, rest: session.says(f"ERROR:902:{rest.split()[0]}")
    client.connect()
    with pytest.raises(Refused, match="902 a warning of bob is not available"):
        client.buddy_list.buddy_named("bob").warn()


def test_a_chat_room_is_joined_heard_spoken_in_and_left(peer: Peer, client: Client) -> None:
    heard: list[tuple[str, str, str]] = []
    client.on_chat(lambda message, buddy, room: heard.append((message, buddy.screen_name, room)))
    peer.on["toc_chat_join"] = lambda session, rest: session.says(
        f"CHAT_JOIN:820142221:{arguments(rest)[1]}", "CHAT_UPDATE_BUDDY:820142221:T:OpsBot:Bob"
    )
    client.connect()
    client.join_chat("War Room")
    peer.session.says("CHAT_IN:820142221:Bob:F:what: now?", "CHAT_IN:820142221:OpsBot:F:mine")
    client.wait()
    client.send_chat("war  room", "a < b")
    client.leave_chat("War Room")
    client.wait()
    assert heard == [("what: now?", "Bob", "War Room")]
    assert peer.session.commands() == [
        'toc_chat_join 4 "War Room"', 'toc_chat_send 820142221 "a &lt; b"', "toc_chat_leave 820142221"
    ]  # fmt: skip
    with pytest.raises(Refused, match="was not joined"):
        client.send_chat("War Room", "x")


def test_a_room_that_cannot_be_joined_is_refused(peer: Peer, client: Client) -> None:
    peer.on["toc_chat_join"] = lambda session, rest: session.says("ERROR:950:War Room")
    client.connect()
    with pytest.raises(Refused, match="950 the chat in War Room is not available"):
        client.join_chat("War Room")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 180), max_size=12))
def test_any_chopping_of_what_the_server_says_gives_the_same_calls(cuts: list[int]) -> None:
    peer = Peer()
    heard: list[object] = []
    with Client(peer.server(), peer.clock, peer.host) as client:
        client.on_im(lambda message, buddy, auto: heard.append((message, str(buddy), auto)))
        client.on_error(lambda error: heard.append(str(error)))
        heard_of = told_by(client, client.buddy_list.buddy_named("bob"))
        client.connect()
        raw = peer.session.framed(
            "IM_IN2:Bob:F:F:one", update("Bob", idle=3), "ERROR:901:ann", "IM_IN2:Ann:T:F:two"
        )
        edges = [0, *sorted(cut for cut in set(cuts) if cut < len(raw)), len(raw)]
        for second, (begin, end) in enumerate(pairwise(edges), 1):
            peer.clock.at(second, lambda begin=begin, end=end: peer.session.writes(raw[begin:end]))  # type: ignore[misc]
        client.wait()
    peer.close()
    assert heard == [("one", "Bob", False), "901 ann is not available", ("two", "Ann", True)]
    assert heard_of == ["online", "idle"]


def test_keep_alives_are_traffic_and_no_more(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    peer.session.says("", kind=5)
    peer.session.says("\0", kind=5)
    peer.session.says("?", kind=9)
    peer.session.says("IM_IN2:Bob:F:F:hi")
    client.wait()
    assert heard == ["hi"]


# ── leaving, losing, coming again ────────────────────────────────────────────


def test_the_last_im_arrives_although_frames_stand_unread_when_the_client_leaves(
    peer: Peer, client: Client
) -> None:
    del peer.on["toc_get_status"]  # so that nothing is read behind the IM
    peer.on["toc_send_im"] = lambda session, rest: session.says(
        *(f"IM_IN2:Bob:F:F:{'x' * 7000}" for _ in range(20))
    )
    client.connect()
    client.send_im("bob", "first")
    client.send_im("bob", "the last word")
    client.disconnect()
    peer.serve()
    assert ims(peer)[-1] == ["bob", "the last word"]
    assert peer.session.ended == "closes"  # a reset would have taken it back


def test_after_disconnect_connect_may_be_called_again_and_functions_stay(
    peer: Peer, client: Client
) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    client.disconnect()
    client.disconnect()
    client.connect()
    peer.session.says("IM_IN2:Bob:F:F:hi")
    client.wait()
    assert heard == ["hi"] and len(peer.sessions) == 2


def test_a_function_may_leave_and_wait_returns(peer: Peer, client: Client) -> None:
    heard: list[str] = []

    @client.on_im
    def enough(message: Html, buddy: Buddy, auto_response: bool) -> None:
        heard.append(message)
        client.disconnect()

    client.connect()
    peer.session.says("IM_IN2:Bob:F:F:stop", "IM_IN2:Bob:F:F:too late")
    peer.clock.at(60, lambda: None)
    client.wait()
    assert heard == ["stop"] and len(peer.sessions) == 1 and peer.log() == []


def test_a_new_connection_begins_afresh(peer: Peer, client: Client) -> None:
    peer.present = [update("Bob")]
    peer.on["toc_chat_join"] = lambda session, rest: session.says("CHAT_JOIN:1:War Room")
    client.connect()
    client.go_away("out")
    client.idle(60)
    client.join_chat("War Room")
    client.disconnect()
    peer.present = []
    told = told_by(client, client.buddy_list.buddy_named("bob"))
    client.connect()
    assert peer.session.commands() == ["toc_add_buddy bob"] and told == ["offline"]
    with pytest.raises(Refused, match="was not joined"):
        client.send_chat("War Room", "x")


def test_an_away_message_that_is_too_long_is_refused_and_forgotten(
    peer: Peer, client: Client
) -> None:
    client.connect()
    with pytest.raises(ValueError, match="toc_set_away has"):
        client.go_away("x" * 3000)
    peer.session.hangs_up()
    peer.clock.at(60, lambda: None)
    client.wait()
    assert peer.session.commands() == [] and len(peer.sessions) == 2


def test_a_flood_is_not_read_without_end_while_an_answer_is_awaited(
    peer: Peer, client: Client
) -> None:
    client.connect()
    peer.on["toc_send_im"] = lambda session, rest: session.says(
        *["IM_IN2:Bob:F:F:flood"] * (INBOX + 10)
    )
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    assert not client.send_im("bob", "hi")
    client.wait()
    assert len(heard) == INBOX + 10


def test_wait_returns_when_its_limit_is_over(peer: Peer, client: Client) -> None:
    client.connect()
    start = peer.clock.time()
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    peer.clock.at(10, lambda: peer.session.says("IM_IN2:Bob:F:F:in time"))
    peer.clock.at(31, lambda: peer.session.says("IM_IN2:Bob:F:F:later"))
    client.wait(30)
    assert heard == ["in time"] and peer.clock.time() - start == 30
    client.wait(30)
    assert heard == ["in time", "later"]


@pytest.mark.parametrize(
    "loss",
    [Session.hangs_up, Session.resets, Session.skips, lambda session: session.says("", kind=4)],
)
def test_a_lost_link_is_established_again_with_everything_as_it_was(
    peer: Peer, client: Client, loss: Callable[[Session], None]
) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.buddy_list.buddy_named("carl").on_status("online")(lambda: None)
    peer.on["toc_chat_join"] = lambda session, rest: session.says(
        f"CHAT_JOIN:{len(peer.sessions)}:War Room"
    )
    client.connect()
    client.go_away("out")
    client.idle(60)
    client.join_chat("War Room")

    def lose() -> None:
        loss(peer.session)
        if not peer.session.closed:
            peer.session.says("NICK:OpsBot")

    peer.clock.at(10, lose)
    peer.clock.at(60, lambda: peer.session.says("IM_IN2:Bob:F:F:back again"))
    client.wait()
    assert len(peer.sessions) == 2 and heard == ["back again"]
    sent = peer.session.commands()
    assert sent[:2] == ["toc_add_buddy carl", 'toc_set_away "out"']
    assert sent[2] in ("toc_set_idle 71", "toc_set_idle 72")  # 60, and 10 seconds, and the pause
    assert sent[3:] == ['toc_chat_join 4 "War Room"']
    assert [line.split()[0] for line in peer.log()] == ["aim-link-lost", "aim-back"]
    client.send_chat("war room", "hi")
    assert peer.session.commands()[-1] == 'toc_chat_send 2 "hi"'


def test_a_link_cut_at_any_octet_is_established_again(peer: Peer, client: Client) -> None:
    heard: list[str] = []
    client.on_im(lambda message, buddy, auto_response: heard.append(message))
    client.connect()
    whole = peer.session.bytes_out
    news = ["IM_IN2:Bob:F:F:one", "IM_IN2:Bob:F:F:two"]
    for cut in range(1, sum(6 + len(one) for one in news)):
        heard.clear()
        peer.budgets = [whole + cut]
        client.connect()
        peer.session.says(*news)
        peer.clock.at(30, lambda: peer.session.says("IM_IN2:Bob:F:F:three"))
        client.wait()
        assert heard == [*["one", "two"][: cut // 24], "three"]
    assert {line.split()[0] for line in peer.log()} == {"aim-link-lost", "aim-back"}


def test_a_lost_link_makes_no_status_change_that_did_not_happen(peer: Peer, client: Client) -> None:
    bob, ann = client.buddy_list.buddy_named("bob"), client.buddy_list.buddy_named("annlee")
    peer.present = [update("Bob"), update("Ann Lee", kind=" OU")]
    client.connect()
    told = [told_by(client, bob), told_by(client, ann)]

    def lose() -> None:
        peer.present = [update("Bob")]
        peer.session.hangs_up()

    peer.clock.at(10, lose)
    peer.clock.at(60, lambda: None)
    client.wait()
    assert told == [[], ["offline"]]  # Ann left while the link was down
    assert (bob.status, ann.status) == ("available", "offline")


def test_the_pauses_before_coming_again_grow_and_are_jittered(peer: Peer, client: Client) -> None:
    client.connect()
    times: list[float] = []

    def down(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        session.says("ERROR:981")
        session.hangs_up()

    peer.on["toc2_signon"] = down
    peer.session.hangs_up()
    peer.clock.at(2000, lambda: None)
    client.wait()
    pauses = [b - a for a, b in pairwise(times)]
    expected = [4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert all(most / 2 <= pause < most for pause, most in zip(pauses, expected, strict=False))
    assert (
        len(pauses) >= 8
        and len({pause / most for pause, most in zip(pauses, expected, strict=False)}) > 5
    )


def test_a_server_that_takes_us_in_and_cuts_us_off_again_is_not_hammered(
    peer: Peer, client: Client
) -> None:
    client.connect()
    times: list[float] = []

    def cut(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        peer.clock.at(0, session.hangs_up)

    peer.on["toc_set_away"] = cut
    client.go_away("out")
    peer.clock.at(2000, lambda: None)
    client.wait()
    assert 5 < len(times) < 25 and times[-1] - times[-2] > 100


def test_a_server_that_finds_us_too_often_is_left_alone_for_ten_minutes(
    peer: Peer, client: Client
) -> None:
    client.connect()
    times: list[float] = []

    def busy(session: Session, rest: str) -> None:
        times.append(peer.clock.time())
        session.says("ERROR:983")
        session.hangs_up()

    peer.on["toc2_signon"] = busy
    peer.session.hangs_up()
    peer.clock.at(2000, lambda: None)
    client.wait()
    assert times[1] - times[0] >= 600


def test_a_password_changed_meanwhile_ends_the_waiting(peer: Peer, client: Client) -> None:
    client.connect()
    peer.refusal = "ERROR:980"
    peer.session.hangs_up()
    peer.clock.at(60, lambda: None)
    with pytest.raises(Refused, match="980"):
        client.wait()


def test_wait_with_a_limit_goes_on_with_coming_again_at_the_next_call(
    peer: Peer, client: Client
) -> None:
    client.connect()
    refusal, peer.refusal = peer.refusal, "ERROR:981"
    peer.session.hangs_up()
    peer.clock.at(200, lambda: None)
    start = peer.clock.time()
    client.wait(30)
    assert peer.clock.time() - start == 30 and len(peer.sessions) == 5
    peer.refusal = refusal
    client.wait(60)
    assert peer.clock.time() - start == 90
    client.send_im("bob", "here again")
    assert ims(peer) == [["bob", "here again"]]


def test_a_link_lost_behind_an_im_leaves_its_fate_unknown(peer: Peer, client: Client) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.hangs_up()
    client.connect()
    with pytest.raises(Unknown, match="nobody knows whether"):
        client.send_im("bob", "hi")


def test_a_function_whose_link_is_lost_does_not_end_the_program(peer: Peer, client: Client) -> None:
    peer.on["toc_send_im"] = lambda session, rest: session.hangs_up()
    client.on_im(lambda message, buddy, auto_response: buddy.send_im("hi"))
    client.connect()
    peer.session.says("IM_IN2:Bob:F:F:hello")
    peer.clock.at(60, lambda: None)
    client.wait()
    assert len(peer.sessions) == 2
    assert [line.split()[0] for line in peer.log()] == [
        "handler-failed",
        "aim-link-lost",
        "aim-back",
    ]


def test_what_is_said_over_a_lost_link_is_not_sent_and_says_so(peer: Peer, client: Client) -> None:
    client.connect()
    peer.session.resets()
    peer.serve()
    with pytest.raises((Unreachable, Unknown)):
        client.send_im("bob", "hi")


def test_a_pause_is_taken_as_a_call_to_sign_on_anew(peer: Peer, client: Client) -> None:
    client.connect()
    peer.clock.at(10, lambda: peer.session.says("PAUSE"))
    peer.clock.at(60, lambda: None)
    client.wait()
    assert len(peer.sessions) == 2


def test_buddies_compare_by_normalised_name(client: Client) -> None:
    ann = client.buddy_list.buddy_named("Ann Lee")
    assert client.buddy_list.buddy_named("annlee") is ann and str(ann) == "Ann Lee"
    assert Buddy(client, "ANN  LEE") == ann and len({ann, Buddy(client, "annlee")}) == 1
    assert Buddy(client, "Ann") < ann and ann != "annlee" and "Ann Lee: offline" in repr(ann)

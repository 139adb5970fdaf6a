"""Commands for chat rooms."""

from __future__ import annotations

import pytest

from tests.test_fakes_toc_commands_messaging import Pair
from tests.test_fakes_toc_session import Bench, taken
from tests.toc_raw import Raw


@pytest.mark.slow
def test_a_long_member_list_is_split_into_messages_of_at_most_8185_bytes() -> None:
    names = [f"{n:04}" + "x" * 44 for n in range(200)]  # 9,800 bytes
    bench = Bench(accounts=names)
    clients = [(raw, bench.signed_on(raw)) for raw in map(Raw, names)]
    for raw, core in clients:
        core.receive(raw.command("toc_chat_join 4 lobby"))
    raw, core = clients[-1]
    messages = raw.feed(taken(core))
    listed = [text.split(":")[3:] for text in messages if text.startswith("CHAT_UPDATE_BUDDY")]
    assert len(listed) > 1
    assert [name for names in listed for name in names] == names


# ── joining, talking, leaving ────────────────────────────────────────────────


def test_a_message_reaches_all_members_and_a_whisper_one() -> None:
    two = Pair("toc_signon", "toc2_login")
    assert two.say(two.alice, "toc_chat_join 4 The Lobby") == (
        ["CHAT_JOIN:1:The Lobby", "CHAT_UPDATE_BUDDY:1:T:alice"],
        [],
    )
    two.say(two.bob, 'toc_chat_join 4 "the  lobby"')
    assert two.say(two.alice, 'toc_chat_send 1 "a: b"') == (
        ["CHAT_IN:1:alice:F:a: b"],
        ["CHAT_IN_ENC:1:alice:F:A:en:a: b"],
    )
    assert two.say(two.bob, "toc_chat_send_enc 1 U hello") == (
        ["CHAT_IN:1:bob:F:hello"],
        ["CHAT_IN_ENC:1:bob:F:A:en:hello"],
    )
    assert two.say(two.alice, "toc_chat_whisper 1 BOB psst") == (
        [],
        ["CHAT_IN_ENC:1:alice:T:A:en:psst"],
    )
    assert two.say(two.bob, "toc_chat_leave 1") == (
        ["CHAT_UPDATE_BUDDY:1:F:bob"],
        ["CHAT_LEFT:1"],
    )


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("toc_chat_join 5 lobby", "ERROR:950:lobby"),
        ("toc_chat_join 4 a:b", "ERROR:950:a:b"),
        ("toc_chat_accept 7", "ERROR:950:7"),
        ("toc_chat_send 7 hello", "ERROR:950:7"),
        ("toc_chat_whisper 7 bob hello", "ERROR:950:7"),
        ("toc_chat_invite 7 hello bob", "ERROR:950:7"),
        ("toc_chat_leave 7", "ERROR:950:7"),
        ("toc_chat_send 1 hello", "ERROR:950:1"),  # of bob, where alice is not
        ("toc_chat_leave 1", "ERROR:950:1"),
    ],
)
def test_a_room_that_the_user_is_not_in_is_unavailable(command: str, answer: str) -> None:
    two = Pair("toc_signon", "toc_signon")
    two.say(two.bob, "toc_chat_join 4 hall")
    assert two.say(two.alice, command) == ([answer], [])


def test_each_invitation_is_sent_although_one_fails() -> None:
    two = Pair("toc_signon", "toc_signon")
    two.say(two.alice, "toc_chat_join 4 lobby")
    heard = two.say(two.alice, 'toc_chat_invite 1 "come: in" nobody bob')
    assert heard == (["ERROR:901:nobody"], ["CHAT_INVITE:lobby:1:alice:come: in"])
    assert two.say(two.bob, "toc_chat_accept 1") == (
        ["CHAT_UPDATE_BUDDY:1:T:bob"],
        ["CHAT_JOIN:1:lobby", "CHAT_UPDATE_BUDDY:1:T:alice:bob"],
    )
    assert two.say(two.alice, "toc_chat_whisper 1 nobody psst") == (["ERROR:901:nobody"], [])

"""Commands for a user's lists: buddies, groups, permissions, and their limits."""

from __future__ import annotations

import pytest

from fakes.toc import frames
from fakes.toc.lists import LIST_LIMIT
from tests.test_fakes_toc_session import Bench, taken
from tests.toc_raw import Raw


@pytest.mark.slow
def test_a_list_that_no_longer_fits_one_message_is_refused_with_931() -> None:
    bench, raw = Bench(), Raw("alice", form="toc2_signon")
    core = bench.signed_on(raw)
    for n in range(200):  # the whole list is saved each time, so more would take long
        core.receive(raw.command(f"toc2_new_buddies {{g:g{n}\nb:b{n:040}\n}}"))
    messages = raw.feed(taken(core))
    assert any(message.startswith("ERROR:931") for message in messages)
    for n in range(200):
        core.receive(raw.command(f"toc2_add_permit p{n:040}"))
        core.receive(raw.command(f"toc2_add_deny d{n:040}"))
    core.receive(raw.command("toc2_set_pdmode 1"))
    core.eof()
    again = Raw("alice", form="toc2_signon")
    bench.signed_on(again)  # the client checks the length of each message
    assert len(again.messages[2]) <= frames.MESSAGE_LIMIT
    assert again.messages[2].count("\nb:") + 1 > 100


@pytest.mark.slow
def test_the_lists_and_rooms_of_a_session_are_bounded() -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    for n in range(300):
        names = " ".join(f"buddy{n}x{m}" for m in range(100))
        core.receive(raw.command(f"toc_add_buddy {names}"))
        core.receive(raw.command(f"toc_add_deny {names}"))
        core.receive(raw.command(f"toc_chat_join 4 room{n}"))
    assert len(core.presence.watched) == LIST_LIMIT
    assert len(core.presence.permissions.denied) == LIST_LIMIT
    assert len(core.presence.rooms) == 100
    assert "ERROR:950:room100" in raw.feed(taken(core))
    core.eof()
    assert bench.aim.rooms.find("1") is None


def test_a_toc_1_client_may_use_toc2_commands_but_receives_no_toc2_messages() -> None:
    bench, raw, bob = Bench(), Raw("alice"), Raw("bob", form="toc2_signon")
    other, core = bench.signed_on(bob), bench.signed_on(raw)
    for text in (
        "toc2_new_buddies {g:friends\nb:bob\n}",
        "toc2_send_im bob hello",
        "toc2_set_pdmode 2",
        "toc2_add_deny bob",
    ):
        core.receive(raw.command(text))
    other.receive(bob.command("toc2_client_event alice 2"))
    assert raw.feed(taken(core)) == []
    assert bob.feed(taken(other)) == ["IM_IN2:alice:F:F:hello"]
    assert core.presence.account.lists.text == "m 1\ng friends\nb bob\n"


def test_the_words_of_an_unquoted_group_are_not_taken_for_buddies() -> None:
    bench, raw = Bench(), Raw("alice", form="toc2_signon")
    core = bench.signed_on(raw)
    core.receive(raw.command("toc2_new_buddies {g:Old bob\nb:bob\nb:old\nb:sysadmin\n}"))
    core.receive(raw.command("toc2_remove_buddy sysadmin Old bob"))
    assert core.presence.account.lists.buddies == ["bob", "old"]


# ── a text that is stored is kept as it is ───────────────────────────────────

CONFIG = "m 1\ng Buddies\nb them\n"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (CONFIG, CONFIG),
        ('"' + CONFIG + '"', CONFIG),
        ("{" + CONFIG + "}", CONFIG),
        ('"{' + CONFIG + '}"', CONFIG),
        ("   {" + CONFIG + "}  ", CONFIG),
        ("{" + CONFIG + "}\n", CONFIG),
        ("m 1\ng My  Old   Friends\nb them\n", "m 1\ng My  Old   Friends\nb them\n"),
        ("m 1\r\ng Buddies\r\nb them\r\n", "m 1\r\ng Buddies\r\nb them\r\n"),
        ("m 1\n\n\ng Buddies\n\nb them", "m 1\n\n\ng Buddies\n\nb them"),
        ('m 1\ng The "gang\nb them\n', 'm 1\ng The "gang\nb them\n'),
        ("m 1\ng {open\nb them\n", "m 1\ng {open\nb them\n"),
        ('m 1\ng "Quoted  Name"\nb them\n', 'm 1\ng "Quoted  Name"\nb them\n'),
        ("m 1\ng Work \\(old\\)\nb them\n", "m 1\ng Work (old)\nb them\n"),
        ("m 1\ng\tTabs\tinside\nb them\n", "m 1\ng\tTabs\tinside\nb them\n"),
        ("m 3\n", "m 3\n"),
        ("", ""),
        ('""', ""),
    ],
)
def test_a_configuration_comes_back_as_it_was_sent(written: str, kept: str) -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    core.receive(raw.command(f"toc_set_config {written}"))
    assert not core.closed
    core.eof()
    again = Raw("alice")
    bench.signed_on(again)
    assert f"CONFIG:{kept}" in again.messages


@pytest.mark.parametrize(
    "written",
    ["{g:My  Friends\nb:them\nb:ops\n}", "g:My  Friends\nb:them\nb:ops\n",
     '"g:My  Friends\nb:them\nb:ops"', "g:My  Friends\r\nb:them\r\nb:ops"],
)  # fmt: skip
def test_buddies_on_several_lines_are_added_with_or_without_braces(written: str) -> None:
    bench, raw = Bench(), Raw("alice", form="toc2_signon")
    core = bench.signed_on(raw)
    core.receive(raw.command(f"toc2_new_buddies {written}"))
    lists = core.presence.account.lists
    assert list(lists.groups["My  Friends"].values()) == ["them", "ops"]

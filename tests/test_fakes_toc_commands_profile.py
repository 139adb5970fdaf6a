"""Commands for what a user shows of itself, and for questions about others."""

from __future__ import annotations

import re

import pytest

from fakes.toc import Policy
from tests.test_fakes_toc_commands_messaging import Pair
from tests.test_fakes_toc_door import FORMS, Two
from tests.test_fakes_toc_session import Bench, taken
from tests.toc_raw import Raw


def test_a_screen_name_has_at_most_48_bytes() -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    core.receive(raw.command("toc_format_nickname " + " ".join("alice") + " " * 60))
    core.receive(raw.command(f'toc_format_nickname "{"alice".ljust(48)}"'))
    core.receive(raw.command(f'toc_format_nickname "{"alice".ljust(49)}"'))
    assert raw.feed(taken(core))[-3:] == [
        "ADMIN_NICK_STATUS:0",
        "NICK:" + "alice".ljust(48),
        "ERROR:911",
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 217, 218, 219, 220, 1000])
def test_more_capabilities_than_a_message_holds_are_refused(form: str, count: int) -> None:
    two = Two(form, Policy(command=65535))
    longest = "alice".ljust(48)  # a name of the greatest length
    two.say(two.alice, f'toc_format_nickname "{longest}"')
    two.say(two.bob, "toc_add_buddy alice")
    two.heard(two.alice), two.heard(two.bob)
    two.say(two.alice, "toc_set_caps " + " ".join(f"{n:x}" for n in range(count)))
    refused = ["ERROR:911"] if count > 219 else []
    assert two.heard(two.alice) == refused
    shown = [text for text in two.heard(two.bob) if text.startswith("BUDDY_CAPS2")]
    assert len(shown) == (form != "toc_signon" and not refused)


# ── what a user stores, and asks of others ───────────────────────────────────


def test_a_profile_and_a_directory_entry_have_addresses() -> None:
    two = Pair("toc_signon", "toc_signon")
    assert two.say(two.alice, "toc_set_info <b>me</b>") == ([], [])
    assert two.say(two.alice, 'toc_set_dir "Alice:\\"\\":Liddell"') == (["DIR_STATUS:0"], [])
    for command, window, page in (
        ("toc_get_info", "profile", "info"),
        ("toc_get_dir", "directory info", "dir_info"),
    ):
        _, [answer] = two.say(two.bob, f"{command} alice")
        assert re.fullmatch(rf"GOTO_URL:{window}:{page}\?cookie=\d+&user=alice", answer)
    account = two.bench.aim.known.find("alice")
    assert account is not None
    assert (account.profile, account.directory) == ("<b>me</b>", ("Alice", "", "Liddell"))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("toc_get_info nobody", "ERROR:901:nobody"),
        ("toc_get_status nobody", "ERROR:901:nobody"),
        ("toc_get_dir bob", "ERROR:977"),
        ("toc_dir_search a:b", "ERROR:973"),
        ("toc_format_nickname bob", "ERROR:911"),
        ("toc_change_passwd wrong other", "ERROR:911"),
        ('toc_change_passwd secret ""', "ERROR:911"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_an_error(command: str, answer: str) -> None:
    two = Pair("toc_signon", "toc_signon")
    assert two.say(two.alice, command) == ([answer], [])


def test_a_changed_password_is_needed_from_then_on() -> None:
    two = Pair("toc_signon", "toc_signon")
    assert two.say(two.alice, "toc_change_passwd secret caf\xe9") == (["ADMIN_PASSWD_STATUS:0"], [])
    aim = two.bench.aim
    assert aim.authenticate("alice", b"secret") is None
    assert aim.authenticate("alice", b"caf\xe9") is aim.authenticate("alice", "café".encode())
    assert aim.authenticate("alice", b"caf\xe9") is not None


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("toc_set_away gone", "T:0:1000:0: OU"),
        ('toc_set_away ""', "T:0:1000:0: O "),
        ("toc_set_away", "T:0:1000:0: O "),
        ("toc_set_idle 119", "T:0:1000:1: O "),
        ("toc_set_idle 0", "T:0:1000:0: O "),
    ],
)
def test_watchers_see_the_new_status(command: str, status: str) -> None:
    two = Pair("toc_signon", "toc_signon")
    two.say(two.bob, "toc_add_buddy alice")
    assert two.say(two.alice, command) == ([], [f"UPDATE_BUDDY:alice:{status}"])


@pytest.mark.parametrize(
    ("capability", "shown"),
    [
        ("1343", "09461343-4C7F-11D1-8222-444553540000"),
        ("1", "09460001-4C7F-11D1-8222-444553540000"),
        ("094613434c7f11d18222444553540000", "09461343-4C7F-11D1-8222-444553540000"),
        ("09461343-4c7f-11d1-8222-444553540000", "09461343-4C7F-11D1-8222-444553540000"),
    ],
)
def test_a_capability_is_shown_as_a_uuid(capability: str, shown: str) -> None:
    two = Pair("toc_signon", "toc2_signon")
    two.say(two.bob, "toc2_new_buddies {g:g\nb:alice\n}")
    _, heard = two.say(two.alice, f"toc_set_caps {capability}")
    assert heard[-1] == f"BUDDY_CAPS2:alice:{shown}"


@pytest.mark.parametrize(
    ("command", "attribute", "kept"),
    [
        ("toc_set_info Web  server\nof  ops", "profile", "Web  server\nof  ops"),
        ('toc_set_info "<b>me</b>  "', "profile", "<b>me</b>  "),
        ("toc_set_info {two\nlines}", "profile", "two\nlines"),
        ("toc_set_dir Ada:King:Love  lace", "directory", ("Ada", "King", "Love  lace")),
        ('toc_set_dir "Ada":"King":"Love lace"', "directory", ("Ada", "King", "Love lace")),
    ],
)
def test_a_text_without_quotes_is_kept_whole(command: str, attribute: str, kept: object) -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    core.receive(raw.command(command))
    assert getattr(core.presence.account, attribute) == kept


def test_an_away_message_without_quotes_is_kept_whole() -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    core.receive(raw.command("toc_set_away gone  fishing"))
    assert core.presence.away == "gone  fishing"
    core.receive(raw.command('toc_set_away ""'))
    assert core.presence.away == ""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["Alice", "A L I C E", "aLiCe", "alice"])
def test_watchers_are_notified_of_a_new_form_of_a_name(form: str, name: str) -> None:
    two = Two(form)
    two.say(two.bob, "toc_add_buddy alice")
    two.heard(two.bob)
    two.say(two.alice, f'toc_format_nickname "{name}"')
    updates = [text for text in two.heard(two.bob) if text.startswith("UPDATE_BUDDY")]
    assert [text.split(":")[1:3] for text in updates] == [[name, "T"]]


def test_a_user_who_may_not_see_another_learns_nothing_of_its_new_form() -> None:
    two = Two("toc2_signon")
    two.say(two.bob, "toc_add_buddy alice")
    two.say(two.alice, "toc2_add_deny bob")
    two.say(two.alice, "toc2_set_pdmode 4")
    two.heard(two.bob)
    two.say(two.alice, 'toc_format_nickname "Alice"')
    assert two.heard(two.bob) == []

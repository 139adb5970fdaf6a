"""mail-to-jabber: each user is told of each mail, and of none twice, whatever happens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.errors import CommsError, StateError
from comms.lock import Lock
from comms.read import read
from comms.xmpp import stanzas
from comms.xmpp.stream import to_bytes
from fakes import World
from scenarios.processing import mail_to_jabber as page
from scenarios.processing.mail_to_jabber_desk import RETURNS
from scenarios.processing.mail_to_jabber_samples import (
    ANN,
    BOT,
    JEREMY,
    MICHAEL,
    OPS,
    USERS,
    bounce,
    rich,
    written,
)
from tests import drills

MODULE = "scenarios.processing.mail_to_jabber"
MAILS = Path(__file__).parent / "mails"
HEAD = f"From: Ann <{ANN}>\nTo: {OPS}\nSubject: Hello\n"


# ── what is told ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mail", "wanted"),
    [
        (written("Hello"), f"{HEAD}\nPlease help."),
        (written("Hello", ""), HEAD.rstrip()),
        (written("Hello", "a\r\nb\rc\u2028d\x85e"), f"{HEAD}\na\nb\nc\nd\ne"),
        (written("Hello", "\x08<&>\x1b\x9b\ufffe\t!"), f"{HEAD}\n<&>\t!"),
        (written("Hello", f"From: x\n\nTo: {OPS}"), f"{HEAD}\nFrom: x\n\nTo: {OPS}"),
        (written("=?utf-8?q?Hello=0D=0A?="), f"{HEAD}\nPlease help."),
        (written("=?utf-8?q?=E2=80=AEHello?="), f"{HEAD}\nPlease help."),
        (b"\r\nHi", "From: not said\nTo: not said\nSubject: not said\n\nHi"),
        (b"", "From: not said\nTo: not said\nSubject: not said"),
    ],
)
def test_what_a_mail_becomes(mail: bytes, wanted: str) -> None:
    assert page.telling(read(mail), 2000) == (wanted, True)


def test_a_text_is_cut_at_the_limit_and_the_mark_counts_what_there_is() -> None:
    text, whole = page.telling(read(written("Hello", "x" * 11)), 10)
    assert (text, whole) == (f"{HEAD}\n{'x' * 10}\n[cut: 10 of 11 characters]", False)
    assert page.telling(read(written("Hello", "x" * 10)), 10) == (f"{HEAD}\n{'x' * 10}", True)


@pytest.mark.parametrize("character", ["x", "&", "\u20ac", "\U0001f600"])
def test_a_message_is_short_enough_for_every_server(character: str) -> None:
    many = ", ".join(f"{character}{n} <{'a' * 60}{n}@customer.test>" for n in range(500))
    mail = written(character * 9000, character * 50_000, to=many)
    text, whole = page.telling(read(mail), 5000)
    assert len(to_bytes(stanzas.message(None, text))) <= page.BYTES and not whole
    assert text.startswith("From: Ann") and "and 497 more\n" in text and "[cut: " in text


def test_files_are_named_with_their_sizes_but_not_all_of_many() -> None:
    text, whole = page.telling(read(rich()), 2000)
    assert "\n[attached: menu.pdf (1,234 bytes)]" in text and not whole
    part = '--b\r\nContent-Disposition: attachment; filename="%d.txt"\r\n\r\nx\r\n'
    more = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n'
    files = "".join(part % number for number in range(100))
    text, _ = page.telling(read(written("Hello", files + "--b--", more=more)), 2000)
    assert text.count("[attached: ") == page.NAMES and text.endswith("[and 97 more files]")


def test_automatic_mail_is_marked() -> None:
    assert "\nAutomatic: " in page.telling(read(bounce()), 2000)[0]


def rehearsed(
    mails: list[bytes],
    *faults: str,
    until: float = 600,
    config: Mapping[str, Any] = page.WORLD,
    **rules: Any,
) -> World:
    """Lets the program run; the users are online, and the mails there from the beginning."""
    with World(config, rehearsal=True, faults=faults) as world:
        online(world)
        for mail in mails:
            world.mail.deliver(OPS, mail)
        world.clock.until(until)
        run(world, **rules)
        return world


def online(world: World) -> None:
    for user in USERS:
        world.jabber.actor(user).comes()


def run(world: World, **rules: Any) -> int:
    tables = {**world.settings["scenario"]["mail-to-jabber"], **rules}
    given = {**world.settings, "scenario": {"mail-to-jabber": tables}}
    try:
        return page.run(world.clock, settings.load(given, world.folder), world.host)
    except CommsError as error:
        return error.exit_code


def ids(world: World, user: str) -> dict[str, set[str]]:
    """The subject of each mail that a user was told of, and the ids of the messages about it."""
    found: dict[str, set[str]] = {}
    for message in world.jabber.actor(user).messages:
        subject = (message.body or "").split("Subject: ")[1].partition("\n")[0]
        found.setdefault(subject, set()).add(message.id or "")
    return found


def test_mails_as_people_and_programs_write_them_are_told() -> None:
    mails = [path.read_bytes() for path in sorted(MAILS.glob("*.eml"))]
    world = rehearsed(mails, until=30, users=[JEREMY])
    told = [message.body or "" for message in world.jabber.actor(JEREMY).messages]
    assert len(told) == len({*mails}) and not world.mail.inbox(BOT)
    assert not any(re.search("[\0-\x08\x0b-\x1f\x7f-\x9f]", text) for text in told)
    assert any("Здравствуйте, принтер не работает" in text for text in told)


# ── the policy about programs ────────────────────────────────────────────────


def test_automatic_mail_can_be_kept_without_being_told() -> None:
    with World(page.WORLD, rehearsal=True) as world:
        online(world)
        for mail in (bounce(), written("Hello")):
            world.mail.deliver(OPS, mail)
        run(world, automatic="keep")
        assert ids(world, JEREMY).keys() == {"Hello"} and not world.mail.inbox(BOT)
        [kept] = (world.folder / "mail-to-jabber.kept").iterdir()
        assert b"No such user." in kept.read_bytes()


# ── what comes back, and when ────────────────────────────────────────────────


def error(world: World, sender: str) -> str:
    """Returns the message about the first mail, as it comes back from this address."""
    id = world.jabber.actor(JEREMY).messages[0].id
    [to] = world.jabber.sessions(BOT)
    refusal = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    text = f"<error type='cancel'>{refusal}</error>"
    return f"<message from='{sender}' to='{to}' type='error' id='{id}'>{text}</message>"


@pytest.mark.parametrize(
    ("sender", "times"),
    [(JEREMY, 2), (f"{JEREMY}/phone", 2), ("yourco.test", 2), (MICHAEL, 1), ("evil.example", 1)],
)
def test_a_message_that_comes_back_after_its_mail_is_deleted_is_told_again(
    sender: str, times: int
) -> None:
    with World(page.WORLD, rehearsal=True) as world:
        online(world)
        jeremy = world.jabber.actor(JEREMY)
        world.mail.deliver(OPS, written("Hello"))
        world.clock.at(100, lambda: world.jabber.inject(error(world, sender)))
        world.clock.until(400)
        run(world)
        assert not world.mail.inbox(BOT)
        assert len(jeremy.messages) == times and len({one.id for one in jeremy.messages}) == 1


def test_a_server_that_never_answers_is_not_told_for_ever() -> None:
    fault = "xmpp iq arg urn:xmpp:ping stall"
    world = rehearsed([written("Hello")], fault, until=1800, users=[JEREMY])
    assert len(ids(world, JEREMY)["Hello"]) == 1, "always with the same id"
    assert len(world.jabber.actor(JEREMY).messages) < 10
    assert len(world.mail.inbox(BOT)) == 1, "nobody knows whether it has arrived"


def test_a_server_that_does_not_know_pings_answers_too() -> None:
    with World({**page.WORLD, "off": {"xmpp": ["ping"]}}, rehearsal=True) as world:
        online(world)
        world.mail.deliver(OPS, written("Hello"))
        assert run(world) == 0 and not world.mail.inbox(BOT)


def test_who_came_back_once_does_not_hold_up_the_others() -> None:
    fault = f"xmpp message arg {JEREMY} reply service-unavailable"
    world = rehearsed([written("One"), written("Two")], fault, until=30)
    assert ids(world, MICHAEL).keys() == {"One", "Two"} and not ids(world, JEREMY)
    assert len(world.mail.inbox(BOT)) == 2


def test_mails_that_wait_are_not_fetched_again() -> None:
    fault = f"xmpp message arg {JEREMY} reply service-unavailable"
    world = rehearsed([written("Hello")], fault, until=600)
    fetched = [one for one in world.records if one.direction == "C" and one.verb == "RETR"]
    assert len(fetched) == 1


def test_a_maildrop_without_ids_is_emptied_and_told_of_once() -> None:
    with World({**page.WORLD, "off": {"pop3": ["UIDL"]}}, rehearsal=True) as world:
        online(world)
        michael = world.jabber.actor(MICHAEL)
        michael.drops(BOT)
        michael.refuses(BOT)
        for mail in (written("One"), written("Two")):
            world.mail.deliver(OPS, mail)
        world.clock.at(100, lambda: michael.accepts(BOT))
        world.clock.until(200)
        run(world)
        assert not world.mail.inbox(BOT)
        told = [len(world.jabber.actor(user).messages) for user in USERS]
        assert told == [2, 2] and ids(world, MICHAEL).keys() == {"One", "Two"}


def test_users_as_they_are_set_now_are_told_of_mails_that_wait() -> None:
    with World(page.WORLD, rehearsal=True) as world:
        online(world)
        fault = f"xmpp message arg {JEREMY} reply service-unavailable"
        world.faults.arm(fault)
        world.mail.deliver(OPS, written("Hello"))
        run(world, users=[JEREMY])
        world.faults.disarm()
        assert len(world.mail.inbox(BOT)) == 1
        run(world, users=[MICHAEL])
        assert not world.mail.inbox(BOT)
        assert not ids(world, JEREMY) and ids(world, MICHAEL).keys() == {"Hello"}


def test_a_mail_that_only_a_former_user_was_not_told_of_is_done() -> None:
    with World(page.WORLD, rehearsal=True) as world:
        online(world)
        world.faults.arm(f"xmpp message arg {JEREMY} reply service-unavailable")
        world.mail.deliver(OPS, written("Hello"))
        run(world)
        world.faults.disarm()
        assert len(world.mail.inbox(BOT)) == 1
        run(world, users=[MICHAEL])
        assert not world.mail.inbox(BOT) and len(ids(world, MICHAEL)["Hello"]) == 1


@pytest.mark.slow
def test_who_was_told_long_ago_is_not_told_again_after_a_restart() -> None:
    with World(page.WORLD, rehearsal=True) as world:
        online(world)
        world.faults.arm(f"xmpp message arg {JEREMY} reply service-unavailable")
        world.mail.deliver(OPS, written("Hello"))
        world.clock.until(3 * RETURNS)
        run(world)
        world.faults.disarm()
        world.clock.until(world.clock.elapsed + 60)
        run(world)
        assert not world.mail.inbox(BOT)
        told = [len(world.jabber.actor(user).messages) for user in (JEREMY, MICHAEL)]
        assert told == [1, 1]


def test_a_second_program_on_the_same_file_is_refused() -> None:
    with World(page.WORLD, rehearsal=True) as world:
        (world.folder / "mail-to-jabber.sqlite3").touch()
        with Lock(world.folder / "mail-to-jabber.sqlite3"):
            assert run(world) == StateError.exit_code


# ── cut, and killed ──────────────────────────────────────────────────────────


def check(world: World) -> None:
    """Each user was told of both mails. What came twice had the same id."""
    for user in USERS:
        found = ids(world, user)
        assert found.keys() == {"One", "Two"}
        assert all(len(of_one) == 1 for of_one in found.values()), found
        seen = Counter(message.id for message in world.jabber.actor(user).messages)
        assert sum(count - 1 for count in seen.values()) <= 1, "at most one was in doubt"
    assert not world.mail.inbox(BOT)


BOTH = [written("One"), written("Two")]
PLAIN = rehearsed(BOTH, until=60)


@pytest.mark.parametrize("cut", drills.quick_at("xmpp message nth 2", drills.cuts(PLAIN.records)))
def test_wherever_the_connection_is_cut_each_user_is_told_of_each_mail(cut: str) -> None:
    each_user_is_told(cut)


def each_user_is_told(cut: str, config: Mapping[str, Any] = page.WORLD) -> None:
    with World(config, rehearsal=True, faults=[cut]) as world:
        online(world)
        for mail in BOTH:
            world.mail.deliver(OPS, mail)
        world.clock.until(1200)
        run(world)
        run(world)  # the first attempt to log in may have failed
        check(world)


def killed(at: int, folder: Path, config: Mapping[str, Any] = page.WORLD) -> int | None:
    """Kills the program at this step, and lets it run again."""
    folder.mkdir()
    with World({**config, "tls": "off"}) as world:
        online(world)
        for mail in BOTH:
            world.mail.deliver(OPS, mail)
        steps = drills.killed(at, MODULE, world.settings, folder)
        drills.start_again(MODULE, world.settings, folder)
        check(world)
    return steps


@pytest.mark.slow
def test_killed_at_any_step_each_user_is_told_of_each_mail(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at))) > 50

"""mail-to-webhook: each mail is posted at least once, as one event, and to nobody else."""

from __future__ import annotations

import io
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import settings
from comms.errors import CommsError, SettingsError, StateError
from comms.host import RealHost
from comms.lock import Lock
from comms.read import read
from fakes import World
from fakes.host import Command
from scenarios import catalogue
from scenarios.live import run_live
from scenarios.processing import mail_to_webhook
from scenarios.processing.mail_to_webhook import Rules, mapped, requests, token_and_hash, verdict
from scenarios.processing.mail_to_webhook_samples import APP, BOX, HOOK, accepted, mail, statuses
from tests import drills

MODULE = "scenarios.processing.mail_to_webhook"
NAME = "mail-to-webhook"
MAILS = Path(__file__).parent / "mails"
CODES = (0, 1)

# ── the decision ─────────────────────────────────────────────────────────────

RULES = Rules(
    map={
        "*@*.b.test": "https://any.test/",
        "*@a.b.test": "https://domain.test/?x=1",
        "x_*@a.b.test": "https://begins.test/",
        "*_1@a.b.test": "https://ends.test/1/2/3/4",
        "X_1@a.b.test": "https://exact.test/",
        "[x]?@a.b.test": "https://characters.test/",
    }
)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("x_1@a.b.test", "https://exact.test/?token=x&hash=1"),
        ("x_2@a.b.test", "https://begins.test/?token=x&hash=2"),
        ("y_1@A.B.test", "https://ends.test/1/2/3/4?token=y&hash=1"),
        ("y@a.b.test", "https://domain.test/?x=1&token=y"),
        ("y@c.b.test", "https://any.test/?token=y"),
        ("xa@a.b.test", "https://domain.test/?x=1&token=xa"),
        ("y@b.test", None),
        ("y@a.b.test.evil.example", None),
        ("y@a.b.test\n", None),
        ("", None),
    ],
)
def test_an_exact_mapping_comes_before_the_longest_wildcard(address: str, url: str | None) -> None:
    found = mapped(RULES, address)
    assert (str(found) if found else None) == url


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("my_token_1234", {"token": "my_token", "hash": "1234"}),
        ("My_Token_12aB", {"token": "my_token", "hash": "12ab"}),
        ("token", {"token": "token"}),
        ("token_", {"token": "token_"}),
        ("_1", {"token": "_1"}),
        ("__1", {"token": "_", "hash": "1"}),
        ("a%2Bb_1", {"token": "a%2bb", "hash": "1"}),
        ("", {"token": ""}),
    ],
)
def test_the_last_underscore_splits_token_and_hash(name: str, found: dict[str, str]) -> None:
    assert token_and_hash(f"{name}@a.test") == found


def test_where_recipients_are_looked_for_is_a_setting_and_the_first_place_counts() -> None:
    trace = "X-Original-To: <one@a.b.test>\r\nDelivered-To: two@a.b.test\r\nReceived: by mx\r\n"
    raw = (
        f"{trace}To: Three <three@a.b.test>, x@y.test\r\nCc: four@a.b.test\r\n\r\n<five@a.b.test>."
    )
    for places, names in (
        (("x-original-to", "delivered-to", "to"), ["one"]),
        (("delivered-to", "x-original-to"), ["two"]),
        (("to",), ["three"]),
        (("cc", "body"), ["four"]),
        (("body",), ["five"]),
    ):
        rules = Rules(map=RULES.map, recipients=places)  # type: ignore[arg-type]
        found = [request.recipient for request in requests(rules, read(raw.encode()))]
        assert found == [f"{name}@a.b.test" for name in names]


@given(st.binary(max_size=300))
def test_any_mail_leads_to_requests_or_to_none(raw: bytes) -> None:
    places: Any = ("x-original-to", "delivered-to", "to", "cc", "body")
    rules = Rules(map={"*": "https://any.test/"}, recipients=places)
    for recipient, url in requests(rules, read(raw)):
        assert recipient and url.host == "any.test"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "posted"),
        (204, "posted"),
        (302, "dead"),
        (400, "dead"),
        (404, "dead"),
        (406, "dropped"),
        (408, "waiting"),
        (410, "dead"),
        (429, "waiting"),
        (500, "waiting"),
        (503, "waiting"),
        (101, "dead"),
    ],
)
def test_what_each_status_makes_of_a_mail(status: int, outcome: str) -> None:
    assert verdict(status) == outcome


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({"map": {}}, "map: is empty"),
        ({"map": {"*@a.test": "ftp://a.test"}}, "is not a web address: it does not begin"),
        ({"map": {"*@a.test": "http://u:p@a.test"}}, "contains a user name or a password"),
        ({"map": {"": "http://a.test"}}, "is empty"),
        ({"secret": "hunter2!"}, "secret: it is not whsec_ and base64"),
        ({"allow": ["10.0.0.1/8"]}, "is not a network: 10.0.0.1/8 has host bits set"),
        ({"recipients": ["from"]}, "unknown value 'from'"),
        ({"retry": [0]}, "expected more than 0 seconds"),
    ],
)
def test_wrong_settings_are_named(rules: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        given = {"map": {"*@a.test": "http://a.test"}, **rules}
        settings.load({"scenario": {NAME: given}}).table(NAME, Rules)
    assert "hunter2" not in str(caught.value)


# ── playing the program ──────────────────────────────────────────────────────


def run(world: World, **rules: Any) -> int:
    given = {**world.settings, "scenario": {NAME: {**world.settings["scenario"][NAME], **rules}}}
    try:
        return mail_to_webhook.run(world.clock, settings.load(given, world.folder), world.host)
    except CommsError as error:
        return error.exit_code


def play(*faults: str, config: Mapping[str, Any] = mail_to_webhook.WORLD) -> World:
    """Runs the program twice, with two mails; returns the world."""
    with World(config, rehearsal=True, faults=faults) as world:
        for number in (1, 2):
            world.mail.deliver(HOOK, mail(number))
        for hours in (1, 2):
            world.clock.until(3600 * hours)
            run(world, poll=1200)
        both_were_posted(world, world.folder)
        return world


def both_were_posted(world: World, folder: Path) -> None:
    """Each mail was accepted at least once, always as the same event, and nothing is left."""
    events: dict[str, set[str]] = {}
    for post in world.webhook.all:
        events.setdefault(post.form["subject"][0], set()).add(post.headers["webhook-id"])
    assert sorted(events) == ["Order 1", "Order 2"], "nothing is lost"
    assert [len(found) for found in events.values()] == [1, 1], "repeats are the same event"
    with sqlite3.connect(folder / "mail-to-webhook.sqlite3") as db:
        rows = db.execute("SELECT status, (SELECT COUNT(*) FROM letter) FROM post").fetchall()
    db.close()
    assert rows == [("posted", 0)] * 2, "each mail is one event, and is not kept"
    assert world.mail.inbox(BOX) == []


PLAIN = play()
# In the first session both mails are collected. Each is posted over a connection of its own.
CUTS = drills.cuts(record for record in PLAIN.records if record.session <= 3)


@pytest.mark.parametrize("cut", drills.quick_at("webhook POST nth 1", CUTS))
def test_wherever_the_connection_is_cut_both_mails_are_posted(cut: str) -> None:
    play(cut)


def test_without_a_fault_each_mail_is_posted_once() -> None:
    assert Counter(post.form["subject"][0] for post in PLAIN.webhook.all) == {
        "Order 1": 1,
        "Order 2": 1,
    }


def here(world: World, **changes: Any) -> dict[str, Any]:
    """Returns the settings for a program that resolves names as this machine does."""
    host, port = world.address("webhook")
    url = f"http://{host}:{port}/in"
    rules = {**world.settings["scenario"][NAME], "map": {"*@hooks.yourco.test": url}, **changes}
    return {**world.settings, "scenario": {NAME: rules}}


def killed(at: int, folder: Path, config: Mapping[str, Any] = mail_to_webhook.WORLD) -> int | None:
    """Kills the program at this step, and lets it run again."""
    folder.mkdir()
    with World({**config, "tls": "off"}) as world:
        for number in (1, 2):
            world.mail.deliver(HOOK, mail(number))
        steps = drills.killed(at, MODULE, here(world), folder)
        drills.start_again(MODULE, here(world), folder, 1)
        both_were_posted(world, folder)
    return steps


@pytest.mark.slow
def test_killed_at_any_step_nothing_is_lost(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed(at, tmp_path / str(at))) > 30


@pytest.mark.slow
def test_on_a_full_disk_mail_stays_in_the_maildrop(tmp_path: Path) -> None:
    with World({**mail_to_webhook.WORLD, "tls": "off"}) as world:
        for number in (1, 2):
            world.mail.deliver(HOOK, mail(number, text="x" * 50_000))
        code = drills.on_full_disk(60_000, MODULE, here(world), tmp_path)
        assert code == StateError.exit_code
        drills.start_again(MODULE, here(world), tmp_path, 1)
        both_were_posted(world, tmp_path)


def test_a_mail_that_comes_again_after_the_database_was_lost_is_the_same_event() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        for _ in range(2):
            world.mail.deliver(HOOK, mail(1))
            run(world)
            (world.folder / "mail-to-webhook.sqlite3").unlink()
        first, second = world.webhook.all
        assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_server_that_is_silent_does_not_delay_mail_for_others() -> None:
    silent = {"*@slow.test": "http://slow.test/"}
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.host.names["slow.test"] = []
        for number in range(3):
            world.mail.deliver("a@slow.test", mail(number, "a@slow.test"))
        world.mail.deliver(HOOK, mail(9))
        run(world, map={**silent, "*@hooks.yourco.test": f"http://{APP}/in"})
        assert world.host.looked_up.count("slow.test") == 1, "once a round"
        assert [post.form["subject"] for post in accepted(world)] == [["Order 9"]]
        assert [status for _, status, _ in statuses(world)] == ["waiting"] * 3 + ["posted"]


def test_after_the_last_attempt_a_mail_is_a_dead_letter() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.webhook.answer(500, times=None)
        world.mail.deliver(HOOK, mail(1))
        world.clock.until(300)
        assert run(world, retry=[60, 60], poll=60) == 1
        assert len(world.webhook.all) == 3
        reason = "given up after 3 attempts: 500 Internal Server Error"
        assert statuses(world) == [(HOOK, "dead", reason)]


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("1200", 1200),
        ("Mon, 05 Jan 2026 00:20:00 GMT", 1200),
        ("-1", 600),
        ("soon", 600),
        ("99999999999", 86400),
    ],
)
def test_a_server_may_say_when_to_come_again(value: str, pause: int) -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.webhook.answer(503, headers={"Retry-After": value})
        world.mail.deliver(HOOK, mail(1))
        run(world)
        with sqlite3.connect(world.folder / "mail-to-webhook.sqlite3") as db:
            ((seconds,),) = db.execute("SELECT due - made FROM post")
        db.close()
        assert seconds == pytest.approx(pause, abs=1)


@pytest.mark.slow
def test_every_mail_of_the_collection_is_posted() -> None:
    raws = [path.read_bytes() for path in sorted(MAILS.glob("*.eml"))]
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        for raw in raws:
            world.mail.deliver(HOOK, raw)
        assert run(world) == 0
        assert len(raws) > 30 and len(accepted(world)) == len(raws)
        for post in accepted(world):
            assert post.form["to"] == [HOOK], "each form can be decoded"


def test_the_command_afterwards_reads_of_mails_that_are_never_posted() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.host.commands["logger",] = Command()
        world.mail.deliver(BOX, mail(1, BOX))
        world.mail.deliver(HOOK, mail(2, text="x" * 100_000))
        codes = [run(world, after=["logger"], largest=50_000) for _ in range(2)]
        assert codes == [1, 0], "what stays in the maildrop is no news"
        told = [json.loads(text) for text in world.host.inputs]
        assert [(one["to"], one["status"]) for one in told] == [("", "dead")] * 2
        reasons = [one["reason"] for one in told]
        assert reasons[0] == "no recipient fits a mapping" and "too large" in reasons[1]


def test_a_mail_that_has_killed_the_program_is_kept_unread() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.mail.deliver(HOOK, mail(1))
        run(world, dry_run=True)  # creates nothing
        assert not (world.folder / "mail-to-webhook.sqlite3").exists()
        world.close_port("pop3")
        run(world)
        world.open_port("pop3")
        uid = world.mail.maildrop(BOX).rows[0].uid
        with sqlite3.connect(world.folder / "mail-to-webhook.sqlite3") as db:
            place = f"{BOX}@{world.settings['pop3']['host']}"
            db.execute("INSERT INTO try VALUES (?, 3)", (f"{place}/{uid:08}",))
        db.close()
        assert run(world) == 1
        assert statuses(world) == [("", "dead", "the program has crashed on it 3 times")]
        assert world.mail.inbox(BOX) == [] and list(world.webhook.all) == []


def test_a_dead_letter_is_replayed_for_each_recipient_that_has_a_mapping_now() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        both = mail(1).replace(f"To: {HOOK}".encode(), b"To: a_1@new.test, b_2@new.test")
        world.mail.deliver(BOX, both)
        assert run(world) == 1 and list(world.webhook.all) == []
        ((_, status, _),) = statuses(world)
        assert status == "dead"
        new = {"*@new.test": f"http://{APP}/new"}
        assert run(world, map=new, replay=["none"]) == 0 and list(world.webhook.all) == []
        assert run(world, map=new, replay=["all"]) == 0
        assert [post.query["token"] for post in accepted(world)] == ["a", "b"]
        world.mail.deliver(BOX, both)
        run(world, map=new, replay=["all"])
        assert len(world.webhook.all) == 2, "the same mail again is recognised"


def test_a_post_that_kills_the_program_again_and_again_is_a_dead_letter() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.webhook.answer(503)
        for number in (1, 2):
            world.mail.deliver(HOOK, mail(number))
        run(world, retry=[60])
        with sqlite3.connect(world.folder / "mail-to-webhook.sqlite3") as db:
            working = "status = 'working', tries = 2, due = 0"
            db.execute(f"UPDATE post SET {working} WHERE status = 'waiting'")
        db.close()
        assert run(world, retry=[60]) == 1
        found = [(status, reason) for _, status, reason in statuses(world)]
        assert found == [("dead", "the program has died on it 2 times"), ("posted", "")]


def test_a_post_that_a_wrong_clock_has_put_off_is_made() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.webhook.answer(503)
        world.mail.deliver(HOOK, mail(1))
        run(world)
        with sqlite3.connect(world.folder / "mail-to-webhook.sqlite3") as db:
            db.execute("UPDATE post SET due = due + 30 * 86400")
        db.close()
        world.webhook.answer(200)
        run(world)
        assert [status for _, status, _ in statuses(world)] == ["posted"]


def test_what_was_posted_long_ago_is_forgotten_and_dead_letters_are_not() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        world.mail.deliver(HOOK, mail(1))
        world.mail.deliver(BOX, mail(2).replace(HOOK.encode(), BOX.encode()))
        run(world)
        with sqlite3.connect(world.folder / "mail-to-webhook.sqlite3") as db:
            db.execute("UPDATE post SET due = due - 31 * 86400")
        db.close()
        world.mail.deliver(HOOK, mail(3))
        run(world)
        assert [status for _, status, _ in statuses(world)] == ["dead", "posted"]


def test_a_second_program_on_the_same_file_is_refused() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        (world.folder / "mail-to-webhook.sqlite3").touch()
        with Lock(world.folder / "mail-to-webhook.sqlite3"):
            assert run(world) == StateError.exit_code


def test_a_wrong_password_ends_the_program_and_a_server_that_is_away_does_not() -> None:
    with World(mail_to_webhook.WORLD, rehearsal=True) as world:
        wrong = {**world.settings["pop3"], "password": "wrong"}
        given = settings.load({**world.settings, "pop3": wrong}, world.folder)
        with pytest.raises(CommsError) as caught:
            mail_to_webhook.run(world.clock, given, world.host)
        assert caught.value.exit_code == 4
        world.close_port("pop3")
        assert run(world) == 3


def test_a_dry_run_on_the_command_line_posts_nothing(tmp_path: Path) -> None:
    with World({**mail_to_webhook.WORLD, "tls": "off"}) as world:
        world.mail.deliver(HOOK, mail(1))
        host, port = world.address("pop3")
        (tmp_path / "site.toml").write_text(
            f"""
            [pop3]
            host = "{host}"
            port = {port}
            tls = "none"
            user = "{BOX}"
            password = "secret"
            [scenario.mail-to-webhook]
            map = {{ "*@hooks.yourco.test" = "https://app.yourco.test/in" }}
            """
        )
        said = io.StringIO()
        page, real = catalogue.named(NAME), RealHost(said, said)
        code = run_live(page, tmp_path / "site.toml", once=True, dry_run=True, host=real)
        assert code == 0 and len(world.mail.inbox(BOX)) == 1
    url = "https://app.yourco.test/in?token=my_token&hash=1234"
    assert f"mail 1, to {HOOK}: would be posted to {url}" in said.getvalue()

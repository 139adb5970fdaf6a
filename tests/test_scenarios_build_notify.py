"""build-notify: its settings and texts, and a program that is killed or cut off at every step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from comms.bots.notices import Notices
from comms.errors import SettingsError
from comms.settings import load
from comms.state import State
from fakes import World
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import build_notify
from scenarios.bots.build_notify_desk import HELP, LINES, Item, described, message
from scenarios.bots.build_notify_samples import BOT, append, arrived, line
from scenarios.builds import Build
from scenarios.rehearsal import rehearse
from tests import drills
from tests.thorough import THOROUGH

PAGE = catalogue.named("build-notify")
BOB = {"aim": "Bob", "mail": "bob@yourco.test"}
ANN = {"jabber": "ann@yourco.test", "mail": "ann@yourco.test"}
DAVE = {"mail": "dave@yourco.test"}

# ── settings ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"people": None}, "people: missing key"),
        ({"projects": None}, "projects: missing key"),
        ({"people": {}}, "people"),
        ({"projects": []}, "projects"),
        ({"projects": ["a\tb"]}, "projects: 'a\\tb' has odd spaces"),
        ({"people": {"bob": {"aim": "Bob"}}}, "people: bob needs a mail address"),
        ({"people": {"bob": {"mail": "bob"}}}, "people: bob needs a mail address"),
        ({"people": {"bob": {"mail": "b@x.test\r\nBcc: c@x.test"}}}, "needs a mail address"),
        ({"people": {"bob": {**BOB, "icq": "1"}}}, "unknown network 'icq'"),
        ({"people": {"a": BOB, "b": BOB}}, "is both a and b"),
        ({"people": {"a": {"jabber": "a@b@c", "mail": "a@x.test"}}}, "not a bare Jabber address"),
        ({"gather": -1}, "gather"),
        ({"sender": "Bob"}, "sender"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, table: Mapping[str, Any], words: str) -> None:
    rules = {"people": {"bob": BOB}, "projects": ["site"], **table}
    given = {key: value for key, value in rules.items() if value is not None}
    with pytest.raises(SettingsError, match=re.escape(words)):
        load({"scenario": {"build-notify": given}}, tmp_path).table(
            "build-notify", build_notify.Rules
        )


# ── texts ────────────────────────────────────────────────────────────────────


def test_one_build_is_told_with_its_commits_and_several_with_a_line_each() -> None:
    commits = tuple(f"c{number} Improve it" for number in range(9))
    build = Build("main", 7, False, commits=commits, log="none.log")
    item = described("site\tmain", "broken", build, Path("."), 3)
    head, text = message([item])
    assert head == "site main: build 7 failed"
    assert text.splitlines()[5:] == [
        "c4 Improve it",
        "and 4 more commits",
        "The log cannot be read: No such file or directory",
    ]
    head, text = message([item, Item("app", "fixed", "app main: build 3 works again")])
    assert head == "2 builds: 1 failed, 1 works again"
    assert text.splitlines()[1:] == [item.head, "app main: build 3 works again"]


@pytest.mark.parametrize("count", [2, LINES, LINES + 1, 5000])
def test_a_message_about_many_builds_has_an_end(count: int) -> None:
    _, text = message([Item("site", "broken", "x" * 250)] * count)
    assert len(text.splitlines()) == 1 + min(count, LINES) + (count > LINES)
    assert len(text) < 8000


@pytest.mark.parametrize(
    "text",
    ["", "subscribe", "unsubscribe", "subscribe \x07", "status x", "'; DROP TABLE", "x" * 10_000],
)
def test_what_is_no_command_is_answered_with_help_and_changes_nothing(text: str) -> None:
    with World({**build_notify.WORLD, "servers": ["toc", "smtp"]}, rehearsal=True) as world:
        bob = world.aim.actor("Bob")
        world.clock.at(5, lambda: bob.says("BuildBot", text))
        world.clock.at(7, lambda: bob.says("BuildBot", "subscriptions"))
        runs(world, 10)
        answers = [im.text for im in bob.heard]
        assert answers[-1] == "You hear of: site, app"
        assert answers[:-1] in ([], [f"I do not understand that. {HELP}"])


def runs(world: World, seconds: float, **changes: Any) -> None:
    """Runs the program for some seconds."""
    tables = {**world.settings, **changes}
    world.clock.until(world.clock.elapsed + seconds)
    build_notify.run(world.clock, load(tables, world.folder), world.host)


# ── drills ───────────────────────────────────────────────────────────────────


def told(world: World, number: int) -> Counter[str]:
    """How often each person was told of a build."""
    word = f"build {number} "
    found = Counter(mail.envelope.to[0] for mail in world.mail.messages if word in mail.subject)
    found["Bob"] = sum(word in im.text for im in world.aim.actor("Bob").heard)
    found["ann"] = sum(word in one.body for one in world.jabber.actor(ANN["jabber"]).messages)
    return found


def in_doubt(world: World) -> list[str]:
    """The people who are listed as perhaps not told of something."""
    with State(world.folder / "build-notify.sqlite3") as state:
        notices = Notices(state, lambda *_: None).unknown()
        mails = state.rows("SELECT address FROM outbox_recipient WHERE status = 'unknown'")
    return [*(notice.account for notice in notices), *(str(address) for (address,) in mails)]


KILLED = [("toc", {"bob": BOB, "dave": DAVE}, True), ("xmpp", {"ann": ANN}, False)]


@pytest.mark.slow
@pytest.mark.parametrize(("server", "people", "whole"), KILLED, ids=["toc", "xmpp"])
def test_killed_at_any_step_each_is_told_once_or_listed_as_in_doubt(
    server: str, people: dict[str, Any], whole: bool
) -> None:
    def kill(step: int) -> tuple[int, set[str]]:
        rules = {"people": people, "projects": ["site"], "gather": 3}
        config = {**build_notify.WORLD, "servers": ["toc", "xmpp", "smtp"]}
        with World({**config, "scenario": {"build-notify": rules}}, rehearsal=True) as world:
            arrived(world)
            tables = {key: value for key, value in world.settings.items() if key != other[server]}
            site = load(tables, world.folder)
            world.clock.at(7, partial(append, world, line(1, "failed")))
            world.clock.until(15)
            with drills.dying(step) as death:
                build_notify.run(world.clock, site, world.host)
            world.clock.at(40, partial(append, world, line(2, "passed")))
            world.clock.until(world.clock.elapsed + 60)
            build_notify.run(world.clock, site, world.host)
            doubtful, receivers = in_doubt(world), {"toc": ["Bob", DAVE["mail"]], "xmpp": ["ann"]}
            for who in receivers[server]:
                twins = {"Bob": BOB["mail"], "ann": ANN["mail"]}
                first = told(world, 1)
                count = first[who] + first[twins.get(who, "")]
                is_listed = any(who in listed for listed in doubtful)
                assert count == 1 or (count == 0 and is_listed), (step, who, count, doubtful)
                assert told(world, 2)[who] + told(world, 2)[twins.get(who, "")] == 1, (step, who)
            return death.taken if not death.came else 0, {*doubtful}

    other = {"toc": "xmpp", "xmpp": "toc"}
    steps, doubtful = kill(0)
    assert steps > 30 and not doubtful
    every = range(1, steps + 1)
    chosen = (
        list(every) if whole and THOROUGH else [*every][:: steps // 12 if whole else steps // 3]
    )
    assert all(kill(step)[0] == 0 for step in chosen)


@pytest.mark.slow
def test_wherever_the_connection_is_cut_nobody_is_told_twice() -> None:
    act = PAGE.acts()[0]
    records = [item for item in rehearse(PAGE, act).recording if isinstance(item, Record)]
    found = list(drills.cuts(records))
    toc = [cut for cut in found if drills.protocol(cut) == "toc"]
    others = [cut for cut in found if drills.protocol(cut) != "toc"]
    for cut in toc[:: 1 if THOROUGH else 21] + others[:: 5 if THOROUGH else 39]:
        performance = rehearse(PAGE, act, [cut])
        sent = Counter(
            (record.protocol, build)
            for record in performance.recording
            if isinstance(record, Record) and record.direction == "C"
            for build in re.findall(rb"main: build \d+ (?:failed|works)", record.raw)
            if record.verb in ("message", "toc_send_im")
        )
        assert max(sent.values(), default=0) <= 1, cut
        mails = Counter(
            (mail.to[0], re.search(rb"Subject: (.*)", raw)[1])  # type: ignore[index]
            for mail, raw in zip(performance.envelopes, performance.mails, strict=True)
        )
        assert max(mails.values(), default=0) <= 1, cut
        assert performance.tracebacks == [], cut


def test_a_message_that_comes_back_becomes_a_mail_and_a_forged_return_does_not() -> None:
    with World(build_notify.WORLD, rehearsal=True) as world:
        ann, _ = arrived(world)
        world.clock.at(5, partial(append, world, line(1, "failed")))

        def returns(sender: str) -> None:
            gone = "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            head = f"from='{sender}' to='{world.jabber.sessions(BOT)[0]}' id='{ann.messages[0].id}'"
            error = f"<error type='cancel'>{gone}</error>"
            world.jabber.inject(f"<message {head} type='error'>{error}</message>")

        world.clock.at(40, lambda: returns("mallory@yourco.test/x"))
        world.clock.at(45, lambda: subjects.append(len(world.mail.inbox(ANN["mail"]))))
        world.clock.at(50, lambda: returns("ann@yourco.test/play"))
        world.clock.at(55, lambda: returns("ann@yourco.test/play"))
        subjects: list[int] = []
        runs(world, 70)
        subjects.append(len(world.mail.inbox(ANN["mail"])))
        assert subjects == [0, 1] and len(ann.messages) == 1


def test_who_has_not_agreed_is_asked_for_their_presence_and_mailed_until_then() -> None:
    config = {**build_notify.WORLD, "person": [{"address": BOT}, {"address": ANN["jabber"]}]}
    rules = {"people": {"ann": ANN}, "projects": ["site"], "gather": 2}
    config = {**config, "servers": ["xmpp", "smtp"], "scenario": {"build-notify": rules}}
    with World(config, rehearsal=True) as world:
        ann = world.jabber.actor(ANN["jabber"])
        ann.comes()
        world.clock.at(8, partial(append, world, line(1, "failed")))
        world.clock.at(20, lambda: ann.accepts(BOT))
        world.clock.at(30, partial(append, world, line(2, "passed")))
        runs(world, 40)
        assert [mail.subject for mail in world.mail.messages] == ["site main: build 1 failed"]
        bodies = [one.body.partition("\n")[0] for one in ann.messages]
        assert bodies == ["site main: build 2 works again"]
        asked = [r for r in world.records if r.verb == "presence" and b"subscribe'" in r.raw]
        assert len([record for record in asked if record.direction == "C"]) == 1

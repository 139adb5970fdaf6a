"""The bots on several networks: what they answer, and connections cut at every unit."""

from __future__ import annotations

import importlib
import itertools
import re
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from comms.errors import SettingsError
from comms.settings import load
from fakes import World
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import irc_api_bot, lookup_bot, many_networks
from scenarios.bots.irc_api_bot_desk import Reference
from scenarios.bots.many_networks_desk import NAMES
from scenarios.play import merged
from scenarios.rehearsal import Performance, rehearse
from tests import drills

API = catalogue.named("irc-api-bot")
REFERENCE = Reference(["textwrap", "os", "os.path", "math", "comms.backoff"])


def notices(performance: Performance) -> list[str]:
    """What the program has said on IRC."""
    return [
        record.raw.decode().partition(" :")[2].strip()
        for record in performance.recording
        if isinstance(record, Record) and record.direction == "C" and record.verb == "NOTICE"
    ]


# ── irc-api-bot ──────────────────────────────────────────────────────────────

DOCS = "https://docs.python.org/3/library"


@pytest.mark.parametrize(
    ("name", "begins", "ends"),
    [
        ("len", "len(obj, /) - Return the number of items", f"{DOCS}/functions.html#len"),
        ("str#split", "str.split(self, /, sep=None", f"{DOCS}/stdtypes.html#str.split"),
        ("ValueError", "ValueError(…) - Inappropriate", f"{DOCS}/exceptions.html#ValueError"),
        ("dict.fromkeys", "dict.fromkeys(", f"{DOCS}/stdtypes.html#dict.fromkeys"),
        ("textwrap", "textwrap - Text wrapping", f"{DOCS}/textwrap.html#module-textwrap"),
        ("textwrap.TextWrapper::wrap", "textwrap.TextWrapper.wrap(self, text)", "TextWrapper.wrap"),
        ("os.path.join", "os.path.join(a, *p) - Join two", f"{DOCS}/os.path.html#os.path.join"),
        ("math.tau", "math.tau - float 6.28", f"{DOCS}/math.html#math.tau"),
        ("comms.backoff.Backoff", "comms.backoff.Backoff(clock", "each pause that is random"),
    ],
)
def test_a_name_is_described(name: str, begins: str, ends: str) -> None:
    text = REFERENCE.describe(name, whole=False)
    assert text.startswith(begins)
    assert text.endswith(ends) or name.startswith("comms")
    assert "\n" not in text


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "subprocess",  # not on the list
        "subprocess.run",
        "textwrap.re",  # a module, found in one that is on the list
        "textwrap.re.compile",
        "os.sys.modules",
        "str.__class__",
        "str.__subclasses__",
        "comms.backoff.Backoff._failures",
        "os.environ.get",  # a value, not a class
        "len.__self__",
        "",
        ".",
        "a..b",
        "x" * 10_000,
        "str." * 2000 + "split",
        "__import__",
        "caf\u00e9",
    ],
)
def test_a_name_that_is_not_public_or_not_on_the_list_is_unknown(name: str) -> None:
    assert REFERENCE.describe(name, whole=False) == REFERENCE.describe(name, whole=True) == ""


def test_nothing_is_computed_to_find_a_name() -> None:
    class Trap:
        """A trap."""

        @property
        def sprung(self) -> int:
            """Never asked for."""
            raise AssertionError("computed")

    reference = Reference([])
    reference._modules["trap"] = module = type(sys)("trap")
    module.Trap = Trap  # type: ignore[attr-defined]
    module.__getattr__ = lambda name: pytest.fail(name)  # type: ignore[method-assign]
    assert reference.describe("trap.Trap.sprung", whole=False) == (
        "trap.Trap.sprung - Never asked for."
    )
    assert reference.describe("trap.missing", whole=False) == ""


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("str.spilt", ["str.split", "str.rsplit"]),
        ("textwarp", ["textwrap"]),
        ("textwrap.dednt", ["textwrap.dedent"]),
        ("lenn", ["len"]),
        ("xyzzy.plugh", []),
        ("subprocess.run", []),
    ],
)
def test_an_unknown_name_gets_suggestions(name: str, near: list[str]) -> None:
    assert REFERENCE.near(name)[: len(near)] == near
    assert near or REFERENCE.near(name) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"modules": ["jsn"]}, 'unknown module "jsn"'),
        ({"modules": ["jsn.decoder"]}, "unknown module"),
        ({"modules": ["os; import this"]}, "unknown module"),
        ({"modules": []}, "modules"),
        ({"questions": 0}, "questions"),
        ({"modul": ["json"]}, "did you mean 'modules'"),
    ],
)
def test_wrong_settings_are_named(table: Mapping[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load({"scenario": {"irc-api-bot": table}}).table("irc-api-bot", irc_api_bot.Rules)


@pytest.mark.slow
def test_a_connection_that_is_cut_at_any_unit_says_nothing_twice() -> None:
    act = API.acts()[0]
    records = [item for item in rehearse(API, act).recording if isinstance(item, Record)]
    cuts = list(drills.cuts(records))
    assert len(cuts) > 40
    for cut in cuts:
        performance = rehearse(API, act, [cut])
        assert max(Counter(notices(performance)).values(), default=0) <= 1, cut
        assert performance.tracebacks == [], cut


# ── many-networks ────────────────────────────────────────────────────────────

JEREMY = {"jeremy": {"aim": "SysAdmin"}}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "people: missing key"),
        ({"people": {"jeremy": {"icq": "1"}}}, "icq"),
        ({"people": {"a": {"irc": "x"}, "b": {"irc": "X"}}}, "'X' is both a and b"),
        ({"people": {"a": {"jabber": "yourco.test"}}}, "not a bare Jabber address"),
        ({"people": {"a": {"jabber": "a@yourco.test/x"}}}, "not a bare Jabber address"),
        ({"people": {"jo": {"aim": "Jo", "mail": "@x"}}}, "people: jo needs a mail address; write"),
        ({"people": JEREMY, "rooms": ["ops@x@y"]}, "rooms"),
        ({"people": JEREMY, "sure": ["reboot"]}, "sure: unknown command 'reboot'"),
        ({"people": JEREMY, "public": ["reboot"]}, "public: unknown command"),
        ({"people": JEREMY, "inbox": "secret"}, "inbox"),
        (
            {"people": JEREMY, "commands": {"STOP": ["x"]}},
            "commands: 'STOP' has capitals, or odd spaces; write 'stop'",
        ),
    ],
)
def test_wrong_settings_of_many_networks_are_named(table: Mapping[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        load({"scenario": {"many-networks": table}}).table("many-networks", many_networks.Rules)


def test_without_any_network_the_settings_are_wrong(tmp_path: Path) -> None:
    table = {"people": JEREMY, "state": str(tmp_path / "x.sqlite3")}
    with (
        World({"servers": []}, rehearsal=True) as world,
        pytest.raises(SettingsError, match="no network"),
    ):
        many_networks.run(
            world.clock, load({"scenario": {"many-networks": table}}, tmp_path), world.host
        )


def test_what_changes_something_is_not_ordered_by_mail() -> None:
    verbs = many_networks.Rules(JEREMY).verbs()
    assert verbs["restart"].doors == ("aim", "jabber", "irc") and not verbs["restart"].public
    assert verbs["uptime"].doors == () and verbs["uptime"].public


@pytest.mark.slow
def test_killed_at_any_step_an_order_runs_and_is_answered_at_most_once() -> None:
    outcomes = set()
    for step in itertools.count(1):
        config = {**many_networks.WORLD, "servers": ["toc"]}
        config["scenario"] = {"many-networks": {"people": JEREMY}}
        with World(config, rehearsal=True) as world:
            admin = world.aim.actor("SysAdmin")
            settings = load(world.settings, world.folder)
            world.clock.at(3, partial(admin.says, "OpsBot", "restart"))
            world.clock.until(6)
            with drills.dying(step) as death:
                many_networks.run(world.clock, settings, world.host)
            world.clock.until(world.clock.elapsed + 6)
            many_networks.run(world.clock, settings, world.host)
            texts = [im.text for im in admin.heard]
            assert len(world.host.ran) <= 1 and len(texts) <= 1, (step, world.host.ran, texts)
            outcomes.add((len(world.host.ran), tuple(text[:20] for text in texts)))
            if not death.came:
                assert texts == ["restart: mariadb: restart"]
                break
    assert step > 10
    assert (1, ("it was started, and ",)) in outcomes, outcomes


def test_what_a_network_is_called_is_its_name() -> None:
    assert {name: kind.name for name, kind in NAMES.items()} == {name: name for name in NAMES}


# ── lookup-bot ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "source", "values"),
    [
        ("# the intranet\nAnn\t1\n", "the intranet", {"ann": "1"}),
        ("\ufeffAnn\t1\n", "t.tsv", {"ann": "1"}),
        ("Ann\t1\r\n Bob Smith \t 2\t3 \n", "t.tsv", {"ann": "1", "bob smith": "2\t3"}),
        ("no tab\n\n\t\n", "t.tsv", {"": ""}),
        ("", "t.tsv", {}),
    ],
)
def test_a_table_is_read(tmp_path: Path, text: str, source: str, values: Mapping[str, str]) -> None:
    (tmp_path / "t.tsv").write_text(text, "utf-8", newline="")
    assert lookup_bot.read(tmp_path / "t.tsv") == (source, values)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "tables: missing key"),
        ({"tables": {}}, "tables"),
        ({"tables": {"phone": "none.tsv"}}, "none.tsv"),
        ({"tables": {"phone": "t.tsv"}, "commands": {"dns": []}}, "commands"),
        ({"tables": {"phone": "t.tsv"}, "timeout": 0}, "timeout"),
        ({"tables": {"Phone": "t.tsv"}}, "tables: 'Phone' is not one word in lower case"),
        ({"tables": {"my phone": "t.tsv"}}, "tables: 'my phone' is not one word in lower case"),
        ({"tables": {"phone": "t.tsv"}, "commands": {"DNS": ["x"]}}, "commands: 'DNS' is not one"),
    ],
)
def test_wrong_settings_of_lookup_bot_are_named(
    tmp_path: Path, table: Mapping[str, Any], words: str
) -> None:
    (tmp_path / "t.tsv").touch()
    with pytest.raises(SettingsError, match=words):
        load({"scenario": {"lookup-bot": table}}, tmp_path).table("lookup-bot", lookup_bot.Rules)


@pytest.mark.slow
def test_a_question_is_answered_at_most_once_wherever_the_connection_is_cut() -> None:
    page = catalogue.named("lookup-bot")
    act = next(act for act in page.acts() if act.name == "lookup-nearest")
    records = [item for item in rehearse(page, act).recording if isinstance(item, Record)]
    # Of the four ways to lose it, each unit meets at least one.
    for cut in list(drills.cuts(records))[::3]:
        performance = rehearse(page, act, [cut])
        sent = Counter(
            record.raw
            for record in performance.recording
            if isinstance(record, Record) and record.verb == "toc_send_im"
        )
        assert max(sent.values(), default=0) <= 1, cut
        assert performance.tracebacks == [], cut


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "bot-daemon",
        "build-notify",
        "commit-notify",
        "customer-bot",
        "irc-api-bot",
        "lookup-bot",
        "many-networks",
        "review-bot",
    ],
)
def test_what_a_trial_lets_happen_works_in_real_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A world of `make live` has no cues.
    timers: list[threading.Timer] = []
    monkeypatch.setattr(threading.Timer, "start", lambda timer: timers.append(timer))
    page = catalogue.named(name)
    trial = page.trial()
    assert trial is not None
    with World({**page.acts()[0].world, "tls": "off"}) as world:
        settings = load(merged(world.settings, trial(world)), world.folder)
        module = importlib.import_module(page.module)
        assert settings.table(name, module.Rules)
    assert len(timers) >= 2

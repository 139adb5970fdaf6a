"""The bots on several networks: what they answer, and connections cut at every unit."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from comms.errors import SettingsError
from comms.settings import load
from fakes.wire import Record
from scenarios import catalogue
from scenarios.bots import irc_api_bot
from scenarios.bots.irc_api_bot_desk import Reference
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
        ({"modules": ["jsn"]}, "unknown module 'jsn'"),
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

"""Every scenario: its claims hold, the printed listing breaks exactly the listed ones, a rehearsal
is always the same; and what pages and printed listings say about themselves is true.
"""

from __future__ import annotations

import ast
import dataclasses
import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from comms.compose import Message
from comms.watch import Limits, Watch
from scenarios import catalogue, mistakes, output, rehearsal
from scenarios.__main__ import STORIES
from scenarios.catalogue import Page
from scenarios.play import Act
from scenarios.sending import apache_alert
from scenarios.sending.apache_alert import Rules
from scenarios.stage.story import story
from tests.thorough import THOROUGH

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "scenarios" / "book"
PAGES = catalogue.pages()
FAULTS = [(page, fault) for page in PAGES for fault in page.doc.faults]
FAULT_NAMES = [f"{page.name}: {fault}" for page in PAGES for fault, _ in page.doc.faults]
_printed: dict[tuple[str, int], rehearsal.Played] = {}
_first: dict[str, tuple[str, list[dict[str, Any]]]] = {}  # of the first act: transcript and events


def as_printed(page: Page, mended: int = 0) -> rehearsal.Played:
    """Plays all acts of a page with its printed listing, once for all tests."""
    key = (page.name, mended)
    if key not in _printed:
        _printed[key] = printed(page, page.acts(), mended)
    return _printed[key]


def printed(page: Page, acts: Sequence[Act], mended: int = 0) -> rehearsal.Played:
    """Plays acts of a page with its printed listing."""
    with warnings.catch_warnings():
        # A listing that ends in an error leaves its connections open, until they are garbage.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.freeze()  # what is there already is not looked through, which took most of the time
        played = rehearsal.play(page, acts, book=True, mended=mended)
        gc.collect()
    return played


def named(page: Page) -> str:
    return page.name


def check_claims(performance: rehearsal.Performance) -> None:
    """All claims of an undisturbed rehearsal hold, and are shown by what has happened."""
    name = performance.act.name
    assert performance.claims, f"{name}: an act ends in claims"
    assert [claim for claim in performance.claims if not claim.holds] == [], name
    texts = [claim.text for claim in performance.claims]
    assert len(set(texts)) == len(texts), f"{name}: a listing or a fault names a claim by its text"
    bare = [claim.text for claim in performance.claims if not claim.items]
    # An act in which nothing is sent is about values.
    unproved = [text for text in bare if performance.protocols and not ABSENCE.search(text)]
    assert unproved == [], (
        f"{name}: these claims need shows=, what proves them (scenarios/README.md)"
    )


# What has not happened, and how a program ends, has no arrow in the picture: such a claim is about
# everything until it is made. These are the words of the claims that say so.
ABSENCE = re.compile(
    r"\b(no|not|neither|nothing|nobody|never|without|none|empty|ignored|only|exits?|exit code)\b"
)


# The first act of ship-notices sends 500 mails, which takes as long as those of twenty other pages.
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow) if page.name == "ship-notices" else page
        for page in PAGES
    ],
    ids=[page.name for page in PAGES],
)
def test_every_claim_of_the_first_act_holds_and_is_shown_by_what_happened(page: Page) -> None:
    check_first_act(page)


def check_first_act(page: Page) -> None:
    """Checks the claims of the first act, for a page of this project or of a document."""
    performance = rehearsal.rehearse(page, page.acts()[0])
    check_claims(performance)
    _first[page.name] = performance.transcript, performance.events


MOST = 40  # lines of an act
MOST_IN_ALL = 30  # lines of a scenario, for each of its acts


def digests_of(page: Page, performances: list[rehearsal.Performance]) -> dict[str, str]:
    """Returns a digest of each file that --out keeps of some acts of a page."""
    acts = [performance.act for performance in performances]
    played = rehearsal.judge(page, performances, [])
    other = printed(page, acts) if page.book else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        output.keep(played, folder, other)
        output.keep_index([(folder, played)], folder)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {
            str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files
        }


def compared(page: Page) -> list[Act]:
    """Returns the acts that another process plays as well: all of them in `make soak`.

    Elsewhere one, of the first page its first, of the second page its second, and so on.
    """
    acts = page.acts()
    return acts if THOROUGH else [acts[PAGES.index(page) % len(acts)]]


def answer_with_digests() -> None:
    """For each line on stdin, the name of a page, plays its acts and prints their digests."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        page = catalogue.named(line.strip())
        digests = digests_of(page, [rehearsal.rehearse(page, act) for act in compared(page)])
        print(json.dumps([page.name, digests]), file=answers, flush=True)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[subprocess.Popen[str]]:
    """Another process, with another hash seed, that runs `answer_with_digests`."""
    # This process has a seed that the environment names, or a random one.
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    with subprocess.Popen(
        [sys.executable, "-c", "import tests.test_scenarios as t; t.answer_with_digests()"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        process.communicate()
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_claim_of_every_act_holds_and_the_story_is_kept_and_the_same_in_another_process(
    page: Page, capsys: pytest.CaptureFixture[str], elsewhere: subprocess.Popen[str]
) -> None:
    assert elsewhere.stdin and elsewhere.stdout
    print(page.name, file=elsewhere.stdin, flush=True)
    # The first act, then all acts in reverse order: if a rehearsal left something in the process
    # for the next one, of another act or its own, it would show.
    if page.name not in _first:
        check_first_act(page)
    played = [rehearsal.rehearse(page, act) for act in reversed(page.acts())][::-1]
    for performance in played:
        check_claims(performance)
    assert (played[0].transcript, played[0].events) == _first[page.name]
    performances = [
        one for one in played if not any(getattr(item, "fault", "") for item in one.recording)
    ]
    output.show(rehearsal.Played(page, performances, []))
    shown = capsys.readouterr().out
    if performances == played:
        kept = (STORIES / f"{page.name}.txt").read_text("utf-8")
        assert shown == kept, f"another story is kept: make record NAME={page.name}"
    for text in shown.split("\nact ")[1:]:
        act = text.partition("\n\n  act ")[0]  # the table at the end comes after the last act
        assert len(act.splitlines()) <= MOST, f"too long for a screen: {text}"
    assert len(shown.splitlines()) <= MOST_IN_ALL * len(performances)
    assert max(map(len, shown.splitlines())) <= 120, "a title or a line is too wide"
    for performance in played:
        told = [item for beat in story(performance.recording) for item in beat.items]
        assert sorted(told) == list(range(len(performance.recording))), "each item is told once"
    # All stories were recorded by another process. This looks closer, at a few acts: at every byte
    # of the transcript, the mails and the report.
    few = [performance for performance in played if performance.act in compared(page)]
    digests, name = digests_of(page, few), ""
    while name != page.name:  # nobody has read the answer to a test that failed before this line
        name, others = json.loads(elsewhere.stdout.readline())
    assert digests == others, "it depends on order or hash seed"
    assert digests, "something was kept"


PRINTED = [(page, mended) for page in PAGES if page.book for mended in (0, *page.mends())]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "mended"), PRINTED, ids=[f"{page.name}-{mended}" for page, mended in PRINTED]
)
def test_the_printed_listing_breaks_exactly_the_listed_claims(page: Page, mended: int) -> None:
    played = as_printed(page, mended)
    assert played.broken == played.expected
    assert played.broken, "every listing has its mistakes"


@pytest.mark.parametrize("page", [page for page in PAGES if page.book], ids=named)
def test_each_mistake_that_breaks_a_claim_is_marked_in_the_listing(page: Page) -> None:
    assert page.book is not None
    for mended in (0, *page.mends()):
        for claims in page.breaks(mended).values():
            for claim, mistake in claims.items():
                if isinstance(mistake, int):
                    places = mistakes.places(page.book, mistake)
                    assert places, f"{page.name}: mark the place of mistake {mistake}: {claim}"
                    for place in places:
                        file, _, lines = place.partition(":")
                        text = (ROOT / file).read_text("utf-8").splitlines()
                        for line in lines.split(", "):
                            assert f"mistake {mistake}" in text[int(line) - 1]


def acts_for(page: Page, fault: tuple[str, str]) -> list[Act]:
    """Returns the acts that have a server for a fault of the page, its own one first.

    The faults of a page are spread over its acts, from the first to the last.
    """
    faults, needed = page.doc.faults, rehearsal.protocols_of(fault[0])
    fitting = [act for act in page.acts() if needed <= set(act.world.get("servers", needed))]
    at = faults.index(fault) * len(fitting) // len(faults)
    return fitting[at:] + fitting[:at]


# `make soak` plays all acts under all faults, which takes as long as all other tests. Elsewhere, a
# fault is played until an act has met it and all claims that it breaks were made. Drills cut the
# connection at many more steps of an act.
@pytest.mark.slow
@pytest.mark.parametrize(("page", "fault"), FAULTS, ids=FAULT_NAMES)
def test_every_listed_fault_has_the_listed_outcome(page: Page, fault: tuple[str, str]) -> None:
    text, outcome = fault
    performances: list[rehearsal.Performance] = []
    for act in acts_for(page, fault):
        performances.append(rehearsal.rehearse(page, act, [text]))
        played = rehearsal.judge(page, performances, [text])
        if not (THOROUGH or played.unmet or played.unknown):
            break
    assert (played.broken, played.unmet, played.unknown) == (played.expected, [], [])
    assert (outcome == "all hold") == (not played.broken)


# ── what a page says about itself ────────────────────────────────────────────


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_parts_of_a_page_come_in_the_order_of_the_readme(page: Page) -> None:
    names = []
    for node in ast.parse(page.path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            is_act = any("scenario.act" in ast.unparse(mark) for mark in node.decorator_list)
            names.append("act" if is_act else node.name)
        elif isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            names.append(ast.unparse(target))
    parts = ["WORLD", "scenario", "Rules", "run", "act"]
    assert [name for name in names if name in parts] == parts
    assert names[-1] == "act"


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_docstring_names_the_command_and_the_mistakes_of_the_listing(page: Page) -> None:
    doc = docstring(page.path)
    assert f"make scenario NAME={page.name}" in doc
    if page.book:
        assert "What goes wrong in the printed listing" in doc


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_readme_of_the_scenarios_lists_the_page_with_its_acts(page: Page) -> None:
    readme = (ROOT / "scenarios" / "README.md").read_text("utf-8")
    link = f"[{page.name}]({page.path.parent.name}/{page.path.name})"
    (row,) = [line for line in readme.splitlines() if line.startswith(f"| {link} |")]
    section = page.doc.section.replace("Listing ", "").replace("Section ", "").lower()
    acts = ", ".join(act.name for act in page.acts())
    assert row == f"| {link} | {section} | {', '.join(page.doc.protocols)} | {acts} |"


# ── the chapter's fifteen mistakes ───────────────────────────────────────────

LISTINGS = [path for path in sorted(BOOK.glob("*.py")) if path.name != "__init__.py"]


class Shown(NamedTuple):
    """A row of the README's table: how a mistake is shown."""

    number: int
    sentence: str
    page: Page
    act: Act
    mended: int
    claim: str


def shown_mistakes() -> list[Shown]:
    readme = (ROOT / "scenarios" / "README.md").read_text("utf-8")
    pages = {page.name: page for page in PAGES}
    part = readme.partition("| the mistake |")[2].partition("\n\n")[0]
    rows = []
    for number, sentence, words, claim in re.findall(
        r"^\| (\d+)\.(.*?) \| `(.*?)` \| (.*?) \|", part, re.M
    ):
        options = dict(word.split("=") for word in words.split())
        page = pages[options["NAME"]]
        (act,) = (act for act in page.acts() if act.name == options["ACT"])
        mended = int(options.get("MENDED", "0"))
        rows.append(Shown(int(number), sentence, page, act, mended, claim))
    return rows


SHOWN = shown_mistakes()


def test_the_readme_shows_all_fifteen_mistakes_in_their_words() -> None:
    assert list(dict.fromkeys(row.number for row in SHOWN)) == list(range(1, 16))
    sentences = {row.number: row.sentence.partition(": ")[2] for row in reversed(SHOWN)}
    assert sentences == mistakes.MISTAKES


@pytest.mark.slow
@pytest.mark.parametrize("row", SHOWN, ids=lambda row: f"{row.number}-{row.act.name}")
def test_the_command_of_the_readme_shows_the_mistake(row: Shown) -> None:
    played = as_printed(row.page, row.mended)
    (performance,) = (one for one in played.performances if one.act.name == row.act.name)
    assert row.claim in performance.broken
    assert performance.mistakes[row.claim].number == row.number


@pytest.mark.parametrize("path", LISTINGS, ids=lambda path: path.stem)
def test_a_printed_listing_numbers_its_mistakes_as_the_chapter_does(path: Path) -> None:
    doc, text = docstring(path), path.read_text("utf-8")
    assert len(re.findall(r"^Mistakes$", doc, re.M)) == 1, "exactly one heading"
    part = doc.partition("\nMistakes\n\n")[2]
    numbered = [int(n) for n in re.findall(r"^(\d+)\. ", part, re.M)]
    assert numbered == sorted(set(numbered))
    marked = {
        int(number) for number in re.findall(r"\bmistake (\d+)\b", text.partition('"""\n\n')[2])
    }
    assert marked == set(numbered), "the marks in the code are those of the docstring"
    assert marked <= set(mistakes.MISTAKES)


# ── claims break when the program is spoiled ─────────────────────────────────


def broken_by_apache_alert() -> list[str]:
    page = catalogue.named("apache-alert")
    return rehearsal.rehearse(page, page.acts()[0]).broken


@pytest.mark.slow
def test_a_monitor_that_mails_at_every_check_breaks_its_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def every_check(watch: Watch, verdict: str, now: float, limits: Limits) -> tuple[Watch, str]:
        return watch, verdict if verdict == "down" else ""

    monkeypatch.setattr(Watch, "check", every_check)
    assert "each administrator gets one mail" in broken_by_apache_alert()


def test_a_monitor_that_looks_for_any_apache_breaks_its_claims(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def anywhere(host: Any, rules: Rules) -> str:
        names = " ".join(process.name for process in host.processes())
        return "up" if "apache" in names else "down"

    monkeypatch.setattr(apache_alert, "check", anywhere)
    page = catalogue.named("apache-alert")
    crash = page.acts()[0]
    host = {"name": "web1.yourco.test", "processes": ["apache2", "apachetop"]}
    world: Mapping[str, Any] = {**crash.world, "host": host}
    spoiled = dataclasses.replace(crash, world=world)
    assert "each administrator gets one mail" in rehearsal.rehearse(page, spoiled).broken


def test_display_names_in_the_envelope_break_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Message, "envelope", lambda self: (self.sender, [", ".join(self.to)]))
    assert "the envelope has bare addresses" in broken_by_apache_alert()

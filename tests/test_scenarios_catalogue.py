"""Which files are scenarios, and what a mistake in one of them says."""

from __future__ import annotations

import compileall
import contextlib
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from scenarios import catalogue, rehearsal
from scenarios.catalogue import COMPANIONS, HERE

ROOT = Path(__file__).parent.parent
PAGE = '''
"""Greet the user.

Listing 6.2 · SMTP · try: make scenario NAME=greet

Fault: smtp-421 -> all hold
"""

from scenarios.play import Scenario, equal

scenario = Scenario({"servers": ["smtp"]})


def run(clock, settings, host):
    host.say("Hello")
    return 0


@scenario.act("greeted")
def greeted(world, program):
    """The user is greeted."""
    program()
    yield equal("the user is greeted", world.said, ["Hello"])
'''


class Room:
    """A copy of the package `scenarios` with pages of its own."""

    def __init__(self, folder: Path, without_pages: Path) -> None:
        self.folder = folder
        shutil.copytree(without_pages, folder / "scenarios")

    def write(self, name: str, text: str) -> None:
        (self.folder / "scenarios" / "sending" / name).write_text(textwrap.dedent(text).lstrip())

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the copy in this process, in place of our package.

        Starting Python and importing comms and fakes for each command would take most of the time.
        """
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(self.folder)
            patch.setattr(sys, "dont_write_bytecode", True)
            patch.setattr(sys, "pycache_prefix", None)  # the copy has its bytecode with it
            for name in modules_of_scenarios():
                patch.delitem(sys.modules, name)
            try:
                main = importlib.import_module("scenarios.__main__").main
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                    code = main(words)
            finally:
                for name in modules_of_scenarios():
                    del sys.modules[name]
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def run_alone(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of the copy in another process, as a user would."""
        return subprocess.run(
            [sys.executable, "-m", "scenarios", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},  # for comms and fakes
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def modules_of_scenarios() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "scenarios"]


@pytest.fixture(scope="module")
def without_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package `scenarios` without its pages, compiled: that takes most of a command's time."""
    package = tmp_path_factory.mktemp("package") / "scenarios"
    for source in (*HERE.glob("*.py"), *(HERE / "stage").glob("*.py")):
        place = package / source.relative_to(HERE)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    (package / "sending").mkdir()
    (package / "sending" / "__init__.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "pycache_prefix", None)
        assert compileall.compile_dir(package, quiet=2)
    return package


@pytest.fixture
def room(tmp_path: Path, without_pages: Path) -> Room:
    return Room(tmp_path, without_pages)


def without(pattern: str, instead: str = "") -> str:
    """The page with a part of it removed or replaced."""
    text, count = re.subn(pattern, instead, PAGE, flags=re.S)
    assert count == 1
    return text


# ── what is a page ───────────────────────────────────────────────────────────


def test_a_page_is_a_module_without_the_suffix_of_a_companion() -> None:
    stems = {page.path.stem for page in catalogue.pages()}
    files = {
        path.stem
        for path in HERE.glob("*/*.py")
        if path.parent.name not in catalogue.NOT_SECTIONS and not path.stem.startswith("_")
    }
    companions = {stem for stem in files if stem.endswith(tuple(COMPANIONS))}
    assert stems == files - companions
    assert {re.sub(r"_[a-z]+$", "", stem) for stem in companions} <= stems


def test_every_companion_suffix_is_in_use() -> None:
    stems = [path.stem for path in HERE.glob("*/*.py")]
    assert [suffix for suffix in COMPANIONS if not any(s.endswith(suffix) for s in stems)] == []


@pytest.mark.slow
def test_a_page_without_mistakes_is_listed_and_played(room: Room) -> None:
    room.write("greet.py", PAGE)
    assert room.run("list").stdout == "greet  Greet the user · Listing 6.2 · SMTP\n"
    for done in (room.run("run", "greet"), room.run_alone("run", "greet")):
        assert (done.returncode, done.stderr) == (0, "") and "✓ 1 of 1 claim" in done.stdout
    # A fault that no act meets is not a mistake of the page, but it proves nothing.
    assert room.run("run", "greet", "--fault", "smtp-421").returncode == 1


def test_the_order_is_that_of_the_chapter_and_of_the_tables_of_the_readmes() -> None:
    names = [page.name for page in catalogue.pages()]
    assert names == catalogue.names()
    sections = dict.fromkeys(page.doc.section for page in catalogue.pages())
    assert list(sections) == list(catalogue.CHAPTER)
    for readme in (ROOT / "README.md", ROOT / "scenarios" / "README.md"):
        rows = re.findall(
            r"^\|.*?\| \[([\w-]+)\]|^\| \[([\w-]+)\]", readme.read_text("utf-8"), re.M
        )
        assert [first or second for first, second in rows] == names


def test_a_page_with_a_mistake_or_outside_of_the_chapter_comes_last(room: Room) -> None:
    room.write("greet.py", PAGE)
    room.write("aaa.py", PAGE.replace("Listing 6.2", "Listing 9.9").replace("greet", "aaa"))
    room.write("bbb.py", "this is not Python")
    done = room.run("run", "nothing")
    assert done.stderr == "error: unknown scenario 'nothing'; choose from: greet, bbb, aaa\n"


def test_acts_come_in_the_order_of_their_definition_the_page_first() -> None:
    names = [act.name for act in catalogue.named("apache-alert").acts()]
    further = ["apache-mail-down", "apache-lookalikes", "apache-crash-cron"]
    assert names == ["apache-crash-alert", *further, "process-check-portable"]


# ── mistakes ─────────────────────────────────────────────────────────────────

FILE = "scenarios/sending/greet.py"
MISTAKES = {
    "no docstring": (
        without(r'"""Greet.*?"""', ""),
        "no title; begin the docstring with one sentence about the problem",
    ),
    "no facts line": (
        without(r"\nListing[^\n]*\n"),
        "no line with `· try:` in the docstring; write a line like: Listing 6.2 · SMTP · try: make",
    ),
    "no Python": (without(r"def run\(", "def run"), "line 13: "),
}
IMPORTED = {
    "no scenario": (
        without(r"scenario = Scenario.*?\n", "act = Scenario({}).act\n").replace("@scenario.", "@"),
        "no `scenario`; write scenario = Scenario(WORLD)",
    ),
    "no run": (
        without(r"def run", "def walk"),
        "no function `run`; write def run(clock, settings, host)",
    ),
    "no acts": (
        without(r"@scenario.act.*"),
        'no acts; write @scenario.act("name") above a function',
    ),
    "two acts of one name": (
        PAGE + '\n\nscenario.act("greeted")(greeted)\n',
        "two acts are named 'greeted'; give one of them another name",
    ),
    "an act without a name": (
        without(r'@scenario.act\("greeted"\)', "@scenario.act"),
        'line 18: an act without a name; write @scenario.act("name")',
    ),
    "an act with other parameters": (
        without(r"greeted\(world, program\)", "greeted(world)"),
        "act greeted: wrong parameters; write def greeted(world, program)",
    ),
    "an act without claims": (
        without(r"    yield.*"),
        "act greeted: makes no claims; write yield equal(text, found, wanted)",
    ),
    "an act that yields something else": (
        without(r"    yield.*", "    yield True\n"),
        "act greeted: yields something else than claims; write yield equal(text, found, wanted)",
    ),
    "a world that is not a mapping": (
        without(r'\{"servers": \["smtp"\]\}', '["smtp"]'),
        "line 10: expected a mapping, found ['smtp']; write Scenario({",
    ),
    "an unknown table in the world": (
        without('"servers"', '"servrs"'),
        "act greeted: WORLD: servrs: unknown key (did you mean 'servers'?); known keys: ",
    ),
    "an unknown server in the world": (
        without(r'\["smtp"\]', '["smpt"]'),
        "act greeted: WORLD: servers: unknown server 'smpt' (did you mean 'smtp'?); choose from ",
    ),
    "a wrong table of an act": (
        without(r'act\("greeted"\)', 'act("greeted", host={"nme": "web1"})'),
        "act greeted: WORLD: host.nme: unknown key (did you mean 'name'?); known keys: name, ",
    ),
    "the settings of another page": (
        without(r'\{"servers"', '{"scenario": {"great": {}}, "servers"'),
        'act greeted: WORLD: scenario.great: not this page\'s settings; write "scenario": {',
    ),
    "a module that does not exist": (
        without(r"Scenario, equal", "Scenario, equal\nimport smpt"),
        "line 9: No module named 'smpt'; correct the import, or write Needs: smpt if it is a",
    ),
    "a name that does not exist": (
        without(r"Scenario, equal", "Scenario, eqaul"),
        "line 8: cannot import name 'eqaul' from 'scenarios.play'",
    ),
    "settings without a dataclass": (
        without("Fault: smtp", "[scenario.greet]\nto = 1\n\nFault: smtp"),
        "[scenario.greet] is shown, but there is no dataclass `Rules`; write one",
    ),
    "a fault that cannot be parsed": (
        without("Fault: smtp-421", "Fault: RCPT explode"),
        "Fault: RCPT explode: ",
    ),
}


@pytest.mark.parametrize("mistake", [*MISTAKES, *IMPORTED])
def test_a_mistake_in_a_page_is_one_line_that_names_file_and_remedy(
    room: Room, mistake: str
) -> None:
    text, message = (MISTAKES | IMPORTED)[mistake]
    room.write("greet.py", text)
    done = room.run("run", "greet")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {FILE}: ") and message in done.stderr
    assert done.stderr.count("\n") == 1


def test_every_command_reports_a_mistake_that_it_meets(room: Room) -> None:
    room.write("greet.py", MISTAKES["no facts line"][0])
    commands = (("list",), ("run", "all"), ("faults",), ("faults", "greet"))
    for done in (room.run(*words) for words in commands):
        assert done.returncode == 2 and done.stderr.startswith(f"error: {FILE}: no line with")
        assert done.stderr.count("\n") == 1


def test_a_list_imports_no_page(room: Room) -> None:
    room.write("greet.py", PAGE + "\n1 / 0\n")
    assert room.run("list").returncode == 0
    assert room.run("run", "greet").returncode == 70


def test_two_pages_of_one_name_are_a_mistake(room: Room) -> None:
    room.write("greet.py", PAGE)
    (room.folder / "scenarios" / "aim").mkdir()
    (room.folder / "scenarios" / "aim" / "greet.py").write_text(PAGE)
    done = room.run("list")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {FILE}: aim/greet.py has the same name; rename one of the two\n"
    )


def test_a_mistake_in_one_page_does_not_stop_another(room: Room) -> None:
    room.write("greet.py", PAGE)
    room.write("broken.py", '"""Break."""')
    assert room.run("run", "greet", "--quiet").returncode == 0
    done = room.run("list")
    assert done.returncode == 2 and done.stderr.startswith("error: scenarios/sending/broken.py: ")


def test_two_acts_of_one_name_in_two_files_name_the_second_file(room: Room) -> None:
    room.write("greet.py", PAGE)
    acts = "from scenarios.sending.greet import greeted, scenario\n"
    room.write(
        "greet_acts.py",
        acts + '\n\n@scenario.act("greeted")\ndef again(world, program):\n    yield\n',
    )
    done = room.run("run", "greet")
    assert done.returncode == 2
    assert done.stderr.startswith("error: scenarios/sending/greet_acts.py: two acts are named")


def test_a_companion_without_a_page_is_a_mistake(room: Room) -> None:
    room.write("greet.py", PAGE)
    room.write("grete_acts.py", "")
    done = room.run("list")
    assert (done.returncode, done.stderr) == (
        2,
        "error: scenarios/sending/grete_acts.py: *_acts.py belongs to a page, and there is no "
        "grete.py; rename the file\n",
    )


def test_a_listed_fault_for_a_server_that_is_not_there_is_a_mistake(room: Room) -> None:
    room.write("greet.py", PAGE.replace("smtp-421", "pop-dele-err"))
    for words in (("faults", "greet"), ("run", "greet", "--fault", "all")):
        done = room.run(*words)
        assert done.returncode == 2 and f"error: {FILE}: Fault: pop-dele-err: " in done.stderr


def test_a_mistake_in_further_acts_names_their_file(room: Room) -> None:
    room.write("greet.py", PAGE)
    for text, message in (
        ("import smpt\n", "line 1: No module named 'smpt'; "),
        ("def\n", "line 1: "),
    ):
        room.write("greet_acts.py", text)
        done = room.run("run", "greet")
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert done.stderr.startswith(f"error: scenarios/sending/greet_acts.py: {message}")


BOOKS = {
    "no run": ("BREAKS = {}\n", "no function `run`; write def run(clock, settings, host)"),
    "no BREAKS": ("def run(*_): pass\n", 'no `BREAKS`; write BREAKS = {"act": {"claim": 1}}'),
    "an unknown act": (
        'BREAKS = {"geeted": {}}\n\n\ndef run(*_):\n    pass\n',
        "BREAKS: unknown act 'geeted' (did you mean 'greeted'?); choose from: greeted",
    ),
    "an unknown mistake": (
        'BREAKS = {"greeted": {"the greeting arrives": 16}}\n\n\ndef run(*_):\n    pass\n',
        "BREAKS: the greeting arrives: unknown mistake 16; choose from 1 to 15",
    ),
    "no mistakes": (
        'BREAKS = {"greeted": ["the greeting arrives"]}\n\n\ndef run(*_):\n    pass\n',
        'BREAKS: act greeted: write {"claim": 1}',
    ),
    "a mistake that is not mended": (
        'BREAKS = {("greeted", 2): {}}\n\n\ndef run(*_):\n    pass\n',
        "BREAKS: act greeted: mistake 2 is not in MENDS; add what is done instead",
    ),
    "a wrong import": ("import smpt\n", "line 1: No module named 'smpt'; "),
}


@pytest.mark.parametrize("mistake", BOOKS)
def test_a_mistake_in_a_printed_listing_names_its_file(room: Room, mistake: str) -> None:
    text, message = BOOKS[mistake]
    room.write("greet.py", PAGE)
    (room.folder / "scenarios" / "book").mkdir()
    (room.folder / "scenarios" / "book" / "greet.py").write_text(text)
    done = room.run("run", "greet", "--as", "book")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: scenarios/book/greet.py: {message}"), done.stderr
    assert done.stderr.count("\n") == 1


# ── bugs are not usage errors ────────────────────────────────────────────────


def test_an_import_that_fails_inside_of_a_library_is_a_traceback_and_exit_70(room: Room) -> None:
    (room.folder / "broken_library.py").write_text("import smpt\n")
    room.write("greet.py", PAGE.replace("from scenarios", "import broken_library\nfrom scenarios"))
    done = room.run("run", "greet")
    assert done.returncode == 70 and "Traceback" in done.stderr


@pytest.mark.parametrize("bug", ["{}['smtp']", "[].pop()", "raise LookupError('smtp')", "1 / 0"])
def test_a_bug_in_an_act_is_a_traceback_and_exit_70(room: Room, bug: str) -> None:
    room.write("greet.py", PAGE.replace("    program()\n", f"    {bug}\n"))
    done = room.run("run", "greet")
    assert done.returncode == 70 and "Traceback" in done.stderr and bug in done.stderr


def test_claims_that_are_listed_as_broken_but_not_made_are_reported() -> None:
    page = catalogue.named("apache-alert")
    (fault,) = [text for text, outcome in page.doc.faults if outcome != "all hold"]
    spoiled = replace(page, doc=replace(page.doc, faults=((fault, "breaks it snows"),)))
    played = rehearsal.play(spoiled, page.acts()[:1], [fault])
    assert played.expected == ["it snows"] and played.exit_code == 1

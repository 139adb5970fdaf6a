"""Rules about the code: who may import what, what cores must not use, what tests must show.

Each rule has its reason in its test. If a rule is in the way of something good, change the rule, in
a commit that does only that and says why.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.servers import SERVERS
from fakes.transcripts.player import play_on_core
from fakes.transcripts.text import load
from fakes.wire import Record, Session
from fakes.wire.lines import LineSession
from scenarios.catalogue import COMPANIONS

ROOT = Path(__file__).parent.parent
FOLDERS = ("comms", "fakes", "scenarios", "tests")
# Packages that are used if they are installed. They are imported inside the one function that needs
# them, so that everything else works without. File → packages.
OPTIONAL = {
    "comms/host.py": {"psutil"},
    "comms/xmpp/srv.py": {"dns"},
    "fakes/certificates.py": {"trustme"},
    "fakes/loops.py": {"uvloop"},
}
# The modules of scenarios/ that pages may import. All others are there to play the pages.
FOR_PAGES = {"builds", "delivery", "growing", "models", "play", "progress", "templates", "web"}
# Files of fakes/ that are not cores: they may use time, randomness, sockets and event loops. `make
# coverage` measures all other files.
SHELLS = {
    "fakes/shell.py",
    "fakes/world.py",
    "fakes/life.py",
    "fakes/loops.py",
    "fakes/clock.py",
    "fakes/bridge.py",
    "fakes/mail_posts.py",
    "fakes/transcripts/connections.py",
    "fakes/certificates.py",
    "fakes/__main__.py",
    "fakes/pytest_plugin.py",
}
FORBIDDEN_IN_CORES = {
    "asyncio",
    "socket",
    "time",
    "random",
    "uuid",
    "secrets",
    "threading",
    "select",
}
FORBIDDEN_IN_COMMS = {"random", "uuid", "secrets"}


@dataclass
class Function:
    """A function or a method: whether it asserts or raises, and the names of what it calls."""

    name: str
    checks: bool = False
    calls: set[str] = field(default_factory=set)


@dataclass
class Source:
    """What the rules want to know of a file.

    Each file is parsed once, and its tree is not kept: all trees together are a million objects,
    among which garbage would be looked for during all later tests.
    """

    imports: list[tuple[str, bool]] = field(default_factory=list)  # module, is it at the top level
    functions: list[Function] = field(default_factory=list)
    writes: list[tuple[int, str]] = field(default_factory=list)  # line, newline= of write_text()


@functools.cache
def source(path: Path) -> Source:
    """Reads a file. Imports for type checkers only are left out."""
    found = Source()
    tree = ast.parse(path.read_text("utf-8"))
    waiting: list[tuple[ast.AST, tuple[Function, ...]]] = [(tree, ())]
    top_level, typing_only = {id(node) for node in tree.body}, set[int]()
    while waiting:
        node, within = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            within = (*within, Function(node.name))
            found.functions.append(within[-1])
        elif isinstance(node, ast.Assert | ast.Raise):
            for function in within:
                function.checks = True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            is_method = isinstance(node.func, ast.Attribute)
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            for function in within:
                function.calls.add(name)
            if is_method and name == "write_text":
                newlines = [
                    ast.unparse(word.value) for word in node.keywords if word.arg == "newline"
                ]
                found.writes.append((node.lineno, "".join(newlines)))
        elif isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in typing_only:
            found.imports += ((name, id(node) in top_level) for name in _imported(node))
        elif isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            typing_only.update(map(id, ast.walk(node)))
        waiting += ((child, within) for child in ast.iter_child_nodes(node))
    return found


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = [alias.name for alias in node.names]
    if isinstance(node, ast.Import):
        return names
    module = str(node.module)
    # `from comms import smtp` imports the module comms.smtp
    return [f"{module}.{name}" for name in names] if module in FOLDERS else [module]


def imports(path: Path) -> list[tuple[str, bool]]:
    """Returns each import of a file: the module, and whether it is at the top level of the file."""
    return source(path).imports


def files(*folders: str) -> list[Path]:
    """Returns the Python files of these folders."""
    found = {folder: sorted((ROOT / folder).rglob("*.py")) for folder in folders}
    # Without files, every rule about them would pass.
    assert all(found.values()), f"a folder without Python files: {found}"
    return [path for folder in folders for path in found[folder]]


def named(path: Path) -> str:
    """Returns the path as it is written in messages and lists here: relative, with slashes."""
    return path.relative_to(ROOT).as_posix()


def none_of(found: Iterable[str]) -> bool:
    """Returns True if nothing was found; otherwise fails with all of it, a line each.

    A rule is one test over all files, because a test for each file costs more than the check.
    """
    lines = list(found)
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)
    return True


# ── who may import what ──────────────────────────────────────────────────────


def packages(path: Path) -> set[str]:
    """Returns the packages that a file imports."""
    return {module.split(".")[0] for module, _ in imports(path)}


@pytest.mark.slow
def test_folders_import_only_what_they_may() -> None:
    # comms and fakes check each other on the wire. Shared code would be wrong on both sides at
    # once, and every test would be green.
    def wrong() -> Iterator[str]:
        for path in files("comms", "fakes", "scenarios"):
            folder = path.relative_to(ROOT).parts[0]
            allowed = {folder, "comms"} if folder == "scenarios" else {folder}
            if named(path) in ("scenarios/rehearsal.py", "scenarios/site.py"):
                allowed.add("fakes")  # the two places where programs meet fakes
            for other in packages(path) & {*FOLDERS} - allowed:
                yield f"{named(path)} imports {other}"

    assert none_of(wrong())


def test_a_scenario_imports_no_other_scenario() -> None:
    # so that a reader can understand, copy and deploy one page alone
    def wrong() -> Iterator[str]:
        for path in files("scenarios"):
            place = path.relative_to(ROOT / "scenarios")
            if len(place.parts) < 2 or place.parts[0] in ("book", "stage"):
                continue
            page = path.stem
            for suffix in COMPANIONS:
                page = page.removesuffix(suffix)
            allowed = {page, *(page + suffix for suffix in COMPANIONS)}
            for module, _ in imports(path):
                parts = module.split(".")
                if parts[0] != "scenarios" or len(parts) < 2 or parts[1] in FOR_PAGES:
                    continue
                if len(parts) == 2 or parts[2] not in allowed:
                    yield f"{named(path)} imports {module}"

    assert none_of(wrong())


def test_comms_and_fakes_need_only_the_standard_library() -> None:
    # so that both can be copied into any project
    def wrong() -> Iterator[str]:
        for path in files("comms", "fakes"):
            for module, at_top_level in imports(path):
                package = module.split(".")[0]
                if package in sys.stdlib_module_names or package in FOLDERS:
                    continue
                if path.name == "pytest_plugin.py" and package == "pytest":
                    continue
                if package not in OPTIONAL.get(named(path), set()):
                    yield f"{named(path)} needs {package}"
                elif at_top_level:
                    yield f"{named(path)}: import {package} inside the one function that uses it"

    assert none_of(wrong())


def test_cores_use_no_sockets_time_or_randomness() -> None:
    # so that a core can be tried byte by byte, and a rehearsal is the same each time
    assert none_of(
        f"{named(path)} imports {forbidden}; "
        "take time and tokens from the Runtime (fakes/wire/session.py)"
        for path in files("fakes")
        if named(path) not in SHELLS
        for forbidden in packages(path) & FORBIDDEN_IN_CORES
    )


def test_only_the_host_of_comms_uses_randomness() -> None:
    # A rehearsal hands in a host of its own, which makes the program the same each time.
    assert none_of(
        f"{named(path)} imports {forbidden}; take tokens from the Host"
        for path in files("comms")
        for forbidden in packages(path) & FORBIDDEN_IN_COMMS
        if (named(path), forbidden) != ("comms/host.py", "secrets")
    )


def test_nothing_sleeps() -> None:
    # A sleep is either too short, on a busy machine, or too long. Wait for what is to happen.
    assert none_of(
        f"{named(path)} sleeps"
        for path in files("comms", "scenarios", "tests")
        if path != Path(__file__)
        and re.search(r"\b(time|asyncio)\.sleep\((?!0\))", path.read_text("utf-8"))
    )


def test_what_is_written_has_the_same_line_ends_on_every_platform() -> None:
    for path in files("comms", "fakes", "scenarios"):
        for line, newline in source(path).writes:
            assert newline == r"'\n'", f"{path}:{line}"


def test_book_does_not_use_the_modules_in_which_its_faults_are_mended() -> None:
    modules = "compose read replies commands ledger outbox smtp pop3 state".split()
    mended = {f"comms.{name}" for name in modules}
    for path in files("scenarios/book"):
        imported = {module for module, _ in imports(path)}
        imported |= {
            f"comms.{module.split('.')[1]}" for module in imported if module.startswith("comms.")
        }
        assert not imported & mended, f"{named(path)} imports {imported & mended}"


def test_stage_imports_neither_comms_nor_fakes() -> None:
    for path in files("scenarios/stage"):
        assert not {module.split(".")[0] for module, _ in imports(path)} & {"comms", "fakes"}


# ── what tests must do ───────────────────────────────────────────────────────

TESTS = sorted((ROOT / "tests").glob("test_*.py"))


def test_every_test_with_a_real_server_or_a_browser_is_marked() -> None:
    # Where these markers are left out, the files are not even read (conftest.py).
    marked = re.compile(r"pytest\.mark\.(real|browser)\b")
    assert none_of(
        f"{named(path)}: {node.name}: mark it as real, or as browser"
        for path in TESTS
        if path.name.startswith("test_real_")
        and not re.search(
            r"^pytestmark = pytest\.mark\.(real|browser)$", path.read_text("utf-8"), re.M
        )
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not marked.search(" ".join(map(ast.unparse, node.decorator_list)))
    )


# These fail by themselves: they raise TranscriptError where a server deviates from the dialogue.
PLAYERS = {"play_on_core", "play_on_socket"}


def has_check(function: Function, helpers: set[str]) -> bool:
    """Returns whether a function can fail: it asserts, raises, or calls a helper that does."""
    return (
        function.checks
        or not function.calls.isdisjoint(helpers | {"raises", "fail"})
        or any(name.startswith("assert_") for name in function.calls)
    )


@functools.cache
def checking_functions(path: Path) -> set[str]:
    """Returns the functions and methods with checks in a test file and in the files it imports."""
    found = set(PLAYERS)
    for module, _ in imports(path):
        package, _, name = module.partition(".")
        # `from tests.linechat import LineChat`, `from tests import linechat`
        if package == "tests" and (path.parent / f"{name}.py").exists():
            found |= checking_functions(path.parent / f"{name}.py")
    functions = source(path).functions
    before = -1
    while len(found) > before:  # a helper may call a helper
        before = len(found)
        found |= {function.name for function in functions if has_check(function, found)}
    return found


@pytest.mark.slow
def test_every_test_checks_something() -> None:
    # A test that only runs code passes whatever the code returns.
    assert none_of(
        f"{named(path)}: {function.name}: assert what must hold after the last line"
        for path in TESTS
        for function in source(path).functions
        if function.name.startswith("test_") and function.name not in checking_functions(path)
    )


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("run()", set()),
        ("helper()", {"helper", "test_x"}),
        ("outer()", {"helper", "outer", "test_x"}),
        ("with pytest.raises(ValueError): run()", {"test_x"}),
        ("wire.assert_none()", {"test_x"}),
        ("play_on_core(DIALOGUE)", {"test_x"}),
    ],
)
def test_a_test_without_a_check_is_recognised(tmp_path: Path, body: str, found: set[str]) -> None:
    helpers = "def helper():\n    assert run()\ndef outer():\n    helper()\n"
    path = tmp_path / "test_x.py"
    path.write_text(f"{helpers}def test_x():\n    {body}\n")
    assert checking_functions(path) - PLAYERS - {"helper", "outer"} == found - {"helper", "outer"}


# Modules without a test file of their own → the file that tests them. Write a test file if a module
# gets decisions of its own.
TESTED_WITH_OTHERS = {
    "comms/bots/aim.py": "test_comms_bots_bot.py",
    "comms/bots/irc.py": "test_comms_bots_bot.py",
    "comms/bots/jabber.py": "test_comms_bots_bot.py",
    "comms/bots/mail.py": "test_comms_bots_impostors.py",
    "comms/irc/messages.py": "test_comms_irc_client.py",
    "comms/xmpp/__init__.py": "test_comms_xmpp_outbox.py",
    "fakes/imap/base.py": "test_fakes_imap_session.py",
    "fakes/inbox.py": "test_fakes_pytest_plugin.py",
    "fakes/irc/actors.py": "test_fakes_irc_network.py",
    "fakes/irc/capabilities.py": "test_fakes_irc_session.py",
    "fakes/irc/channels.py": "test_fakes_irc_network.py",
    "fakes/irc/commands/joining.py": "test_fakes_irc_session.py",
    "fakes/irc/commands/messages.py": "test_fakes_irc_network.py",
    "fakes/irc/commands/modes.py": "test_fakes_irc_session.py",
    "fakes/irc/commands/queries.py": "test_fakes_irc_network.py",
    "fakes/irc/commands/services.py": "test_fakes_irc_masks.py",
    "fakes/irc/server.py": "test_fakes_irc_network.py",
    "fakes/irc/users.py": "test_fakes_irc_network.py",
    "fakes/sasl/__init__.py": "test_fakes_sasl_exchange.py",
    "fakes/sasl/context.py": "test_fakes_sasl_simple.py",
    "fakes/sasl/names.py": "test_fakes_sasl_exchange.py",
    "fakes/toc/server.py": "test_fakes_toc.py",
    "fakes/xmpp/admin/forms.py": "test_fakes_xmpp_extensions_administration.py",
    "fakes/xmpp/admin/messages.py": "test_fakes_xmpp_extensions_administration.py",
    "fakes/xmpp/extensions/ping.py": "test_fakes_xmpp_extensions.py",
    "fakes/xmpp/extensions/time.py": "test_fakes_xmpp_extensions.py",
    "fakes/xmpp/archiving/finding.py": "test_fakes_xmpp_extensions_archive.py",
    "fakes/xmpp/archiving/messages.py": "test_fakes_xmpp_extensions_archive.py",
    "fakes/xmpp/archiving/of_rooms.py": "test_fakes_xmpp_extensions_archive.py",
    "fakes/xmpp/archiving/preferences.py": "test_fakes_xmpp_extensions_archive.py",
    "fakes/xmpp/archiving/queries.py": "test_fakes_xmpp_extensions_archive.py",
    "fakes/xmpp/archiving/rules.py": "test_fakes_xmpp_extensions_archive.py",
    "fakes/xmpp/muc/entering.py": "test_fakes_xmpp_extensions_rooms.py",
    "fakes/xmpp/muc/governing.py": "test_fakes_xmpp_extensions_rooms.py",
    "fakes/xmpp/muc/hall.py": "test_fakes_xmpp_extensions_rooms.py",
    "fakes/xmpp/muc/inviting.py": "test_fakes_xmpp_extensions_rooms.py",
    "fakes/xmpp/muc/names.py": "test_fakes_xmpp_extensions_rooms.py",
    "fakes/xmpp/muc/talking.py": "test_fakes_xmpp_extensions_rooms.py",
    "fakes/xmpp/pieces.py": "test_fakes_xmpp_splitter.py",
    "fakes/xmpp/extension_set.py": "test_fakes_xmpp_extension.py",
    "fakes/xmpp/policy.py": "test_fakes_xmpp_jabber.py",
    "fakes/xmpp/pubsub/access.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/configuration.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/describing.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/events.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/hosting.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/interests.py": "test_fakes_xmpp_extensions_pep.py",
    "fakes/xmpp/pubsub/names.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/nodes.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/owning.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/publishing.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/retrieving.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/pubsub/sharing.py": "test_fakes_xmpp_extensions_pep.py",
    "fakes/xmpp/pubsub/subscribing.py": "test_fakes_xmpp_extensions_pubsub.py",
    "fakes/xmpp/server.py": "test_fakes_xmpp_jabber.py",
    "fakes/xmpp/server_stream.py": "test_fakes_xmpp_incoming.py",
    "fakes/xmpp/upload_web.py": "test_fakes_xmpp_extensions_upload.py",
}


def modules(*folders: str) -> list[Path]:
    """Returns the modules of these folders that define functions."""
    return [path for path in files(*folders) if source(path).functions]


def test_every_module_has_a_test_file_of_its_name() -> None:
    # so that a reader finds the tests of a module, and sees which rules it has
    def wrong() -> Iterator[str]:
        for path in modules("comms", "fakes"):
            module = path.relative_to(ROOT).with_suffix("")
            own = "test_" + "_".join(module.parts).replace("__main__", "main") + ".py"
            other = TESTED_WITH_OTHERS.get(named(path))
            if other is None:
                if not (ROOT / "tests" / own).exists():
                    yield (
                        f"{named(path)}: tests/{own} does not exist; write it, or name the file "
                        "that tests this module in TESTED_WITH_OTHERS"
                    )
            elif (ROOT / "tests" / own).exists():
                yield f"remove {named(path)} from TESTED_WITH_OTHERS"
            elif not (ROOT / "tests" / other).exists():
                yield f"{named(path)}: tests/{other} does not exist"

    assert none_of(wrong())


def test_the_modules_that_are_tested_with_others_exist() -> None:
    assert TESTED_WITH_OTHERS.keys() <= {named(path) for path in modules("comms", "fakes")}


# ── what transcripts must show ───────────────────────────────────────────────


def transcribed_commands(protocol: str) -> tuple[set[str], set[str]]:
    """Returns the commands that succeed in a transcript of this protocol, and those refused."""
    accepted: set[str] = set()
    refused: set[str] = set()
    for path in (ROOT / "tests" / "transcripts").glob(f"{protocol}-*.txt"):
        world = play_on_core(load(path))
        records = [
            entry
            for entry in world.recording
            if isinstance(entry, Record) and entry.direction in "CS"
        ]
        for command, answer in itertools.pairwise(records):
            pair = (command.direction, answer.direction)
            if pair == ("C", "S") and command.protocol == protocol:
                is_refusal = re.match(rb"503|554|-ERR|\S+ BAD ", answer.raw)
                (refused if is_refusal else accepted).add(command.verb)
            elif pair == ("C", "C") and command.protocol == protocol:
                accepted.add(command.verb)  # the message of APPEND, which goes on after it
    return accepted, refused


def line_protocols() -> list[type[Session]]:
    """Returns the cores whose units are lines."""
    return [server.session for server in SERVERS if issubclass(server.session, LineSession)]


@pytest.mark.parametrize("core", line_protocols(), ids=lambda core: core.protocol)
def test_each_command_is_in_a_transcript_where_it_succeeds_and_one_where_it_is_refused(
    core: type[Session],
) -> None:
    accepted, refused = transcribed_commands(core.protocol)
    # In these, input is no command.
    states = frozenset().union(*(row.states for row in core.verbs.values()))
    states -= {"DATA", "AUTH", "IDLE"}
    for verb, row in core.verbs.items():
        assert verb in accepted, f"no {core.protocol} transcript has {verb} where it is legal"
        if verb.isupper() and row.states & states and not row.states >= states:
            assert verb in refused, f"no {core.protocol} transcript has {verb} in a wrong state"


# ── what is in the repository ────────────────────────────────────────────────

TOP_LEVEL = {
    "comms",
    "fakes",
    "scenarios",
    "tests",
    "LICENSE",
    "Makefile",
    "README.md",
    "pyproject.toml",
}


def tracked() -> list[str]:
    """Returns the paths of the files that git tracks; none where there is no repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [path for path in listed.stdout.split("\0") if path]


def test_top_level_has_the_four_folders_and_what_tools_look_for_there() -> None:
    # A newcomer sees this list first. Everything else is in one of the folders; settings
    # of tools are in pyproject.toml or in files whose names begin with a dot.
    names = {path.split("/")[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= TOP_LEVEL


def test_documents_are_readmes_or_in_dot_github() -> None:
    # Each folder has one README, so that its documents are where its code is. What is about working
    # on the project, as CONTRIBUTING.md, is in .github/, where GitHub looks for it.
    documents = [path for path in tracked() if path.endswith((".md", ".rst"))]
    for path in documents:
        *folders, name = path.split("/")
        allowed = name == "README.md" or folders[:1] == [".github"]
        assert allowed, f"{path}: write it into {'/'.join([*folders, 'README.md'])}"


# ── the words ────────────────────────────────────────────────────────────────

# Words of a dialect that the project once had, with the ordinary English for each. A reader
# stumbles over them, and one attracts the next.
DIALECT = {
    "behind": "after",
    "parted": "split",
    "blanks?": "space",
    "so many": "that many, at most",
    "(?<!there )(?:is|are|was|were) no (?!longer|more)": "is not a",
    "the time is come": "the time has come",
    "gives": "returns, sends, says",
    "chance": "randomness",
    "whoever": "everyone who",
    "somebody": "a user, a client",
    "nobody knows": "it is unknown",
    "in hand": "current",
    "all the same": "anyway",
    "on line": "online",
    "comes by": "arrives",
    "one who": "a user who",
    "that which": "what",
    "how-manieth": "occurrence number",
    "anew": "again",
    "need be": "necessary",
    "(?:handler|bytes|octets|seconds|write|frame) a (?:verb|write|read|session|unit)": "per",
}


def documents() -> list[Path]:
    """Returns the files that a reader reads as English."""
    folders = files("comms", "fakes", "scenarios")
    texts = list(ROOT.glob("tests/transcripts/*.txt"))
    documents = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob(".github/*.md")]
    return [*folders, *documents, *texts]


def prose(path: Path) -> str:
    """Returns a file in lower case; of a transcript, the title and the comments only."""
    text = path.read_text("utf-8").lower()
    if path.suffix != ".txt":
        return text
    first, *lines = text.splitlines()
    return "\n".join([first, *(line if line.startswith("#") else "" for line in lines)])


def test_no_word_of_the_dialect_is_left() -> None:
    found = []
    for path in documents():
        text = prose(path)
        for word, instead in DIALECT.items():
            # Without anything before the word, the search is ten times as fast.
            for match in re.finditer(rf"{word}(?!\w)", text):
                if not re.match(r"\w", text[match.start() - 1 : match.start()]):
                    number = text.count("\n", 0, match.start()) + 1
                    found.append(f"{named(path)}:{number}: {match[0]!r}; write: {instead}")
    assert found == [], "\n".join(found)


def test_no_line_of_the_documents_is_longer_than_100_characters() -> None:
    # Tables and shown output cannot be wrapped; Python is checked by ruff.
    for path in documents():
        if path.suffix != ".md":
            continue
        text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.S | re.M)
        for line in text.splitlines():
            assert len(line) <= 100 or line.startswith("|"), f"{named(path)}: {line}"

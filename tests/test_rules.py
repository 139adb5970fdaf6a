"""The house's rules: who may import whom, what a core must not touch, what every transcript owes its table."""

from __future__ import annotations

import ast
import functools
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import transcript
from fakes.wire import Record, Session
from fakes.world import CORES

ROOT = Path(__file__).parent.parent
ROOMS = ("comms", "fakes", "scenarios", "tests")
# Used when present, imported inside the one function that needs them: file → packages.
OPTIONAL = {
    "comms/host.py": {"psutil"},
    "comms/xmpp/srv.py": {"dns"},
    "fakes/certificates.py": {"trustme"},
}
# Files of fakes that are not cores: they may know time, chance, sockets and loops.
SHELLS = {
    "server.py",
    "world.py",
    "clock.py",
    "bridge.py",
    "transcript.py",
    "certificates.py",
    "__main__.py",
    "pytest_plugin.py",
}
FORBIDDEN_IN_CORES = {"asyncio", "socket", "time", "random", "uuid", "secrets", "threading", "select"}
FORBIDDEN_IN_COMMS = {"random", "uuid"}


@functools.cache
def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, whether at the top of the file) of every import, those for type checkers only left out."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    tree = ast.parse(path.read_text("utf-8"))
    quiet = {
        id(inner) for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }  # fmt: skip
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if id(node) in quiet:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module in ROOMS else [str(node.module)]
            yield from ((name, id(node) in top) for name in names)


def files(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", files("comms", "fakes", "scenarios"), ids=named)
def test_rooms_import_only_what_they_may(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    seen = {module.split(".")[0] for module, _ in imports(path)} & {*ROOMS} - {room}
    may = {"comms": set(), "fakes": set(), "scenarios": {"comms"}}[room]
    if named(path) == "scenarios/__main__.py":
        may = {"comms", "fakes"}
    assert seen <= may, f"{named(path)} imports {seen - may}"


@pytest.mark.parametrize("path", files("scenarios"), ids=named)
def test_a_scenario_imports_no_other_scenario(path: Path) -> None:
    place = path.relative_to(ROOT / "scenarios")
    if len(place.parts) < 2 or place.parts[0] in ("book", "stage"):
        return
    own = path.stem.removesuffix("_acts")
    own_too = f"{own}_model"  # what a page and a mail program of one application share
    for module, _ in imports(path):
        parts = module.split(".")
        if parts[0] == "scenarios" and len(parts) > 2 and parts[1] not in ("play",):
            assert parts[2] in (own, own_too), f"{named(path)} imports {module}"


@pytest.mark.parametrize("path", files("comms", "fakes"), ids=named)
def test_nothing_but_the_standard_library_is_needed(path: Path) -> None:
    for module, at_top in imports(path):
        package = module.split(".")[0]
        if package in sys.stdlib_module_names or package in ROOMS:
            continue
        if path.name == "pytest_plugin.py" and package == "pytest":
            continue
        assert package in OPTIONAL.get(named(path), set()), f"{named(path)} needs {package}"
        assert not at_top, f"{named(path)}: {package} is imported inside the one function that uses it"


@pytest.mark.parametrize("path", [one for one in files("fakes") if one.name not in SHELLS], ids=named)
def test_a_core_touches_neither_sockets_nor_time_nor_chance(path: Path) -> None:
    seen = {module.split(".")[0] for module, _ in imports(path)} & FORBIDDEN_IN_CORES
    assert not seen, f"{named(path)} imports {seen}; time and ids are handed in (fakes/wire.py: Kit)"


@pytest.mark.parametrize("path", files("comms"), ids=named)
def test_comms_leaves_chance_to_the_host(path: Path) -> None:
    allowed = {"secrets"} if path.name == "host.py" else set()
    seen = {module.split(".")[0] for module, _ in imports(path)} & (FORBIDDEN_IN_COMMS | {"secrets"}) - allowed
    assert not seen


@pytest.mark.parametrize("path", files("comms", "scenarios", "tests"), ids=named)
def test_nothing_sleeps(path: Path) -> None:
    assert not re.search(r"\b(time|asyncio)\.sleep\((?!0\))", path.read_text("utf-8")) or path == Path(__file__)


def test_the_book_stands_on_no_client_of_comms() -> None:
    mended = {
        f"comms.{name}" for name in ("message", "replies", "commands", "ledger", "outbox", "smtp", "pop3", "imap", "state")
    }
    for path in files("scenarios/book"):
        seen = {module for module, _ in imports(path)}
        seen |= {f"comms.{module.split('.')[1]}" for module in seen if module.startswith("comms.")}
        assert not seen & mended, f"{named(path)} imports {seen & mended}, where the listing's faults are mended"


def test_the_stage_imports_neither_comms_nor_fakes() -> None:
    for path in files("scenarios/stage"):
        assert not {module.split(".")[0] for module, _ in imports(path)} & {"comms", "fakes"}


# ── each verb of each legality table, in its legal course and refused out of it ──────────────────────────────────


def spoken(protocol: str) -> tuple[set[str], set[str]]:
    """The verbs that transcripts of this protocol bring to success, and those that they see refused out of place."""
    done: set[str] = set()
    refused: set[str] = set()
    for path in (ROOT / "tests" / "transcripts").glob(f"{protocol}-*.txt"):
        world = transcript.play_on_core(transcript.load(path))
        records = [one for one in world.recording if isinstance(one, Record) and one.direction in "CS"]
        for said, answer in itertools.pairwise(records):
            if said.direction == "C" and answer.direction == "S" and said.protocol == protocol:
                (refused if answer.raw.startswith((b"503", b"554", b"-ERR")) else done).add(said.verb)
    return done, refused


def line_protocols() -> list[type[Session]]:
    return [core for name, core in CORES.items() if name in ("smtp", "pop3", "imap")]


@pytest.mark.parametrize("core", line_protocols(), ids=lambda core: core.protocol)
def test_every_verb_of_the_table_is_in_a_transcript_legal_and_refused(core: type[Session]) -> None:
    done, refused = spoken(core.protocol)
    states = frozenset().union(*(row.states for row in core.verbs.values())) - {"DATA", "AUTH"}
    for verb, row in core.verbs.items():
        assert verb in done, f"no {core.protocol} transcript has {verb} in its legal course"
        if verb.isupper() and not row.states >= states:
            assert verb in refused, f"no {core.protocol} transcript has {verb} refused in an illegal state"


def test_what_is_in_git_keeps_to_the_card() -> None:
    allowed = {"LICENSE", "pyproject.toml", "comms", "fakes", "tests", "scenarios", "Makefile", "README.md"}
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = {name for name in listed.stdout.split() if not name.startswith(".")}
    assert names <= allowed

"""The documents are executed: their Python, their console blocks, their links.

A document may show only what the programs print. `make test` is the one command that is not run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scenarios import catalogue

ROOT = Path(__file__).parent.parent
FOLDERS = ("comms", "fakes", "scenarios", "tests")
DOCUMENTS = [
    ROOT / "README.md",
    *(ROOT / name / "README.md" for name in FOLDERS),
    ROOT / ".github" / "CONTRIBUTING.md",
    ROOT / ".github" / "SECURITY.md",
]


def blocks(language: str) -> dict[str, str]:
    """Returns every block of a language in every document, by document, number and first line."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.S | re.M)
    return {
        f"{path.relative_to(ROOT)}:{number}:{code.splitlines()[0]}": code
        for path in DOCUMENTS
        for number, code in enumerate(pattern.findall(path.read_text("utf-8")), 1)
    }


CONSOLE = {name: block for name, block in blocks("console").items() if block != "$ make test\n"}
PYTHON = blocks("python")


def pattern(shown: str) -> str:
    """A regular expression for the shown lines; a line of `…` alone matches any lines."""
    lines = shown.rstrip("\n").split("\n")
    return "\n".join(r"(?:.*\n)*?.*" if line == "…" else re.escape(line) for line in lines)


def run(command: list[str], folder: Path, **more: str) -> str:
    """Runs a command as a reader would, and returns what it prints. `more` is environment."""
    # Inside of `make check`, make must not think that it was called by itself.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name != "MFLAGS"
    }
    environment |= more
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return "\n".join(line.rstrip() for line in done.stdout.rstrip("\n").split("\n"))


@pytest.mark.slow
@pytest.mark.parametrize("block", CONSOLE.values(), ids=CONSOLE)
def test_a_console_block_shows_the_output_of_its_command(block: str) -> None:
    command, _, shown = block.removeprefix("$ ").partition("\n")
    output = run(shlex.split(command), ROOT)
    wanted = pattern(shown) + r"(?:\n.*)*"
    assert re.fullmatch(wanted, output), f"the document shows something else than:\n{output}"


@pytest.mark.slow
@pytest.mark.parametrize("code", PYTHON.values(), ids=PYTHON)
def test_the_python_in_the_documents_runs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    if match := re.match(r"# (scenarios/\S+\.py)\n", code):
        check_page(tmp_path, match[1], code)
    elif code.startswith(("@", "for ")):
        compile(code, "an excerpt", "exec")
    elif "\ndef test_" in code:
        pytester: pytest.Pytester = request.getfixturevalue("pytester")
        pytester.makepyfile(code)
        result = pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio")
        result.assert_outcomes(passed=1)
    else:
        monkeypatch.syspath_prepend(ROOT)
        # Without the `from __future__ import annotations` of this file.
        program = compile(code, "a document", "exec", dont_inherit=True)
        exec(program, {"__name__": "document"})


def check_page(folder: Path, name: str, code: str) -> None:
    """Adds a page to a copy of scenarios/, and plays it under each fault that it lists."""
    shutil.copytree(
        ROOT / "scenarios", folder / "scenarios", ignore=shutil.ignore_patterns("__pycache__")
    )
    # In a file, the docstring comes first; in the document, the line that names the file.
    (folder / name).write_text(code.partition("\n")[2], "utf-8")
    page = Path(name).stem.replace("_", "-")
    command = [sys.executable, "-m", "scenarios"]
    assert "✗" not in run([*command, "run", page], folder, PYTHONPATH=str(ROOT))
    run([*command, "run", page, "--fault", "all"], folder, PYTHONPATH=str(ROOT))
    check = "import tests.test_scenarios as t; t.check_first_act(t.catalogue.named({!r}))"
    run([sys.executable, "-c", check.format(page)], folder, PYTHONPATH=str(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_its_heading(path: Path) -> None:
    text = path.read_text("utf-8")
    for target, _, heading in (link.partition("#") for link in re.findall(r"\]\(([^)]+)\)", text)):
        document = path.parent / target if target else path
        assert document.exists(), f"{path}: {target} does not exist"
        if heading:
            titles = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.M)
            anchors = [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles]
            assert heading in anchors, f"{path}: {target} has no heading #{heading}"


def test_every_folder_is_described_and_linked() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in FOLDERS if f"({name}/README.md)" not in readme] == []


def test_the_readme_links_to_every_scenario() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for page in catalogue.pages():
        assert f"[{page.name}]({page.path.relative_to(ROOT)})" in readme, page.name


def test_every_toml_block_can_be_read() -> None:
    found = blocks("toml")
    assert found
    for name, block in found.items():
        assert tomllib.loads(block), name


def test_contributing_explains_how_to_add_each_kind_of_part() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    for part in ("command to a server", "failure", "scenario", "protocol"):
        section = text.partition(f"## Add a {part}\n")[2].partition("\n## ")[0]
        assert "```python" in section, f"CONTRIBUTING.md: “Add a {part}” has no code to follow"

"""The READMEs are executed: their Python and their console blocks, except `make test`."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from scenarios import catalogue

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
READMES = [ROOT / "README.md", ROOT / "scenarios" / "README.md"]
CONSOLE = [
    block
    for path in READMES
    for block in re.findall(r"^```console\n(.*?)^```$", path.read_text("utf-8"), re.S | re.M)
    if block != "$ make test\n"
]
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.S | re.M)


def pattern(shown: str) -> str:
    """A regular expression for the shown lines; a line of `…` alone matches any lines."""
    lines = shown.rstrip("\n").split("\n")
    return "\n".join(r"(?:.*\n)*?.*" if line == "…" else re.escape(line) for line in lines)


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.splitlines()[0])
def test_a_console_block_shows_the_output_of_its_command(block: str) -> None:
    command, _, shown = block.removeprefix("$ ").partition("\n")
    # Inside of `make check`, make must not think that it was called by itself.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name != "MFLAGS"
    }
    done = subprocess.run(
        shlex.split(command), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    output = "\n".join(line.rstrip() for line in done.stdout.rstrip("\n").split("\n"))
    wanted = pattern(shown) + r"(?:\n.*)*"
    assert re.fullmatch(wanted, output), f"the README shows something else than:\n{output}"


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_in_the_readme_is_a_test_that_passes(
    pytester: pytest.Pytester, code: str
) -> None:
    pytester.makepyfile(code)
    result = pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("path", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", path.read_text("utf-8"))
    assert targets and [target for target in targets if not (path.parent / target).exists()] == []


def test_the_readme_links_to_every_scenario() -> None:
    for page in catalogue.pages():
        assert f"[{page.name}]({page.path.relative_to(ROOT)})" in README, page.name

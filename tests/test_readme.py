"""The README is executed: every console block but the one that runs the tests, and its Python."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = [block for block in re.findall(r"^```console\n(.*?)^```$", README, re.S | re.M) if block != "$ make test\n"]
# It plays several acts under each of their faults, which test_scenarios.py does too.
SLOW = "$ make faults NAME=apache-alert\n"
CONSOLE = [pytest.param(block, marks=pytest.mark.slow if block.startswith(SLOW) else ()) for block in BLOCKS]
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.S | re.M)


def pattern(shown: str) -> str:
    """A line of `…` alone stands for any lines."""
    return "\n".join(r"(?:.*\n)*?.*" if line == "…" else re.escape(line) for line in shown.rstrip("\n").split("\n"))


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.splitlines()[0])
def test_a_console_block_shows_what_the_program_says(block: str) -> None:
    command, _, shown = block.removeprefix("$ ").partition("\n")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    done = subprocess.run(shlex.split(command), cwd=ROOT, env=alone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = "\n".join(line.rstrip() for line in done.stdout.rstrip("\n").split("\n"))
    assert re.fullmatch(pattern(shown) + r"(?:\n.*)*", said), f"the README shows something else than:\n{said}"


@pytest.mark.parametrize("code", PYTHON)
def test_the_python_in_it_is_a_test_that_passes(pytester: pytest.Pytester, code: str) -> None:
    pytester.makepyfile(code)
    pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio").assert_outcomes(passed=1)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_scenario_stands_in_the_map() -> None:
    from scenarios import catalogue

    for scenario in catalogue.scenarios():
        assert f"[{scenario.name}]({scenario.module.replace('.', '/')}.py)" in README, scenario.name

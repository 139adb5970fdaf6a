"""The Makefile: its variables, and how their values reach the programs."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from scenarios.errors import ROOT


def make(*words: str) -> subprocess.CompletedProcess[str]:
    # Inside of `make check`, make must not think that it was called by itself.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("M")}
    return subprocess.run(
        ["make", "-n", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("variable", "near"),
    [("FALUT=x", " (did you mean 'FAULT'?)"), ("name=x", " (did you mean 'NAME'?)"), ("a'b=1", "")],
)
def test_an_unknown_variable_is_an_error_of_one_line(variable: str, near: str) -> None:
    done = make("scenario", "NAME=x", variable)
    name = variable.partition("=")[0]
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"*** unknown variable {name}{near}; choose from: NAME ACT FAULT AS" in done.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["faults", "NAME=x", "ACT=1"], "make faults does not use ACT; choose from: NAME"),
        (["report", "NAME=x", "LIVE=x"], "make report does not use LIVE; choose from: NAME ACT"),
        (["live", "NAME=x", "FAULT=x"], "make live does not use FAULT; choose from: NAME OUT"),
        (["tickets", "NAME=x"], "make tickets does not use NAME; choose from: OUT"),
        (["doors", "NAME=x"], "make doors does not use NAME; leave it out"),
        (["scenario", "NAME=x", "ACT=1", "KEEP=1"], ""),
        (["faults", "NAME=x", "ACT="], ""),
        (["report", "faults", "NAME=x", "ACT=1"], ""),
    ],
)
def test_a_variable_that_no_target_uses_is_an_error(words: list[str], problem: str) -> None:
    done = make(*words)
    assert done.returncode == (2 if problem else 0)
    assert f"*** {problem}" in done.stderr if problem else not done.stderr


@pytest.mark.parametrize("value", ["""RCPT reply '550 $5 "no"'""", "a; b | c", "$(shell exit)"])
def test_a_value_reaches_the_program_as_it_was_typed(value: str) -> None:
    command = make("scenario", "NAME=x", f"FAULT={value}", "PYTHON=true", "VENV=none").stdout
    assert command.startswith("true -m scenarios run")
    shown = subprocess.run(
        ["sh", "-c", command.replace("true -m", "printf '%s\\n'", 1)],
        capture_output=True,
        text=True,
    )
    assert shown.stdout.splitlines() == ["scenarios", "run", "x", "--fault", value]


def test_every_variable_that_help_or_a_readme_names_is_known() -> None:
    (known,) = re.findall(r"^KNOWN = ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for document in ("Makefile", "README.md", "scenarios/README.md", "tests/README.md"):
        text = (ROOT / document).read_text("utf-8")
        for command in re.findall(r"`make ([^`]*)`", text):
            for variable in re.findall(r"\b([A-Z]+)=", command):
                assert variable in known.split(), f"{document}: make {command}"

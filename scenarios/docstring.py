"""What the docstring of a page says: title, section, protocols, packages, settings, faults.

Its form is shown in README.md. A mistake in it is a PageError, which names the file, the problem
and the remedy.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comms.suggest import did_you_mean
from scenarios.errors import PageError

PROTOCOLS = ("MIME", "SMTP", "POP3", "IMAP", "XMPP", "TOC", "IRC", "HTTP")
FACTS = "Listing 6.2 · SMTP · try: make scenario NAME=apache-alert"
# The words after `#` that say why a setting's value is only an example.
REQUIRED, OPTIONAL = "required", "optional"


@dataclass(frozen=True)
class Docstring:
    """A page's docstring, read."""

    title: str
    section: str  # the place in the chapter: "Listing 6.2"
    protocols: tuple[str, ...]
    needs: tuple[str, ...]  # packages beyond the standard library
    settings: Mapping[str, Any] | None  # None if the docstring shows none
    marks: Mapping[str, str]  # key of a setting → the comment on its line
    faults: tuple[tuple[str, str], ...]  # (fault, outcome: "all hold" or "breaks CLAIM, CLAIM")


def read(path: Path) -> Docstring:
    """Returns what the docstring of a page says. Raises PageError."""
    doc = _source_docstring(path)
    title, *rest = doc.splitlines() or [""]
    if not title or "· try:" in title:
        raise PageError(path, "no title; begin the docstring with one sentence about the problem")
    section, protocols = _facts(path, rest)
    settings, marks = _settings(path, doc)
    return Docstring(
        title.rstrip("."),
        section,
        protocols,
        _needs(path, doc),
        settings,
        marks,
        tuple(_faults(path, rest)),
    )


def section(path: Path) -> str:
    """Returns the place in the chapter; "" if no line says it, or the file cannot be read.

    The Python is not parsed: to find one page, those of all others are put in order.
    """
    try:
        return _facts(path, path.read_text("utf-8").splitlines())[0]
    except (PageError, OSError, UnicodeDecodeError):
        return ""


def _source_docstring(path: Path) -> str:
    try:
        return _docstring(path.read_text("utf-8"))
    except SyntaxError as error:
        raise PageError(path, f"line {error.lineno}: {error.msg}; correct the Python") from None
    except UnicodeDecodeError:
        raise PageError(path, "not UTF-8; save the file as UTF-8") from None
    except ValueError as error:  # a NUL byte
        raise PageError(path, f"{error}; correct the Python") from None
    except OSError as error:
        raise PageError(path, f"cannot be read: {error.strerror}; make it readable") from None


@functools.cache  # a test plays many commands in one process, and each reads all pages
def _docstring(source: str) -> str:
    return ast.get_docstring(ast.parse(source)) or ""


def _facts(path: Path, lines: list[str]) -> tuple[str, tuple[str, ...]]:
    """Returns the section and the protocols, from the line with `· try:`."""
    facts = next((line for line in lines if "· try:" in line), "")
    fields = [field.strip() for field in facts.split("·")]
    if len(fields) != 3 or not all(fields):
        problem = f"cannot read {facts!r}" if facts else "no line with `· try:` in the docstring"
        raise PageError(path, f"{problem}; write a line like: {FACTS}")
    section, listed, _ = fields
    protocols = tuple(word.strip() for word in listed.split(","))
    for word in protocols:
        if word not in PROTOCOLS:
            hint = did_you_mean(word.upper(), PROTOCOLS)
            raise PageError(
                path, f"unknown protocol {word!r}{hint}; choose from {', '.join(PROTOCOLS)}"
            )
    return section, protocols


def _needs(path: Path, doc: str) -> tuple[str, ...]:
    line = re.search(r"^Needs:(.*)$", doc, re.M)
    names = tuple(line[1].replace(",", " ").split()) if line else ()
    if line and not (names and all(name.isidentifier() for name in names)):
        raise PageError(
            path, f"cannot read {line[0]!r}; write the names to import, as in: Needs: sqlalchemy"
        )
    return names


def _faults(path: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yields (fault, outcome) of each `Fault:` line; indented lines continue the line before."""
    for line in re.sub(r"\n +", " ", "\n".join(lines)).splitlines():
        if not line.startswith("Fault:"):
            continue
        fault, arrow, outcome = line.removeprefix("Fault:").strip().partition(" -> ")
        if not arrow or not (outcome == "all hold" or outcome.startswith("breaks ")):
            raise PageError(
                path,
                f"cannot read {line!r}; write Fault: TEXT -> all hold (or breaks CLAIM, CLAIM)",
            )
        yield fault, outcome


# ── the settings ─────────────────────────────────────────────────────────────


def _settings(path: Path, doc: str) -> tuple[Mapping[str, Any] | None, Mapping[str, str]]:
    """Returns the settings that are shown as TOML, and the comment on the line of each."""
    heading = re.search(r"^\[scenario\.(.*)\]$", doc, re.M)
    if heading is None:
        return None, {}
    name = path.stem.replace("_", "-")
    if heading[1] != name:
        raise PageError(path, f"{heading[0]} is not this page's table; write [scenario.{name}]")
    block = doc[heading.end() + 1 :].partition("\n\n")[0]
    try:
        shown = tomllib.loads(block)
    except ValueError as error:
        raise PageError(path, f"{heading[0]}: not TOML: {error}; correct the settings") from None
    lines = (line.partition("#") for line in block.splitlines())
    return shown, {line.partition("=")[0].strip(): comment.strip() for line, _, comment in lines}


def check_settings(path: Path, doc: Docstring, rules: Any) -> None:
    """Compares the shown settings with the dataclass `Rules` of the page. Raises PageError.

    Every value must be the default, unless its comment begins with `required` (there is none) or
    `optional` (the default is that nothing is set).
    """
    table = f"[scenario.{path.stem.replace('_', '-')}]"
    if rules is None and doc.settings is None:
        return
    if rules is None or not dataclasses.is_dataclass(rules):
        raise PageError(path, f"{table} is shown, but there is no dataclass `Rules`; write one")
    if doc.settings is None:
        raise PageError(path, f"the docstring does not show the settings; write {table} into it")
    fields = {field.name: field for field in dataclasses.fields(rules)}
    for key in doc.settings:
        if key not in fields:
            hint = did_you_mean(key, fields)
            raise PageError(path, f"{table}: `Rules` has no {key!r}{hint}; remove it, or add it")
    for key, field in fields.items():
        if key not in doc.settings:
            raise PageError(path, f"{table}: {key!r} of `Rules` is missing; show it, or remove it")
        _check_value(path, f"{table}: {key}", doc.settings[key], doc.marks.get(key, ""), field)


def _check_value(
    path: Path, where: str, shown: object, mark: str, field: dataclasses.Field[Any]
) -> None:
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if mark.startswith(REQUIRED):
        if default not in (dataclasses.MISSING, (), ""):
            raise PageError(path, f"{where} has a default; write it, without # {REQUIRED}")
    elif mark.startswith(OPTIONAL):
        if default is dataclasses.MISSING:
            raise PageError(path, f"{where} has no default; write # {REQUIRED} after it")
        if default not in (None, (), "", {}):
            raise PageError(path, f"{where} has a default; write it, without # {OPTIONAL}")
    elif default is dataclasses.MISSING:
        raise PageError(path, f"{where} has no default; write # {REQUIRED} after it")
    elif _as_toml(default) != shown:
        raise PageError(
            path, f"{where} is {_as_toml(default)!r} by default, not {shown!r}; write the default"
        )


def _as_toml(value: object) -> object:
    """Returns a default as TOML would return it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_as_toml(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_toml(item) for key, item in value.items()}
    return value

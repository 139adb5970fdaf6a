"""What the docstring of a page says, and what a mistake in it says."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import pytest

from scenarios import docstring
from scenarios.docstring import check_settings
from scenarios.errors import PageError

DOC = """Greet the user.

Listing 6.2 · SMTP, POP3 · try: make scenario NAME=greet-user
Needs: sqlalchemy

The program greets.

[scenario.greet-user]
to = ["you@example.org"]      # required
text = "Hello # you"          # what is said
sender = "me@example.org"     # optional: who says it
every = 5

Fault: smtp-421 -> all hold
Fault: DATA reply "554 no" -> breaks the user is greeted,
    the user is happy
"""


@dataclass(frozen=True)
class Rules:
    to: tuple[str, ...]
    text: str = "Hello # you"
    sender: str = ""
    every: float = 5


def write(folder: Path, doc: str) -> Path:
    path = folder / "greet_user.py"
    path.write_text(f'''"""{doc}"""\n''', "utf-8")
    return path


def test_a_docstring_is_read(tmp_path: Path) -> None:
    doc = docstring.read(write(tmp_path, DOC))
    assert (doc.title, doc.section) == ("Greet the user", "Listing 6.2")
    assert (doc.protocols, doc.needs) == (("SMTP", "POP3"), ("sqlalchemy",))
    assert doc.settings == {
        "to": ["you@example.org"],
        "text": "Hello # you",
        "sender": "me@example.org",
        "every": 5,
    }
    assert doc.faults == (
        ("smtp-421", "all hold"),
        ('DATA reply "554 no"', "breaks the user is greeted, the user is happy"),
    )


def test_settings_and_packages_are_optional(tmp_path: Path) -> None:
    doc = docstring.read(write(tmp_path, "Greet.\n\nListing 1 · MIME · try: make scenario\n"))
    assert (doc.settings, doc.needs, doc.faults) == (None, (), ())
    check_settings(tmp_path / "greet_user.py", doc, None)


MISTAKES = {
    "no title": (("Greet the user.\n\n", ""), "no title; begin the docstring with one sentence"),
    "half a line of facts": (
        ("Listing 6.2 · SMTP, POP3", "SMTP"),
        "cannot read 'SMTP · try: make scenario NAME=greet-user'; write a line like: Listing",
    ),
    "an unknown protocol": (
        ("SMTP, POP3", "SMPT"),
        "unknown protocol 'SMPT' (did you mean 'SMTP'?); choose from MIME, SMTP, POP3",
    ),
    "a protocol that does not exist here": (("POP3", "UUCP"), "unknown protocol 'UUCP'"),
    "no packages": (("sqlalchemy", ""), "cannot read 'Needs: '; write the names to import, as in:"),
    "a package with a version": (
        ("sqlalchemy", "sqlalchemy>=2"),
        "cannot read 'Needs: sqlalchemy>",
    ),
    "a fault without an outcome": (
        (" -> all hold", " all hold"),
        "cannot read 'Fault: smtp-421 all hold'; write Fault: TEXT -> all hold (or breaks",
    ),
    "a fault with an unknown outcome": (
        (" -> all hold", " -> all holds"),
        "cannot read 'Fault: smtp-421 -> all holds'; write Fault: TEXT -> all hold",
    ),
    "the settings of another page": (
        ("[scenario.greet-user]", "[scenario.greet]"),
        "[scenario.greet] is not this page's table; write [scenario.greet-user]",
    ),
    "settings that are not TOML": (
        ("every = 5", "every: 5"),
        "[scenario.greet-user]: not TOML: Expected '='",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_docstring_names_file_and_remedy(tmp_path: Path, mistake: str) -> None:
    (found, instead), message = MISTAKES[mistake]
    assert found in DOC
    with pytest.raises(PageError) as caught:
        docstring.read(write(tmp_path, DOC.replace(found, instead)))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/greet_user.py: {message}"), text
    assert "; " in text and len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff", "not UTF-8; save the file as UTF-8"),
        (b"\0", "source code string cannot contain null bytes; correct the Python"),
        (b"def run(", "line 1: "),
        (b"", "no title; "),
    ],
)
def test_a_file_that_is_not_python_is_a_mistake_of_the_page(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "greet_user.py"
    path.write_bytes(content)
    with pytest.raises(PageError) as caught:
        docstring.read(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)


# ── the settings and the dataclass ───────────────────────────────────────────


def rules(**fields: Any) -> type[Any]:
    """A dataclass like Rules, with other defaults for some fields; None leaves a field out."""
    defaults: dict[str, Any] = {"text": "Hello # you", "sender": "", "every": 5.0} | fields
    kept = {name: default for name, default in defaults.items() if default is not None}
    given = [(name, Any, field(default=default)) for name, default in kept.items()]
    return make_dataclass("Rules", [("to", Any), *given])


def test_settings_must_be_those_of_the_dataclass(tmp_path: Path) -> None:
    path = write(tmp_path, DOC)
    for accepted in (Rules, rules()):
        check_settings(path, docstring.read(path), accepted)
    with pytest.raises(PageError, match="has no 'every'"):
        check_settings(path, docstring.read(path), rules(every=None))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (None, "[scenario.greet-user] is shown, but there is no dataclass `Rules`; write one"),
        (rules(every=None), "[scenario.greet-user]: `Rules` has no 'every'; remove it, or add it"),
        (
            rules(poll=30),
            "[scenario.greet-user]: 'poll' of `Rules` is missing; show it, or remove it",
        ),
        (
            rules(every=6),
            "[scenario.greet-user]: every is 6 by default, not 5; write the default",
        ),
        (
            rules(sender="x"),
            "[scenario.greet-user]: sender has a default; write it, without # optional",
        ),
    ],
)
def test_settings_that_differ_from_the_dataclass_are_a_mistake(
    tmp_path: Path, kind: Any, message: str
) -> None:
    path = write(tmp_path, DOC)
    with pytest.raises(PageError) as caught:
        check_settings(path, docstring.read(path), kind)
    assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        (
            "every = 5                     # required",
            "every has a default; write it, without # req",
        ),
        (
            "every = 5                     # optional",
            "every has a default; write it, without # opt",
        ),
    ],
)
def test_a_setting_with_a_default_is_neither_required_nor_optional(
    tmp_path: Path, mark: str, message: str
) -> None:
    path = write(tmp_path, DOC.replace("every = 5", mark))
    with pytest.raises(PageError, match=message):
        check_settings(path, docstring.read(path), Rules)


@pytest.mark.parametrize("mark", ["", "# optional"])
def test_a_setting_without_a_default_is_required(tmp_path: Path, mark: str) -> None:
    path = write(tmp_path, DOC.replace("# required", mark))
    with pytest.raises(PageError, match="to has no default; write # required after it"):
        check_settings(path, docstring.read(path), Rules)


def test_a_dataclass_without_settings_in_the_docstring_is_a_mistake(tmp_path: Path) -> None:
    path = write(tmp_path, DOC.partition("[scenario")[0])
    with pytest.raises(
        PageError, match=r"does not show the settings; write \[scenario.greet-user]"
    ):
        check_settings(path, docstring.read(path), Rules)

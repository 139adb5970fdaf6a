"""The chapter's fifteen mistakes by number, and where a listing makes them.

A listing names them in BREAKS: for each act, each claim that breaks with the number of the mistake
that breaks it, or with a sentence for what is beyond the chapter's list.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

MISTAKES = {
    1: "display names go into the envelope, and all recipients into one RCPT",
    2: "a mail is sent at every check, 17,280 a day",
    3: "a mail server that refuses or is down ends the monitor",
    4: "any `apache` in the process list counts: apachetop does, httpd does not",
    5: "the whole raw text of a mail is searched, not its one sender and its subject",
    6: "the command runs before the deletion is committed, so it runs again and again",
    7: "the exit status is ignored, nobody gets a reply, and a refusal leaves no trace",
    8: "everything is answered, programs too, and nothing marks the answer as automatic",
    9: "the mail is deleted last: what fails before that is repeated and blocks later mail",
    10: "the raw body is taken as the text, and a reply as a new ticket",
    11: "QUIT is sent after every exception; with poplib's close it is sent after none",
    12: "neither sign-on nor buddy is checked; anybody is answered, at any length, without markup",
    13: "a greeting only waits in memory until the contact agrees; anybody may see the bot",
    14: "a message of any kind, age and origin is trusted, and success is always reported",
    15: "no reconnection, no timeouts, no help, no order among commands",
}
# What a mistake can be: a number from MISTAKES, or a sentence beyond the chapter's list.
Mistake = int | str


@dataclass(frozen=True)
class Made:
    """A mistake that a listing makes, and where. Without a number it is beyond the list."""

    number: int | None
    text: str
    places: list[str]

    @property
    def lines(self) -> list[str]:
        """The lines to print below a claim that this mistake breaks."""
        if self.number is None:
            return [f"beyond the chapter's list: {self.text}"]
        places = [f"  made in {place}" for place in self.places]
        return [f"mistake {self.number}: {self.text}", *places]


def made(mistake: Mistake, listing: Path) -> Made:
    """Returns what is known about a mistake of a listing."""
    if isinstance(mistake, str):
        return Made(None, mistake, [])
    return Made(mistake, MISTAKES[mistake], places(listing, mistake))


def places(listing: Path, number: int) -> list[str]:
    """Returns where a mistake is made, such as "scenarios/book/tickets.py:47, 65".

    The places are comments like `# mistake 4`: those of the listing, or if it has none, those of
    the modules that it uses.
    """
    for files in ([listing], used_by(listing)):
        marked = {file: lines for file in files if (lines := _marked(file, number))}
        if marked:
            return [
                f"scenarios/book/{file.name}:{', '.join(map(str, lines))}"
                for file, lines in marked.items()
            ]
    return []


def used_by(listing: Path) -> list[Path]:
    """Returns the modules of book/ that a listing imports."""
    return [
        listing.with_name(f"{node.module.rpartition('.')[2]}.py")
        for node in ast.walk(ast.parse(listing.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("scenarios.book.")
    ]


def _marked(file: Path, number: int) -> list[int]:
    lines = file.read_text("utf-8").splitlines()
    mark = re.compile(rf"\bmistake {number}\b")
    return [at for at, line in enumerate(lines, 1) if mark.search(line.partition("#")[2])]

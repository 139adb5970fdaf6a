"""`make rfc`: what of each RFC and XEP is done, with the code and the tests that cite it.

`python -m tests.standards RFC5321 XEP-0030` shows these documents only. The exit code is 1 if a
section is forgotten or cited wrongly, and standard error says where.

A section is done if code of comms or fakes cites it (tests/citations.py). What is left out, done
partly, or done without a citation is listed in tests/tables/standards.txt. The numbers and titles
of all sections are in tests/tables/sections. A section above others is summarised from them. TOC
has no RFC: there the sections are commands, and a citation is the command itself in the code.

An empty cell of the table only means that nothing there cites the section.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.citations import Citation, citations, code_only, commands, files, sections

ROOT = Path(__file__).parent.parent
LIST = "tests/tables/standards.txt"
WIDTH = 120  # columns of the table
REASON = 77  # characters of a reason: the columns after the status


# ── the list of documents ────────────────────────────────────────────────────


@dataclass(frozen=True)
class Entry:
    """One line of the list: the status of some sections, and of those below them.

    `places` are (folder, text) of code that does what the sections say without citing them.
    """

    status: str  # done, partly, not, nothing (the section asks for nothing)
    sections: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    reason: str
    line: int


@dataclass
class Document:
    """A document that the project implements.

    `sections` maps the numbers to the titles; None if the document's own list is not kept.
    """

    name: str
    title: str
    roles: str
    sections: dict[str, str] | None
    entries: list[Entry] = field(default_factory=list)

    @property
    def is_toc(self) -> bool:
        """Whether the sections are commands instead of numbers."""
        return self.name.startswith("TOC")

    def entry(self, section: str) -> Entry | None:
        """Returns the entry of a section, or else that of the nearest section above it."""
        while section:
            for entry in self.entries:
                if section in entry.sections:
                    return entry
            section = section.rpartition(".")[0]
        return None


_NAME = r"RFC \d+|XEP-\d{4}|TOC 1\.0|TOC2|XML 1\.0"
_DOCUMENT = re.compile(rf"({_NAME}) (.+) \((client|server|client, server)\)")
_MENTIONED = re.compile(rf"mentioned ({_NAME}): (.+)")
_PLACE = r'[a-z0-9_/]+ "[^"]+"'
_ENTRY = re.compile(
    rf"  (done|partly|not|nothing) ([\w., ]+?)(?: at ({_PLACE}(?:, {_PLACE})*))?: (.+)"
)


def read_list(root: Path) -> tuple[list[Document], dict[str, str]]:
    """Returns the documents, and the reason for each document that is only mentioned.

    Raises ValueError for a line that has none of the forms that the head of the file shows.
    """
    documents: list[Document] = []
    mentioned: dict[str, str] = {}
    for number, line in _lines((root / LIST).read_text("utf-8")):
        if match := _DOCUMENT.fullmatch(line):
            documents.append(Document(match[1], match[2], match[3], _sections(root, match[1])))
        elif match := _MENTIONED.fullmatch(line):
            mentioned[match[1]] = match[2]
        elif (match := _ENTRY.fullmatch(line)) and documents and len(match[4]) <= REASON:
            places = tuple(re.findall(r'([a-z0-9_/]+) "([^"]+)"', match[3] or ""))
            named = tuple(_named_sections(match[2]))
            documents[-1].entries.append(Entry(match[1], named, places, match[4], number))
        else:
            raise ValueError(
                f"{LIST}:{number}: not a document, an entry or a mention, or its reason has more "
                f"than {REASON} characters; write it as the head of the file shows"
            )
    return documents, mentioned


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields (number, line), with comments left out and continued lines joined."""
    number, joined = 0, ""
    for at, line in enumerate(text.splitlines(), 1):
        if line.startswith("    "):
            joined += f" {line.strip()}"
            continue
        if joined:
            yield number, joined
        number, joined = at, "" if line.startswith("#") else line.rstrip()
    if joined:
        yield number, joined


def _named_sections(text: str) -> Iterator[str]:
    """Yields the sections of a text like `3.7, 4.1 to 4.3`."""
    for item in text.split(", "):
        first, _, last = item.partition(" to ")
        yield from sections(first, last) if last else (first,)


def _sections(root: Path, document: str) -> dict[str, str] | None:
    name = re.sub("[^a-z0-9]", "", document.lower())
    path = root / "tests" / "tables" / "sections" / f"{name}.txt"
    if not path.exists():
        return None
    found = (line.partition(" ") for line in path.read_text("utf-8").splitlines())
    return {number: title for number, _, title in found}


# ── what is done ─────────────────────────────────────────────────────────────


@dataclass
class Row:
    """A section: what of it is done, and where. `is_leaf`: it has no sections below it."""

    section: str
    title: str
    is_leaf: bool
    entry: Entry | None
    status: str = ""
    code: list[Citation] = field(default_factory=list)
    tests: list[Citation] = field(default_factory=list)


class Standards:
    """All documents, each with a row for each section.

    `errors` names each section that is forgotten or cited wrongly, and each entry of the list that
    is wrong. `notes` names the entries that are no longer needed.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.documents, self.mentioned = read_list(root)
        self._files = list(files(root))
        self.citations = [found for file in self._files for found in citations(*file)]
        self.rows = {document.name: self._rows(document) for document in self.documents}
        self._check_citations()

    def _rows(self, document: Document) -> list[Row]:
        cited = self._cited(document)
        titles = document.sections
        if titles is None:
            numbers = {citation.section for citation in cited} - {""}
            titles = dict.fromkeys(sorted(numbers, key=_key), "")
        above = {section.rpartition(".")[0] for section in titles}
        rows = {
            section: Row(section, title, section not in above, document.entry(section))
            for section, title in titles.items()
        }
        for citation in cited:
            self._add(citation, document, rows)
        # Before the places are added: only citations show that an entry is wrong.
        for entry in document.entries:
            self._check_entry(document, entry, rows)
        for row in rows.values():
            if row.entry is not None and row.is_leaf:
                row.code += filter(None, map(self._place, row.entry.places))
        self._set_statuses(document, rows)
        return list(rows.values())

    def _cited(self, document: Document) -> list[Citation]:
        if not document.is_toc:
            return [citation for citation in self.citations if citation.document == document.name]
        words = list(document.sections or ())
        found = [pair for file in self._files for pair in commands(words, *file)]
        # The server's legality table first.
        found.sort(key=lambda pair: ": rule(" not in pair[1])
        return [citation for citation, _ in found]

    def _add(self, citation: Citation, document: Document, rows: dict[str, Row]) -> None:
        section, path = citation.section, citation.path
        if section and section not in rows:
            self._error(path, citation.line, f"{document.name} has no section {section}")
        elif section and path.startswith(("comms/", "fakes/")):
            rows[section].code.append(citation)
        elif section and path.startswith("tests/"):
            rows[section].tests.append(citation)

    def _place(self, place: tuple[str, str]) -> Citation | None:
        """Returns the first place in a folder of the code that has the text.

        Comments and docstrings do not count: only code does what a section says.
        """
        folder, text = place
        for path, content in self._files:
            if path.startswith(folder) and text in content:
                code = code_only(content)
                at = code.find(text)
                if at >= 0:
                    return Citation("", "", path, code.count("\n", 0, at) + 1)
        return None

    def _set_statuses(self, document: Document, rows: dict[str, Row]) -> None:
        below: dict[str, set[str]] = {}
        for row in rows.values():
            if not row.is_leaf:
                continue
            if row.entry is not None:
                row.status = row.entry.status
            elif row.code:
                row.status = "done"
            else:
                name = f"{document.name} §{row.section} {row.title}".rstrip()
                self.errors.append(
                    f"{name}: no code cites it, and it is not "
                    f"listed; cite it where it is done, or list it in {LIST}"
                )
            parent = row.section
            while parent := parent.rpartition(".")[0]:
                below.setdefault(parent, set()).add(row.status)
        for section in below.keys() & rows.keys():
            rows[section].status = _summary(below[section])

    # ── checks ───────────────────────────────────────────────────────────────

    def _error(self, path: str, line: int, text: str) -> None:
        self.errors.append(f"{path}:{line}: {text}")

    def _check_entry(self, document: Document, entry: Entry, rows: dict[str, Row]) -> None:
        """Checks that an entry is right, and notes one that is no longer needed."""

        def error(text: str) -> None:
            self._error(LIST, entry.line, f"{document.name} {text}")

        for section in entry.sections:
            if section not in rows:
                error(f"has no section {section}")
            if sum(section in other.sections for other in document.entries) > 1:
                error(f"§{section} is listed twice")
        for place in entry.places:
            if self._place(place) is None:
                error(f"§{entry.sections[0]}: no file in {place[0]} contains {place[1]!r}")
        covered = [row for row in rows.values() if row.entry is entry]
        cited = [row for row in covered if row.code]
        leaves = [row for row in covered if row.is_leaf]
        if entry.status in ("not", "nothing"):
            for row in cited:
                where = f"{row.code[0].path}:{row.code[0].line}"
                error(f"§{row.section} is listed as {entry.status}, but {where} cites it")
        elif entry.status == "done" and leaves and all(_is_cited(row, entry) for row in leaves):
            where = f"{leaves[0].code[0].path}:{leaves[0].code[0].line}"
            section = f"{document.name} §{leaves[0].section}"
            self.notes.append(f"{LIST}:{entry.line}: {where} cites {section}; remove the entry")
        elif not entry.places:
            for row in leaves:
                if not row.code:
                    error(f'§{row.section}: no code cites it; say where it is: … at fakes "text"')

    def _check_citations(self) -> None:
        """Checks that every cited document is listed."""
        listed = {document.name for document in self.documents} | self.mentioned.keys()
        for citation in self.citations:
            document, path, line = citation.document, citation.path, citation.line
            if document and not citation.section and document not in listed:
                self._error(path, line, f"{document} is not listed in {LIST}")
            elif not document and not path.startswith("tests/"):
                self._error(path, line, f"§{citation.section}: name the document before it")


def _is_cited(row: Row, entry: Entry) -> bool:
    """Returns whether the section is cited on each side on which the entry has a place."""
    sides = {folder.partition("/")[0] for folder, _ in entry.places}
    return bool(row.code) and sides <= {place.path.partition("/")[0] for place in row.code}


def _summary(statuses: set[str]) -> str:
    """Returns the status of a section, given those of the sections below it."""
    found = statuses - {"nothing"}
    if len(found) > 1:
        return "partly"
    return found.pop() if found else "nothing"


def _key(section: str) -> list[int]:
    """Returns a sort key: the numbers, then the appendices."""
    return [int(part) if part.isdigit() else 1000 + ord(part) for part in section.split(".")]


# ── printing ─────────────────────────────────────────────────────────────────


def table(document: Document, rows: list[Row]) -> Iterator[str]:
    """Yields the lines of a document's table."""
    width = max([10, *(len(row.section) for row in rows)])
    widths = (width, 34 - width, 6, 22, 27, 26)

    def line(*cells: str) -> str:
        return " ".join(
            f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)
        ).rstrip()

    yield f"{document.name}: {document.title} ({document.roles})"
    if document.sections is None:
        yield "sections as cited; the document's list is not kept"
    titles = "section", "title", "status", "client: comms/", "server: fakes/", "test or transcript"
    yield line(*titles)
    left_out: Row | None = None  # a section that is left out with everything below it
    for row in rows:
        if left_out and row.entry is left_out.entry and _is_below(row, left_out):
            continue
        title = row.title if len(row.title) <= widths[1] else row.title[: widths[1] - 1] + "…"
        status = "–" if row.status == "nothing" else row.status
        if row.entry is not None and row.status in ("not", "nothing"):
            left_out = row
            yield (
                line(row.section, title, status, "", "", "").ljust(WIDTH - REASON)
                + row.entry.reason
            )
            continue
        cells = (_cell(*cell) for cell in zip(_places(row), widths[3:], strict=True))
        yield line(row.section, title, status, *cells)
        if row.entry is not None and row.is_leaf and row.status == "partly":
            yield " " * (WIDTH - REASON) + row.entry.reason


def _is_below(row: Row, other: Row) -> bool:
    return row.section.startswith(other.section + ".")


def _places(row: Row) -> tuple[list[Citation], list[Citation], list[Citation]]:
    """Returns the places in comms, in fakes, and in transcripts and tests."""
    client = [place for place in row.code if place.path.startswith("comms/")]
    server = [place for place in row.code if place.path.startswith("fakes/")]
    # Transcripts first: they are easier to read than tests.
    return client, server, sorted(row.tests, key=lambda place: place.path.endswith(".py"))


def _cell(places: list[Citation], width: int) -> str:
    """Returns the first place, and the second one if there is room for it."""
    shown: dict[str, list[int]] = {}
    for place in places:
        lines = shown.setdefault(re.sub(r"^\w+/(transcripts/)?|\.txt$", "", place.path), [])
        if place.line not in lines:
            lines.append(place.line)
    words = []
    for path, lines in shown.items():
        words.append(f"{path}:{lines[0]}" if path.endswith(".py") else path)
        words += [str(line) for line in lines[1:] if path.endswith(".py")]
    text = words[0] if words else ""
    if len(words) > 1 and len(text) + 1 + len(words[1]) <= width:
        text += f" {words[1]}"
    return text if len(text) <= width else "…" + text[1 - width :]


def summary(standards: Standards) -> Iterator[str]:
    """Yields one line per document with the number of sections, and the documents mentioned."""
    yield "sections without sections of their own: done, partly, not; – asks for nothing"
    for document in standards.documents:
        count = Counter(row.status for row in standards.rows[document.name] if row.is_leaf)
        name = f"{document.name} {document.title}"
        yield (
            f"{name:.72}".ljust(74)
            + f"done {count['done']:3}   partly {count['partly']:3}   "
            + f"not {count['not']:3}   – {count['nothing']:3}"
        )
    yield ""
    yield "cited in passing"
    for name, reason in standards.mentioned.items():
        times = [citation.document for citation in standards.citations if not citation.section]
        yield f"{name:10} {times.count(name):2} ×  {reason}"


def selected(documents: list[Document], names: list[str]) -> list[Document]:
    """Returns the documents with these names; all of them without a name.

    `RFC5321`, `5321`, `xep-30` and `toc` are names too. Raises LookupError for an unknown one.
    """
    wanted = {_short(name): name for name in names}
    found = [
        document
        for document in documents
        if not wanted or {_short(document.name), "toc" if document.is_toc else ""} & wanted.keys()
    ]
    for short, name in wanted.items():
        if not any(short in (_short(document.name), "toc") for document in found):
            known = ", ".join(document.name for document in documents)
            raise LookupError(f"{name}: unknown document; choose from {known}")
    return found


def _short(name: str) -> str:
    """Returns what is left of a document's name: 5321 of RFC 5321, 30 of XEP-0030, toc2."""
    return re.sub("[^a-z0-9]|^rfc|^xep|(?<![0-9])0+", "", name.lower())


def main(names: list[str]) -> int:
    """Prints the tables of the named documents, or else of all. Returns the exit code."""
    standards = Standards()
    try:
        documents = selected(standards.documents, names)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    for document in documents:
        print(*table(document, standards.rows[document.name]), "", sep="\n")
    if not names:
        print(*summary(standards), sep="\n")
    for line in standards.notes + standards.errors:
        print(line, file=sys.stderr)
    return 1 if standards.errors else 0


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console may lack a character
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:  # the table is long, and `make rfc | head` ends as if it was read
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

"""Citations of RFCs and XEPs in the code, the tests and the transcripts.

A citation looks like `RFC 5321 §4.1.1.3`, `XEP-0030 §8`, `RFC 3030 §2, §3`, `RFC 3454 §4 to §6` or
`RFC 6122 Appendix A`. A section without a document belongs to the document that the same file named
last. Of a transcript, only the title, the comments and the remarks on the referee are read, because
the rest is what the two sides say.
"""

from __future__ import annotations

import functools
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODE = ("comms/**/*.py", "fakes/**/*.py", "scenarios/**/*.py")
TESTS = ("tests/*.py", "tests/transcripts/*.txt")
# These files make up documents and sections.
_INVENTED = re.compile(
    r"tests/(test_fakes_wire_\w+|linechat|citations|standards|test_standards)\.py"
)

_NUMBER = r"(?:[0-9]{1,2}|[A-Z])(?:\.[0-9]{1,2})*"
_DOCUMENT = r"RFC [0-9]{1,4}|XEP-[0-9]{4}|XML 1\.0"
_CITATION = re.compile(
    rf"\b(?P<document>{_DOCUMENT})\b"
    rf"|(?:§ ?|\bAppendix\s)(?P<first>{_NUMBER})\b(?:(?:\s+to\s+|–)§?(?P<last>{_NUMBER})\b)?"
)
_BEGINNINGS = ("RFC ", "XEP-", "XML 1.0", "§", "Appendix")  # one of them is in each citation


@dataclass(frozen=True)
class Citation:
    """A place that names a document, and one of its sections ("" for the document as a whole).

    The document is "" if the file does not name one before the section.
    """

    document: str
    section: str
    path: str
    line: int


def files(root: Path, *patterns: str) -> Iterator[tuple[str, str]]:
    """Yields (path, text) of each file that may cite a document, in the order of paths."""
    for pattern in patterns or CODE + TESTS:
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            if not _INVENTED.fullmatch(name):
                yield name, path.read_text("utf-8")


def citations(path: str, text: str) -> Iterator[Citation]:
    """Yields the citations of one file, in order."""
    document = ""
    for number, line in _lines(path, text):
        # Most lines have none, and the pattern takes ten times as long to see that.
        if not any(beginning in line for beginning in _BEGINNINGS):
            continue
        for match in _CITATION.finditer(line):
            if match["document"]:
                document = match["document"]
                yield Citation(document, "", path, number)
            else:
                for section in sections(match["first"], match["last"] or match["first"]):
                    yield Citation(document, section, path, number)


def _lines(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Yields (number, line) of the lines that may hold a citation."""
    for number, line in enumerate(text.splitlines(), 1):
        if not path.endswith(".txt") or number == 1 or line.startswith(("#", "aiosmtpd:")):
            yield number, line


def commands(words: list[str], path: str, text: str) -> Iterator[tuple[Citation, str]]:
    """Yields the lines of one file that have one of these commands of TOC, as citations.

    In code a command is the beginning of a text, the key of a table, or the name of a function; in
    a transcript it is what one side says.
    """
    either = "|".join(sorted(words, key=len, reverse=True))
    patterns = {
        "comms/toc/": rf"""["']({either})\b""",
        "fakes/toc/": rf"""["']({either})": |\bdef ({either})\(|"((?=[A-Z])(?:{either}))\b""",
        "tests/transcripts/toc-": rf"^(?:\S+ )?[CS]: ({either})\b",
    }
    pattern = next((patterns[start] for start in patterns if path.startswith(start)), None)
    if pattern is not None:
        for number, line in enumerate(text.splitlines(), 1):
            for match in re.finditer(pattern, line):
                word = match[match.lastindex or 0]
                yield Citation("", word, path, number), line


def sections(first: str, last: str) -> Iterator[str]:
    """Yields the sections from the first to the last, which must have the same parent."""
    parent, dot, begin = first.rpartition(".")
    end = last.rpartition(".")[2]
    if begin.isdigit():
        names = [str(number) for number in range(int(begin), int(end) + 1)]
    else:
        names = [chr(letter) for letter in range(ord(begin), ord(end) + 1)]
    for name in names:
        yield f"{parent}{dot}{name}"


_BETWEEN = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)


@functools.cache
def code_only(text: str) -> str:
    """Returns Python source with spaces in place of its comments and docstrings.

    Lines and columns stay as they are.
    """
    lines = text.splitlines(keepends=True)
    begins = True  # whether a statement does: a text that is one is a docstring
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_docstring = token.type == tokenize.STRING and begins
        if token.type not in _BETWEEN:
            begins = token.type == tokenize.NEWLINE
        if token.type == tokenize.COMMENT or is_docstring:
            (first, begin), (last, end) = token.start, token.end
            for number in range(first, last + 1):
                line = lines[number - 1]
                start = begin if number == first else 0
                stop = end if number == last else len(line.rstrip("\n"))
                lines[number - 1] = line[:start] + " " * (stop - start) + line[stop:]
    return "".join(lines)

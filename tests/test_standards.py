"""The table that `make rfc` prints: it is complete, and every citation is right."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.servers import SERVERS
from tests.citations import Citation, citations, code_only, sections
from tests.standards import LIST, ROOT, Standards, main, read_list, selected, summary, table


@pytest.fixture(scope="module")
def standards() -> Standards:
    return Standards()


# ── the table of this project ────────────────────────────────────────────────


@pytest.mark.slow
def test_no_section_is_forgotten_and_no_citation_is_wrong(standards: Standards) -> None:
    assert not standards.errors, "\n".join(standards.errors)


@pytest.mark.slow
def test_no_entry_of_the_list_is_needless(standards: Standards) -> None:
    assert not standards.notes, "\n".join(standards.notes)


@pytest.mark.slow
def test_every_section_has_a_status(standards: Standards) -> None:
    for name, rows in standards.rows.items():
        for row in rows:
            assert row.status in ("done", "partly", "not", "nothing"), (name, row)


@pytest.mark.slow
def test_every_row_fits_into_120_columns(standards: Standards) -> None:
    for document in standards.documents:
        for line in table(document, standards.rows[document.name]):
            assert len(line) <= 120, line
    assert all(len(line) <= 120 for line in summary(standards))


@pytest.mark.slow
def test_a_row_names_client_server_and_transcript(standards: Standards) -> None:
    (document,) = selected(standards.documents, ["RFC5321"])
    lines = list(table(document, standards.rows[document.name]))
    assert lines[0] == "RFC 5321: Simple Mail Transfer Protocol (client, server)"
    (row,) = [line for line in lines if line.startswith("4.1.1.1 ")]
    assert row.split()[:2] == ["4.1.1.1", "Extended"]
    assert " done " in row and row[43:].startswith("smtp.py:")
    assert row[66:].partition(":")[0].endswith(".py") and row[94:].startswith("smtp-greeting")


@pytest.mark.slow
def test_a_reason_is_in_the_row_or_below_it(standards: Standards) -> None:
    (document,) = selected(standards.documents, ["5321"])
    lines = list(table(document, standards.rows[document.name]))
    (left_out,) = [number for number, line in enumerate(lines) if line.startswith("3.7 ")]
    assert lines[left_out][36:41] == "not  " and "gateway" in lines[left_out]
    assert not lines[left_out + 1].startswith("3.7."), "the reason holds for the sections below"
    (partly,) = [number for number, line in enumerate(lines) if line.startswith("3.4 ")]
    assert " partly " in lines[partly] and lines[partly + 1].lstrip().startswith("the client")


@pytest.mark.slow
def test_a_document_without_a_list_of_sections_shows_those_cited(standards: Standards) -> None:
    (document,) = selected(standards.documents, ["rfc 4954"])
    lines = list(table(document, standards.rows[document.name]))
    assert lines[1] == "sections as cited; the document's list is not kept"
    assert [line.split()[0] for line in lines[3:]] == ["4", "5", "6", "7", "9"]


@pytest.mark.slow
def test_the_commands_of_toc_are_those_of_the_legality_table(standards: Standards) -> None:
    (verbs,) = [server.session.verbs for server in SERVERS if server.name == "toc"]
    rows = {row.section: row for name in ("TOC 1.0", "TOC2") for row in standards.rows[name]}
    assert verbs.keys() <= rows.keys()
    for command, row in rows.items():
        if command.startswith("toc") and command != "toc2_send_im":  # another name of toc_send_im
            assert (row.status == "done") == (command in verbs), command


@pytest.mark.slow  # the process reads every file again
def test_the_command_line_prints_the_named_document_only() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.standards", "xep-30"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("XEP-0030: Service Discovery (server)\n")
    assert "RFC" not in done.stdout.partition("\n")[2].partition("\n\n")[2]


@pytest.mark.slow
def test_an_unknown_document_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["RFC9999"]) == 2
    assert capsys.readouterr().err.startswith("RFC9999: unknown document; choose from RFC 5321")


# ── mistakes, in a project of two files ──────────────────────────────────────

HEAD = "RFC 2195 CRAM (server)\n"
CODE = 'digest = "keyed"  # RFC 2195 §2, not a poem\n'
REST = "  nothing 1, 3 to 6: the rest\n"


def errors(root: Path, listed: str, code: str = CODE, test: str = "") -> list[str]:
    """The errors in a project with this list of documents, this code and this transcript."""
    tables = root / "tests" / "tables"
    shutil.copytree(ROOT / "tests" / "tables" / "sections", tables / "sections")
    (root / LIST).write_text(listed, "utf-8")
    (root / "fakes").mkdir()
    (root / "fakes" / "sasl.py").write_text(code, "utf-8")
    (root / "tests" / "transcripts").mkdir()
    (root / "tests" / "transcripts" / "one.txt").write_text(test, "utf-8")
    found = Standards(root)
    return found.notes + found.errors


def test_a_complete_table_has_no_errors(tmp_path: Path) -> None:
    assert errors(tmp_path, HEAD + REST) == []


@pytest.mark.parametrize(
    ("listed", "code", "test", "error"),
    [
        pytest.param(
            HEAD, CODE + "# §1, §3 to §5", "",
            "RFC 2195 §6 Authors' Addresses: no code cites it, and it is not listed; "
            f"cite it where it is done, or list it in {LIST}",
            id="a section that is forgotten",
        ),
        pytest.param(
            HEAD + REST, CODE + "# and §2.7\n", "",
            "fakes/sasl.py:2: RFC 2195 has no section 2.7",
            id="a section that does not exist, in code",
        ),
        pytest.param(
            HEAD + REST, CODE, "POP3: a login (RFC 2195 §9)\n",
            "tests/transcripts/one.txt:1: RFC 2195 has no section 9",
            id="a section that does not exist, in a transcript",
        ),
        pytest.param(
            HEAD + REST, CODE + "# RFC 9999 §1\n", "",
            f"fakes/sasl.py:2: RFC 9999 is not listed in {LIST}",
            id="a document that is not listed",
        ),
        pytest.param(
            HEAD + REST, "# see §2\n" + CODE, "",
            "fakes/sasl.py:1: §2: name the document before it",
            id="a section of no document",
        ),
        pytest.param(
            HEAD + "  not 1 to 6: the reason\n", CODE, "",
            f"{LIST}:2: RFC 2195 §2 is listed as not, but fakes/sasl.py:1 cites it",
            id="left out, but cited",
        ),
        pytest.param(
            HEAD + REST + "  nothing 7: the reason\n", CODE, "",
            f"{LIST}:3: RFC 2195 has no section 7",
            id="an entry for a section that does not exist",
        ),
        pytest.param(
            HEAD + REST + '  partly 2 at fakes "digest": one\n  not 2: two\n', CODE, "",
            f"{LIST}:3: RFC 2195 §2 is listed twice",
            id="two entries for one section",
        ),
        pytest.param(
            HEAD + REST + '  done 2 at fakes "poem": the reason\n', "", "",
            f"{LIST}:3: RFC 2195 §2: no file in fakes contains 'poem'",
            id="a place that does not exist",
        ),
        pytest.param(
            HEAD + REST + '  partly 2 at fakes "a poem": the reason\n', CODE, "",
            f"{LIST}:3: RFC 2195 §2: no file in fakes contains 'a poem'",
            id="a place that is only in a comment",
        ),
        pytest.param(
            HEAD + "  nothing 1, 4 to 6: the rest\n  partly 2, 3: the reason\n", CODE, "",
            f'{LIST}:3: RFC 2195 §3: no code cites it; say where it is: … at fakes "text"',
            id="two sections partly done, but a place for one only",
        ),
        pytest.param(
            HEAD + REST + "  partly 2: the reason\n", "", "",
            f'{LIST}:3: RFC 2195 §2: no code cites it; say where it is: … at fakes "text"',
            id="partly done, but no place",
        ),
        pytest.param(
            HEAD + REST + '  done 2 at fakes "digest": the reason\n', CODE, "",
            f"{LIST}:3: fakes/sasl.py:1 cites RFC 2195 §2; remove the entry",
            id="an entry that is no longer needed",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, listed: str, code: str, test: str, error: str
) -> None:
    assert error in errors(tmp_path, listed, code, test)


@pytest.mark.parametrize("line", ["  done it\n", "RFC 1 (server)\n", f"  not 2: {'x' * 78}\n"])
def test_a_line_of_the_list_that_is_not_understood_is_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match=rf"^{LIST}:2: not a document, an entry or a mention"):
        errors(tmp_path, HEAD + line)


def test_a_section_that_only_a_test_cites_is_not_done(tmp_path: Path) -> None:
    listed = "RFC 4954 AUTH (server)\n"  # the list of its sections is not kept
    (error,) = errors(tmp_path, listed, "# RFC 4954 §4", "SMTP: a login (RFC 4954 §9)\n")
    assert error.startswith("RFC 4954 §9: no code cites it")


def test_an_entry_holds_for_the_sections_below_it(tmp_path: Path) -> None:
    (tmp_path / "tests" / "tables").mkdir(parents=True)
    (tmp_path / LIST).write_text(HEAD + "  not 4: a\n  partly 4.1: b\n", "utf-8")
    (document,), _ = read_list(tmp_path)
    found = [document.entry(section) for section in ("4", "4.2", "4.1", "4.1.3", "5")]
    assert [entry.reason if entry else None for entry in found] == ["a", "a", "b", "b", None]


# ── citations ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RFC 5321 §4.1.1.3", [("RFC 5321", "4.1.1.3")]),
        ("RFC 3030 §2, §3", [("RFC 3030", "2"), ("RFC 3030", "3")]),
        ("RFC 6121 §4.2 to §4.4", [("RFC 6121", "4.2"), ("RFC 6121", "4.3"), ("RFC 6121", "4.4")]),
        ("RFC 3454 §4–§6", [("RFC 3454", "4"), ("RFC 3454", "5"), ("RFC 3454", "6")]),
        ("XEP-0030 §8", [("XEP-0030", "8")]),
        ("RFC 6122 Appendix A.5", [("RFC 6122", "A.5")]),
        ("RFC 2195 §2, then RFC 4616 §2", [("RFC 2195", "2"), ("RFC 4616", "2")]),
        ("# RFC 6120\n# §8.1.3", [("RFC 6120", "8.1.3")]),
        ("XML 1.0 §2.2", [("XML 1.0", "2.2")]),
        ('text.replace("§", "section ")', []),
        ("chat §1", [("", "1")]),
    ],
)
def test_citations_are_found(text: str, found: list[tuple[str, str]]) -> None:
    cited = citations("fakes/x.py", text)
    assert [
        (citation.document, citation.section) for citation in cited if citation.section
    ] == found


def test_a_citation_knows_its_line() -> None:
    cited = list(citations("fakes/x.py", "\n\n# RFC 2195 §2\n"))
    assert cited[1] == Citation("RFC 2195", "2", "fakes/x.py", 3)


def test_what_the_two_sides_of_a_transcript_say_is_not_a_citation() -> None:
    transcript = (
        "SMTP: title (RFC 5321 §3.3)\nS: 214 RFC 5321 §9\n# §4\naiosmtpd: 250 (ours 501: §4.1.2)\n"
    )
    cited = citations("tests/transcripts/x.txt", transcript)
    assert [citation.section for citation in cited] == ["", "3.3", "4", "4.1.2"]


def test_code_is_what_remains_without_comments_and_docstrings() -> None:
    code = '"""A\nB."""\ntext = """C\nD"""  # E\ndef f():\n    "F."\n    return "G"\n'
    found = code_only(code)
    assert found.split() == ["text", "=", '"""C', 'D"""', "def", "f():", "return", '"G"']
    assert [len(line) for line in found.split("\n")] == [len(line) for line in code.split("\n")]


def test_a_range_has_the_sections_between() -> None:
    assert list(sections("A.2", "A.4")) == ["A.2", "A.3", "A.4"]
    assert list(sections("B", "D")) == ["B", "C", "D"]

"""A reply without the mail that it quotes. The whole text is always kept beside it.

Libraries for this were tried on the table in tests/test_scenarios_tickets.py. Of 22 replies,
mail-parser-reply 1.36 leaves the quotation, or its attribution, in 7, and quotequail 0.5 in 11;
email-reply-parser 0.5 and email-reply-extractor 1.1 cut what the author has written from 9. None of
them changes the mails in tests/mails, which quote nothing. What is here is made to rather leave a
quotation than cut anything.
"""

from __future__ import annotations

import re

# The line that mail programs put before what they quote: "On 5 Jan 2026, Ann <a@x.example> wrote:".
# It can be wrapped, so that up to this many lines are one attribution.
ATTRIBUTION_LINES = 4
ATTRIBUTION_LENGTH = 500  # characters
_WROTE = re.compile(
    r"\b(?:wrote|writes|schrieb|schreibt|[ée]crit|escribi[óo]|escribe|escreveu|ha scritto|scrive"
    r"|schreef|skrev|skrifaði|kirjoitti|napsal|napísal|napisa[łl]|pisze|írta|yazdı|scris|rašė)\b"
    r"|написал|пишет|έγραψε|写道|寫道|のメッセージ|작성",
    re.I,
)
# A date. That a sentence names a time of day says less.
_WHEN = re.compile(
    r"(?<![0-9])[0-9]{4}(?![0-9])|[0-9]{1,2}[./-][0-9]{1,2}[./-]"
    r"|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\byesterday\b"
    r"|\b(?:mon|diens|donners|frei|sams|sonn)tag\b|\bmittwoch\b",
    re.I,
)
_ENDING = " \t\r\xa0\u200e\u200f\u202a\u202b\u202c"  # spaces, and marks of Hebrew and Arabic text
_ADDRESS = re.compile(r"[^\s<>@]{1,100}@[^\s<>@]{1,100}")
_IN_BRACKETS = re.compile(r"<[^\s<>@]{1,100}@[^\s<>@]{1,100}>")
_BEGINS = re.compile(r"(?:On|Am|Le|El|Il|Em|Op|Den|Dne|Dňa|W dniu|În|Στις|Pe)\s", re.I)


def without_quotation(text: str) -> str:
    """Returns a reply without the mail that it quotes at its end; when in doubt, all of it.

    Lines with `>` right below another line were pasted, unless that line says who wrote them and
    when. `>From ` at the start of a line is what some programs make of `From `.
    """
    lines = text.rstrip().split("\n")
    end = len(lines)
    while end and (not lines[end - 1].strip() or _is_quoted(lines[end - 1])):
        end -= 1
    if end == len(lines) or not any(map(_is_quoted, lines[end:])):
        return text
    if end and (_is_quoted(lines[end]) or lines[end - 1].rstrip(_ENDING).endswith((":", "："))):
        begin = _attribution(lines, end)
        if begin == end:
            return text
        end = begin
    return "\n".join(lines[:end]).rstrip() + "\n"


def _is_quoted(line: str) -> bool:
    return line.startswith(">") and not line.startswith(">From ")


def _is_name_and_verb(line: str) -> bool:
    """Returns whether a line is an attribution as short as "Ann Lee wrote:"."""
    *names, verb = line.rstrip(" :：").split() or [""]
    is_name = 0 < len(names) <= 4 and all(name[:1].isupper() for name in names)
    return is_name and _WROTE.fullmatch(verb) is not None


def _attribution(lines: list[str], end: int) -> int:
    """Returns where the attribution that ends before `end` begins; `end` if there is none."""
    for begin in range(end - 1, max(end - 1 - ATTRIBUTION_LINES, -1), -1):
        if not lines[begin].strip():
            break
        whole = " ".join(line.strip() for line in lines[begin:end])
        if len(whole) > ATTRIBUTION_LENGTH:
            break
        wrote, when, who = _WROTE.search(whole), _WHEN.search(whole), _ADDRESS.search(whole)
        if _BEGINS.match(whole) and wrote and (when or who):
            return begin
        # Without such a first word, it must say more to be recognised.
        first_line = begin == 0 or not lines[begin - 1].strip()
        short = begin == end - 1 and _is_name_and_verb(whole)
        mailer = when and _IN_BRACKETS.search(whole)  # in whatever language
        if first_line and (short or (who and wrote) or mailer):
            return begin
    return end

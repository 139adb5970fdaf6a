r"""Commands in the text of a mail: one per line, as mail robots have read them for decades.

    script.lines("restart web\n# and then\nstatus web\n-- \nJeremy\n")
    # ['restart web', 'status web']

Empty lines, comments (`#`) and quoted lines (`>`) are left out. A stop word, the line with which a
signature begins, or that of a quotation ends the commands, so that nothing below is obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from comms.read import Mail

MOST = 20  # commands of one mail
WRONG = 3  # lines in a row that are no commands; what follows is not read
STOP_WORDS = frozenset(
    ("quit", "stop", "end", "exit", "bye", "thanks", "thank you", "thx", "regards", "best regards")
)
_SIGNATURE = re.compile(r"--|[-_=*]{3,}|sent (?:from|with|via) .*|get outlook for .*", re.I)
_QUOTATION = re.compile(r"on .{4,200} wrote:|from: .*|-+ ?original message ?-+", re.I)


def lines(text: str, is_command: Callable[[str], bool] = lambda line: True) -> list[str]:
    """Returns the commands in a text, in their order.

    `is_command` says whether a line is one; those that are none are returned, too, so that they are
    reported, but the third of them in a row is the last line.
    """
    found: list[str] = []
    wrong = 0
    # Not at other signs for the end of a line: what is quoted may have some.
    for line in map(str.strip, text.split("\n")):
        if not line or line.startswith(("#", ">")):
            continue
        if _ends(line) or len(found) == MOST:
            break
        found.append(line)
        wrong = 0 if is_command(line) else wrong + 1
        if wrong == WRONG:
            break
    return found


def from_mail(mail: Mail, is_command: Callable[[str], bool] = lambda line: True) -> list[str]:
    """Returns the commands of a mail: the subject if it is one, or else those of the text.

    Never both: a command that is in the subject and in the text would run twice. Without any, the
    subject is returned, so that its sender learns what would have been a command.
    """
    if is_command(mail.subject):
        return [mail.subject]
    return lines(mail.text, is_command) or [mail.subject]


def _ends(line: str) -> bool:
    word = line.casefold().rstrip(" .,!")
    return bool(word in STOP_WORDS or _SIGNATURE.fullmatch(line) or _QUOTATION.fullmatch(line))

"""The desk of phone-command: how a text message is read, and how one is written."""

from __future__ import annotations

import re

from comms import script, sms
from comms.commands import QUESTION, UNKNOWN_COMMAND, Order, ending, normalized
from comms.host import OutcomeLike
from comms.read import Mail

LONGEST = 30  # characters of a command: a question quotes it twice, and must fit into 160
PARTS = "in parts"  # instead of a command: the message is not all there
# `1/2 `, `(2/3)` and `Page 1 of 2`, and a text that somewhere on its way was cut.
_PART = re.compile(
    r"\(?(?:page |part |msg )?[0-9]{1,2} ?(?:/|of) ?[0-9]{1,2}\)?[:.]?(?: .*|$)", re.I
)
_CUT = re.compile(r".*(?:\.\.\.|…|\[more\]|-->|>>)", re.I)


def command(mail: Mail, short: dict[str, str]) -> str:
    """Returns the command of a text message: its first line, without a footer and short forms."""
    lines = script.lines(mail.text)
    text = (lines[0] if lines else mail.subject).strip()
    if _PART.fullmatch(text) or _CUT.fullmatch(text):
        return PARTS
    text = normalized(text).rstrip(".!")  # phones write sentences
    return short.get(text, text)


def answer(order: Order, outcome: OutcomeLike, host: str) -> str:
    """Returns one text message about the outcome, with as much of the output as fits."""
    if order.verb == PARTS:
        said = "not run: your message came in parts, or cut. Send a shorter one again."
    elif outcome.error.startswith((QUESTION, UNKNOWN_COMMAND)):
        return sms.cut(sms.plain(outcome.error))  # without the host, so that the word fits
    elif outcome.code == 0:
        said = f"{order.verb}: done. {outcome.output}"
    else:
        failed = "" if outcome.in_doubt else "FAILED, "
        said = f"{order.verb}: {failed}{ending(outcome)}. {outcome.output}"
    return sms.cut(sms.plain(f"{host}: {' '.join(said.split())}").strip())

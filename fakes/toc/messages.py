"""What the server says, in the three forms that clients know: TOC 1.0, TOC2, and TOC2 with encodings (`toc2_login`).

Fields are parted by colons and not escaped; only the last may hold any. Text is Latin-1, so that every octet survives.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from fakes.toc.frames import MESSAGE
from fakes.toc.presence import Im, Status
from fakes.toc.rooms import Room


class Form(enum.Enum):
    """Which of them a client speaks; it says so by the command that it signs on with."""

    TOC1 = "toc_signon"
    TOC2 = "toc2_signon"
    ENCODED = "toc2_login"


# The codes of ERROR. Those that say something of somebody have a name behind them.
UNAVAILABLE = 901
CANNOT_WARN = 902
TOO_FAST = 903
INVALID_INPUT = 911
LIST_IS_FULL = 931
NO_CHAT = 950
DIRECTORY_IS_DOWN = 973
NO_DIRECTORY_ENTRY = 977
WRONG_LOGIN = 980
SERVICE_IS_DOWN = 981
NAMING = frozenset({901, 902, 950, 960, 961, 962, 979, 989})


def error(code: int, *about: str) -> str:
    """`ERROR`; codes from 980 on end the session."""
    return ":".join(["ERROR", str(code), *about])


def is_final(message: str) -> bool:
    """Whether the session ends with this message."""
    return message.startswith("ERROR:98")


def sign_on(form: Form) -> str:
    """The answer to a sign-on command that is accepted."""
    return "SIGN_ON:TOC1.0" if form is Form.TOC1 else "SIGN_ON:TOC2.0"


def im(message: Im, form: Form) -> str:
    """`IM_IN`, `IM_IN2`, `IM_IN_ENC2`. The unnamed fields of the last are as they were seen."""
    text = message.raw.decode("latin-1")
    auto = _flag(message.auto)
    if form is Form.TOC1:
        return f"IM_IN:{message.sender}:{auto}:{text}"
    if form is Form.TOC2:
        return f"IM_IN2:{message.sender}:{auto}:F:{text}"
    return f"IM_IN_ENC2:{message.sender}:{auto}:F:T: O :F:{message.encoding}:{message.language}:{text}"


def status(news: Status, form: Form) -> Iterator[str]:
    """`UPDATE_BUDDY` or `UPDATE_BUDDY2`, then `BUDDY_CAPS2`. The class has always three characters: clients index it.

    Who is gone has neither idle time nor an away mark: one client dies of them.
    """
    kind = (" OU" if news.away else " O ") if news.online else "   "
    fields = f"{news.name}:{_flag(news.online)}:{news.warning}:{news.since}:{news.idle}:{kind}"
    if form is Form.TOC1:
        yield f"UPDATE_BUDDY:{fields}"
        return
    yield f"UPDATE_BUDDY2:{fields}:"  # one more field, empty but for other networks
    if news.capabilities:
        yield f"BUDDY_CAPS2:{news.name}:{','.join(news.capabilities)}"


def room_text(room: Room, message: Im, whisper: bool, form: Form) -> str:
    """`CHAT_IN`, `CHAT_IN_ENC`."""
    text = message.raw.decode("latin-1")
    if form is Form.ENCODED:
        return f"CHAT_IN_ENC:{room.number}:{message.sender}:{_flag(whisper)}:A:{message.language}:{text}"
    return f"CHAT_IN:{room.number}:{message.sender}:{_flag(whisper)}:{text}"


def room_people(room: Room, inside: bool, names: Iterable[str]) -> Iterator[str]:
    """`CHAT_UPDATE_BUDDY`, as many as it takes to stay below the limit."""
    head = said = f"CHAT_UPDATE_BUDDY:{room.number}:{_flag(inside)}"
    for name in names:
        if len(said) + 1 + len(name) > MESSAGE:
            yield said
            said = head
        said += ":" + name
    yield said


def _flag(yes: bool) -> str:
    return "T" if yes else "F"

"""The messages of the server, in three forms: TOC 1.0, TOC2, and TOC2 with encodings.

Colons separate the fields and are not escaped, so only the last field may hold any. The text is
Latin-1, so that every byte survives.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

from fakes.toc.frames import MESSAGE_LIMIT
from fakes.toc.presence import Account, Im, Status
from fakes.toc.rooms import Room


class Form(enum.Enum):
    """The form that a client reads. Each value is the command with which such a client signs on."""

    TOC1 = "toc_signon"
    TOC2 = "toc2_signon"
    ENCODED = "toc2_login"


# The codes of ERROR. Those in NAMING are followed by a name: of a user, or of a room.
UNAVAILABLE = 901
CANNOT_WARN = 902
TOO_FAST = 903
INVALID_INPUT = 911
LIST_IS_FULL = 931
NO_CHAT = 950
TOO_BIG = 961
DIRECTORY_IS_DOWN = 973
NO_DIRECTORY_ENTRY = 977
WRONG_LOGIN = 980
SERVICE_IS_DOWN = 981
NAMING = frozenset({901, 902, 950, 960, 961, 962, 979, 989})


def error(code: int, *names: str) -> str:
    """`ERROR`. The codes from 980 to 989 end the session.

    A name that a client has sent may be too long to be repeated, and is cut then.
    """
    return ":".join(["ERROR", str(code), *names])[:MESSAGE_LIMIT]


def is_too_long(message: str) -> bool:
    """Whether a message does not fit into one frame."""
    return len(message) > MESSAGE_LIMIT


def is_final(message: str) -> bool:
    """Whether the session ends with this message."""
    return message.startswith("ERROR:98")


def sign_on(form: Form) -> str:
    """`SIGN_ON`, the answer to an accepted sign-on command."""
    return "SIGN_ON:TOC1.0" if form is Form.TOC1 else "SIGN_ON:TOC2.0"


def greeting(account: Account, form: Form) -> Iterator[str]:
    """What follows `SIGN_ON`: the name and the stored lists.

    The order is that of other servers. Nothing else may come between: one client fails then.
    """
    if form is Form.TOC1:
        yield f"CONFIG:{account.lists.text}"
    yield f"NICK:{account.screen_name}"
    if form is not Form.TOC1:
        yield f"CONFIG2:{account.lists.config2}"


def im(message: Im, form: Form) -> str:
    """`IM_IN`, `IM_IN2` or `IM_IN_ENC2`.

    The constant fields of `IM_IN_ENC2` are undocumented; their values are those seen in use.
    """
    text = message.raw.decode("latin-1")
    auto = _flag(message.auto)
    if form is Form.TOC1:
        return f"IM_IN:{message.sender}:{auto}:{text}"
    if form is Form.TOC2:
        return f"IM_IN2:{message.sender}:{auto}:F:{text}"
    encoding = f"{message.encoding}:{message.language}"
    return f"IM_IN_ENC2:{message.sender}:{auto}:F:T: O :F:{encoding}:{text}"


def status(status: Status, form: Form) -> Iterator[str]:
    """`UPDATE_BUDDY`; in TOC2 `UPDATE_BUDDY2`, and `BUDDY_CAPS2` if there are capabilities."""
    # Always three characters, because clients index them. An offline user has neither idle time
    # nor an away mark, because one client aborts otherwise.
    kind = (" OU" if status.away else " O ") if status.online else "   "
    fields = f"{status.name}:{_flag(status.online)}:{status.warning}:{status.since}:{status.idle}"
    if form is Form.TOC1:
        yield f"UPDATE_BUDDY:{fields}:{kind}"
        return
    yield f"UPDATE_BUDDY2:{fields}:{kind}:"  # the last field is empty except for ICQ users
    if status.capabilities:
        yield f"BUDDY_CAPS2:{status.name}:{','.join(status.capabilities)}"


def room_message(room: Room, message: Im, whisper: bool, form: Form) -> str:
    """`CHAT_IN` or `CHAT_IN_ENC`."""
    text = message.raw.decode("latin-1")
    head = f"{room.number}:{message.sender}:{_flag(whisper)}"
    if form is Form.ENCODED:
        return f"CHAT_IN_ENC:{head}:A:{message.language}:{text}"
    return f"CHAT_IN:{head}:{text}"


def room_members(room: Room, inside: bool, names: Iterable[str]) -> Iterator[str]:
    """`CHAT_UPDATE_BUDDY`, in as many messages as the length limit requires."""
    head = message = f"CHAT_UPDATE_BUDDY:{room.number}:{_flag(inside)}"
    for name in names:
        if len(message) + 1 + len(name) > MESSAGE_LIMIT:
            yield message
            message = head
        message += ":" + name
    yield message


def _flag(value: bool) -> str:
    return "T" if value else "F"

"""What a user shows of itself, and what it asks about others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fakes.toc import messages
from fakes.toc.arguments import arguments, number, whole_argument
from fakes.toc.frames import MESSAGE_LIMIT
from fakes.toc.lists import NAME_LIMIT, fold, is_name
from fakes.toc.messages import error
from fakes.toc.pages import DIRECTORY, PROFILE, url
from fakes.toc.presence import Presence, Unavailable
from fakes.toc.refusals import Drop
from fakes.wire import Refuse, Unit

if TYPE_CHECKING:
    from fakes.toc.session import Toc

UUID = len("09461343-4C7F-11D1-8222-444553540000")
# Capabilities of one user: as many as fit into a BUDDY_CAPS2, with a colon or a comma before each.
CAPABILITIES = (MESSAGE_LIMIT - len("BUDDY_CAPS2:") - NAME_LIMIT) // (1 + UUID)


# ── presence ─────────────────────────────────────────────────────────────────


def toc_set_away(session: Toc, unit: Unit) -> None:
    """`[message]`: go away; come back if the message is empty or missing."""
    with session.aim.changing(session.presence, announce=True):
        session.presence.away = whole_argument(unit)


def toc_set_idle(session: Toc, unit: Unit) -> None:
    """`seconds`: have been idle for that many seconds; 0 ends it."""
    seconds = number(arguments(unit, 1)[0])
    with session.aim.changing(session.presence, announce=True):
        session.presence.idle_since = session.runtime.now() - seconds if seconds else None


def toc_set_caps(session: Toc, unit: Unit) -> None:
    """`[capability…]`: replace all capabilities."""
    texts = [text for argument in arguments(unit) for text in argument.split(",") if text]
    if len(texts) > CAPABILITIES:
        raise Refuse(error(messages.INVALID_INPUT))
    with session.aim.changing(session.presence, announce=True):
        session.presence.capabilities = tuple(_capability(text) for text in texts)


def _capability(text: str) -> str:
    """Returns a capability as a UUID. Raises Drop if it is not one.

    One to four digits are a short form; in the long form the dashes may be missing.
    """
    digits = text.upper().replace("-", "")
    if re.fullmatch(r"[0-9A-F]{1,4}", digits):
        return f"0946{digits:0>4}-4C7F-11D1-8222-444553540000"
    if not re.fullmatch(r"[0-9A-F]{32}", digits):
        raise Drop(f"{text!r} is not a capability")
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


# ── profile, directory entry, name, password ─────────────────────────────────


def toc_set_info(session: Toc, unit: Unit) -> None:
    """`profile`: store the profile, which is HTML."""
    arguments(unit, 1)
    session.presence.account.profile = whole_argument(unit)


def toc_set_dir(session: Toc, unit: Unit) -> None:
    """`field:field:…`: store the directory entry."""
    arguments(unit, 1)
    fields = whole_argument(unit).split(":")
    session.presence.account.directory = tuple(field.strip('"') for field in fields[:9])
    session.say("DIR_STATUS:0")


def toc_format_nickname(session: Toc, unit: Unit) -> None:
    """`name`: change the written form of the user's name."""
    # Some clients do not quote a name that has a space.
    name = " ".join(arguments(unit, 1))
    if fold(name) != fold(session.user) or not is_name(name):
        raise Refuse(error(messages.INVALID_INPUT))
    session.say("ADMIN_NICK_STATUS:0")
    session.say(f"NICK:{name}")
    with session.aim.changing(session.presence, announce=True):
        session.presence.account.screen_name = session.user = name


def toc_change_passwd(session: Toc, unit: Unit) -> None:
    """`old new`: change the password. Both are sent in clear."""
    old, new, *_ = arguments(unit, 2)
    if not session.aim.authenticate(session.user, old.encode("latin-1")) or not new:
        raise Refuse(error(messages.INVALID_INPUT))
    session.presence.account.password = new
    session.say("ADMIN_PASSWD_STATUS:0")


# ── questions about others ───────────────────────────────────────────────────


def toc_get_status(session: Toc, unit: Unit) -> None:
    """`user`: answer with the status of a user who is online."""
    status = _reachable(session, arguments(unit, 1)[0]).status(session.runtime.now())
    session.presence.door.on_status(status)


def toc_get_info(session: Toc, unit: Unit) -> None:
    """`user`: answer with the address of a profile."""
    name = arguments(unit, 1)[0]
    _reachable(session, name)
    _go_to(session, "profile", PROFILE, name)


def toc_get_dir(session: Toc, unit: Unit) -> None:
    """`user`: answer with the address of a directory entry."""
    account = session.aim.known.find(arguments(unit, 1)[0])
    if account is None or not account.directory:
        raise Refuse(error(messages.NO_DIRECTORY_ENTRY))
    _go_to(session, "directory info", DIRECTORY, account.screen_name)


def toc_dir_search(session: Toc, unit: Unit) -> None:
    """`field:field:…`: refuse to search the directory."""
    # Searching is left out; this error is what a client expects when the directory is down.
    raise Refuse(error(messages.DIRECTORY_IS_DOWN))


def _reachable(session: Toc, name: str) -> Presence:
    """Returns the session of an online user. Raises Refuse."""
    try:
        return session.aim.reachable(session.presence, name)
    except Unavailable:
        raise Refuse(error(messages.UNAVAILABLE, name)) from None


def _go_to(session: Toc, window: str, page: str, name: str) -> None:
    """Points the client's browser at a page; the cookie in the address admits this session only."""
    presence = session.presence
    presence.cookie = presence.cookie or session.runtime.token(16)
    session.say(f"GOTO_URL:{window}:{url(page, presence, name)}")

"""Which names are valid, which are the same, and which users a mask matches."""

from __future__ import annotations

import re

NICK_LENGTH, CHANNEL_LENGTH, KEY_LENGTH, USER_LENGTH = 30, 64, 23, 9  # bytes
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FOLDS = {
    "ascii": str.maketrans(_UPPER, _UPPER.lower()),
    # RFC 2812 §2.2: the letters of Scandinavia have the places of these characters.
    "rfc1459": str.maketrans(_UPPER + "[]\\~", _UPPER.lower() + "{}|^"),
}
_NICK = re.compile(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]*")
_CHANNEL = re.compile(r"#[^ ,\x07]*")
_KEY = re.compile(r"[^ ,:\x00-\x1f\x7f][^ ,\x00-\x1f\x7f]*")


def fold(name: str, casemapping: str = "rfc1459") -> str:
    """Returns the form of a name in which equal names are the same."""
    return name.translate(_FOLDS[casemapping])


def is_nick(name: str) -> bool:
    """Whether a name can be that of a user."""
    return bool(_NICK.fullmatch(name)) and len(name) <= NICK_LENGTH


def is_channel(name: str) -> bool:
    """Whether a name can be that of a channel; `#` alone is one."""
    size = len(name.encode("utf-8", "surrogateescape"))
    return bool(_CHANNEL.fullmatch(name)) and size <= CHANNEL_LENGTH


def is_key(key: str) -> bool:
    """Whether a text can be the key of a channel."""
    size = len(key.encode("utf-8", "surrogateescape"))
    return bool(_KEY.fullmatch(key)) and size <= KEY_LENGTH


def full_mask(mask: str) -> str:
    """Returns a mask as nick!user@host, with * for what it does not name."""
    if "!" not in mask and "@" not in mask:
        return f"{mask}!*@*"
    nick, mark, rest = mask.partition("!")
    if not mark:
        nick, rest = "*", mask
    user, mark, host = rest.partition("@")
    return f"{nick or '*'}!{user or '*'}@{host or '*'}"


def matches(mask: str, name: str, casemapping: str = "rfc1459") -> bool:
    """Whether a name is matched by a mask with * and ?."""
    return _fits(fold(mask, casemapping), fold(name, casemapping))


def _fits(mask: str, name: str) -> bool:
    # Only the last star may have to take more: the shortest that an earlier one can take leaves
    # the most for what follows. Stars do not multiply the time, as they do in a pattern.
    at, star, taken = 0, -1, 0  # in the mask, the last star there, where the name goes on after it
    place = 0
    while place < len(name):
        if mask[at : at + 1] == "*":
            star, taken, at = at, place, at + 1
        elif at < len(mask) and mask[at] in ("?", name[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            taken += 1
            at, place = star + 1, taken
        else:
            return False
    return not mask[at:].strip("*")

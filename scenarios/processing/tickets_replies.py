"""The addresses for replies to single tickets, such as tickets+7-k3…@yourco.test."""

from __future__ import annotations

import hmac
import re
from typing import Annotated

from comms.addresses import is_address
from comms.setting_types import Check, shown

LONGEST = 64  # characters before the @ (RFC 5321 §4.5.3.1.1)
_DETAIL = re.compile(r"([0-9]{1,9})-([0-9a-z]{1,40})")


def _no_pattern(value: str) -> str:
    number = value.replace("*", f"{10**8}-{'x' * 20}")
    if value.partition("@")[0].count("*") == value.count("*") == 1 and is_address(number):
        too_long = len(number.rpartition("@")[0]) > LONGEST
        return f"{shown(value)} is too long with a ticket's number in it" if too_long else ""
    return f"{shown(value)} is not an address with one * before the @"


ReplyPattern = Annotated[str, Check(_no_pattern, '"tickets+*@example.org"')]


def reply_address(pattern: str, number: int, token: str) -> str:
    """Returns the address for replies to a ticket; "" without a pattern."""
    return pattern.replace("*", f"{number}-{token}")


def token_of(pattern: str, address: str) -> tuple[int, str]:
    """Returns number and token of an address for replies; 0 and "" if it is not one."""
    before, star, after = pattern.casefold().partition("*")
    key = address.casefold()
    if not (star and key.startswith(before) and key.endswith(after)):
        return 0, ""
    found = _DETAIL.fullmatch(key[len(before) : len(key) - len(after)])
    return (int(found[1]), found[2]) if found else (0, "")


def same_token(ours: str, theirs: str) -> bool:
    """Compares tokens in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(ours.encode(), theirs.encode())

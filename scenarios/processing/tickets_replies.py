"""The addresses for replies to single tickets, such as tickets+7-k3…@yourco.test."""

from __future__ import annotations

import hmac
import re

_DETAIL = re.compile(r"([0-9]{1,9})-([0-9a-z]{1,40})")


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

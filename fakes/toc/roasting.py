"""How TOC hides a password from a glance, and from nothing else; and the number that TOC2 clients derive from it."""

from __future__ import annotations

from itertools import cycle

KEY = b"Tic/Toc"


def roast(password: bytes) -> str:
    """`0x`, then each octet of the password, laid over the key by XOR, as two hexadecimal digits."""
    return "0x" + bytes(octet ^ key for octet, key in zip(password, cycle(KEY), strict=False)).hex()


def unroast(text: str) -> bytes | None:
    """The password; digits in either case. None when it is no roasted text."""
    try:
        if text[:2] != "0x":
            return None
        return bytes(octet ^ key for octet, key in zip(bytes.fromhex(text[2:]), cycle(KEY), strict=False))
    except ValueError:
        return None


def code(screen_name: str, password: str) -> int:
    """The last number of `toc2_signon`. Clients make it in two ways, to the same result; servers do not look at it."""
    return 7696 * ord(screen_name[:1] or "\0") * ord(password[:1] or "\0")

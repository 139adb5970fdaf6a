"""Roasting, with which TOC obscures a password (it is not encryption), and the code of TOC2."""

from __future__ import annotations

from itertools import cycle

KEY = b"Tic/Toc"


def roast(password: bytes) -> str:
    """Returns `0x` and the password XOR the repeated key, as two hexadecimal digits per byte."""
    return "0x" + bytes(byte ^ key for byte, key in zip(password, cycle(KEY), strict=False)).hex()


def unroast(text: str) -> bytes | None:
    """Returns the password; None if the text is not roasted. The digits may be in either case."""
    try:
        if text[:2] != "0x":
            return None
        roasted = bytes.fromhex(text[2:])
    except ValueError:
        return None
    return bytes(byte ^ key for byte, key in zip(roasted, cycle(KEY), strict=False))


def code(screen_name: str, password: str) -> int:
    """Returns the last number of `toc2_signon`.

    Clients compute it by one of two formulas with the same result. Servers ignore it.
    """
    return 7696 * ord(screen_name[:1] or "\0") * ord(password[:1] or "\0")

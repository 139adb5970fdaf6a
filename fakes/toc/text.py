"""From text to the bytes that TOC carries.

TOC names no character set and uses one byte per character, so text is Latin-1. An IM may be UTF-8
instead, because TOC2 has a field that says so.
"""

from __future__ import annotations

from fakes.toc.frames import MESSAGE_LIMIT


def is_latin(text: str) -> bool:
    """Whether Latin-1 has all characters of the text."""
    return all(ord(character) < 256 for character in text)


def encode_im(text: str) -> tuple[bytes, str]:
    """Returns the bytes of an IM and the code of their encoding: L (Latin-1) or U (UTF-8).

    Raises ValueError for a NUL or a surrogate, with its position.
    """
    for position, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise ValueError(_refusal(character, position, "leave it out"))
    return (text.encode("latin-1"), "L") if is_latin(text) else (text.encode(), "U")


def encode_latin(text: str) -> bytes:
    """Returns text as Latin-1.

    Raises ValueError for a NUL or a character that Latin-1 does not have, with its position.
    """
    for position, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise ValueError(_refusal(character, position, "leave it out"))
        if ord(character) > 255:
            reference = f"&#{ord(character)};"
            raise ValueError(_refusal(character, position, f"write it as {reference} in HTML"))
    return text.encode("latin-1")


def check_message(text: str) -> None:
    """Raises ValueError if the text cannot be a message of the server (TOC 1.0, SFLAP)."""
    size = len(encode_latin(text))
    if size > MESSAGE_LIMIT:
        raise ValueError(
            f"{text[:40]!r}…: the message has {size} bytes; "
            f"a message of the server has at most {MESSAGE_LIMIT}"
        )


def _refusal(character: str, position: int, remedy: str) -> str:
    return f"{character!r} at position {position} cannot be sent over TOC; {remedy}"

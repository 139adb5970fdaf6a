"""The one mask for secrets: in an error no form of them is shown."""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator

MASK = "…"
_ROAST = b"Tic/Toc"  # TOC "roasts" passwords with it
_LEAST = 4  # characters of an encoded form; shorter ones would be found everywhere


def masked(text: str, *secrets: str) -> str:
    """Returns the text with `…` for every form of the secrets: plain, escaped or encoded.

    Servers repeat what they refuse, and protocols encode passwords in ways that anybody can undo.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    if not forms:
        return text
    # The longest first, because one form may contain another.
    pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(pattern, MASK, text, flags=re.IGNORECASE)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    raw = secret.encode("utf-8", "replace")
    encoded = [
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        urllib.parse.quote(secret, safe="", errors="replace"),
        urllib.parse.quote(secret, errors="replace"),
        urllib.parse.quote_plus(secret, errors="replace"),
        raw.hex(),
        bytes(byte ^ _ROAST[at % len(_ROAST)] for at, byte in enumerate(raw)).hex(),
        *_in_base64(raw),
    ]
    yield from (form for form in encoded if len(form) >= _LEAST)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yields how the bytes look inside of a longer base64 text, in which they may begin anywhere.

    The characters at both ends depend on the neighbours, too, so they are left out.
    """
    yield base64.b64encode(raw).decode().rstrip("=")
    for shift in range(3):
        begin = -(-8 * shift // 6)
        end = 8 * (shift + len(raw)) // 6
        yield base64.b64encode(b"\0" * shift + raw).decode()[begin:end]

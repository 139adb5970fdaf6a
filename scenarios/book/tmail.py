"""A stand-in for Ruby's TMail, as far as listing 6.5 uses it, behaving as it was measured.

The body is the raw text behind the first empty line: of a mail in several parts all the parts, boundaries and encodings
too, in whatever charset. A sender that cannot be read is nil.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mail:
    """What TMail::Mail.parse gives, of the attributes that the listing asks for."""

    sender: str | None  # from.first
    subject: str | None
    body: str

    @classmethod
    def parse(cls, text: str) -> Mail:
        """The mail in a raw text."""
        head, _, body = text.partition("\r\n\r\n")
        found = re.search(r"^From:\s*(.*)$", head, re.I | re.M)
        address = re.search(r"[^\s<>\"]+@[^\s<>\"]+", found[1]) if found else None
        subject = re.search(r"^Subject:[ \t]*(.*(?:\r\n[ \t].*)*)$", head, re.I | re.M)
        return cls(
            address[0] if address else None,
            subject[1].strip() if subject else None,
            body.replace("\r\n", "\n"),
        )

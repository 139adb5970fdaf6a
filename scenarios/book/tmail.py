"""A stand-in for Ruby's TMail, as far as listing 6.5 uses it, as it was measured.

Mistakes

10. The body is the raw text after the first empty line: of a mail with several parts all parts,
    with boundaries and encodings, in any charset.

Beyond the chapter's list: a sender that cannot be read is nil.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Mail:
    """The attributes of a parsed mail that the listing uses."""

    sender: str | None  # from.first
    subject: str | None
    body: str

    @classmethod
    def parse(cls, text: str) -> Mail:
        """Parses a raw text."""
        head, _, body = text.partition("\r\n\r\n")
        found = re.search(r"^From:\s*(.*)$", head, re.I | re.M)
        address = re.search(r"[^\s<>\"]+@[^\s<>\"]+", found[1]) if found else None
        subject = re.search(r"^Subject:[ \t]*(.*(?:\r\n[ \t].*)*)$", head, re.I | re.M)
        return cls(
            address[0] if address else None,
            subject[1].strip() if subject else None,
            body.replace("\r\n", "\n"),  # mistake 10
        )

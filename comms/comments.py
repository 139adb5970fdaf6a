"""Comments in the fields of a mail (RFC 5322 §3.2.2).

without_comments("auto-replied (vacation)")     # "auto-replied  "
"""

from __future__ import annotations

import re

DEEPEST = 3  # comments within comments
_COMMENT = re.compile(r"\([^()]*\)")


def without_comments(value: str) -> str:
    """Returns a field's value with a space for each comment. It must have no quoted strings."""
    for _ in range(DEEPEST):
        value = _COMMENT.sub(" ", value)
    return value

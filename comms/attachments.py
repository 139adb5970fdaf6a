"""Files attached to a mail, and names under which they can be stored safely."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from comms import words

NAME = 150  # characters of an attachment's name that are kept,
BYTES = 200  # and bytes in UTF-8: most file systems allow 255, and a number may be added
EXTENSION = 10  # characters that an extension must stay below to survive the cut


@dataclass(frozen=True)
class Attachment:
    """A file in a mail. With a `content_id`, HTML can show it inline as `cid:` plus that id."""

    name: str
    content: bytes
    type: str = "application/octet-stream"
    content_id: str = ""


def safe_name(text: str) -> str:
    """Returns a sender's file name (encoded words allowed) in a form that is safe to create.

    The result contains no directories and no control characters, is not hidden, and is not too
    long. It may be empty.
    """
    name = re.split(r"[/\\]", words.decode(text))[-1].strip(". ")
    name = "".join("_" if c in '<>:"|?*' else c for c in name)
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) >= EXTENSION:
        stem, dot, extension = name, "", ""
    # Keep the extension: it is what opens the file in the right program.
    end = dot + extension
    stem = stem[: NAME - len(end)].encode()[: BYTES - len(end.encode())].decode("utf-8", "ignore")
    return stem + end


def uniquely_named(attachments: list[Attachment]) -> list[Attachment]:
    """Returns the attachments with names that are neither empty nor repeated, whatever the case."""
    import mimetypes

    seen: set[str] = set()
    counts: dict[str, int] = {}  # where to go on counting, so that a thousand equal names are quick
    found = []
    for number, attachment in enumerate(attachments, 1):
        name = attachment.name
        if not name:
            name = f"part-{number}{mimetypes.guess_extension(attachment.type) or '.bin'}"
        stem, dot, extension = name.rpartition(".")
        key = name.casefold()
        count = counts.get(key, 1)
        while name.casefold() in seen:
            count += 1
            name = f"{stem} ({count}){dot}{extension}" if dot else f"{extension} ({count})"
        counts[key] = count
        seen.add(name.casefold())
        found.append(dataclasses.replace(attachment, name=name))
    return found

"""Where in a recording the evidence for a claim is: positions of records and events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from scenarios.errors import PageError
from scenarios.play import Act, Claim


def located(claim: Claim, recording: Sequence[Any], act: Act) -> Claim:
    """Returns the claim with the positions of its evidence.

    Raises PageError if a part of it is not in the recording.
    """
    items: set[int] = set()
    for evidence in claim.shows:
        found = list(_find(evidence, recording))
        if not found:
            raise PageError(
                act.file,
                f"act {act.name}: {claim.text}: not in the recording: {evidence!r}; "
                "write shows=[a mail, message, record or event of this act]",
            )
        items.update(found)
    return replace(claim, items=tuple(sorted(items)), until=len(recording))


def _find(evidence: Any, recording: Sequence[Any]) -> Iterator[int]:
    """Yields where a piece of evidence is."""
    # A command is an event of the host that runs it.
    text = f"runs: {' '.join(evidence)}" if isinstance(evidence, tuple) else evidence
    carries = next((test for mark, test in _CARRIES.items() if hasattr(evidence, mark)), None)
    for position, item in enumerate(recording):
        if hasattr(item, "direction"):
            shown = item is evidence or (carries is not None and carries(item, evidence))
        else:
            shown = item is evidence or item.text == text
        if shown:
            yield position


def _carries_mail(record: Any, mail: Any) -> bool:
    """Whether a mail was sent with this record, or fetched: a report is sent by no client."""
    if mail.queue_id and record.fields.get("queue_id") == mail.queue_id:
        return True
    return record.protocol == "pop3" and record.direction == "S" and mail.raw in record.raw


def _carries_im(record: Any, im: Any) -> bool:
    # What is between the quotation marks of a TOC command is escaped with backslashes.
    text = im.raw.replace(b"\\", b"")
    there = record.protocol == "toc" and record.at == im.at
    return there and text in record.raw.replace(b"\\", b"")


def _carries_stanza(record: Any, stanza: Any) -> bool:
    parts = (stanza.content, (stanza.id or "").encode(), (stanza.type or "").encode())
    return record.verb == stanza.kind and all(part in record.raw for part in parts)


# By the attribute that only they have, because a recording is duck-typed here, too.
_CARRIES = {"queue_id": _carries_mail, "auto": _carries_im, "child_names": _carries_stanza}

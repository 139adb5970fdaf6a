"""Where in a recording the evidence for a claim is: positions of records and events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from scenarios.errors import PageError
from scenarios.play import Act, Claim

Places = dict[tuple[str, object], list[int]]


class Evidence:
    """Finds the evidence for the claims of one act in its recording, which only grows."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self._places: Places = {}
        self._looked_at = 0  # records and events

    def located(self, claim: Claim, recording: Sequence[Any]) -> Claim:
        """Returns the claim with the positions of its evidence.

        Raises PageError if a part of it is not in the recording.
        """
        items: set[int] = set()
        if claim.shows:
            self._look_at_more(recording)
        for evidence in claim.shows:
            found = list(_find(evidence, recording, self._places))
            if not found:
                raise PageError(
                    self._act.file,
                    f"act {self._act.name}: {claim.text}: not in the recording: {evidence!r}; "
                    "write shows=[a mail, message, record or event of this act]",
                )
            items.update(found)
        return replace(claim, items=tuple(sorted(items)), until=len(recording))

    def _look_at_more(self, recording: Sequence[Any]) -> None:
        """Notes where each record and event is: itself, of a protocol, of a mail, or by its text.

        An act may have hundreds of mails and thousands of records: to look through the recording
        for each mail, or again for each claim, would take too long.
        """
        for position in range(self._looked_at, len(recording)):
            item = recording[position]
            keys: list[tuple[str, object]] = [("itself", id(item))]
            if hasattr(item, "direction"):
                keys += [("protocol", item.protocol), ("mail", item.fields.get("queue_id"))]
            else:
                keys.append(("text", item.text))
            for key in keys:
                self._places.setdefault(key, []).append(position)
        self._looked_at = len(recording)


def _find(evidence: Any, recording: Sequence[Any], places: Places) -> Iterable[int]:
    """Returns where a piece of evidence is."""
    for mark, protocols, carries in _CARRIES:
        if hasattr(evidence, mark):
            sent = places.get(("mail", getattr(evidence, "queue_id", "")), [])
            spoken = (n for name in protocols for n in places.get(("protocol", name), []))
            return [*sent, *(n for n in spoken if carries(recording[n], evidence))]
    # A command is an event of the host that runs it.
    text = f"runs: {' '.join(evidence)}" if isinstance(evidence, tuple) else evidence
    key = ("text", text) if isinstance(text, str) else ("itself", id(evidence))
    return places.get(key, [])


def _carries_mail(record: Any, mail: Any) -> bool:
    """Whether a mail was fetched with this record: a report is sent by no client."""
    return bool(record.direction == "S" and mail.raw in record.raw)


def _carries_im(record: Any, im: Any) -> bool:
    # What is between the quotation marks of a TOC command is escaped with backslashes.
    text = im.raw.replace(b"\\", b"")
    return record.at == im.at and text in record.raw.replace(b"\\", b"")


def _carries_line(record: Any, message: Any) -> bool:
    return record.verb == message.verb and message.raw in record.raw


def _carries_stanza(record: Any, stanza: Any) -> bool:
    parts = (stanza.content, (stanza.id or "").encode(), (stanza.type or "").encode())
    return record.verb == stanza.kind and all(part in record.raw for part in parts)


def _carries_request(record: Any, post: Any) -> bool:
    return record.verb == post.method and bool(record.raw.endswith(post.body))


# By the attribute that only they have, because a recording is duck-typed here, too; the protocols
# of the records that may carry them.
_CARRIES = (
    ("queue_id", ("pop3", "imap"), _carries_mail),
    ("auto", ("toc",), _carries_im),
    ("account", ("irc",), _carries_line),
    ("child_names", ("xmpp", "component"), _carries_stanza),
    ("query", ("webhook",), _carries_request),
)

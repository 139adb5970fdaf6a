"""HTTP connections as beats: a request and its answer are one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from scenarios.stage.beats import CLOSING, MESSAGE, Beat, Reader, lines

SHOWN = ("host:", "location:", "retry-after:", "webhook-id:")  # header fields that are shown
_PART = re.compile(
    rb'\r\nContent-Disposition: form-data; name="([^"\r\n]{1,40})"'
    rb'(?:; filename="([^"\r\n]*)")?[^\x00]{0,200}?\r\n\r\n([^\r\n]{0,60})'
)


class Http(Reader):
    """A connection to a web server."""

    def __init__(self, protocol: str, session: str) -> None:
        super().__init__(protocol, session)
        self._request = ""
        self._detail: list[str] = []

    def read(self, record: Any) -> Iterator[Beat]:
        found = lines(record)
        first = re.sub(r" ?HTTP/1\.[01] ?", "", found[0])
        head = found[1 : found.index("") if "" in found else None]
        shown = [line for line in head if line.lower().startswith(SHOWN)]
        if record.direction == "C":
            self._request, self._detail = _asked(first, head), [*shown, *_form(record.raw)]
            return
        status = record.fields.get("status", 0) or int(first[:3] or 0)
        answer = "" if status < 300 else "refused"
        text = f"{self._request or 'sends something else'}: {first}"
        request, self._request = self._request, ""
        # What such a request looks like has been told, or is of no interest beside the trouble.
        detail = tuple(shown) if answer else (*self._detail, *shown)
        yield self.beat(MESSAGE, text, to_client=not request, detail=detail, trouble=answer)

    def happens(self, record: Any) -> Iterator[Beat]:
        if self._request and record.verb in ("closes", "leaves", "resets"):
            text, self._request = f"{self._request}: no answer", ""
            yield self.beat(MESSAGE, text, trouble="lost")
        elif record.verb == "closes":
            yield self.beat(CLOSING, "")  # HTTP ends its connections all the time
        else:
            yield from super().happens(record)


def _asked(first: str, head: list[str]) -> str:
    """Returns a request as one line: what is done, and the address."""
    method, _, target = first.partition(" ")
    hosts = [line[5:].strip() for line in head if line.lower().startswith("host:")]
    verb = {"POST": "posts to", "GET": "fetches"}.get(method, method)
    return f"{verb} {hosts[0] if hosts else ''}{target}"


def _form(raw: bytes) -> Iterator[str]:
    """Yields the fields of a form, each in one line and without the rest of a long one."""
    for name, file, value in _PART.findall(raw):
        text = f"({file.decode('utf-8', 'replace')})" if file else value.decode("utf-8", "replace")
        yield f"  {name.decode('utf-8', 'replace')}: {text}"

"""XEP-0363 (1.2.0): a client asks for a slot, puts a file there by HTTP, and sends its address.

The service is `upload.DOMAIN`, and the files are below /file_share/ on the world's web server
(fakes/xmpp/upload_web.py), which opens for the first slot. They are kept by a random token; their
names are only shown. A slot lasts for five minutes and takes one file. What the server keeps is
limited by `upload_kept` of the policy: the oldest files are dropped first, those that are meant to
last (§5) after all others, and an event says so.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Extension, Information
from fakes.xmpp.forms import Field, build
from fakes.xmpp.markup import element, local_name, namespace
from fakes.xmpp.offline import timestamp
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import StanzaError

if TYPE_CHECKING:
    from fakes.http import Request as HttpRequest
    from fakes.http import Response
    from fakes.xmpp.service import Service

UPLOAD = "urn:xmpp:http:upload:0"
PURPOSE = "urn:xmpp:http:upload:purpose:0"
PURPOSES = ("message", "profile", "ephemeral", "permanent")
LASTING = ("profile", "permanent")
PATH = "/file_share/"
VALID = 300.0  # seconds that a slot may be used (§8)
DAY = 86400.0
OPEN_SLOTS = 100  # of one account at a time
SLOTS = 10_000  # that are remembered, used or not; then the oldest are forgotten
NAME = 255  # bytes of a file name
# A body of the web server has at most as much (ROOM in fakes/webhook.py).
BODY = 1 << 26

# RFC 9110 §8.3.1; of its parameters only that they cannot begin another field
_TYPE = re.compile(r"[!#$%&'*+.^_`|~\w-]++/[!#$%&'*+.^_`|~\w-]++(?: *+;[ -~]*+)?", re.ASCII)
_NO_NAME = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Slot:
    """A place for one file. `type` is "" if the client has not said it; `until` is in seconds."""

    owner: str
    name: str
    size: int
    type: str
    purpose: str
    url: str
    at: float
    until: float | None = None  # when the file expires; None: never
    secret: str = ""  # that the client must repeat; "": none


@dataclass(frozen=True)
class SharedFile:
    """A file that was uploaded. `at` is in seconds of the epoch; `until` is when it expires."""

    owner: str
    name: str
    type: str
    content: bytes
    url: str
    at: float
    purpose: str = "message"
    until: float | None = None

    def __repr__(self) -> str:
        return f"<{self.name!r} of {self.owner}, {self.type}, {len(self.content)} bytes>"


@dataclass
class _Given:
    """The slots that an account was given within a day: when, and for how many bytes."""

    slots: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0


class Upload(Extension):
    """Slots for the accounts of this server, and the files that they have put there."""

    name = "upload"
    section = "XEP-0363"
    subdomain = "upload"
    paths = (PATH,)
    secrets: ClassVar[Mapping[str, str]] = {f"{{{UPLOAD}}}slot": "header"}
    stored: dict[str, SharedFile]  # by token, oldest first

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.slots: dict[str, Slot] = {}  # by token, oldest first
        self._given: dict[str, _Given] = {}  # by account
        self._kept = (0, 0)  # how many files are stored, and their bytes

    def answers(self) -> Answers:
        return {("service", f"{{{UPLOAD}}}request"): self._slot}

    def information(self, to: Jid) -> Information | None:
        if to.local:
            return None
        size = Field("max-file-size", values=(str(self._largest()),))
        features = (UPLOAD, *(f"{PURPOSE}#{one}" for one in PURPOSES))
        form = build(UPLOAD, [size], type="result")
        return Information("store", "file", "HTTP File Upload", features, (form,))

    def serve(self, request: HttpRequest) -> Response | None:
        from fakes.xmpp.upload_web import answer

        return answer(self, request)

    def forget(self, account: Account) -> None:
        gone = [token for token, file in self.stored.items() if file.owner == account.address]
        for token in gone:
            del self.stored[token]
        self._given.pop(account.address, None)

    def _largest(self) -> int:
        policy = self.service.policy
        return min(policy.upload, policy.upload_quota, policy.upload_kept, BODY)

    # ── slots (§4, §6) ───────────────────────────────────────────────────────

    def _slot(self, request: Request) -> Iterable[Element]:
        asked, now = request.payload, self.service.runtime.now()
        sender = jid(request.stanza.sender or "x")
        if request.to.local:
            raise StanzaError("item-not-found")
        if request.stanza.type != "get":
            raise StanzaError("bad-request", "a slot is requested by get")
        if self.service.accounts.find(sender) is None:
            raise StanzaError("forbidden", "only users of this server upload files")
        name, size, type = _file(asked)
        if size > self._largest():
            largest = str(self._largest())
            text = f"File too large. The maximum file size is {largest} bytes"
            limit = element(f"{{{UPLOAD}}}max-file-size", text=largest)
            too_large = element(f"{{{UPLOAD}}}file-too-large", {}, limit)
            raise StanzaError("not-acceptable", text, too_large)
        purpose, until = _purpose(asked, now)
        self._count(sender.bare, size, now)
        token = self.service.runtime.token(32)
        base = self.service.web_url(request.to.domain)
        url = f"{base}{PATH}{token}/{quote(name, safe='')}"
        proven = self.service.policy.upload_authorization
        secret = self.service.runtime.token(32) if proven else ""
        self.slots[token] = Slot(sender.bare, name, size, type, purpose, url, now, until, secret)
        if len(self.slots) > SLOTS:
            del self.slots[next(iter(self.slots))]
        put = element(f"{{{UPLOAD}}}put", {"url": url})
        if secret:
            name = f"{{{UPLOAD}}}header"
            put.append(element(name, {"name": "Authorization"}, text=f"Bearer {secret}"))
        return [element(f"{{{UPLOAD}}}slot", {}, put, element(f"{{{UPLOAD}}}get", {"url": url}))]

    def _count(self, account: str, size: int, now: float) -> None:
        """Counts a slot; raises StanzaError if the account has to wait (§6)."""
        given = self._given.setdefault(account, _Given())
        while given.slots and given.slots[0][0] <= now - DAY:
            given.total -= given.slots.popleft()[1]
        if len(given.slots) >= OPEN_SLOTS and given.slots[-OPEN_SLOTS][0] > now - VALID:
            text = f"an account has {OPEN_SLOTS} slots at a time"
            raise _wait(text, given.slots[-OPEN_SLOTS][0] + VALID)
        quota = self.service.policy.upload_quota
        left = quota - given.total
        if size <= left:
            given.slots.append((now, size))
            given.total += size
            return
        for at, taken in given.slots:
            left += taken
            if size <= left:
                raise _wait(f"Quota reached. You can upload {quota} bytes a day", at + DAY)

    # ── files ────────────────────────────────────────────────────────────────

    def keep(self, token: str, slot: Slot, type: str, content: bytes) -> None:
        """Stores a file in its slot, and drops others if there are too many."""
        del self.slots[token]
        now = self.service.runtime.now()
        count, size = self._kept
        if count != len(self.stored):  # those of another world were taken over
            size = sum(len(file.content) for file in self.stored.values())
        self.stored[token] = SharedFile(
            slot.owner, slot.name, type, content, slot.url, now, slot.purpose, slot.until
        )
        size += len(content)
        limit = self.service.policy.upload_kept
        if size > limit:
            size = self._drop(token, size, limit * 9 // 10)
        self._kept = (len(self.stored), size)

    def _drop(self, newest: str, size: int, limit: int) -> int:
        """Drops files until at most `limit` bytes are kept; returns how many are."""
        order = sorted(self.stored, key=lambda token: self.stored[token].purpose in LASTING)
        dropped = 0
        for token in order:
            if size <= limit or token == newest:
                continue
            size -= len(self.stored.pop(token).content)
            dropped += 1
        text = f"uploads: the {dropped} oldest files were dropped (xmpp.upload_kept)"
        self.service.on_drop(text)
        return size


def _file(asked: Element) -> tuple[str, int, str]:
    """The name, size and type in a request. Raises StanzaError."""
    name, size, type = asked.get("filename", ""), asked.get("size", ""), asked.get("content-type")
    if not name or not re.fullmatch("[0-9]{1,18}", size) or int(size) == 0:
        raise StanzaError("bad-request", "a slot needs a filename, and a size in bytes")
    if _NO_NAME.search(name) or name in (".", "..") or len(name.encode()) > NAME:
        text = f"a file name has no path, no control characters, and {NAME} bytes at most"
        raise StanzaError("not-acceptable", text)
    if type is not None and not is_type(type):
        raise StanzaError("bad-request", "that is not a content type")
    return name, int(size), type or ""


def _purpose(asked: Element, now: float) -> tuple[str, float | None]:
    """What a file is for (§5), and when it expires. Raises StanzaError."""
    for child in asked:
        purpose = local_name(child.tag)
        if namespace(child.tag) != PURPOSE or purpose not in PURPOSES:
            continue
        if purpose != "ephemeral":
            return purpose, None
        until = _moment(child.get("expire-before", ""))
        if until is None or until <= now:
            raise StanzaError("bad-request", "expire-before is a time that is still to come")
        return purpose, until
    return "message", None


def _moment(text: str) -> float | None:
    """Reads a time (XEP-0082); None if it is not one."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _wait(text: str, until: float) -> StanzaError:
    retry = element(f"{{{UPLOAD}}}retry", {"stamp": timestamp(math.ceil(until))})
    return StanzaError("resource-constraint", text, retry)


def is_type(text: str) -> bool:
    """Whether a text can be the value of Content-Type."""
    return len(text) <= NAME and _TYPE.fullmatch(text) is not None

"""Reading a mail from any octets at all. Reading never raises, and says what was odd.

read(octets).subject                            # "Report"
"""

from __future__ import annotations

import email.parser
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message as Parsed
from email.utils import parsedate_to_datetime

from comms import addresses, header, words
from comms.addresses import Address
from comms.attachments import Attachment, safe_name, uniquely_named
from comms.header import MESSAGE_ID
from comms.html_text import html_to_text

_CRLF = email.policy.compat32.clone(linesep="\r\n")


@dataclass(frozen=True)
class Mail:
    """A mail as read. `sender` is set only if there is exactly one From, with exactly one address and no defect."""

    raw: bytes = field(repr=False)
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""  # decoded, one safe line
    text: str = ""  # the plain text, else the HTML as text
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    date: datetime | None = None
    message_id: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(
        default=(), repr=False
    )  # unfolded, still encoded, in order
    defects: tuple[str, ...] = ()

    def get_all(self, name: str) -> list[str]:
        """Every value of a header, unfolded, still encoded."""
        return [value for known, value in self.headers if known.casefold() == name.casefold()]

    def get(self, name: str) -> str:
        """The first value of a header, "" when there is none."""
        return next(iter(self.get_all(name)), "")


def read(raw: bytes) -> Mail:
    """The mail in these octets, whatever they are. Never raises; what was odd stands in `defects`."""
    defects: list[str] = []
    headers = tuple(header.fields(raw))

    def boxes(name: str) -> tuple[Address, ...]:
        found: list[Address] = []
        for known, value in headers:
            if known.casefold() == name:
                try:
                    found += addresses.parse(value)
                except ValueError as error:
                    defects.append(f"{known}: {error}")
        return tuple(found)

    def value(name: str) -> str:
        return next((value for known, value in headers if known.casefold() == name), "")

    for once in ("from", "subject", "message-id", "date"):
        if sum(known.casefold() == once for known, _ in headers) > 1:
            defects.append(f"more than one {once} header (RFC 5322 §3.6)")
    root = _parse(raw, defects)
    text, html, attachments = _parts(root, defects)
    ids = MESSAGE_ID.findall(value("message-id"))
    return Mail(
        raw,
        sender=_sender(headers),
        to=boxes("to"),
        cc=boxes("cc"),
        reply_to=boxes("reply-to"),
        subject=words.decode(value("subject")),
        text=text,
        html=html,
        attachments=tuple(attachments),
        date=_date(value("date")),
        message_id=ids[0] if ids else "",
        in_reply_to=tuple(MESSAGE_ID.findall(value("in-reply-to"))),
        references=tuple(MESSAGE_ID.findall(value("references"))),
        headers=headers,
        defects=tuple(defects),
    )


def _sender(headers: tuple[tuple[str, str], ...]) -> Address | None:
    found = [value for name, value in headers if name.casefold() == "from"]
    try:
        return addresses.parse_one(found[0]) if len(found) == 1 else None
    except ValueError:
        return None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _parse(raw: bytes, defects: list[str]) -> Parsed:
    try:
        return email.parser.BytesParser(policy=email.policy.compat32).parsebytes(raw)
    except (
        Exception
    ) as error:  # the parser is not ours, and what strangers send has broken it before
        defects.append(f"the MIME structure cannot be read: {error}")
        plain = Parsed()
        plain.set_payload(words.decode_bytes(raw))
        return plain


def _parts(root: Parsed, defects: list[str]) -> tuple[str, str | None, list[Attachment]]:
    text: str | None = None
    html: str | None = None
    attachments: list[Attachment] = []
    for part in _leaves(root):
        kind = part.get_content_type()
        content = _content(part)
        name = _file_name(part)
        disposition = str(part.get("content-disposition", "")).strip().lower()
        shown = not name and not disposition.startswith("attachment")
        if shown and kind == "text/plain" and text is None:
            text = _text(part, content)
        elif shown and kind == "text/html" and html is None:
            html = _text(part, content)
        elif part is not root or kind != "text/plain" or name:
            content_id = words.one_line(str(part.get("content-id", ""))).strip("<>")
            attachments.append(Attachment(name, content, kind, content_id))
        defects += [type(defect).__name__ for defect in part.defects]
    if text is None and html is not None:
        text = html_to_text(html)
    return text or "", html, uniquely_named(attachments)


def _leaves(root: Parsed) -> Iterator[Parsed]:
    """Every part that has content of its own; a forwarded message counts as one. No recursion: mails nest without end."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        inner = part.get_payload() if part.is_multipart() else None
        if isinstance(inner, list) and part.get_content_maintype() == "multipart":
            waiting += [one for one in reversed(inner) if isinstance(one, Parsed)]
        else:
            yield part


def _content(part: Parsed) -> bytes:
    try:
        inner = part.get_payload() if part.is_multipart() else None
        if isinstance(inner, list):  # message/rfc822: the message as it came
            return b"".join(one.as_bytes(policy=_CRLF) for one in inner if isinstance(one, Parsed))
        content = part.get_payload(decode=True)
        return content if isinstance(content, bytes) else b""
    except Exception:  # see _parse
        return b""


def _text(part: Parsed, content: bytes) -> str:
    try:
        charset = str(part.get_param("charset", "") or "")
    except Exception:  # see _parse
        charset = ""
    text = words.decode_bytes(content, charset)
    return re.sub(r"\r\n?", "\n", text).replace("\0", "\ufffd")


def _file_name(part: Parsed) -> str:
    try:
        said = part.get_filename("") or ""
    except Exception:  # see _parse
        said = ""
    return safe_name(str(said))

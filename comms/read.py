"""Reading a mail from any bytes at all.

    mail = read(raw)
    mail.sender, mail.subject, mail.text, mail.defects

Reading never raises. What was wrong with the mail is in `defects`.
"""

from __future__ import annotations

import email.parser
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message as Part
from email.utils import parsedate_to_datetime

from comms import addresses, header, words
from comms.addresses import Address
from comms.attachments import Attachment, safe_name, uniquely_named
from comms.header import MESSAGE_ID
from comms.html_text import html_to_text

_CRLF = email.policy.compat32.clone(linesep="\r\n")


@dataclass(frozen=True)
class Mail:
    """A mail as read.

    `sender` is only set if there is exactly one From header with exactly one valid address, so that
    a program may decide by it what the mail may command.
    """

    raw: bytes = field(repr=False)
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""  # decoded, one line that is safe to print
    text: str = ""  # the plain text, or else the HTML as text
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    date: datetime | None = None
    message_id: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # unfolded, not decoded
    defects: tuple[str, ...] = ()

    def get_all(self, name: str) -> list[str]:
        """Returns every value of a header, unfolded but not decoded."""
        return [value for known, value in self.headers if known.casefold() == name.casefold()]

    def get(self, name: str) -> str:
        """Returns the first value of a header, "" if there is none."""
        return next(iter(self.get_all(name)), "")


def read(raw: bytes) -> Mail:
    """Returns the mail in these bytes, whatever they are. Never raises."""
    defects: list[str] = []
    headers = tuple(header.fields(raw))

    def address_list(name: str) -> tuple[Address, ...]:
        found: list[Address] = []
        for known, value in headers:
            if known.casefold() == name:
                try:
                    found += addresses.parse(value)
                except ValueError as error:
                    defects.append(f"{known}: {error}")
        return tuple(found)

    def first(name: str) -> str:
        return next((value for known, value in headers if known.casefold() == name), "")

    for name in ("from", "subject", "message-id", "date"):
        if sum(known.casefold() == name for known, _ in headers) > 1:
            defects.append(f"more than one {name} header (RFC 5322 §3.6)")
    root = _parse(raw, defects)
    text, html, attachments = _contents(root, defects)
    ids = MESSAGE_ID.findall(first("message-id"))
    return Mail(
        raw,
        sender=_sender(headers),
        to=address_list("to"),
        cc=address_list("cc"),
        reply_to=address_list("reply-to"),
        subject=words.decode(first("subject")),
        text=text,
        html=html,
        attachments=tuple(attachments),
        date=_date(first("date")),
        message_id=ids[0] if ids else "",
        in_reply_to=tuple(MESSAGE_ID.findall(first("in-reply-to"))),
        references=tuple(MESSAGE_ID.findall(first("references"))),
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


# ── the MIME structure ───────────────────────────────────────────────────────
#
# The email package parses it. Mails from strangers have made several of its functions raise, and
# with exceptions that are not documented. So each call below is guarded against any Exception.


def _parse(raw: bytes, defects: list[str]) -> Part:
    try:
        return email.parser.BytesParser(policy=email.policy.compat32).parsebytes(raw)
    except Exception as error:
        defects.append(f"the MIME structure cannot be read: {error}")
        plain = Part()
        plain.set_payload(words.decode_bytes(raw))
        return plain


def _contents(root: Part, defects: list[str]) -> tuple[str, str | None, list[Attachment]]:
    """Returns the text, the HTML and the attachments.

    The first text and the first HTML without a file name are what a reader sees. Every other part
    is an attachment.
    """
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


def _leaves(root: Part) -> Iterator[Part]:
    """Yields the parts that have content, in order. A forwarded mail counts as one part.

    Uses a stack instead of recursion, because a mail can be nested more deeply than Python allows.
    """
    waiting = [root]
    while waiting:
        part = waiting.pop()
        inner = part.get_payload() if part.is_multipart() else None
        if isinstance(inner, list) and part.get_content_maintype() == "multipart":
            waiting += [child for child in reversed(inner) if isinstance(child, Part)]
        else:
            yield part


def _content(part: Part) -> bytes:
    try:
        inner = part.get_payload() if part.is_multipart() else None
        if isinstance(inner, list):  # message/rfc822: the mail as it came
            return b"".join(
                child.as_bytes(policy=_CRLF) for child in inner if isinstance(child, Part)
            )
        content = part.get_payload(decode=True)
        return content if isinstance(content, bytes) else b""
    except Exception:
        return b""


def _text(part: Part, content: bytes) -> str:
    try:
        charset = str(part.get_param("charset", "") or "")
    except Exception:
        charset = ""
    text = words.decode_bytes(content, charset)
    return re.sub(r"\r\n?", "\n", text).replace("\0", "\ufffd")


def _file_name(part: Part) -> str:
    try:
        name = part.get_filename("") or ""
    except Exception:
        name = ""
    return safe_name(str(name))

"""Reading a mail from any bytes at all.

    mail = read(raw)
    mail.sender, mail.subject, mail.text, mail.defects

Reading never raises. What was wrong with the mail is in `defects`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from comms import addresses, header, mime, words
from comms.addresses import Address
from comms.attachments import Attachment
from comms.contents import Contents
from comms.header import MESSAGE_ID
from comms.mime import Part

LONGEST_DATE = 200  # characters
LONGEST_FROM = 20_000  # characters; a sender has one address
NOT_STRICT = "from: read leniently"  # the beginning of a defect
AMBIGUOUS = "from: its name shows another address"


@dataclass(frozen=True)
class Mail:
    """A mail as read.

    `sender` is only set if there is exactly one From header with exactly one address. Its display
    name may be in any form, as long as it does not show another address. If the form is not that of
    RFC 5322, `defects` says so (`is_strict`); a program should not obey such a mail.
    """

    raw: bytes = field(repr=False)
    sender: Address | None = None
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""  # decoded, one line that is safe to print
    text: str = ""  # what a reader sees: the plain text, or else the HTML as text
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    date: datetime | None = None
    message_id: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # unfolded, not decoded
    defects: tuple[str, ...] = ()

    @property
    def is_strict(self) -> bool:
        """Whether From is as RFC 5322 wants it, and no field is there twice that must not be.

        Nor may the header be so long that a second field could be in the rest of it.
        """
        wrong = ("more than one", NOT_STRICT, header.TOO_LONG)
        return not any(defect.startswith(wrong) for defect in self.defects)

    def get_all(self, name: str) -> list[str]:
        """Returns every value of a header, unfolded but not decoded."""
        return [value for known, value in self.headers if known.casefold() == name.casefold()]

    def get(self, name: str) -> str:
        """Returns the first value of a header, "" if there is none."""
        return next(iter(self.get_all(name)), "")


def read(raw: bytes) -> Mail:
    """Returns the mail in these bytes, whatever they are. Never raises."""
    defects: list[str] = []
    root = mime.parse(raw, defects)
    leaves = list(root.leaves())
    # Bytes in the header that are not UTF-8 are in the charset of the text, if it says one.
    charset = next((part.charset for part in leaves if part.charset), root.charset)
    headers = tuple((name, header.text_of(name, value, charset)) for name, value in root.fields)

    def address_list(name: str) -> tuple[Address, ...]:
        found: list[Address] = []
        for known, value in headers:
            if known.casefold() == name:
                listed, problems = addresses.parse_list_leniently(value)
                found += listed
                defects.extend(f"{known}: {problem}" for problem in problems)
        return tuple(found)

    def first(name: str) -> str:
        return next((value for known, value in headers if known.casefold() == name), "")

    for name in ("from", "subject", "message-id", "date"):
        if sum(known.casefold() == name for known, _ in headers) > 1:
            defects.append(f"more than one {name} header (RFC 5322 §3.6)")
    contents = Contents(leaves, root, charset)
    ids = MESSAGE_ID.findall(first("message-id"))
    return Mail(
        raw,
        sender=_sender(root, defects),
        to=address_list("to"),
        cc=address_list("cc"),
        reply_to=address_list("reply-to"),
        subject=words.decode(_raw_value(root, "subject"), charset),
        text=contents.text(),
        html=contents.html(),
        attachments=tuple(contents.attachments()),
        date=_date(first("date")),
        message_id=ids[0] if ids else "",
        in_reply_to=tuple(MESSAGE_ID.findall(first("in-reply-to"))),
        references=tuple(MESSAGE_ID.findall(first("references"))),
        headers=headers,
        defects=tuple(defects),
    )


def _raw_value(root: Part, name: str) -> str:
    """Returns a field's first value; bytes that are not UTF-8 are surrogates."""
    values = (value for known, value in root.fields if known.casefold() == name)
    return next(values, b"").decode("utf-8", "surrogateescape")


def with_any_sender(mail: Mail) -> Mail:
    """Returns the mail with its sender even if the display name shows a different address.

    Such a mail is ambiguous, as `defects` says: it should be neither obeyed nor answered.
    """
    root = mime.parse(mail.raw[: header.split(mail.raw)[1]])
    if mail.sender is not None or _count(root, "from") != 1 or len(mail.get("from")) > LONGEST_FROM:
        return mail
    try:
        sender = addresses.parse_leniently(_raw_value(root, "from"), any_name=True)
    except ValueError:
        return mail
    return dataclasses.replace(mail, sender=sender, defects=(*mail.defects, AMBIGUOUS))


def _count(root: Part, name: str) -> int:
    return sum(known.casefold() == name for known, _ in root.fields)


def _sender(root: Part, defects: list[str]) -> Address | None:
    if _count(root, "from") != 1:
        return None
    value = _raw_value(root, "from")
    if len(value) > LONGEST_FROM:
        return None
    try:
        return addresses.parse_one(value)
    except ValueError as error:
        # A program that obeys its mail should not obey this one.
        defects.append(f"{NOT_STRICT}: {words.one_line(str(error))}")
    try:
        return addresses.parse_leniently(value)
    except ValueError:
        return None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text[:LONGEST_DATE])
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None

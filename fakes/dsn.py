"""Delivery status notifications: how a mail server reports to the sender what became of a message.

RFC 3464 defines the format of a report, RFC 3461 who gets one and what it contains, RFC 6533 the
format for addresses and headers beyond ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

from fakes.mail_header import find_empty_line

# The NOTIFY keyword that requests a report of each action (RFC 3461 §5.2).
_REQUESTED_BY = {
    "failed": "FAILURE",
    "delayed": "DELAY",
    "delivered": "SUCCESS",
    "relayed": "SUCCESS",
    "expanded": "SUCCESS",
}
ACTIONS = tuple(_REQUESTED_BY)
_DEFAULT_NOTIFY = "FAILURE,DELAY"  # RFC 3461 §4.1 allows this, or FAILURE alone
_SUCCESS_SUBJECT = "Successful Mail Delivery Report"
_SUBJECTS = {
    "failed": "Undelivered Mail Returned to Sender",
    "delayed": "Delayed Mail (still being retried)",
}
_SENTENCES = {
    "failed": "could not be delivered, and will not be tried again",
    "delayed": "has not been delivered yet; it is being retried",
    "delivered": "has been delivered",
    "relayed": "has been passed on to a server that sends no such notifications",
    "expanded": "has been passed on to the members of a list",
}


class Addressed(Protocol):
    """A recipient as SMTP knows it (fakes.mail.Recipient)."""

    @property
    def address(self) -> str:
        """The forward-path."""

    @property
    def params(self) -> Mapping[str, str | None]:
        """The RCPT parameters."""


@dataclass(slots=True)
class DeliveryStatus:
    """What became of a message for one recipient.

    `action` and `status` are those of RFC 3464 §2.3; `diagnostic` is the SMTP reply that caused it.
    """

    recipient: Addressed
    action: str = "failed"
    status: str = "5.0.0"
    diagnostic: str = ""


def requested(statuses: Iterable[DeliveryStatus]) -> list[DeliveryStatus]:
    """The statuses whose report the sender requested by NOTIFY (RFC 3461 §5.2)."""
    found = []
    for status in statuses:
        notify = status.recipient.params.get("NOTIFY") or _DEFAULT_NOTIFY
        if _REQUESTED_BY[status.action] in notify.upper().split(","):
            found.append(status)
    return found


def build_report(
    raw: bytes,
    sender: str,
    params: Mapping[str, str | None],
    statuses: list[DeliveryStatus],
    host: str,
    arrived: float,
    at: float,
    number: str,
) -> bytes:
    """Returns the report about the message `raw` as bytes. All statuses share one action.

    `params` are the MAIL parameters of the message, `host` is the reporting server. The message has
    `arrived`, and the report is sent `at` a time in seconds since the epoch. `number` makes the
    Message-ID and the boundary unique.

    A report has three parts (RFC 6522 §3): a text for people, the status for programs, and the
    message that it is about, or only its header.
    """
    action = statuses[0].action
    international = "SMTPUTF8" in params  # the report may contain UTF-8 too (RFC 6533)
    boundary = f"=_{number}_dsn"
    header = (
        f"From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n"
        f"To: <{sender}>\r\n"
        f"Subject: {_SUBJECTS.get(action, _SUCCESS_SUBJECT)}\r\n"
        f"Date: {_date(at)}\r\n"
        f"Message-ID: <{number}.dsn@{host}>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
    )
    parts = [
        _text_part(action, statuses, host, international),
        _status_part(params, statuses, host, arrived, international),
        _returned_part(raw, action, params, international),
    ]
    # The line end in front of a boundary belongs to the boundary (RFC 2046 §5.1.1).
    body = b"\r\n".join(f"--{boundary}\r\n".encode() + part for part in parts)
    media_type = f'multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"'
    return header.encode() + _part(media_type, body + f"\r\n--{boundary}--\r\n".encode())


def _date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC))


def _part(media_type: str, content: bytes) -> bytes:
    # RFC 2045 §6.1: what has no such field consists of 7-bit data.
    encoding = "" if content.isascii() else "Content-Transfer-Encoding: 8bit\r\n"
    return f"Content-Type: {media_type}\r\n{encoding}\r\n".encode() + content


def _text_part(
    action: str, statuses: list[DeliveryStatus], host: str, international: bool
) -> bytes:
    lines = "".join(
        f"<{status.recipient.address}>: {_folded(status.diagnostic) or status.status}\r\n"
        for status in statuses
    )
    text = (
        f"This is the mail system at {host}.\r\n\r\n"
        f"Your message {_SENTENCES[action]}:\r\n\r\n{lines}"
    )
    charset = "utf-8" if international or not text.isascii() else "us-ascii"
    return _part(f"text/plain; charset={charset}", text.encode())


def _status_part(
    params: Mapping[str, str | None],
    statuses: list[DeliveryStatus],
    host: str,
    arrived: float,
    international: bool,
) -> bytes:
    """The fields of the message, then a group of fields for each recipient (RFC 3464 §2.1)."""
    envelope_id = params.get("ENVID")
    lines = [f"Reporting-MTA: dns; {host}"]
    if envelope_id:
        lines.append(f"Original-Envelope-Id: {decode_xtext(envelope_id)}")
    lines.append(f"Arrival-Date: {_date(arrived)}")
    for status in statuses:
        lines += ["", *_recipient_fields(status, international)]
    media_type = f"message/{'global-' if international else ''}delivery-status"
    return _part(media_type, "".join(f"{line}\r\n" for line in lines).encode())


def _recipient_fields(status: DeliveryStatus, international: bool) -> list[str]:
    """The fields of one recipient (RFC 3464 §2.3)."""
    lines = []
    recipient = status.recipient
    original = recipient.params.get("ORCPT")
    if original:
        address_type, _, address = original.partition(";")
        lines.append(f"Original-Recipient: {address_type};{decode_xtext(address)}")
    address_type = "utf-8" if international and not recipient.address.isascii() else "rfc822"
    lines.append(f"Final-Recipient: {address_type}; {recipient.address}")
    lines.append(f"Action: {status.action}")
    lines.append(f"Status: {status.status}")
    if status.diagnostic:
        lines.append(f"Diagnostic-Code: smtp; {_folded(status.diagnostic)}")
    return lines


def _folded(reply: str) -> str:
    """Returns a reply of SMTP as part of a field: another line begins with a space."""
    return "\r\n ".join(filter(None, reply.splitlines()))


def _returned_part(
    raw: bytes, action: str, params: Mapping[str, str | None], international: bool
) -> bytes:
    """The whole message if it failed and RET does not say HDRS, else its header (RFC 3461 §4.3)."""
    whole = action == "failed" and (params.get("RET") or "FULL").upper() == "FULL"
    if whole:
        content, media_type = raw, "message/global" if international else "message/rfc822"
    else:
        content = raw[: find_empty_line(raw)[0]].rstrip(b"\r\n") + b"\r\n"
        media_type = "message/global-headers" if international else "text/rfc822-headers"
    return _part(media_type, content)


def decode_xtext(xtext: str) -> str:
    """Decodes xtext (RFC 3461 §4): `+2B` is a plus; in a utf-8 address `\\x{1F600}` is a character.

    Characters that cannot be printed become `?`, because a line break would add fields to a report.
    """
    text = re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), xtext)
    text = re.sub(
        r"\\x\{([0-9A-F]{2,6})\}", lambda match: chr(min(int(match[1], 16), 0x10FFFF)), text
    )
    return "".join(char if char.isprintable() else "?" for char in text)

"""Delivery status notifications, as a real server writes them: what becomes of mail that it took and could not deliver.

RFC 3464 says what a report looks like, RFC 3461 who gets one and with what in it, RFC 6533 what changes beyond ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Protocol

# What a recipient's NOTIFY must hold for each action (RFC 3461 §5.2); without NOTIFY it is as if FAILURE,DELAY stood there.
_ASKED_BY = {"failed": "FAILURE", "delayed": "DELAY", "delivered": "SUCCESS", "relayed": "SUCCESS", "expanded": "SUCCESS"}
_SUBJECTS = {"failed": "Undelivered Mail Returned to Sender", "delayed": "Delayed Mail (still being retried)"}
_WORDS = {
    "failed": "could not be delivered, and will not be tried again",
    "delayed": "has not been delivered yet; it is being retried",
    "delivered": "has been delivered",
    "relayed": "has been passed on to a server that sends no such notifications",
    "expanded": "has been passed on to the members of a list",
}


class Addressed(Protocol):
    """A recipient as SMTP knows it."""

    @property
    def address(self) -> str:
        """The forward-path."""

    @property
    def params(self) -> Mapping[str, str | None]:
        """The RCPT parameters."""


@dataclass(frozen=True)
class Fate:
    """What became of a message for one recipient: an action and a status of RFC 3464 §2.3, and the reply behind it."""

    recipient: Addressed
    action: str = "failed"
    status: str = "5.0.0"
    diagnostic: str = ""


def wanted(fates: Iterable[Fate]) -> list[Fate]:
    """Those that the sender wants to hear of (RFC 3461 §5.2)."""
    found = []
    for fate in fates:
        asked = (fate.recipient.params.get("NOTIFY") or "FAILURE,DELAY").upper().split(",")
        if _ASKED_BY[fate.action] in asked:
            found.append(fate)
    return found


def report(
    raw: bytes, sender: str, params: Mapping[str, str | None], fates: list[Fate], host: str, at: float, number: str
) -> bytes:
    """The notification of these fates, which share one action, of a message that came with these MAIL parameters."""
    action = fates[0].action
    international = "SMTPUTF8" in params
    kind = "global-" if international else ""
    stamp = format_datetime(datetime.fromtimestamp(at, UTC))
    boundary = f"=_{number}_dsn"
    words = "".join(f"<{fate.recipient.address}>: {fate.diagnostic or fate.status}\r\n" for fate in fates)
    whole = action == "failed" and (params.get("RET") or "FULL").upper() == "FULL"  # RFC 3461 §4.3
    returned = raw if whole else raw.partition(b"\r\n\r\n")[0] + b"\r\n"
    returned_as = {
        (False, False): "text/rfc822-headers", (True, False): "message/rfc822",
        (False, True): "message/global-headers", (True, True): "message/global",
    }[whole, international]  # fmt: skip
    head = (
        f"From: Mail Delivery System <MAILER-DAEMON@{host}>\r\n"
        f"To: <{sender}>\r\n"
        f"Subject: {_SUBJECTS.get(action, 'Successful Mail Delivery Report')}\r\n"
        f"Date: {stamp}\r\n"
        f"Message-ID: <{number}.dsn@{host}>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"\r\n'
        "\r\n"
        f"--{boundary}\r\n"
        f"Content-Type: text/plain; charset={'utf-8' if international else 'us-ascii'}\r\n"
        "\r\n"
        f"This is the mail system at {host}.\r\n\r\n"
        f"Your message {_WORDS[action]}:\r\n\r\n{words}\r\n"
        f"--{boundary}\r\n"
        f"Content-Type: message/{kind}delivery-status\r\n"
        "\r\n"
        f"Reporting-MTA: dns; {host}\r\n"
        + (f"Original-Envelope-Id: {decoded(params['ENVID'] or '')}\r\n" if params.get("ENVID") else "")
        + f"Arrival-Date: {stamp}\r\n"
        + "".join(_group(fate, international) for fate in fates)
        + f"\r\n--{boundary}\r\n"
        f"Content-Type: {returned_as}\r\n"
        "\r\n"
    )
    return head.encode() + returned + f"\r\n--{boundary}--\r\n".encode()


def _group(fate: Fate, international: bool) -> str:
    """The fields of one recipient (RFC 3464 §2.3)."""
    lines = ["\r\n"]
    original = fate.recipient.params.get("ORCPT")
    if original:
        kind, _, address = original.partition(";")
        lines.append(f"Original-Recipient: {kind};{decoded(address)}\r\n")
    kind = "rfc822" if fate.recipient.address.isascii() or not international else "utf-8"
    lines.append(f"Final-Recipient: {kind}; {fate.recipient.address}\r\n")
    lines.append(f"Action: {fate.action}\r\nStatus: {fate.status}\r\n")
    if fate.diagnostic:
        lines.append(f"Diagnostic-Code: smtp; {fate.diagnostic}\r\n")
    return "".join(lines)


def decoded(xtext: str) -> str:
    """The text behind xtext (RFC 3461 §4): `+2B` is a plus; and, in a utf-8 address, `\\x{1F600}` a character."""
    text = re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), xtext)
    text = re.sub(r"\\x\{([0-9A-F]{2,6})\}", lambda match: chr(min(int(match[1], 16), 0x10FFFF)), text)
    return "".join(c if c.isprintable() else "?" for c in text)  # a line break in it would add fields to the report

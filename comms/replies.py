"""May a program answer this mail, to which address, and with which headers (RFC 3834)?

    reason = unanswerable(mail, own=["tickets@yourco.test"])      # "" if it may be answered
    answer = reply(mail, reply_address(mail), sender="tickets@yourco.test", text="Thanks!\\n")
    report = bounce(mail)                   # what a delivery report says, None if it is not one

Only the fields that our own server has added are believed: those above the first Received. The
sender of the mail could have written all the others.
"""

from __future__ import annotations

import email.parser
import email.policy
import re
from collections.abc import Iterable
from dataclasses import dataclass

from comms import addresses
from comms.compose import Message
from comms.read import Mail

# Local parts that do not belong to people (RFC 3834 §2 names the first kinds).
_ROBOTS = re.compile(
    r"(?:mailer-daemon|postmaster|majordomo|listserv|(?:no|do-?not)[-_.]?reply|bounces?|root"
    r"|daemon)"
    r"(?:[-+=].*)?"
    r"|owner-.*|.*-(?:request|owner|bounces?|relay)",
    re.I,
)
_BULK = frozenset({"bulk", "list", "junk", "auto_reply"})
_THREAD = 20  # references that an answer repeats (RFC 5322 §3.6.4 would repeat them all)


# ── what our own server has added ────────────────────────────────────────────


def return_path(mail: Mail) -> str | None:
    """Returns the envelope sender: "" for the null sender, None if our server did not add it."""
    for value in _added_by_our_server(mail, "return-path"):
        match = re.fullmatch(r"<?([^<>]*)>?", value.strip())
        return match[1].strip() if match else None
    return None


def delivered_to(mail: Mail) -> tuple[str, ...]:
    """Returns the envelope recipient in the forms in which our server may have added it.

    X-Original-To, which the sender named, comes before Delivered-To, to which it was expanded.
    """
    fields = ("x-original-to", "delivered-to", "envelope-to")
    return tuple(value for name in fields for value in _added_by_our_server(mail, name))


def _added_by_our_server(mail: Mail, name: str) -> list[str]:
    found: list[str] = []
    for known, value in mail.headers:
        if known.casefold() == "received":
            return found
        if known.casefold() == name:
            found.append(value)
    # Without any Received, our server has not seen the mail, and nothing in it is believed.
    return []


# ── may it be answered? ──────────────────────────────────────────────────────


def automatic_reply(mail: Mail) -> str:
    """Returns why this is a program's answer to some other mail; "" if nothing suggests that.

    Such answers are bounces, absence notices and receipts.
    """
    if return_path(mail) == "":
        return "the envelope sender is null"  # RFC 3834 §2, RFC 5321 §4.5.5
    kind = mail.get("content-type").casefold()
    reports = ("multipart/report", "message/delivery-status", "message/disposition-notification")
    if kind.startswith(reports):
        return "it is a report"
    for name in ("x-autoreply", "x-autorespond", "x-failed-recipients"):
        if mail.get_all(name):
            return f"it has {name}"
    keywords = _auto_submitted(mail)
    return "Auto-Submitted: auto-replied" if "auto-replied" in keywords else ""


def automatic(mail: Mail) -> str:
    """Returns why a program must have written this; "" if nothing suggests that.

    RFC 3834 §2, §3.1.8 and §5.
    """
    if reason := automatic_reply(mail):
        return reason
    for keyword in _auto_submitted(mail):
        if keyword != "no":
            return f"Auto-Submitted: {keyword}"
    for value in mail.get_all("precedence"):
        if value.strip().casefold() in _BULK:
            return f"Precedence: {value.strip().casefold()}"
    for name, _ in mail.headers:
        # RFC 2369, RFC 2919, and the header that bulk senders use for complaints.
        if name.casefold().startswith("list-") or name.casefold() == "feedback-id":
            return f"it was sent to many ({name})"
    if mail.sender is not None and _ROBOTS.fullmatch(mail.sender.address.rpartition("@")[0]):
        return f"{mail.sender.address} is not the address of a person"
    return ""


def _auto_submitted(mail: Mail) -> list[str]:
    """Returns the keywords of Auto-Submitted without comments and parameters (RFC 3834 §5)."""
    values = mail.get_all("auto-submitted")
    return [re.split(r"[;(\s]", value.strip(), maxsplit=1)[0].casefold() for value in values]


def unanswerable(mail: Mail, own: Iterable[str] = ()) -> str:
    """Returns why a program must not answer this mail; "" if it may. `own` is our addresses.

    A program that answers itself, or another program, may never stop.
    """
    ours = {address.casefold() for address in own}
    if mail.sender is None:
        return "it does not have exactly one From with exactly one address"
    senders = (
        mail.sender.key,
        (return_path(mail) or "").casefold(),
        reply_address(mail).casefold(),
    )
    if any(sender in ours for sender in senders):
        return "it is our own"
    return automatic(mail)


# ── answering and forwarding ─────────────────────────────────────────────────


def reply_address(mail: Mail) -> str:
    """Returns the address to answer to: Reply-To, or else From; "" if there is neither.

    RFC 3834 §4: a service answers to Reply-To. But if that contains several addresses, the answer
    goes to From, so that one request cannot send mail to many.
    """
    if len(mail.get_all("reply-to")) == 1 and len(mail.reply_to) == 1:
        return mail.reply_to[0].address
    return mail.sender.address if mail.sender is not None else ""


def reply(mail: Mail, to: str, sender: str, text: str, subject: str = "") -> Message:
    """Returns a program's answer to a mail, in the same thread and marked as automatic.

    It does not quote the mail (RFC 3834 §3).
    """
    headers = [("Auto-Submitted", "auto-replied")]  # RFC 3834 §3.1.7
    if mail.message_id:
        thread = (*(mail.references or mail.in_reply_to[:1]), mail.message_id)
        headers += [
            ("In-Reply-To", mail.message_id),
            ("References", " ".join(dict.fromkeys(thread[-_THREAD:]))),
        ]
    return Message(
        sender=sender,
        to=[to],
        subject=subject or f"Re: {base_subject(mail.subject)}",
        text=text,
        headers=headers,
    )


def forward(mail: Mail, sender: str, to: list[str], text: str = "") -> Message:
    """Returns a message with the whole mail attached, unchanged (RFC 2046 §5.2.1)."""
    message = Message(sender, to, f"Fwd: {mail.subject}", text)
    message.attach("forwarded.eml", mail.raw, "message/rfc822")
    return message


def base_subject(subject: str) -> str:
    """Returns the subject without `Re:`, in the forms that several languages use."""
    prefix = r"^(?:\s*(?:re|aw|sv|antw|ref)(?:\[\d+\])?\s*:)+\s*"
    return re.sub(prefix, "", subject, flags=re.I).strip()


# ── delivery reports ─────────────────────────────────────────────────────────


@dataclass(frozen=True)
class RecipientStatus:
    """What a delivery report says about one recipient (RFC 3464 §2.3).

    The action decides what happened, even if the status contradicts it.
    """

    address: str
    action: str  # failed, delayed, delivered, relayed, expanded
    status: str = ""  # as in RFC 3463: 5.1.1
    diagnostic: str = ""


@dataclass(frozen=True)
class Bounce:
    """A delivery report. `message_id` is that of the mail it is about, "" if it does not say."""

    recipients: tuple[RecipientStatus, ...]
    message_id: str = ""

    @property
    def failed(self) -> tuple[str, ...]:
        """The addresses that the mail will not reach. A delay is not a failure."""
        return tuple(item.address for item in self.recipients if item.action == "failed")


def bounce(mail: Mail) -> Bounce | None:
    """Returns what a delivery report says; None if this is not one.

    Anybody can write such a report. A program should check that it has sent the mail with that
    Message-ID.
    """
    if not mail.get("content-type").casefold().startswith("multipart/report"):
        return _older_bounce(mail)
    recipients: list[RecipientStatus] = []
    original = ""
    for attachment in mail.attachments:
        if attachment.type in ("message/delivery-status", "message/global-delivery-status"):
            recipients += _recipients(attachment.content)
        elif attachment.type in (
            "message/rfc822",
            "text/rfc822-headers",
            "message/global",
            "message/global-headers",
        ):
            original = original or _message_id(attachment.content)
    return Bounce(tuple(recipients), original) if recipients else None


def _recipients(content: bytes) -> list[RecipientStatus]:
    """Parses the groups of fields in a delivery status (RFC 3464 §2.1).

    The first group is about the whole mail and has no action. Each other one is about a recipient.
    """
    found = []
    for group in re.split(rb"(?:\r?\n){2,}", content.strip()):
        fields = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(group)
        recipient = str(fields.get("final-recipient") or fields.get("original-recipient") or "")
        action = str(fields.get("action", "")).strip().casefold()
        if action:
            status = RecipientStatus(
                recipient.partition(";")[2].strip().strip("<>"),
                action,
                str(fields.get("status", "")).split(" ")[0].strip(),
                " ".join(str(fields.get("diagnostic-code", "")).split()),
            )
            found.append(status)
    return found


def _message_id(content: bytes) -> str:
    match = re.search(rb"^message-id:\s*(<[^<>\s]+@[^<>\s]+>)", content, re.I | re.M)
    return match[1].decode("ascii", "replace") if match else ""


def _older_bounce(mail: Mail) -> Bounce | None:
    """Parses reports that are older than RFC 3464.

    Exim names the recipients in a header, qmail in its text. Both quote the mail.
    """
    listed = (value.replace(",", " ").split() for value in mail.get_all("x-failed-recipients"))
    failed = [address for values in listed for address in values]
    if not failed and return_path(mail) == "" and mail.text.startswith("Hi. This is the"):
        failed = re.findall(r"^<([^<>\s]+@[^<>\s]+)>:$", mail.text, re.M)
    if not failed:
        return None
    valid = [address for address in failed if addresses.is_address(address)]
    statuses = tuple(RecipientStatus(address, "failed") for address in valid)
    return Bounce(statuses, _message_id(mail.raw.partition(b"\r\n\r\n")[2]))

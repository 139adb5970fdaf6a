"""May this mail be answered, to whom, and with which headers? RFC 3834, and the reports of mail that did not arrive.

    reason = unanswerable(mail, own=["tickets@yourco.test"])    # "" when it may be
    answer = reply(mail, to=reply_address(mail), sender="tickets@yourco.test", text="Thanks!\\n")
    report = bounce(mail)                                       # what a delivery report says, None when it is none

What the server itself put on top of a mail (everything above the first Received) is believed; the rest is what anybody
may have written.
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

# Who never is a person (RFC 3834 §2 names the first kinds).
_ROBOTS = re.compile(
    r"(?:mailer-daemon|postmaster|majordomo|listserv|(?:no|do-?not)[-_.]?reply|bounces?|root|daemon)(?:[-+=].*)?"
    r"|owner-.*|.*-(?:request|owner|bounces?|relay)",
    re.I,
)
_BULK = frozenset({"bulk", "list", "junk", "auto_reply"})


def return_path(mail: Mail) -> str | None:
    """The envelope sender as the server wrote it on top, "" for the null one, None when it wrote none."""
    for value in _on_top(mail, "return-path"):
        match = re.fullmatch(r"<?([^<>]*)>?", value.strip())
        return match[1].strip() if match else None
    return None


def delivered_to(mail: Mail) -> tuple[str, ...]:
    """The envelope recipient as the server wrote it on top: X-Original-To (what the sender said) before Delivered-To."""
    return (
        *_on_top(mail, "x-original-to"),
        *_on_top(mail, "delivered-to"),
        *_on_top(mail, "envelope-to"),
    )


def _on_top(mail: Mail, name: str) -> list[str]:
    found: list[str] = []
    for known, value in mail.headers:
        if known.casefold() == "received":
            return found
        if known.casefold() == name:
            found.append(value)
    return []  # no Received at all: no server of ours has seen it, and none of it is to be believed


def automatic_reply(mail: Mail) -> str:
    """Why this is a program's answer to some mail (a bounce, an absence notice, a receipt), "" when nothing says so."""
    if return_path(mail) == "":
        return "the envelope sender is null"  # RFC 3834 §2, RFC 5321 §4.5.5
    kind = mail.get("content-type").casefold()
    if kind.startswith(
        ("multipart/report", "message/delivery-status", "message/disposition-notification")
    ):
        return "it is a report"
    for name in ("x-autoreply", "x-autorespond", "x-failed-recipients"):
        if mail.get_all(name):
            return f"it has {name}"
    keywords = _auto_submitted(mail)
    return "Auto-Submitted: auto-replied" if "auto-replied" in keywords else ""


def automatic(mail: Mail) -> str:
    """Why a program must have written this, "" when nothing says so (RFC 3834 §2, §3.1.8, §5)."""
    why = automatic_reply(mail)
    if why:
        return why
    for keyword in _auto_submitted(mail):
        if keyword != "no":
            return f"Auto-Submitted: {keyword}"
    for value in mail.get_all("precedence"):
        if value.strip().casefold() in _BULK:
            return f"Precedence: {value.strip().casefold()}"
    for name, _ in mail.headers:
        if (
            name.casefold().startswith("list-") or name.casefold() == "feedback-id"
        ):  # RFC 2369, RFC 2919
            return f"it was sent to many ({name})"
    if mail.sender is not None and _ROBOTS.fullmatch(mail.sender.address.rpartition("@")[0]):
        return f"{mail.sender.address} is no person"
    return ""


def _auto_submitted(mail: Mail) -> list[str]:
    """The keywords, without comments and parameters (RFC 3834 §5)."""
    values = mail.get_all("auto-submitted")
    return [re.split(r"[;(\s]", value.strip(), maxsplit=1)[0].casefold() for value in values]


def unanswerable(mail: Mail, own: Iterable[str] = ()) -> str:
    """Why this mail must not be answered by a program, "" when it may be. `own`: our addresses."""
    ours = {address.casefold() for address in own}
    if mail.sender is None:
        return "it does not say who it is from: exactly one From with exactly one address"
    if (
        mail.sender.key in ours
        or (return_path(mail) or "").casefold() in ours
        or reply_address(mail).casefold() in ours
    ):
        return "it is our own"
    return automatic(mail)


def reply_address(mail: Mail) -> str:
    """The one address for an answer: Reply-To when that is one address, else From; "" when there is neither.

    A service's answers go where the request asks for (RFC 3834 §4); nothing goes to several.
    """
    if len(mail.get_all("reply-to")) == 1 and len(mail.reply_to) == 1:
        return mail.reply_to[0].address
    return mail.sender.address if mail.sender is not None else ""


def reply(mail: Mail, to: str, sender: str, text: str, subject: str = "") -> Message:
    """An answer that a program gives: threaded, marked as automatic, without a word of what it answers (RFC 3834 §3)."""
    headers = [("Auto-Submitted", "auto-replied")]  # RFC 3834 §3.1.7
    if mail.message_id:
        thread = (*(mail.references or mail.in_reply_to[:1]), mail.message_id)
        headers += [
            ("In-Reply-To", mail.message_id),
            ("References", " ".join(dict.fromkeys(thread[-20:]))),  # RFC 5322 §3.6.4, within reason
        ]
    return Message(
        sender=sender,
        to=[to],
        subject=subject or f"Re: {base_subject(mail.subject)}",
        text=text,
        headers=headers,
    )


def forward(mail: Mail, sender: str, to: list[str], text: str = "") -> Message:
    """A mail handed on whole, as message/rfc822 (RFC 2046 §5.2.1): nothing of it is lost or rewritten."""
    message = Message(sender, to, f"Fwd: {mail.subject}", text)
    message.attach("forwarded.eml", mail.raw, "message/rfc822")
    return message


def base_subject(subject: str) -> str:
    """The subject without any Re: before it."""
    return re.sub(
        r"^(?:\s*(?:re|aw|sv|antw|ref)(?:\[\d+\])?\s*:)+\s*", "", subject, flags=re.I
    ).strip()


# ── reports ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class RecipientStatus:
    """One recipient's part of a delivery report (RFC 3464 §2.3): the action decides, whatever the status says."""

    address: str
    action: str  # failed, delayed, delivered, relayed, expanded
    status: str = ""  # 5.1.1
    diagnostic: str = ""


@dataclass(frozen=True)
class Bounce:
    """What a delivery report says. `message_id` is that of the mail it is about, "" when it does not tell."""

    recipients: tuple[RecipientStatus, ...]
    message_id: str = ""

    @property
    def failed(self) -> tuple[str, ...]:
        """The addresses that the mail will not reach. A delay is no failure."""
        return tuple(fate.address for fate in self.recipients if fate.action == "failed")


def bounce(mail: Mail) -> Bounce | None:
    """What this mail says about one of ours, None when it is no delivery report. It may be forged: check the Message-ID."""
    if not mail.get("content-type").casefold().startswith("multipart/report"):
        return _bounce_in_words(mail)
    recipients: list[RecipientStatus] = []
    original = ""
    for attached in mail.attachments:
        if attached.type in ("message/delivery-status", "message/global-delivery-status"):
            recipients += _recipients(attached.content)
        elif attached.type in (
            "message/rfc822",
            "text/rfc822-headers",
            "message/global",
            "message/global-headers",
        ):
            original = original or _message_id(attached.content)
    return Bounce(tuple(recipients), original) if recipients else None


def _recipients(content: bytes) -> list[RecipientStatus]:
    """The groups of fields behind the first, one a recipient (RFC 3464 §2.1)."""
    found = []
    for group in re.split(rb"(?:\r?\n){2,}", content.strip()):
        fields = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(group)
        recipient = str(fields.get("final-recipient") or fields.get("original-recipient") or "")
        action = str(fields.get("action", "")).strip().casefold()
        if action:
            found.append(
                RecipientStatus(
                    recipient.partition(";")[2].strip().strip("<>"),
                    action,
                    str(fields.get("status", "")).split(" ")[0].strip(),
                    " ".join(str(fields.get("diagnostic-code", "")).split()),
                )
            )
    return found


def _message_id(content: bytes) -> str:
    match = re.search(rb"^message-id:\s*(<[^<>\s]+@[^<>\s]+>)", content, re.I | re.M)
    return match[1].decode("ascii", "replace") if match else ""


def _bounce_in_words(mail: Mail) -> Bounce | None:
    """The older kinds: Exim names the recipients in a header, qmail in its text; both quote the mail."""
    failed = [
        one
        for value in mail.get_all("x-failed-recipients")
        for one in value.replace(",", " ").split()
    ]
    if not failed and return_path(mail) == "" and mail.text.startswith("Hi. This is the"):
        failed = re.findall(r"^<([^<>\s]+@[^<>\s]+)>:$", mail.text, re.M)
    if not failed:
        return None
    ours = [address for address in failed if addresses.is_address(address)]
    return Bounce(
        tuple(RecipientStatus(address, "failed") for address in ours),
        _message_id(mail.raw.partition(b"\r\n\r\n")[2]),
    )

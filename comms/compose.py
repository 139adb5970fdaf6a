"""Composing a mail, attribute by attribute.

    mail = Message(sender="Jeremy <jeremy@yourco.test>", to=["ops@yourco.test"])
    mail.subject, mail.text = "Report", "All is well.\\n"
    mail.attach("report.csv", data)
    raw = mail.stamped(clock, host).to_bytes()

Whatever could break the mail, or add a header to it, raises a ValueError that names the attribute.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.generator import BytesGenerator
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache, lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from comms import addresses, header
from comms.addresses import Address
from comms.attachments import Attachment
from comms.clock import Clock
from comms.header import check_line
from comms.host import Host

if TYPE_CHECKING:
    from email.policy import EmailPolicy

_HAVE_AN_ATTRIBUTE = frozenset(
    "from to cc bcc reply-to subject date message-id mime-version content-type "
    "content-transfer-encoding content-disposition content-id".split()
)


@cache
def _body_policy() -> EmailPolicy[EmailMessage]:
    """How the email package generates bodies; the headers are ours (comms.header).

    Seven-bit bodies pass through any server.
    """
    import email.policy  # takes longer than all else here, and only a mail that is sent needs it
    from email.headerregistry import HeaderRegistry

    class Remembering(HeaderRegistry):
        """Remembers headers. Parsing them again at each look takes three quarters of the time."""

        __getitem__ = lru_cache(256)(HeaderRegistry.__getitem__)
        __call__ = lru_cache(256)(HeaderRegistry.__call__)

    return email.policy.SMTP.clone(
        cte_type="7bit", max_line_length=header.LONGEST_LINE, header_factory=Remembering()
    )


@dataclass
class Message:
    """A mail to be sent.

    Addresses are text like `Jeremy <jeremy@yourco.test>`. Those in `bcc` are in the envelope only.
    `date` is in seconds since the epoch. Lines in `text` and `html` end in \\n.
    """

    sender: str = ""
    to: list[str] = field(default_factory=list)
    subject: str = ""
    text: str | None = None
    html: str | None = None
    cc: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    reply_to: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)  # those without an attribute
    date: float | None = None
    message_id: str = ""

    # ── attachments and additional headers ───────────────────────────────────

    def attach(self, name: str, content: bytes, type: str = "", content_id: str = "") -> None:
        """Adds a file. Without a `type`, it is guessed from the name."""
        import mimetypes

        guessed = type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.attachments.append(Attachment(name, content, guessed, content_id))

    def add_header(self, name: str, value: str) -> None:
        """Adds a header that has no attribute. Raises ValueError if it has one, or is invalid."""
        _check_header(name, value)
        self.headers.append((name, value))

    def set_header(self, name: str, value: str) -> None:
        """Replaces all added headers of that name by one. Raises ValueError as `add_header`."""
        _check_header(name, value)
        self.remove_header(name)
        self.headers.append((name, value))

    def get_header(self, name: str) -> list[str]:
        """Returns the values of the added headers of that name."""
        return [value for known, value in self.headers if known.casefold() == name.casefold()]

    def remove_header(self, name: str) -> None:
        """Removes the added headers of that name, if there are any."""
        folded = name.casefold()
        self.headers = [
            (known, value) for known, value in self.headers if known.casefold() != folded
        ]

    # ── the finished mail ────────────────────────────────────────────────────

    def stamped(self, clock: Clock, host: Host) -> Message:
        """Returns a copy with a Date and a Message-ID, if it had none."""
        domain = host.name if re.fullmatch(r"[A-Za-z0-9.-]+", host.name) else "localhost"
        return dataclasses.replace(
            self,
            date=clock.time() if self.date is None else self.date,
            message_id=self.message_id or f"<{host.token(20)}@{domain}>",
        )

    def envelope(self) -> tuple[str, list[str]]:
        """Returns the bare addresses that SMTP needs: the sender, and each recipient once.

        Recipients are those in `to`, `cc` and `bcc`. Raises ValueError.
        """
        recipients = [
            address.address
            for attribute in ("to", "cc", "bcc")
            for address in _addresses(attribute, getattr(self, attribute))
        ]
        sender = _addresses("sender", [self.sender])[0]
        return sender.address, list(dict.fromkeys(recipients))

    def to_bytes(self) -> bytes:
        """Returns the mail as in RFC 5322, with CRLF. Raises ValueError.

        It consists of seven-bit characters, except for addresses that are not ASCII.
        """
        if not (self.to or self.cc or self.bcc):
            raise ValueError("to: no recipients; give at least one address in to, cc or bcc")
        lines: list[str] = []
        fields = (("From", "sender"), ("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to"))
        for name, attribute in fields:
            value = getattr(self, attribute)
            found = _addresses(attribute, [value] if isinstance(value, str) else value)
            if found:
                lines.append(header.address_field(name, found))
        check_line("subject", self.subject)
        if self.subject:
            lines.append(header.text_field("Subject", self.subject))
        if self.date is not None:
            lines.append(f"Date: {_date(self.date)}")
        if self.message_id:
            if not header.MESSAGE_ID.fullmatch(self.message_id):
                raise ValueError(
                    f"message_id: {self.message_id!r} is not a Message-ID; write <unique@host>"
                )
            lines.append(f"Message-ID: {self.message_id}")
        for name, value in self.headers:
            _check_header(name, value)
            lines.append(header.text_field(name, value))
        head = "".join(line + "\r\n" for line in lines).encode()
        return head + _generated(self._body(hashlib.sha256(head)))

    def _body(self, seed: hashlib._Hash) -> EmailMessage:
        """Returns the MIME structure.

        Files that the HTML shows inline are related to the HTML. The others are attached to the
        whole. The boundaries are made from `seed`.
        """
        for attachment in self.attachments:
            check_line("attachments", attachment.name)
            check_line("attachments", attachment.type + attachment.content_id)
        body = EmailMessage(policy=_body_policy())
        if self.text is not None or self.html is None:
            body.set_content(_normalized(self.text or ""))
        if self.html is not None:
            if self.text is None:
                body.set_content(_normalized(self.html), subtype="html")
            else:
                body.add_alternative(_normalized(self.html), subtype="html")
        # Inline files first: once something is attached, the HTML is no longer the last part.
        for attachment in self.attachments:
            if self._is_inline(attachment):
                html = body if self.text is None else list(body.iter_parts())[-1]
                assert isinstance(html, EmailMessage)
                content, how = _file(attachment)
                cid = f"<{attachment.content_id}>"
                html.add_related(content, cid=cid, disposition="inline", **how)
        for attachment in self.attachments:
            if not self._is_inline(attachment):
                content, how = _file(attachment)
                body.add_attachment(content, **how)
        for number, part in enumerate(body.walk()):
            del part["MIME-Version"]
            if part.is_multipart():
                # Not random: the same message always becomes the same bytes.
                part.set_boundary(f"=_{seed.hexdigest()[:24]}_{number}")
        body["MIME-Version"] = "1.0"
        return body

    def _is_inline(self, attachment: Attachment) -> bool:
        return bool(attachment.content_id) and self.html is not None


def _date(seconds: float) -> str:
    try:
        return format_datetime(datetime.fromtimestamp(int(seconds), UTC))
    except (ValueError, OverflowError, OSError):  # not a number, or beyond the year 9999
        problem = f"date: {seconds!r} is not a time that a header can show"
        raise ValueError(f"{problem}; write seconds since the epoch") from None


def _file(attachment: Attachment) -> tuple[bytes, dict[str, Any]]:
    """Returns the content of a file, and how the email package is to attach it.

    RFC 2046 §5.2.1 forbids base64 for a mail in a mail, so a mail is attached as it is, with CRLF.
    One that not every server would pass on is a file of no special type, and so is what else must
    not be encoded (RFC 2045 §6.4).
    """
    content, encoding = attachment.content, "base64"
    maintype, _, subtype = attachment.type.partition("/")
    if attachment.type.lower() == "message/rfc822" and (lines := _seven_bit_lines(content)):
        content, encoding = b"\r\n".join(lines), "7bit"
    elif maintype.lower() in ("message", "multipart"):
        maintype, subtype = "application", "octet-stream"
    name = attachment.name.encode("utf-8", "replace").decode()
    return content, {"maintype": maintype, "subtype": subtype, "cte": encoding, "filename": name}


def _seven_bit_lines(content: bytes) -> list[bytes]:
    """Returns the lines of seven-bit data (RFC 2045 §2.7); of anything else, none."""
    text = content.replace(b"\r\n", b"\n")
    lines = text.split(b"\n")
    is_data = text.isascii() and b"\r" not in text and b"\0" not in text
    return lines if is_data and max(map(len, lines)) <= header.LONGEST_LINE else []


def _generated(body: EmailMessage) -> bytes:
    out = BytesIO()
    BytesGenerator(out, mangle_from_=False, policy=_body_policy()).flatten(body)
    return out.getvalue()


def _normalized(text: str) -> str:
    """Ends each line, the last one included, in \\n.

    Lone surrogates become `?`, and NUL, which servers refuse or remove, becomes U+FFFD.
    """
    text = re.sub(r"\r\n?", "\n", text.replace("\0", "\ufffd"))
    text = text.encode("utf-8", "replace").decode()
    return text if text.endswith("\n") or not text else text + "\n"


def _addresses(attribute: str, texts: Iterable[str]) -> list[Address]:
    """Parses the addresses of an attribute. Raises ValueError."""
    found = []
    for text in texts:
        check_line(attribute, text)
        try:
            address = _parsed(text)
        except ValueError:
            raise ValueError(
                f"{attribute}: {text!r} is not one address; write one like Ann <ann@example.org>"
            ) from None
        found.append(Address(address.name, _with_ascii_domain(attribute, address.address)))
    return found


@lru_cache(maxsize=100)
def _parsed(text: str) -> Address:
    """Remembers the last addresses: a sender is that of every mail, and each is read repeatedly."""
    return addresses.parse_one(text)


def _with_ascii_domain(attribute: str, address: str) -> str:
    """Encodes the domain of an address by IDNA, which servers without SMTPUTF8 need."""
    local, _, domain = address.rpartition("@")
    try:
        if len(domain) > addresses.LONGEST_DOMAIN:
            raise UnicodeError("the domain is too long")
        return f"{local}@{addresses.ascii_domain(domain)}"
    except UnicodeError:
        raise ValueError(
            f"{attribute}: the domain of {address!r} cannot be encoded in ASCII (IDNA); "
            "write its ASCII form, which begins with xn--"
        ) from None


def _check_header(name: str, value: str) -> None:
    if not header.NAME.fullmatch(name):
        raise ValueError(f"headers: {name!r} is not a header name (RFC 5322 §3.6.8); write X-Name")
    if name.casefold() in _HAVE_AN_ATTRIBUTE:
        raise ValueError(f"headers: {name} has an attribute of the message; set that instead")
    check_line(name, value)

"""A message and its envelope, as plain values. The servers store them and a test reads them.

mail = world.mail.wait_for()
mail.subject, mail.text                # decoded
mail.links(), mail.codes()             # what a sign-up mail carries
mail.envelope.sender, mail.envelope.to
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from fnmatch import fnmatchcase
from functools import cached_property
from html import unescape

_LINK = re.compile(r"https?://[^\s<>\"']+")
_CODE = re.compile(r"(?<![\w.])\d{4,8}(?!\w|\.\w)")  # not part of a word, nor of 10.1234


@dataclass(frozen=True)
class Recipient:
    """A forward-path as the client wrote it, with its RCPT parameters."""

    address: str
    params: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Envelope:
    """What the SMTP client sent about a message.

    Only the envelope names all recipients (RFC 5321 §2.3.1). The header of the message may name
    others, and leaves out the recipients of blind copies.
    """

    sender: str
    recipients: tuple[Recipient, ...]
    params: Mapping[str, str | None] = field(default_factory=dict)  # of the MAIL command
    helo: str = ""
    peer: str = "127.0.0.1"
    protocol: str = "ESMTP"  # the WITH of the Received line: ESMTPS, ESMTPA, ESMTPSA …
    login: str = ""

    @property
    def to(self) -> list[str]:
        """The recipients' addresses."""
        return [recipient.address for recipient in self.recipients]

    @property
    def tls(self) -> bool:
        """Whether the message was sent inside TLS."""
        return self.protocol.rstrip("A").endswith("S")


class Mail:
    """A message and its envelope. `raw` holds the bytes as sent, without dot-stuffing."""

    def __init__(self, raw: bytes, envelope: Envelope, at: float = 0.0, queue_id: str = "") -> None:
        self.raw = raw
        self.envelope = envelope
        self.at = at
        self.queue_id = queue_id

    def __repr__(self) -> str:
        sender, to = self.envelope.sender or "<>", ", ".join(self.envelope.to)
        return f"<Mail {sender} → {to}: {self.subject!r}>"

    @cached_property
    def message(self) -> EmailMessage:
        """The parsed message."""
        parsed = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def subject(self) -> str:
        """The decoded subject, "" if there is none."""
        return self._header("subject")

    @property
    def sender(self) -> str:
        """The decoded From header. The sender of the envelope is `envelope.sender`."""
        return self._header("from")

    @property
    def text(self) -> str:
        """The plain text, else the HTML source, else "". Lines end in \\n."""
        part = self.message.get_body(("plain", "html"))
        if part is None:
            return ""
        try:
            content = part.get_content()
        except (LookupError, ValueError):  # an unknown charset, or text that is not in it
            payload = part.get_payload(decode=True)
            return payload.decode("latin-1") if isinstance(payload, bytes) else ""
        return content.replace("\r\n", "\n") if isinstance(content, str) else ""

    def links(self) -> list[str]:
        """Every http and https address in the text and HTML parts, in order, each once."""
        return list(dict.fromkeys(unescape(link) for link in _LINK.findall(self._all_text())))

    def codes(self) -> list[str]:
        """Every separate run of four to eight digits in the text, such as a confirmation code."""
        return _CODE.findall(self.text)

    def attachment(self, pattern: str = "*") -> bytes:
        """The content of the one attachment whose name matches the glob pattern.

        Raises AssertionError if none or several match, and names all attachments.
        """
        __tracebackhide__ = True
        parts = {part.get_filename() or "": part for part in self.message.walk()}
        names = [name for name in parts if name]
        found = [name for name in names if fnmatchcase(name, pattern)]
        if len(found) != 1:
            raise AssertionError(
                f"expected one attachment like {pattern!r}, but {len(found)} match; "
                f"the attachments are: {', '.join(names) or '(none)'}"
            )
        payload = parts[found[0]].get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""

    def _header(self, name: str) -> str:
        # Any bytes may arrive by mail, and the email package raises errors of many kinds for some
        # of them. A test should see such a mail anyway, so its lines are searched instead.
        try:
            return str(self.message[name] or "")
        except Exception:
            match = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", self.raw)
            return match[1].decode("latin-1") if match else ""

    def _all_text(self) -> str:
        texts = []
        for part in self.message.walk():
            if part.get_content_maintype() == "text":
                payload = part.get_payload(decode=True)
                texts.append(
                    payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
                )
        return "\n".join(texts)

"""A stand-in for Ruby's MailFactory, as far as the listings use it.

Mistakes

1. Several recipients are returned as one text, separated by commas.

Beyond the chapter's list: no value is checked or encoded. Text beyond ASCII is copied as it is, and
a line break in a value adds a header.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from comms.clock import Clock
from comms.host import Host


class MailFactory:
    """A message that is built by setting attributes. `to` may be a list."""

    def __init__(self, clock: Clock, host: Host) -> None:
        self._clock, self._host = clock, host
        self.subject = self.text = self.sender = self.replyto = ""
        self.to: str | list[str] = ""

    @property
    def recipients(self) -> str:
        """What `mail.to` returns in Ruby."""
        return self.to if isinstance(self.to, str) else ", ".join(self.to)  # mistake 1

    def to_s(self) -> str:
        """Returns the message, with LF as line ends."""
        headers = {
            "From": self.sender,
            "To": self.recipients,
            "Reply-To": self.replyto,
            "Subject": self.subject,
            "Date": format_datetime(datetime.fromtimestamp(self._clock.time(), UTC)),
            "Message-ID": f"<{self._host.token(20)}@{self._host.name}>",
            "MIME-Version": "1.0",
            "Content-Type": "text/plain; charset=utf-8",
        }
        head = "".join(f"{name}: {value}\n" for name, value in headers.items() if value)
        return f"{head}\n{self.text}\n"

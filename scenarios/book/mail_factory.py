"""What Ruby's MailFactory does for the listings: a text with the headers it was given, checked by nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

from comms.clock import Clock
from comms.host import Host


class MailFactory:
    """Attributes in, a message out. `to` may be a list: it becomes one header, and one text joined by commas."""

    def __init__(self, clock: Clock, host: Host) -> None:
        self._clock, self._host = clock, host
        self.subject = self.text = self.sender = self.replyto = ""
        self.to: str | list[str] = ""

    @property
    def recipients(self) -> str:
        """What `mail.to` gives back: all of them, in one text."""
        return self.to if isinstance(self.to, str) else ", ".join(self.to)

    def to_s(self) -> str:
        """The message, with LF."""
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
        return (
            "".join(f"{name}: {value}\n" for name, value in headers.items() if value)
            + "\n"
            + self.text
            + "\n"
        )

"""A stand-in for Ruby's Net::SMTP, as far as the listings use it, as it was measured.

Mistakes

1. Whatever is given as an address goes into the command, display names and lists included.
3. Every refusal, and a server that is down, raises an exception that nobody catches.
"""

from __future__ import annotations

import smtplib
import types

from comms.clock import Clock
from comms.link import Link
from comms.sasl import MECHANISMS
from comms.settings import Server


class _OnLink(smtplib.SMTP):
    def __init__(self, link: Link, host: str, domain: str) -> None:
        self._link = link
        super().__init__(host, 1, local_hostname=domain)

    def _get_socket(self, host: str, port: int, timeout: float) -> Link:
        return self._link


class NetSMTP:
    """`Net::SMTP.start(server, port, domain, user, password, scheme) { |smtp| … }`."""

    def __init__(self, server: Server, clock: Clock, domain: str, scheme: str = "") -> None:
        self._link = Link.connect(server.host, server.port, clock, server.timeout)
        try:
            self._smtp = _OnLink(self._link, server.host, domain)
            self._smtp.ehlo()
            if scheme:
                answer = MECHANISMS[scheme.upper()](server.user, server.password)
                first = scheme == "plain"
                self._smtp.auth(
                    scheme,
                    lambda challenge=b"": answer(challenge).decode(),
                    initial_response_ok=first,
                )
        except BaseException:
            self._link.close()
            raise

    def __enter__(self) -> NetSMTP:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """Sends QUIT at the end of the block, after an exception too."""
        try:
            self._smtp.docmd("QUIT")
        finally:
            self._smtp.close()
            self._link.close()

    def send_message(self, message: str, sender: str, *recipients: str) -> None:
        """Sends a message. Raises SMTPResponseException at the first refusal."""
        self._say(f"MAIL FROM:<{sender}>", 250)  # mistake 1
        for recipient in recipients:
            self._say(f"RCPT TO:<{recipient}>", 250)  # mistake 1
        self._say("DATA", 354)
        self._smtp.send(
            message.replace("\n", "\r\n").replace("\r\n.", "\r\n..").encode() + b".\r\n"
        )
        self._check(*self._smtp.getreply(), 250)

    def _say(self, command: str, expected: int) -> None:
        self._check(*self._smtp.docmd(command), expected)

    def _check(self, code: int, text: bytes, expected: int) -> None:
        if code != expected:
            raise smtplib.SMTPResponseException(code, text)  # mistake 3

"""A stand-in for Ruby's Net::IMAP, as far as a listing would use it, and as it was measured.

Mistakes

11. The session is a plain object: whatever is raised before `logout` leaves the connection open
    until the program ends. (What was marked stays marked, and nothing is removed.)

`login` sends the password in clear text, whatever the server has said about that. Every failure is
an exception that nobody catches.
"""

from __future__ import annotations

import imaplib
from typing import Any

from comms.clock import Clock
from comms.link import Link
from comms.settings import Server


class _Client(imaplib.IMAP4):
    tagpre = property(lambda self: b"RUBY", lambda self, value: None)

    def __init__(self, link: Link, host: str) -> None:
        self.link = link
        super().__init__(host)

    def _create_socket(self, timeout: float) -> Link:
        return self.link

    def shutdown(self) -> None:
        self.link.close()


class NetIMAP:
    """A session."""

    def __init__(self, server: Server, clock: Clock) -> None:
        link = Link.connect(server.host, server.port, clock, server.timeout)
        try:
            self._client = _Client(link, server.host)
        except BaseException:
            link.close()
            raise

    def login(self, user: str, password: str) -> None:
        """Logs in by LOGIN."""
        self._ended_ok(self._client.login(user, password))

    def select(self, folder: str) -> None:
        """Selects a folder."""
        self._ended_ok(self._client.select(folder))

    def search(self, *keys: str) -> list[int]:
        """Returns the numbers of the mails that fit."""
        found = self._ended_ok(self._client.search(None, *keys))
        return [int(word) for word in (found[0] or b"").split()]

    def logout(self) -> None:
        """Ends the session."""
        self._client.logout()  # mistake 11: nothing calls it after an exception

    def _ended_ok(self, answer: tuple[str, Any]) -> Any:
        if answer[0] != "OK":
            raise imaplib.IMAP4.error(answer[1][-1])  # as Net::IMAP::NoResponseError
        return answer[1]

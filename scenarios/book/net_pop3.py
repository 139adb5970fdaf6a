"""A stand-in for Ruby's Net::POP3, as far as the listings use it, as it was measured.

Mistakes

11. The block sends QUIT however it is left, so that marked mails are deleted even after an
    exception. (Python's poplib has no such block, and its `close` sends no QUIT.)

Lines may have any length, unlike in poplib. Every failure is an exception that nobody catches.
"""

from __future__ import annotations

import contextlib
import poplib
from collections.abc import Iterator

from comms.clock import Clock
from comms.link import Link
from comms.settings import Server


class _Client(poplib.POP3):
    def __init__(self, link: Link, host: str) -> None:
        self.link = link
        super().__init__(host)

    def _create_socket(self, timeout: float) -> Link:
        return self.link

    bounded = False  # whether a long line is an error, as in poplib

    def _getline(self) -> tuple[bytes, int]:
        if self.bounded:
            return super()._getline()  # type: ignore[misc,no-any-return]
        line = b""
        while not line.endswith(b"\r\n"):
            more = self.file.readline()
            if not more:
                raise EOFError("end of file reached")
            line += more
        return line[:-2], len(line)


class Mail:
    """One message of a session."""

    def __init__(self, client: poplib.POP3, number: int) -> None:
        self._client, self.number = client, number

    def pop(self) -> str:
        """Returns the whole raw text."""
        _, lines, _ = self._client.retr(self.number)
        return b"".join(line + b"\r\n" for line in lines).decode("latin-1")

    def delete(self) -> None:
        """Marks the mail for deletion."""
        self._client.dele(self.number)


class NetPOP3:
    """A session. `apop` is the fifth parameter of `start`."""

    def __init__(self, server: Server, clock: Clock, apop: bool = False) -> None:
        self._link = Link.connect(server.host, server.port, clock, server.timeout)
        try:
            self._client = _Client(self._link, server.host)
            if apop:
                self._client.apop(server.user, server.password)
            else:
                self._client.user(server.user)
                self._client.pass_(server.password)
        except BaseException:
            self._link.close()
            raise

    def n_mails(self) -> int:
        """Returns the number of mails."""
        return self._client.stat()[0]

    def mails(self) -> list[Mail]:
        """Returns every mail."""
        return [Mail(self._client, int(line.split()[0])) for line in self._client.list()[1]]

    def finish(self) -> None:
        """Sends QUIT, which deletes the marked mails, and closes the connection."""
        try:
            # quit() of poplib would also shut the socket down.
            self._client._shortcmd("QUIT")  # type: ignore[attr-defined]
        finally:
            self._link.close()

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, server: Server, clock: Clock, apop: bool = False, poplib: bool = False
    ) -> Iterator[NetPOP3]:
        """Opens a session for a block. With `poplib` it is as with Python's poplib."""
        session = cls(server, clock, apop)
        session._client.bounded = poplib
        try:
            yield session
        except BaseException:
            if poplib:
                session._link.close()  # mistake 11: close() sends no QUIT
            else:
                session.finish()  # mistake 11: after an exception, too
            raise
        session.finish()

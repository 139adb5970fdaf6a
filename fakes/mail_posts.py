"""Each mail that arrives, posted to a program on this machine: `post_to` of the table [mail].

The body is the JSON that the control API has for a mail. A thread posts one mail after the other,
so that no server waits for the program. What cannot be posted is dropped; that is said once, and
again only after a mail has been posted meanwhile.
"""

from __future__ import annotations

import http.client
import json
import string
from collections.abc import Callable
from contextlib import closing
from queue import SimpleQueue
from threading import Thread
from urllib.parse import quote, urlsplit

from fakes.control import is_local, mail_as_json
from fakes.mail import Mail

TIMEOUT = 5.0  # seconds that the program may take to answer, and that the end of a world waits
WAITING = 1000  # mails that may wait to be posted


class MailPosts:
    """Posts mails to one URL. `say` is told in a sentence if that fails, on another thread."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        """Raises ValueError for a URL that is not of this machine."""
        self.url, self._say = url, say
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or http.client.HTTP_PORT
        except ValueError:
            host = None
        # A name is taken for this machine only if it says so: what arrives here stays here.
        if host is None or parts.scheme != "http" or not is_local(parts.netloc):
            raise ValueError(
                f"{url!r} is not a URL of this machine; write http://127.0.0.1:PORT/PATH"
            )
        self._address = host, port
        target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        self._target = quote(target, safe=string.punctuation)
        self._queue: SimpleQueue[tuple[int | None, Mail] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._has_failed = self._ends = False

    def add(self, number: int | None, mail: Mail) -> None:
        """Posts a mail soon. `number` is its id in the control API. Called on the loop's thread."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="mail posts", daemon=True)
            self._thread.start()
        if self._queue.qsize() < WAITING:
            self._queue.put((number, mail))
        else:
            self._failed(f"{WAITING} mails wait")

    def close(self) -> None:
        """Waits until all mails have been posted, or one fails, but not for long."""
        self._ends = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(TIMEOUT)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                status = self._post(json.dumps(mail_as_json(*item)).encode())
            except (OSError, http.client.HTTPException) as error:
                self._failed(getattr(error, "strerror", None) or str(error) or repr(error))
            else:
                if status < 300:
                    self._has_failed = False
                else:
                    self._failed(f"the answer was {status}")
            if self._has_failed and self._ends:
                return

    def _post(self, body: bytes) -> int:
        """Returns the status of the answer. Raises OSError and HTTPException."""
        with closing(http.client.HTTPConnection(*self._address, timeout=TIMEOUT)) as connection:
            connection.request("POST", self._target, body, {"Content-Type": "application/json"})
            return connection.getresponse().status

    def _failed(self, why: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            self._say(f"mail.post_to: a mail could not be posted to {self.url}: {why}")

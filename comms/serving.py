"""A small web server for a WSGI application (PEP 3333), on the one of the standard library.

    with serving(app, "127.0.0.1", 8025, on_error):
        ...                              # each request is answered in a thread of its own

It is meant for loopback, and for a reverse proxy in front of it, such as nginx, which adds TLS and
keeps slow clients away. Nothing is logged about a request: a path may contain a secret.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, cast
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication, WSGIEnvironment

THREADS = 32  # requests at a time
WAIT = 5.0  # seconds that a client waits for a free thread before it is turned away
SILENCE = 10.0  # seconds that a client may send nothing, or read nothing
GRACE = 5.0  # seconds that requests may still take when the server ends
LINE = 8192  # bytes of a request line


class _Handler(WSGIRequestHandler):
    """One request."""

    timeout = SILENCE

    def handle(self) -> None:
        # Browsers open connections in advance, so a request begins with its first line.
        self.raw_requestline = self.rfile.readline(LINE + 1)
        with self.server.working():  # type: ignore[attr-defined]
            self._answer()

    def _answer(self) -> None:
        if len(self.raw_requestline) > LINE:
            self.requestline, self.request_version, self.command = "", "HTTP/1.0", ""
            self.send_error(414)
        elif self.parse_request():
            stdout = cast("IO[bytes]", self.wfile)
            handler = _Answer(self.rfile, stdout, self.get_stderr(), self.get_environ())
            handler.request_handler = self  # type: ignore[attr-defined]
            handler.run(self.server.get_app())  # type: ignore[attr-defined]

    def get_environ(self) -> WSGIEnvironment:
        # X_Forwarded_For would otherwise be taken for X-Forwarded-For, which a proxy has set.
        for name in [name for name in self.headers if "_" in name]:
            del self.headers[name]
        return super().get_environ()

    def version_string(self) -> str:
        """What the answer to a broken request says, too."""
        return _Answer.server_software

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""


class _Answer(ServerHandler):
    """The answer to one request."""

    server_software = "comms"  # and no versions

    def log_exception(self, exc_info: Any) -> None:
        """Passes on what the application, or a client that has left, has raised."""
        self.request_handler.server.on_error(exc_info[1])  # type: ignore[attr-defined]


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a slow client must not keep the program from ending
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self, address: str, port: int, on_error: Callable[[BaseException | None], None]
    ) -> None:
        self.on_error = on_error
        self._free = threading.Semaphore(THREADS)
        self._at_work = 0  # requests that have begun
        self._changed = threading.Condition()
        if ":" in address:
            self.address_family = socket.AF_INET6
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        # That of HTTPServer asks DNS for the machine's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(timeout=WAIT):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores what ended a connection: the client has left, or was silent."""

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Counts a request that has begun."""
        with self._changed:
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def finish_all(self) -> None:
        """Waits until every request that has begun is answered, for a while."""
        with self._changed:
            self._changed.wait_for(lambda: not self._at_work, GRACE)


@contextlib.contextmanager
def serving(
    app: WSGIApplication,
    address: str,
    port: int,
    on_error: Callable[[BaseException | None], None] = lambda error: None,
) -> Iterator[int]:
    """Serves the application within the block, and yields the port (of 0, the one that is free).

    Raises OSError if nothing can listen there.
    """
    with _Server(address, port, on_error) as server:
        server.set_app(app)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield int(server.server_port)
        finally:
            server.shutdown()
            thread.join()
            server.finish_all()

"""The server side of one HTTP/1.1 connection: RFC 9112, as much as a page or a webhook needs.

What is served is passed in as a function from `Request` to `Response`. A request's end is never
guessed (RFC 9112 §6): a body needs Content-Length, and chunked bodies are refused with 501.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from fakes.wire import Refuse, Rule, Runtime, Secret, Session, Unit, rule

HEAD = 8192  # bytes of a request line and its fields
BODY = 1 << 20  # bytes of a body, unless a subclass has more room


@dataclass(frozen=True)
class Request:
    """What a client asks for. Names in `headers` are in lower case."""

    method: str
    target: str
    version: str
    headers: Mapping[str, str]
    body: bytes = b""
    secure: bool = False  # inside TLS

    @property
    def path(self) -> str:
        """The path, decoded as UTF-8."""
        return unquote(self.raw_path)

    @property
    def raw_path(self) -> str:
        """The path as it was sent."""
        return _split(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded as UTF-8; of a name that occurs twice, the first value."""
        return dict(reversed(parse_qsl(_split(self.target).query, True)))

    @property
    def persistent(self) -> bool:
        """Whether the connection stays open after the response (RFC 9112 §9.3)."""
        header = self.headers.get("connection", "").lower()
        options = [word.strip() for word in header.split(",")]
        return self.version == "HTTP/1.1" and "close" not in options


@dataclass(frozen=True)
class Response:
    """A response; `text` is encoded in `charset`, and `content` is sent as it is.

    After 101 (RFC 9110 §15.2.2), the core that `successor` makes takes over the connection.
    """

    status: int
    text: str = ""
    type: str = "text/plain; charset=utf-8"
    charset: str = "utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    successor: Callable[[], Session] | None = None


class Http(Session):
    """One HTTP connection. It has one state: requests are independent of each other."""

    protocol: ClassVar[str] = "http"
    room: ClassVar[int] = BODY  # bytes of a body
    states: ClassVar[str] = "READY"
    verbs: ClassVar[dict[str, Rule]] = {
        "GET": rule("READY", "RFC 9110 §9.3.1"),
        "HEAD": rule("READY", "RFC 9110 §9.3.2"),
        "POST": rule("READY", "RFC 9110 §9.3.3"),
        "PUT": rule("READY", "RFC 9110 §9.3.4"),
        "DELETE": rule("READY", "RFC 9110 §9.3.5"),
        "OPTIONS": rule("READY", "RFC 9110 §9.3.7"),
    }

    def __init__(self, runtime: Runtime, answer: Callable[[Request], Response]) -> None:
        super().__init__(runtime)
        self.answer = answer
        self._scanned = 0  # bytes of the buffer that are known not to hold the end of the head
        self._continued = False  # 100 was sent for the request whose body is coming
        self._persistent = False
        self._without_body = False

    def next_unit(self) -> Unit | None:
        while self.buffer.startswith(b"\r\n") and not self._scanned:
            del self.buffer[:2]  # RFC 9112 §2.2: empty lines before a request are ignored
        end = self.buffer.find(b"\r\n\r\n", self._scanned)
        if end < 0 or end + 4 > HEAD:
            self._scanned = max(0, len(self.buffer) - 3)
            if len(self.buffer) <= HEAD and end < 0:
                return None
            return Unit(self._taken(HEAD), "", refusal=Refuse(Response(431), "RFC 6585 §5"))
        try:
            request, length = _head(bytes(self.buffer[:end]), self.room)
        except Refuse as refusal:
            return Unit(self._taken(end + 4), "", refusal=refusal)
        if len(self.buffer) < end + 4 + length:
            if not self._continued and _waits_for_100(request):
                self._continued = True
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n", "RFC 9110 §10.1.1")
            return None
        raw = self._taken(end + 4 + length)
        request = replace(request, body=raw[end + 4 :], secure=self.tls is not None)
        secrets = _credentials(raw[: end + 4])
        return Unit(raw, request.method, request.target, secrets, content=request)

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        return _credentials(raw)

    def _taken(self, length: int) -> bytes:
        raw = bytes(self.buffer[:length])
        del self.buffer[:length]
        self._scanned = 0
        self._continued = False
        return raw

    def handle(self, unit: Unit) -> None:
        request: Request | None = unit.content
        # A request that cannot be parsed is answered, and ends the connection: where the next one
        # begins is unknown.
        self._persistent = request is not None and request.persistent
        self._without_body = request is not None and request.method == "HEAD"
        super().handle(unit)

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse(Response(501), "RFC 9110 §9.1")

    def refused(self, refusal: Refuse) -> None:
        self._respond(refusal.reply, refusal.section)

    def scripted_reply(self, text: str) -> None:
        """`GET reply "503 Service Unavailable"`; text after a line feed is the body."""
        line, _, body = text.partition("\n")
        code, _, reason = line.partition(" ")
        status = int(code) if re.fullmatch(r"[1-5]\d\d", code) else 500
        self._persistent = False
        self._respond(Response(status, body), reason=reason)

    def do_GET(self, unit: Unit) -> None:
        self._respond(self.answer(unit.content))

    do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET

    def _respond(self, response: Response, section: str = "", reason: str = "") -> None:
        body = response.content or response.text.encode(response.charset, "replace")
        about = {"Content-Type": response.type, "Content-Length": str(len(body))}
        if response.status < 200 or response.status in (204, 304):
            body, self._without_body = b"", True  # RFC 9112 §6.3
            about = {}  # RFC 9110 §8.6
        phrases = {status.value: status.phrase for status in HTTPStatus}
        fields = {
            "Date": formatdate(self.runtime.now(), usegmt=True),
            **about,
            **({} if self._persistent else {"Connection": "close"}),
            **response.headers,
        }
        lines = [f"HTTP/1.1 {response.status} {reason or phrases.get(response.status, '')}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.send(head + (b"" if self._without_body else body), section, status=response.status)
        if response.successor is not None:
            self.hand_over_to(response.successor())
        elif not self._persistent:
            self.close()


def _split(target: str) -> SplitResult:
    """Splits a target. Raises ValueError."""
    # A path may begin with two slashes (RFC 9112 §3.2.1), which urlsplit would take for a host.
    return urlsplit(f"http://host{target}" if target.startswith("/") else target)


def _waits_for_100(request: Request) -> bool:
    """Whether the client sends the body only when it is told to, or after a while."""
    return request.version == "HTTP/1.1" and request.headers.get("expect") == "100-continue"


# What proves who a client is, after the name of the scheme (RFC 9110 §11.6.2).
_CREDENTIALS = re.compile(
    rb"^(?:Proxy-)?Authorization:[ \t]*(?:([A-Za-z0-9-]+)[ \t]+)?([^\r\n]+)", re.I | re.M
)
_REQUEST_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) (HTTP/1\.[01])")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00\r\n]*)")


def _credentials(head: bytes) -> tuple[Secret, ...]:
    """Returns the spans of a head that must not be shown, with the scheme as their label."""
    return tuple(
        Secret(found.start(2), found.end(2), f"credentials {(found[1] or b'any').decode().lower()}")
        for found in _CREDENTIALS.finditer(head)
    )


def _head(head: bytes, room: int) -> tuple[Request, int]:
    """Returns a request without its body, and the length of the body. Raises Refuse."""
    first, *rest = head.decode("latin-1").split("\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise Refuse(Response(400, "Say: GET /path HTTP/1.1\n"), "RFC 9112 §3")
    headers: dict[str, str] = {}
    for line in rest:
        pair = _FIELD.fullmatch(line)
        if pair is None:
            raise Refuse(Response(400, "A field is: Name: value\n"), "RFC 9112 §5")
        name, value = pair[1].lower(), pair[2].strip(" \t")
        if name in headers and name in ("host", "content-length"):
            raise Refuse(Response(400, f"{pair[1]} is given twice\n"), "RFC 9112 §3.2, §6.3")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    try:
        _split(match[2])
    except ValueError:
        raise Refuse(Response(400, "That is not an address\n"), "RFC 9112 §3.2") from None
    if match[3] == "HTTP/1.1" and "host" not in headers:
        raise Refuse(Response(400, "HTTP/1.1 needs a Host field\n"), "RFC 9112 §3.2")
    if "transfer-encoding" in headers:
        raise Refuse(Response(501, "Say how long the body is: Content-Length\n"), "RFC 9112 §6.1")
    length = headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise Refuse(Response(400, "Content-Length is a number of octets\n"), "RFC 9112 §6.2")
    if int(length) > room:
        raise Refuse(Response(413), "RFC 9110 §15.5.14")
    return Request(match[1], match[2], match[3], headers), int(length)

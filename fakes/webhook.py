"""The web server that programs post to: it records each request, and answers on demand.

    post = world.webhook.wait_for(path="/in")        # the only request to this path
    post.form["subject"], post.files, post.json      # its body, decoded
    world.webhook.answer(503)                        # to the next request; then 200 again

The names in `hosts` lead here: the machine of the world resolves them to this server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from fakes import globs
from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.descriptor import Port, Server
from fakes.http import Http, Request, Response
from fakes.wire import Runtime, Session

ROOM = 1 << 26  # bytes of a body: a mail with its attachments


@dataclass(frozen=True)
class Upload:
    """A file in a form."""

    field: str
    name: str
    type: str
    content: bytes


@dataclass(frozen=True)
class Post:
    """A request that has arrived, and the status of the answer. `at` is in seconds of the epoch.

    `form`, `files` and `json` decode the body, and raise ValueError if it is something else.
    """

    request: Request = field(repr=False)
    status: int
    at: float

    def __str__(self) -> str:
        return f"{self.method} {self.request.target} ({len(self.body)} bytes): {self.status}"

    @property
    def method(self) -> str:
        """POST, in most cases."""
        return self.request.method

    @property
    def path(self) -> str:
        """The path, decoded and without the query."""
        return self.request.path

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded as UTF-8; of a name that occurs twice, the first value."""
        return self.request.query

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields. Their names are in lower case."""
        return self.request.headers

    @property
    def body(self) -> bytes:
        """The body as it came."""
        return self.request.body

    @property
    def type(self) -> str:
        """The media type of the body, in lower case and without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def form(self) -> dict[str, list[str]]:
        """The fields of a form, each with all of its values, in order."""
        found: dict[str, list[str]] = {}
        for name, value in self._decoded[0]:
            found.setdefault(name, []).append(value)
        return found

    @property
    def files(self) -> list[Upload]:
        """The files of a form, in order."""
        return self._decoded[1]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @cached_property
    def _decoded(self) -> tuple[list[tuple[str, str]], list[Upload]]:
        if self.type == "application/x-www-form-urlencoded":
            text = self.body.decode("utf-8")
            return parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)), []
        if self.type != "multipart/form-data":
            raise ValueError(f"the body is no form, but {self.type or 'without a Content-Type'}")
        fields, files = [], []
        for header, content in _parts(self.headers["content-type"], self.body):
            disposition = header.get("content-disposition", "")
            name, file = _parameter(disposition, "name"), _parameter(disposition, "filename")
            if not disposition.lower().startswith("form-data") or name is None:
                raise ValueError(f"a part of the form has no name: {disposition!r}")
            if file is None:
                fields.append((name, content.decode("utf-8")))
            else:
                type = header.get("content-type", "text/plain")  # RFC 7578 §4.4
                files.append(Upload(name, file, type, content))
        return fields, files


def _parts(type: str, body: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
    """Yields the header and the content of each part (RFC 2046 §5.1). Raises ValueError."""
    boundary = _parameter(type, "boundary")
    if not boundary:
        raise ValueError(f"no boundary in {type!r}")
    _, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if not pieces or not re.match(rb"--[ \t]*(\r\n|$)", pieces[-1]):
        raise ValueError(f"the boundary {boundary!r} does not end the body")
    for piece in pieces[:-1]:
        head, empty, content = piece.partition(b"\r\n\r\n")
        if not empty or not re.match(rb"[ \t]*\r\n", piece):
            raise ValueError(f"a part has no header: {piece[:40]!r}")
        lines = head.decode("utf-8").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        yield {name.lower(): value.strip() for name, _, value in pairs}, content


_PARAMETER = re.compile(r';[ \t]*([\w-]+)=(?:"([^"]*)"|([^\s;"]+))')


def _parameter(value: str, name: str) -> str | None:
    """Returns a parameter of a header field; None if it has none of this name."""
    for match in _PARAMETER.finditer(value):
        if match[1].lower() == name:
            text = match[2] if match[2] is not None else match[3]
            # RFC 7578 §2: as browsers do, quotation marks and line breaks are percent-encoded.
            return re.sub("%(22|0A|0D)", lambda hex: chr(int(hex[1], 16)), text)
    return None


@dataclass
class _Planned:
    """An answer that waits for requests to its path; `times` is None if for all of them."""

    response: Response
    path: str
    times: int | None
    used: Callable[[], None]


class Webhook(Arrivals[Post]):
    """All requests of a world, and what they are answered."""

    def __init__(self, now: Callable[[], float], bridge: Bridge) -> None:
        criteria: dict[str, Callable[[Post, str], str]] = {
            "path": lambda post, glob: _differs("path", post.path, glob),
            "method": lambda post, glob: _differs("method", post.method, glob),
            "text": lambda post, part: "" if part.encode() in post.body else f"no {part!r} in it",
        }
        super().__init__(bridge, "request", criteria=criteria)
        self._now = now
        self._planned: list[_Planned] = []
        # What other servers of the world have here, which is not recorded.
        self.sites: list[Callable[[Request], Response | None]] = []

    def answer(
        self,
        status: int,
        text: str = "",
        *,
        path: str = "*",
        times: int | None = 1,
        headers: Mapping[str, str] | None = None,
        on_used: Callable[[], None] = lambda: None,
    ) -> None:
        """Answers the next requests to a path (a glob) with this status; None: all of them.

        Of several such answers, the one that was asked for first comes first. `on_used` is called
        on the loop's thread with each. Raises ValueError if the status cannot be one.
        """
        if not isinstance(status, int) or not 100 <= status <= 599:
            raise ValueError(f"{status!r} is not a status; write a number such as 503")
        response = Response(status, text, headers=dict(headers or {}))
        planned = _Planned(response, path, times, on_used)
        self._bridge.call(lambda: self._planned.append(planned))

    def serve(self, request: Request) -> Response:
        """Records a request and returns its answer. Called on the loop's thread.

        What another server answers is not recorded, unless `answer` has asked for another answer.
        """
        response = Response(200)
        for planned in self._planned:
            if globs.fits(request.path, planned.path):
                response = planned.response
                planned.used()
                if planned.times is not None:
                    planned.times -= 1
                self._planned = [one for one in self._planned if one.times != 0]
                break
        else:
            for site in self.sites:
                if (answer := site(request)) is not None:
                    return answer
        self.add_arrival(Post(request, response.status, self._now()))
        return response


def _differs(what: str, found: str, glob: str) -> str:
    return "" if globs.fits(found, glob) else f"{what} is {found!r}"


class Hook(Http):
    """One connection to the web server."""

    protocol: ClassVar[str] = "webhook"
    room: ClassVar[int] = ROOM


@dataclass(frozen=True)
class Policy:
    """[webhook]: what the web server is called."""

    hosts: tuple[str, ...] = ("hooks.example.test",)  # names of this server


def _make(kind: Any, runtime: Runtime, store: Webhook, policy: Policy) -> Session:
    session: Session = kind(runtime, store.serve)
    return session


SERVER = Server(
    name="webhook",
    session=Hook,
    ports=(Port("webhook", 8080), Port("webhook-tls", 8443, tls=True)),
    make=_make,
    store="webhook",
    policy=Policy,
    table="webhook",
    words={"requests": lambda store, text: str(len(store.all))},
    secrets={"credentials": lambda store, scheme: b"secret"},
    login=None,
    on_request=True,
)

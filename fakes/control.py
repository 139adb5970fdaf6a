"""The control API: a world by HTTP, for tests in other languages. `python -m fakes --control PORT`.

    curl localhost:1080/mails/wait?subject=hi          # the only such mail, once it is there
    curl localhost:1080/faults -d 'RCPT nth 2 reset'
    curl localhost:1080/wire                           # everything on the wire, as it happens
    http://localhost:1080/                             # a page to look at all of it (console/)

It answers JSON, and an error is {"error": TEXT}. The names of fields and the rules of waiting are
those of `world.mail` in Python. fakes/README.md lists the paths.

Only programs on this machine may use it, or those that know the token. A page of a web browser may
not, unless it came from here: it could send requests on behalf of any site.
"""

from __future__ import annotations

import hmac
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from importlib.resources import files
from ipaddress import ip_address
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import unquote

from fakes.arrivals import Arrivals
from fakes.config import WorldError, is_address
from fakes.faults import FaultError
from fakes.http import Http, Request, Response
from fakes.mail import Mail
from fakes.transcripts.recorder import lines_of, wire_lines
from fakes.version import VERSION
from fakes.wire import Record, Refuse, Runtime, Unit
from fakes.world import World

ROOM = 1 << 26  # bytes of a body: a mail with its attachments
TIMEOUT = 5.0  # seconds that a request waits by default
LONGEST = 600.0  # seconds that it may wait
STREAMED = 1 << 20  # bytes that a stream may have unsent before it is ended
# The page shows that many records which came before it was opened, each at most that long, and of
# every record at most that many lines and characters of a line.
REMEMBERED, SHORT = 200, 4096
LINES, WIDTH = 100, 1000

_WAITING = ("n", "timeout", "since")  # the parameters of a wait that are no criteria
# The host of a Host field, RFC 9110 §7.2: an IPv6 address in brackets, or something else. urlsplit
# would normalise it first, which takes quadratic time if it consists of combining characters.
_HOST = re.compile(r"(?:\[([^]:]*:[^]]*)\]|([^:]*))(?::[0-9]*)?")


class Mistake(Exception):
    """A request that cannot be served: the status, and what to do instead."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.headers = status, headers


@dataclass
class Wait:
    """An answer that is not there yet.

    `check` returns it as soon as it is; after `seconds`, `late` returns what is said instead.
    """

    seconds: float
    check: Callable[[], Response | None]
    late: Callable[[], Response]


@dataclass
class Stream:
    """An answer without end: what `form` returns of each record, those of `before` first."""

    form: Callable[[Record], bytes]
    before: Iterable[Record] = ()


class Control:
    """What the control API does to a world. All of it runs on the loop's thread."""

    def __init__(self, world: World, token: str = "") -> None:
        self.world = world
        self.runtime = Runtime(world.runtime.now, world.runtime.token)  # no faults, no records
        self._token = token
        self._streams: dict[ControlSession, Stream] = {}
        self._last: deque[Record] = deque(maxlen=REMEMBERED)

    def session(self) -> ControlSession:
        """Returns a core for one connection."""
        return ControlSession(self)

    def serve(self, request: Request) -> Response | Wait | Stream:
        """Returns what to answer. HEAD is answered as GET; its session leaves out the body."""
        if request.method == "HEAD":
            request = replace(request, method="GET")
        try:
            page = _PAGES.get(request.path) if request.method == "GET" else None
            self._check(request, is_secret=page is None)
            return _file(*page) if page is not None else self._route(request)
        except Mistake as mistake:
            return _json({"error": str(mistake)}, mistake.status, mistake.headers)

    def _check(self, request: Request, is_secret: bool) -> None:
        """Raises Mistake if the client may not use this.

        The files of the page need no token: a browser could not send it, and they hold no secret.
        """
        host = request.headers.get("host", "")
        if self._token and not is_secret:
            return
        if self._token:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode("latin-1"), f"Bearer {self._token}".encode()):
                text = "say who you are: Authorization: Bearer TOKEN"
                raise Mistake(401, text, **{"WWW-Authenticate": "Bearer"})
        elif not is_local(host):
            # A name that a foreign page has made to mean this machine.
            raise Mistake(403, f"this machine is not called {host!r}; use localhost or 127.0.0.1")
        origin = request.headers.get("origin", "")
        if origin and origin.partition("://")[2] != host:
            raise Mistake(403, f"pages of {origin} may not use this")

    def _route(self, request: Request) -> Response | Wait | Stream:
        allowed: list[str] = []
        for pattern, methods in _ROUTES.items():
            match = pattern.fullmatch(request.raw_path)
            if match is None:
                continue
            allowed += methods
            if request.method in methods:
                arguments = [unquote(part) for part in match.groups()]
                result = methods[request.method](self, request, *arguments)
                return result if isinstance(result, Response | Wait | Stream) else _json(result)
        if allowed:
            known = ", ".join(allowed)
            allow = known.replace("GET", "GET, HEAD")
            text = f"{request.method} has no meaning here; there are {known}"
            raise Mistake(405, text, Allow=allow)
        paths = ", ".join(pattern.pattern.replace("([^/]+)", "…") for pattern in _ROUTES)
        raise Mistake(404, f"there is nothing at {request.path}; there are {paths}")

    def show_description(self, request: Request) -> object:
        """This API, in the terms of OpenAPI."""
        return description()

    # ── the world ────────────────────────────────────────────────────────────

    def show_world(self, request: Request) -> object:
        """Where the servers listen, and who has an account."""
        world = self.world
        return {
            "servers": {name: list(address) for name, address in world.listeners.items()},
            "people": [person.address for person in world.people],
            "tls": world.tls,
            "faults": [str(armed.fault) for armed in world.faults.armed],
        }

    def add_person(self, request: Request) -> object:
        """Opens an account."""
        wanted = _object(request)
        if not isinstance(wanted.get("address"), str) or not is_address(wanted["address"]):
            raise Mistake(400, 'say: {"address": "dora@example.test", "password": "secret"}')
        password = wanted.get("password", "secret")
        if set(wanted) - {"address", "password"} or not isinstance(password, str):
            raise Mistake(400, "an account has an address and a password, both texts")
        try:
            person = self.world.add_person(wanted["address"], password)
        except ValueError as error:
            raise Mistake(409, str(error)) from None
        return _json({"address": person.address}, 201)

    # ── mail ─────────────────────────────────────────────────────────────────

    def list_mails(self, request: Request) -> object:
        """The mails that have arrived and fit, and a mark of this moment."""
        record = self.world.mail
        query = dict(request.query)
        since = _number(query, "since", 0)
        criteria = {name: text for name, text in query.items() if name not in _WAITING}
        _known(criteria, record)
        return {
            "mails": [
                mail_as_json(number, mail)
                for number, mail in record.numbered(since)
                if not record.misfits(mail, criteria)
            ],
            "mark": record.mark(),
        }

    def wait_for_mails(self, request: Request) -> Wait:
        """Waits for n mails that fit, and no more."""
        record = self.world.mail
        query = dict(request.query)
        n, since = _number(query, "n", 1), _number(query, "since", 0)
        seconds = _seconds(query)
        for name in _WAITING:
            query.pop(name, None)
        _known(query, record)

        search = record.search(max(n, 1), query, since)

        def check() -> Response | None:
            found = search()
            if found is None:
                return None
            if len(found) > n:
                return late()
            mails = [mail_as_json(*one) for one in search.numbered()]
            return _json({"mails": mails, "mark": record.mark()})

        def late() -> Response:
            if n == 0 and search() is None:
                return _json({"mails": [], "mark": record.mark()})
            return _json({"error": record.miss(n, seconds, query, since)}, 404)

        return Wait(seconds, check, late)

    def show_mail(self, request: Request, number: str) -> object:
        """One mail."""
        return mail_as_json(*self._mail(number))

    def show_raw_mail(self, request: Request, number: str) -> Response:
        """One mail as it was sent."""
        raw = self._mail(number)[1].raw
        return Response(200, raw.decode("latin-1"), "message/rfc822", "latin-1", _SEALED)

    def _mail(self, number: str) -> tuple[int, Mail]:
        for known, mail in self.world.mail.numbered(0):
            if str(known) == number:
                return known, mail
        raise Mistake(404, f"there is no mail {number}; GET /mails lists them")

    def deliver(self, request: Request) -> object:
        """Puts a mail into a maildrop without SMTP."""
        query = dict(request.query)
        to, sender = query.pop("to", ""), query.pop("sender", None)
        if not to or query:
            raise Mistake(400, "say: POST /mails?to=alice@example.test, with the mail as the body")
        number = self.world.mail.mark()  # reports to the sender come after it
        try:
            mail = self.world.mail.deliver(to, request.body, sender)
        except LookupError as error:
            raise Mistake(404, str(error)) from None
        return _json(mail_as_json(number, mail), 201)

    def purge(self, request: Request) -> object:
        """Forgets what has arrived, and empties all maildrops."""
        self.world.mail.purge()
        return {"mark": self.world.mail.mark()}

    def show_inbox(self, request: Request, address: str) -> object:
        """What is in a maildrop."""
        try:
            mails = self.world.mail.inbox(address)
        except LookupError as error:
            raise Mistake(404, str(error)) from None
        known = {mail.queue_id: number for number, mail in self.world.mail.numbered()}
        return {"mails": [mail_as_json(known.get(mail.queue_id), mail) for mail in mails]}

    def list_messages(self, request: Request) -> object:
        """What has arrived by Jabber, AIM, IRC and HTTP, each as a text."""
        records = [record for record in self.world.arrivals if record is not self.world.mail]
        return {record.noun: [str(one) for one in record.all] for record in records}

    def list_rooms(self, request: Request) -> object:
        """The chat rooms and channels, and who is in them."""
        return {"rooms": list(self._rooms())}

    def _rooms(self) -> Iterator[dict[str, Any]]:
        world = self.world
        if "xmpp" in world.servers:
            for room in map(world.jabber.room, world.jabber.rooms):
                yield _room("Jabber", room.address, room.subject, room.users)
        if "toc" in world.servers:
            for name, members in world.aim.all_rooms.items():
                yield _room("AIM", name, "", members)
        if "irc" in world.servers:
            for channel in world.irc.channels.values():
                yield _room("IRC", channel.name, channel.topic, channel.members)

    # ── faults ───────────────────────────────────────────────────────────────

    def list_faults(self, request: Request) -> object:
        """The faults that are armed."""
        return {"faults": [str(armed.fault) for armed in self.world.faults.armed]}

    def arm(self, request: Request) -> object:
        """Arms faults, written in the fault grammar."""
        try:
            self.world.faults.arm(request.body.decode().strip())
        except UnicodeDecodeError:
            raise Mistake(400, "the body is not UTF-8; write a fault as text") from None
        except FaultError as error:
            raise Mistake(400, str(error)) from None
        return self.list_faults(request)

    def disarm(self, request: Request) -> object:
        """Removes the fault that is named, or all."""
        query = dict(request.query)
        fault = query.pop("fault", None)
        if query:
            raise Mistake(400, "say: DELETE /faults, or DELETE /faults?fault=TEXT")
        try:
            self.world.faults.disarm(*([] if fault is None else [fault]))
        except FaultError as error:
            raise Mistake(400, str(error)) from None
        return self.list_faults(request)

    def show_clock(self, request: Request) -> object:
        """The time of the servers, in seconds since the epoch."""
        return {"now": self.world.runtime.now()}

    def skip(self, request: Request) -> object:
        """Sets the clock of the servers ahead."""
        wanted = _object(request)
        seconds = wanted.get("seconds")
        if len(wanted) != 1 or not isinstance(seconds, int | float) or isinstance(seconds, bool):
            raise Mistake(400, 'say: {"seconds": 300}')
        try:
            self.world.skip(seconds)
        except WorldError as error:
            raise Mistake(400, str(error)) from None
        return self.show_clock(request)

    def cut(self, request: Request) -> object:
        """Ends all connections to the servers, or those of one protocol."""
        query = dict(request.query)
        protocols = [query.pop("protocol")] if "protocol" in query else self.world.servers
        if query:
            raise Mistake(400, "say: DELETE /connections?protocol=smtp")
        try:
            return {"cut": sum(self.world.cut(protocol) for protocol in protocols)}
        except WorldError as error:
            raise Mistake(400, str(error)) from None

    # ── the wire ─────────────────────────────────────────────────────────────

    def watch(self, one: object) -> None:
        """Sends a record to all streams, secrets masked; ignores events."""
        if not isinstance(one, Record):
            return
        if len(one.raw) <= SHORT:
            self._last.append(one)
        for session, stream in list(self._streams.items()):
            session.stream(stream.form(one))

    def show_wire(self, request: Request) -> Stream:
        """Everything that crosses the wire from now on, as server-sent events."""
        return Stream(_as_lines)

    def show_units(self, request: Request) -> Stream:
        """The same as JSON, after the last that came before."""
        return Stream(_as_unit, tuple(self._last))

    def follow(self, session: ControlSession, stream: Stream) -> None:
        """A session wants a stream."""
        for record in stream.before:
            session.stream(stream.form(record))
        self._streams[session] = stream

    def forget(self, session: ControlSession) -> None:
        """A session has ended."""
        self._streams.pop(session, None)


class ControlSession(Http):
    """One connection. While an answer is awaited, the next request waits, too."""

    protocol: ClassVar[str] = "control"
    room: ClassVar[int] = ROOM

    def __init__(self, control: Control) -> None:
        super().__init__(control.runtime, lambda request: Response(500))
        self._control = control
        self._awaited: Wait | None = None
        self._streaming = False

    def next_unit(self) -> Unit | None:
        return None if self._awaited is not None or self._streaming else super().next_unit()

    def do_GET(self, unit: Unit) -> None:
        result = self._control.serve(unit.content)
        if isinstance(result, Response):
            self._respond(result)
        elif isinstance(result, Wait):
            self._awaited = result
            self.timers.at("wait", self.runtime.now() + result.seconds, self._too_late)
            self._control.world.mail.on_change(self._look)
        else:
            self._streaming = True
            head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close"
            self.send(f"{head}\r\nCache-Control: no-store\r\n\r\n".encode())
            if self._without_body:
                self.close()
            else:
                self.send(b": the wire\n\n")
                self._control.follow(self, result)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET

    def refused(self, refusal: Refuse) -> None:
        plain = refusal.reply
        text = plain.text.strip() or HTTPStatus(plain.status).phrase
        self._respond(_json({"error": text}, plain.status), refusal.section)

    def _look(self) -> bool:
        """Answers if there is an answer now. Returns whether this was the last look."""
        if self._awaited is None:
            return True
        response = self._awaited.check()
        if response is not None:
            self._answer(response)
        return response is not None

    def _too_late(self) -> None:
        if self._awaited is not None:
            self._answer(self._awaited.late())

    def _answer(self, response: Response) -> None:
        self._awaited = None
        self.timers.cancel("wait")
        self._respond(response)
        self.look_again()

    def stream(self, data: bytes) -> None:
        """Sends a part of a stream; ends it if nobody reads."""
        if self.output.pending > STREAMED:
            self.close()
        else:
            self.send(data)

    def abandoned(self) -> None:
        self._awaited = None
        self._control.forget(self)


# ── the page and its stream ──────────────────────────────────────────────────

_PAGES = {  # path → file, type
    "/": ("index.html", "text/html"),
    "/console.js": ("console.js", "text/javascript"),
    "/console.css": ("console.css", "text/css"),
}
# It loads nothing from elsewhere, and so does a mail in a frame, to which this applies, too.
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


def _file(name: str, type: str) -> Response:
    text = (files("fakes") / "console" / name).read_text("utf-8")
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(200, text, f"{type}; charset=utf-8", headers=headers)


def _as_lines(record: Record) -> bytes:
    return ("".join(f"data: {line}\n" for line in wire_lines(record)) + "\n").encode()


def _as_unit(record: Record) -> bytes:
    lines = list(islice(lines_of(record), LINES + 1)) or [f"({record.verb})"]
    if len(lines) > LINES:
        lines[LINES:] = ["…"]
    unit = {
        "at": record.at,
        "protocol": record.protocol,
        "session": f"{record.protocol}-{record.session}",
        "direction": record.direction,
        "lines": [line if len(line) <= WIDTH else line[:WIDTH] + "…" for line in lines],
        "section": record.section,
        "fault": record.fault,
    }
    return f"data: {json.dumps(unit)}\n\n".encode()


# ── JSON ─────────────────────────────────────────────────────────────────────

# What a mail contains must not run, wherever it is shown.
_SEALED = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}


def mail_as_json(number: int | None, mail: Mail) -> dict[str, Any]:
    """Returns a mail with the names of its attributes. `id` is its number in order of arrival."""
    known = {} if number is None else {"id": number}
    return {**known, "at": mail.at, **mail.as_dict()}


def _room(network: str, name: str, topic: str, members: Iterable[str]) -> dict[str, Any]:
    return {"network": network, "name": name, "topic": topic, "members": list(members)}


def _json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    # A mail may hold what is no text in UTF-8.
    text = text.encode("utf-8", "replace").decode()
    headers = {"X-Content-Type-Options": "nosniff", **(headers or {})}
    return Response(status, text, "application/json", headers=headers)


def _object(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(request.body)
        # An escape may stand for half of a character, which nothing can send.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Mistake(400, "the body is not JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise Mistake(400, 'the body is not an object, such as {"address": "dora@example.test"}')
    return found


def _known(query: Iterable[str], record: Arrivals[Mail]) -> None:
    for name in query:
        if name not in record.criteria:
            known = ", ".join([*record.criteria, *_WAITING])
            raise Mistake(400, f"unknown parameter {name!r}; there are {known}")


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Mistake(400, f"{name}: {text!r} is not a number")
    return int(text)


def _seconds(query: Mapping[str, str]) -> float:
    text = query.get("timeout", str(TIMEOUT))
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise Mistake(400, f"timeout: {text!r} is not a number of seconds")
    return min(float(text), LONGEST)


def is_local(host: str) -> bool:
    """Whether a Host field, or an address to listen on, is this machine's loopback."""
    name = host
    if host.count(":") <= 1 or host.startswith("["):  # otherwise it is an IPv6 address to listen on
        match = _HOST.fullmatch(host)
        name = (match[1] or match[2] or "").lower() if match else ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def description() -> dict[str, Any]:
    """Returns the description of the API, for tools that read OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for pattern, methods in _ROUTES.items():
        name = "address" if "people" in pattern.pattern else "id"
        path = pattern.pattern.replace("([^/]+)", f"{{{name}}}")
        inside: list[dict[str, Any]] = []
        if f"{{{name}}}" in path:
            inside.append({"name": name, "in": "path", "required": True})
        for method, handler in methods.items():
            query = [{"name": one, "in": "query"} for one in _QUERIES.get(handler, ())]
            text = {"schema": {"type": "string"}}
            operation: dict[str, Any] = {
                "summary": handler.__doc__,
                "operationId": handler.__name__,
                "parameters": [{**one, **text} for one in (*inside, *query)],
                "responses": {"default": {"description": 'JSON; an error is {"error": TEXT}'}},
            }
            if method == "POST":
                operation["requestBody"] = {"content": {_BODIES.get(handler, "text/plain"): text}}
            paths.setdefault(path, {})[method.lower()] = operation
    info = {"title": "fakes", "version": VERSION, "description": "A world of fake servers."}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


_CRITERIA = ("subject", "to", "sender", "text", "since")
# The parameters of a request, and the type of its body, where that is not text.
_QUERIES: dict[Callable[..., object], tuple[str, ...]] = {
    Control.list_mails: _CRITERIA,
    Control.wait_for_mails: (*_CRITERIA, "n", "timeout"),
    Control.deliver: ("to", "sender"),
    Control.disarm: ("fault",),
    Control.cut: ("protocol",),
}
_BODIES: dict[Callable[..., object], str] = {
    Control.add_person: "application/json",
    Control.skip: "application/json",
    Control.deliver: "message/rfc822",
}

_ROUTES: dict[re.Pattern[str], dict[str, Callable[..., object]]] = {
    re.compile("/world"): {"GET": Control.show_world},
    re.compile("/people"): {"POST": Control.add_person},
    re.compile("/people/([^/]+)/inbox"): {"GET": Control.show_inbox},
    re.compile("/mails"): {
        "GET": Control.list_mails,
        "POST": Control.deliver,
        "DELETE": Control.purge,
    },
    re.compile("/mails/wait"): {"GET": Control.wait_for_mails},
    re.compile("/mails/([^/]+)"): {"GET": Control.show_mail},
    re.compile("/mails/([^/]+)/raw"): {"GET": Control.show_raw_mail},
    re.compile("/messages"): {"GET": Control.list_messages},
    re.compile("/rooms"): {"GET": Control.list_rooms},
    re.compile("/faults"): {
        "GET": Control.list_faults,
        "POST": Control.arm,
        "DELETE": Control.disarm,
    },
    re.compile("/clock"): {"GET": Control.show_clock, "POST": Control.skip},
    re.compile("/connections"): {"DELETE": Control.cut},
    re.compile("/wire"): {"GET": Control.show_wire},
    re.compile("/units"): {"GET": Control.show_units},
    re.compile("/openapi"): {"GET": Control.show_description},
}

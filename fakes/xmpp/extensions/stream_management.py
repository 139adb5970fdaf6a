"""XEP-0198 (1.6.3): acknowledgements, and the resumption of a session on another connection.

Both sides count the stanzas that they have handled since `<enable/>`, modulo 2³². What the client
has not acknowledged stays in a queue. If the connection is lost, the session waits for RESUME_TIME
seconds; a stream of the same account resumes it, and gets the queue again. A session that is not
resumed ends, and its queue goes where it would have gone without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar
from xml.etree.ElementTree import Element

from fakes.wire import Refuse, TlsFacts, Unit, Want, rule
from fakes.xmpp.extension import Extension, Verb
from fakes.xmpp.markup import STANZA_ERRORS, element
from fakes.xmpp.offline import with_delay
from fakes.xmpp.refusals import StreamError
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import Stanza, StanzaError

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

SM = "urn:xmpp:sm:3"
MODULO = 1 << 32
RESUME_TIME = 300  # seconds for which a session waits for another connection
QUEUE = 5000  # stanzas that wait for an acknowledgement, before the session ends
ENDED = 1000  # sessions whose last count is remembered after their end


class Managed:
    """The counters and the queue of one session.

    It is the observer of the stream, and the outlet of the session while there is no stream.
    """

    def __init__(self, service: Service, stream: Xmpp, resource: Resource, id: str) -> None:
        self.resource = resource
        self.id = id
        self.stream: Xmpp | None = stream
        self.wait = 0  # seconds for another connection; 0 if the client did not ask for it
        self.handled = 0  # stanzas of the client
        self.acknowledged = 0  # stanzas that the client has handled
        # Those that it has not, and when they were sent.
        self.queue: deque[tuple[float, Stanza]] = deque()
        self._requested = False  # an acknowledgement, and it has not come yet
        self._service = service

    def received(self) -> None:
        self.handled = (self.handled + 1) % MODULO

    def sent(self, stanza: Stanza) -> None:
        stream = self.stream
        self.queue.append((self._service.runtime.now(), stanza))
        if stream is None:
            return
        if len(self.queue) > QUEUE:
            stream.end("resource-constraint", f"{QUEUE} stanzas are not acknowledged")
        elif not self._requested:
            self._requested = True
            stream.send_element(element(f"{{{SM}}}r"), "XEP-0198 §4")

    def acknowledge(self, h: int) -> bool:
        """The client has handled `h` stanzas in all. False if that is more than were sent."""
        count = (h - self.acknowledged) % MODULO
        if count > len(self.queue):
            return False
        for _ in range(count):
            self.queue.popleft()
        self.acknowledged = h
        self._requested = False
        return True

    def resume(self, stream: Xmpp) -> None:
        """Goes on with another stream: sends again what was not acknowledged."""
        self.stream = stream
        self.resource.outlet = stream
        waiting, self.queue = self.queue, deque()
        self._requested = False
        stream.observer = self
        for at, stanza in waiting:
            if stanza.kind == "message":
                # As Prosody and ejabberd do: when it was sent first (XEP-0203).
                stanza = with_delay(stanza, self.resource.jid.domain, at)
            stream.send_stanza(stanza, "XEP-0198 §5")

    # ── the outlet of a session without a stream ─────────────────────────────

    def deliver(self, stanza: Stanza) -> None:
        self.queue.append((self._service.runtime.now(), stanza))
        if len(self.queue) > QUEUE:
            self._service.unbind(self.resource)

    def end(self, condition: str, text: str = "") -> None:
        """Nobody listens."""

    def cut(self, want: Want) -> None:
        """There is no connection."""


class StreamManagement(Extension):
    """The sessions that are managed, by their ids."""

    name = "stream-management"
    section = "XEP-0198"
    verbs: ClassVar[dict[str, Verb]] = {
        # Out of turn they are answered, too (XEP-0198 §6).
        "enable": Verb(f"{{{SM}}}enable", rule("OPEN LOGIN BOUND", "XEP-0198 §3")),
        "resume": Verb(
            f"{{{SM}}}resume", rule("OPEN LOGIN BOUND", "XEP-0198 §5", then="OPEN LOGIN BOUND")
        ),
        "r": Verb(f"{{{SM}}}r", rule("BOUND", "XEP-0198 §4")),
        "a": Verb(f"{{{SM}}}a", rule("BOUND", "XEP-0198 §4")),
    }

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._sessions: dict[str, Managed] = {}
        # The account, and the count of handled stanzas, of sessions that have ended, by id.
        self._ended: dict[str, tuple[str, int]] = {}

    def stream_features(self) -> Iterable[Element]:
        return (element(f"{{{SM}}}sm"),)

    def handle(self, stream: Xmpp, unit: Unit) -> None:
        asked = unit.content.attributes
        if unit.verb == "enable":
            answer, observer = self._enable(stream, asked)
            stream.send_element(answer, "XEP-0198 §3")
            stream.observer = observer or stream.observer
        elif unit.verb == "resume":
            stream.send_element(self._resume(stream, asked), "XEP-0198 §5")
            self.success_sent(stream)
        elif not isinstance(managed := stream.observer, Managed):
            stream.send_element(_failed("unexpected-request"), "XEP-0198 §3")
        elif unit.verb == "r":
            answer = element(f"{{{SM}}}a", {"h": str(managed.handled)})
            stream.send_element(answer, "XEP-0198 §4")
        else:
            self._acknowledge(managed, _count(asked.get("h", "")))

    # ── inside a login (XEP-0198 §9) ─────────────────────────────────────────

    def inline_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        return self.stream_features()

    def bind_features(self) -> Iterable[str]:
        return (SM,)

    def logged_in(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        # XEP-0198 §9.2.1: if this fails, the login goes on
        asked = request.find(f"{{{SM}}}resume")
        return () if asked is None else (self._resume(stream, asked.attrib),)

    def bound(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        asked = request.find(f"{{{SM}}}enable")
        if asked is None:
            return ()
        answer, stream.observer = self._enable(stream, asked.attrib)
        return (answer,)

    def success_sent(self, stream: Xmpp) -> None:
        """Sends again what was not acknowledged, if the stream goes on with a session."""
        resource = stream.resource
        managed = resource.extension_data.get(self.name) if resource is not None else None
        if isinstance(managed, Managed) and managed.stream is not stream:
            managed.resume(stream)

    # ── managing, and resuming ───────────────────────────────────────────────

    def _enable(self, stream: Xmpp, asked: dict[str, str]) -> tuple[Element, Managed | None]:
        """Manages the session; returns the answer, and the observer of the stream."""
        resource = stream.resource
        if resource is None or stream.observer is not None:
            return _failed("unexpected-request"), None  # XEP-0198 §3: once, after binding
        managed = Managed(self.service, stream, resource, self.service.runtime.token(20))
        resource.extension_data[self.name] = managed
        attributes: dict[str, str | None] = {}
        if asked.get("resume") in ("true", "1"):
            wish = _count(asked.get("max", ""))
            managed.wait = RESUME_TIME if wish is None else min(wish, RESUME_TIME)
            self._sessions[managed.id] = managed
            attributes = {"id": managed.id, "resume": "true", "max": str(managed.wait)}
        return element(f"{{{SM}}}enabled", attributes), managed

    def _acknowledge(self, managed: Managed, h: int | None) -> None:
        if h is None:
            raise Refuse(StreamError("policy-violation", "h is not a number"), "XEP-0198 §4")
        if not managed.acknowledge(h):
            sent = (managed.acknowledged + len(managed.queue)) % MODULO
            counts: dict[str, str | None] = {"h": str(h), "send-count": str(sent)}
            extra = element(f"{{{SM}}}handled-count-too-high", counts)
            text = f"{h} stanzas are acknowledged, but {sent} were sent"
            raise Refuse(StreamError("undefined-condition", text, extra), "XEP-0198 §6")

    def _resume(self, stream: Xmpp, asked: dict[str, str]) -> Element:
        """Makes the stream the connection of a session; returns the answer. Raises Refuse."""
        if stream.resource is not None or not stream.user:
            # XEP-0198 §5, §10: a session is bound already, or nobody has logged in
            return _failed("unexpected-request")
        id, h = asked.get("previd", ""), _count(asked.get("h", ""))
        managed = self._sessions.get(id)
        # A session is resumed by its own account only. For all others it does not exist.
        if managed is None or managed.resource.account.address != stream.user:
            owner, handled = self._ended.get(id, ("", 0))
            return _failed("item-not-found", str(handled) if owner == stream.user else None)
        self._acknowledge(managed, h)
        old = managed.stream
        if old is not None:
            old.observer = old.resource = None
            old.end("conflict", "the session goes on with another stream")
        self.service.runtime.timers.cancel(_timer(managed))
        stream.attach(managed.resource)
        return element(f"{{{SM}}}resumed", {"previd": id, "h": str(managed.handled)})

    # ── the end of a connection, and of a session ────────────────────────────

    def keeps_session(self, resource: Resource) -> bool:
        managed = resource.extension_data.get(self.name)
        if not isinstance(managed, Managed) or not managed.wait:
            return False
        managed.stream = None
        resource.outlet = managed
        due = self.service.runtime.now() + managed.wait
        timers = self.service.runtime.timers
        timers.at(_timer(managed), due, lambda: self.service.unbind(resource))
        return True

    def session_ends(self, resource: Resource) -> None:
        managed = resource.extension_data.pop(self.name, None)
        if not isinstance(managed, Managed):
            return
        self.service.runtime.timers.cancel(_timer(managed))
        if self._sessions.pop(managed.id, None) is not None:
            self._ended[managed.id] = (resource.account.address, managed.handled)
            if len(self._ended) > ENDED:
                del self._ended[next(iter(self._ended))]
        waiting, managed.queue = managed.queue, deque()
        for at, stanza in waiting:
            self._redirect(resource, stanza, at)

    def _redirect(self, resource: Resource, stanza: Stanza, at: float) -> None:
        """XEP-0198 §4: what was not acknowledged goes on as if the resource had not been there.

        The receiver can tell when it was sent, and that it may have arrived before: it has a stamp
        of then, and the id that the account has given it.
        """
        bare = resource.account.address
        if stanza.sender in (None, bare):
            return
        if stanza.kind == "message" and stanza.type not in ("error", "groupchat", "headline"):
            again = with_delay(stanza.replace(to=bare), resource.jid.domain, at)
            self.service.dispatcher.deliver_again(resource.account, again)
        elif stanza.kind == "iq" and stanza.type in ("get", "set"):
            answer = stanza.replace(to=resource.jid.text).error(
                StanzaError("recipient-unavailable")
            )
            self.service.router.route(answer)


def _failed(condition: str, h: str | None = None) -> Element:
    return element(f"{{{SM}}}failed", {"h": h}, f"{{{STANZA_ERRORS}}}{condition}")


def _count(text: str) -> int | None:
    """Reads a number below 2³²; None if the text is not one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) < MODULO else None


def _timer(managed: Managed) -> str:
    return f"xmpp resumption {managed.id}"

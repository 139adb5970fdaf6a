"""The connection of one account: established, watched, and established again after a loss.

A `Connection` sends and receives stanzas (filters, ids, answers to requests), and deals with a
silent server and a lost link. The `handle` callback decides what a received stanza does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from comms.callbacks import call
from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.link import MOMENT, STOPPING
from comms.xmpp import srv, stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.inbox import Inbox
from comms.xmpp.keeper import Keeper
from comms.xmpp.questions import Questions
from comms.xmpp.resumption import Resumption
from comms.xmpp.session import Redirected, ResourceTaken, Session, account
from comms.xmpp.stanzas import IQ, MESSAGE
from comms.xmpp.stream import Malformed

if TYPE_CHECKING:
    from comms.settings import Server

REDIRECTIONS = 5  # that are followed without a pause (RFC 6120 §4.9.3.19)
AT_ONCE = 10_000  # stanzas that one look takes in; the rest waits for the next

Filter = Callable[[Element], Element | None]


class DisconnectedByProgram(Unreachable):
    """We are offline because the program disconnected."""


class Connection:
    """An account's connection, which is not established until `connect` is called.

    `greet` is called with each new session, before the program can use it; `handle` with each
    stanza that arrives and passes the filters, and the bytes that it had; `lost` after a session
    has been lost. With a `resumption`, a session goes on after the loss of its connection; if it
    cannot, `unacknowledged` is called with each stanza that may not have arrived.
    """

    def __init__(
        self,
        server: Server,
        clock: Clock,
        host: Host,
        inbox: Inbox,
        questions: Questions,
        *,
        greet: Callable[[Session], None],
        handle: Callable[[Element, int], None],
        lost: Callable[[], None],
        unacknowledged: Callable[[Element], None] = lambda element: None,
        resumption: Resumption | None = None,
        open_session: type[Session] = Session,
    ) -> None:
        self._open_session = open_session
        self.incoming: list[Filter] = []
        self.outgoing: list[Filter] = []
        self.session: Session | None = None
        self._server, self._clock, self._host = server, clock, host
        self._inbox, self._questions = inbox, questions
        self._greet, self._handle, self._on_lost = greet, handle, lost
        self._unacknowledged, self._resumption = unacknowledged, resumption
        self._account = account(server).bare
        self._keeper = Keeper(clock, host, server.timeout)
        self._over: CommsError | None = None  # why no further attempt to connect is made
        self._error: CommsError | None = None  # why the last session was lost
        self._place: srv.Place | None = None  # where the server has sent us
        self._redirections = 0  # in a row
        self._new_resource = False  # ours is taken
        self._greeted = False  # `greet` has succeeded for the current session
        self._awaits_room = False  # for stanzas that must be kept

    @property
    def jid(self) -> Jid:
        """Our full address; without a resource while we are offline."""
        return self.session.jid if self.session is not None else self._account

    # ── connecting and disconnecting ─────────────────────────────────────────

    def connect(self) -> None:
        """Establishes the connection, where the server is or where it sends us.

        If that fails elsewhere, the next attempt begins at the old place again. Raises Unreachable,
        TryLater or Refused.
        """
        while True:
            place, self._place = self._place, None
            try:
                self._connect_to(place)
                return
            except Redirected as error:
                if not self._follows(error):
                    raise Unreachable(f"{error}; {REDIRECTIONS} such were followed") from None
                self._place = error.place
            except CommsError as error:
                if place is None or isinstance(error, ResourceTaken):
                    raise
                # Only the old place can say that another attempt is pointless.
                raise Unreachable(f"the server has sent us elsewhere: {error}") from None

    def _connect_to(self, place: srv.Place | None) -> None:
        self._over, self._greeted = None, False
        session = self._open_session(
            self._server,
            self._clock,
            self._host,
            place=place,
            new_resource=self._new_resource,
            resumption=self._resumption,
        )
        self._new_resource = False
        self.session, self._account = session, session.jid.bare
        self._keeper.heard()
        if session.resumed:
            self._host.log("jabber-resumed", jid=str(session.jid))
            self._greeted = True
            self._keeper.backoff.succeeded()
            return
        if self._resumption is not None:
            self._on_lost()
        for element in session.lost:
            self._unacknowledged(element)
        try:
            self._greet(session)
        except BaseException as error:
            lost, self.session = self.session is None, None
            session.close()
            if lost and self._error is not None and isinstance(error, Unknown):
                # Greeting has no effects that could be in doubt: to the caller, the attempt failed.
                raise self._error from None
            raise
        self._greeted = True
        self._keeper.backoff.succeeded()

    def _follows(self, error: Redirected) -> bool:
        """Returns whether to go where the server sends us. A few times in a row, at most."""
        self._redirections += 1
        if self._redirections > REDIRECTIONS:
            return False
        self._host.log("jabber-redirected", trouble=str(error))
        return True

    def disconnect(self) -> None:
        """Goes offline. What was sent arrives first; what still arrives here is handled."""
        session, self.session = self.session, None
        self._over = self._over or DisconnectedByProgram(
            "disconnected by the program; reconnect() connects again"
        )
        if session is not None:
            session.close(self._filter_and_handle)
        self._on_lost()
        lost = self._resumption.forget() if self._resumption is not None else []
        # If the server has answered the end of our stream, it has handled what came before it.
        for element in lost if session is None or not session.closed else ():
            self._unacknowledged(element)

    def required(self) -> Session:
        """Returns the session. Raises the reason why there is none."""
        if self.session is not None:
            return self.session
        if self._over is not None:
            raise self._over
        pause = max(0.0, self._keeper.backoff.due - self._clock.monotonic())
        raise Unreachable(f"offline; the next attempt to connect is in {pause:.0f} s")

    def _lose(self, error: CommsError) -> None:
        session, self.session = self.session, None
        self._error = error
        if session is not None:
            session.link.abort()
        if self._resumption is None or not self._resumption.id:
            self._on_lost()
        # A session that is lost while it is being greeted is reported by `connect`.
        if self._greeted:
            self._retry_later(error)

    def _retry_later(self, error: CommsError) -> None:
        """Schedules the next attempt to connect, unless the error shows that it is pointless."""
        if isinstance(error, Redirected) and self._follows(error):
            self._place = error.place  # the next attempt is due at once
            return
        self._redirections = 0
        if isinstance(error, ResourceTaken):
            self._new_resource = True  # RFC 6120 §7.7.2.2: never ask for the same one again
        elif isinstance(error, Refused):
            self._over = error
            return
        pause = self._keeper.backoff.failed()
        self._host.log("jabber-off-line", "warning", trouble=str(error), again=f"{pause:.0f}s")

    def _keep(self) -> None:
        """Does what is due: reconnects, pings a silent server, or drops the connection to it."""
        if self._over is not None:
            return
        step = self._keeper.step(self.session is not None)
        if step == "connect":
            try:
                self.connect()
                self._host.log("jabber-on-line", jid=str(self.jid))
            except CommsError as error:
                self._retry_later(error)
        elif step == "ping":
            self._keeper.pinged()
            # If the connection is lost with the ping, `_lose` has already dealt with it.
            with contextlib.suppress(CommsError):
                self.send(stanzas.iq("get", Element(f"{{{stanzas.PING}}}ping")))
        elif step == "give up":
            silence = self._keeper.silence
            self._lose(Unreachable(f"the server has sent nothing for {silence:.0f} s"))

    # ── sending ──────────────────────────────────────────────────────────────

    def send(self, element: Element) -> None:
        """Writes a stanza, with an id if it needs one.

        Raises Unreachable if we are offline, Unknown if the connection is lost, and ValueError for
        a stanza that is too long. One that is ended for its length would take the stream with it.
        With a resumption, raises Unreachable if the server acknowledges nothing, and TryLater if
        too many messages wait to be taken before its acknowledgements.
        """
        if element.tag in (MESSAGE, IQ) and not element.get("id"):
            element.set("id", self.next_id())
        passed = self._filtered(element, self.outgoing)
        data = stanzas.checked_bytes(passed) if passed is not None else b""
        self._await_room(self.required())
        session = self.required()
        try:
            if passed is not None:
                session.send_kept(passed, data)
        except CommsError as error:
            self._lose(error)
            # What is kept is sent again when the session goes on, or reported if it does not.
            kept = not isinstance(error, Malformed)
            if not kept or self._resumption is None or not self._resumption.id or self._over:
                raise

    def _await_room(self, session: Session) -> None:
        """Waits for acknowledgements, if no more can be kept. Raises Unreachable, TryLater."""
        resumption = self._resumption
        # What arrives meanwhile may be answered; these answers do not wait.
        if resumption is None or not resumption.is_full or self._awaits_room:
            return
        self._awaits_room = True
        try:
            until = self._clock.time() + self._server.timeout

            def done() -> bool:
                return not resumption.is_full or self.session is not session

            self.attend(done, until, for_answer=True)
        finally:
            self._awaits_room = False
        if not done():
            error = Unreachable("what was sent was not acknowledged; nothing more is sent")
            self._lose(error)
            raise error

    def request(self, query: Element, timeout: float) -> Element:
        """Sends an IQ of type get or set and returns the result.

        Raises what `Question.result` raises, and what `send` raises.
        """
        session = self.required()
        with self._questions.ask(query, self.next_id(), self.jid) as question:
            self.send(query)

            def done() -> bool:
                return question.answer is not None or self.session is not session

            self.attend(done, self._clock.time() + timeout, for_answer=True)
        return question.result(timeout, self._error if self.session is not session else None)

    def confirm(self) -> None:
        """Lets the server forget what the program has taken. Does nothing without a resumption."""
        if self._resumption is None or not self._resumption.confirm() or self.session is None:
            return  # a session that goes on will say it
        try:
            self.session.acknowledge()
        except CommsError as error:
            self._lose(error)

    def next_id(self) -> str:
        """Returns an id for a stanza."""
        # RFC 6120 §8.1.3: unique, and impossible to guess for others who would like to answer.
        return self._host.token(12)

    # ── receiving ────────────────────────────────────────────────────────────

    def look(self, waiting: Container[Any]) -> None:
        """Takes in everything that has arrived, without waiting for more.

        Raises why we are offline for good, but not before `waiting` is empty: what arrived before
        the end can still be taken.
        """
        # Take first: the answer to our ping may have arrived, and then the server is not silent.
        self._take_all()
        self._keep()
        self._take_all()
        self._inbox.dispatch()
        if (
            self._over is not None
            and not isinstance(self._over, DisconnectedByProgram)
            and not waiting
        ):
            raise self._over

    def attend(
        self,
        done: Callable[[], bool],
        until: float | None,
        for_answer: bool = False,
    ) -> None:
        """Takes in what arrives until `done()`, until the time, or until the program is stopped.

        A server that sends without end cannot keep us here. Raises why we are offline for good.
        With `for_answer`, handlers are not called, because the caller is in the middle of an
        operation, and the inbox may grow beyond its usual size.
        """
        clock = self._clock
        # On the monotonic clock, because the other one may be set back meanwhile.
        end = None if until is None else clock.monotonic() + until - clock.time()
        or_stop, stopping = True, False
        while True:
            took = self._take_one(for_answer)
            if not for_answer:
                self._inbox.dispatch()
            if done() or isinstance(self._over, DisconnectedByProgram):
                return
            if self._over is not None:
                raise self._over
            now = clock.monotonic()
            if not stopping and clock.stopping():
                # An operation is finished, even if we are asked to stop, but quickly then.
                stopping, end = True, min(now + STOPPING, now + STOPPING if end is None else end)
            if end is not None and now >= end - MOMENT:
                return
            if took:
                continue
            keep_at = self._keeper.due(self.session is not None)
            due = keep_at if end is None else min(end, keep_at)
            # Inbox full: do not wake up for readable data, because it could not be taken anyway.
            link = (
                self.session.link if self.session is not None and self._inbox.has_room() else None
            )
            if clock.wait(link, clock.time() + max(0.0, due - now), or_stop):
                continue
            if or_stop and clock.monotonic() < due - MOMENT:
                # We are asked to stop, or in a rehearsal the play is over. Only a wait without a
                # time ends with the play.
                if until is None or (clock.stopping() and not for_answer):
                    return
                or_stop = False
            elif end is None or clock.monotonic() < end - MOMENT:
                self._keep()

    def _take_all(self) -> None:
        for _ in range(AT_ONCE):
            if not self._take_one():
                break

    def _take_one(self, for_answer: bool = False) -> bool:
        """Handles one stanza. Returns False if none has arrived, or if the inbox is full."""
        session = self.session
        if session is None:
            return False
        if not self._inbox.has_room(4 if for_answer else 1):
            if for_answer:
                raise TryLater(
                    "too many messages wait to be taken: call received_messages() more often"
                )
            # The rest waits in the kernel and finally in the server, where it costs us no memory.
            return False
        try:
            element = session.receive(self._clock.time())
        except CommsError as error:
            self._lose(error)
            return False
        if element is None:
            return False
        self._keeper.heard()
        self._filter_and_handle(element, session.size)
        return True

    def _filter_and_handle(self, element: Element, size: int) -> None:
        filtered = self._filtered(element, self.incoming) if self.incoming else element
        if filtered is not None:
            self._handle(filtered, size)

    def _filtered(self, element: Element, filters: list[Filter]) -> Element | None:
        """Returns what the filters make of a stanza; None if one drops it or raises."""
        passed: Element | None = element
        for apply in filters:
            if passed is not None:
                _, passed = call(self._host, apply, passed)
        return passed

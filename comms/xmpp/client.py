"""A Jabber client that blocks, after Ruby's Jabber::Simple: polled or by callback, in the caller's own thread.

    with Client(settings.server("xmpp"), clock, host) as jabber:
        jabber.deliver("them@example.test", "Hello!")         # asks for authorisation, and waits for it
        for _ in clock.every(3):                               # polled …
            for message in jabber.received_messages():
                jabber.send(message.reply("Hello yourself."))

        @jabber.on_message                                     # … or by callback: `wait` calls it
        def hello(message):
            jabber.send(message.reply("Hello yourself."))
        jabber.wait()                                          # until the program is asked to stop

What is handed out is what may be acted on (see stanzas.why_not): the rest is logged. When the link is lost the client
comes back by itself, after a pause that grows and holds chance; what was sent is never sent again.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Collection, Container
from typing import Any, TypeVar
from xml.etree.ElementTree import Element

from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.settings import Server
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.inbox import Inbox, take
from comms.xmpp.outbox import Outbox
from comms.xmpp.roster import Contact, Roster, roster_set
from comms.xmpp.session import Session
from comms.xmpp.stanzas import IQ, MESSAGE, PRESENCE, ROOM_USER, ROSTER, Message, Presence
from comms.xmpp.stream import split_tag, to_bytes

AT_ONCE = 10_000  # stanzas that one look takes in; the rest waits for the next
ROOMS = 1000  # rooms that are remembered as such
STANZA = 10_000  # octets that every server takes (RFC 6120 §13.12); more could cost the stream
QUIET = 180.0  # seconds of silence after which the server is asked whether it is there (XEP-0199)
FIRST_PAUSE = (
    30.0  # seconds before the first try to come back: a chance between 0 and this (RFC 6120 §3.3);
)
LONGEST_PAUSE = 600.0  # it doubles from try to try, up to this

Filter = Callable[[Element], Element | None]
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Client:
    """An account that is on line. Raises Unreachable, TryLater or Refused when it cannot get there the first time.

    `accept_subscriptions`: whose wish to see our presence is granted at once: nobody's (False), everybody's (True), or
    that of these addresses; the others' are in `subscription_requests`. `delayed`: messages that were stored while we
    were away are handed out too.
    """

    def __init__(
        self,
        server: Server,
        clock: Clock,
        host: Host,
        *,
        accept_subscriptions: bool | Collection[str] = False,
        delayed: bool = False,
    ) -> None:
        self.server = server
        self.roster = Roster()
        self._accepted: bool | frozenset[Jid] = False
        self.accept_subscriptions = accept_subscriptions
        self.delayed = delayed
        self.incoming: list[
            Filter
        ] = []  # each is given every stanza: it passes it, changes it, or (None) drops it
        self.outgoing: list[Filter] = []
        self._clock, self._host = clock, host
        self._session: Session | None = None
        self._over: CommsError | None = None  # why there is no coming back
        self._settled = False  # the session has come as far as our presence
        self._trouble: CommsError | None = None  # why the link was lost last
        self._tries = 0
        self._retry_at = 0.0
        self._heard_at = self._asked_at = 0.0
        self._status = stanzas.presence()
        self._answers: dict[str, Element | None] = {}  # id → the answer that we wait for
        self._answerers: dict[str, set[Jid | None]] = {}
        self._awaited: dict[
            Jid, CommsError | None
        ] = {}  # whose authorisation we wait for → their refusal
        self._rooms: dict[Jid, None] = {}
        self._inbox = Inbox(host)
        self._queries: dict[str, Callable[[Element], Element | None]] = {}
        self._connect()

    # ── being there ──────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.disconnect()

    @property
    def jid(self) -> Jid:
        """Our full address; without a resource while we are off line."""
        return self._session.jid if self._session is not None else self._account

    @property
    def connected(self) -> bool:
        """Whether we are on line, as far as we have heard."""
        return self._session is not None

    def disconnect(self) -> None:
        """Leaves, for good or until `reconnect`. What was sent is on the wire; what still comes can be taken."""
        session, self._session = self._session, None
        self._over = self._over or _Left("we have left; reconnect() comes back")
        if session is not None:
            session.close(self._handle)

    def reconnect(self) -> None:
        """Comes back at once. Raises Unreachable, TryLater or Refused."""
        self.disconnect()
        self._connect()

    @property
    def accept_subscriptions(self) -> bool | Collection[str]:
        """Whose wish to see us is granted at once. Setting it raises ValueError for what is no address."""
        return (
            self._accepted
            if isinstance(self._accepted, bool)
            else [str(one) for one in sorted(self._accepted)]
        )

    @accept_subscriptions.setter
    def accept_subscriptions(self, who: bool | Collection[str]) -> None:
        self._accepted = (
            who if isinstance(who, bool) else frozenset(Jid.parse(one).bare for one in who)
        )

    def status(self, show: str = "", text: str = "", priority: int = 0) -> None:
        """How we can be reached: `show` is away, chat, dnd, xa, or nothing; told again whenever we come back."""
        self._status = stanzas.presence(show=show, text=text, priority=priority)
        if self._session is not None:
            self.send(self._status)

    def wait(self, until: float | None = None) -> None:
        """Runs the handlers for whatever comes, until the time is come; without one, until the program is asked to stop.

        Comes back when the link is lost. Raises Refused when that is pointless.
        """
        self._attend(lambda: False, until, or_stop=until is None)

    # ── talking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def deliver(
        self,
        to: str | Jid,
        text: str,
        wait: float = 60.0,
        later: Outbox | None = None,
        kind: str = "chat",
    ) -> bool:
        """Sends a message to somebody who has authorised us. Who has not is asked, and has `wait` seconds to do so.

        With `later`, nobody waits: the message is stored there and goes when they have. True when it is on its way.
        Raises TryLater when the authorisation does not come in time, Refused when it is refused or the address is
        unknown, Unreachable, Unknown (it may have gone), ValueError for an address or a text that cannot be.
        """
        address = Jid.of(to)
        element = stanzas.message(address, text, kind)
        if len(to_bytes(element)) > STANZA:
            raise ValueError(
                f"the text is too long for one message ({STANZA} octets, RFC 6120 §13.12): split it"
            )
        self._look(())
        if later is not None and not (self.connected and self.subscribed_to(address)):
            later.put(str(address), text, self._clock.time(), kind)
            if self.connected:
                self.ask(address)
            return False
        if not self.subscribed_to(address):
            self._await_authorisation(address, wait)
        self.send(element)
        return True

    def send(self, element: Element) -> None:
        """Writes a stanza as it is. Raises Unreachable when we are off line, Unknown when the link is lost with it."""
        if element.tag in (MESSAGE, IQ) and not element.get("id"):
            element.set("id", self._next_id())
        passed = self._filtered(element, self.outgoing)
        session = self._on_line()
        try:
            if passed is not None:
                session.send(passed)
        except CommsError as error:
            self._lost(error)
            raise

    def request(self, query: Element, timeout: float | None = None) -> Element:
        """Asks (`stanzas.iq`), and gives the result. Only who was asked can answer (RFC 6120 §8.1.2.1).

        Raises Refused or TryLater for an answer of type error, TryLater when there is none in time, Unknown when the
        link is lost before it came.
        """
        session = self._on_line()
        id = self._next_id()
        query.set("id", id)
        self._answers[id] = None
        self._answerers[id] = self._who_answers(query.get("to"))
        try:
            self.send(query)
            until = self._clock.time() + (timeout or self.server.timeout)
            self._attend(
                lambda: self._answers[id] is not None or self._session is not session,
                until,
                for_answer=True,
            )
            answer = self._answers[id]
        finally:
            del self._answers[id], self._answerers[id]
        about = split_tag(query[0])[0] if len(query) else "nothing"
        asked = f"the query to {query.get('to') or self.jid.domain} about {about}"
        if answer is None:
            if self._session is not session:
                raise Unknown(f"{asked}: the link was lost before the answer came: {self._trouble}")
            raise TryLater(f"{asked}: no answer within {timeout or self.server.timeout:g} s")
        if answer.get("type") == "error":
            raise stanzas.trouble(answer, asked)
        return answer

    # ── the contact list ─────────────────────────────────────────────────────────────────────────────────────────

    def subscribed_to(self, who: str | Jid) -> bool:
        """Whether they have authorised us (we ourselves always have)."""
        address = Jid.of(who).bare
        contact = self.roster.get(address)
        return address == self.jid.bare or (contact is not None and contact.seen)

    def add(self, who: str | Jid, name: str = "", groups: Collection[str] = ()) -> None:
        """Puts somebody on the list and asks for authorisation. Raises ValueError, Refused, TryLater, Unreachable."""
        address = Jid.of(who).bare
        self.request(stanzas.iq("set", roster_set(address, name, tuple(groups))))
        self.ask(address)

    def ask(self, who: Jid) -> None:
        """Asks for authorisation, unless they have given it, or were asked and have not answered yet."""
        contact = self.roster.get(who.bare, Contact(who.bare))
        if not contact.seen and not contact.asked:
            self.send(stanzas.presence(who.bare, "subscribe"))

    def remove(self, who: str | Jid) -> None:
        """Takes somebody off the list; neither sees the other any more. Raises Refused when they are not on it."""
        address = Jid.of(who).bare
        self.request(stanzas.iq("set", roster_set(address, remove=True)))

    def accept(self, who: str | Jid) -> None:
        """Lets somebody see our presence; before they have asked: as soon as they do, if the server can (RFC 6121 §3.4)."""
        self._answer_request(who, "subscribed")

    def deny(self, who: str | Jid) -> None:
        """Refuses somebody who asked to see our presence, or ends it for somebody who could."""
        self._answer_request(who, "unsubscribed")

    # ── what has come, polled ────────────────────────────────────────────────────────────────────────────────────

    def received_messages(self) -> list[Message]:
        """The messages since the last call, oldest first: those that may be acted on."""
        self._look(self._inbox.messages)
        return list(self._inbox.take_messages())

    def presence_updates(self) -> list[Presence]:
        """The contacts that can be reached otherwise than at the last call, each once."""
        self._look(self._inbox.presence)
        return list(self._inbox.take_presence())

    def new_subscriptions(self) -> list[Presence]:
        """Who has authorised us since the last call."""
        self._look(self._inbox.subscriptions)
        return list(take(self._inbox.subscriptions))

    def subscription_requests(self) -> list[Presence]:
        """Who has asked to see us since the last call (`text` is what they say), and waits for accept or deny."""
        self._look(self._inbox.requests)
        return list(take(self._inbox.requests))

    # ── what has come, by callback ───────────────────────────────────────────────────────────────────────────────

    def on_message(self, handler: _Handler) -> _Handler:
        """Has `wait` call this with every message, instead of keeping it for `received_messages`."""
        return self._on("message", handler)

    def on_presence(self, handler: _Handler) -> _Handler:
        """Has `wait` call this with every presence update."""
        return self._on("presence", handler)

    def on_new_subscription(self, handler: _Handler) -> _Handler:
        """Has `wait` call this with everybody who authorises us."""
        return self._on("new-subscription", handler)

    def on_subscription_request(self, handler: _Handler) -> _Handler:
        """Has `wait` call this with everybody who asks to see us."""
        return self._on("subscription-request", handler)

    def on_query(self, namespace: str, handler: Callable[[Element], Element | None]) -> None:
        """Has this answer every query (iq get and set) about a namespace, polled or not.

        It gives the content of the result (or None), or a whole answer: `stanzas.error(query, "forbidden", "auth")`.
        """
        self._queries[namespace] = handler

    def _on(self, kind: str, handler: _Handler) -> _Handler:
        self._inbox.on(kind, handler)
        return handler

    # ── the link ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _connect(self) -> None:
        """On line: logged in, the list fetched, our presence told. Raises Unreachable, TryLater, Refused."""
        self._over, self._settled = None, False
        session = Session(self.server, self._clock, self._host)
        self._session, self._account = session, session.jid.bare
        self._heard_at, self._asked_at = self._clock.time(), 0.0
        try:
            self._fetch_roster(session)
            self.send(self._status)
        except BaseException as error:
            lost, self._session = self._session is None, None
            session.close()
            if lost and self._trouble is not None and isinstance(error, Unknown):
                raise self._trouble from None  # the link was lost, and nothing has happened yet
            raise
        self._settled, self._tries = True, 0

    def _fetch_roster(self, session: Session) -> None:
        query = Element(f"{{{ROSTER}}}query")
        if session.features.find("{urn:xmpp:features:rosterver}ver") is not None:  # RFC 6121 §2.6
            query.set("ver", self.roster.version or "")
        else:
            self.roster.version = None
        try:
            self.roster.load(self.request(stanzas.iq("get", query)).find(query.tag))
        except Refused as trouble:  # RFC 6121 §2.1.4: a server without rosters
            self._host.log("jabber-no-roster", "warning", trouble=str(trouble))

    def _on_line(self) -> Session:
        """The session. Raises what stands in the way."""
        if self._session is not None:
            return self._session
        if self._over is not None:
            raise self._over
        raise Unreachable(
            f"off line; the next try is in {max(0.0, self._retry_at - self._clock.time()):.0f} s"
        )

    def _lost(self, error: CommsError) -> None:
        """The stream is over; nobody can be seen any more."""
        session, self._session = self._session, None
        self._trouble = error
        if session is not None:
            session.link.abort()
        for bare in self.roster.lose_sight():
            self._inbox.presence[bare] = Presence(bare, "unavailable")
        if self._settled:  # else `_connect` tells those who called it
            self._come_back_later(error)

    def _come_back_later(self, error: CommsError) -> None:
        """Plans the next try, unless the error says that it would be pointless."""
        if isinstance(error, Refused):
            self._over = error
            return
        pause = min(FIRST_PAUSE * 2**self._tries, LONGEST_PAUSE)
        pause *= (
            int(self._host.token(4), 36) / 36**4
        )  # all of a server's clients must not come back at once
        self._tries = min(self._tries + 1, 10)
        self._retry_at = self._clock.time() + pause
        self._host.log("jabber-off-line", "warning", trouble=str(error), again=f"{pause:.0f}s")

    def _keep(self) -> None:
        """Does what is due for the link: comes back, asks a silent server whether it is there, or gives it up."""
        now = self._clock.time()
        if now < self._keep_at or self._over is not None:
            return
        if self._session is None:
            try:
                self._connect()
                self._host.log("jabber-on-line", jid=str(self.jid))
            except CommsError as error:
                self._come_back_later(error)
        elif self._asked_at:
            self._lost(Unreachable(f"the server has said nothing for {now - self._heard_at:.0f} s"))
        else:
            self._asked_at = now
            with contextlib.suppress(CommsError):  # `_lost` knows
                self.send(stanzas.iq("get", Element(f"{{{stanzas.PING}}}ping")))

    @property
    def _keep_at(self) -> float:
        """When `_keep` is due."""
        if self._session is None:
            return self._retry_at
        return self._asked_at + self.server.timeout if self._asked_at else self._heard_at + QUIET

    def _look(self, waiting: Container[Any]) -> None:
        """Takes in what has come, without waiting. Raises why we are off line for good, once nothing `waiting` is left."""
        for step in (
            None,
            self._keep,
        ):  # first what has come: the answer to our asking may be among it
            if step is not None:
                step()
            for _ in range(AT_ONCE):
                if not self._take_one():
                    break
        self._inbox.dispatch()
        if self._over is not None and not isinstance(self._over, _Left) and not waiting:
            raise self._over

    def _attend(
        self,
        done: Callable[[], bool],
        until: float | None,
        or_stop: bool = False,
        for_answer: bool = False,
    ) -> None:
        """Takes what comes until `done`, the time, or the word to stop. Raises why we are off line for good.

        Waiting for an answer, handlers stay quiet, and more may pile up.
        """
        while True:
            took = self._take_one(for_answer)
            if not for_answer:
                self._inbox.dispatch()
            if done() or isinstance(self._over, _Left):
                return
            if self._over is not None:
                raise self._over
            if took:
                if until is None or self._clock.time() < until:
                    continue
                return
            due = self._keep_at if until is None else min(until, self._keep_at)
            # with no room for more, what can be read is nothing to wake up for
            link = self._session.link if self._session is not None and self._inbox.room() else None
            if self._clock.wait(link, due, or_stop):
                continue
            now = self._clock.time()
            if now < due or (until is not None and now >= until):
                return
            self._keep()

    def _take_one(self, for_answer: bool = False) -> bool:
        """Handles one stanza that has come; False when there is none, or no room for its message."""
        if self._session is None:
            return False
        if not self._inbox.room(4 if for_answer else 1):
            if for_answer:
                raise TryLater(
                    "too many messages wait to be taken: call received_messages() more often"
                )
            return False  # the rest waits in the kernel, and at last in the server
        try:
            element = self._session.receive(self._clock.time())
        except CommsError as error:
            self._lost(error)
            return False
        if element is None:
            return False
        self._heard_at, self._asked_at = self._clock.time(), 0.0
        self._handle(element)
        return True

    # ── stanzas ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, element: Element) -> None:
        filtered = self._filtered(element, self.incoming)
        if filtered is None:
            return
        handle = {
            MESSAGE: self._handle_message,
            PRESENCE: self._handle_presence,
            IQ: self._handle_query,
        }.get(filtered.tag)
        if handle is None:
            return
        try:
            handle(filtered)
        except ValueError as error:
            self._host.log("stanza-ignored", "warning", trouble=str(error))
        except CommsError:
            pass  # an answer that could not be sent: `_lost` has told why

    def _handle_message(self, element: Element) -> None:
        message = stanzas.read_message(element, self._clock.time())
        if message.kind == "error":
            self._host.log(
                "message-returned",
                "warning",
                by=str(message.sender),
                trouble=stanzas.condition(element),
            )
            return
        reason = stanzas.why_not(message, self.jid, self._rooms, self.delayed)
        if not reason:
            self._inbox.put(message, len(to_bytes(element)))
        elif message.text.strip():
            self._host.log(
                "message-ignored", "warning", sender=str(message.sender or ""), trouble=reason
            )

    def _handle_presence(self, element: Element) -> None:
        presence = stanzas.read_presence(element)
        sender = presence.sender
        if sender is None:
            return
        if element.find(f"{{{ROOM_USER}}}x") is not None:
            if len(self._rooms) >= ROOMS:
                del self._rooms[next(iter(self._rooms))]
            self._rooms[sender.bare] = None
        elif presence.kind == "subscribe":
            if self._accepted is True or (
                not isinstance(self._accepted, bool) and sender.bare in self._accepted
            ):
                self.send(stanzas.presence(sender.bare, "subscribed"))
            else:
                self._inbox.put_person(self._inbox.requests, presence)
        elif presence.kind == "subscribed":
            self._inbox.put_person(self._inbox.subscriptions, presence)
        elif presence.kind == "unsubscribe":
            self._inbox.requests.pop(sender.bare, None)
        elif presence.kind in ("unsubscribed", "error") and sender.bare in self._awaited:
            self._awaited[sender.bare] = (
                stanzas.trouble(element, f"{sender.bare} cannot be asked")
                if presence.kind == "error"
                else Refused(f"{sender.bare} has refused to be told anything")
            )
        elif presence.kind in ("", "unavailable") and self.roster.met(presence):
            self._inbox.presence[sender.bare] = self.roster.presence(sender.bare)

    def _handle_query(self, element: Element) -> None:
        id, kind = element.get("id", ""), element.get("type")
        sender = Jid.parse(element.get("from", "")) if element.get("from") else None
        if kind in ("result", "error"):
            if id in self._answers and sender in self._answerers[id]:
                self._answers[id] = element
            return
        namespace = split_tag(element[0])[0] if len(element) == 1 else ""
        if kind not in ("get", "set") or not namespace:
            self.send(stanzas.error(element, "bad-request", "modify"))
        elif namespace == ROSTER:
            self._handle_push(element, sender)
        elif namespace in self._queries:
            self.send(self._answered(element, self._queries[namespace]))
        elif namespace == stanzas.PING and kind == "get":
            self.send(stanzas.answer(element))
        else:
            self.send(stanzas.error(element, "service-unavailable"))

    def _handle_push(self, element: Element, sender: Jid | None) -> None:
        """Only our own account changes our list (RFC 6121 §2.1.6)."""
        if sender not in (None, self.jid.bare) or element.get("type") != "set":
            self._host.log(
                "push-ignored",
                "warning",
                sender=str(sender),
                trouble="it is not from our own account",
            )
            self.send(stanzas.error(element, "service-unavailable"))
            return
        contact = self.roster.change(element[0])
        if contact is not None and contact.subscription == "remove":
            self._inbox.forget(contact.jid)
        self.send(stanzas.answer(element))

    def _answered(self, query: Element, handler: Callable[[Element], Element | None]) -> Element:
        done, content = self._inbox.call(handler, query)
        if not done:
            return stanzas.error(query, "internal-server-error")
        return (
            content if content is not None and content.tag == IQ else stanzas.answer(query, content)
        )

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _await_authorisation(self, address: Jid, wait: float) -> None:
        bare = address.bare
        self._awaited[bare] = None
        try:
            if bare not in self.roster:
                self.request(stanzas.iq("set", roster_set(bare)))
            self.ask(bare)
            until = self._clock.time() + wait
            self._attend(
                lambda: self.subscribed_to(bare) or self._awaited[bare] is not None,
                until,
                for_answer=True,
            )
            refusal = self._awaited[bare]
        finally:
            del self._awaited[bare]
        if self.subscribed_to(bare):
            return
        raise refusal or TryLater(
            f"{bare} has not authorised us within {wait:g} s; nothing was sent"
        )

    def _answer_request(self, who: str | Jid, kind: str) -> None:
        address = Jid.of(who).bare
        self._inbox.requests.pop(address, None)
        self.send(stanzas.presence(address, kind))

    def _who_answers(self, to: str | None) -> set[Jid | None]:
        """Whose word counts as the answer to a query (RFC 6120 §8.1.2.1, §10.3.3)."""
        own: set[Jid | None] = {None, self.jid, self.jid.bare}
        if to is None:
            return own | {Jid("", self.jid.domain)}
        asked = Jid.parse(to)
        return own if asked == self.jid.bare else {asked}

    def _filtered(self, element: Element, filters: list[Filter]) -> Element | None:
        """What the filters make of a stanza; one that fails is reported, and the stanza dropped."""
        passed: Element | None = element
        for one in filters:
            if passed is not None:
                _, passed = self._inbox.call(one, passed)
        return passed

    def _next_id(self) -> str:
        """RFC 6120 §8.1.3: unique, and not to be guessed by who would like to answer for another."""
        return self._host.token(12)


class _Left(Unreachable):
    """We are off line because we wanted to."""
